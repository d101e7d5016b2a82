/** Grants: what a client may do for a user, from the code to the last refresh (RFC 6749 §4.1.3, §5, §6). */
import type { ApprovalEvent } from './approvals.ts'
import type { ExpiredDropped } from './book.ts'
import type { ClientEvent } from './clients.ts'
import { type Asked, type ConsentEvent, normalizeScope } from './consents.ts'
import { matchesRedirect } from './redirects.ts'
import { accept, type Decision, type On, refuse, type Says } from './shape.ts'
import { expiredKeys, minuteOf, type Sight, Table } from './table.ts'
import type { UserEvent } from './users.ts'

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
type Grant = {
  user: string
  client: string
  scope: string
  resource: string | null
  createdAt: string
  expiresAt: number
  /** Where it began in the book: which is the oldest, whatever the clock did. */
  seq: number
}
type Access = { kind: 'access'; grant: string; scope: string; expiresAt: number; parent?: undefined }
type Refresh = {
  kind: 'refresh'
  grant: string
  expiresAt: number
  /** The access token that was given with it. */
  access: string
  /** The refresh token this one was given for; the first of a grant has none. */
  parent?: string
  /** When it was first exchanged for a successor. */
  rotatedAt?: number
  /** One of its successors has been used: from then on, showing it again is a replay. */
  spent?: boolean
  /** A sibling was used before it. */
  lost?: boolean
}
export type Grants = {
  readonly codes: Table<Readonly<Code>, 'user' | 'client' | 'grant' | 'minute'>
  readonly grants: Table<Readonly<Grant>, 'user' | 'client' | 'minute'>
  readonly tokens: Table<Readonly<Access | Refresh>, 'grant' | 'parent' | 'minute'>
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
  tokens: new Table<Readonly<Access | Refresh>, 'grant' | 'parent' | 'minute'>(sight, {
    grant: (token) => token.grant,
    parent: (token) => token.parent,
    minute: (token) => minuteOf(token.expiresAt),
  }),
})

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

/** The first successor to be used becomes the lineage: its siblings have lost, and its parent is spent. */
function settleLineage({ tokens }: Grants, used: string, parent: string | undefined): void {
  if (parent === undefined) return
  const before = tokens.get(parent)
  if (before?.kind === 'refresh') tokens.set(parent, { ...before, spent: true })
  for (const key of tokens.keysBy('parent', parent)) {
    const sibling = tokens.get(key)!
    if (key !== used && sibling.kind === 'refresh') tokens.set(key, { ...sibling, lost: true })
  }
}

/** How many of its refresh tokens a grant remembers, so as to know them when they are shown again. */
const MAX_REMEMBERED = 1000

/** Of those that are of no use any more, the one that would expire first is forgotten when there are too many. */
function forgetOldest({ tokens }: Grants, grant: string): void {
  if (tokens.countBy('grant', grant) <= MAX_REMEMBERED) return
  const refreshes = tokens.keysBy('grant', grant).flatMap((key) => {
    const token = tokens.get(key)!
    return token.kind === 'refresh' ? [{ key, ...token }] : []
  })
  if (refreshes.length <= MAX_REMEMBERED) return
  const useless = refreshes.filter(({ spent, lost }) => spent || lost)
  useless.sort((a, b) => a.expiresAt - b.expiresAt || (a.key < b.key ? -1 : 1))
  if (useless[0] !== undefined) tokens.delete(useless[0].key)
}

type Ends =
  | Extract<UserEvent, { type: 'UserRevoked' | 'UserErased' | 'PasswordChanged' }>
  | Extract<ClientEvent, { type: 'ClientRemoved' | 'ClientSecretRotated' | 'RedirectUriWithdrawn' }>
  | Extract<ConsentEvent, { type: 'ConsentDenied' }>
  | ApprovalEvent
  | ExpiredDropped
