/** The log on disk: events by `seq`, the rows they made and the vault, in one LevelDB. The one door to `level`. */
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
import { dirname, join, resolve } from 'node:path'
import { crc32 } from 'node:zlib'
import type { Level } from 'level'
import { GENESIS, type Head, hashOf } from './chain.ts'

/** A change to one key; `undefined` deletes it. */
export type Change = readonly [key: string, value: string | undefined]

/** The book is there but must not be used: it is damaged, somebody else's, or not a book. The message says which. */
export class BookUnusable extends Error {
  override name = 'BookUnusable'
}

/** Another process holds the book. */
export class BookInUse extends BookUnusable {
  override name = 'BookInUse'
}

/** The format of what is on disk. A book of another format is refused, never half-read. */
const FORMAT = '1'
const FORMAT_KEY = 'meta/format'
const VERIFIED_KEY = 'meta/verified'
export const RESTORE = 'Restore a backup; nothing was changed'
const eventKey = (seq: number): string => `log/${String(seq).padStart(16, '0')}`
/** Just past every key that begins with `prefix`. */
const after = (prefix: string): string => `${prefix}\uffff`

/**
 * Directories that this process has open. LevelDB's own lock keeps other processes out, but a second opener in the
 * same process would release it, so that one must not get as far as LevelDB.
 */
const held = new Set<string>()

export class Log {
  readonly #db: Level<string, string>
  readonly #directory: string

  private constructor(db: Level<string, string>, directory: string) {
    this.#db = db
    this.#directory = directory
  }

  /**
   * Opens the book in `directory`, or begins one if there is none.
   * @param first what a new book begins with
   * @param mustExist whether to refuse where there is none
   * @throws {BookUnusable} when another process holds it, files are missing, or the format is another one
   */
  static async open(directory: string, first: () => readonly Change[] = () => [], mustExist = false): Promise<Log> {
    const nothing = `there is no book in ${directory}: "daybook serve" begins one, or choose another DATA_DIR`
    if (mustExist && !existsSync(directory)) throw new BookUnusable(nothing)
    const real = ownDirectory(directory)
    if (held.has(real)) throw new BookUnusable(`${directory} is open in this process already`)
    held.add(real)
    let db: Level<string, string> | undefined
    try {
      const isNew = isFresh(real)
      if (isNew && mustExist) throw new BookUnusable(nothing)
      if (isNew) chmodSync(real, 0o700)
      // Loaded when it is needed: what does not touch the book starts without the database.
      const { Level } = await import('level')
      db = new Level<string, string>(join(real, 'book'), { createIfMissing: isNew, errorIfExists: isNew })
      await openDatabase(db, real)
      const log = new Log(db, real)
      await log.#begin(first)
      rmSync(join(real, 'lock'), { force: true }) // Whatever is there: a link is not to be followed.
      writeFileSync(join(real, 'lock'), `${process.pid}\n`, { mode: 0o600, flag: 'wx' })
      return log
    } catch (error) {
      await db?.close()
      held.delete(real)
      const { syscall, message } = error as NodeJS.ErrnoException
      throw syscall === undefined ? error : new BookUnusable(`${directory} cannot be a DATA_DIR: ${message}`)
    }
  }

