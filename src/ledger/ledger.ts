/** The ledger: state and `transact()`. Decides, seals, writes, and answers only what is on disk. */
import { dropExpired, type Event, evolve, type State } from '../domain/domain.ts'
import { type Decision, type Fact, type Recorded, refuse } from '../domain/shape.ts'
import { type Book, type LedgerOptions, openBook, type Status } from './book.ts'
import type { Head } from './chain.ts'
import { bookDirectory, clearRestored, proveWritable } from './directory.ts'
import { Group, News } from './group.ts'
import {
  blockOf,
  blocks,
  broken,
  type Fault,
  type Find,
  type Found,
  find,
  readEvents,
  toEvent,
  verifyAll,
} from './history.ts'
import { lock } from './lock.ts'
import { type Change, Log } from './log.ts'
import type { Proved } from './proof.ts'
import { type Caller, recordLine, type Written } from './record.ts'
import { Refused } from './refused.ts'
import { Scrub } from './scrub.ts'
import { beginBatch, endBatch, rollBack } from './tables.ts'
import type { Vault } from './vault.ts'
import type { Span, View } from './view.ts'

export type { Caller, LedgerOptions, Status }
export { Refused }

const CLOSING: Status = { writable: false, reason: 'it is being closed' }
type Keep = readonly [name: string, value: string | undefined]

const RETRY_MS = 1000
const SYSTEM: Caller = { actor: { kind: 'system', id: 'daybook' }, via: {}, holds: () => undefined }

export class Ledger {
  readonly #options: LedgerOptions
  readonly #unlock: () => Promise<void>
  #book: Book
  #status: Status = { writable: true }
  #gathering: Group | undefined
  #writing: Group | undefined
  #writer: Promise<void> | undefined
  #recovery: Promise<void> | undefined
  /** More is on disk, or nothing will be any more. */
  readonly #news = new News()
  #closed = false
  #isAnnounced = false
  /** What the scrub has found. */
  #fault: { readonly fault: Fault; readonly before: Head } | undefined

  /** Reads the book back in the background, once it is run. */
  readonly scrub: Scrub

  private constructor(options: LedgerOptions, book: Book, unlock: () => Promise<void>) {
    this.#options = options
    this.#unlock = unlock
    this.#book = book
    this.scrub = new Scrub({
      book: () => this.#book,
      now: () => this.now(),
      keep: (changes) => this.#keep(changes),
      onFault: (fault, before) => this.#onFault(fault, before),
    })
  }

  /**
   * Opens the book, or begins one. Costs what is alive, not what has happened.
   * @param mustExist whether to refuse where there is no book, instead of beginning one
   * @throws {BookUnusable} with a message that says what is wrong and what to do
   */
  static async open(options: LedgerOptions, { mustExist = false } = {}): Promise<Ledger> {
    const unlock = await lock(bookDirectory(options.directory, mustExist))
    let ledger: Ledger | undefined
    try {
      ledger = new Ledger(options, await openBook(options.directory, mustExist), unlock)
      clearRestored(options.directory)
      if (ledger.head.seq === 0) await ledger.announce()
      return ledger
    } catch (error) {
      await (ledger?.close() ?? unlock())
      throw error
    }
  }

