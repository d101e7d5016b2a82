/** Consents: an authorization request while its user decides about it (RFC 6749 §4.1.1, §4.1.2). */
import { type Approvals, isApproved } from './approvals.ts'
import type { ExpiredDropped } from './book.ts'
import {
  type Client,
  type ClientEvent,
  type Clients,
  clientByClientId,
  isAllowedRedirect,
  isPublic,
} from './clients.ts'
import type { CodeIssued } from './grants.ts'
import { normalizeScope } from './scopes.ts'
import { type SessionEvent, type Sessions, sessionUser } from './sessions.ts'
import { accept, type Decision, type On, type Reason, refuse, type Says, type Sealed } from './shape.ts'
import { expiredKeys, minuteOf, type Sight, Table } from './table.ts'
import type { UserEvent, Users } from './users.ts'

export type ConsentEvent =
  | {
      type: 'ConsentRequested'
      data: { request: string; user: string; session: string; expiresAt: number; replaces: string | null } & Asked
      /** `state` is the client's own business, and may be secret: sealed, and given back to the client as it came. */
      personal: { state: string | null }
    }
  | {
      type: 'ConsentGranted'
      /** `approvedUntil` (ms since 1970): for so long the same need not be asked again; `null`: not at all. */
      data: { request: string; grant: string; approvedUntil: number | null } & Ids &
        Pick<Asked, 'redirectUri' | 'scope'>
    }
  | { type: 'ConsentDenied'; data: { request: string } & Ids }

type Ids = { readonly user: string; readonly client: string }

/** What a client asks a user for. `challenge` is the S256 code challenge (RFC 7636), `resource` the audience (RFC 8707). */
export type Asked = {
  readonly client: string
  readonly redirectUri: string
  readonly scope: string
  readonly challenge: string | null
  readonly resource: string | null
}

export type Consent = Asked & {
  readonly user: string
  readonly session: string
  readonly expiresAt: number
  /** Where it stands in the book: which is the oldest, whatever the clock did. */
  readonly seq: number
  readonly sealed: Sealed<{ state: string | null }>
}
export type Consents = { readonly consents: Table<Consent, 'user' | 'client' | 'session' | 'minute'> }

export const tables = (sight: Sight): Consents => ({
  consents: new Table<Consent, 'user' | 'client' | 'session' | 'minute'>(sight, {
    user: (consent) => consent.user,
    client: (consent) => consent.client,
    session: (consent) => consent.session,
    minute: (consent) => minuteOf(consent.expiresAt),
  }),
})

type Ends =
  | Extract<UserEvent, { type: 'UserRevoked' | 'UserErased' | 'PasswordChanged' }>
  | Extract<SessionEvent, { type: 'SignedIn' | 'SignedOut' }>
  | Extract<ClientEvent, { type: 'ClientRemoved' }>
  | ExpiredDropped
export const on: On<Consents, ConsentEvent | Ends> = {
  ConsentRequested({ consents }, { seq, sealed, data: { request, replaces, ...rest } }) {
    if (replaces !== null) consents.delete(replaces)
    consents.set(request, { ...rest, seq, sealed })
  },
  ConsentGranted: ({ consents }, { data }) => consents.delete(data.request),
  ConsentDenied: ({ consents }, { data }) => consents.delete(data.request),
  UserRevoked: ({ consents }, { data }) => consents.deleteBy('user', data.user),
  UserErased: ({ consents }, { data }) => consents.deleteBy('user', data.user),
  PasswordChanged: ({ consents }, { data }) => consents.deleteBy('user', data.user),
  SignedOut: ({ consents }, { data }) => consents.deleteBy('session', data.session),
  SignedIn({ consents }, { data }) {
    if (data.replaces !== null) consents.deleteBy('session', data.replaces)
  },
  ClientRemoved: ({ consents }, { data }) => consents.deleteBy('client', data.client),
  ExpiredDropped({ consents }, { data }) {
    for (const key of expiredKeys(consents, data.until)) consents.delete(key)
  },
}

export const says: Says<ConsentEvent> = {
  ConsentRequested: ({ data }, names) => `was asked to let ${names.client(data.client)} in (${data.scope})`,
  ConsentGranted: ({ data }, names) => `let ${names.client(data.client)} in (${data.scope})`,
  ConsentDenied: ({ data }, names) => `did not let ${names.client(data.client)} in`,
}

