/** What domain tests stand on: a state that given facts have made, and decisions that are taken into it. */

import { dropExpired, type Event, evolve, initial, type State, tablesOf } from '../../src/domain/domain.ts'
import type { ListLimits } from '../../src/domain/edits.ts'
import { type Actor, type Decision, type Fact, type Recorded, storedSize } from '../../src/domain/shape.ts'
import { deletedInOrder, type Field, keptInOrder, openInOrder, type Priority, textOf } from '../../src/domain/todos.ts'

/** Noon, when every history begins. ms since 1970. */
export const NOON = Date.UTC(2026, 10, 20, 12)
export const [SECOND, MINUTE, HOUR, DAY] = [1000, 60_000, 3_600_000, 86_400_000] as const

const ACTOR: Actor = { kind: 'system', id: 'test' }

/** What has happened, one event after the other, and the state that it made. */
export class History {
  readonly state: State = initial()
  readonly events: Recorded<Event>[] = []
  /** Users whose key is gone: what was sealed under it no longer opens. */
  readonly erased = new Set<string>()
  now = NOON

  /** It happened, now, in this order. */
  given(...facts: Event[]): this {
    for (const fact of facts) {
      const event = this.#recorded(fact)
      this.events.push(event)
      evolve(this.state, event)
    }
    return this
  }

  /** Takes what a decision leaves into the history, also what a refusal leaves. Gives the decision. */
  when<F extends Fact, T>(decision: Decision<F, T>): Decision<F, T> {
    return this.given(...(decision.facts as unknown as Event[])) && decision
  }

  /** What has expired by then is let go of, as the ledger does it. */
  sweep(now: number): void {
    for (;;) {
      const decision = this.when(dropExpired(this.state, now))
      if (decision.refusal !== undefined || !decision.result) return
    }
  }

  /** Every row of the state, by table and key, as plain data with its personal text opened. */
  rows(state = this.state): { readonly [table: string]: { readonly [key: string]: unknown } } {
    const tables = tablesOf(state).map(([name, rows]) => [name, JSON.parse(JSON.stringify([...rows.entries()].sort()))])
    return Object.fromEntries(tables.map(([name, rows]) => [name, Object.fromEntries(rows)]))
  }

  /** The state that the same events make once more. */
  replayed(): State {
    const state = initial()
    for (const event of this.events) evolve(state, event)
    return state
  }

  #recorded(fact: Event): Recorded<Event> {
    const { erased } = this
    const seq = this.events.length + 1
    const { type, data, personal } = fact as { personal?: object } & Event
    const { owner: of, user } = data as { owner?: string; user?: string }
    const owner = of ?? user ?? 'anonymous'
    const sealed = {
      get open() {
        return erased.has(owner) ? undefined : personal
      },
      size: storedSize(personal ?? {}),
    }
    const at = new Date(this.now).toISOString()
    const event = { seq, id: `event-${seq}`, at, type, actor: ACTOR, via: {}, data }
    return (personal === undefined ? event : { ...event, sealed }) as Recorded<Event>
  }
}

/** The keys of a table's rows, in alphabetical order. */
export const keysOf = (table: { entries(): Iterable<[string, unknown]> }): string[] =>
  [...table.entries()].map(([key]) => key).sort()

export const registered = (user: string, username = user, email?: string): Event => ({
  type: 'UserRegistered',
  data: { user, admin: false },
  personal: email === undefined ? { username } : { username, email },
})

/** Limits that no test meets by accident. */
export const AMPLE: ListLimits = { open: 1000, size: 1e9, sizeOfAll: 1e9 }

type Texts = { readonly text: string; readonly notes?: string; readonly due?: string }

/** A to-do was added to the end of that list. */
export const todoAdded = (owner: string, todo: string, texts: Texts, priority: Priority | null = null): Event => ({
  type: 'TodoAdded',
  data: { todo, owner, priority, fields: Object.keys(texts) as Field[] },
  personal: texts,
})

/** The texts of the open to-dos of a list, in order; '' for one that cannot be read any more. */
export const openTexts = ({ state }: History, owner: string): string[] =>
  openInOrder(state, owner).map(([, todo]) => textOf(todo, 'text') ?? '')

/** All rows of a list in order: open, done and deleted ones. */
export const allInOrder = (state: State, owner: string) =>
  [...keptInOrder(state, owner), ...deletedInOrder(state, owner)].sort(([, a], [, b]) => a.rank - b.rank)

export const CALLBACK = 'https://chat.openai.com/aip/plugin-1/oauth/callback'

/** What an operator's client has not. */
export const BY_OPERATOR = {
  registration: 'operator',
  expiresAt: null,
  authMethod: null,
  registrationToken: null,
} as const

export const chatgpt: Event[] = [
  {
    type: 'ClientRegistered',
    data: {
      client: 'chatgpt',
      clientId: 'id-of-chatgpt',
      name: 'ChatGPT',
      secret: 'digest-of-secret',
      secretFrom: 'settings',
      grantTypes: ['authorization_code', 'refresh_token'],
      ...BY_OPERATOR,
    },
  },
  { type: 'RedirectUriAllowed', data: { client: 'chatgpt', uri: CALLBACK, from: 'settings' } },
]

export const signedIn = (user: string, session: string, expiresAt = NOON + 14 * DAY): Event => ({
  type: 'SignedIn',
  data: { user, session, expiresAt, replaces: null },
})

const ASKED = { client: 'chatgpt', redirectUri: CALLBACK, scope: 'todos:read todos:write', challenge: null }

export type Wanted = {
  scope?: string
  challenge?: string | null
  resource?: string | null
  client?: string
  redirectUri?: string
}

export const consentRequested = (user: string, session: string, request: string, wanted: Wanted = {}): Event => ({
  type: 'ConsentRequested',
  data: { request, user, session, expiresAt: NOON + 30 * MINUTE, replaces: null, ...ASKED, resource: null, ...wanted },
  personal: { state: `state of ${request}` },
})

export const codeIssued = (user: string, code: string, wanted: Wanted = {}): Event => ({
  type: 'CodeIssued',
  data: { code, grant: `grant-${code}`, user, ...ASKED, resource: null, expiresAt: NOON + MINUTE, ...wanted },
})

/** The code `code` was redeemed for the tokens `access-CODE` and `refresh-CODE`. */
export const tokenIssued = (user: string, code: string, wanted: Wanted = {}): Event => ({
  type: 'TokenIssued',
  data: {
    code,
    grant: `grant-${code}`,
    user,
    client: wanted.client ?? 'chatgpt',
    resource: wanted.resource ?? null,
    grantExpiresAt: NOON + 90 * DAY,
    replaces: null,
    access: `access-${code}`,
    accessExpiresAt: NOON + HOUR,
    refresh: `refresh-${code}`,
    refreshExpiresAt: NOON + 30 * DAY,
    scope: wanted.scope ?? ASKED.scope,
  },
})
