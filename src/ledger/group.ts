/** Who waits for the same write, and what they are told when there is none. */
import type { Change, CheckedChange } from './log.ts'
import { Refused } from './refused.ts'

/** A batch in the making. Everybody in it waits for the same write. */
export class Group {
  readonly changes: Change[] = []
  readonly checked: CheckedChange[] = []
  /** What takes the vault back to where it was. */
  readonly undo: (() => void)[] = []
  readonly #done = Promise.withResolvers<void>()
  readonly durable = this.#done.promise
  constructor() {
    this.durable.catch(() => {}) // A failed write is told to those who wait; nobody may be waiting.
  }
  succeed = (): void => this.#done.resolve()
  fail = (): void => this.#done.reject(new Refused('book_unavailable'))
}

/** Something others wait for, again and again. */
export class News {
  #next = Promise.withResolvers<void>()

  /** Whoever waits looks again. */
  tell(): void {
    this.#next.resolve()
    this.#next = Promise.withResolvers()
  }

  /** Waits until it is so, or `signal` says to stop; at most so many ms. */
  async wait(isSo: () => boolean, signal: AbortSignal, ms: number): Promise<void> {
    let isOver = false
    const stop = (): void => {
      isOver = true
      this.tell()
    }
    signal.addEventListener('abort', stop, { once: true })
    const alarm = setTimeout(stop, ms)
    while (!isSo() && !signal.aborted && !isOver) await this.#next.promise
    clearTimeout(alarm)
    signal.removeEventListener('abort', stop)
  }
}