  async #begin(first: () => readonly Change[]): Promise<void> {
    const format = await this.#db.get(FORMAT_KEY)
    if (format === FORMAT) return
    if (format !== undefined)
      throw new BookUnusable(`${this.#directory} has format ${format}; this Daybook reads format ${FORMAT}`)
    const isEmpty = (await this.#db.keys({ limit: 1 }).all()).length === 0
    if (!isEmpty || hasWitness(this.#directory))
      throw new BookUnusable(`${this.#directory} is damaged: its beginning is missing. ${RESTORE}`)
    // One synced batch right away: power lost before the first one would leave a database that cannot be opened.
    await this.write([[FORMAT_KEY, FORMAT], ...first()])
  }

  get isOpen(): boolean {
    return this.#db.status === 'open'
  }

  /** Writes all of it or none, and answers when it is on disk. One at a time: writes in flight may be reordered. */
  async write(changes: readonly Change[]): Promise<void> {
    const batch = changes.map(([key, value]) =>
      value === undefined ? ({ type: 'del', key } as const) : ({ type: 'put', key, value } as const),
    )
    await this.#db.batch(batch, { sync: true })
  }

  /** The change that records an event's line. */
  static eventChange(seq: number, line: string): Change {
    return [eventKey(seq), line]
  }

  /** The lines of events `from` to `to`, both included; newest first if `reverse`. @throws {BookUnusable} */
  async *lines({
    from = 1,
    to = Number.MAX_SAFE_INTEGER,
    reverse = false,
    limit = -1,
  }: Span = {}): AsyncGenerator<readonly [seq: number, line: string]> {
    const range = { gte: eventKey(from), lte: eventKey(to), reverse, limit }
    for await (const [key, line] of this.#entries(range)) yield [Number(key.slice(4)), line]
  }

  /** A change to a value that is kept with a checksum: the CRC-32 of key and text, eight hex digits, and the text. */
  static checkedChange(key: string, text: string | undefined): Change {
    return [key, text === undefined ? undefined : `${checksum(key, text)}${text}`]
  }

  /** Every checked value under a prefix, the prefix cut off. @throws {BookUnusable} when one is not what was written */
  async *under(prefix: string): AsyncGenerator<readonly [name: string, text: string]> {
    for await (const [key, value] of this.#entries({ gte: prefix, lt: after(prefix) })) {
      const text = value.slice(8)
      if (checksum(key, text) !== value.slice(0, 8)) throw new BookUnusable(`${key} is damaged. ${RESTORE}`)
      yield [key.slice(prefix.length), text]
    }
  }

  async *#entries(range: object): AsyncGenerator<[string, string]> {
    try {
      yield* this.#db.iterator(range)
    } catch (error) {
      const message = (error as Error).message
      if (!this.isOpen) throw new BookUnusable(`${this.#directory} is being opened again: try again shortly`)
      throw new BookUnusable(`${this.#directory} cannot be read: ${message}. ${RESTORE}`)
    }
  }

  /** Where the book ends, as the last line itself says. */
  async head(): Promise<Head> {
    for await (const [seq, line] of this.lines({ reverse: true, limit: 1 })) return { seq, hash: hashOf(line) }
    return { seq: 0, hash: GENESIS }
  }

  /** How far the chain was found to hold at an earlier start; where nothing is known, before the first event. */
  async verified(): Promise<Head> {
    const found = /^(\d+) ([0-9a-f]{64})$/.exec((await this.#db.get(VERIFIED_KEY)) ?? '')
    return found === null ? { seq: 0, hash: GENESIS } : { seq: Number(found[1]), hash: found[2]! }
  }

  static verifiedChange({ seq, hash }: Head): Change {
    return [VERIFIED_KEY, `${seq} ${hash}`]
  }

  async close(): Promise<void> {
    if (!held.has(this.#directory)) return
    rmSync(join(this.#directory, 'lock'), { force: true })
    try {
      await this.#db.close()
    } finally {
      held.delete(this.#directory)
    }
  }
}

export type Span = {
  readonly from?: number
  readonly to?: number
  readonly reverse?: boolean
  /** At most so many; -1 for all. */
  readonly limit?: number
}

/** @throws {BookUnusable} when it is no directory, or may not be made or entered */
function ownDirectory(directory: string): string {
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

const checksum = (key: string, text: string): string => crc32(`${key}\0${text}`).toString(16).padStart(8, '0')

/** Has anything ever been acknowledged here? An empty witness is one whose making was cut off. */
const hasWitness = (directory: string): boolean =>
  (statSync(join(directory, 'head'), { throwIfNoEntry: false })?.size ?? 0) > 0

/** Is there no book yet? A directory that holds anything else than hidden files must hold a whole book. */
function isFresh(directory: string): boolean {
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

async function openDatabase(db: Level<string, string>, directory: string): Promise<void> {
  try {
    await db.open()
  } catch (error) {
    const cause = (error as Error).cause as { code?: string; message?: string } | undefined
    if (cause?.code === 'LEVEL_LOCKED') throw new BookInUse(`${directory} is in use${holder(directory)}`)
    throw new BookUnusable(`${directory} cannot be opened: ${cause?.message ?? (error as Error).message}`)
  }
}

function holder(directory: string): string {
  try {
    return ` by process ${readFileSync(join(directory, 'lock'), 'utf8').trim()}`
  } catch {
    return ' by another process'
  }
}
