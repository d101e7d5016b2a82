/** Lists: whose to-dos a path names. A user's own; or, where nobody signs in, any name, each a list of its own. */
import { accept, type Decision, type Fact, type On, refuse, type Says, type Sealed } from './shape.ts'
import { type Sight, Table } from './table.ts'
import { eraseUser, type UserEvent, type Users, userKeyName } from './users.ts'

/** `owner` is the id of the list: in the events of its to-dos it stands where a user's id would. Names are personal. */
export type ListEvent =
  | { type: 'ListOpened'; data: { owner: string }; personal: { name: string } }
  | { type: 'ListErased'; data: { owner: string } }

type List = { readonly sealed: Sealed<{ name: string }>; readonly createdAt: string }
export type Lists = { readonly lists: Table<List, 'name'> }

export const tables = (sight: Sight): Lists => ({
  lists: new Table<List, 'name'>(sight, { name: (list) => list.sealed.open?.name.toLowerCase() }),
})

export const on: On<Lists, ListEvent> = {
  ListOpened: ({ lists }, { at, sealed, data }) => lists.set(data.owner, { sealed, createdAt: at }),
  ListErased: ({ lists }, { data }) => lists.delete(data.owner),
}

export const says: Says<ListEvent> = {
  ListOpened: ({ sealed }) =>
    sealed.open === undefined ? 'began a list that has been erased' : `began the list “${sealed.open.name}”`,
  ListErased: ({ data }) => `erased the list ${data.owner}: nobody can read what was on it any more`,
}

/** Whose to-dos: a user's by id, or a list's by name, in any case. */
export type Owner = { readonly user: string } | { readonly list: string }

/** The id under which the to-dos stand; `undefined` for a list that nobody has written to yet. */
export const ownerId = ({ lists }: Lists, owner: Owner): string | undefined =>
  'user' in owner ? owner.user : lists.keysBy('name', owner.list.toLowerCase())[0]

/** The name of a list, for people to read. */
export const listNameOf = ({ lists }: Lists, id: string): string | undefined => lists.get(id)?.sealed.open?.name

/** Takes away a list's key and rows, as `eraseUser` does a user's. Refuses `user_unknown`. */
export function eraseList(rows: Lists, name: string): Decision<ListEvent> {
  const owner = ownerId(rows, { list: name.trim() })
  if (owner === undefined) return refuse('user_unknown')
  return accept([{ type: 'ListErased', data: { owner } }], undefined, { [userKeyName(owner)]: undefined })
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

/**
 * Takes a decision on a list. One that nobody has written to yet begins with it, unless it refuses.
 * @param begin a fresh id and sealing key, called only where a list begins
 * Refuses `lists_too_many`, and as the decision does.
 */
export function inList<F extends Fact, T>(
  rows: Lists,
  owner: Owner,
  begin: () => { readonly id: string; readonly key: string },
  decide: (owner: string) => Decision<F, T>,
): Decision<ListEvent | F, T> {
  const known = ownerId(rows, owner)
  if (known !== undefined || 'user' in owner) return decide(known ?? '')
  if (rows.lists.size >= MAX_LISTS) return refuse('lists_too_many')
  const { id, key } = begin()
  const decision = decide(id)
  if (decision.refusal !== undefined) return decision
  const opened: ListEvent = { type: 'ListOpened', data: { owner: id }, personal: { name: owner.list } }
  const keeps = { ...decision.keeps, [userKeyName(id)]: key }
  return accept<ListEvent | F, T>([opened, ...decision.facts], decision.result, keeps)
}
