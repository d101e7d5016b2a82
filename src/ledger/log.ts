/** The log on disk: events by `seq`, the rows they made and the vault, in one LevelDB. The one door to `level`. */
import { join } from 'node:path'
import type { Level } from 'level'
import { GENESIS, type Head, hashOf } from './chain.ts'
import {
  BookInUse,
  BookUnusable,
  hasWitness,
  hold,
  holder,
  isHeld,
  ownDirectory,
  prepare,
  RESTORE,
  release,
  removeHolder,
  signHolder,
  unusable,
} from './directory.ts'
import { Refused } from './group.ts'
import { checksum, Tally } from './tally.ts'

/** A change to one key; `undefined` deletes it. */
export type Change = readonly [key: string, value: string | undefined]

/** What is kept with a checksum, and counted, so that none can be lost unnoticed. */
export const CHECKED = ['row/', 'vault/'] as const
export type Checked = (typeof CHECKED)[number]
/** A change to a checked value, and what stood there before; `undefined` for nothing. */
export type CheckedChange = {
  readonly under: Checked
  readonly name: string
  readonly text: string | undefined
  readonly before: string | undefined
}
type Tallies = { [C in Checked]: Tally }

/** The format of what is on disk. A book of another format is refused, never half-read. */
const FORMAT = '2'
const FORMAT_KEY = 'meta/format'
const VERIFIED_KEY = 'meta/verified'
const tallyKey = (under: Checked): string => `meta/tally/${under.slice(0, -1)}`
/** Names of secrets that were deleted and may be on the disk still. */
const PURGE = 'meta/purge/'
const DIGITS = 16
const place = (number: number): string => String(number).padStart(DIGITS, '0')
const eventKey = (seq: number): string => `log/${place(seq)}`
const blockKey = (block: number): string => `index/${place(block)}`
/** Just past every key that begins with `prefix`. */
const after = (prefix: string): string => `${prefix}\uffff`

/** How many entries are read at once. */
const CHUNK = 1000
type Entry = [key: string, value: string]
/** On Node `level` is classic-level, which can compact. */
type Database = Level<string, string> & { compactRange(start: string, end: string): Promise<void> }
type Snapshot = ReturnType<Database['snapshot']>
type Range = { gte?: string; gt?: string; lt?: string; lte?: string; reverse?: boolean; limit?: number }

export type Span = {
  readonly from?: number
  readonly to?: number
  readonly reverse?: boolean
  /** At most so many; -1 for all. */
  readonly limit?: number
}

/** What can be read of a book: as it is, or, from a snapshot, as it was at one moment. */
export class View {
  protected readonly db: Database
  protected readonly directory: string
  readonly #snapshot: Snapshot | undefined
  /** How many read at length at the moment: what they see stays on the disk. Shared with the views of snapshots. */
  protected readonly reading: { count: number }

  constructor(db: Database, directory: string, reading = { count: 0 }, snapshot?: Snapshot) {
    this.db = db
    this.directory = directory
    this.reading = reading
    this.#snapshot = snapshot
  }

