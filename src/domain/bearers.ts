/** Bearers: what a token that somebody shows is good for (RFC 6749 §6, RFC 6750, RFC 7009, RFC 7662). */
import type { AccessToken, Grant, Grants, RefreshToken } from './grants.ts'
import type { Reason } from './shape.ts'
import type { User, Users } from './users.ts'

/** A token as somebody showed it. */
export type Shown = {
  readonly digest: string
  /** The connection that a refresh token names, where it proves that Daybook made it; `undefined` for any other token. */
  readonly grant: string | undefined
}

/** What a token is at one moment, and the grant that it belongs to. */
export type Standing = { readonly id: string; readonly grant: Readonly<Grant> } & (
  | { readonly kind: 'access'; readonly state: 'live' | 'expired'; readonly token: Readonly<AccessToken> }
  /** `lost`: a sibling was used before it. */
  | { readonly kind: 'refresh'; readonly state: 'live' | 'lost'; readonly token: Readonly<RefreshToken> }
  /** `used`: one of its successors was used, or its grace is over. It may have no row any more. */
  | { readonly kind: 'refresh'; readonly state: 'used' | 'expired'; readonly token: Readonly<RefreshToken> | undefined }
)

/** For this long after its first use a refresh token may be used again: parallel refreshes are ordinary, not theft. */
export const REFRESH_GRACE_MS = 60_000

/**
 * The one rule of which token is alive, for every endpoint that is shown one.
 * @returns `undefined` for what was never given to anybody, and for what belongs to no grant any more
 */
export function standingOf(rows: Grants & Users, shown: Shown, now: number): Standing | undefined {
  const token = rows.tokens.get(shown.digest)
  // A refresh token must prove its connection by itself: a row alone does not make one valid.
  const id = token?.kind === 'access' ? token.grant : shown.grant
  if (id === undefined || (token !== undefined && token.grant !== id)) return undefined
  const grant = rows.grants.get(id)
  if (grant === undefined || !rows.users.get(grant.user)?.active) return undefined
  const isOver = now >= grant.expiresAt
  if (token?.kind === 'access') {
    const state = isOver || now >= token.expiresAt ? 'expired' : 'live'
    return { id, grant, kind: 'access', state, token }
  }
  const about = { id, grant, kind: 'refresh' } as const
  if (isOver) return { ...about, state: 'expired', token }
  // Until one of its successors is used, a refresh token has a row for as long as its grant lasts.
  if (token === undefined || isGraceOver(token, now)) return { ...about, state: 'used', token }
  if (token.lost !== undefined) return { ...about, state: 'lost', token }
  return { ...about, state: now >= token.expiresAt ? 'expired' : 'live', token }
}

/** A clock that was set back does not open the grace again. */
const isGraceOver = ({ rotatedAt }: RefreshToken, now: number): boolean =>
  rotatedAt !== undefined && Math.abs(now - rotatedAt) >= REFRESH_GRACE_MS

/** What a live token is (RFC 7662 §2.2). */
export type Introspected = {
  readonly kind: 'access' | 'refresh'
  readonly user: string
  readonly scope: string
  readonly expiresAt: number
  readonly resource: string | null
}

/** The user for whom that client could exchange that refresh token now; `undefined` where it could not. */
export function userToRefresh(
  rows: Grants & Users,
  { from, client }: { from: Shown; client: string },
  now: number,
): string | undefined {
  const found = standingOf(rows, from, now)
  const isGood = found?.kind === 'refresh' && found.state === 'live' && found.grant.client === client
  return isGood ? found.grant.user : undefined
}

/** A token that could be used now and is that client's; nothing is told of any other (RFC 7662 §2.2, §4). */
export function introspect(
  rows: Grants & Users,
  { token, client }: { token: Shown; client: string },
  now: number,
): Introspected | undefined {
  const found = standingOf(rows, token, now)
  if (found?.state !== 'live' || found.grant.client !== client) return undefined
  const { user, resource } = found.grant
  const scope = found.kind === 'access' ? found.token.scope : found.grant.scope
  const expiresAt = Math.min(found.token.expiresAt, found.grant.expiresAt)
  return { kind: found.kind, user, scope, expiresAt, resource }
}

/** `access` is the digest of the token. */
export type Bearer = { user: User; access: string; client: string; scope: string }

/**
 * Whom an access token speaks for.
 * @param access digest of the token
 * @param audiences the resources that the route answers as
 * @param mustBeBound whether the token has to name one of them
 */
export function authenticate(
  rows: Grants & Users,
  access: string,
  audiences: readonly string[],
  now: number,
  mustBeBound = false,
): Bearer | Reason {
  const found = standingOf(rows, { digest: access, grant: undefined }, now)
  if (found?.kind !== 'access' || found.state !== 'live') return 'token_unknown'
  const { resource, user, client } = found.grant
  // RFC 8707 §2: a token that was bound to a resource is good for exactly that.
  if (resource === null ? mustBeBound : !audiences.includes(resource)) return 'token_unknown'
  return { user: rows.users.get(user)!, access, client, scope: found.token.scope }
}
