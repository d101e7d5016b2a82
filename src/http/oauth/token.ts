/** The token endpoint: a code or a refresh token for a new pair of tokens (RFC 6749 §3.2, §4.1.3, §6). */
import Router from '@koa/router'
import { GRANT_TYPES, type GrantType } from '../../domain/clients.ts'
import { Refused } from '../../ledger/refused.ts'
import type { Access, ClientCaller, Issued } from '../../service/access.ts'
import { tokenParameters } from '../parse.ts'
import type { Deps } from '../settings.ts'
import { authenticateClient, type Parameters, required } from './client.ts'

export function tokenRoutes(deps: Deps): Router {
  const router = new Router({ sensitive: true, strict: true })
  router.post('/auth/oauth_exchange', async (ctx) => {
    const parameters = tokenParameters(ctx)
    const client = await authenticateClient(ctx, deps, parameters)
    const grantType = required(parameters, 'grant_type')
    if (!isGrantType(grantType)) throw new Refused('grant_type_unsupported')
    const issued = await exchanges[grantType](deps.services.access, client, parameters)
    // RFC 6749 §5.1.
    ctx.body = {
      access_token: issued.access,
      token_type: 'bearer',
      expires_in: Math.floor(issued.accessTtlMs / 1000),
      refresh_token: issued.refresh,
      scope: issued.scope,
    }
  })
  return router
}

const isGrantType = (text: string): text is GrantType => (GRANT_TYPES as readonly string[]).includes(text)

type Exchange = (access: Access, client: ClientCaller, parameters: Parameters) => Promise<Issued>

const exchanges: { readonly [G in GrantType]: Exchange } = {
  authorization_code: (access, client, parameters) =>
    access.redeem(client, {
      code: required(parameters, 'code'),
      // RFC 6749 §4.1.3: required, since it always came with the authorization request; without it, it differs.
      redirectUri: parameters.get('redirect_uri') ?? '',
      verifier: parameters.get('code_verifier'),
      resource: parameters.get('resource'),
    }),
  refresh_token: (access, client, parameters) =>
    access.refresh(client, {
      token: required(parameters, 'refresh_token'),
      scope: parameters.get('scope'),
      resource: parameters.get('resource'),
    }),
}
