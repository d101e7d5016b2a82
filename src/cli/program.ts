/** The command line: every command there is, its settings, and its exit code. */
import { Command, CommanderError, Option } from 'commander'
import { BookUnusable } from '../ledger/directory.ts'
import { CommandFailed, type Tools } from './act.ts'
import { NEGATED } from './audit.ts'
import {
  type Config,
  flagOf,
  helpOf,
  isSecret,
  readConfig,
  SETTING_NAMES,
  type SettingName,
  UsageError,
} from './config.ts'
import { FORMATS, type Format, Printer, printable } from './output.ts'
import { groups, linesOf, runner } from './run.ts'
import { version } from './version.ts'

/** Runs one command. @returns the exit code: 0 done, 1 refused or failed, 2 usage */
export async function main(argv: readonly string[]): Promise<0 | 1 | 2> {
  const program = createProgram()
  // Whoever reads our answer has read enough, as `head` does: there is nothing left to do, and nothing to shout about.
  process.stdout.on('error', (error: NodeJS.ErrnoException) => {
    if (error.code !== 'EPIPE') throw error
  })
  try {
    await program.parseAsync(protectNegated(argv), { from: 'user' })
    return 0
  } catch (error) {
    return exitCodeOf(error)
  }
}

/** The web server is loaded only to serve: the other commands start in half the time without it. */
function addServeCommand(program: Command, readSettings: () => Config): void {
  program
    .command('serve')
    .description('serve assistants and people until told to stop')
    .action(async () => {
      const { serve } = await import('./serve.ts')
      await serve(readSettings())
    })
}

/** Commands that take a filter, in which a leading hyphen negates a word. */
const FILTERED = ['list', 'tail', 'stats', 'export']

/** Marks negated words, so that they are not taken for options: `-outage` is no `-o`. */
function protectNegated(argv: readonly string[]): string[] {
  const audit = argv.indexOf('audit')
  if (audit < 0 || !FILTERED.includes(argv[audit + 1] ?? '')) return [...argv]
  const isOption = (word: string): boolean =>
    /^-(-.*|o|h|V|o=?(table|json|ndjson))?$/.test(word) || !word.startsWith('-')
  return argv.map((word, i) => (i > audit + 1 && !isOption(word) ? `${NEGATED}${word}` : word))
}

function exitCodeOf(error: unknown): 0 | 1 | 2 {
  // Commander has written its message by now; asking for help or the version is no mistake.
  if (error instanceof CommanderError) return error.exitCode === 0 ? 0 : 2
  if (error instanceof Error && error.name === 'ExitPromptError') {
    process.stderr.write('daybook: cancelled; nothing was changed\n') // Ctrl-C at a question.
    return 1
  }
  const isExpected = [UsageError, CommandFailed, BookUnusable].some((type) => error instanceof type)
  const text = isExpected ? (error as Error).message : ((error as Error).stack ?? String(error))
  process.stderr.write(`daybook: ${isExpected ? printable(text) : text}\n`)
  return error instanceof UsageError ? 2 : 1
}

const versionLine = (): string =>
  `daybook ${version} (node ${process.versions.node}, ${process.platform} ${process.arch})`

function createProgram(): Command {
  const program = new Command('daybook')
    .description('A to-do list that ChatGPT keeps for you, with a history that can be proved.')
    .usage('COMMAND [options]')
    .helpOption('-h, --help', 'what there is, and how to use it')
    .helpCommand('help [command]', 'the same')
    .version(versionLine(), '-V, --version', 'which Daybook this is')
    .showHelpAfterError('(daybook --help shows how)')
    .exitOverride()
    .addOption(new Option('-o, --output <format>', 'how lists are shown').choices(FORMATS).default('table'))
    .option('--config <file>', 'a file with settings, as NAME=value lines')
  for (const name of SETTING_NAMES) {
    if (isSecret(name)) continue
    program.addOption(new Option(`${flagOf(name)} <value>`, helpOf(name)).hideHelp(name !== 'DATA_DIR'))
  }
  program.addHelpText('after', EXAMPLES)

  const settings = (): ReturnType<typeof readConfig> => {
    const options = program.opts<{ config?: string } & { [flag: string]: string }>()
    return readConfig(flagsOf(options), options.config)
  }
  const readSettings = (): Config => settings().config
  const format = (): Format => program.opts<{ output: Format }>().output
  const ask: Tools['ask'] = (act, input) => linesOf(readSettings(), { act, input })
  const tools: Tools = { run: runner(ask, format), ask, settings: readSettings, format }

  addServeCommand(program, readSettings)
  for (const { addCommands } of groups) addCommands(program, tools)
  program
    .command('config')
    .description('the settings that a command given here and now has, and where each came from')
    .action(() => {
      const printer = new Printer(format(), ['name', 'value', 'source'])
      for (const row of settings().origins)
        void printer.print({ row: format() === 'table' ? { ...row, value: row.value ?? '(none)' } : row })
      printer.end()
    })
  program
    .command('version')
    .description('which Daybook this is')
    .action(() => {
      process.stdout.write(`${versionLine()}\n`)
    })
  for (const group of program.commands)
    for (const command of [group, ...group.commands])
      command.exitOverride().helpCommand(false).showHelpAfterError('(daybook --help shows how)')
  return program
}

/** Commander names options in camel case; settings have one name everywhere. */
function flagsOf(options: { readonly [flag: string]: string | undefined }): { [N in SettingName]?: string } {
  const camel = (name: string): string =>
    name.toLowerCase().replace(/_(.)/g, (_, letter: string) => letter.toUpperCase())
  const given = SETTING_NAMES.map((name) => [name, options[camel(name)]] as const)
  return Object.fromEntries(given.filter(([, value]) => value !== undefined))
}

const EXAMPLES = `
Examples:
  daybook serve                          serve the book in ./data
  daybook user add ada --admin           create an operator's account; asks for a password
  daybook client show chatgpt            client ID and secret to paste into ChatGPT
  daybook user revoke ada                end everything of that user at once
  daybook audit list --limit 20          what happened last
  daybook audit verify                   prove that nothing of it was changed

A name that begins with a hyphen goes after "--": daybook user revoke -- --name.
Each setting is an environment variable, a line in the --config file, and a flag before the command
(APP_PORT=8085, --app-port 8085). "daybook config" shows all of them.`