export const on: On<Grants, GrantEvent | Ends> = {
  CodeIssued({ codes }, { data: { code, ...rest } }) {
    // A yes that was sent twice gives a second code: of a grant, one code lives.
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
    rows.grants.set(grant, { user, client, scope, resource, createdAt: at, expiresAt, seq })
    addPair(rows, data)
  },
  TokenRefreshed(rows, { at, data }) {
    const used = rows.tokens.get(data.from)
    if (used?.kind === 'refresh') {
      if (used.rotatedAt === undefined) rows.tokens.set(data.from, { ...used, rotatedAt: Date.parse(at) })
      settleLineage(rows, data.from, used.parent)
    }
    addPair(rows, data, data.from)
    forgetOldest(rows, data.grant)
  },
  TokenReplayed(rows, { data }) {
    endGrant(rows, data.grant)
    endCodes(rows, 'user', data.user, (code) => code.client === data.client)
  },
  TokenRefused: ({ tokens }, { data }) => tokens.delete(data.refresh),
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
export function redeemCode(rows: Grants, input: Redeem, now: number): Decision<GrantEvent, Given> {
  const code = rows.codes.get(input.code)
  if (code === undefined) return refuse('code_unknown')
  if (code.client !== input.client) return refuse('client_mismatch')
  const { grant, user, client, scope, resource } = code
  if (code.redeemed)
    return refuse<GrantEvent>('code_replayed', {
      type: 'CodeReplayed',
      data: { code: input.code, grant, user, client },
    })
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

/** For so long after its first use a refresh token may be used again: parallel refreshes are ordinary, not theft. */
export const REFRESH_GRACE_MS = 60_000

export type RefreshInput = Made & {
  from: string
  client: string
  scope: string | undefined
  resource: string | undefined
}

/** RFC 6749 §6, rotating with reuse detection (RFC 9700 §4.14.2). */
export function refreshTokens(rows: Grants, input: RefreshInput, now: number): Decision<GrantEvent, Given> {
  const token = rows.tokens.get(input.from)
  const grant = token?.kind === 'refresh' ? rows.grants.get(token.grant) : undefined
  if (token?.kind !== 'refresh' || grant === undefined) return refuse('refresh_unknown')
  if (grant.client !== input.client) return refuse('client_mismatch')
  const ids = { grant: token.grant, user: grant.user, client: grant.client }
  if (now >= token.expiresAt || now >= grant.expiresAt) return refuse('refresh_expired')
  if (isUsedUp(token, now))
    return refuse<GrantEvent>('refresh_replayed', { type: 'TokenReplayed', data: { refresh: input.from, ...ids } })
  if (token.lost)
    return refuse<GrantEvent>('refresh_lost', { type: 'TokenRefused', data: { refresh: input.from, ...ids } })
  if (input.resource !== undefined && input.resource !== grant.resource) return refuse('resource_mismatch')
  const scope = narrower(input.scope, grant.scope)
  if (scope === undefined) return refuse('scope_invalid')
  const pair = pairUntil(input, scope, grant.expiresAt, now)
  return accept([{ type: 'TokenRefreshed', data: { from: input.from, ...ids, ...pair } }], {
    scope,
    accessExpiresAt: pair.accessExpiresAt,
    now,
  })
}

/** One of its successors was used, or its grace is over. A clock that was set back does not open the grace again. */
export const isUsedUp = (token: Refresh, now: number): boolean =>
  token.spent === true || (token.rotatedAt !== undefined && Math.abs(now - token.rotatedAt) >= REFRESH_GRACE_MS)

/**
 * RFC 7009 §2.1: a refresh token ends its grant with all access tokens; an access token only itself. A token that is
 * not there, or another client's, is answered alike, and nothing is changed.
 */
export function revokeToken(rows: Grants, { token, client }: { token: string; client: string }): Decision<GrantEvent> {
  const found = rows.tokens.get(token)
  const grant = found === undefined ? undefined : rows.grants.get(found.grant)
  if (found === undefined || grant?.client !== client) return accept([], undefined)
  // One that lost must not hurt the one that won: what was given with it ends.
  const access = found.kind === 'access' ? token : found.lost ? found.access : null
  if (access !== null && rows.tokens.get(access) === undefined) return accept([], undefined)
  const data = { access, grant: found.grant, user: grant.user, client }
  return accept<GrantEvent, undefined>([{ type: 'TokenRevoked', data }], undefined)
}

/** Ends a grant, by an operator. Refuses `grant_unknown`. */
export function revokeGrant(rows: Grants, id: string): Decision<GrantEvent, Readonly<Grant>> {
  const grant = rows.grants.get(id)
  if (grant === undefined) return refuse('grant_unknown')
  const data = { access: null, grant: id, user: grant.user, client: grant.client }
  return accept<GrantEvent, Readonly<Grant>>([{ type: 'TokenRevoked', data }], grant)
}

/** RFC 6749 §6: the scope "MUST NOT include any scope not originally granted", and if omitted is the one granted. */
function narrower(asked: string | undefined, granted: string): string | undefined {
  if (asked === undefined || asked === '') return granted
  const scope = normalizeScope(asked)
  const had = granted.split(' ')
  return scope?.split(' ').every((name) => had.includes(name)) ? scope : undefined
}
