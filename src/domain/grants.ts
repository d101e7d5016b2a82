/** Grants: what a client may do for a user, from the code to the last refresh (RFC 6749 §4.1.3, §5, §6). */
import type { ApprovalEvent } from './approvals.ts'
import { type Shown, standingOf } from './bearers.ts'
import type { ExpiredDropped } from './book.ts'
import { type ClientEvent, type Clients, isPublic } from './clients.ts'
import type { Asked, ConsentEvent } from './consents.ts'
import { matchesRedirect } from './redirects.ts'
import { narrower } from './scopes.ts'
import { accept, type Decision, type On, refuse, type Says } from './shape.ts'
import { expiredKeys, minuteOf, type Sight, Table } from './table.ts'
import type { UserEvent, Users } from './users.ts'

/** Codes and tokens stand in events and rows as SHA-256 digests. Times are ms since 1970. */
export type CodeIssued = {
  type: 'CodeIssued'
  data: { code: string; grant: string; user: string; expiresAt: number } & Asked
}
type Pair = {
  access: string
  accessExpiresAt: number
  /** `null` for a client that may not refresh. */
  refresh: string | null
  refreshExpiresAt: number
  scope: string
}
type Ids = { grant: string; user: string; client: string }
export type GrantEvent =
  | CodeIssued
  | { type: 'CodeReplayed'; data: { code: string } & Ids }
  /** `replaces`: the oldest connection of that app to that user, which gives way. */
  | {
      type: 'TokenIssued'
      data: { code: string; resource: string | null; grantExpiresAt: number; replaces: string | null } & Ids & Pair
    }
  | { type: 'TokenRefreshed'; data: { from: string } & Ids & Pair }
  | { type: 'TokenReplayed'; data: { refresh: string } & Ids }
  /** A sibling that had lost was shown. It hurts nobody, but whoever shows it may be the one who was robbed. */
  | { type: 'TokenRefused'; data: { refresh: string } & Ids }
  /** `access`: only that access token ended; `null`: the whole grant did. */
  | { type: 'TokenRevoked'; data: { access: string | null } & Ids }

type Code = Asked & { grant: string; user: string; expiresAt: number; redeemed: boolean }
export type Grant = {
  user: string
  client: string
  scope: string
  resource: string | null
  createdAt: string
  expiresAt: number
  /** Where it began in the book: which is the oldest, whatever the clock did. */
  seq: number
  /** How many of its refresh tokens have lost to a sibling so far. */
  lost: number
}
export type AccessToken = { kind: 'access'; grant: string; scope: string; expiresAt: number }
/**
 * A refresh token that may still be used, or that lost to a sibling. Once one of its successors is used its row goes:
 * it proves by itself which grant it belongs to, so without a row it is known as a used one.
 */
export type RefreshToken = {
  kind: 'refresh'
  grant: string
  expiresAt: number
  /** The access token that was given with it. */
  access: string
  /** The refresh token that it was given for, until it or a sibling is used. */
  parent?: string
  /** When it was first exchanged for a successor. */
  rotatedAt?: number
  /** A sibling was used before it: it was the Nth of its grant that lost, from 0. */
  lost?: number
  /** It was shown after it had lost, and that is in the book. */
  isReported?: true
}
type Token = Readonly<AccessToken | RefreshToken>
export type Grants = {
  readonly codes: Table<Readonly<Code>, 'user' | 'client' | 'grant' | 'minute'>
  readonly grants: Table<Readonly<Grant>, 'user' | 'client' | 'minute'>
  readonly tokens: Table<Token, 'grant' | 'parent' | 'lost' | 'minute'>
}

export const tables = (sight: Sight): Grants => ({
  codes: new Table<Readonly<Code>, 'user' | 'client' | 'grant' | 'minute'>(sight, {
    user: (code) => code.user,
    client: (code) => code.client,
    grant: (code) => code.grant,
    // A redeemed code is remembered as long as what it gave, so that a replay is known whenever it comes.
    minute: (code) => (code.redeemed ? undefined : minuteOf(code.expiresAt)),
  }),
  grants: new Table<Readonly<Grant>, 'user' | 'client' | 'minute'>(sight, {
    user: (grant) => grant.user,
    client: (grant) => grant.client,
    minute: (grant) => minuteOf(grant.expiresAt),
  }),
  tokens: new Table<Token, 'grant' | 'parent' | 'lost' | 'minute'>(sight, {
    grant: (token) => token.grant,
    parent: (token) => (token.kind === 'refresh' ? token.parent : undefined),
    lost: (token) =>
      token.kind === 'refresh' && token.lost !== undefined ? lostPlace(token.grant, token.lost) : undefined,
    // A refresh token stays as long as its grant: one without a row is taken for a used one.
    minute: (token) => (token.kind === 'access' ? minuteOf(token.expiresAt) : undefined),
  }),
})

