/** `daybook audit …`: who did what, when, through what; as it stood then; and the proof that nothing was changed since. */
import { createReadStream } from 'node:fs'
import { setTimeout as wait } from 'node:timers/promises'
import { type Command, InvalidArgumentError, Option } from 'commander'
import { FilterMalformed, parseFilter } from '../domain/search.ts'
import type { Item } from '../domain/todos.ts'
import type { Listed } from '../ledger/audit.ts'
import { EXPORT_FORMATS, type ExportFormat } from '../ledger/export.ts'
import type { Ledger } from '../ledger/ledger.ts'
import { verifyExport } from '../ledger/proof.ts'
import type { Audit } from '../service/audit.ts'
import { operatorServices } from '../service/services.ts'
import {
  type Act,
  CommandFailed,
  countOf,
  type Input,
  InputError,
  type Line,
  NOT_RECORDED,
  optionalTextOf,
  type Row,
  type Tools,
  textOf,
  whileTelling,
} from './act.ts'
import { type Config, UsageError } from './config.ts'
import { Follower } from './output.ts'
import { AnswerCut, askServer } from './socket.ts'

const auditOf = (ledger: Ledger): Audit => operatorServices(ledger).audit

export const acts: { readonly [name: string]: Act } = {
  async *'audit list'(ledger, input, by, signal) {
    const [filter, limit] = [textOf(input, 'filter'), countOf(input, 'limit')]
    const { seq } = ledger.head
    let at = seq
    const onRead = (read: number): void => {
      at = read
    }
    const { found, isRecorded } = await auditOf(ledger).list(by, { filter, limit, signal, onRead })
    try {
      for (;;) {
        const next = yield* whileTelling(found.next(), () => ({ progress: seq - at, of: seq }))
        if (next.done !== true) yield { row: next.value }
        else {
          if (next.value !== null) yield { say: `These are the latest ${limit}; --limit says how many are shown.` }
          break
        }
      }
    } finally {
      await found.return(null)
    }
    if (!isRecorded) yield NOT_RECORDED
  },

  async *'audit tail'(ledger, input, by, signal) {
    const [filter, lines] = [textOf(input, 'filter'), countOf(input, 'lines')]
    const after = input.after === undefined ? undefined : countOf(input, 'after')
    const { seq } = ledger.head
    const { found, isRecorded } = await auditOf(ledger).follow(by, { filter, lines, after, signal })
    yield { cursor: found.from }
    if (after !== undefined && after > seq)
      yield { say: `The book ends at event ${seq} now: was an older one restored?` }
    for (const row of found.latest) yield { row }
    if (!isRecorded) yield NOT_RECORDED
    for await (const heard of found.news) yield 'event' in heard ? { row: heard.event } : { cursor: heard.silentUpTo }
  },

  async *'audit show'(ledger, input, by) {
    const seq = countOf(input, 'seq')
    const shown = await auditOf(ledger).show(by, seq)
    if (shown === undefined) throw new InputError(`there is no event ${seq}: the book ends at ${ledger.head.seq}`)
    yield { row: shown.found }
    if (!shown.isRecorded) yield NOT_RECORDED
  },

  async *'audit trace'(ledger, input, by, signal) {
    const { found, isRecorded } = await auditOf(ledger).trace(by, { request: textOf(input, 'request'), signal })
    for await (const row of found) yield { row }
    if (!isRecorded) yield NOT_RECORDED
  },

  async *'audit stats'(ledger, input, by, signal) {
    const { seq } = ledger.head
    let at = 0
    const onRead = (read: number): void => {
      at = read
    }
    const counting = auditOf(ledger).stats(by, { filter: textOf(input, 'filter'), signal, onRead })
    const { found, isRecorded } = yield* whileTelling(counting, () => ({ progress: at, of: seq }))
    for (const [type, events] of found.counts) yield { row: { type, events } }
    const total = found.counts.reduce((sum, [, n]) => sum + n, 0)
    yield { say: `${total} events. The book ends at ${found.head.seq}:${found.head.hash}` }
    if (!isRecorded) yield NOT_RECORDED
  },

  async *'audit state'(ledger, input, by, signal) {
    const [name, at] = [textOf(input, 'user'), countOf(input, 'at')]
    if (at > ledger.head.seq) throw new InputError(`there is no event ${at}: the book ends at ${ledger.head.seq}`)
    const { found, isRecorded } = await auditOf(ledger).state(by, { name, at, signal })
    const now = new Map(found.now.map((listed) => [listed.item.id, listed]))
    for (const listed of found.then) yield { row: stateRow(listed.item, listed, now.get(listed.item.id)) }
    const before = new Set(found.then.map(({ item }) => item.id))
    for (const listed of found.now)
      if (!before.has(listed.item.id)) yield { row: stateRow(listed.item, undefined, listed) }
    yield { say: `The list of ${name} after event ${at}, and where each to-do stands now.` }
    if (!isRecorded) yield NOT_RECORDED
  },

  async *'audit export'(ledger, input, by, signal) {
    const format = EXPORT_FORMATS.find((known) => known === input.format)
    if (format === undefined) throw new InputError(`format must be one of ${EXPORT_FORMATS.join(', ')}`)
    const of = { filter: textOf(input, 'filter'), format, opened: input.opened === true, signal }
    const { found, isRecorded } = await auditOf(ledger).export(by, of)
    for await (const raw of found) yield { raw }
    if (!isRecorded) yield NOT_RECORDED
  },

  async *'audit verify'(ledger, input, _by, signal) {
    const expected = expectedOf(optionalTextOf(input, 'expect'))
    const { seq } = ledger.head
    let done = 0
    const verifying = ledger.verify(expected?.seq, (at) => {
      signal.throwIfAborted()
      done = at
    })
    yield verdict(yield* whileTelling(verifying, () => ({ progress: done, of: seq })), expected)
  },
}

