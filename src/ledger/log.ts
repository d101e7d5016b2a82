/** The log on disk: events by `seq`, the rows they made and the vault, in one LevelDB; what is written, and how. */

import { randomUUID } from 'node:crypto'
import { join } from 'node:path'
import type { Head } from './chain.ts'
import { type Database, NotOpened, openDatabase } from './database.ts'
import {
  BookInUse,
  BookUnusable,
  hasWitness,
  hold,
  holder,
  isHeld,
  keepToOwner,
  ownDirectory,
  prepare,
  RESTORE,
  release,
  removeHolder,
  signHolder,
  unusable,
} from './directory.ts'
import { Refused } from './refused.ts'
import { checksum, Tally } from './tally.ts'
import {
  after,
  blockKey,
  CHECKED,
  CHUNK,
  type Checked,
  eventKey,
  remedy,
  tallyKey,
  VERIFIED_KEY,
  View,
} from './view.ts'

/** A change to one key; `undefined` deletes it. */
export type Change = readonly [key: string, value: string | undefined]

/** A change to a checked value, and what stood there before; `undefined` for nothing. */
export type CheckedChange = {
  readonly under: Checked
  readonly name: string
  readonly text: string | undefined
  readonly before: string | undefined
}
type Tallies = { [C in Checked]: Tally }

/** The format of what is on disk. A book of another format is refused, never half-read. */
const FORMAT = '4'
const FORMAT_KEY = 'meta/format'
/** Names of secrets that were deleted and may be on the disk still. */
const PURGE = 'meta/purge/'
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
      keepToOwner(real)
      db = await openDatabase(join(real, 'book'), { createIfMissing: isNew, errorIfExists: isNew })
      const log = new Log(db, real)
      await log.#begin(first, toRebuild)
      signHolder(real)
      return log
    } catch (error) {
      await db?.close()
      release(real)
      throw error instanceof NotOpened ? notOpened(real, error) : unusable(directory, error)
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

  /** A write has failed: there is no other through this handle. */
  get hasFailed(): boolean {
    return this.#hasFailed
  }

  get isOpen(): boolean {
    return this.db.status === 'open'
  }

  /**
   * Writes all of it or none, and answers when it is on disk. One at a time: writes in flight may be reordered. After
   * one that failed there is no other through this handle: LevelDB may lose what it then calls synced.
   */
  write(changes: readonly Change[], checked: readonly CheckedChange[] = []): Promise<void> {
    return this.#inTurn(() => this.#write(changes, checked))
  }

  #inTurn<T>(work: () => Promise<T>): Promise<T> {
    const turn = this.#writing.then(work)
    this.#writing = turn.catch(() => {})
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
    try {
      await this.db.batch(batch, { sync: true })
    } catch (error) {
      this.#hasFailed = true
      throw error
    }
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
    return [VERIFIED_KEY, `${hex(checksum(VERIFIED_KEY, `${seq} ${hash}`))}${seq} ${hash}`]
  }

  /** What is there now, whatever is written meanwhile; to be closed. */
  snapshot(): { readonly view: View; readonly close: () => Promise<void> } {
    if (!this.isOpen) throw new Refused('book_unavailable', 'The book is being opened again: try again shortly.')
    const snapshot = this.db.snapshot()
    this.reading.count++
    this.reading.begun++
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
    return [`${PURGE}${name}`, randomUUID()]
  }

  /**
   * Takes secrets that were deleted off the disk, too: LevelDB keeps them until they are compacted, and as long as
   * somebody reads. A file that holds a value and its deletion is rewritten only when a later deletion is merged into
   * it, so each is deleted once more.
   * @returns whether that is done; not while somebody else reads at length
   */
  async purge(): Promise<boolean> {
    for (let round = 1; this.reading.count === 0; round++) {
      const { begun } = this.reading
      // In turn with writes, so that no secret comes between looking and deleting.
      const notes = await this.#inTurn(() => this.#deleteNoted())
      if (notes.length === 0) return true
      await this.db.compactRange('vault/', after('vault/'))
      if (round < 3) continue
      if (this.reading.begun > begun) return false
      await this.#inTurn(() => this.#forget(notes))
      return true
    }
    return false
  }

  #notes = (): Promise<[string, string][]> => this.db.iterator({ gte: PURGE, lt: after(PURGE) }).all()

  /** Deletes once more what is noted; where a name has a new secret by now, that is written once more. */
  async #deleteNoted(): Promise<[string, string][]> {
    const notes = await this.#notes()
    const changes: Change[] = []
    for (const [note] of notes) {
      const key = `vault/${note.slice(PURGE.length)}`
      changes.push([key, await this.get(key)])
    }
    if (changes.length > 0) await this.#write(changes, [])
    return notes
  }

  /** A note that was made anew meanwhile stays. */
  async #forget(purged: readonly [string, string][]): Promise<void> {
    const now = new Map(await this.#notes())
    const done = purged.filter(([note, value]) => now.get(note) === value)
    await this.#write(
      done.map(([note]) => [note, undefined]),
      [],
    )
  }

  /** @param isForAWhile whether it will be opened again: then the book still has its holder */
  async close(isForAWhile = false): Promise<void> {
    if (!isHeld(this.directory)) return
    try {
      await this.db.close()
    } finally {
      release(this.directory)
      if (!isForAWhile) removeHolder(this.directory)
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

function notOpened(directory: string, error: NotOpened): BookUnusable {
  if (error.isLocked) return new BookInUse(`${directory} is in use${holder(directory)}`)
  const remedy = error.code === 'LEVEL_CORRUPTION' ? `. ${RESTORE}` : ''
  return new BookUnusable(`${directory} cannot be opened: ${error.message}${remedy}`)
}
