/** The sitemap: every router, and what holds for all of them. */

import type { BlockList } from 'node:net'
import cors from '@koa/cors'
import type Router from '@koa/router'
import Koa, { type Context, type Middleware } from 'koa'
import helmet from 'koa-helmet'
import type { Reason } from '../domain/shape.ts'
import { newId } from '../ledger/ids.ts'
import { Refused } from '../ledger/refused.ts'
import { documentFetcher, type FetchDocument } from '../service/documents.ts'
import { isForUsers } from '../service/policy.ts'
import { createServices } from '../service/services.ts'
import { auditRoutes } from './audit.ts'
import { endUnread, parseBody } from './body.ts'
import { answerJson, answerOAuth } from './errors.ts'
import { FairUse } from './fair-use.ts'
import { healthRoutes } from './health.ts'
import { itemRoutes } from './items.ts'
import { keyRoutes } from './keys.ts'
import { LargeBodySlots } from './large-bodies.ts'
import { mcpRoutes } from './mcp/route.ts'
import { authorizeRoutes } from './oauth/authorize.ts'
import { introspectRoutes } from './oauth/introspect.ts'
import { metadataRoutes } from './oauth/metadata.ts'
import { registerRoutes } from './oauth/register.ts'
import { revokeRoutes } from './oauth/revoke.ts'
import { tokenRoutes } from './oauth/token.ts'
import { clientAddress, meterOf, prefersPage } from './origin.ts'
import { knowHome } from './pages/address.ts'
import { sendPage } from './pages/layout.ts'
import { messagePage } from './pages/message.ts'
import { sendRefusal } from './pages/refusals.ts'
import { isRepeated } from './parse.ts'
import { peopleRoutes } from './people.ts'
import { legalRoutes, pluginRoutes } from './plugin.ts'
import type { Deps } from './settings.ts'
import { todoPageRoutes } from './todo-page.ts'
import { todoRoutes } from './todos.ts'

/** A router, who reads its answers, and whether the origins of `CORS_ORIGINS` may. */
type Place = {
  readonly router: Router
  readonly surface: Surface
  readonly isShared?: true
  /** What it does may take its time: a search may have to read the whole book. */
  readonly isLong?: true
  /** Its routes call `readBody` or `readJson` once the caller is authenticated; nothing of a body is read before. */
  readonly readsOwnBody?: true
}

/** Who reads an answer: the OAuth client, the API's caller, the MCP client, or a person. */
type Surface = 'oauth' | 'api' | 'mcp' | 'page'

/** What is there only where users let ChatGPT in by OAuth. */
const authorizationServer = (deps: Deps): readonly Place[] => [
  { router: metadataRoutes(deps), surface: 'api', isShared: true },
  { router: tokenRoutes(deps), surface: 'oauth' },
  { router: revokeRoutes(deps), surface: 'oauth' },
  { router: introspectRoutes(deps), surface: 'oauth' },
  ...(deps.settings.clientRegistration === 'on' ? [{ router: registerRoutes(deps), surface: 'oauth' } as const] : []),
  { router: authorizeRoutes(deps), surface: 'page' },
]

const sitemap = (deps: Deps): readonly Place[] => [
  { router: todoRoutes(deps), surface: 'api', isShared: true, readsOwnBody: true }, // First, since it is what most requests are for.
  { router: itemRoutes(deps), surface: 'api', isShared: true, readsOwnBody: true },
  { router: mcpRoutes(deps), surface: 'mcp', isShared: true, readsOwnBody: true },
  { router: healthRoutes(deps), surface: 'api' },
  { router: pluginRoutes(deps), surface: 'api', isShared: true },
  { router: legalRoutes(deps), surface: 'page', isShared: true },
  ...(deps.settings.authMode === 'oauth' ? authorizationServer(deps) : []),
  ...(deps.settings.authMode === 'user_http' ? [{ router: keyRoutes(deps), surface: 'page' } as const] : []),
  ...(isForUsers(deps.settings.authMode) ? [{ router: todoPageRoutes(deps), surface: 'page' } as const] : []),
  { router: auditRoutes(deps), surface: 'api', isLong: true },
  { router: peopleRoutes(deps), surface: 'page' },
]

/**
 * @param trustedProxies whose `X-Forwarded-For` is believed
 * @param fetchDocument how client-id documents are fetched
 */
