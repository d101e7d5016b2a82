/** Agenda: finding to-dos: by state, due date and words; sorted; a page at a time; and what is next. */
import { isBefore, sortKeyOf } from './due.ts'
import { deletedInOrder, type Item, itemOf, keptInOrder, openInOrder, type Todo, type Todos } from './todos.ts'

export const STATES = ['open', 'done', 'all', 'deleted'] as const
export const SORTS = ['order', 'due', 'priority', 'created', 'updated'] as const

/** Which to-dos are wanted. `all` are the open and the done ones. Bounds are due dates. */
export type Filter = {
  readonly state: (typeof STATES)[number]
  /** Words in lower case, all of which the text or the notes must contain; upper and lower case there are alike. */
  readonly words: readonly string[]
  /** Due before this day or time; without it. */
  readonly dueBefore: string | undefined
  /** Due on this day or at this time, or after it. */
  readonly dueAfter: string | undefined
}

/** Where a page ended: the sort key of its last to-do, and its id. */
export type Position = { readonly key: string | number; readonly rank: number; readonly id: string }

export type Search = {
  readonly owner: string
  readonly filter: Filter
  readonly sort: (typeof SORTS)[number]
  /** The most to-dos of a page, and about the most characters of its JSON. A page has at least one to-do. */
  readonly limit: number
  readonly maxCharacters: number
  /** Where the page before ended. */
  readonly after: Position | undefined
}

/** `total` counts what the filter is for, on all pages. */
export type Page = { readonly items: readonly Item[]; readonly next: Position | undefined; readonly total: number }

type Row = readonly [id: string, todo: Todo]

const rowsOf: { readonly [S in Filter['state']]: (rows: Todos, owner: string) => Row[] } = {
  open: openInOrder,
  done: (rows, owner) => keptInOrder(rows, owner).filter(([, { doneAt }]) => doneAt !== null),
  all: keptInOrder,
  deleted: deletedInOrder,
}

function isWanted(item: Item, { words, dueBefore, dueAfter }: Filter): boolean {
  if (dueBefore !== undefined && (item.due === null || !isBefore(item.due, dueBefore))) return false
  if (dueAfter !== undefined && (item.due === null || isBefore(item.due, dueAfter))) return false
  if (words.length === 0) return true
  const text = `${item.todo}\n${item.notes ?? ''}`.toLowerCase()
  return words.every((word) => text.includes(word))
}

/** By what a list is sorted: smaller keys first; equal ones in the person's order. */
const keyOf: { readonly [S in Search['sort']]: (item: Item, rank: number) => string | number } = {
  order: (_, rank) => rank,
  due: ({ due }) => (due === null ? '~' : sortKeyOf(due)),
  priority: ({ priority }) => priority ?? 5,
  created: ({ created_at: at }) => at,
  // The newest first: what was just done is what people ask for.
  updated: ({ updated_at: at }) => -Date.parse(at),
}

type Found = Position & { readonly item: Item }

const compare = (a: Position, b: Position): number => {
  if (a.key !== b.key) return a.key < b.key ? -1 : 1
  return a.rank - b.rank || (a.id < b.id ? -1 : a.id === b.id ? 0 : 1)
}

export function findTodos(rows: Todos, search: Search): Page {
  const { owner, filter, sort, limit, maxCharacters, after } = search
  const all: Found[] = rowsOf[filter.state](rows, owner)
    .map((row) => ({ id: row[0], rank: row[1].rank, item: itemOf(row) }))
    .filter(({ item }) => isWanted(item, filter))
    .map((found) => ({ ...found, key: keyOf[sort](found.item, found.rank) }))
  if (sort !== 'order') all.sort(compare)
  const rest = after === undefined ? all : all.filter((found) => compare(found, after) > 0)
  const page: Found[] = []
  let characters = 0
  for (const found of rest) {
    characters += JSON.stringify(found.item).length + 1
    if (page.length === limit || (page.length > 0 && characters > maxCharacters)) break
    page.push(found)
  }
  const last = page.length < rest.length ? page.at(-1) : undefined
  const next = last && { key: last.key, rank: last.rank, id: last.id }
  return { items: page.map(({ item }) => item), next, total: all.length }
}

/** How many to-dos there are, and what is next. */
export type Overview = {
  readonly open: number
  readonly done: number
  readonly deleted: number
  readonly overdue: number
  readonly due_today: number
  readonly next: readonly Item[]
}

/** How many of the next to-dos an overview names. */
const NEXT = 5

/**
 * @param today the person's date: what was due on a day before is overdue
 * @returns what is next: by due date, then by priority, then in the person's order
 */
export function overviewOf(rows: Todos, owner: string, today: string): Overview {
  const open = openInOrder(rows, owner).map((row) => ({ item: itemOf(row), rank: row[1].rank }))
  const dues = open.flatMap(({ item }) => item.due ?? [])
  const next = open.map(({ item, rank }) => ({
    item,
    id: item.id,
    rank,
    key: `${keyOf.due(item, 0)} ${item.priority ?? 5}`,
  }))
  return {
    open: open.length,
    done: rows.todos.countBy('owner', owner) - open.length,
    deleted: rows.todos.countBy('bin', owner),
    overdue: dues.filter((due) => isBefore(due, today)).length,
    due_today: dues.filter((due) => due.startsWith(today)).length,
    next: next
      .sort(compare)
      .slice(0, NEXT)
      .map(({ item }) => item),
  }
}
