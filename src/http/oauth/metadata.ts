/** What this authorization server and this resource say of themselves (RFC 8414, RFC 9728). */
import Router from '@koa/router'
import { SCOPE_NAMES } from '../../domain/scopes.ts'
import { mcpAudience } from '../../service/policy.ts'
import type { Deps } from '../settings.ts'

/** How a client shows its secret; and that it has none. */
const SECRET_METHODS = ['client_secret_post', 'client_secret_basic']
const AUTH_METHODS = [...SECRET_METHODS, 'none']

export function metadataRoutes({ settings }: Deps): Router {
  const router = new Router({ sensitive: true, strict: true })
  const { publicUrl } = settings
  const documents = {
    // RFC 8414 §2. Only what is there is named.
    '/.well-known/oauth-authorization-server': {
      issuer: publicUrl,
      authorization_endpoint: `${publicUrl}/oauth`,
      token_endpoint: `${publicUrl}/auth/oauth_exchange`,
      scopes_supported: SCOPE_NAMES,
      response_types_supported: ['code'],
      response_modes_supported: ['query'],
      grant_types_supported: ['authorization_code', 'refresh_token'],
      token_endpoint_auth_methods_supported: AUTH_METHODS,
      revocation_endpoint: `${publicUrl}/auth/revoke`,
      revocation_endpoint_auth_methods_supported: AUTH_METHODS,
      introspection_endpoint: `${publicUrl}/auth/introspect`,
      introspection_endpoint_auth_methods_supported: SECRET_METHODS,
      code_challenge_methods_supported: ['S256'],
      // RFC 9207 §3.
      authorization_response_iss_parameter_supported: true,
      ...(settings.clientRegistration === 'on' ? selfService(publicUrl) : {}),
    },
    '/.well-known/oauth-protected-resource': resource(publicUrl, publicUrl),
    // RFC 9728 §3.1: where the metadata of a resource with a path stands.
    '/.well-known/oauth-protected-resource/mcp': resource(mcpAudience(settings), publicUrl),
  }
  for (const [path, body] of Object.entries(documents)) {
    router.get(path, (ctx) => {
      ctx.set('Cache-Control', 'public, max-age=300')
      ctx.body = body
    })
  }
  return router
}

/** How clients may bring themselves: RFC 7591 §3, and client-id metadata documents. */
const selfService = (publicUrl: string) => ({
  registration_endpoint: `${publicUrl}/auth/register`,
  client_id_metadata_document_supported: true,
})

/** RFC 9728 §2. */
const resource = (name: string, publicUrl: string) => ({
  resource: name,
  resource_name: 'Daybook',
  authorization_servers: [publicUrl],
  scopes_supported: SCOPE_NAMES,
  bearer_methods_supported: ['header'],
})