export function createApp(
  given: Omit<Deps, 'services' | 'largeBodies' | 'fairUse'>,
  trustedProxies: BlockList,
  fetchDocument: FetchDocument = documentFetcher(),
): Koa {
  const { ledger, settings, log } = given
  const onUnreadable = (clientId: string, why: string): void =>
    log.warn({ clientId, why }, 'a client-id document could not be read')
  const services = createServices(ledger, settings, { fetchDocument, onUnreadable })
  const deps: Deps = {
    ...given,
    services,
    largeBodies: new LargeBodySlots(),
    fairUse: new FairUse(services.limits),
  }
  const app = new Koa()
  const places = sitemap(deps)
  const placeOf = placeFinder(places)
  app.use(identifyAndLog(deps, trustedProxies))
  app.use(knowHome(deps.settings.publicUrl))
  app.use(endUnread)
  app.use(securityHeaders(deps))
  app.use(answerFailures(deps, placeOf))
  app.use(crossOrigin(deps, placeOf))
  app.use(parseBody(bodyTaker(places)))
  app.use(deadline(deps, placeOf))
  app.use(deps.fairUse.middleware)
  for (const { router } of places) app.use(router.routes())
  // Koa prints what it could not answer to the console; it goes to the log instead.
  app.silent = true
  app.on('error', (error: NodeJS.ErrnoException | Refused) => {
    if (error instanceof Refused) return deps.log.info({ reason: error.reason }, 'an answer was cut short')
    const hasLeft = ['ECONNRESET', 'EPIPE', 'ERR_STREAM_PREMATURE_CLOSE'].includes(error.code ?? '')
    if (hasLeft) deps.log.debug({ code: error.code }, 'whoever asked has gone')
    else deps.log.error({ err: error }, 'a response failed')
  })
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
    tellLimits(ctx)
    const ms = Math.round(performance.now() - began)
    const line = { request, method: ctx.method, path: loggedPath(ctx), status: ctx.status, ms }
    const reason = refusals.get(ctx)
    log.info(reason === undefined ? line : { ...line, reason }, 'request')
  }

/** How many requests are left (draft-ietf-httpapi-ratelimit-headers): lists of items (RFC 9651 §3.1). */
function tellLimits(ctx: Context): void {
  const meter = meterOf(ctx)
  if (meter.length === 0) return
  const seconds = (ms: number): number => Math.max(1, Math.ceil(ms / 1000))
  const policy = meter.map(({ name, limit }) => `"${name}";q=${limit.most};w=${Math.round(limit.windowMs / 1000)}`)
  ctx.set('RateLimit-Policy', policy.join(', '))
  ctx.set('RateLimit', meter.map(({ name, left, resetMs }) => `"${name}";r=${left};t=${seconds(resetMs)}`).join(', '))
}

/** Why a request was refused, for its line in the log. */
const refusals = new WeakMap<Context, Reason>()

/** The route's pattern, since a path may name a person; what no route took, as it came. */
const loggedPath = (ctx: Context & { _matchedRoute?: unknown }): string =>
  String(ctx._matchedRoute ?? ctx.path.replace(/^\/todos\/[^/]+/, '/todos/:username').replace(SECRETS, '$1…')).slice(
    0,
    200,
  )

/** What looks like a secret of ours, put into a path by mistake. */
const SECRETS = /\b(db[a-z]_)[\w-]+/g

type PlaceOf = (ctx: Context) => Omit<Place, 'router'>

/** What begins as a router's paths do is that router's, whether a route is there or not; the rest is whoever asks. */
function placeFinder(places: readonly Place[]): PlaceOf {
  const firstSegment = (path: string): string => (path === '/' ? '/' : (path.split('/', 2)[1] ?? ''))
  const known = new Map<string, Place>()
  for (const place of places) for (const { path } of place.router.stack) known.set(firstSegment(String(path)), place)
  return (ctx) => known.get(firstSegment(ctx.path)) ?? { surface: prefersPage(ctx) ? 'page' : 'api' }
}

/** Says whether there is a route for a request that does not read its body itself. */
const bodyTaker =
  (places: readonly Place[]) =>
  ({ path, method }: Context): boolean =>
    places.some(({ router, readsOwnBody }) => !readsOwnBody && router.match(path, method).route)

