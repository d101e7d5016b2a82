/** `POST /mcp`: MCP over streamable HTTP, stateless. What is checked before a message, and how its answer is sent. */
import Router from '@koa/router'
import type { Context } from 'koa'
import { includesScope } from '../../domain/scopes.ts'
import { Refused } from '../../ledger/refused.ts'
import { WRITE } from '../../service/todos.ts'
import { MAX_BATCH_BYTES, readBody, SMALL_BYTES } from '../body.ts'
import { bearerToken, requireOwnOrigin } from '../callers.ts'
import { provenance } from '../origin.ts'
import type { Deps } from '../settings.ts'
import type { Call } from './call.ts'
import type { Handler } from './handler.ts'
import { answerWrong, messageOf } from './message.ts'

const FOREIGN =
  'MCP is served to requests whose Host is the one of PUBLIC_URL, localhost or an address, and whose Origin, if any, is in CORS_ORIGINS. A proxy in front has to pass Host on.'

/** Loads the MCP package, which takes a moment: the first request waits for it, unless the server has done so before. */
export const loadMcp = () => import('./handler.ts')

export function mcpRoutes(deps: Deps): Router {
  const router = new Router({ sensitive: true, strict: true })
  const service = new Service(deps)
  router.all('/mcp', async (ctx) => {
    requireOwnOrigin(ctx, deps.settings, FOREIGN)
    if (ctx.method !== 'POST') {
      ctx.set('Allow', 'POST')
      throw new Refused('method_not_allowed')
    }
    const { authentication } = deps.services
    const caller = await authentication.caller(provenance(ctx), () => bearerToken(ctx), 'mcp')
    const call: Call = { deps, caller: authentication.listCaller(caller) }
    const { budget, scope } = call.caller
    deps.fairUse.belongsTo(ctx, budget)
    // Who only reads sends nothing large, and must not keep the others of a user from it.
    const limit = includesScope(scope, WRITE) ? MAX_BATCH_BYTES : SMALL_BYTES
    const read = messageOf(await readBody(ctx, { limit, deps, budget }))
    if ('wrong' in read) return answerWrong(ctx, read.wrong)
    answer(ctx, deps, await service.run(call, requestFor(ctx, deps), read.message))
  })
  return router
}

/** Streams of this server end by themselves, so that each answer is sent whole. */
type Answer = { readonly status: number; readonly headers: Headers; readonly text: string }

const whole = async (response: Response): Promise<Answer> => ({
  status: response.status,
  headers: response.headers,
  text: await response.text(),
})

/** The handler, from the first request until the server stops. */
class Service {
  readonly #deps: Deps
  readonly #running = new Set<Promise<unknown>>()
  #handler: Promise<Handler> | undefined

  constructor(deps: Deps) {
    this.#deps = deps
    deps.stopping?.addEventListener('abort', () => void this.#close(), { once: true })
  }

  /** @throws {Refused} `book_unavailable` while the server stops */
  async run(call: Call, request: Request, message: unknown): Promise<Answer> {
    if (this.#deps.stopping?.aborted)
      throw new Refused('book_unavailable', 'Daybook is being stopped. Try again shortly.')
    this.#handler ??= this.#load()
    const running = this.#handler.then((handler) => handler.answer(call, request, message)).then(whole)
    this.#running.add(running)
    try {
      return await running
    } finally {
      this.#running.delete(running)
    }
  }

  /** What could not be loaded is loaded again at the next request. */
  async #load(): Promise<Handler> {
    try {
      const { createHandler } = await loadMcp()
      return createHandler(this.#deps)
    } catch (error) {
      this.#handler = undefined
      throw error
    }
  }

  /** Ends streams. A call that runs may have changed something, so it is answered first. */
  async #close(): Promise<void> {
    const [loaded] = await Promise.allSettled([this.#handler, ...this.#running])
    if (loaded.status === 'fulfilled') await loaded.value?.close()
  }
}

/** The headers that the handler needs. Credentials are not among them. */
const HEADERS = ['content-type', 'mcp-protocol-version', 'mcp-method', 'mcp-name', 'user-agent']
const BOTH = ['application/json', 'text/event-stream']
const MAX_ACCEPT_LENGTH = 1024

function requestFor(ctx: Context, { settings }: Deps): Request {
  const headers = new Headers()
  for (const name of HEADERS) if (ctx.get(name) !== '') headers.set(name, ctx.get(name))
  headers.set('accept', acceptOf(ctx))
  const gone = new AbortController()
  ctx.res.once('close', () => {
    if (!ctx.res.writableFinished) gone.abort()
  })
  return new Request(`${settings.publicUrl}/mcp`, { method: 'POST', headers, signal: gone.signal })
}

/** The handler wants both types named; here a range that covers both will do (RFC 9110 §12.5.1). */
function acceptOf(ctx: Context): string {
  const accept = ctx.get('accept')
  if (accept.length > MAX_ACCEPT_LENGTH) return ''
  return BOTH.every((type) => ctx.accepts(type) === type) ? BOTH.join(', ') : accept
}

function answer(ctx: Context, { log }: Deps, { status, headers, text }: Answer): void {
  if (status >= 500) log.error({ request: ctx.response.get('X-Request-Id'), status }, 'the MCP handler failed')
  ctx.body = text === '' ? null : text
  ctx.status = status
  for (const name of ['Content-Type', 'WWW-Authenticate']) {
    const value = headers.get(name)
    if (value !== null) ctx.set(name, value)
  }
}
