/** To-dos: each owner's list, in the order that the person gave it. What was deleted can be undone for a while. */
import type { ExpiredDropped } from './book.ts'
import type { ListEvent } from './lists.ts'
import type { Names, On, Recorded, Says, Sealed } from './shape.ts'
import { expiredKeys, minuteOf, type Sight, Table } from './table.ts'
import type { UserEvent } from './users.ts'

export type Priority = 1 | 2 | 3 | 4
/** The personal texts of a to-do. */
export type Field = 'text' | 'notes' | 'due'
type Texts = { readonly [F in Field]?: string }
/** How the text of a to-do begins, for the sentence about an event. */
type Excerpt = { readonly excerpt: string }
type Of = { readonly todo: string; readonly owner: string }

export type TodoEvent =
  /** `fields`: which texts it carries. It stands last in its list. */
  | { type: 'TodoAdded'; data: Of & { priority: Priority | null; fields: readonly Field[] }; personal: Texts }
  /** `fields` have new texts, `cleared` have none any more; `priority` is absent where it stays. */
  | {
      type: 'TodoChanged'
      data: Of & { fields: readonly Field[]; cleared: readonly Field[]; priority?: Priority | null }
      personal: Texts & Excerpt
    }
  | { type: 'TodoCompleted'; data: Of; personal: Excerpt }
  | { type: 'TodoReopened'; data: Of; personal: Excerpt }
  /** `before`: the to-do that it stands before now; `null` for the end of the list. */
  | { type: 'TodoMoved'; data: Of & { before: string | null }; personal: Excerpt }
  /** Can be undone until `undoUntil`. `replaces`: those deleted earlier that can no longer be. */
  | { type: 'TodoDeleted'; data: Of & { undoUntil: number; replaces: readonly string[] }; personal: Excerpt }
  | { type: 'TodoUndeleted'; data: Of; personal: Excerpt }

/** The event types of this room: what a list's history consists of. A test holds it against the union. */
export const TODO_EVENTS = [
  'TodoAdded',
  'TodoChanged',
  'TodoCompleted',
  'TodoReopened',
  'TodoMoved',
  'TodoDeleted',
  'TodoUndeleted',
] as const satisfies readonly TodoEvent['type'][]

/** Texts that came with one event, and which of them are still the current ones. */
type Part = { readonly sealed: Sealed<Texts>; readonly fields: readonly Field[] }

export type Todo = {
  readonly owner: string
  /** Its place in the list: a smaller one stands before. A safe integer, different in each row of a list. */
  readonly rank: number
  readonly parts: readonly Part[]
  readonly priority: Priority | null
  readonly createdAt: string
  readonly updatedAt: string
  readonly doneAt: string | null
  readonly deletedAt: string | null
  /** ms since 1970: until then a deletion can be undone. */
  readonly expiresAt: number | null
}
type Index = 'open' | 'owner' | 'bin' | 'minute'
export type Todos = { readonly todos: Table<Todo, Index> }

/**
 * About what a row takes in memory, its texts sealed and opened.
 * @param size what the texts take as they are stored
 * @returns bytes
 */
export const memorySize = (size: number): number => 1100 + 2 * size
const sizeOf = ({ parts }: Todo): number => memorySize(parts.reduce((sum, { sealed }) => sum + sealed.size, 0))

export const tables = (sight: Sight): Todos => ({
  todos: new Table<Todo, Index>(
    sight,
    {
      open: (todo) => (todo.doneAt === null && todo.deletedAt === null ? todo.owner : undefined),
      owner: (todo) => (todo.deletedAt === null ? todo.owner : undefined),
      bin: (todo) => (todo.deletedAt === null ? undefined : todo.owner),
      minute: (todo) => (todo.expiresAt === null ? undefined : minuteOf(todo.expiresAt)),
    },
    sizeOf,
  ),
})

/** The distance between the ranks of two neighbours in the log. */
const STEP = 2 ** 20
/** The end of a list at the time of an event: after everything that came before it. */
const endAt = (seq: number): number => seq * STEP

/** Puts a to-do before another one. Where no rank is left between two, some rows around the place get new ranks. */
function moveBefore(rows: Todos, id: string, before: string, seq: number): void {
  const [moved, next] = [rows.todos.get(id), rows.todos.get(before)]
  if (moved === undefined || next === undefined || moved.owner !== next.owner || id === before) return
  const others = rowsOf(rows, moved.owner).filter(([other]) => other !== id)
  const low = others.reduce((most, [, { rank }]) => (rank < next.rank ? Math.max(most, rank) : most), 0)
  const middle = low + Math.floor((next.rank - low) / 2)
  const ranks = middle > low ? [[id, middle] as const] : ranksAround(id, [before, next], others, endAt(seq))
  for (const [other, rank] of ranks) change(rows, other, () => ({ rank }))
}

/** The width of the smallest range of ranks whose rows get new ones. */
const SMALLEST_RANGE = 64
/** A range has room if its rows can stand this many times their number apart. So a larger range lasts longer. */
const APART = 16

