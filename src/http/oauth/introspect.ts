/** The introspection endpoint: whether a token of a client could be used now, and for what (RFC 7662). */
import Router from '@koa/router'
import { tokenParameters } from '../parse.ts'
import type { Deps } from '../settings.ts'
import { authenticateClient, required } from './client.ts'

export function introspectRoutes(deps: Deps): Router {
  const { services, settings } = deps
  const router = new Router({ sensitive: true, strict: true })
  router.post('/auth/introspect', async (ctx) => {
    const parameters = tokenParameters(ctx)
    const caller = await authenticateClient(ctx, deps, parameters)
    const found = await services.access.introspect(caller, required(parameters, 'token'))
    // RFC 7662 §2.2: of anything else the answer tells nothing, not even why.
    ctx.body =
      found === undefined
        ? { active: false }
        : {
            active: true,
            sub: found.user,
            client_id: caller.client.clientId,
            scope: found.scope,
            exp: Math.floor(found.expiresAt / 1000),
            iss: settings.publicUrl,
            aud: found.resource ?? settings.publicUrl,
            ...(found.kind === 'access' ? { token_type: 'bearer' } : {}),
          }
  })
  return router
}
