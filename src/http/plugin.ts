/** The plugin's public documents: manifest, OpenAPI document and its JSON twin, logo, legal page. */
import { createHash } from 'node:crypto'
import Router from '@koa/router'
import { parse, stringify } from 'yaml'
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

type Operation = { security?: unknown; parameters: Parameter[]; responses: { [status: string]: unknown } }
type Parameter = { name: string; description: string; example?: string }
/** The parts of the OpenAPI document that depend on the settings. */
type OpenApi = {
  info: { version: string; summary: string; description: string }
  servers: { url: string }[]
  security: unknown[]
  tags: [{ description: string }]
  paths: { [path: string]: { [method: string]: Operation } }
  components: {
    securitySchemes?: { [name: string]: unknown }
    responses: { [name: string]: { description: string } }
  }
}

const operationsOf = ({ paths }: OpenApi): Operation[] => Object.values(paths).flatMap((path) => Object.values(path))

/** The OpenAPI document with this server's address and its way to authenticate, in both notations. */
function openApi({ publicUrl, version, authMode }: Settings): { yaml: string; json: string } {
  const source: OpenApi = parse(asset('openapi/openapi.yaml').toString('utf8'))
  source.info.version = version
  source.servers = [{ url: publicUrl }]
  if (authMode === 'oauth') source.components.securitySchemes = { oauth: oauthScheme(source, publicUrl) }
  else withoutOAuth(source, authMode)
  if (!isForUsers(authMode)) forNamedLists(source)
  const json = JSON.stringify(source, null, 2)
  return { yaml: stringify(JSON.parse(json)), json }
}

type OAuthScheme = { flows: { authorizationCode: object } }

function oauthScheme({ components }: OpenApi, publicUrl: string): OAuthScheme {
  const scheme = components.securitySchemes?.oauth as OAuthScheme
  const tokenUrl = `${publicUrl}/auth/oauth_exchange`
  const urls = { authorizationUrl: `${publicUrl}/oauth`, tokenUrl, refreshUrl: tokenUrl }
  return { ...scheme, flows: { authorizationCode: { ...scheme.flows.authorizationCode, ...urls } } }
}

/** One bearer for everything, or nothing at all. */
function withoutOAuth(source: OpenApi, authMode: Exclude<AuthMode, 'oauth'>): void {
  const { components } = source
  for (const operation of operationsOf(source)) {
    delete operation.security
    if (authMode === 'none') delete operation.responses['401']
    if (authMode === 'service_http') delete operation.responses['403']
  }
  if (authMode === 'service_http') delete components.responses.forbidden
  if (authMode === 'none') {
    components.responses.forbidden = {
      ...components.responses.forbidden,
      description: 'The request came from a foreign web page.',
    }
    source.security = []
    delete components.securitySchemes
    delete components.responses.unauthorized
  } else {
    source.security = [{ bearer: [] }]
    components.securitySchemes = { bearer: { type: 'http', scheme: 'bearer' } }
  }
}

/** Nobody signs in: the caller names the list. */
function forNamedLists(source: OpenApi): void {
  source.info.summary = 'To-do lists, each by its name.'
  source.info.description =
    'Adds, finds, changes, completes, orders and deletes to-dos. Use "global" as the username for the common list.'
  source.tags[0].description = 'To-do lists.'
  const username = { description: 'Which list: any name is a list of its own. "global" is the common one.' }
  for (const operation of operationsOf(source))
    operation.parameters = operation.parameters.map((parameter) =>
      parameter.name === 'username' ? { ...parameter, ...username, example: 'global' } : parameter,
    )
}