/**
 * New ranks for a to-do and for the rows around its place before `next`. The range doubles until it has room.
 * So a move changes few rows on average (Bender et al., Two Simplified Algorithms for Maintaining Order in a List, 2002).
 * @param end after all ranks of the list
 */
function ranksAround(
  id: string,
  [before, next]: Row,
  others: readonly Row[],
  end: number,
): [id: string, rank: number][] {
  for (let width = SMALLEST_RANGE; ; width *= 2) {
    const from = next.rank - (next.rank % width)
    const to = Math.min(from + width, end)
    const around = others.filter(([, { rank }]) => rank >= from && rank < to)
    const apart = Math.floor((to - from) / (around.length + 2))
    if (apart < APART * around.length && width < end) continue
    const ids = around.sort(byRank).map(([other]) => other)
    return ids.toSpliced(ids.indexOf(before), 0, id).map((other, i) => [other, from + (i + 1) * apart])
  }
}

const change = ({ todos }: Todos, id: string, to: (todo: Todo) => Partial<Todo>): void => {
  const todo = todos.get(id)
  if (todo !== undefined) todos.set(id, { ...todo, ...to(todo) })
}

/** The parts, with what a new one carries or clears taken out of those before. */
function replaceParts(parts: readonly Part[], gone: readonly Field[], added: readonly Part[]): readonly Part[] {
  const kept = parts.map((part) => ({ ...part, fields: part.fields.filter((field) => !gone.includes(field)) }))
  return [...kept.filter(({ fields }) => fields.length > 0), ...added]
}

function dropAllOf({ todos }: Todos, owner: string): void {
  todos.deleteBy('owner', owner)
  todos.deleteBy('bin', owner)
}

type Ends = Extract<UserEvent, { type: 'UserErased' }> | Extract<ListEvent, { type: 'ListErased' }> | ExpiredDropped
export const on: On<Todos, TodoEvent | Ends> = {
  TodoAdded({ todos }, { seq, at, sealed, data: { todo, owner, priority, fields } }) {
    const since = { createdAt: at, updatedAt: at, doneAt: null, deletedAt: null, expiresAt: null }
    todos.set(todo, { owner, rank: endAt(seq), parts: [{ sealed, fields }], priority, ...since })
  },
  TodoChanged: (rows, { at, sealed, data: { todo, fields, cleared, priority } }) =>
    change(rows, todo, ({ parts }) => ({
      parts: replaceParts(parts, [...fields, ...cleared], fields.length === 0 ? [] : [{ sealed, fields }]),
      ...(priority === undefined ? {} : { priority }),
      updatedAt: at,
    })),
  TodoCompleted: (rows, { at, data }) => change(rows, data.todo, () => ({ doneAt: at, updatedAt: at })),
  TodoReopened: (rows, { at, data }) => change(rows, data.todo, () => ({ doneAt: null, updatedAt: at })),
  TodoMoved(rows, { seq, data }) {
    if (data.before === null) change(rows, data.todo, () => ({ rank: endAt(seq) }))
    else moveBefore(rows, data.todo, data.before, seq)
  },
  TodoDeleted(rows, { at, data }) {
    for (const id of data.replaces) rows.todos.delete(id)
    change(rows, data.todo, () => ({ deletedAt: at, expiresAt: data.undoUntil }))
  },
  TodoUndeleted: (rows, { data }) => change(rows, data.todo, () => ({ deletedAt: null, expiresAt: null })),
  UserErased: (rows, { data }) => dropAllOf(rows, data.user),
  ListErased: (rows, { data }) => dropAllOf(rows, data.owner),
  ExpiredDropped({ todos }, { data }) {
    for (const id of expiredKeys(todos, data.until)) todos.delete(id)
  },
}

export type Row = readonly [id: string, todo: Todo]
const byRank = ([a, { rank: of }]: Row, [b, { rank: than }]: Row): number => of - than || (a < b ? -1 : 1)
const rowsBy = ({ todos }: Todos, index: Index, owner: string): Row[] =>
  todos.keysBy(index, owner).map((id) => [id, todos.get(id)!] as const)

/** The open to-dos of a list, in its order. */
export const openInOrder = (rows: Todos, owner: string): Row[] => rowsBy(rows, 'open', owner).sort(byRank)
/** Open ones and done ones, in order. */
export const keptInOrder = (rows: Todos, owner: string): Row[] => rowsBy(rows, 'owner', owner).sort(byRank)
/** Deleted ones that can still be undone, in order. */
export const deletedInOrder = (rows: Todos, owner: string): Row[] => rowsBy(rows, 'bin', owner).sort(byRank)
/** Deleted ones that can still be undone, the oldest deletion first. Those of one time stand in order. */
export const deletedByAge = (rows: Todos, owner: string): Row[] =>
  rowsBy(rows, 'bin', owner).sort((a, b) => a[1].expiresAt! - b[1].expiresAt! || byRank(a, b))
