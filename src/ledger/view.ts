/** Reading the book on disk: events, checked values, notes; as it is, or as it was at one moment. */
import { GENESIS, type Head, hashOf } from './chain.ts'
import type { Database, Snapshot } from './database.ts'
import { BookUnreadable, BookUnusable, RESTORE } from './directory.ts'
import { Refused } from './refused.ts'
import { checksum, Tally } from './tally.ts'

/** What is kept with a checksum, and counted, so that none can be lost unnoticed. */
export const CHECKED = ['row/', 'vault/'] as const
export type Checked = (typeof CHECKED)[number]
export const VERIFIED_KEY = 'meta/verified'
export const tallyKey = (under: Checked): string => `meta/tally/${under.slice(0, -1)}`
const DIGITS = 16
const place = (number: number): string => String(number).padStart(DIGITS, '0')
export const eventKey = (seq: number): string => `log/${place(seq)}`
export const blockKey = (block: number): string => `index/${place(block)}`
/** Just past every key that begins with `prefix`. */
export const after = (prefix: string): string => `${prefix}\uffff`

/** How many entries are read at once. */
export const CHUNK = 1000
type Entry = [key: string, value: string]
type Range = { gte?: string; gt?: string; lt?: string; lte?: string; reverse?: boolean; limit?: number }

export type Span = {
  readonly from?: number
  readonly to?: number
  readonly reverse?: boolean
  /** At most so many; -1 for all. */
  readonly limit?: number
}

/** How many read at length at the moment, and how many have begun to. */
type Reading = { count: number; begun: number }

/** What can be read of a book: as it is, or, from a snapshot, as it was at one moment. */
export class View {
  protected readonly db: Database
  protected readonly directory: string
  readonly #snapshot: Snapshot | undefined
  /** Who reads at length: what they see stays on the disk. Shared with the views of snapshots. */
  protected readonly reading: Reading

  constructor(db: Database, directory: string, reading: Reading = { count: 0, begun: 0 }, snapshot?: Snapshot) {
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

  /** How far the chain was found to hold before; where nothing is known, or the note is damaged, before the first event. */
  async verified(): Promise<Head> {
    const found = /^([0-9a-f]{8})((\d{1,15}) ([0-9a-f]{64}))$/.exec((await this.get(VERIFIED_KEY)) ?? '')
    const holds = found !== null && checksum(VERIFIED_KEY, found[2]!) === Number.parseInt(found[1]!, 16)
    return !holds ? { seq: 0, hash: GENESIS } : { seq: Number(found[3]), hash: found[4]! }
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
    if (this.db.status !== 'open')
      return new Refused('book_unavailable', 'The book is being opened again: try again shortly.')
    const { code, message } = error as NodeJS.ErrnoException
    return code === 'LEVEL_CORRUPTION'
      ? new BookUnusable(`${this.directory} cannot be read: ${message}. ${RESTORE}`)
      : new BookUnreadable(`${this.directory} cannot be read: ${message}`)
  }

  async *#entries({ limit = -1, ...range }: Range): AsyncGenerator<Entry[]> {
    const options = this.#snapshot === undefined ? range : { ...range, snapshot: this.#snapshot }
    let left = limit < 0 ? Number.POSITIVE_INFINITY : limit
    this.reading.count++
    this.reading.begun++
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

export const remedy: { readonly [C in Checked]: string } = {
  'row/': 'The events may be whole: "daybook rebuild" makes the rows anew from them. Nothing was changed',
  'vault/': RESTORE,
}
