/** Daybook as its operator has it: `serve` as a real process on a port of its own, and the command line beside it. */
import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { createServer } from 'node:net'
import { join } from 'node:path'
import { setTimeout as wait } from 'node:timers/promises'
import type { ExecutionContext } from 'ava'
import { askServer } from '../src/cli/socket.ts'
import { Log } from '../src/ledger/log.ts'
import { CALLBACK, CHATGPT_ID, CHATGPT_SECRET, temporaryFolder } from './_support.ts'

export type Env = { readonly [name: string]: string }

/** Where one Daybook lives: an empty folder to run in, the data directory in it, a port, and its environment. */
export type Home = {
  readonly folder: string
  readonly data: string
  readonly port: number
  readonly url: string
  readonly env: Env
}

/** A home for a Daybook; `changed` adds to the settings or replaces them. It goes away with the test. */
export async function newHome(t: ExecutionContext, changed: Env = {}): Promise<Home> {
  const folder = temporaryFolder(t)
  const port = await freePort()
  const data = changed.DATA_DIR ?? join(folder, 'data')
  const url = `http://127.0.0.1:${port}`
  const env = {
    APP_PORT: String(port),
    PUBLIC_URL: url,
    DATA_DIR: data,
    OPENAI_CLIENT_ID: CHATGPT_ID,
    OPENAI_CLIENT_SECRET: CHATGPT_SECRET,
    OPENAI_REDIRECT_URIS: CALLBACK,
    ...changed,
  }
  return { folder, data, port, url, env }
}

/** A free port below those that outgoing connections take: it stays free while a server restarts. */
export async function freePort(): Promise<number> {
  for (;;) {
    const port = 20_000 + Math.floor(Math.random() * 12_000)
    const server = createServer()
    const isFree = await new Promise<boolean>((resolve) => {
      server.once('error', () => resolve(false))
      server.listen(port, '127.0.0.1', () => resolve(true))
    })
    if (!isFree) continue
    await new Promise((resolve) => server.close(resolve))
    return port
  }
}

export const MAIN = join(import.meta.dirname, '../src/main.ts')
/** Nothing of the tests' own environment reaches a child; what Node compiled is kept, which halves the time to start. */
const BARE: Env = { NODE_COMPILE_CACHE: join(import.meta.dirname, '../node_modules/.cache/compiled') }

/** Children that still run: none outlives the tests, however they end. */
const running = new Set<ChildProcess>()
process.on('exit', () => {
  for (const child of running) child.kill('SIGKILL')
})

/** How a process ended: its exit code, or the signal that ended it. */
export type End = number | NodeJS.Signals

type Start = { readonly env: Env; readonly cwd: string; readonly before?: string }

/** @param before what a shell does first */
function start(args: readonly string[], { env, cwd, before = 'umask 022' }: Start) {
  const command = ['-c', `${before}; exec "$0" "$@"`, process.execPath, MAIN, ...args]
  const child = spawn('/bin/sh', command, { env: { ...BARE, ...env }, cwd })
  const said = { stdout: '', stderr: '' }
  for (const stream of ['stdout', 'stderr'] as const)
    child[stream].setEncoding('utf8').on('data', (text: string) => {
      said[stream] += text
    })
  running.add(child)
  const ended = once(child, 'close').then(([code, signal]): End => {
    running.delete(child)
    return code ?? signal
  })
  return { child, said, ended }
}

/** What a command gave back. */
export type Ran = { readonly code: End; readonly stdout: string; readonly stderr: string }

type Options = { readonly env?: Env; readonly cwd?: string; readonly input?: string }

/** A command that has not ended by then never will: it is killed, and its end says so. */
const COMMAND_MS = 60_000

/** How many commands a file of tests runs at the same time: with dozens, none would end in time. */
const MOST_AT_ONCE = 4
const places: Promise<unknown>[] = Array.from({ length: MOST_AT_ONCE }, async () => {})
let runs = 0

/** Runs `node src/main.ts ARGS` to its end, without a terminal. */
export function run(args: readonly string[], options: Options = {}): Promise<Ran> {
  const place = runs++ % MOST_AT_ONCE
  const ran = places[place]!.then(() => runNow(args, options))
  places[place] = ran.catch(() => {})
  return ran
}