/** RFC 7636 §4.1–4.2: an S256 challenge is 32 bytes in unpadded base64url. */
const isChallenge = (text: string): boolean => /^[A-Za-z0-9_-]{43}$/.test(text)

/** The longest `state` that is kept and given back, in characters. */
const MAX_STATE_LENGTH = 4096

/** What a client may be told about its authorization request. */
export type AuthorizeReason = Extract<
  Reason,
  | 'parameter_repeated'
  | 'parameter_missing'
  | 'response_type_unsupported'
  | 'state_too_long'
  | 'scope_invalid'
  | 'challenge_method_unsupported'
  | 'challenge_malformed'
  | 'challenge_missing'
  | 'resource_foreign'
  | 'consent_denied'
>

/** How an authorization request is answered, before anybody is asked. */
export type Examined =
  /** Nothing in the request can be trusted with a redirect: tell the person (RFC 6749 §4.1.2.1). */
  | { readonly page: Reason; readonly client?: Client; readonly redirectUri?: string }
  /** The redirect URI is the client's own, so the client is told. */
  | { readonly refusal: AuthorizeReason; readonly redirectUri: string; readonly state: string | null }
  | {
      readonly asked: Asked
      readonly client: Client
      readonly state: string | null
      /** The client wants its user to be asked, whatever is remembered. */
      readonly mustAsk: boolean
    }

/**
 * RFC 6749 §4.1.1 with RFC 7636 and RFC 8707, as a table of steps from "who asks" to "what for".
 * @param parameters every value of every query parameter
 * @param audiences the resources that tokens may be bound to
 */
export function examineRequest(
  rows: Clients,
  parameters: ReadonlyMap<string, readonly string[]>,
  audiences: readonly string[],
): Examined {
  const values = (name: string): readonly string[] => parameters.get(name) ?? []
  // RFC 6749 §3.1: "Parameters sent without a value MUST be treated as if they were omitted."
  const one = (name: string): string | undefined => values(name)[0] || undefined
  // RFC 6749 §3.1: "Request and response parameters MUST NOT be included more than once."
  if (values('client_id').length > 1 || values('redirect_uri').length > 1) return { page: 'request_malformed' }
  const clientId = one('client_id')
  const client = clientId === undefined ? undefined : clientByClientId(rows, clientId)
  if (client === undefined) return { page: 'client_unknown' }
  const redirectUri = one('redirect_uri')
  if (redirectUri === undefined) return { page: 'redirect_unregistered', client }
  if (!isAllowedRedirect(client, redirectUri)) return { page: 'redirect_unregistered', client, redirectUri }

  const state = values('state').length === 1 ? values('state')[0]! : null
  const refusal = askWrong(client, parameters, one, state, audiences)
  if (refusal !== undefined) return { refusal, redirectUri, state }
  const [challenge = null, resource = null] = [one('code_challenge'), one('resource')]
  const scope = normalizeScope(one('scope'))!
  const asked = { client: client.id, redirectUri, scope, challenge, resource }
  // As OpenID Connect clients say that the user is to see a page. This is no OpenID provider: other prompts are unknown.
  const mustAsk = /(^| )(consent|login|select_account)( |$)/.test(one('prompt') ?? '')
  return { asked, client, state, mustAsk }
}

/** What is wrong with a request whose client and callback are known, if anything. */
function askWrong(
  client: Client,
  parameters: ReadonlyMap<string, readonly string[]>,
  one: (name: string) => string | undefined,
  state: string | null,
  audiences: readonly string[],
): AuthorizeReason | undefined {
  if ([...parameters.values()].some((values) => values.length > 1)) return 'parameter_repeated'
  if (one('response_type') === undefined) return 'parameter_missing'
  if (one('response_type') !== 'code') return 'response_type_unsupported'
  if ((state ?? '').length > MAX_STATE_LENGTH) return 'state_too_long'
  if (normalizeScope(one('scope')) === undefined) return 'scope_invalid'
  const [challenge, method] = [one('code_challenge'), one('code_challenge_method')]
  // RFC 7636 §4.3: an absent method means "plain", which this server does not take (RFC 9700 §2.1.1).
  if ((challenge !== undefined || method !== undefined) && method !== 'S256') return 'challenge_method_unsupported'
  if (method !== undefined && (challenge === undefined || !isChallenge(challenge))) return 'challenge_malformed'
  // RFC 9700 §2.1.1: nothing else ties the code to a client that has no secret.
  if (challenge === undefined && isPublic(client)) return 'challenge_missing'
  const resource = one('resource')
  return resource !== undefined && !audiences.includes(resource) ? 'resource_foreign' : undefined
}

