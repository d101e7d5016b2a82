/** The scrub: reads the book back in the background, from its first event to its last, and notes what each block holds. */
import { setTimeout as wait } from 'node:timers/promises'
import { summarize } from '../domain/search.ts'
import type { Book } from './book.ts'
import { GENESIS, type Head } from './chain.ts'
import { BookUnreadable, BookUnusable } from './directory.ts'
import { BLOCK, blockOf, type Fault, lastOf, toEvent, walk } from './history.ts'
import { type Change, Log } from './log.ts'
import type { Span } from './view.ts'

/** What the scrub needs of the ledger. */
type Ledger = {
  readonly book: () => Book
  readonly now: () => number
  /** Writes notes with the next batch. Refuses while nothing can be written. */
  readonly keep: (changes: readonly Change[]) => Promise<void>
  /** An event does not hold. `before` is the last one that does. */
  readonly onFault: (fault: Fault, before: Head) => Promise<void>
}

export type ScrubStatus = {
  /** Up to which event the chain is known to hold without a gap, whatever was read first. */
  readonly verified: number
  /** Where the pass over the whole book is that is under way; `undefined` between two. */
  readonly at: number | undefined
  /** When the last pass over the whole book ended well, ms since 1970, and at which event. */
  readonly passed: { readonly at: number; readonly seq: number } | undefined
  readonly fault: Fault | undefined
  /** Why it does not get on at the moment, where it does not. */
  readonly trouble: string | undefined
}

/** Slow by design: so many events at once, and so long a rest, that no request waits for it. */
const SLICE = 32
const REST_MS = 25
/** So many times in a row, `IDLE_MS` apart, what cannot be read is tried again before it is called damaged. */
const TRIES = 120
/** Between looks for a new block. */
const IDLE_MS = 500
/** A pass over the whole book begins so long after the last one ended. */
const BETWEEN_PASSES_MS = 86_400_000

export class Scrub {
  readonly #ledger: Ledger
  #at: Head | undefined = { seq: 0, hash: GENESIS }
  #passed: ScrubStatus['passed']
  #fault: Fault | undefined
  #trouble: { readonly times: number; readonly why: string } | undefined
  #aside = 0
  #running: Promise<unknown> = Promise.resolve()

  constructor(ledger: Ledger) {
    this.#ledger = ledger
  }

  get status(): ScrubStatus {
    const { verified } = this.#ledger.book()
    const trouble = this.#trouble?.why
    return { verified: verified.seq, at: this.#at?.seq, passed: this.#passed, fault: this.#fault, trouble }
  }

  /** Reads on until told to stop. A book that is being opened again is looked at again later. */
  async run(signal: AbortSignal): Promise<void> {
    while (!signal.aborted && this.#fault === undefined) {
      const isBusy = await this.step().catch(() => false)
      await rest(isBusy ? REST_MS : IDLE_MS, signal)
    }
  }

  /** Does something while nothing is read here. */
  async aside<T>(work: () => Promise<T>): Promise<T> {
    this.#aside++
    try {
      await this.#running.catch(() => {})
      return await work()
    } finally {
      this.#aside--
    }
  }

  /** One slice of work. Gives whether there is more to do at once. */
  async step(): Promise<boolean> {
    if (this.#aside > 0) return false
    const running = this.#step()
    this.#running = running
    return running
  }

  async #step(): Promise<boolean> {
    const { durable, verified } = this.#ledger.book()
    if (durable.seq >= lastOf(blockOf(verified.seq + 1))) await this.#noteBlock(verified)
    else if (this.#at !== undefined) await this.#readOn(this.#at)
    else {
      if (this.#ledger.now() - this.#passed!.at >= BETWEEN_PASSES_MS) this.#at = { seq: 0, hash: GENESIS }
      return false
    }
    return true
  }

  /** Reads the next whole block back, as soon as it is on disk, and notes what it holds and that it holds. */
  async #noteBlock(before: Head): Promise<void> {
    const book = this.#ledger.book()
    const block = blockOf(before.seq + 1)
    const lines: string[] = []
    const span = { from: before.seq + 1, to: lastOf(block) }
    const found = await this.#walk(book, span, before, (_, line) => lines.push(line))
    if ('fault' in found || found.seq < span.to) return this.#onFault(found, before)
    const note = summarize(lines.map((line) => toEvent(line, book.vault)))
    const changes: Change[] = [Log.verifiedChange(found)]
    // A block that was begun at another place, as when a book of another version was taken over, is not noted.
    if (lines.length === BLOCK) changes.push(Log.noteChange(block, JSON.stringify(note)))
    await this.#ledger.keep(changes)
    if (this.#ledger.book() === book) book.verified = found
  }

  /** The pass over the whole book. */
  async #readOn(before: Head): Promise<void> {
    const book = this.#ledger.book()
    const { durable } = book
    const to = Math.min(before.seq + SLICE, durable.seq)
    const found = await this.#walk(book, { from: before.seq + 1, to }, before)
    if ('fault' in found || found.seq < to) return this.#onFault(found, before)
    this.#at = found
    if (found.seq < durable.seq) return
    this.#passed = { at: this.#ledger.now(), seq: found.seq }
    this.#at = undefined
  }

  /**
   * What the database itself finds damaged is a fault like any other. What cannot be read for another reason, such as
   * too many open files, is one only if that does not pass.
   */
  async #walk(
    book: Book,
    span: Span,
    before: Head,
    onLine?: (head: Head, line: string) => void,
  ): Promise<Head | Fault> {
    try {
      const found = await walk(book.log.chunks(span), before, onLine)
      this.#trouble = undefined
      return found
    } catch (error) {
      if (!(error instanceof BookUnusable)) throw error
      this.#trouble = { times: (this.#trouble?.times ?? 0) + 1, why: error.message }
      if (error instanceof BookUnreadable && this.#trouble.times < TRIES) throw error
      return { seq: before.seq + 1, fault: `it, or one up to event ${span.to}, cannot be read: ${error.message}` }
    }
  }

  async #onFault(found: Head | Fault, before: Head): Promise<void> {
    this.#fault = 'fault' in found ? found : { seq: found.seq + 1, fault: 'the record is missing' }
    // A slice holds up to the event before the fault; where exactly, the next start finds out again.
    await this.#ledger.onFault(this.#fault, before)
  }
}

/** Rests, and holds no process back that wants to end. */
const rest = (ms: number, signal: AbortSignal): Promise<void> =>
  wait(ms, undefined, { signal, ref: false }).catch(() => {})
