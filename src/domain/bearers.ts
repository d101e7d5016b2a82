/** Bearers: what a token that somebody shows is good for (RFC 6750, RFC 7662). */
import { type Grants, isUsedUp } from './grants.ts'
import type { Reason } from './shape.ts'
import type { User, Users } from './users.ts'

/** What a live token is (RFC 7662 §2.2). */
export type Introspected = {
  readonly kind: 'access' | 'refresh'
  readonly user: string
  readonly scope: string
  readonly expiresAt: number
  readonly resource: string | null
}

/** For whom that client could exchange that refresh token now; `undefined` where it could not. */
export function userToRefresh(
  { tokens, grants }: Grants,
  { from, client }: { from: string; client: string },
  now: number,
): string | undefined {
  const token = tokens.get(from)
  const grant = token?.kind === 'refresh' ? grants.get(token.grant) : undefined
  if (token?.kind !== 'refresh' || grant?.client !== client || token.lost || isUsedUp(token, now)) return undefined
  return now < token.expiresAt && now < grant.expiresAt ? grant.user : undefined
}

/** A token that could be used now, and is that client's; nothing else is told of any (RFC 7662 §2.2, §4). */
export function introspect(
  rows: Grants & Users,
  { token, client }: { token: string; client: string },
  now: number,
): Introspected | undefined {
  const found = rows.tokens.get(token)
  const grant = found === undefined ? undefined : rows.grants.get(found.grant)
  if (found === undefined || grant?.client !== client || !rows.users.get(grant.user)?.active) return undefined
  const expiresAt = Math.min(found.expiresAt, grant.expiresAt)
  if (now >= expiresAt || (found.kind === 'refresh' && (found.lost || isUsedUp(found, now)))) return undefined
  const scope = found.kind === 'access' ? found.scope : grant.scope
  return { kind: found.kind, user: grant.user, scope, expiresAt, resource: grant.resource }
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
  const token = rows.tokens.get(access)
  const grant = token?.kind === 'access' ? rows.grants.get(token.grant) : undefined
  if (token?.kind !== 'access' || grant === undefined) return 'token_unknown'
  if (now >= token.expiresAt || now >= grant.expiresAt) return 'token_unknown'
  // RFC 8707 §2: a token that was bound to a resource is good for exactly that.
  if (grant.resource === null ? mustBeBound : !audiences.includes(grant.resource)) return 'token_unknown'
  const user = rows.users.get(grant.user)
  if (!user?.active) return 'token_unknown'
  return { user, access, client: grant.client, scope: token.scope }
}
