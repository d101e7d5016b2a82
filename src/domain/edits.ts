/** Edits: the decisions that change to-dos, one at a time or several at once. */
import { isDue } from './due.ts'
import { accept, type Decision, type Reason, refuse, storedSize } from './shape.ts'
import {
  excerptOf,
  type Field,
  type Item,
  itemOf,
  memorySize,
  nextTo,
  openInOrder,
  type Priority,
  type Todo,
  type TodoEvent,
  type Todos,
} from './todos.ts'

/** The longest text and the longest notes of a to-do, in Unicode code points. */
export const MAX_TEXT_LENGTH = 10_000
/** How many to-dos one request may name. */
export const MAX_BATCH = 25

/** What is wrong with the text of a to-do, if anything. */
export function textWrong(text: string): 'todo_text_invalid' | 'todo_too_long' | undefined {
  // Lone surrogates have no UTF-8 form, so a text with one could not be proved (RFC 8785 §3.2.2.2).
  if (text.trim() === '' || !text.isWellFormed()) return 'todo_text_invalid'
  return isTooLong(text) ? 'todo_too_long' : undefined
}

const isTooLong = (text: string): boolean => text.length > MAX_TEXT_LENGTH && [...text].length > MAX_TEXT_LENGTH

/** What of a to-do can be set. `null` takes it away; an absent member stays as it is. */
export type Change = {
  readonly text?: string
  readonly notes?: string | null
  readonly due?: string | null
  readonly priority?: number | null
  readonly done?: boolean
}

/** The first thing that is wrong with a change, if anything. */
export function changeWrong({ text, notes, due, priority }: Change): Reason | undefined {
  const wrong = text === undefined ? undefined : textWrong(text)
  if (wrong !== undefined) return wrong
  if (typeof notes === 'string' && (!notes.isWellFormed() || isTooLong(notes))) return 'notes_invalid'
  if (typeof due === 'string' && !isDue(due)) return 'due_invalid'
  return isPriority(priority ?? null) ? undefined : 'priority_invalid'
}

