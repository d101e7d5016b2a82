/** The register: all that can happen, and all that is then known. A new room is a word in each list. */
import * as approvals from './approvals.ts'
import * as book from './book.ts'
import * as clients from './clients.ts'
import * as consents from './consents.ts'
import * as grants from './grants.ts'
import * as keys from './keys.ts'
import * as lists from './lists.ts'
import * as outcomes from './outcomes.ts'
import * as service from './service.ts'
import * as sessions from './sessions.ts'
import { accept, type Decision, type Names, type Recorded } from './shape.ts'
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
  | approvals.ApprovalEvent
  | grants.GrantEvent
  | keys.KeyEvent
  | service.ServiceEvent
  | lists.ListEvent
  | todos.TodoEvent
  | outcomes.OutcomeEvent

const rooms = [book, users, clients, sessions, consents, approvals, grants, keys, service, lists, todos, outcomes]

/** Everything that is known: the rows of every room. */
export type State = users.Users &
  clients.Clients &
  sessions.Sessions &
  consents.Consents &
  approvals.Approvals &
  grants.Grants &
  keys.Keys &
  service.Services &
  lists.Lists &
  todos.Todos &
  outcomes.Outcomes

const says = {
  ...book.says,
  ...users.says,
  ...clients.says,
  ...sessions.says,
  ...consents.says,
  ...approvals.says,
  ...grants.says,
  ...keys.says,
  ...service.says,
  ...lists.says,
  ...todos.says,
  ...outcomes.says,
} satisfies { [T in Event['type']]: unknown }

/** A state in which nothing has happened. */
export const initial = (sight = new Sight()): State => ({
  ...users.tables(sight),
  ...clients.tables(sight),
  ...sessions.tables(sight),
  ...consents.tables(sight),
  ...approvals.tables(sight),
  ...grants.tables(sight),
  ...keys.tables(sight),
  ...service.tables(sight),
  ...lists.tables(sight),
  ...todos.tables(sight),
  ...outcomes.tables(sight),
})

type Handlers = { readonly [type in string]?: (state: State, event: Recorded<Event>) => void }
const handlers = rooms.map((room): Handlers => room.on as Handlers)

/** Carries an event into the rows of every room that cares. */
export function evolve(state: State, event: Recorded<Event>): void {
  for (const on of handlers) on[event.type]?.(state, event)
}

/** How many rows go at once, or a few more: whole minutes go together. */
const MOST_AT_ONCE = 10_000

/**
 * Lets go of what has expired: the book remembers, memory does not grow. It is an event, so that the book replayed
 * gives the same rows whatever the clock did. Gives whether there is more to let go of.
 */
export function dropExpired(state: State, now: number): Decision<Event, boolean> {
  const due = new Map<number, number>()
  for (const [, table] of tablesOf(state).filter(([, table]) => table.hasIndex('minute')))
    for (const minute of table.valuesOf('minute')) {
      const ends = (Number(minute) + 1) * 60_000
      if (ends <= now) due.set(ends, (due.get(ends) ?? 0) + table.countBy('minute', minute))
    }
  let until: number | undefined
  let rows = 0
  for (const ends of [...due.keys()].sort((a, b) => a - b)) {
    if (rows >= MOST_AT_ONCE) break
    rows += due.get(ends)!
    due.delete(ends)
    until = ends
  }
  if (until === undefined) return accept([], false)
  return accept([{ type: 'ExpiredDropped', data: { until } }], due.size > 0)
}

/** The tables of a state by name, as the ledger mirrors them. */
export const tablesOf = (state: State): [string, Table<object, string>][] =>
  Object.entries(state) as [string, Table<object, string>][]

export const eventTypes = Object.keys(says) as Event['type'][]

/** One human sentence about an event, without its subject. */
export const describe = (event: Recorded<Event>, state: State): string => {
  const names: Names = {
    user: (id) => lists.listNameOf(state, id) ?? users.usernameOf(state, id),
    client: (id) => clients.appNameOf(state, id),
  }
  return (says[event.type] as (event: Recorded<Event>, names: Names) => string)(event, names)
}