type Verdict = Awaited<ReturnType<typeof verifyExport>>
type Expected = { readonly seq: number; readonly hash: string }

/** `SEQ:HASH`, as `verify` prints it. */
function expectedOf(text: string | undefined): Expected | undefined {
  if (text === undefined) return undefined
  const found = /^([1-9]\d{0,14}):([0-9a-f]{64})$/.exec(text)
  if (found === null) throw new InputError('--expect wants SEQ:HASH, as an earlier verify printed it')
  return { seq: Number(found[1]), hash: found[2]! }
}

function verdict(found: Verdict, expected: Expected | undefined): Line {
  if ('fault' in found) return { fail: `event ${found.seq} does not hold: ${found.fault}` }
  if (expected !== undefined && found.at !== expected.hash)
    return {
      fail:
        found.at === undefined
          ? `the book ends at event ${found.seq}, before event ${expected.seq}: its tail is missing, or it is another book.`
          : `event ${expected.seq} does not hold: it has the hash ${found.at}. This is another book, or it was rewritten.`,
    }
  const proved = expected === undefined ? '' : ` Event ${expected.seq} is the one that you expect.`
  return { say: `${found.seq} events, and the chain holds.${proved} Head ${found.seq}:${found.hash}` }
}

export const begins = []

const LIST_COLUMNS = ['seq', 'at', 'who', 'what', 'through', 'ip']

export function addCommands(program: Command, { run, settings }: Tools): void {
  const audit = program.command('audit').description('what happened: list it, follow it, take it along, prove it')
  const filtered = (name: string): Command => audit.command(`${name} [filter...]`).addHelpText('after', FILTER_HELP)

  filtered('list')
    .description('the latest events, newest first')
    .option('--limit <n>', 'how many', wholeNumber, 50)
    .action((words: string[], { limit }: { limit: number }) =>
      run('audit list', { filter: filterOf(words), limit }, LIST_COLUMNS),
    )
  filtered('tail')
    .description('the latest events, and each new one as it happens')
    .option('--lines <n>', 'how many to begin with', wholeNumber, 10)
    .action((words: string[], { lines }: { lines: number }, command: Command) =>
      tail(
        settings(),
        { filter: filterOf(words), lines },
        command.optsWithGlobals<{ output: string }>().output !== 'table',
      ),
    )
  audit
    .command('show <seq>')
    .description('one event whole, and the hashes before and after it')
    .action((seq: string) => run('audit show', { seq: wholeNumber(seq) }, 'record'))
  audit
    .command('trace <request>')
    .description('everything that one request did')
    .action((request: string) => run('audit trace', { request }, LIST_COLUMNS))
  filtered('stats')
    .description('how many events of each type')
    .action((words: string[]) => run('audit stats', { filter: filterOf(words) }, ['type', 'events']))
  audit
    .command('state')
    .description('a list of to-dos as it stood after an event, beside how it stands now')
    .requiredOption('--user <name>', 'whose list')
    .requiredOption('--at <seq>', 'after which event', wholeNumber)
    .action(({ user, at }: { user: string; at: number }) =>
      run('audit state', { user, at }, ['idx', 'state', 'idx_now', 'state_now', 'todo']),
    )
  filtered('export')
    .description('events on stdout, oldest first, as lines that anybody can check')
    .addOption(
      new Option('--format <format>', 'as lines of JSON, or for a spreadsheet')
        .choices(EXPORT_FORMATS)
        .default('ndjson'),
    )
    .option('--open', 'with the personal text, outside the hash')
    .action((words: string[], { format, open }: { format: ExportFormat; open?: true }) =>
      run('audit export', { filter: filterOf(words), format, opened: open === true }, []),
    )
  audit
    .command('verify [file]')
    .description('hold every event against the one before it; with a file ("-": stdin), those of an export')
    .option('--expect <seq:hash>', 'a head noted earlier, which must still stand there')
    .action((file: string | undefined, { expect }: { expect?: string }) =>
      file === undefined ? run('audit verify', { expect }) : verifyFile(file, expect),
    )
}

