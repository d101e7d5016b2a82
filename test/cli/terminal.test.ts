/** The command line before a person: help, what it says of mistakes, colours and questions on a terminal and only there. */
import { type ChildProcess, spawn, spawnSync } from 'node:child_process'
import { once } from 'node:events'
import { join } from 'node:path'
import { stripVTControlCharacters } from 'node:util'
import test from 'ava'
import { accept } from '../../src/domain/shape.ts'
import { Ledger } from '../../src/ledger/ledger.ts'
import { newKey } from '../../src/ledger/vault.ts'
import { daybook, type Env, eventsOf, type Home, MAIN, newHome, run, serve } from '../_serve.ts'
import { Visitor } from '../_support.ts'

const ESCAPE = '\u001b'
const EVERY_COMMAND = [
  ...['serve', 'user', 'client', 'audit', 'config', 'version'],
  ...['user add', 'user list', 'user revoke', 'user restore', 'user passwd'],
  ...['client list', 'client show', 'client add', 'client allow', 'client rotate-secret', 'audit list', 'audit verify'],
]

test('--help: on stdout, 0, within 80 columns, and names every command there is', async (t) => {
  const help = await run(['--help'])
  t.like(help, { code: 0, stderr: '' })
  for (const name of ['serve', 'user', 'client', 'audit', 'config', 'version', '--output', '--config', '--data-dir'])
    t.regex(help.stdout, new RegExp(`^ +(-o, )?${name}\\b`, 'm'))
  t.regex(help.stdout, /Examples:\n( {2}daybook .+\n)+/)
  for (const command of EVERY_COMMAND) {
    const { code, stdout, stderr } = await run([...command.split(' '), '--help'])
    t.deepEqual([code, stderr], [0, ''], command)
    t.true(stdout.startsWith(`Usage: daybook ${command} `), stdout)
  }
})

test('what is no command, no option or no format: 2, on stderr, with the way to the help', async (t) => {
  const lines = [
    ...['bogus', 'serve extra', 'serve --bogus', 'user bogus', 'audit', 'audit list --bogus', 'config extra'],
    ...['-o xml user list', 'user list -o', '--config', '--app-port'],
  ]
  for (const words of ['', ...lines]) {
    const { code, stdout, stderr } = await run(words === '' ? [] : words.split(' '))
    t.deepEqual([code, stdout], [2, ''], words)
    t.regex(stderr, /^error: [^\n]+\n\(daybook --help shows how\)\n$|^Usage: daybook /, words)
  }
})

test('version: one line on stdout, without a book', async (t) => {
  const { code, stdout, stderr } = await run(['version'])
  t.deepEqual([code, stderr], [0, ''])
  t.regex(stdout, /^daybook \d+\.\d+\.\d+ \(node \d+\.\d+\.\d+, \w+ \w+\)\n$/)
})

test('a reader that goes away early is no failure to shout about', async (t) => {
  const home = await newHome(t)
  await serve(t, home)
  const visitor = new Visitor(home.url)
  const [page, many] = [await visitor.get('/login'), Array.from({ length: 200 })]
  await Promise.all(many.map(() => visitor.submit(page, 'identifier', { identifier: 'x', password: 'y'.repeat(8) })))
  const main = join(import.meta.dirname, '../../src/main.ts')
  for (const format of ['json', 'ndjson', 'table']) {
    const command = `"$0" "$1" audit list -o ${format} --limit 9999 | head -c 10`
    const piped = spawnSync('/bin/sh', ['-c', command, process.execPath, main], { env: home.env, encoding: 'utf8' })
    t.deepEqual([piped.stdout.length, piped.stderr], [10, ''], format)
  }
})

/** `script` of util-linux gives a command a terminal. Where it is missing these tests do not run, and AVA says so. */
const hasTerminal = spawnSync('script', ['--version']).status === 0
const onTerminal = hasTerminal ? test : test.skip