const isPriority = (value: number | null): value is Priority | null => value === null || [1, 2, 3, 4].includes(value)

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
  take(open: number, size: number, added = size): 'list_full' | 'list_too_large' | 'daybook_full' | undefined {
    const { open: most, size: mostSize, sizeOfAll } = this.#limits
    if (open > 0 && this.#open + open > most) return 'list_full'
    if (size > 0 && this.#size + size > mostSize) return 'list_too_large'
    // All to-dos are held in memory, whichever list they are on.
    if (added > 0 && this.#all + added > sizeOfAll) return 'daybook_full'
    this.#open += open
    this.#size += size
    this.#all += added
    return undefined
  }
}

export type NewTodo = {
  readonly id: string
  readonly text: string
  readonly notes: string | null
  readonly due: string | null
  readonly priority: number | null
}
type Add = { readonly owner: string; readonly items: readonly NewTodo[]; readonly limits: ListLimits }
/** `index`: the place of the first among the open ones, as the plugin counts. */
export type Added = { readonly index: number; readonly items: readonly Item[] }

const textsOf = ({ text, notes, due }: Pick<NewTodo, 'text' | 'notes' | 'due'>) => ({
  text,
  ...(notes === null ? {} : { notes }),
  ...(due === null ? {} : { due }),
})

/** Adds all of them, or none. Refuses as `changeWrong` says, `list_full`, `list_too_large`, `daybook_full`. */
export function addTodos(rows: Todos, input: Add, now: number): Decision<TodoEvent, Added> {
  const { owner, items, limits } = input
  const room = new Room(rows, owner, limits)
  const index = rows.todos.countBy('open', owner)
  const at = new Date(now).toISOString()
  const facts: TodoEvent[] = []
  const added: Item[] = []
  for (const { id: todo, ...item } of items) {
    const { priority } = item
    const personal = textsOf(item)
    const wrong = changeWrong(item) ?? room.take(1, memorySize(storedSize(personal)))
    if (wrong !== undefined) return refuse(wrong)
    if (!isPriority(priority)) return refuse('priority_invalid')
    const fields = Object.keys(personal) as Field[]
    facts.push({ type: 'TodoAdded', data: { todo, owner, priority, fields }, personal })
    const { text, notes, due } = item
    const times = { created_at: at, updated_at: at, done_at: null }
    added.push({ id: todo, todo: text, done: false, due, priority, notes, ...times })
  }
  return accept(facts, { index, items: added })
}

/** Any to-do of that owner, deleted or not. */
export const findTodo = ({ todos }: Todos, owner: string, id: string): Todo | undefined => {
  const todo = todos.get(id)
  return todo?.owner === owner ? todo : undefined
}

/** A to-do that is not deleted; another owner's is as if it were not there. */
export function getItem(rows: Todos, owner: string, id: string): Item | undefined {
  const todo = findTodo(rows, owner, id)
  return todo === undefined || todo.deletedAt !== null ? undefined : itemOf([id, todo])
}

type Changed = Extract<TodoEvent, { type: 'TodoChanged' }>

/** How much more a to-do takes in memory after a change, or less. bytes */
function growthOf({ todos }: Todos, { data: { todo, fields, cleared }, personal }: Changed): number {
  const replaced = [...fields, ...cleared]
  const dropped = (todos.get(todo)?.parts ?? []).filter((part) =>
    part.fields.every((field) => replaced.includes(field)),
  )
  const added = fields.length === 0 ? 0 : storedSize(personal)
  return 2 * (added - dropped.reduce((sum, { sealed }) => sum + sealed.size, 0))
}

type Edit = {
  readonly owner: string
  readonly id: string
  readonly change: Change
  readonly limits: ListLimits
  /** What the caller believes the to-do to be. */
  readonly expects?: ((item: Item) => boolean) | undefined
}

/**
 * Sets what differs; gives the to-do as it then is.
 * Refuses `todo_unknown`, `precondition_failed`, `list_full`, `list_too_large`, `daybook_full`, and as `changeWrong` says.
 */
export function changeTodo(rows: Todos, input: Edit, now: number): Decision<TodoEvent, Item> {
  const { owner, id, change, limits, expects } = input
  const item = getItem(rows, owner, id)
  if (item === undefined) return refuse('todo_unknown')
  if (expects !== undefined && !expects(item)) return refuse('precondition_failed')
  const wrong = changeWrong(change)
  if (wrong !== undefined) return refuse(wrong)
  const changed = changedEvent(item, owner, change)
  const isTurned = change.done !== undefined && change.done !== item.done
  const turned = isTurned ? doneEvent(applied(item, change, now), owner) : undefined
  const growth = changed === undefined ? 0 : growthOf(rows, changed)
  const full = new Room(rows, owner, limits).take(turned?.type === 'TodoReopened' ? 1 : 0, growth)
  if (full !== undefined) return refuse(full)
  const facts = [changed, turned].filter((fact) => fact !== undefined)
  return accept<TodoEvent, Item>(facts, facts.length === 0 ? item : applied(item, change, now))
}

const FIELDS = [
  ['text', 'todo'],
  ['notes', 'notes'],
  ['due', 'due'],
] as const

/** The event for what differs, but for `done`; `undefined` where nothing does. */
function changedEvent(item: Item, owner: string, change: Change): Changed | undefined {
  const personal: { [F in Field]?: string } & { excerpt: string } = { excerpt: excerptOf(item.todo) }
  const cleared: Field[] = []
  for (const [field, member] of FIELDS) {
    const value = change[field]
    if (value === undefined || value === item[member]) continue
    if (value === null) cleared.push(field)
    else personal[field] = value
  }
  const fields = FIELDS.map(([field]) => field).filter((field) => personal[field] !== undefined)
  const { priority } = change
  const isNewPriority = priority !== undefined && priority !== item.priority && isPriority(priority)
  if (fields.length === 0 && cleared.length === 0 && !isNewPriority) return undefined
  const data = { todo: item.id, owner, fields, cleared, ...(isNewPriority ? { priority } : {}) }
  return { type: 'TodoChanged', data, personal }
}

/** @param item the to-do as it is afterwards */
const doneEvent = (item: Item, owner: string): TodoEvent => ({
  type: item.done ? 'TodoCompleted' : 'TodoReopened',
  data: { todo: item.id, owner },
  personal: { excerpt: excerptOf(item.todo) },
})

/** A to-do after a change. */
function applied(item: Item, { text, ...change }: Change, now: number): Item {
  const at = new Date(now).toISOString()
  const done = change.done ?? item.done
  const { notes = item.notes, due = item.due, priority = item.priority } = change
  return {
    ...item,
    ...{ todo: text ?? item.todo, done, notes, due, updated_at: at },
    priority: isPriority(priority) ? priority : item.priority,
    done_at: done ? (item.done_at ?? at) : null,
  }
}

/** A to-do that a request named, and why nothing was done about it. */
export type Failure = { readonly id: string; readonly why: Reason }
export type BatchResult = { readonly items: readonly Item[]; readonly failures: readonly Failure[] }

type Done = { readonly facts: readonly TodoEvent[]; readonly item: Item }

/** Does the same to several to-dos, each once; what fails for one does not hold up the others. */
export function each(ids: readonly string[], act: (id: string) => Done | Reason): Decision<TodoEvent, BatchResult> {
  const [facts, items, failures]: [TodoEvent[], Item[], Failure[]] = [[], [], []]
  for (const id of new Set(ids)) {
    const done = act(id)
    if (typeof done === 'string') failures.push({ id, why: done })
    else {
      facts.push(...done.facts)
      items.push(done.item)
    }
  }
  return accept(facts, { items, failures })
}

export type Several = { readonly owner: string; readonly ids: readonly string[]; readonly limits: ListLimits }

/** Marks to-dos as done, or as open again. Those that are so already stay. */
export function setDone(
  rows: Todos,
  input: Several & { done: boolean },
  now: number,
): Decision<TodoEvent, BatchResult> {
  const { owner, ids, limits, done } = input
  const room = new Room(rows, owner, limits)
  return each(ids, (id) => {
    const item = getItem(rows, owner, id)
    if (item === undefined) return 'todo_unknown'
    if (item.done === done) return { facts: [], item }
    const full = room.take(done ? -1 : 1, 0)
    if (full !== undefined) return full
    const after = applied(item, { done }, now)
    return { facts: [doneEvent(after, owner)], item: after }
  })
}

type Reschedule = {
  readonly owner: string
  readonly items: readonly { readonly id: string; readonly due: string | null }[]
  readonly limits: ListLimits
}

/** Sets due dates, or takes them away. Where one to-do is named twice, the later one counts. */
export function rescheduleTodos(rows: Todos, input: Reschedule, now: number): Decision<TodoEvent, BatchResult> {
  const { owner, items, limits } = input
  const dues = new Map(items.map(({ id, due }) => [id, due]))
  const room = new Room(rows, owner, limits)
  return each([...dues.keys()], (id) => {
    const item = getItem(rows, owner, id)
    if (item === undefined) return 'todo_unknown'
    const change = { due: dues.get(id) ?? null }
    const wrong = changeWrong(change)
    if (wrong !== undefined) return wrong
    const event = changedEvent(item, owner, change)
    if (event === undefined) return { facts: [], item }
    const full = room.take(0, growthOf(rows, event))
    return full ?? { facts: [event], item: applied(item, change, now) }
  })
}

/** Where to move a to-do: before or after another one, or to a place among the open ones, from 1. */
export type Place = { readonly before: string } | { readonly after: string } | { readonly position: number }
type Move = { readonly owner: string; readonly id: string; readonly place: Place }

/** Refuses `todo_unknown` for either to-do, and `place_invalid` where it is to stand beside itself. */
export function moveTodo(rows: Todos, { owner, id, place }: Move): Decision<TodoEvent, Item> {
  const item = getItem(rows, owner, id)
  if (item === undefined) return refuse('todo_unknown')
  const beside = 'before' in place ? place.before : 'after' in place ? place.after : undefined
  if (beside === id) return refuse('place_invalid')
  if (beside !== undefined && getItem(rows, owner, beside) === undefined) return refuse('todo_unknown')
  const before = placeBefore(rows, owner, id, place)
  const isThere = nextTo(rows, owner, id) === before
  if (isThere) return accept<TodoEvent, Item>([], item)
  const personal = { excerpt: excerptOf(item.todo) }
  return accept<TodoEvent, Item>([{ type: 'TodoMoved', data: { todo: id, owner, before }, personal }], item)
}

/** The to-do that a moved one will stand before; `null` for the end. */
function placeBefore(rows: Todos, owner: string, id: string, place: Place): string | null {
  if ('before' in place) return place.before
  if ('after' in place) return nextTo(rows, owner, place.after, id)
  const open = openInOrder(rows, owner).filter(([other]) => other !== id)
  return open[place.position - 1]?.[0] ?? null
}
