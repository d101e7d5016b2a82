/** Large bodies: how many of them are read at the same time, of one caller and in all. */
import { Refused } from '../ledger/refused.ts'

/** How many large requests are read at the same time: of one budget, and in all. A body has up to 2 MiB. */
const [SLOTS_OF_ONE, SLOTS_OF_ALL] = [4, 32]

/** The wait that a request without a slot is told. ms */
const SLOT_WAIT_MS = 1000

/**
 * Slots for large bodies, so that slow senders hold a bounded amount of memory. Nobody waits in a queue for one.
 * They bound what there is, not how often, so `RATE_LIMIT=off` does not end them.
 */
export class LargeBodySlots {
  /** How many each budget has. Budgets that have none are not in it. */
  readonly #taken = new Map<string, number>()
  #takenInAll = 0
  #refused = 0

  /** How many budgets have a slot now. */
  get size(): number {
    return this.#taken.size
  }

  /** How many requests found no slot since the start. */
  get refused(): number {
    return this.#refused
  }

  /**
   * Does work that may need one slot. The slot is free again once the work ends, however it ends.
   * @param budget by what limits count who asks: a user, a list or an address
   * @param work gets `enter`. The first call of `enter` takes the slot, or throws `Refused` `rate_limited` with the
   * time to wait. Later calls do nothing.
   * @returns what the work returns
   * @throws whatever the work throws
   */
  async within<T>(budget: string, work: (enter: () => void) => Promise<T>): Promise<T> {
    let isInside = false
    const enter = (): void => {
      if (isInside) return
      this.#take(budget)
      isInside = true
    }
    try {
      return await work(enter)
    } finally {
      if (isInside) this.#free(budget)
    }
  }

  #take(budget: string): void {
    const taken = this.#taken.get(budget) ?? 0
    if (taken >= SLOTS_OF_ONE) this.#refuse('Too many large requests at the same time: send them one after another.')
    if (this.#takenInAll >= SLOTS_OF_ALL)
      this.#refuse('Daybook reads too many large requests at the same time. Try again shortly.')
    this.#taken.set(budget, taken + 1)
    this.#takenInAll++
  }

  #refuse(detail: string): never {
    this.#refused++
    throw new Refused('rate_limited', detail, SLOT_WAIT_MS)
  }

  #free(budget: string): void {
    const left = this.#taken.get(budget)! - 1
    if (left === 0) this.#taken.delete(budget)
    else this.#taken.set(budget, left)
    this.#takenInAll--
  }
}