const lostPlace = (grant: string, place: number): string => `${grant} ${place}`

function endGrant({ codes, grants, tokens }: Grants, grant: string): void {
  grants.delete(grant)
  codes.deleteBy('grant', grant)
  tokens.deleteBy('grant', grant)
}

function endAllOf(rows: Grants, of: 'user' | 'client', id: string): void {
  for (const grant of rows.grants.keysBy(of, id)) endGrant(rows, grant)
  rows.codes.deleteBy(of, id)
}

/** Ends codes that are not redeemed; one that is stays, to be known when it is shown again. */
function endCodes(
  { codes }: Grants,
  of: 'user' | 'client',
  id: string,
  isMeant: (code: Code) => boolean = () => true,
): void {
  for (const key of codes.keysBy(of, id)) {
    const code = codes.get(key)!
    if (!code.redeemed && isMeant(code)) codes.delete(key)
  }
}

function addPair({ tokens }: Grants, { grant, ...pair }: { grant: string } & Pair, parent?: string): void {
  tokens.set(pair.access, { kind: 'access', grant, scope: pair.scope, expiresAt: pair.accessExpiresAt })
  if (pair.refresh === null) return
  const refresh = { kind: 'refresh', grant, access: pair.access, expiresAt: pair.refreshExpiresAt } as const
  tokens.set(pair.refresh, parent === undefined ? refresh : { ...refresh, parent })
}

/** The first successor to be used becomes the lineage: its siblings have lost, and its parent is forgotten. */
function useRefreshToken(rows: Grants, key: string, used: RefreshToken, at: number): void {
  const { parent, ...settled } = used
  rows.tokens.set(key, { ...settled, rotatedAt: used.rotatedAt ?? at })
  if (parent === undefined) return
  rows.tokens.delete(parent)
  // In an order that a replay of the book gives again.
  for (const sibling of rows.tokens.keysBy('parent', parent).sort()) loseRefreshToken(rows, sibling)
}

/**
 * How many refresh tokens that lost a grant remembers: two workers that share a token and both refresh every hour leave
 * 720 in 30 days. One that is forgotten is taken for a used one when it is shown.
 */
const MAX_LOST = 1000

function loseRefreshToken({ grants, tokens }: Grants, key: string): void {
  const token = tokens.get(key)
  const grant = token && grants.get(token.grant)
  if (token?.kind !== 'refresh' || grant === undefined) return
  const { parent: _, ...settled } = token
  tokens.set(key, { ...settled, lost: grant.lost })
  tokens.deleteBy('lost', lostPlace(token.grant, grant.lost - MAX_LOST))
  grants.set(token.grant, { ...grant, lost: grant.lost + 1 })
}

type Ends =
  | Extract<UserEvent, { type: 'UserRevoked' | 'UserErased' | 'PasswordChanged' }>
  | Extract<ClientEvent, { type: 'ClientRemoved' | 'ClientSecretRotated' | 'RedirectUriWithdrawn' }>
  | Extract<ConsentEvent, { type: 'ConsentDenied' }>
  | ApprovalEvent
  | ExpiredDropped
