/** What ledger tests stand on: a book in a temporary folder, its database opened by hand, another process beside it. */
import { spawn } from 'node:child_process'
import { readdirSync, readFileSync, statSync } from 'node:fs'
import { join } from 'node:path'
import { text } from 'node:stream/consumers'
import type { ExecutionContext } from 'ava'
import { Level } from 'level'
import { deleteTodoAt } from '../../src/domain/deletions.ts'
import { addTodos, type ListLimits } from '../../src/domain/edits.ts'
import { accept } from '../../src/domain/shape.ts'
import { type Item, openInOrder, textOf } from '../../src/domain/todos.ts'
import { registerUser } from '../../src/domain/users.ts'
import { type Caller, Ledger } from '../../src/ledger/ledger.ts'
import { newKey } from '../../src/ledger/vault.ts'
import { assertBookHolds, Clock, SYSTEM, temporaryFolder } from '../_support.ts'

export const open = (directory: string, clock = new Clock()): Promise<Ledger> =>
  Ledger.open({ directory, clock: clock.read, version: 'test' })

export type Book = {
  readonly ledger: Ledger
  readonly folder: string
  readonly clock: Clock
  /** Closes the book, does something to it perhaps, and opens it again. */
  readonly reopen: (between?: () => Promise<unknown>) => Promise<Ledger>
}

/** A book that begins with `BookOpened` and alice; when the test ends, it is checked (`assertBookHolds`). */
export async function startBook(t: ExecutionContext): Promise<Book> {
  const folder = temporaryFolder(t)
  const clock = new Clock()
  const ledger = await open(folder, clock)
  let current = ledger
  await register(ledger, 'alice')
  t.teardown(() => assertBookHolds(current, folder, clock))
  const reopen: Book['reopen'] = async (between) => {
    await current.close()
    await between?.()
    current = await open(folder, clock)
    return current
  }
  return { ledger, folder, clock, reopen }
}

/** A folder with a closed book: `BookOpened`, alice, and so many to-dos of hers. */
export async function closedBook(t: ExecutionContext, todos = 3): Promise<string> {
  const folder = temporaryFolder(t)
  const ledger = await open(folder)
  await register(ledger, 'alice')
  for (let i = 0; i < todos; i++) await add(ledger, 'alice', `todo ${i}`)
  await ledger.close()
  return folder
}

export function register(ledger: Ledger, user: string, email?: string, by: Caller = SYSTEM): Promise<unknown> {
  const input = { user, username: user, email, admin: false, passwordHash: `hash of ${user}`, key: newKey() }
  return ledger.transact(by, (state) => registerUser(state, input))
}

export const LIMITS: ListLimits = { open: 1e6, size: 1e12, sizeOfAll: 1e12 }
let made = 0
/** Adds a to-do; gives its index. */
export function add(ledger: Ledger, owner: string, text: string, by: Caller = SYSTEM): Promise<number> {
  const items = [{ id: `todo-${++made}`, text, notes: null, due: null, priority: null }]
  return ledger.transact(by, (state, now) => {
    const added = addTodos(state, { owner, items, limits: LIMITS }, now)
    return added.refusal === undefined ? accept(added.facts, added.result.index) : added
  })
}

/** Deletes the first to-do of a list. @param text what it must say, if anything */
export const deleteFirst = (ledger: Ledger, owner: string, text?: string, by: Caller = SYSTEM): Promise<Item> =>
  ledger.transact(by, (state, now) => deleteTodoAt(state, { owner, index: 0, text, limits: LIMITS }, now))

export const todosOf = (ledger: Ledger, owner: string): Promise<string[]> =>
  ledger.read((state) => openInOrder(state, owner).map(([, todo]) => textOf(todo, 'text') ?? ''))

export const typesOf = async (ledger: Ledger): Promise<string[]> =>
  (await Array.fromAsync(ledger.events())).map((event) => event.type)

/** Opens the database of a closed book behind Daybook's back. */
export async function withDatabase<T>(folder: string, work: (db: Level<string, string>) => Promise<T>): Promise<T> {
  const db = new Level<string, string>(join(folder, 'book'))
  await db.open()
  try {
    return await work(db)
  } finally {
    await db.close()
  }
}

/** Every key and value of a closed book's database. */
export const databaseOf = (folder: string): Promise<[string, string][]> =>
  withDatabase(folder, (db) => Array.fromAsync(db.iterator()) as Promise<[string, string][]>)

/** Every file below a folder, with its mode and what is in it. LevelDB's `LOCK` is not read: that would unlock it. Our own lock changes with each locking. */
export function filesIn(folder: string): { [path: string]: string } {
  const all = readdirSync(folder, { recursive: true, withFileTypes: true })
  const entries = all.filter((entry) => !join(entry.parentPath, entry.name).includes('/.lock'))
  const files = entries.map((entry) => {
    const path = join(entry.parentPath, entry.name)
    const mode = statSync(path).mode.toString(8)
    const content = entry.isFile() && entry.name !== 'LOCK' ? readFileSync(path, 'latin1') : ''
    return [path.slice(folder.length + 1), `${mode} ${content}`] as const
  })
  return Object.fromEntries(files.sort(([a], [b]) => (a < b ? -1 : 1)))
}

const LEDGER = new URL('../../src/ledger/ledger.ts', import.meta.url).href

/**
 * Runs a script in another Node, as a module that has `Ledger` and `folder`.
 * @param before a shell command that prepares the process, such as `ulimit`
 */
export async function elsewhere(
  folder: string,
  script: string,
  before = ':',
): Promise<{ stdout: string; code: number }> {
  const source = `import { Ledger } from ${JSON.stringify(LEDGER)}\nconst folder = process.argv[1]\n${script}`
  const args = ['--input-type=module-typescript', '-e', source, '--', folder]
  const child = spawn('sh', ['-c', `${before}; exec "$0" "$@"`, process.execPath, ...args], {
    stdio: ['ignore', 'pipe', 'inherit'],
    cwd: import.meta.dirname,
  })
  const code = new Promise<number>((resolve) => child.once('close', (status) => resolve(status ?? -1)))
  return { stdout: await text(child.stdout), code: await code }
}
