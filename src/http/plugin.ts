/** The plugin's public documents: manifest, OpenAPI document and its JSON twin, logo, legal page. */
import { createHash } from 'node:crypto'
import Router from '@koa/router'
import { parse, parseDocument } from 'yaml'
import { DEFAULT_SCOPE } from '../domain/consents.ts'
import { asset } from './assets.ts'
import { sendPage } from './pages/layout.ts'
import { legalPage } from './pages/legal.ts'
import type { Deps, Settings } from './settings.ts'

type Document = { readonly type: string; readonly body: string | Buffer; readonly etag: string }

const document = (type: string, body: string | Buffer): Document => ({
  type,
  body,
  etag: createHash('sha256').update(body).digest('base64url').slice(0, 22),
})

export function pluginRoutes({ settings }: Deps): Router {
  const router = new Router({ sensitive: true, strict: true })
  const openapi = openApi(settings)
  const documents: { readonly [path: string]: Document } = {
    '/.well-known/ai-plugin.json': document('application/json', JSON.stringify(manifest(settings), null, 2)),
    '/openapi.yaml': document('application/yaml; charset=utf-8', openapi.yaml),
    '/openapi.json': document('application/json', openapi.json),
    '/logo.png': document('image/png', asset('openapi/logo.png')),
  }
  for (const [path, { type, body, etag }] of Object.entries(documents)) {
    router.get(path, (ctx) => {
      ctx.type = type
      ctx.etag = etag
      // Kept for five minutes, then asked for again: a new verification token or URL has to be seen soon.
      ctx.set('Cache-Control', 'public, max-age=300')
      ctx.status = 200
      if (ctx.fresh) ctx.status = 304
      else ctx.body = body
    })
  }
  return router
}

/** The page that the manifest calls `legal_info_url`. */
export function legalRoutes({ settings }: Deps): Router {
  const router = new Router({ sensitive: true, strict: true })
  router.get('/legal', (ctx) => sendPage(ctx, legalPage(settings)))
  return router
}

/** The manifest of the plugin protocol. Values are put into data, never into text. */
function manifest({ publicUrl, contactEmail, verificationToken }: Settings): object {
  const template = JSON.parse(asset('openapi/ai-plugin.json').toString('utf8')) as object
  return {
    ...template,
    auth: {
      type: 'oauth',
      client_url: `${publicUrl}/oauth`,
      scope: DEFAULT_SCOPE,
      authorization_url: `${publicUrl}/auth/oauth_exchange`,
      authorization_content_type: 'application/json',
      // ChatGPT issues the token after it has read this document once without it.
      verification_tokens: verificationToken === undefined ? {} : { openai: verificationToken },
    },
    api: { type: 'openapi', url: `${publicUrl}/openapi.yaml`, is_user_authenticated: true },
    logo_url: `${publicUrl}/logo.png`,
    contact_email: contactEmail,
    legal_info_url: `${publicUrl}/legal`,
  }
}

/** The OpenAPI document with this server's address and endpoints, in both notations. */
function openApi({ publicUrl, version }: Settings): { yaml: string; json: string } {
  const source = parseDocument(asset('openapi/openapi.yaml').toString('utf8'))
  source.setIn(['info', 'version'], version)
  source.setIn(['servers'], [{ url: publicUrl }])
  const flow = ['components', 'securitySchemes', 'oauth', 'flows', 'authorizationCode']
  source.setIn([...flow, 'authorizationUrl'], `${publicUrl}/oauth`)
  source.setIn([...flow, 'tokenUrl'], `${publicUrl}/auth/oauth_exchange`)
  source.setIn([...flow, 'refreshUrl'], `${publicUrl}/auth/oauth_exchange`)
  const yaml = source.toString()
  return { yaml, json: JSON.stringify(parse(yaml), null, 2) }
}
