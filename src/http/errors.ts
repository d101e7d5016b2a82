/** Refusals as JSON: for callers of the API, and for OAuth clients. */
import type { Context } from 'koa'
import { DEFAULT_SCOPE } from '../domain/scopes.ts'
import type { Reason } from '../domain/shape.ts'
import type { Refused } from '../ledger/refused.ts'
import { refusals } from '../service/refusals.ts'
import type { Settings } from './settings.ts'

export const statusOf = (reason: Reason): number => refusals[reason].status

/** How long to wait before trying again while the book cannot be written. */
const RETRY_AFTER_S = 5

/** Says when another try makes sense, where that is known (RFC 9110 §10.2.3). */
export function tellWait(ctx: Context, { reason, retryAfterMs }: Refused): void {
  if (retryAfterMs !== undefined) ctx.set('Retry-After', String(Math.max(1, Math.ceil(retryAfterMs / 1000))))
  else if (statusOf(reason) === 503) ctx.set('Retry-After', String(RETRY_AFTER_S))
}

/** Where tokens are taken: each place has a metadata document of its own (RFC 9728 §3.1). */
export type Protected = 'api' | 'mcp'

/** Answers in JSON. */
export function answerJson(ctx: Context, refused: Refused, settings: Settings, place: Protected = 'api'): void {
  const { status, word, sentence, mcp } = refusals[refused.reason]
  const told = place === 'mcp' ? (mcp ?? sentence) : sentence
  ctx.status = status
  ctx.body = { error: word, message: refused.detail ?? told, request_id: ctx.response.get('X-Request-Id') }
  tellWait(ctx, refused)
  const challenge = challengeFor(refused.reason, settings, place)
  if (challenge !== undefined) ctx.set('WWW-Authenticate', challenge)
}

/**
 * RFC 6750 §3; with the metadata of RFC 9728 §5.1 where there is an authorization server. No error word for a request
 * without credentials (RFC 6750 §3.1).
 */
export function challengeFor(
  reason: Reason,
  { authMode, publicUrl }: Pick<Settings, 'authMode' | 'publicUrl'>,
  place: Protected,
): string | undefined {
  const metadata = `${publicUrl}/.well-known/oauth-protected-resource`
  const places: { readonly [P in Protected]: string } = {
    api: `resource_metadata="${metadata}"`,
    // MCP clients ask for the scope that stands here, so it names all of them.
    mcp: `resource_metadata="${metadata}/mcp", scope="${DEFAULT_SCOPE}"`,
  }
  const where = authMode === 'oauth' ? places[place] : 'realm="Daybook"'
  if (reason === 'token_missing') return `Bearer ${where}`
  const { word, sentence } = refusals[reason]
  if (reason === 'token_unknown' || reason === 'scope_insufficient')
    return `Bearer error="${word}", error_description="${sentence}", ${where}`
  return undefined
}

/** A reason that cannot occur at the token endpoint: if it does, it is a bug. */
const BUG = [500, 'server_error', 'Something went wrong inside Daybook.'] as const

/** Answers with the words of RFC 6749 §5.2. */
export function answerOAuth(ctx: Context, refused: Refused): void {
  const [status, word, description] = refusals[refused.reason].oauth ?? BUG
  ctx.status = status
  ctx.body = { error: word, error_description: refused.detail ?? description }
  tellWait(ctx, refused)
  // RFC 6749 §5.2: 401 "MUST include the WWW-Authenticate response header field". RFC 7592 §2: as RFC 6750 says.
  const scheme = word === 'invalid_token' ? 'Bearer error="invalid_token"' : 'Basic realm="Daybook", charset="UTF-8"'
  if (status === 401) ctx.set('WWW-Authenticate', scheme)
}
