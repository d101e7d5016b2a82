/** Deletions: the decisions that delete to-dos and undo that, and what of it is kept for how long. */
import { type BatchResult, each, findTodo, getItem, type ListLimits, Room, type Several } from './edits.ts'
import { accept, type Decision, refuse } from './shape.ts'
import { deletedByAge, excerptOf, type Item, itemOf, openInOrder, type TodoEvent, type Todos } from './todos.ts'

/** For how long a deletion can be undone. ms */
export const UNDO_MS = 30 * 86_400_000

/**
 * Deletes to-dos, so that it can be undone for a while. A list keeps at most as many deleted to-dos as open ones, but
 * always those of its last request.
 */
export function deleteTodos(
  rows: Todos,
  { owner, ids, limits }: Several,
  now: number,
): Decision<TodoEvent, BatchResult> {
  const bin = new Bin(rows, owner, limits)
  return each(ids, (id) => {
    const item = getItem(rows, owner, id)
    return item === undefined ? 'todo_unknown' : { facts: [deletion(bin, item, owner, now)], item }
  })
}

const deletion = (bin: Bin, item: Item, owner: string, now: number): TodoEvent => ({
  type: 'TodoDeleted',
  data: { todo: item.id, owner, undoUntil: now + UNDO_MS, replaces: bin.put(item.id) },
  personal: { excerpt: excerptOf(item.todo) },
})

/**
 * From this share of what all lists may take, a list keeps only what its last request deleted: so deleting makes room, and
 * a batch can still be undone.
 */
const NEARLY_FULL = 0.9

/** The deleted to-dos of a list, while a decision adds to them. */
class Bin {
  readonly #rows: Todos
  readonly #limits: ListLimits
  /** What can be undone, the oldest deletion first, with what it takes. */
  readonly #held: { readonly id: string; readonly size: number }[]
  #size: number
  /** How many of them this decision put there. These stay. */
  #put = 0

  constructor(rows: Todos, owner: string, limits: ListLimits) {
    this.#rows = rows
    this.#limits = limits
    this.#held = deletedByAge(rows, owner).map(([id]) => ({ id, size: this.#sizeOf(id) }))
    this.#size = rows.todos.sizeBy('bin', owner)
  }

  #sizeOf(id: string): number {
    return this.#rows.todos.sizeOf(id)
  }

  /** Takes one in; gives the earlier ones that can no longer be undone: all of them where Daybook is nearly full. */
  put(id: string): string[] {
    const size = this.#sizeOf(id)
    const isFull = this.#rows.todos.totalSize >= NEARLY_FULL * this.#limits.sizeOfAll
    const gone: string[] = []
    while (
      this.#held.length > this.#put &&
      (isFull || this.#held.length >= this.#limits.open || this.#size + size > this.#limits.size)
    ) {
      const oldest = this.#held.shift()!
      this.#size -= oldest.size
      gone.push(oldest.id)
    }
    this.#held.push({ id, size })
    this.#put++
    this.#size += size
    return gone
  }
}

/** Takes deletions back: each to-do is again what it was, where it was. */
export function undeleteTodos(
  rows: Todos,
  { owner, ids, limits }: Several,
  now: number,
): Decision<TodoEvent, BatchResult> {
  const room = new Room(rows, owner, limits)
  return each(ids, (id) => {
    const todo = findTodo(rows, owner, id)
    if (todo === undefined || (todo.expiresAt !== null && todo.expiresAt <= now)) return 'todo_unknown'
    if (todo.deletedAt === null) return 'todo_not_deleted'
    const item = itemOf([id, todo])
    // It was in memory all the time, so Daybook as a whole holds no more than before.
    const full = room.take(item.done ? 0 : 1, rows.todos.sizeOf(id), 0)
    if (full !== undefined) return full
    const personal = { excerpt: excerptOf(item.todo) }
    return { facts: [{ type: 'TodoUndeleted', data: { todo: id, owner }, personal }], item }
  })
}

/** @param text what the caller believes stands at that index; where it is given it must. */
type DeleteAt = { owner: string; index: number; text: string | undefined; limits: ListLimits }

/** Deletes by the plugin's index. Refuses `todo_index_unknown`, `todo_differs`. Gives what was deleted. */
export function deleteTodoAt(rows: Todos, input: DeleteAt, now: number): Decision<TodoEvent, Item> {
  const { owner, index, text, limits } = input
  const found = openInOrder(rows, owner)[index]
  if (found === undefined) return refuse('todo_index_unknown')
  const item = itemOf(found)
  if (text !== undefined && text !== item.todo) return refuse('todo_differs')
  return accept([deletion(new Bin(rows, owner, limits), item, owner, now)], item)
}