export const on: On<Grants, GrantEvent | Ends> = {
  CodeIssued({ codes }, { data: { code, ...rest } }) {
    // An answer that was sent twice gives a second code. It replaces the first: a grant has one live code.
    codes.deleteBy('grant', rest.grant)
    codes.set(code, { ...rest, redeemed: false })
  },
  CodeReplayed(rows, { data }) {
    endGrant(rows, data.grant)
    endCodes(rows, 'user', data.user, (code) => code.client === data.client)
  },
  TokenIssued(rows, { seq, at, data }) {
    if (data.replaces !== null) endGrant(rows, data.replaces)
    const code = rows.codes.get(data.code)
    if (code !== undefined) rows.codes.set(data.code, { ...code, redeemed: true })
    const { grant, user, client, scope, resource, grantExpiresAt: expiresAt } = data
    rows.grants.set(grant, { user, client, scope, resource, createdAt: at, expiresAt, seq, lost: 0 })
    addPair(rows, data)
  },
  TokenRefreshed(rows, { at, data }) {
    const used = rows.tokens.get(data.from)
    if (used?.kind === 'refresh') useRefreshToken(rows, data.from, used, Date.parse(at))
    addPair(rows, data, data.from)
  },
  TokenReplayed(rows, { data }) {
    endGrant(rows, data.grant)
    endCodes(rows, 'user', data.user, (code) => code.client === data.client)
  },
  TokenRefused({ tokens }, { data }) {
    const lost = tokens.get(data.refresh)
    if (lost?.kind === 'refresh') tokens.set(data.refresh, { ...lost, isReported: true })
  },
  TokenRevoked(rows, { data }) {
    if (data.access !== null) return rows.tokens.delete(data.access)
    endGrant(rows, data.grant)
    endCodes(rows, 'user', data.user, (code) => code.client === data.client)
  },
  // Whatever ends a yes ends what it was about to give.
  ConsentDenied: (rows, { data }) => endCodes(rows, 'user', data.user, (code) => code.client === data.client),
  ApprovalWithdrawn: (rows, { data }) => endCodes(rows, 'user', data.user, (code) => code.client === data.client),
  ClientSecretRotated: (rows, { data }) => endCodes(rows, 'client', data.client),
  UserRevoked: (rows, { data }) => endAllOf(rows, 'user', data.user),
  UserErased: (rows, { data }) => endAllOf(rows, 'user', data.user),
  ClientRemoved: (rows, { data }) => endAllOf(rows, 'client', data.client),
  // Whoever is at that address is to get nothing more.
  RedirectUriWithdrawn: (rows, { data }) =>
    endCodes(rows, 'client', data.client, (code) => matchesRedirect(data.uri, code.redirectUri)),
  // What was about to be given is not; what apps already hold stays until it is disconnected.
  PasswordChanged: (rows, { data }) => endCodes(rows, 'user', data.user),
  ExpiredDropped(rows, { data: { until } }) {
    for (const grant of expiredKeys(rows.grants, until)) endGrant(rows, grant)
    for (const code of expiredKeys(rows.codes, until)) rows.codes.delete(code)
    for (const token of expiredKeys(rows.tokens, until)) rows.tokens.delete(token)
  },
}

export const says: Says<GrantEvent> = {
  CodeIssued: ({ data }, names) => `was given a code for ${names.client(data.client)}`,
  CodeReplayed: ({ data }, names) =>
    `showed a used code of ${names.user(data.user)} again: all that it had given was ended`,
  TokenIssued: ({ data }, names) => `redeemed a code of ${names.user(data.user)} for tokens`,
  TokenRefreshed: ({ data }, names) => `refreshed the tokens for ${names.user(data.user)}`,
  TokenReplayed: ({ data }, names) =>
    `showed a used refresh token of ${names.user(data.user)} again: all tokens of that grant were ended`,
  TokenRefused: ({ data }, names) =>
    `showed a refresh token of ${names.user(data.user)} after another that was given for the same: refused`,
  TokenRevoked: ({ data }, names) =>
    data.access === null
      ? `ended what ${names.client(data.client)} was given for ${names.user(data.user)}`
      : `ended an access token of ${names.client(data.client)} for ${names.user(data.user)}`,
}

/** A new pair of tokens, digests only, and how long they hold. */
type Made = { access: string; refresh: string | null; accessTtlMs: number; refreshIdleTtlMs: number }

const pairUntil = (made: Made, scope: string, grantExpiresAt: number, now: number): Pair => ({
  access: made.access,
  accessExpiresAt: Math.min(now + made.accessTtlMs, grantExpiresAt),
  refresh: made.refresh,
  refreshExpiresAt: Math.min(now + made.refreshIdleTtlMs, grantExpiresAt),
  scope,
})

/** What the token response tells (RFC 6749 §5.1). */
export type Given = { scope: string; accessExpiresAt: number; now: number }

export type Redeem = Made & {
  code: string
  client: string
  redirectUri: string
  /** S256 of the verifier that came, `null` where none came, `malformed` where it is none (RFC 7636 §4.1). */
  challenge: string | null | 'malformed'
  /** The `resource` that came, which must be the code's (RFC 8707 §2.2). */
  resource: string | undefined
  refreshMaxTtlMs: number
}

/** How many connections an app may have to one user, as one has for each of its GPTs; the oldest gives way. */
const MAX_CONNECTIONS = 100

function givingWay({ grants }: Grants, user: string, client: string): string | null {
  const held = grants.keysBy('user', user).filter((id) => grants.get(id)!.client === client)
  const since = (id: string): number => grants.get(id)!.seq
  return held.length < MAX_CONNECTIONS ? null : held.reduce((oldest, id) => (since(id) < since(oldest) ? id : oldest))
}