/** For so long a search may find nothing, and say nothing. */
const LONG_MS = 600_000

/** ChatGPT waits 45 seconds: what takes too long is answered well before that. It may be done all the same. */
const deadline =
  ({ settings: { deadlineMs } }: Deps, placeOf: PlaceOf): Middleware =>
  async (ctx, next) => {
    if (placeOf(ctx).isLong) {
      ctx.req.socket.setTimeout(LONG_MS)
      return next()
    }
    let alarm: NodeJS.Timeout | undefined
    const late = new Promise<never>((_, reject) => {
      alarm = setTimeout(() => reject(new Refused('deadline_passed')), deadlineMs)
    })
    try {
      await Promise.race([next(), late])
    } finally {
      clearTimeout(alarm)
    }
  }

/** Answers what went wrong, for whoever reads it. */
const answerFailures =
  ({ log, settings }: Deps, placeOf: PlaceOf): Middleware =>
  async (ctx, next) => {
    const isReadable = hasReadableTarget(ctx)
    if (!isReadable) ctx.url = '/' // Nothing after this is to stumble over it.
    const { surface } = placeOf(ctx)
    if (surface === 'oauth') {
      // RFC 6749 §5.1: nothing of the token endpoint may be kept.
      ctx.set('Cache-Control', 'no-store')
      ctx.set('Pragma', 'no-cache')
    }
    // Each answer is one user's own.
    if (surface === 'mcp') ctx.set('Cache-Control', 'no-store')
    try {
      if (!isReadable) throw new Refused('request_malformed')
      if (!hasOneHost(ctx)) throw new Refused('request_malformed', 'There must be one Host header.')
      await next()
      if ((ctx.body === undefined || ctx.body === null) && ctx.status === 404) answerUnrouted(ctx)
    } catch (error) {
      // Nobody reads the answer any more, and what was read for it has stopped.
      if (ctx.res.destroyed && error instanceof Error && error.name === 'AbortError') {
        ctx.body = ''
        return
      }
      if (!(error instanceof Refused)) return answerBug(ctx, surface, error, log)
      refusals.set(ctx, error.reason)
      if (surface === 'page') await sendRefusal(ctx, error)
      else if (surface === 'oauth') answerOAuth(ctx, error)
      else answerJson(ctx, error, settings, surface)
    }
  }

/** The target of a request may be a whole URL (RFC 9112 §3.2.2), and then one that is none. */
const hasReadableTarget = ({ url }: Context): boolean =>
  url.startsWith('/') || url === '*' || (/^https?:\/\/[^/?#]/i.test(url) && URL.canParse(url))

/** RFC 9112 §3.2: a request without Host (from HTTP/1.1 on) or with two is answered with 400. What it says is not used. */
const hasOneHost = (ctx: Context): boolean =>
  ctx.req.headers.host === undefined ? ctx.req.httpVersion === '1.0' : !isRepeated(ctx, 'host')

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
    // Pages set it, except where another origin's window waits for the answer.
    crossOriginOpenerPolicy: false,
    // The plugin's documents say otherwise; who may read the API is said by CORS.
    crossOriginResourcePolicy: { policy: 'same-origin' },
    strictTransportSecurity: settings.publicUrl.startsWith('https:')
      ? { maxAge: 31_536_000, includeSubDomains: false }
      : false,
  })

/** The plugin's documents and the API may be read by the named origins; pages and OAuth by none. */
function crossOrigin({ settings }: Deps, placeOf: PlaceOf): Middleware {
  const allow = cors({
    origin: (ctx) => (settings.corsOrigins.includes(ctx.get('origin')) ? ctx.get('origin') : ''),
    allowMethods: ['GET', 'HEAD', 'POST', 'PATCH', 'DELETE'],
    exposeHeaders: [
      'X-Request-Id',
      'ETag',
      'Location',
      'WWW-Authenticate',
      'Retry-After',
      'RateLimit',
      'RateLimit-Policy',
      'Mcp-Protocol-Version',
    ],
    maxAge: 600,
    // ChatGPT's page may ask a Daybook on the same machine or network.
    privateNetworkAccess: true,
  })
  return (ctx, next) => (placeOf(ctx).isShared ? allow(ctx, next) : next())
}