  /** Records that the book was opened, once: a new book begins with that, and a server says so when it serves. */
  async announce(): Promise<void> {
    if (this.#isAnnounced) return
    this.#isAnnounced = true
    const data = { version: this.#options.version }
    await this.transact(SYSTEM, () => ({ facts: [{ type: 'BookOpened', data }], result: undefined }))
  }

  /** ms since 1970. */
  now(): number {
    return this.#options.clock()
  }

  /** Where the book ends on disk. */
  get head(): Head {
    return this.#book.durable
  }

  get status(): Status {
    return this.#closed ? CLOSING : this.#status
  }

  /** A value of the vault. */
  secret(name: string): string | undefined {
    return this.#book.vault.get(name)
  }

  /**
   * Asks whether the caller still may act, runs `decide` against the current state, records its events, and answers when
   * they, and everything it read, are on disk. All of that is one turn of the event loop: between check and consumption
   * there is no gap.
   * @param admit sees the events before they are recorded, and may refuse them
   * @throws {Refused} with the caller's or the decision's reason; with `book_unavailable` when the book cannot be written
   */
  async transact<T>(
    caller: Caller,
    decide: (state: State, now: number) => Decision<Event, T>,
    admit: (facts: readonly Fact[]) => Refused | undefined = () => undefined,
  ): Promise<T> {
    if (!this.status.writable) throw new Refused('book_unavailable')
    const { state, sight } = this.#book
    sight.met = 0
    const now = this.now()
    const ended = caller.holds(state, now)
    const decision: Decision<Event, T> = ended === undefined ? decide(state, now) : refuse(ended)
    const notAdmitted = decision.refusal === undefined ? admit(decision.facts) : undefined
    if (notAdmitted !== undefined) return this.#durable(sight.met).then(() => Promise.reject(notAdmitted))
    const keeps = decision.refusal === undefined ? Object.entries(decision.keeps ?? {}) : []
    const isChange = decision.facts.length > 0 || keeps.length > 0
    if (isChange) this.#record(caller, decision.facts, keeps, now)
    await this.#durable(isChange ? 2 : sight.met)
    if (decision.refusal !== undefined) throw new Refused(decision.refusal)
    return decision.result
  }

  /** Looks at what holds now, and answers when everything that was met is on disk. */
  async read<T>(look: (state: State, now: number) => T): Promise<T> {
    const { state, sight } = this.#book
    sight.met = 0
    const seen = look(state, this.now())
    if (sight.met > 0) await this.#durable(sight.met)
    return seen
  }

  /** As `read`, in the name of a caller. @throws {Refused} with their reason when they may not act any more */
  async ask<T>(caller: Pick<Caller, 'holds'>, look: (state: State, now: number) => T): Promise<T> {
    const seen = await this.read((state, now) => {
      const ended = caller.holds(state, now)
      return ended === undefined ? { found: look(state, now) } : { ended }
    })
    if ('ended' in seen) throw new Refused(seen.ended)
    return seen.found
  }

  /** Lets go of what has expired, some rows at a time, so that nobody waits for all of them. */
  async sweep(): Promise<void> {
    while (this.status.writable) if (!(await this.transact(SYSTEM, dropExpired))) return
  }

  /** Events as the book has them on disk. @throws {BookUnusable} that names the first one that is not what was written */
  async *events(span: Span = {}): AsyncGenerator<Recorded<Event>> {
    const { log, vault } = this.#book
    for await (const { event } of readEvents(log, vault, span)) yield event
  }

  /** Looks at what holds now, without waiting: for names in events that are on disk already, as what they name is. */
  peek<T>(look: (state: State) => T): T {
    return look(this.#book.state)
  }

  /** The events that a search is for, among those that are on disk. @throws {BookUnusable} as `events` */
  find(of: Omit<Find, 'from' | 'to'> & Partial<Pick<Find, 'from' | 'to'>>): AsyncGenerator<Found> {
    const { log, vault, durable } = this.#book
    return find(log, vault, { from: 1, ...of, to: Math.min(of.to ?? durable.seq, durable.seq) })
  }

  /** Lines of the book as they are on disk, some at a time. */
  chunks(span: Span = {}): ReturnType<View['chunks']> {
    const { log, durable } = this.#book
    return log.chunks({ ...span, to: Math.min(span.to ?? durable.seq, durable.seq) })
  }

  /** Every block of events up to the head, oldest first, with what is noted of it. */
  blocks(): ReturnType<typeof blocks> {
    const { log, durable } = this.#book
    return blocks(log, 0, blockOf(durable.seq), false)
  }

  get isOpen(): boolean {
    return !this.#closed
  }

  /** Waits until there is more on disk than `seq`, or `signal` says to stop, or the book is closed; at most so many ms. */
  waitBeyond(seq: number, signal: AbortSignal, ms: number): Promise<void> {
    return this.#news.wait(() => this.head.seq > seq || this.#closed, signal, ms)
  }

  /** What can be read of the book at this moment, and what opens its sealed text; to be closed. */
  snapshot(): ReturnType<Log['snapshot']> & { readonly vault: Vault } {
    const { log, vault } = this.#book
    return { ...log.snapshot(), vault }
  }

  /**
   * Walks the chain from event 1 to the head.
   * @param about the event whose hash to tell
   * @param onProgress told how far it has got
   * @returns the head it reached, or the first event that does not hold and why
   */
  verify(about?: number, onProgress: (seq: number) => void = () => {}): Promise<Proved | Fault> {
    return verifyAll(this.#book.log, this.#book.durable, about, onProgress)
  }

  /**
   * Takes keys that were erased off the disk: until then they could be found there.
   * @returns whether none is left; while somebody reads the book at length, some are
   */
  async purge(): Promise<boolean> {
    if (!this.status.writable) return false
    const { log } = this.#book
    try {
      return await this.scrub.aside(() => log.purge())
    } catch (error) {
      if (log.hasFailed && log === this.#book.log && this.status.writable) this.#fail(error as Error)
      throw error
    }
  }

  /** Finishes what is being written and lets go of the book. */
  async close(): Promise<void> {
    this.#closed = true
    this.#news.tell()
    await this.#writer
    await this.#recovery
    try {
      this.#book.witness.close()
      await this.#book.log.close()
    } finally {
      await this.#unlock()
    }
  }

  /**
   * Seals everything first: a fact that cannot be sealed fails whoever asked for it and nobody else. New secrets are
   * kept before that, since a new user's facts are sealed under their key, and old ones deleted after it.
   */
  #record(by: Caller, facts: readonly Fact[], keeps: readonly Keep[], now: number): void {
    const { vault } = this.#book
    const before = keeps.map(([name]): Keep => [name, vault.get(name)])
    const undo = (): void => {
      for (const [name, value] of before) vault.put(name, value)
    }
    const sealed: Written[] = []
    try {
      for (const [name, value] of keeps) if (value !== undefined) vault.put(name, value)
      for (const fact of facts) sealed.push(recordLine(vault, by, fact, now, sealed.at(-1)?.tip ?? this.#book.tip))
    } catch (error) {
      undo()
      throw error
    }
    this.#gather((group) => {
      group.undo.push(undo)
      for (const { line, tip } of sealed) {
        // What changes the rows is what was recorded, read back: replaying the book cannot come out differently.
        evolve(this.#book.state, toEvent(line, vault))
        this.#book.tip = tip
        group.changes.push(Log.eventChange(tip.seq, line))
      }
      for (const [i, [name, value]] of keeps.entries())
        group.checked.push({ ...vault.keep(name, value), before: before[i]![1] })
      for (const [name, value] of keeps) if (value === undefined) group.changes.push(Log.toPurge(name))
    })
  }

  /** The first write error is final for this handle: nothing more is written through it, and memory is as the disk. */
  #fail(error: Error): void {
    const waiting = [this.#gathering, this.#writing]
    this.#writing = this.#gathering = undefined
    // The keys first: by what they open, rows are found.
    for (const group of waiting) for (const undo of group?.undo.reverse() ?? []) undo()
    rollBack(this.#book.state)
    this.#book.tip = this.#book.durable
    // What failed first says why; the rest failed for that.
    if (this.#recovery === undefined) this.#setStatus({ writable: false, reason: error.message })
    this.#recovery ??= this.#recover()
    for (const group of waiting) group?.fail()
  }

  #setStatus(status: Status): void {
    // An outage is told once, not once a second.
    const isNews = JSON.stringify(status) !== JSON.stringify(this.#status)
    this.#status = status
    if (isNews) this.#options.onStatus?.(status)
  }

  /**
   * Reopens the book until a write succeeds. Meanwhile reads answer from memory, which is as the disk was; and as long
   * as the disk takes nothing at all, what is open stays so, for those who look into the book.
   */
  async #recover(): Promise<void> {
    await this.#writer
    while (!this.#closed) {
      try {
        await proveWritable(this.#options.directory)
        this.#book.witness.close()
        await this.#book.log.close(true)
        this.#book = await openBook(this.#options.directory, true)
        await this.#book.log.write([['meta/probe', String(this.now())]])
        if (this.#fault !== undefined)
          await this.#book.log.write([Log.verifiedChange(this.#lowered(this.#fault.before))])
        this.#recovery = undefined
        this.#setStatus(
          this.#fault === undefined
            ? { writable: true }
            : { writable: false, reason: broken(this.#fault.fault).message },
        )
        this.#news.tell()
        return
      } catch (error) {
        this.#setStatus({ writable: false, reason: (error as Error).message })
        await new Promise((resolve) => setTimeout(resolve, RETRY_MS))
      }
    }
  }

  /** What the scrub notes goes with the next batch. */
  async #keep(changes: readonly Change[]): Promise<void> {
    if (!this.status.writable) throw new Refused('book_unavailable')
    this.#gather((group) => group.changes.push(...changes))
    await this.#durable(2)
  }

  /**
   * An event that was acknowledged is not what was written. What is on its way is finished, nothing more is taken, and
   * no recovery changes that; the next start begins to verify before that event, so that it is refused.
   */
  async #onFault(fault: Fault, before: Head): Promise<void> {
    this.#fault = { fault, before }
    const isKept = this.#keep([Log.verifiedChange(this.#lowered(before))])
    this.#setStatus({ writable: false, reason: broken(fault).message })
    await isKept.catch(() => {}) // Where it cannot be written now, recovery writes it.
  }

  #lowered = (before: Head): Head => (before.seq < this.#book.verified.seq ? before : this.#book.verified)

  /** Adds to the group that is gathering. If that breaks half-way, memory is no longer what the book says: reload. */
  #gather(add: (group: Group) => void): void {
    this.#gathering ??= new Group()
    try {
      add(this.#gathering)
    } catch (error) {
      this.#fail(error as Error)
      throw error
    }
    this.#writer ??= this.#write()
  }

  async #durable(met: 0 | 1 | 2): Promise<void> {
    if (met === 2) await this.#gathering?.durable
    else if (met === 1) await this.#writing?.durable
  }

  /** One writer, one batch at a time; what arrives meanwhile shares the next one. */
  async #write(): Promise<void> {
    await Promise.resolve()
    while (this.#gathering !== undefined) {
      const book = this.#book
      const { tip } = book
      const group = this.#gathering
      this.#writing = group
      this.#gathering = undefined
      try {
        const checked = [...group.checked, ...beginBatch(book.state)]
        if (group.changes.length + checked.length > 0) await book.log.write(group.changes, checked)
        if (this.#writing !== group) break // Something else failed meanwhile: these were told so already.
        endBatch(book.state)
        book.durable = tip
        book.witness.write(tip)
        this.#news.tell()
      } catch (error) {
        this.#fail(error as Error)
        break
      }
      this.#writing = undefined
      group.succeed()
    }
    this.#writer = undefined
  }
}
