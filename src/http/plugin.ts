/** The plugin's public documents: manifest, OpenAPI document and its JSON twin, logo, legal page. */
import { createHash } from 'node:crypto'
import Router from '@koa/router'
import { type Document, parse, parseDocument } from 'yaml'
import { DEFAULT_SCOPE } from '../domain/scopes.ts'
import { type AuthMode, isForUsers } from '../service/policy.ts'
import { asset } from './assets.ts'
import { sendPage } from './pages/layout.ts'
import { legalPage } from './pages/legal.ts'
import type { Deps, Settings } from './settings.ts'

type Served = { readonly type: string; readonly body: string | Buffer; readonly etag: string }

const document = (type: string, body: string | Buffer): Served => ({
  type,
  body,
  etag: createHash('sha256').update(body).digest('base64url').slice(0, 22),
})

export function pluginRoutes({ settings }: Deps): Router {
  const router = new Router({ sensitive: true, strict: true })
  const openapi = openApi(settings)
  const documents: { readonly [path: string]: Served } = {
    '/.well-known/ai-plugin.json': document('application/json', JSON.stringify(manifest(settings), null, 2)),
    '/openapi.yaml': document('application/yaml; charset=utf-8', openapi.yaml),
    '/openapi.json': document('application/json', openapi.json),
    '/logo.png': document('image/png', asset('openapi/logo.png')),
  }
  for (const [path, { type, body, etag }] of Object.entries(documents)) {
    router.get(path, (ctx) => {
      ctx.type = type
      ctx.etag = etag
      ctx.set('Cross-Origin-Resource-Policy', 'cross-origin') // ChatGPT's pages show the logo.
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

/** How the manifest of the plugin protocol says that ChatGPT authenticates. */
const manifestAuth: { readonly [M in AuthMode]: (settings: Settings) => object } = {
  none: () => ({ type: 'none' }),
  user_http: () => ({ type: 'user_http', authorization_type: 'bearer' }),
  service_http: (settings) => ({
    type: 'service_http',
    authorization_type: 'bearer',
    verification_tokens: verificationTokens(settings),
  }),
  oauth: (settings) => ({
    type: 'oauth',
    client_url: `${settings.publicUrl}/oauth`,
    scope: DEFAULT_SCOPE,
    authorization_url: `${settings.publicUrl}/auth/oauth_exchange`,
    authorization_content_type: 'application/json',
    verification_tokens: verificationTokens(settings),
  }),
}

/** ChatGPT issues the token after it has read this document once without it. */
const verificationTokens = ({ verificationToken }: Settings): object =>
  verificationToken === undefined ? {} : { openai: verificationToken }

/** What the manifest says of the username, and what it says where nobody signs in. */
const OWN_LIST = 'Use "me" as the username: it always means the signed-in user.'
const COMMON_LIST = 'Use "global" as the username for the common list; any other name is a list of its own.'

/** The manifest of the plugin protocol. Values are put into data, never into text. */
function manifest(settings: Settings): object {
  const { publicUrl, contactEmail, authMode } = settings
  const template = JSON.parse(asset('openapi/ai-plugin.json').toString('utf8')) as { description_for_model: string }
  const { description_for_model: description } = template
  return {
    ...template,
    description_for_model: isForUsers(authMode) ? description : description.replace(OWN_LIST, COMMON_LIST),
    auth: manifestAuth[authMode](settings),
    api: { type: 'openapi', url: `${publicUrl}/openapi.yaml`, is_user_authenticated: isForUsers(authMode) },
    logo_url: `${publicUrl}/logo.png`,
    contact_email: contactEmail,
    legal_info_url: `${publicUrl}/legal`,
  }
}

/** The OpenAPI document with this server's address and its way to authenticate, in both notations. */
function openApi({ publicUrl, version, authMode }: Settings): { yaml: string; json: string } {
  const source = parseDocument(asset('openapi/openapi.yaml').toString('utf8'))
  source.setIn(['info', 'version'], version)
  source.setIn(['servers'], [{ url: publicUrl }])
  if (authMode === 'oauth') {
    const flow = ['components', 'securitySchemes', 'oauth', 'flows', 'authorizationCode']
    source.setIn([...flow, 'authorizationUrl'], `${publicUrl}/oauth`)
    source.setIn([...flow, 'tokenUrl'], `${publicUrl}/auth/oauth_exchange`)
    source.setIn([...flow, 'refreshUrl'], `${publicUrl}/auth/oauth_exchange`)
  } else withoutOAuth(source, authMode)
  if (!isForUsers(authMode)) forNamedLists(source)
  const yaml = source.toString()
  return { yaml, json: JSON.stringify(parse(yaml), null, 2) }
}

const TODOS = ['paths', '/todos/{username}']
const OPERATIONS = ['get', 'post', 'delete']

/** One bearer for everything, or nothing at all. */
function withoutOAuth(source: Document.Parsed, authMode: AuthMode): void {
  for (const operation of OPERATIONS) {
    source.deleteIn([...TODOS, operation, 'security'])
    if (authMode === 'none') source.deleteIn([...TODOS, operation, 'responses', '401'])
    if (authMode === 'service_http') source.deleteIn([...TODOS, operation, 'responses', '403'])
  }
  if (authMode === 'service_http') source.deleteIn(['components', 'responses', 'forbidden'])
  if (authMode === 'none') {
    source.setIn(['components', 'responses', 'forbidden', 'description'], 'The request came from a foreign web page.')
    source.setIn(['security'], [])
    source.deleteIn(['components', 'securitySchemes'])
    source.deleteIn(['components', 'responses', 'unauthorized'])
  } else {
    source.setIn(['security'], [{ bearer: [] }])
    source.setIn(['components', 'securitySchemes'], { bearer: { type: 'http', scheme: 'bearer' } })
  }
}

/** Nobody signs in: whoever may speak names the list they mean. */
function forNamedLists(source: Document.Parsed): void {
  source.setIn(['info', 'summary'], 'To-do lists, each by its name.')
  source.setIn(
    ['info', 'description'],
    'Adds, lists and deletes to-dos. Use "global" as the username for the common list.',
  )
  source.setIn(['tags', 0, 'description'], 'To-do lists.')
  source.setIn(
    [...TODOS, 'parameters', 0, 'description'],
    'Which list: any name is a list of its own. "global" is the common one.',
  )
  source.setIn([...TODOS, 'parameters', 0, 'example'], 'global')
}
