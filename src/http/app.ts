/** The sitemap: every router, and what holds for all of them. */

import type { BlockList } from 'node:net'
import type { Duplex } from 'node:stream'
import cors from '@koa/cors'
import Koa, { type Context, type Middleware } from 'koa'
import helmet from 'koa-helmet'
import { newId } from '../ledger/ids.ts'
import { Refused } from '../ledger/ledger.ts'
import { answerJson, answerOAuth } from './errors.ts'
import { healthRoutes } from './health.ts'
import { authorizeRoutes } from './oauth/authorize.ts'
import { metadataRoutes } from './oauth/metadata.ts'
import { tokenRoutes } from './oauth/token.ts'
import { clientAddress } from './origin.ts'
import { sendPage } from './pages/layout.ts'
import { messagePage } from './pages/message.ts'
import { sendRefusal } from './pages/refusals.ts'
import { parseBody } from './parse.ts'
import { peopleRoutes } from './people.ts'
import { pluginRoutes } from './plugin.ts'
import type { Deps } from './settings.ts'
import { todoRoutes } from './todos.ts'

/** @param trustedProxies whose `X-Forwarded-For` is believed */
export function createApp(deps: Deps, trustedProxies: BlockList): Koa {
  const app = new Koa()
  app.use(identifyAndLog(deps, trustedProxies))
  app.use(securityHeaders(deps))
  app.use(answerFailures(deps))
  app.use(crossOrigin(deps))
  app.use(parseBody)
  const routers = [
    todoRoutes(deps), // First, since it is what most requests are for.
    healthRoutes(deps),
    pluginRoutes(deps),
    metadataRoutes(deps),
    tokenRoutes(deps),
    authorizeRoutes(deps),
    peopleRoutes(deps),
  ]
  for (const router of routers) app.use(router.routes())
  // Koa prints what it could not answer to the console; it goes to the log instead.
  app.silent = true
  app.on('error', (error) => deps.log.error({ err: error }, 'a response failed'))
  return app
}

/** Gives each request an id and a line in the log: no query, no header and no body, since secrets travel there. */
const identifyAndLog =
  ({ ledger, log }: Deps, trusted: BlockList): Middleware =>
  async (ctx, next) => {
    const began = performance.now()
    const request = newId(ledger.now())
    ctx.set('X-Request-Id', request)
    ctx.request.ip = clientAddress(ctx.req.socket.remoteAddress, ctx.get('x-forwarded-for'), trusted)
    await next()
    const ms = Math.round(performance.now() - began)
    log.info({ request, method: ctx.method, path: loggedPath(ctx), status: ctx.status, ms }, 'request')
  }

/** The route's pattern, since a path may name a person; what no route took, as it came. */
const loggedPath = (ctx: Context & { _matchedRoute?: unknown }): string =>
  String(ctx._matchedRoute ?? ctx.path.replace(/^\/todos\/[^/]+/, '/todos/:username')).slice(0, 200)

/** Who reads an answer: the OAuth client, the API's caller, or a person. */
type Surface = 'oauth' | 'api' | 'page'