/** All that has a place in the list, in no order. */
const rowsOf = (rows: Todos, owner: string): Row[] => [...rowsBy(rows, 'owner', owner), ...rowsBy(rows, 'bin', owner)]

/** The to-do that follows another one, deleted or not; `null` at the end. @param passed a to-do that does not count */
export function nextTo(rows: Todos, owner: string, id: string, passed?: string): string | null {
  const after = rows.todos.get(id)!.rank
  const [next] = rowsOf(rows, owner).reduce<[id: string | null, rank: number]>(
    (least, [other, { rank }]) => (rank > after && rank < least[1] && other !== passed ? [other, rank] : least),
    [null, Number.POSITIVE_INFINITY],
  )
  return next
}

/** One of the texts; `null` where there is none, or its key is gone. */
export function textOf({ parts }: Todo, field: Field): string | null {
  const part = parts.find(({ fields }) => fields.includes(field))
  return part?.sealed.open?.[field] ?? null
}

/** A to-do as callers see it. */
export type Item = {
  readonly id: string
  readonly todo: string
  readonly done: boolean
  readonly due: string | null
  readonly priority: Priority | null
  readonly notes: string | null
  readonly created_at: string
  readonly updated_at: string
  readonly done_at: string | null
}

export const itemOf = ([id, todo]: Row): Item => ({
  id,
  todo: textOf(todo, 'text') ?? '',
  done: todo.doneAt !== null,
  due: textOf(todo, 'due'),
  priority: todo.priority,
  notes: textOf(todo, 'notes'),
  created_at: todo.createdAt,
  updated_at: todo.updatedAt,
  done_at: todo.doneAt,
})

/** The longest excerpt, in Unicode code points. */
const MAX_EXCERPT = 80

/** How a text begins: an event about a to-do says no more of it, the event that set the text has all of it. */
export function excerptOf(text: string): string {
  const signs = [...text.slice(0, 4 * MAX_EXCERPT)]
  return signs.length <= MAX_EXCERPT ? text : `${signs.slice(0, MAX_EXCERPT).join('')}…`
}

/** In quotation marks that the text itself cannot end. */
const inQuotes = (text: string): string => `“${excerptOf(text).replaceAll('“', '‘').replaceAll('”', '’')}”`

const quoted = (text: string | undefined): string =>
  text === undefined ? 'a to-do that has been erased' : inQuotes(text)

/** Which list, where it is not the actor's own. */
const elsewhere = ({ actor, data }: Recorded<TodoEvent>, word: string, names: Names): string =>
  actor.id === data.owner ? '' : ` ${word} the list of ${names.user(data.owner)}`

type Changed = Recorded<Extract<TodoEvent, { type: 'TodoChanged' }>>

const NAMES: { readonly [F in Field]: string } = { text: 'text', notes: 'notes', due: 'due date' }

/** What was changed, in words. */
function changesOf({ data, sealed: { open } }: Changed): string {
  const said = [
    ...data.fields.map((field) =>
      field === 'notes' ? 'its notes' : `its ${NAMES[field]} to ${quotedValue(field, open)}`,
    ),
    ...(data.priority === undefined || data.priority === null ? [] : [`its priority to ${data.priority}`]),
    ...[...data.cleared.map((field) => NAMES[field]), ...(data.priority === null ? ['priority'] : [])].map(
      (name) => `its ${name} to nothing`,
    ),
  ]
  return said.join(' and ')
}

function quotedValue(field: Field, open: Texts | undefined): string {
  const value = open?.[field]
  if (value === undefined) return 'something that has been erased'
  return field === 'due' ? value : inQuotes(value)
}

const due = (open: Texts | undefined): string => (open?.due === undefined ? '' : `, due ${open.due}`)

export const says: Says<TodoEvent> = {
  TodoAdded: (event, names) =>
    `added ${quoted(event.sealed.open?.text)}${elsewhere(event, 'to', names)}${due(event.sealed.open)}`,
  TodoChanged: (event, names) =>
    `changed ${quoted(event.sealed.open?.excerpt)}${elsewhere(event, 'on', names)}: ${changesOf(event)}`,
  TodoCompleted: (event, names) => `completed ${quoted(event.sealed.open?.excerpt)}${elsewhere(event, 'on', names)}`,
  TodoReopened: (event, names) => `reopened ${quoted(event.sealed.open?.excerpt)}${elsewhere(event, 'on', names)}`,
  TodoMoved: (event, names) => `moved ${quoted(event.sealed.open?.excerpt)}${elsewhere(event, 'on', names)}`,
  TodoDeleted: (event, names) => `deleted ${quoted(event.sealed.open?.excerpt)}${elsewhere(event, 'from', names)}`,
  TodoUndeleted: (event, names) =>
    `undid the deletion of ${quoted(event.sealed.open?.excerpt)}${elsewhere(event, 'on', names)}`,
}
