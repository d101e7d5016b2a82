/** Callers of the API as the wire shows them: the bearer token, and whether a web page may have sent the request. */
import type { Context } from 'koa'
import { Refused } from '../ledger/refused.ts'
import { type ListCaller, requireScope } from '../service/authentication.ts'
import { hasBody } from './body.ts'
import { isOwnHost, provenance } from './origin.ts'
import { isRepeated } from './parse.ts'
import type { Deps, Settings } from './settings.ts'

/** `b64token` of RFC 6750 §2.1; the name of the scheme is case-insensitive (RFC 9110 §11.1). */
const CREDENTIALS = /^Bearer +([A-Za-z0-9._~+/-]+=*)$/i

/**
 * The token that a request shows.
 * @throws {Refused} `request_malformed`, `token_missing`, `token_unknown`
 */
export function bearerToken(ctx: Context): string {
  const header = ctx.get('authorization')
  if (isRepeated(ctx, 'authorization')) throw new Refused('request_malformed', 'Authorization is given more than once.')
  if (header === '') throw new Refused('token_missing')
  const token = CREDENTIALS.exec(header)?.[1]
  if (token === undefined) throw new Refused('token_unknown')
  return token
}

/**
 * The caller of a route under `/todos/:username`, and their list. Without a body, this also waits for the turn of the request (`FairUse`).
 * @param scope what the token must allow, where there are scopes
 * @throws {Refused} as `Authentication` does; `scope_insufficient`, `origin_foreign`
 */
export async function requireListCaller(ctx: Context, deps: Deps, scope: string): Promise<ListCaller> {
  const { authentication } = deps.services
  if (deps.settings.authMode === 'none') requireOwnOrigin(ctx, deps.settings)
  const caller = await authentication.caller(provenance(ctx), () => bearerToken(ctx), 'api')
  requireScope(caller, scope)
  const found = authentication.listCaller(caller, String(ctx.params.username))
  deps.fairUse.belongsTo(ctx, found.budget)
  // Otherwise once the body is read: slow senders must not keep the others of their user waiting.
  if (!hasBody(ctx)) await deps.fairUse.begin(ctx)
  return found
}

/**
 * Refuses requests that a foreign web page may have sent, by their origin or by a host name that such a page made point
 * here (DNS rebinding). Where nobody signs in, nothing else stops a page that somebody on this network opens.
 * @param detail what to tell instead of the usual sentence
 * @throws {Refused} `origin_foreign`
 */
export function requireOwnOrigin(ctx: Context, { publicUrl, corsOrigins }: Settings, detail?: string): void {
  const origin = ctx.get('origin')
  const isForeign = ['cross-site', 'same-site'].includes(ctx.get('sec-fetch-site'))
  const isKnown = (origin === '' && !isForeign) || origin === publicUrl || corsOrigins.includes(origin)
  if (!isKnown || !isOwnHost(ctx, publicUrl)) throw new Refused('origin_foreign', detail)
}
