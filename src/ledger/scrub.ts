/** The scrub: reads the book back in the background, from its first event to its last, and notes what each block holds. */
import { setTimeout as wait } from 'node:timers/promises'
import { summarize } from '../domain/search.ts'
import type { Book } from './book.ts'
import { GENESIS, type Head } from './chain.ts'
import { BookUnusable } from './directory.ts'
import { BLOCK, blockOf, type Fault, lastOf, toEvent, walk } from './history.ts'
import { type Change, Log, type Span } from './log.ts'

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
}

/** Slow by design: so many events at once, and so long a rest, that no request waits for it. */
const SLICE = 128
const REST_MS = 25
/** Between looks for a new block. */
const IDLE_MS = 500
/** A pass over the whole book begins so long after the last one ended. */
const BETWEEN_PASSES_MS = 86_400_000

export class Scrub {
  readonly #ledger: Ledger
  #at: Head | undefined = { seq: 0, hash: GENESIS }
  #passed: ScrubStatus['passed']
  #fault: Fault | undefined

  constructor(ledger: Ledger) {
    this.#ledger = ledger
  }

  get status(): ScrubStatus {
    const { verified } = this.#ledger.book()
    return { verified: verified.seq, at: this.#at?.seq, passed: this.#passed, fault: this.#fault }
  }

  /** Reads on until told to stop. A book that is being opened again is looked at again later. */
  async run(signal: AbortSignal): Promise<void> {
    while (!signal.aborted && this.#fault === undefined) {
      const isBusy = await this.step().catch(() => false)
      await rest(isBusy ? REST_MS : IDLE_MS, signal)
    }
  }

  /** One slice of work. Gives whether there is more to do at once. */
  async step(): Promise<boolean> {
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

  /** What the database itself cannot read any more is a fault like any other, unless it is just being opened again. */
  async #walk(
    book: Book,
    span: Span,
    before: Head,
    onLine?: (head: Head, line: string) => void,
  ): Promise<Head | Fault> {
    try {
      return await walk(book.log.chunks(span), before, onLine)
    } catch (error) {
      const isStillOpen = book.log.isOpen && this.#ledger.book() === book
      if (!(error instanceof BookUnusable) || !isStillOpen) throw error
      return { seq: before.seq + 1, fault: `it, or one of the ${SLICE} after it, cannot be read` }
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
