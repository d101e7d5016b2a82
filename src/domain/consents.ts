/** Consents: an authorization request while its user decides about it (RFC 6749 §4.1.1, §4.1.2). */
import { type Approvals, isApproved } from './approvals.ts'
import type { ExpiredDropped } from './book.ts'
import { type Client, type ClientEvent, type Clients, isAllowedRedirect, isPublic } from './clients.ts'
import type { CodeIssued, Grants } from './grants.ts'
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
  /** What its user answered. It is kept until it expires, since a browser may send the same answer twice. */
  readonly answer: Decided | null
}
/** `grant`: what an `allow` gave. */
type Decided = { readonly decision: 'allow'; readonly grant: string } | { readonly decision: 'deny' }
export type Consents = { readonly consents: Table<Consent, 'user' | 'client' | 'session' | 'minute'> }

export const tables = (sight: Sight): Consents => ({
  consents: new Table<Consent, 'user' | 'client' | 'session' | 'minute'>(
    sight,
    {
      user: (consent) => consent.user,
      client: (consent) => consent.client,
      session: (consent) => consent.session,
      minute: (consent) => minuteOf(consent.expiresAt),
    },
    (consent) => ROW_SIZE + consent.sealed.size + consent.redirectUri.length,
  ),
})

/** What a row takes in memory besides its texts, indexes included: bytes, as measured. */
const ROW_SIZE = 1500

type Ends =
  | Extract<UserEvent, { type: 'UserRevoked' | 'UserErased' | 'PasswordChanged' }>
  | Extract<SessionEvent, { type: 'SignedIn' | 'SignedOut' }>
  | Extract<ClientEvent, { type: 'ClientRemoved' }>
  | ExpiredDropped
