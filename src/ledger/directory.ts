/** The data directory: who may have one, what makes it a book's, and what is left behind in it. */

import {
  accessSync,
  chmodSync,
  constants,
  existsSync,
  lstatSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  realpathSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs'
import { rm, writeFile } from 'node:fs/promises'
import { dirname, join, resolve } from 'node:path'

/** The book is there but must not be used: it is damaged, somebody else's, or not a book. The message says which. */
export class BookUnusable extends Error {
  override name = 'BookUnusable'
}

/** The book is there, and what was asked of it cannot be read just now, for a reason that may pass. */
export class BookUnreadable extends BookUnusable {
  override name = 'BookUnreadable'
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

/**
 * The real path of a directory for a book, or for one to come. Where nobody has had a lock yet, what lies there is
 * looked at first, so that nothing foreign is changed.
 * @throws {BookUnusable} as `ownDirectory` and `prepare` do
 */
export function bookDirectory(directory: string, mustExist: boolean): string {
  const real = ownDirectory(directory, mustExist)
  if (!isOurLock(join(real, LOCK))) prepare(real, mustExist)
  return real
}

const noBook = (directory: string): BookUnusable =>
  new BookUnusable(`there is no book in ${directory}: "daybook serve" begins one, or choose another DATA_DIR`)

/**
 * Is a book to be begun here?
 * @throws {BookUnusable} where something else lies, where files are missing, or where a book has to be and is not
 */
export function prepare(directory: string, mustExist: boolean): boolean {
  const isNew = isFresh(directory)
  if (isNew && mustExist) throw noBook(directory)
  return isNew
}

/**
 * From now on only its owner may look in: what lies there opens everything. Where that is not for us to say, as in a
 * volume that is somebody else's, a group may.
 * @throws {BookUnusable} where everybody may look in, and that cannot be changed
 */
export function keepToOwner(directory: string): void {
  const { mode } = statSync(directory)
  if ((mode & 0o077) === 0) return
  try {
    chmodSync(directory, 0o700)
  } catch (error) {
    if ((mode & 0o007) !== 0)
      throw new BookUnusable(
        `${directory} is open to everybody, and that cannot be changed: ${(error as Error).message}`,
      )
  }
}

/** Has anything ever been acknowledged here? An empty witness is one whose making was cut off. */
export const hasWitness = (directory: string): boolean =>
  (statSync(join(directory, 'head'), { throwIfNoEntry: false })?.size ?? 0) > 0

/** Where our lock lies, and where a restore makes the book before it is put in its place. */
export const LOCK = '.lock'
export const RESTORING = '.restoring'

/** What Daybook puts into a directory, beside hidden files; and what LevelDB puts into one before there is any data. */
const OURS = ['book', 'head', 'lock', 'probe', 'daybook.sock']
const EMPTY_BOOK = /^(LOCK|LOG(\.old)?|MANIFEST-\d+|\d+\.dbtmp)$/

/** What LevelDB puts into a folder. */
export const LEVELDB = /^(LOCK|LOG(\.old)?|CURRENT|MANIFEST-\d+|\d+\.(log|ldb|sst|dbtmp))$/

const isOurLock = (path: string): boolean =>
  statSync(path, { throwIfNoEntry: false })?.isDirectory() === true &&
  readdirSync(path).every((name) => LEVELDB.test(name))

/** A restore was cut off: something of it may be in its place, but not the book, which comes last. */
export const isCutOff = (directory: string): boolean =>
  existsSync(join(directory, RESTORING)) && lstatSync(join(directory, 'book'), { throwIfNoEntry: false }) === undefined

/** A book is in its place: what a restore that was cut off at its very end has left is not needed. */
export const clearRestored = (directory: string): void =>
  rmSync(join(directory, RESTORING), { recursive: true, force: true })

/**
 * Is there no book yet? A directory that holds anything else than hidden files must hold a whole book.
 * @throws {BookUnusable} where something else lies, where files are missing, or where a restore was cut off
 */
export function isFresh(directory: string): boolean {
  if (existsSync(join(directory, 'book', 'CURRENT'))) return false
  if (isCutOff(directory)) throw new BookUnusable(`a restore into ${directory} was cut off: run it again`)
  const names = readdirSync(directory).filter((name) => !name.startsWith('.'))
  if (names.length === 0) return true
  const files = names.includes('book') ? readdirSync(join(directory, 'book')) : []
  const isData = files.some((name) => /\.(ldb|sst|log)$/.test(name))
  if (hasWitness(directory) || isData)
    throw new BookUnusable(`${directory} is damaged: book/CURRENT is missing. ${RESTORE}`)
  const foreign = names.find((name) => !OURS.includes(name)) ?? files.find((name) => !EMPTY_BOOK.test(name))
  if (foreign !== undefined || (!names.includes('book') && !names.includes('head')))
    throw new BookUnusable(
      `${directory} is not empty and holds no book: choose another DATA_DIR (found ${foreign ?? names[0]})`,
    )
  // A first start that was cut off has acknowledged nothing and holds no data: it may begin again.
  return true
}

/** May a backup be restored here? Where there is no book yet, or where an earlier restore was cut off. */
export function isFreeToRestore(directory: string): boolean {
  if (isCutOff(directory)) return true
  try {
    return isFresh(directory)
  } catch (error) {
    if (error instanceof BookUnusable) return false
    throw error
  }
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
