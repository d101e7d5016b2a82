/** What tests of edits stand on: a list of Alice’s, and the decisions about it in a word each. */
import { deleteTodos, undeleteTodos } from '../../src/domain/deletions.ts'
import {
  addTodos,
  type Change,
  changeTodo,
  getItem,
  moveTodo,
  type NewTodo,
  type Place,
  setDone,
} from '../../src/domain/edits.ts'
import { storedSize } from '../../src/domain/shape.ts'
import { type Item, keptInOrder } from '../../src/domain/todos.ts'
import { AMPLE, History, NOON, SECOND, todoAdded } from './_history.ts'

export const NOW = new Date(NOON).toISOString()
export const LATER = new Date(NOON + SECOND).toISOString()
export const draft = (id: string, more: Partial<NewTodo> = {}): NewTodo => ({
  ...{ id, text: `text of ${id}`, notes: null, due: null, priority: null },
  ...more,
})
export const item = (id: string, more: Partial<Item> = {}): Item => ({
  ...{ id, todo: `text of ${id}`, done: false, due: null, priority: null, notes: null },
  ...{ created_at: NOW, updated_at: NOW, done_at: null },
  ...more,
})
/** Alice’s list with these to-dos, and one of Bob’s; a second has passed. */
export function start(...ids: string[]): History {
  const history = new History().given(...ids.map((id) => todoAdded('alice', id, { text: `text of ${id}` })))
  history.given(todoAdded('bob', 'his', { text: 'text of his' }))
  history.now += SECOND
  return history
}
export const add = (history: History, items: readonly NewTodo[], limits = AMPLE, owner = 'alice') =>
  addTodos(history.state, { owner, items, limits }, history.now)
export const edit = (history: History, id: string, change: Change, limits = AMPLE, expects?: (one: Item) => boolean) =>
  changeTodo(history.state, { owner: 'alice', id, change, limits, expects }, history.now)
export const several = (ids: readonly string[], limits = AMPLE) => ({ owner: 'alice', ids, limits })
export const complete = (history: History, ids: string[], limits = AMPLE) =>
  setDone(history.state, { ...several(ids, limits), done: true }, history.now)
export const reopen = (history: History, ids: string[], limits = AMPLE) =>
  setDone(history.state, { ...several(ids, limits), done: false }, history.now)
export const remove = (history: History, ids: string[], limits = AMPLE) =>
  deleteTodos(history.state, several(ids, limits), history.now)
export const undo = (history: History, ids: string[], limits = AMPLE) =>
  undeleteTodos(history.state, several(ids, limits), history.now)
export const move = (history: History, id: string, place: Place) =>
  moveTodo(history.state, { owner: 'alice', id, place })
/** The ids of Alice’s list as it stands, open and done. */
export const idsOf = (history: History): string[] => keptInOrder(history.state, 'alice').map(([id]) => id)
export const itemsOf = (history: History): (Item | undefined)[] =>
  idsOf(history).map((id) => getItem(history.state, 'alice', id))
export const of = (todo: string) => ({ todo, owner: 'alice' })
export const excerpt = (id: string) => ({ excerpt: `text of ${id}` })

/** What a to-do with this text takes in memory, as the tables count it. bytes */
export const sizeOf = (texts: object): number => 1100 + 2 * storedSize(texts)
