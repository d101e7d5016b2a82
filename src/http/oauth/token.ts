/** The token endpoint: a code or a refresh token for a new pair of tokens (RFC 6749 §3.2, §4.1.3, §6). */
import Router from '@koa/router'
import type { Context } from 'koa'
import { userToRefresh } from '../../domain/bearers.ts'
import { type Client, GRANT_TYPES, type GrantType } from '../../domain/clients.ts'
import { type Given, redeemCode, refreshTokens } from '../../domain/grants.ts'
import { Refused } from '../../ledger/refused.ts'
import { challengeOf, digest, newSecret } from '../../service/secrets.ts'
import { meterOf } from '../origin.ts'
import { tokenParameters } from '../parse.ts'
import type { Deps } from '../settings.ts'
import { authenticateClient, byClient, type Parameters, required } from './client.ts'

export function tokenRoutes(deps: Deps): Router {
  const router = new Router({ sensitive: true, strict: true })
  router.post('/auth/oauth_exchange', async (ctx) => {
    const parameters = tokenParameters(ctx)
    const client = await authenticateClient(ctx, deps, parameters)
    const grantType = required(parameters, 'grant_type')
    if (!isGrantType(grantType)) throw new Refused('grant_type_unsupported')
    if (!client.grantTypes.includes(grantType)) throw new Refused('grant_type_foreign')
    const access = newSecret('dba')
    const refresh = client.grantTypes.includes('refresh_token') ? newSecret('dbr') : undefined
    const made = { access: digest(access), refresh: refresh === undefined ? null : digest(refresh) }
    const given = await exchanges[grantType](ctx, deps, parameters, client, made)
    // RFC 6749 §5.1.
    ctx.body = {
      access_token: access,
      token_type: 'bearer',
      expires_in: Math.floor((given.accessExpiresAt - given.now) / 1000),
      refresh_token: refresh,
      scope: given.scope,
    }
  })
  return router
}

const isGrantType = (text: string): text is GrantType => (GRANT_TYPES as readonly string[]).includes(text)

type Digests = { access: string; refresh: string | null }
type Exchange = (ctx: Context, deps: Deps, parameters: Parameters, client: Client, made: Digests) => Promise<Given>

const exchanges: { readonly [G in GrantType]: Exchange } = {
  authorization_code(ctx, { ledger, settings }, parameters, client, made) {
    const verifier = parameters.get('code_verifier')
    const input = {
      ...made,
      code: digest(required(parameters, 'code')),
      client: client.id,
      // RFC 6749 §4.1.3: required, since it always came with the authorization request; without it, it differs.
      redirectUri: parameters.get('redirect_uri') ?? '',
      challenge: verifier === undefined ? null : challengeOf(verifier),
      resource: parameters.get('resource'),
      accessTtlMs: settings.accessTtlMs,
      refreshIdleTtlMs: settings.refreshIdleTtlMs,
      refreshMaxTtlMs: settings.refreshMaxTtlMs,
    }
    return ledger.transact(byClient(ctx, client), (state, now) => redeemCode(state, input, now))
  },
  async refresh_token(ctx, { ledger, services: { limits }, settings }, parameters, client, made) {
    const input = {
      ...made,
      from: digest(required(parameters, 'refresh_token')),
      client: client.id,
      scope: parameters.get('scope'),
      resource: parameters.get('resource'),
      accessTtlMs: settings.accessTtlMs,
      refreshIdleTtlMs: settings.refreshIdleTtlMs,
    }
    // A token that is shown too late, or again, is not held up: whatever it ends is to end at once.
    const user = await ledger.read((state, now) => userToRefresh(state, input, now))
    if (user !== undefined) limits.take(meterOf(ctx), 'refresh', `${client.id} ${user}`)
    return ledger.transact(byClient(ctx, client), (state, now) => refreshTokens(state, input, now))
  },
}