function surfaceOf(ctx: Context): Surface {
  if (ctx.path.startsWith('/auth/')) return 'oauth'
  if (/^\/(todos|\.well-known)\//.test(ctx.path)) return 'api'
  if (/^\/(oauth|login|signup|logout|legal)?$|^\/oauth\//.test(ctx.path)) return 'page'
  return ctx.accepts('json', 'html') === 'html' ? 'page' : 'api'
}

/** Answers what went wrong, for whoever reads it. */
const answerFailures =
  ({ log, settings }: Deps): Middleware =>
  async (ctx, next) => {
    const isReadable = hasReadableTarget(ctx)
    if (!isReadable) ctx.url = '/' // Nothing after this is to stumble over it.
    const surface = surfaceOf(ctx)
    if (surface === 'oauth') {
      // RFC 6749 §5.1: nothing of the token endpoint may be kept.
      ctx.set('Cache-Control', 'no-store')
      ctx.set('Pragma', 'no-cache')
    }
    try {
      if (!isReadable) throw new Refused('request_malformed')
      await next()
      if ((ctx.body === undefined || ctx.body === null) && ctx.status === 404) answerUnrouted(ctx)
    } catch (error) {
      if (!(error instanceof Refused)) return answerBug(ctx, surface, error, log)
      if (surface === 'page') await sendRefusal(ctx, error)
      else if (surface === 'oauth') answerOAuth(ctx, error)
      else answerJson(ctx, error, settings.publicUrl)
    }
  }

/** The target of a request may be a whole URL (RFC 9112 §3.2.2), and then one that is none. */
function hasReadableTarget(ctx: Context): boolean {
  try {
    return ctx.path !== ''
  } catch {
    return false
  }
}

/** Nothing answered: the path is not there, or it is there for other methods (RFC 9110 §15.5.6). */
function answerUnrouted(ctx: Context & { matched?: readonly { readonly methods: readonly string[] }[] }): void {
  const methods = new Set(ctx.matched?.flatMap((layer) => layer.methods))
  if (methods.size === 0) throw new Refused('route_unknown')
  ctx.set('Allow', [...methods].join(', '))
  if (ctx.method !== 'OPTIONS') throw new Refused('method_not_allowed')
  ctx.body = ''
}

/** Whatever is not a refusal is a bug: the log has the stack, the answer has the request's id, the process lives. */
async function answerBug(ctx: Context, surface: Surface, error: unknown, log: Deps['log']): Promise<void> {
  const request = ctx.response.get('X-Request-Id')
  log.error({ err: error, request, method: ctx.method, path: loggedPath(ctx) }, 'request failed')
  const text = 'Something went wrong inside Daybook. Its log says more.'
  ctx.set('Cache-Control', 'no-store')
  if (surface === 'page') {
    await sendPage(ctx, messagePage({ title: 'This did not work', text, status: 500, requestId: request }))
    return
  }
  ctx.status = 500
  ctx.body =
    surface === 'oauth'
      ? { error: 'server_error', error_description: `${text} Request ${request}.` }
      : { error: 'server_error', message: text, request_id: request }
}

const securityHeaders = ({ settings }: Deps): Middleware =>
  helmet({
    // Pages set a policy of their own; nothing else is to be rendered at all.
    contentSecurityPolicy: {
      useDefaults: false,
      directives: { defaultSrc: ["'none'"], frameAncestors: ["'none'"], baseUri: ["'none'"], formAction: ["'none'"] },
    },
    frameguard: { action: 'deny' },
    // The client that opened our page in a window must find that window again after the redirect.
    crossOriginOpenerPolicy: false,
    // The logo and the documents are for other origins; who may read the rest is said by CORS.
    crossOriginResourcePolicy: { policy: 'cross-origin' },
    strictTransportSecurity: settings.publicUrl.startsWith('https:') ? { maxAge: 31_536_000 } : false,
  })

/** The plugin's documents and the API may be read by the named origins; pages and OAuth by none. */
function crossOrigin({ settings }: Deps): Middleware {
  const allow = cors({
    origin: (ctx) => (settings.corsOrigins.includes(ctx.get('origin')) ? ctx.get('origin') : ''),
    allowMethods: ['GET', 'HEAD', 'POST', 'DELETE'],
    exposeHeaders: ['X-Request-Id', 'WWW-Authenticate', 'Retry-After'],
    maxAge: 600,
    // ChatGPT's page may ask a Daybook on the same machine or network.
    privateNetworkAccess: true,
  })
  return (ctx, next) =>
    /^\/(todos\/|\.well-known\/|openapi\.(yaml|json)$|logo\.png$|legal$)/.test(ctx.path) ? allow(ctx, next) : next()
}

/**
 * Answers what Node could not read as HTTP, as a `clientError` handler: it never becomes a request.
 * @param now ms since 1970
 */
export function answerUnparsed(error: NodeJS.ErrnoException, socket: Duplex, now: number): void {
  if (!socket.writable || error.code === 'ECONNRESET') {
    socket.destroy()
    return
  }
  const [status, reason, word] = unparsed[error.code ?? ''] ?? [400, 'Bad Request', 'invalid_request']
  const request = newId(now)
  const body = JSON.stringify({ error: word, message: 'The request could not be read.', request_id: request })
  const headers = {
    'Content-Type': 'application/json; charset=utf-8',
    'Content-Length': Buffer.byteLength(body),
    'Cache-Control': 'no-store',
    'X-Content-Type-Options': 'nosniff',
    'X-Request-Id': request,
    Connection: 'close',
  }
  const lines = Object.entries(headers).map(([name, value]) => `${name}: ${value}\r\n`)
  socket.end(`HTTP/1.1 ${status} ${reason}\r\n${lines.join('')}\r\n${body}`)
}

const unparsed: { readonly [code: string]: readonly [number, string, string] } = {
  HPE_HEADER_OVERFLOW: [431, 'Request Header Fields Too Large', 'too_large'],
  ERR_HTTP_REQUEST_TIMEOUT: [408, 'Request Timeout', 'request_timeout'],
}
