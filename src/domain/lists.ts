/** Lists: whose to-dos a path names. A user's own; or, where nobody signs in, any name, each a list of its own. */
import { accept, type Decision, type On, refuse, type Says, type Sealed } from './shape.ts'
import { type Sight, Table } from './table.ts'
import { addTodo, type Most, type TodoEvent, type Todos } from './todos.ts'
import { eraseUser, type UserEvent, type Users, userKeyName } from './users.ts'

/** In the events of its to-dos a list stands where a user would. Its name may be somebody's, so it is personal. */
export type ListEvent =
  | { type: 'ListOpened'; data: { user: string }; personal: { name: string } }
  | { type: 'ListErased'; data: { user: string } }

type List = { readonly sealed: Sealed<{ name: string }>; readonly createdAt: string }
export type Lists = { readonly lists: Table<List, 'name'> }

export const tables = (sight: Sight): Lists => ({
  lists: new Table<List, 'name'>(sight, { name: (list) => list.sealed.open?.name.toLowerCase() }),
})

export const on: On<Lists, ListEvent> = {
  ListOpened: ({ lists }, { at, sealed, data }) => lists.set(data.user, { sealed, createdAt: at }),
  ListErased: ({ lists }, { data }) => lists.delete(data.user),
}

export const says: Says<ListEvent> = {
  ListOpened: ({ sealed }) =>
    sealed.open === undefined ? 'began a list that has been erased' : `began the list “${sealed.open.name}”`,
  ListErased: ({ data }) => `erased the list ${data.user}: nobody can read what was on it any more`,
}

/** Whose to-dos: a user's by id, or a list's by name, in any case. */
export type Owner = { readonly user: string } | { readonly list: string }

/** Under which id the to-dos stand; `undefined` for a list that nobody has written to yet. */
export const ownerId = ({ lists }: Lists, owner: Owner): string | undefined =>
  'user' in owner ? owner.user : lists.keysBy('name', owner.list.toLowerCase())[0]

/** The name of a list, for people to read. */
export const listNameOf = ({ lists }: Lists, id: string): string | undefined => lists.get(id)?.sealed.open?.name

/** Takes away a list's key and rows, as `eraseUser` does a user's. Refuses `user_unknown`. */
export function eraseList(rows: Lists, name: string): Decision<ListEvent> {
  const user = ownerId(rows, { list: name.trim() })
  if (user === undefined) return refuse('user_unknown')
  return accept([{ type: 'ListErased', data: { user } }], undefined, { [userKeyName(user)]: undefined })
}

/**
 * All that goes by that name: an account; a list, where lists are named; or, where both were used, both.
 * Refuses `user_unknown`.
 */
export function eraseNamed(rows: Lists & Users, name: string): Decision<ListEvent | UserEvent> {
  const [user, list] = [eraseUser(rows, name), eraseList(rows, name)]
  if (user.refusal !== undefined) return list
  if (list.refusal !== undefined) return user
  const facts: readonly (ListEvent | UserEvent)[] = [...user.facts, ...list.facts]
  return accept<ListEvent | UserEvent, undefined>(facts, undefined, { ...user.keeps, ...list.keeps })
}

/** How many lists there may be where anybody may begin one. */
const MAX_LISTS = 10_000

type Add = { owner: Owner; todo: string; text: string; most: Most; list: { id: string; key: string } }

/**
 * Adds to a list, and begins it first where it is not there: `list` is what it is then.
 * Refuses `lists_too_many`, and as `addTodo` does.
 */
export function addTo(rows: Lists & Todos, input: Add): Decision<ListEvent | TodoEvent, number> {
  const { owner, list, ...todo } = input
  const id = ownerId(rows, owner)
  if (id !== undefined) return addTodo(rows, { ...todo, user: id })
  if (rows.lists.size >= MAX_LISTS) return refuse('lists_too_many')
  const added = addTodo(rows, { ...todo, user: list.id })
  if (added.refusal !== undefined) return added
  const name = 'list' in owner ? owner.list : owner.user
  const opened: ListEvent = { type: 'ListOpened', data: { user: list.id }, personal: { name } }
  return accept<ListEvent | TodoEvent, number>([opened, ...added.facts], added.result, {
    [userKeyName(list.id)]: list.key,
  })
}
