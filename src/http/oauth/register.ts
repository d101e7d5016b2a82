/** The registration endpoint: apps register themselves, and look at or take back what they registered (RFC 7591, RFC 7592). */
import Router from '@koa/router'
import type { Context } from 'koa'
import type { Client } from '../../domain/clients.ts'
import { DEFAULT_SCOPE } from '../../domain/scopes.ts'
import { Refused } from '../../ledger/refused.ts'
import { bearerToken } from '../callers.ts'
import { provenance } from '../origin.ts'
import { jsonObject } from '../parse.ts'
import type { Deps } from '../settings.ts'

export function registerRoutes({ services: { registrations }, settings: { publicUrl } }: Deps): Router {
  const router = new Router({ sensitive: true, strict: true })

  router.post('/auth/register', async (ctx) => {
    const { client, secret, token } = await registrations.register(provenance(ctx), jsonObject(ctx))
    ctx.status = 201
    ctx.body = information(publicUrl, client, token, secret)
  })

  router.get('/auth/register/:id', async (ctx) => {
    const token = registrationToken(ctx)
    const client = await registrations.registration(provenance(ctx), String(ctx.params.id), token)
    ctx.body = information(publicUrl, client, token)
  })

  router.delete('/auth/register/:id', async (ctx) => {
    await registrations.unregister(provenance(ctx), String(ctx.params.id), registrationToken(ctx))
    ctx.status = 204
  })

  return router
}

/** RFC 7592 §2: the token comes as a bearer token. @throws {Refused} `request_malformed`, `registration_token_unknown` */
function registrationToken(ctx: Context): string {
  try {
    return bearerToken(ctx)
  } catch (error) {
    const isNone = error instanceof Refused && ['token_missing', 'token_unknown'].includes(error.reason)
    throw isNone ? new Refused('registration_token_unknown') : error
  }
}

/** RFC 7591 §3.2.1, RFC 7592 §3. Only the metadata that Daybook goes by. */
const information = (publicUrl: string, client: Client, token: string, secret?: string) => ({
  client_id: client.clientId,
  client_id_issued_at: Math.floor(Date.parse(client.createdAt) / 1000),
  // §3.2.1: 0 for a secret that does not expire. It is shown this once.
  ...(secret === undefined ? {} : { client_secret: secret, client_secret_expires_at: 0 }),
  registration_access_token: token,
  registration_client_uri: `${publicUrl}/auth/register/${client.id}`,
  client_name: client.name,
  redirect_uris: client.redirects.map(({ uri }) => uri),
  token_endpoint_auth_method: client.authMethod,
  grant_types: client.grantTypes,
  response_types: ['code'],
  scope: DEFAULT_SCOPE,
})