  /** The lines of events `from` to `to`, both included, some at a time; newest first if `reverse`. @throws {BookUnusable} */
  async *chunks({
    from = 1,
    to = Number.MAX_SAFE_INTEGER,
    reverse = false,
    limit = -1,
  }: Span = {}): AsyncGenerator<readonly (readonly [seq: number, line: string])[]> {
    for await (const entries of this.#entries({ gte: eventKey(from), lte: eventKey(to), reverse, limit }))
      yield entries.map(([key, line]) => [Number(key.slice(4)), line] as const)
  }

  /** The same one by one. @throws {BookUnusable} */
  async *lines(span: Span = {}): AsyncGenerator<readonly [seq: number, line: string]> {
    for await (const chunk of this.chunks(span)) yield* chunk
  }

  /**
   * Every checked value under a prefix, the prefix cut off.
   * @throws {BookUnusable} when one is not what was written, or when at the end some are missing
   */
  async *values(under: Checked): AsyncGenerator<readonly [name: string, text: string]> {
    const tally = new Tally()
    for await (const entries of this.#entries({ gte: under, lt: after(under) }))
      for (const [key, value] of entries) {
        const [sum, text] = [Number.parseInt(value.slice(0, 8), 16), value.slice(8)]
        if (checksum(key, text) !== sum) throw new BookUnusable(`${key} is damaged. ${remedy[under]}`)
        tally.add(sum)
        yield [key.slice(under.length), text]
      }
    if ((await this.get(tallyKey(under))) !== String(tally))
      throw new BookUnusable(`something under ${under} is missing, or older than it should be. ${remedy[under]}`)
  }

  /** What is noted of blocks of events, in order; a note that is damaged is left out. */
  async *notes(
    fromBlock: number,
    toBlock: number,
    reverse: boolean,
  ): AsyncGenerator<readonly [block: number, note: string], void, undefined> {
    const range = { gte: blockKey(fromBlock), lte: blockKey(toBlock), reverse }
    for await (const entries of this.#entries(range))
      for (const [key, value] of entries)
        if (checksum(key, value.slice(8)) === Number.parseInt(value.slice(0, 8), 16))
          yield [Number(key.slice(-DIGITS)), value.slice(8)]
  }

  /** Where the book ends, as the last line itself says. */
  async head(): Promise<Head> {
    for await (const [seq, line] of this.lines({ reverse: true, limit: 1 })) return { seq, hash: hashOf(line) }
    return { seq: 0, hash: GENESIS }
  }

  /** How far the chain was found to hold before; where nothing is known, before the first event. */
  async verified(): Promise<Head> {
    const found = /^(\d{1,15}) ([0-9a-f]{64})$/.exec((await this.get(VERIFIED_KEY)) ?? '')
    return found === null ? { seq: 0, hash: GENESIS } : { seq: Number(found[1]), hash: found[2]! }
  }

  /** One value. @throws {BookUnusable} when it cannot be read */
  async get(key: string): Promise<string | undefined> {
    try {
      return await this.db.get(key, this.#snapshot === undefined ? {} : { snapshot: this.#snapshot })
    } catch (error) {
      throw this.#unread(error)
    }
  }

  /** What it means that something could not be read. */
  #unread(error: unknown): Error {
    return this.db.status === 'open'
      ? new BookUnusable(`${this.directory} cannot be read: ${(error as Error).message}. ${RESTORE}`)
      : new Refused('book_unavailable', 'The book is being opened again: try again shortly.')
  }

  async *#entries({ limit = -1, ...range }: Range): AsyncGenerator<Entry[]> {
    const options = this.#snapshot === undefined ? range : { ...range, snapshot: this.#snapshot }
    let left = limit < 0 ? Number.POSITIVE_INFINITY : limit
    this.reading.count++
    try {
      const iterator = this.db.iterator<string, string>(options)
      try {
        while (left > 0) {
          const entries = await iterator.nextv(Math.min(CHUNK, left))
          if (entries.length === 0) return
          left -= entries.length
          yield entries as Entry[]
        }
      } finally {
        await iterator.close()
      }
    } catch (error) {
      throw error instanceof BookUnusable ? error : this.#unread(error)
    } finally {
      this.reading.count--
    }
  }
}

const remedy: { readonly [C in Checked]: string } = {
  'row/': 'The events may be whole: "daybook rebuild" makes the rows anew from them. Nothing was changed',
  'vault/': RESTORE,
}

export class Log extends View {
  #tallies: Tallies = { 'row/': new Tally(), 'vault/': new Tally() }
  /** The write that is under way. */
  #writing: Promise<unknown> = Promise.resolve()
  #hasFailed = false

  /**
   * Opens the book in `directory`, or begins one if there is none.
   * @param first what a new book begins with
   * @param mustExist whether to refuse where there is none
   * @param toRebuild whether its rows may be hurt
   * @throws {BookUnusable} when another process holds it, files are missing, or the format is another one
   */
  static async open(
    directory: string,
    first: () => readonly CheckedChange[] = () => [],
    mustExist = false,
    toRebuild = false,
  ): Promise<Log> {
    const real = ownDirectory(directory, mustExist)
    hold(real)
    let db: Database | undefined
    try {
      const isNew = prepare(real, mustExist)
      // Loaded when it is needed: what does not touch the book starts without the database.
      const { Level } = await import('level')
      db = new Level(join(real, 'book'), { createIfMissing: isNew, errorIfExists: isNew }) as Database
      await openDatabase(db, real)
      const log = new Log(db, real)
      await log.#begin(first, toRebuild)
      signHolder(real)
      return log
    } catch (error) {
      await db?.close()
      release(real)
      throw unusable(directory, error)
    }
  }

  async #begin(first: () => readonly CheckedChange[], toRebuild: boolean): Promise<void> {
    const format = await this.get(FORMAT_KEY)
    if (format === FORMAT) {
      for (const under of CHECKED)
        if (under !== 'row/' || !toRebuild) this.#tallies[under] = await this.#readTally(under)
      return
    }
    if (format !== undefined) throw new BookUnusable(otherFormat(this.directory, format))
    const isEmpty = (await this.db.keys({ limit: 1 }).all()).length === 0
    if (!isEmpty || hasWitness(this.directory))
      throw new BookUnusable(`${this.directory} is damaged: its beginning is missing. ${RESTORE}`)
    // One synced batch right away: power lost before the first one would leave a database that cannot be opened.
    await this.write([[FORMAT_KEY, FORMAT], ...CHECKED.map((under): Change => [tallyKey(under), '0 0'])], first())
  }

  async #readTally(under: Checked): Promise<Tally> {
    const tally = Tally.parse((await this.get(tallyKey(under))) ?? '')
    if (tally === undefined) throw new BookUnusable(`${tallyKey(under)} is damaged. ${remedy[under]}`)
    return tally
  }