export const on: On<Consents, ConsentEvent | Ends> = {
  ConsentRequested({ consents }, { seq, sealed, data: { request, replaces, ...rest } }) {
    if (replaces !== null) consents.delete(replaces)
    consents.set(request, { ...rest, seq, sealed, answer: null })
  },
  ConsentGranted: (rows, { data: { request, grant } }) => setAnswer(rows, request, { decision: 'allow', grant }),
  ConsentDenied: (rows, { data }) => setAnswer(rows, data.request, { decision: 'deny' }),
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

function setAnswer({ consents }: Consents, request: string, answer: Decided): void {
  const consent = consents.get(request)
  if (consent !== undefined) consents.set(request, { ...consent, answer })
}

export const says: Says<ConsentEvent> = {
  ConsentRequested: ({ data }, names) => `was asked to let ${names.client(data.client)} in (${data.scope})`,
  ConsentGranted: ({ data }, names) => `let ${names.client(data.client)} in (${data.scope})`,
  ConsentDenied: ({ data }, names) => `did not let ${names.client(data.client)} in`,
}

/** RFC 7636 §4.1–4.2: an S256 challenge is 32 bytes in unpadded base64url. */
const isChallenge = (text: string): boolean => /^[A-Za-z0-9_-]{43}$/.test(text)

/** The longest `state` that is kept and given back: bytes, as JSON keeps it. */
const MAX_STATE_SIZE = 4096

/** What a text takes as JSON in UTF-8, without its quotes: bytes. */
function jsonSize(text: string): number {
  let size = -2
  for (const character of JSON.stringify(text)) {
    const code = character.codePointAt(0)!
    size += code < 0x80 ? 1 : code < 0x800 ? 2 : code < 0x10000 ? 3 : 4
  }
  return size
}

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
  | {
      readonly page: Reason
      /** The parameter that is missing, where one is. */
      readonly missing?: 'client_id' | 'redirect_uri'
      readonly client?: Client
      readonly redirectUri?: string
    }
  /** The redirect URI is the client's own, so the client is told. */
  | {
      readonly refusal: AuthorizeReason
      readonly client: Client
      readonly redirectUri: string
      readonly state: string | null
    }
  | {
      readonly asked: Asked
      readonly client: Client
      readonly state: string | null
      /** The client wants its user to be asked, whatever is remembered. */
      readonly mustAsk: boolean
    }

/** What a request may name as `resource` (RFC 8707 §2). */
export type Audiences = {
  readonly accepted: readonly string[]
  /** What a client that came by itself means when it names none. */
  readonly standard: string
}

/**
 * RFC 6749 §4.1.1 with RFC 7636 and RFC 8707, as a table of steps from "who asks" to "what for".
 * @param parameters every value of every query parameter
 * @param clientOf the client that a `client_id` names, or why there is none
 */
export function examineRequest(
  parameters: ReadonlyMap<string, readonly string[]>,
  audiences: Audiences,
  clientOf: (clientId: string) => Client | Reason,
): Examined {
  const values = (name: string): readonly string[] => parameters.get(name) ?? []
  // RFC 6749 §3.1: "Parameters sent without a value MUST be treated as if they were omitted."
  const one = (name: string): string | undefined => values(name)[0] || undefined
  // RFC 6749 §3.1: "Request and response parameters MUST NOT be included more than once."
  if (values('client_id').length > 1 || values('redirect_uri').length > 1) return { page: 'request_malformed' }
  const clientId = one('client_id')
  if (clientId === undefined) return { page: 'parameter_missing', missing: 'client_id' }
  const client = clientOf(clientId)
  if (typeof client === 'string') return { page: client }
  const redirectUri = one('redirect_uri')
  if (redirectUri === undefined) return { page: 'parameter_missing', missing: 'redirect_uri', client }
  if (!isAllowedRedirect(client, redirectUri)) return { page: 'redirect_unregistered', client, redirectUri }

  const state = values('state').length === 1 ? values('state')[0]! : null
  const refusal = askWrong(client, parameters, one, state, audiences.accepted)
  if (refusal !== undefined) return { refusal, client, redirectUri, state }
  const challenge = one('code_challenge') ?? null
  const resource = one('resource') ?? (client.registration === 'operator' ? null : audiences.standard)
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
  if (jsonSize(state ?? '') > MAX_STATE_SIZE) return 'state_too_long'
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

/** How many requests one session may have open, as in as many tabs, and one user; the oldest in the book gives way. */
const [MAX_OPEN_PER_SESSION, MAX_OPEN_PER_USER] = [10, 20]
/** What all open requests may take in memory: bytes. */
const MAX_SIZE = 32_000_000

/**
 * Keeps the request as it was examined: what the page sends back later decides nothing but yes or no.
 * Refuses `session_ended`, `consents_too_many`.
 */
export function requestConsent(rows: Consents & Sessions & Users, input: Request, now: number): Decision<ConsentEvent> {
  const { asked, state, ttlMs, ...ids } = input
  if (sessionUser(rows, ids.session, now)?.id !== ids.user) return refuse('session_ended')
  const replaces = givingWay(rows, ids.session, ids.user)
  if (replaces === null && rows.consents.totalSize >= MAX_SIZE) return refuse('consents_too_many')
  const data = { ...ids, expiresAt: now + ttlMs, replaces, ...asked }
  return accept([{ type: 'ConsentRequested', data, personal: { state } }], undefined)
}

function givingWay({ consents }: Consents, session: string, user: string): string | null {
  const inSession = consents.keysBy('session', session)
  const ofUser = consents.keysBy('user', user)
  const [open, most] =
    inSession.length >= MAX_OPEN_PER_SESSION ? [inSession, MAX_OPEN_PER_SESSION] : [ofUser, MAX_OPEN_PER_USER]
  const place = (id: string): number => consents.get(id)!.seq
  return open.length < most ? null : open.reduce((oldest, id) => (place(id) < place(oldest) ? id : oldest))
}

type Again = { user: string; session: string; asked: Asked; grant: string; code: string; codeTtlMs: number }

/** Whether consent to that client may be remembered: not for a public one (RFC 6749 §10.2), nor for one that came by itself. */
const isMemorable = (client: Client): boolean => !isPublic(client) && client.registration === 'operator'

/** Need the user not be asked? */
export const isRemembered = (rows: Approvals & Clients, user: string, asked: Asked, now: number): boolean => {
  const client = rows.clients.get(asked.client)
  if (client === undefined || !isMemorable(client) || !isAllowedRedirect(client, asked.redirectUri)) return false
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

/**
 * Records the consent and gives a code. If the same answer comes again, as after a second click, a new code replaces the
 * first one, unless that was redeemed already.
 * Refuses `consent_unknown`: never asked, asked of another session, answered otherwise, expired, or no longer allowed.
 */
export function grantConsent(
  rows: Consents & Clients & Grants,
  input: Allow,
  now: number,
): Decision<ConsentEvent | CodeIssued, Answered> {
  const consent = openConsent(rows, input, now)
  if (consent === undefined || consent.answer?.decision === 'deny') return refuse('consent_unknown')
  const { request, code } = input
  const { user, client, redirectUri, scope, challenge, resource, answer } = consent
  if (answer !== null && !hasOpenCode(rows, answer.grant, now)) return refuse('consent_unknown')
  const grant = answer?.grant ?? input.grant
  const approvedUntil = isMemorable(rows.clients.get(client)!) ? now + input.approvalTtlMs : null
  const granted = { request, user, client, redirectUri, scope, grant, approvedUntil }
  const expiresAt = now + input.codeTtlMs
  const issued = { code, grant, user, client, redirectUri, scope, challenge, resource, expiresAt }
  return accept<ConsentEvent | CodeIssued, Answered>(
    [
      ...(answer === null ? [{ type: 'ConsentGranted', data: granted } as const] : []),
      { type: 'CodeIssued', data: issued },
    ],
    { redirectUri, state: consent.sealed.open?.state ?? null },
  )
}

/** Is there a code of that grant that could still be redeemed? */
const hasOpenCode = ({ codes }: Grants, grant: string, now: number): boolean =>
  codes.by('grant', grant).some((code) => !code.redeemed && now < code.expiresAt)

/** Records that the user denied; the same answer again changes nothing. Refuses `consent_unknown`, as `grantConsent` does. */
export function denyConsent(rows: Consents & Clients, input: Answer, now: number): Decision<ConsentEvent, Answered> {
  const consent = openConsent(rows, input, now)
  if (consent === undefined || consent.answer?.decision === 'allow') return refuse('consent_unknown')
  const { user, client, redirectUri } = consent
  const facts = [{ type: 'ConsentDenied', data: { request: input.request, user, client } }] as const
  return accept(consent.answer === null ? facts : [], { redirectUri, state: consent.sealed.open?.state ?? null })
}