/** RFC 6749 §4.1.3 with RFC 7636 §4.6. Only a redemption consumes the code; only a replay ends what it gave. */
export function redeemCode(rows: Clients & Grants, input: Redeem, now: number): Decision<GrantEvent, Given> {
  const code = rows.codes.get(input.code)
  if (code === undefined) return refuse('code_unknown')
  if (code.client !== input.client) return refuse('client_mismatch')
  const { grant, user, client, scope, resource } = code
  if (code.redeemed) {
    // Anybody can give the id of a public client. Who has the verifier is the client, or has robbed it (RFC 9700 §2.1.1).
    const app = rows.clients.get(client)
    if (app !== undefined && isPublic(app) && code.challenge !== input.challenge) return refuse('verifier_mismatch')
    const data = { code: input.code, grant, user, client }
    return refuse<GrantEvent>('code_replayed', { type: 'CodeReplayed', data })
  }
  if (now >= code.expiresAt) return refuse('code_expired')
  if (code.redirectUri !== input.redirectUri) return refuse('redirect_mismatch')
  if (code.challenge !== input.challenge) return refuse('verifier_mismatch')
  if (input.resource !== undefined && input.resource !== resource) return refuse('resource_mismatch')
  const grantExpiresAt = now + input.refreshMaxTtlMs
  const pair = pairUntil(input, scope, grantExpiresAt, now)
  const replaces = givingWay(rows, user, client)
  return accept(
    [
      {
        type: 'TokenIssued',
        data: { code: input.code, grant, user, client, resource, grantExpiresAt, replaces, ...pair },
      },
    ],
    { scope, accessExpiresAt: pair.accessExpiresAt, now },
  )
}

export type RefreshInput = Made & {
  from: Shown
  client: string
  scope: string | undefined
  resource: string | undefined
}

/** How many successors one refresh token can have in its grace. */
const MAX_SIBLINGS = 100

/** RFC 6749 §6, rotating with reuse detection (RFC 9700 §4.14.2). */
export function refreshTokens(rows: Grants & Users, input: RefreshInput, now: number): Decision<GrantEvent, Given> {
  const found = standingOf(rows, input.from, now)
  if (found?.kind !== 'refresh') return refuse('refresh_unknown')
  const { grant } = found
  const refresh = input.from.digest
  if (grant.client !== input.client) return refuse('client_mismatch')
  const ids = { grant: found.id, user: grant.user, client: grant.client }
  if (found.state === 'used')
    return refuse<GrantEvent>('refresh_replayed', { type: 'TokenReplayed', data: { refresh, ...ids } })
  if (found.state === 'lost' && found.token.isReported) return refuse('refresh_lost')
  if (found.state === 'lost')
    return refuse<GrantEvent>('refresh_lost', { type: 'TokenRefused', data: { refresh, ...ids } })
  if (found.state === 'expired') return refuse('refresh_expired')
  if (rows.tokens.countBy('parent', refresh) >= MAX_SIBLINGS) return refuse('successors_too_many')
  if (input.resource !== undefined && input.resource !== grant.resource) return refuse('resource_mismatch')
  const scope = narrower(input.scope, grant.scope)
  if (scope === undefined) return refuse('scope_invalid')
  const pair = pairUntil(input, scope, grant.expiresAt, now)
  return accept([{ type: 'TokenRefreshed', data: { from: refresh, ...ids, ...pair } }], {
    scope,
    accessExpiresAt: pair.accessExpiresAt,
    now,
  })
}

/**
 * RFC 7009 §2.1: a refresh token ends its grant with all access tokens, also one that was used or has expired; an
 * access token only itself. A token that is not there, or another client's, is answered alike, and nothing is changed.
 */
export function revokeToken(
  rows: Grants & Users,
  { token, client }: { token: Shown; client: string },
  now: number,
): Decision<GrantEvent> {
  const found = standingOf(rows, token, now)
  if (found?.grant.client !== client) return accept([], undefined)
  // One that lost must not hurt the one that won: what was given with it ends.
  const ofLost = found.kind === 'refresh' && found.token?.lost !== undefined ? found.token.access : null
  const access = found.kind === 'access' ? token.digest : ofLost
  if (access !== null && rows.tokens.get(access) === undefined) return accept([], undefined)
  const data = { access, grant: found.id, user: found.grant.user, client }
  return accept<GrantEvent, undefined>([{ type: 'TokenRevoked', data }], undefined)
}

/** Ends a grant, by an operator. Refuses `grant_unknown`. */
export function revokeGrant(rows: Grants, id: string): Decision<GrantEvent, Readonly<Grant>> {
  const grant = rows.grants.get(id)
  if (grant === undefined) return refuse('grant_unknown')
  const data = { access: null, grant: id, user: grant.user, client: grant.client }
  return accept<GrantEvent, Readonly<Grant>>([{ type: 'TokenRevoked', data }], grant)
}