type Request = { request: string; user: string; session: string; asked: Asked; state: string | null; ttlMs: number }

/** How many requests one session may have open, as in as many tabs; the oldest in the book gives way. */
const MAX_OPEN_PER_SESSION = 10

/**
 * Keeps the request as it was examined: what the page sends back later decides nothing but yes or no.
 * Refuses `session_ended`.
 */
export function requestConsent(rows: Consents & Sessions & Users, input: Request, now: number): Decision<ConsentEvent> {
  const { asked, state, ttlMs, ...ids } = input
  if (sessionUser(rows, ids.session, now)?.id !== ids.user) return refuse('session_ended')
  const place = (id: string): number => rows.consents.get(id)!.seq
  const open = rows.consents.keysBy('session', ids.session).sort((a, b) => place(a) - place(b))
  const replaces = open.length < MAX_OPEN_PER_SESSION ? null : open[0]!
  const data = { ...ids, expiresAt: now + ttlMs, replaces, ...asked }
  return accept([{ type: 'ConsentRequested', data, personal: { state } }], undefined)
}

type Again = { user: string; session: string; asked: Asked; grant: string; code: string; codeTtlMs: number }

/** Need the user not be asked? Always for a public client: anybody could be it (RFC 6749 §10.2). */
export const isRemembered = (rows: Approvals & Clients, user: string, asked: Asked, now: number): boolean => {
  const client = rows.clients.get(asked.client)
  if (client === undefined || isPublic(client) || !isAllowedRedirect(client, asked.redirectUri)) return false
  return isApproved(rows, { user, ...asked }, now)
}

/** A code for what the user has allowed that client before (see `isRemembered`). Refuses `session_ended`. */
export function grantAgain(rows: Sessions & Users, input: Again, now: number): Decision<CodeIssued> {
  const { user, session, asked, grant, code, codeTtlMs } = input
  if (sessionUser(rows, session, now)?.id !== user) return refuse('session_ended')
  return accept([{ type: 'CodeIssued', data: { code, grant, user, expiresAt: now + codeTtlMs, ...asked } }], undefined)
}

type Answer = { request: string; session: string }
type Allow = Answer & {
  grant: string
  code: string
  codeTtlMs: number
  /** For so long the same need not be asked again. */
  approvalTtlMs: number
}
export type Answered = { redirectUri: string; state: string | null }

const openConsent = (rows: Consents & Clients, { request, session }: Answer, now: number): Consent | undefined => {
  const consent = rows.consents.get(request)
  if (consent === undefined || consent.session !== session || consent.expiresAt <= now) return undefined
  const client = rows.clients.get(consent.client)
  return client !== undefined && isAllowedRedirect(client, consent.redirectUri) ? consent : undefined
}

/** Refuses `consent_unknown`: never asked, asked of another session, answered, expired, or no longer allowed. */
export function grantConsent(
  rows: Consents & Clients,
  input: Allow,
  now: number,
): Decision<ConsentEvent | CodeIssued, Answered> {
  const consent = openConsent(rows, input, now)
  if (consent === undefined) return refuse('consent_unknown')
  const { request, grant, code } = input
  const expiresAt = now + input.codeTtlMs
  const { user, client, redirectUri, scope, challenge, resource } = consent
  const approvedUntil = isPublic(rows.clients.get(client)!) ? null : now + input.approvalTtlMs
  return accept(
    [
      { type: 'ConsentGranted', data: { request, user, client, redirectUri, scope, grant, approvedUntil } },
      { type: 'CodeIssued', data: { code, grant, user, client, redirectUri, scope, challenge, resource, expiresAt } },
    ],
    { redirectUri, state: consent.sealed.open?.state ?? null },
  )
}

/** Refuses `consent_unknown`, as `grantConsent` does. */
export function denyConsent(rows: Consents & Clients, input: Answer, now: number): Decision<ConsentEvent, Answered> {
  const consent = openConsent(rows, input, now)
  if (consent === undefined) return refuse('consent_unknown')
  const { user, client, redirectUri } = consent
  return accept([{ type: 'ConsentDenied', data: { request: input.request, user, client } }], {
    redirectUri,
    state: consent.sealed.open?.state ?? null,
  })
}
