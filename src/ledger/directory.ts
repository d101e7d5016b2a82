/** The data directory: who may have one, what makes it a book's, and what is left behind in it. */

import { hash } from 'node:crypto'
import { once } from 'node:events'
import {
  accessSync,
  chmodSync,
  constants,
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  realpathSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs'
import { rm, writeFile } from 'node:fs/promises'
import { createServer, type Server } from 'node:net'
import { platform } from 'node:os'
import { dirname, join, resolve } from 'node:path'
import { setTimeout as wait } from 'node:timers/promises'

/** The book is there but must not be used: it is damaged, somebody else's, or not a book. The message says which. */
export class BookUnusable extends Error {
  override name = 'BookUnusable'
}

/** Another process holds the book. */
export class BookInUse extends BookUnusable {
  override name = 'BookInUse'
}

export const RESTORE = 'Restore a backup; nothing was changed'

/** What the system or the database says of a directory that cannot be used, as a refusal; any other error as it is. */
export function unusable(directory: string, error: unknown): unknown {
  const { syscall, code, message } = error as NodeJS.ErrnoException
  if (code === 'LEVEL_CORRUPTION') return new BookUnusable(`${directory} cannot be read: ${message}. ${RESTORE}`)
  return syscall === undefined ? error : new BookUnusable(`${directory} cannot be used: ${message}`)
}

/**
 * The real path of the directory, which is made (0700) unless it has to be there.
 * @throws {BookUnusable} when it is no directory, or may not be made or entered
 */
export function ownDirectory(directory: string, mustExist: boolean): string {
  if (mustExist && !existsSync(directory)) throw noBook(directory)
  try {
    makeDirectory(resolve(directory))
    accessSync(directory, constants.R_OK | constants.W_OK | constants.X_OK)
    return realpathSync(directory)
  } catch (error) {
    throw new BookUnusable(`${directory} cannot be a DATA_DIR: ${(error as Error).message}`)
  }
}

/** Makes it and what it lies in. Node's own recursive way never ends where nothing can be made, as in /proc. */
function makeDirectory(path: string): void {
  if (existsSync(path)) return
  makeDirectory(dirname(path))
  mkdirSync(path, { mode: 0o700 })
}

const noBook = (directory: string): BookUnusable =>
  new BookUnusable(`there is no book in ${directory}: "daybook serve" begins one, or choose another DATA_DIR`)

/**
 * Is a book to be begun here? Then only its owner may look in from now on.
 * @throws {BookUnusable} where something else lies, where files are missing, or where a book has to be and is not
 */
export function prepare(directory: string, mustExist: boolean): boolean {
  if (!isFresh(directory)) return false
  if (mustExist) throw noBook(directory)
  chmodSync(directory, 0o700)
  return true
}

/** Has anything ever been acknowledged here? An empty witness is one whose making was cut off. */
export const hasWitness = (directory: string): boolean =>
  (statSync(join(directory, 'head'), { throwIfNoEntry: false })?.size ?? 0) > 0

/** Is there no book yet? A directory that holds anything else than hidden files must hold a whole book. */
export function isFresh(directory: string): boolean {
  const names = readdirSync(directory).filter((name) => !name.startsWith('.'))
  if (names.length === 0) return true
  if (!names.includes('book') && !names.includes('head'))
    throw new BookUnusable(`${directory} is not empty and holds no book: choose another DATA_DIR (found ${names[0]})`)
  if (existsSync(join(directory, 'book', 'CURRENT'))) return false
  // A first start that was cut off has acknowledged nothing and holds no data: it may begin again.
  const files = names.includes('book') ? readdirSync(join(directory, 'book')) : []
  if (!hasWitness(directory) && !files.some((name) => /\.(ldb|sst|log)$/.test(name))) return true
  throw new BookUnusable(`${directory} is damaged: book/CURRENT is missing. ${RESTORE}`)
}

/**
 * Directories that this process has open. LevelDB's own lock keeps other processes out, but a second opener in the
 * same process would release it, so that one must not get as far as LevelDB.
 */
const held = new Set<string>()

/** @throws {BookUnusable} when this process has it open already */
export function hold(directory: string): void {
  if (held.has(directory)) throw new BookUnusable(`${directory} is open in this process already`)
  held.add(directory)
}
export const isHeld = (directory: string): boolean => held.has(directory)
export const release = (directory: string): boolean => held.delete(directory)

/** Directories that this process has locked. */
const locked = new Set<string>()

/**
 * Locks the directory until it is released, or this process ends, however often the database in it is closed and opened
 * again meanwhile. On Linux by a socket of a name that only one can have; elsewhere LevelDB's own lock has to do.
 * @param directory its real path
 * @returns what releases it
 * @throws {BookInUse} when another process has it; {BookUnusable} when this one has it already
 */
export async function lock(directory: string): Promise<() => Promise<void>> {
  if (locked.has(directory)) throw new BookUnusable(`${directory} is open in this process already`)
  locked.add(directory)
  const socket = platform() === 'linux' ? await bound(`\0daybook ${hash('sha256', directory)}`) : createServer()
  if (socket === undefined) {
    locked.delete(directory)
    throw new BookInUse(`${directory} is in use${holder(directory)}`)
  }
  return async () => {
    if (socket.listening) await new Promise((resolve) => socket.close(resolve))
    locked.delete(directory)
  }
}

/** A program that is just being started by the last holder has its sockets for a moment: so it is tried for a while. */
const [TRIES, BETWEEN_TRIES_MS] = [10, 20]

/** A socket of that name; `undefined` where somebody has it. */
async function bound(name: string): Promise<Server | undefined> {
  for (let tries = 0; tries < TRIES; tries++) {
    const socket = createServer().unref()
    try {
      socket.listen(name)
      await once(socket, 'listening')
      return socket
    } catch {
      await wait(BETWEEN_TRIES_MS)
    }
  }
  return undefined
}

/** As much as a database that is opened writes before anything else. bytes */
const PROBE_BYTES = 65_536

/** Tries whether files of this directory can be written and synced. @throws what the system says when not */
export async function proveWritable(directory: string): Promise<void> {
  const path = join(directory, 'probe')
  try {
    await writeFile(path, Buffer.alloc(PROBE_BYTES), { mode: 0o600, flush: true })
  } finally {
    await rm(path, { force: true })
  }
}

/** Says who holds the book. Whatever is there goes first: a link is not to be followed. */
export function signHolder(directory: string): void {
  rmSync(join(directory, 'lock'), { force: true })
  writeFileSync(join(directory, 'lock'), `${process.pid}\n`, { mode: 0o600, flag: 'wx' })
}
export const removeHolder = (directory: string): void => rmSync(join(directory, 'lock'), { force: true })

export function holder(directory: string): string {
  try {
    return ` by process ${readFileSync(join(directory, 'lock'), 'utf8').trim()}`
  } catch {
    return ' by another process'
  }
}