/** A to-do of a list as it stood, and as it stands now; what is `undefined` was not there. */
function stateRow({ id }: Item, then: Listed | undefined, now: Listed | undefined): Row {
  const { item } = then ?? now!
  const stateOf = (listed: Listed | undefined): string | null =>
    listed === undefined ? null : listed.item.done ? 'done' : 'open'
  const { due, priority, notes } = item
  return {
    ...{ idx: then?.idx ?? null, state: stateOf(then), idx_now: now?.idx ?? null, state_now: stateOf(now) },
    ...{ todo: item.todo, due, priority, notes, id },
  }
}

/** Stands before a word that begins with a hyphen and is no option. */
export const NEGATED = '\0'

/** One filter of many words. A word with a blank in it is one phrase. @throws {UsageError} when it cannot be read */
function filterOf(marked: readonly string[]): string {
  const words = marked.map((word) => word.replace(NEGATED, ''))
  const quoted = words.map((word) =>
    /\s/.test(word) && !word.includes('"') ? word.replace(/^(-?(?:[a-z]+:)?)(.*)$/is, '$1"$2"') : word,
  )
  const filter = quoted.join(' ')
  try {
    parseFilter(filter, Date.now())
  } catch (error) {
    if (error instanceof FilterMalformed) throw new UsageError(error.message)
    throw error
  }
  return filter
}

function wholeNumber(text: string): number {
  if (!/^[1-9]\d{0,14}$/.test(text)) throw new InvalidArgumentError('It must be a whole number from 1 on.')
  return Number(text)
}

/** Reads an export through; needs no book. */
async function verifyFile(file: string, expect: string | undefined): Promise<void> {
  let expected: Expected | undefined
  try {
    expected = expectedOf(expect)
  } catch (error) {
    throw new UsageError((error as Error).message)
  }
  const bytes = file === '-' ? process.stdin : createReadStream(file)
  const found = await verifyExport(bytes, expected?.seq).catch((error: NodeJS.ErrnoException) => {
    if (error.syscall === undefined) throw error
    throw new UsageError(error.code === 'ENOENT' ? `there is no file ${file}` : error.message)
  })
  const line = verdict(found, expected)
  if ('fail' in line) throw new CommandFailed(line.fail)
  if ('say' in line) process.stdout.write(`${line.say}\n`)
}

/** How often to look whether a server is there. ms */
const LOOK_MS = 500

/** Follows the book through the server that holds it, and waits for one where there is none. Ends with Ctrl-C. */
async function tail(config: Config, input: Input, isJson: boolean): Promise<void> {
  const follower = new Follower(isJson)
  let after: number | undefined
  let isTold = false
  for (;;) {
    const answer = await askServer(config.DATA_DIR, { act: 'audit tail', input: { ...input, after } })
    if (answer === undefined && !isTold) follower.say('No server runs on this book: waiting for one.')
    isTold = answer === undefined
    try {
      for await (const line of answer ?? []) {
        if ('fail' in line && !(line.isPassing && after !== undefined)) throw new CommandFailed(line.fail)
        if ('cursor' in line) after = line.cursor
        if ('row' in line) after = Number(line.row.seq)
        if (!('fail' in line)) await follower.print(line)
      }
    } catch (error) {
      // It went away: it is waited for.
      if (!(error instanceof AnswerCut) || after === undefined) throw error
    }
    await wait(LOOK_MS)
  }
}

const FILTER_HELP = `
A filter is words: type:TokenIssued, actor:alice, user:alice, client:chatgpt, ip:203.0.113.7, request:ID, since:2h,
until:2026-11-01, seq:100..200, and free words for text. Words of one kind are alternatives, kinds are combined, and
a leading - negates.

Examples:
  daybook audit list user:alice since:2d
  daybook audit list type:SignInFailed -actor:operator
  daybook audit export since:2026-11-01 --format csv > november.csv`