async function runNow(args: readonly string[], { env = {}, cwd = '/', input = '' }: Options): Promise<Ran> {
  const { child, said, ended } = start(args, { env, cwd })
  child.stdin.on('error', () => {}) // A command that reads nothing may be gone already.
  child.stdin.end(input)
  const late = setTimeout(() => child.kill('SIGKILL'), COMMAND_MS)
  const code = await ended
  clearTimeout(late)
  return { code, ...said }
}

/** Runs a command of a home, its arguments given as one line of words. */
export const daybook = (home: Home, words: string, { env, ...options }: Options = {}): Promise<Ran> =>
  run(words.split(' '), { env: { ...home.env, ...env }, cwd: home.folder, ...options })

/** A server that runs. */
export type Serving = Home & {
  readonly pid: number
  /** All it has said so far. */
  readonly said: { readonly stdout: string; readonly stderr: string }
  /** Sends a signal, without waiting for what it does. */
  readonly signal: (signal: NodeJS.Signals) => void
  /** Sends a signal and waits for the end. */
  readonly stop: (signal?: NodeJS.Signals) => Promise<End>
  readonly ended: Promise<End>
  /** Waits until its stdout or stderr holds that text. */
  readonly says: (text: string) => Promise<void>
}

/** Starts `daybook serve` and waits until it is ready; whatever is left of it ends with the test. */
export async function serve(
  t: ExecutionContext,
  home: Home,
  args: readonly string[] = [],
  { before = 'umask 022' } = {},
): Promise<Serving> {
  const { child, said, ended } = start(['serve', ...args], { env: home.env, cwd: home.folder, before })
  const signal = (name: NodeJS.Signals): void => void child.kill(name)
  const stop = (name: NodeJS.Signals = 'SIGTERM'): Promise<End> => {
    signal(name)
    return ended
  }
  t.teardown(() => stop('SIGKILL'))
  let end: End | undefined
  void ended.then((how) => {
    end = how
  })
  const until = async (isSo: () => boolean | Promise<boolean>): Promise<void> => {
    while (!(await isSo())) {
      if (end !== undefined) throw new Error(`serve ended with ${end}: ${said.stderr}${said.stdout}`)
      await wait(20)
    }
  }
  await until(() => isReady(home.url))
  const says = (text: string): Promise<void> => until(() => `${said.stdout}${said.stderr}`.includes(text))
  return { ...home, pid: child.pid!, said, signal, stop, ended, says }
}

const isReady = async (url: string): Promise<boolean> => {
  try {
    const response = await fetch(`${url}/readyz`)
    await response.text()
    return response.status === 200
  } catch {
    return false
  }
}

/** The two ways in which a command reaches the book: through the server that holds it, or opening it itself. */
export const WAYS = ['beside a server', 'without a server'] as const

/** A home, with a server that runs in it or not. */
export async function homeFor(t: ExecutionContext, way: (typeof WAYS)[number], changed: Env = {}): Promise<Home> {
  const home = await newHome(t, changed)
  if (way === 'beside a server') await serve(t, home)
  return home
}

/** A row as `-o json` shows it. */
export type Row = { readonly [column: string]: any }

/** The rows of a command that succeeds. */
export async function rowsOf(home: Home, words: string): Promise<Row[]> {
  const { code, stdout, stderr } = await daybook(home, `${words} -o json`)
  if (code !== 0) throw new Error(`daybook ${words}: ${code} ${stderr}`)
  return JSON.parse(stdout)
}

/** Every event of a home's book but looks, oldest first: as the server tells them, or as they stand on disk. */
export async function bookOf(home: Home): Promise<Row[]> {
  const events: Row[] = []
  const told = await askServer(home.data, { act: 'audit list', input: { filter: '-type:BookInspected', limit: 9999 } })
  if (told !== undefined) {
    for await (const line of told) if ('row' in line) events.unshift(line.row)
    return events
  }
  const log = await Log.open(home.data)
  for await (const [, line] of log.lines()) events.push(JSON.parse(line))
  await log.close()
  return events.filter((event) => event.type !== 'BookInspected')
}

/** The types of the events since the book was opened and the client of the settings made and given its callback. */
export async function eventsOf(home: Home): Promise<string[]> {
  const types = (await bookOf(home)).map((event) => event.type as string).filter((type) => type !== 'BookOpened')
  return types.slice(home.env.OPENAI_REDIRECT_URIS === '' ? 1 : 2)
}