/** Runs a command on a terminal; `dialogue` answers each text that is waited for. */
async function atTerminal(home: Home, words: string, dialogue: [wait: string, answer: string][] = [], env: Env = {}) {
  const main = join(import.meta.dirname, '../../src/main.ts')
  const command = `${process.execPath} ${main} ${words}`
  const child: ChildProcess = spawn('script', ['-qec', command, '/dev/null'], {
    env: { TERM: 'xterm-256color', ...home.env, ...env },
    cwd: home.folder,
  })
  let [said, heard] = ['', 0]
  for (const stream of [child.stdout!, child.stderr!])
    stream.setEncoding('utf8').on('data', (text: string) => {
      said += text
      const [wait, answer] = dialogue[0] ?? []
      if (wait === undefined || !stripVTControlCharacters(said.slice(heard)).includes(wait)) return
      heard = said.length
      dialogue.shift()
      child.stdin!.write(answer)
    })
  const [code] = await once(child, 'close')
  return { code, said }
}

onTerminal('a password is asked for twice on a terminal, and not shown', async (t) => {
  const home = await newHome(t)
  await serve(t, home)
  const dialogue: [string, string][] = [
    ['Password:', 'correct horse\r'],
    ['Again:', 'correct horse\r'],
  ]
  const { code, said } = await atTerminal(home, 'user add alice', dialogue)
  t.is(code, 0, said)
  t.regex(said, /alice can sign in\./)
  t.false(said.includes('correct horse'))
  const signedIn = await new Visitor(home.url).signIn({ username: 'alice', email: '', password: 'correct horse' })
  t.is(signedIn.status, 303)
})

onTerminal('two passwords that differ, one too short, and Ctrl-C change nothing', async (t) => {
  const home = await newHome(t)
  const differ = await atTerminal(home, 'user add alice', [
    ['Password:', 'correct horse\r'],
    ['Again:', 'correct house\r'],
  ])
  t.is(differ.code, 2)
  t.regex(differ.said, /differ/)
  const short = await atTerminal(home, 'user add alice', [
    ['Password:', 'short\r'],
    ['8 to 1,024', '\u0003'],
  ])
  t.is(short.code, 1, short.said)
  t.notRegex(short.said, /\n +at /, 'no stack')
  t.deepEqual(await eventsOf(home), [])
})

onTerminal('colours are for terminals, and NO_COLOR takes them away', async (t) => {
  const home = await newHome(t)
  await daybook(home, 'user add alice --random-password')
  const coloured = await atTerminal(home, 'user list')
  t.true(coloured.said.includes(`${ESCAPE}[`))
  t.false((await atTerminal(home, 'user list', [], { NO_COLOR: '1' })).said.includes(ESCAPE))
  t.false((await atTerminal(home, 'user list -o json')).said.includes(ESCAPE))
})

test('no colours where there is no terminal, whatever TERM says', async (t) => {
  const home = await newHome(t)
  await daybook(home, 'user add alice --random-password')
  const env = { TERM: 'xterm-256color', COLORTERM: 'truecolor' }
  const commands = ['user list', 'client show chatgpt', 'config', 'audit list', 'user revoke nobody', 'bogus', '--help']
  for (const words of commands) {
    const { stdout, stderr } = await daybook(home, words, { env })
    t.false(`${stdout}${stderr}`.includes(ESCAPE), words)
  }
})

test('what goes into a pipe goes there whole, however slowly it is read', async (t) => {
  const home = await newHome(t)
  const ledger = await Ledger.open({ directory: home.data, clock: Date.now, version: 'test' })
  const by = { actor: { kind: 'system', id: 'test' }, via: {}, holds: () => undefined } as const
  for (let i = 0; i < 40; i++) {
    const fact = {
      type: 'TodoAdded',
      data: { todo: `t${i}`, owner: 'u', priority: null, fields: ['text'] },
      personal: { text: 'x'.repeat(10_000) },
    } as const
    await ledger.transact(by, () => accept([fact], undefined, i === 0 ? { 'key/u': newKey() } : {}))
  }
  await ledger.close()
  const command = 'exec "$0" "$1" audit list -o ndjson | (sleep 1; cat)'
  const child = spawn('/bin/sh', ['-c', command, process.execPath, MAIN], { env: home.env, cwd: home.folder })
  let told = ''
  for await (const part of child.stdout.setEncoding('utf8')) told += part
  const rows = told
    .trimEnd()
    .split('\n')
    .map((line) => JSON.parse(line))
  const added = rows.filter((row) => row.type === 'TodoAdded')
  t.deepEqual(
    added.map((row) => row.open.text.length),
    Array(40).fill(10_000),
  )
})
