/** Capacity: what a list, and all lists together, may hold, and what gives way. */
import { storedSize } from './shape.ts'
import { deletedInOrder, type Todos } from './todos.ts'

/** What a to-do with these texts takes in memory, about. bytes */
export const memorySize = (texts: object): number => 1100 + 2 * storedSize(texts)

/** How many open to-dos a list may hold, and what the to-dos of one list, and of all lists, may take in memory: bytes. */
export type ListLimits = { readonly open: number; readonly size: number; readonly sizeOfAll: number }

/** What a list still has room for, while a decision fills it. */
export class Room {
  #open: number
  #size: number
  #all: number
  readonly #limits: ListLimits

  constructor({ todos }: Todos, owner: string, limits: ListLimits) {
    this.#open = todos.countBy('open', owner)
    this.#size = todos.sizeBy('owner', owner)
    this.#all = todos.totalSize
    this.#limits = limits
  }

  /** Takes room for `open` more open to-dos and `size` more bytes, `added` of them new. Says why there is none. */
  take(open: number, size: number, added = size): 'list_full' | 'daybook_full' | undefined {
    const { open: most, size: mostSize, sizeOfAll } = this.#limits
    if (open > 0 && this.#open + open > most) return 'list_full'
    if (size > 0 && this.#size + size > mostSize) return 'list_full'
    // All to-dos are held in memory, whichever list they are on.
    if (added > 0 && this.#all + added > sizeOfAll) return 'daybook_full'
    this.#open += open
    this.#size += size
    this.#all += added
    return undefined
  }
}

/** From this share of what all lists may take, a list keeps only its last deletion, so that deleting makes room. */
const NEARLY_FULL = 0.9

/** The deleted to-dos of a list, while a decision adds to them. */
export class Bin {
  readonly #rows: Todos
  readonly #limits: ListLimits
  /** What can be undone, the oldest deletion first, with what it takes. */
  readonly #held: { readonly id: string; readonly size: number }[]
  #size: number

  constructor(rows: Todos, owner: string, limits: ListLimits) {
    this.#rows = rows
    this.#limits = limits
    const deleted = deletedInOrder(rows, owner).sort(([, a], [, b]) => a.expiresAt! - b.expiresAt!)
    this.#held = deleted.map(([id]) => ({ id, size: this.#sizeOf(id) }))
    this.#size = rows.todos.sizeBy('bin', owner)
  }

  #sizeOf(id: string): number {
    return this.#rows.todos.sizeOf(id)
  }

  /** Takes one in; gives those that can no longer be undone. Where Daybook is nearly full, that is all the others. */
  put(id: string): string[] {
    const size = this.#sizeOf(id)
    const isFull = this.#rows.todos.totalSize >= NEARLY_FULL * this.#limits.sizeOfAll
    const gone: string[] = []
    while (
      this.#held.length > 0 &&
      (isFull || this.#held.length >= this.#limits.open || this.#size + size > this.#limits.size)
    ) {
      const oldest = this.#held.shift()!
      this.#size -= oldest.size
      gone.push(oldest.id)
    }
    this.#held.push({ id, size })
    this.#size += size
    return gone
  }
}
