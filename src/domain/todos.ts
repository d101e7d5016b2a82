/** To-dos: each user's list, in the order in which it was written. */
import type { ListEvent } from './lists.ts'
import { accept, type Decision, type Names, type On, type Recorded, refuse, type Says, type Sealed } from './shape.ts'
import { type Sight, Table } from './table.ts'
import type { UserEvent } from './users.ts'

export type TodoEvent =
  | { type: 'TodoAdded'; data: { todo: string; user: string }; personal: { text: string } }
  | { type: 'TodoDeleted'; data: { todo: string; user: string }; personal: { text: string } }

export type Todo = {
  readonly user: string
  /** Where it was added in the book: the order of the list, whatever the clock did. */
  readonly seq: number
  readonly sealed: Sealed<{ text: string }>
  readonly createdAt: string
}
export type Todos = { readonly todos: Table<Todo, 'user'> }

/** About what it takes in memory, sealed and opened: bytes. */
const sizeOf = (todo: Todo): number => 2 * todo.sealed.size + 800

export const tables = (sight: Sight): Todos => ({
  todos: new Table<Todo, 'user'>(sight, { user: (todo) => todo.user }, sizeOf),
})

type Ends = Extract<UserEvent, { type: 'UserErased' }> | Extract<ListEvent, { type: 'ListErased' }>
export const on: On<Todos, TodoEvent | Ends> = {
  TodoAdded: ({ todos }, { seq, at, sealed, data: { todo, user } }) =>
    todos.set(todo, { user, seq, sealed, createdAt: at }),
  TodoDeleted: ({ todos }, { data }) => todos.delete(data.todo),
  UserErased: ({ todos }, { data }) => todos.deleteBy('user', data.user),
  ListErased: ({ todos }, { data }) => todos.deleteBy('user', data.user),
}

const quoted = (sealed: Sealed<{ text: string }>): string =>
  sealed.open === undefined ? 'a to-do that has been erased' : `“${beginning(sealed.open.text)}”`

/** A sentence tells how a long text begins; the event has all of it. */
const beginning = (text: string): string => {
  const signs = [...text.slice(0, 4 * MAX_TOLD)]
  return signs.length <= MAX_TOLD ? text : `${signs.slice(0, MAX_TOLD).join('')}…`
}
const MAX_TOLD = 80

/** Which list, where it is not the actor's own. */
const elsewhere = ({ actor, data }: Recorded<TodoEvent>, word: string, names: Names): string =>
  actor.id === data.user ? '' : `${word} the list of ${names.user(data.user)}`

export const says: Says<TodoEvent> = {
  TodoAdded: (event, names) => `added ${quoted(event.sealed)}${elsewhere(event, ' to', names)}`,
  TodoDeleted: (event, names) => `deleted ${quoted(event.sealed)}${elsewhere(event, ' from', names)}`,
}

/** The longest text of a to-do, in Unicode code points. */
export const MAX_TEXT_LENGTH = 10_000

/** What is wrong with the text of a to-do, if anything. */
export function textWrong(text: string): 'todo_text_invalid' | 'todo_too_long' | undefined {
  // Lone surrogates have no UTF-8 form, so a text with one could not be proved (RFC 8785 §3.2.2.2).
  if (text.trim() === '' || !text.isWellFormed()) return 'todo_text_invalid'
  return text.length > MAX_TEXT_LENGTH && [...text].length > MAX_TEXT_LENGTH ? 'todo_too_long' : undefined
}

type Item = { readonly id: string; readonly text: string }

/**
 * A user's open to-dos in order; the place in this list is what the plugin calls `todo_idx`. Their texts are opened one
 * by one as they are taken.
 * @param from the index to begin at
 */
export function* openTodos({ todos }: Todos, user: string, from = 0): Generator<Item> {
  for (const [id, todo] of ordered(todos, user).slice(from)) yield { id, text: textOf(todo) }
}

const textOf = (todo: Todo): string => todo.sealed.open?.text ?? ''
const ordered = (todos: Todos['todos'], user: string): [string, Todo][] =>
  todos
    .keysBy('user', user)
    .map((id): [string, Todo] => [id, todos.get(id)!])
    .sort(([, a], [, b]) => a.seq - b.seq)

/** How many to-dos a list may hold, and what those of one list, and of all lists, may take in memory: bytes. */
export type Most = { readonly open: number; readonly size: number; readonly sizeOfAll: number }
type Add = { user: string; todo: string; text: string; most: Most }

/** Refuses `todo_text_invalid`, `todo_too_long`, `list_full`, `daybook_full`. Gives the new to-do's index. */
export function addTodo({ todos }: Todos, { user, todo, text, most }: Add): Decision<TodoEvent, number> {
  const wrong = textWrong(text)
  if (wrong !== undefined) return refuse(wrong)
  const index = todos.countBy('user', user)
  if (index >= most.open || todos.sizeBy('user', user) >= most.size) return refuse('list_full')
  // All of it is held in memory, whoever wrote it.
  if (todos.totalSize >= most.sizeOfAll) return refuse('daybook_full')
  return accept([{ type: 'TodoAdded', data: { todo, user }, personal: { text } }], index)
}

/** @param text what the caller believes stands at that index; if given it must. */
type Delete = { user: string; index: number; text: string | undefined }

/** Refuses `todo_index_unknown`, `todo_differs`. Gives what was deleted. */
export function deleteTodo({ todos }: Todos, { user, index, text }: Delete): Decision<TodoEvent, Item> {
  const found = ordered(todos, user)[index]
  if (found === undefined) return refuse('todo_index_unknown')
  const item = { id: found[0], text: textOf(found[1]) }
  if (text !== undefined && text !== item.text) return refuse('todo_differs')
  return accept([{ type: 'TodoDeleted', data: { todo: item.id, user }, personal: { text: item.text } }], item)
}
