/** The register: all that can happen, and all that is then known. A new room is a word in each list. */
import * as book from './book.ts'
import * as clients from './clients.ts'
import * as consents from './consents.ts'
import * as grants from './grants.ts'
import * as sessions from './sessions.ts'
import type { Names, Recorded } from './shape.ts'
import { Sight, type Table } from './table.ts'
import * as todos from './todos.ts'
import * as users from './users.ts'

/** Everything that can happen. */
export type Event =
  | book.BookEvent
  | users.UserEvent
  | clients.ClientEvent
  | sessions.SessionEvent
  | consents.ConsentEvent
  | grants.GrantEvent
  | todos.TodoEvent

const rooms = [book, users, clients, sessions, consents, grants, todos]

/** Everything that is known: the rows of every room. */
export type State = users.Users & clients.Clients & sessions.Sessions & consents.Consents & grants.Grants & todos.Todos

const says = {
  ...book.says,
  ...users.says,
  ...clients.says,
  ...sessions.says,
  ...consents.says,
  ...grants.says,
  ...todos.says,
} satisfies { [T in Event['type']]: unknown }

/** A state in which nothing has happened. */
export const initial = (sight = new Sight()): State => ({
  ...users.tables(sight),
  ...clients.tables(sight),
  ...sessions.tables(sight),
  ...consents.tables(sight),
  ...grants.tables(sight),
  ...todos.tables(sight),
})

type Handlers = { readonly [type in string]?: (state: State, event: Recorded<Event>) => void }
const handlers = rooms.map((room): Handlers => room.on as Handlers)

/** Carries an event into the rows of every room that cares. */
export function evolve(state: State, event: Recorded<Event>): void {
  for (const on of handlers) on[event.type]?.(state, event)
}

/** Drops what has expired. The book remembers; memory does not grow. */
export function sweep(state: State, now: number): void {
  for (const room of [clients, sessions, consents, grants]) room.sweep(state, now)
}

/** The tables of a state by name, as the ledger mirrors them. */
export const tablesOf = (state: State): [string, Table<object, string>][] =>
  Object.entries(state) as [string, Table<object, string>][]

export const eventTypes = Object.keys(says) as Event['type'][]

/** One human sentence about an event, without its subject. */
export const describe = (event: Recorded<Event>, state: State): string => {
  const names: Names = {
    user: (id) => users.usernameOf(state, id),
    client: (id) => state.clients.get(id)?.name ?? id,
  }
  return (says[event.type] as (event: Recorded<Event>, names: Names) => string)(event, names)
}
