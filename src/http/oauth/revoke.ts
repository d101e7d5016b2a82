/** The revocation endpoint: a client gives a token back (RFC 7009). */
import Router from '@koa/router'
import { tokenParameters } from '../parse.ts'
import type { Deps } from '../settings.ts'
import { authenticateClient, required } from './client.ts'

export function revokeRoutes(deps: Deps): Router {
  const router = new Router({ sensitive: true, strict: true })
  router.post('/auth/revoke', async (ctx) => {
    const parameters = tokenParameters(ctx)
    const client = await authenticateClient(ctx, deps, parameters)
    // RFC 7009 §2.1: `token_type_hint` only helps to search, and there is one place to look.
    await deps.services.access.revoke(client, required(parameters, 'token'))
    // RFC 7009 §2.2: 200, also for a token that is not there; "the content of the response body is ignored".
    ctx.status = 200
    ctx.body = {}
  })
  return router
}