  get isOpen(): boolean {
    return this.db.status === 'open'
  }

  /**
   * Writes all of it or none, and answers when it is on disk. One at a time: writes in flight may be reordered. After
   * one that failed there is no other through this handle: LevelDB may lose what it then calls synced.
   */
  write(changes: readonly Change[], checked: readonly CheckedChange[] = []): Promise<void> {
    const turn = this.#writing.then(() => this.#write(changes, checked))
    this.#writing = turn.catch(() => {
      this.#hasFailed = true
    })
    return turn
  }

  async #write(changes: readonly Change[], checked: readonly CheckedChange[]): Promise<void> {
    if (this.#hasFailed) throw new BookUnusable('an earlier write has failed')
    const tallies = { ...this.#tallies }
    for (const under of new Set(checked.map((change) => change.under))) tallies[under] = tallies[under].clone()
    const kept = checked.map((change) => count(change, tallies[change.under]))
    const tallied = CHECKED.filter((under) => tallies[under] !== this.#tallies[under]).map(
      (under): Change => [tallyKey(under), String(tallies[under])],
    )
    const batch = [...changes, ...kept, ...tallied].map(([key, value]) =>
      value === undefined ? ({ type: 'del', key } as const) : ({ type: 'put', key, value } as const),
    )
    await this.db.batch(batch, { sync: true })
    this.#tallies = tallies
  }

  /** The change that records an event's line. */
  static eventChange(seq: number, line: string): Change {
    return [eventKey(seq), line]
  }

  /** The change that keeps a note of a block of events, behind a checksum. */
  static noteChange(block: number, note: string): Change {
    return [blockKey(block), `${hex(checksum(blockKey(block), note))}${note}`]
  }

  static verifiedChange({ seq, hash }: Head): Change {
    return [VERIFIED_KEY, `${seq} ${hash}`]
  }

  /** What is there now, whatever is written meanwhile; to be closed. */
  snapshot(): { readonly view: View; readonly close: () => Promise<void> } {
    const snapshot = this.db.snapshot()
    this.reading.count++
    const close = async (): Promise<void> => {
      this.reading.count--
      await snapshot.close()
    }
    return { view: new View(this.db, this.directory, this.reading, snapshot), close }
  }

  /**
   * Puts these rows in the place of all there are. Until it is done the book does not open, so that nobody takes some of
   * them for all.
   * @param rows name and text of each
   */
  async replaceRows(rows: Iterable<readonly [name: string, text: string]>): Promise<void> {
    await this.write([[tallyKey('row/'), 'being rebuilt']])
    for await (const keys of this.#rowKeys()) await this.write(keys.map((key) => [key, undefined]))
    this.#tallies['row/'] = new Tally()
    const some: CheckedChange[] = []
    for (const [name, text] of rows) {
      some.push({ under: 'row/', name, text, before: undefined })
      if (some.length === CHUNK) await this.#writeUntallied(some.splice(0))
    }
    await this.#writeUntallied(some)
    await this.write([[tallyKey('row/'), String(this.#tallies['row/'])]])
  }

  async #writeUntallied(rows: readonly CheckedChange[]): Promise<void> {
    await this.write(rows.map((change) => count(change, this.#tallies['row/'])))
  }

  async *#rowKeys(): AsyncGenerator<string[]> {
    const keys = this.db.keys({ gte: 'row/', lt: after('row/') })
    for (;;) {
      const some = await keys.nextv(CHUNK)
      if (some.length === 0) break
      yield some
    }
    await keys.close()
  }

  /** Notes, with the deletion of a secret, that its bytes have to go off the disk. */
  static toPurge(name: string): Change {
    return [`${PURGE}${name}`, '']
  }

  /**
   * Takes secrets that were deleted off the disk, too: LevelDB keeps them until they are compacted, and as long as
   * somebody reads. A file that holds a value and its deletion is rewritten only when a later deletion is merged into
   * it, so each is deleted once more.
   * @returns whether that is done
   */
  async purge(): Promise<boolean> {
    const notes = await this.db.keys({ gte: PURGE, lt: after(PURGE) }).all()
    if (notes.length === 0) return true
    if (this.reading.count > 0) return false
    for (let round = 0; round < 3; round++) {
      await this.write(notes.map((note) => [`vault/${note.slice(PURGE.length)}`, undefined]))
      await this.db.compactRange('vault/', after('vault/'))
    }
    if (this.reading.count > 0) return false
    await this.write(notes.map((note) => [note, undefined]))
    return true
  }

  /** @param isForAWhile whether it will be opened again: then the book still has its holder */
  async close(isForAWhile = false): Promise<void> {
    if (!isHeld(this.directory)) return
    if (!isForAWhile) removeHolder(this.directory)
    try {
      await this.db.close()
    } finally {
      release(this.directory)
    }
  }
}

const hex = (sum: number): string => sum.toString(16).padStart(8, '0')

/** Takes a change into the tally; gives the change to the database. */
function count({ under, name, text, before }: CheckedChange, tally: Tally): Change {
  const key = `${under}${name}`
  if (before !== undefined) tally.remove(checksum(key, before))
  if (text === undefined) return [key, undefined]
  const sum = checksum(key, text)
  tally.add(sum)
  return [key, `${hex(sum)}${text}`]
}

const otherFormat = (directory: string, format: string): string =>
  Number(format) > Number(FORMAT)
    ? `${directory} has format ${format}, of a newer Daybook: this one reads format ${FORMAT}. Nothing was changed`
    : `${directory} has format ${format}; this Daybook reads format ${FORMAT}. Nothing was changed`

async function openDatabase(db: Database, directory: string): Promise<void> {
  try {
    await db.open()
  } catch (error) {
    const cause = (error as Error).cause as { code?: string; message?: string } | undefined
    if (cause?.code === 'LEVEL_LOCKED') throw new BookInUse(`${directory} is in use${holder(directory)}`)
    const remedy = cause?.code === 'LEVEL_CORRUPTION' ? `. ${RESTORE}` : ''
    throw new BookUnusable(`${directory} cannot be opened: ${cause?.message ?? (error as Error).message}${remedy}`)
  }
}
