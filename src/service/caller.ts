/** Callers: who acts, how the request came, and whether they still may in the turn of each decision. */
import type { Client } from '../domain/clients.ts'
import { sessionUser } from '../domain/sessions.ts'
import type { Actor, Trace, Via } from '../domain/shape.ts'
import type { User } from '../domain/users.ts'
import type { Caller as Acting } from '../ledger/ledger.ts'
import { type Meter, networkOf } from './limits.ts'

/** How a request came, as its surface knows it. */
export type Provenance = {
  readonly via: Via
  readonly trace: Trace
  /** Collects what the limits said, for the surface to tell. */
  readonly meter: Meter
}

export type Caller = Acting & Provenance

/** For callers whose right to act does not end: strangers, the command line, Daybook itself. */
const always = (): undefined => undefined

export const ANONYMOUS: Actor = { kind: 'anonymous', id: 'anonymous' }

/** Somebody who showed no credentials, or whose credentials are only being checked. */
export const anonymous = (from: Provenance): Caller => ({ ...from, actor: ANONYMOUS, holds: always })

/** The command line, on the machine itself. @param request names this command in the audit */
export const operator = (request: string): Caller => ({
  actor: { kind: 'operator', id: 'cli' },
  via: { request },
  trace: {},
  meter: [],
  holds: always,
})

/** Daybook itself, as at a start. */
export const daybook: Caller = {
  actor: { kind: 'system', id: 'daybook' },
  via: {},
  trace: {},
  meter: [],
  holds: always,
}

/** A signed-in visitor of the pages. `session` is the digest under which the session stands. */
export type SignedIn = { readonly session: string; readonly user: User }

/** Refuses `session_ended` once the session has ended or its user is revoked. */
export const sessionCaller = (from: Provenance, { session, user }: SignedIn): Caller => ({
  ...from,
  actor: { kind: 'user', id: user.id },
  holds: (state, now) => (sessionUser(state, session, now)?.id === user.id ? undefined : 'session_ended'),
})

/** An operator who is signed in on the pages. Refuses `session_missing` and `operator_only`. */
export const adminCaller = (from: Provenance, { session, user }: SignedIn): Caller => ({
  ...from,
  actor: { kind: 'user', id: user.id },
  holds(state, now) {
    const found = sessionUser(state, session, now)
    if (found?.id !== user.id) return 'session_missing'
    return found.admin ? undefined : 'operator_only'
  },
})

/** An OAuth client that has authenticated. Refuses `client_unauthenticated` once its secret changed or it was removed. */
export const clientCaller = (from: Provenance, client: Client): Caller => ({
  ...from,
  actor: { kind: 'client', id: client.id },
  via: { ...from.via, client: client.id },
  holds: (state) => (state.clients.get(client.id)?.secret === client.secret ? undefined : 'client_unauthenticated'),
})

/** By which address limits count: the network that a request came from. */
export const addressOf = ({ trace }: Provenance): string => networkOf(trace.ip ?? '')
