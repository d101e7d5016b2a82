/** The audit for operators' programs and pages: list, one event, follow, export. */
import { Readable } from 'node:stream'
import Router from '@koa/router'
import type { Context } from 'koa'
import { EXPORT_FORMATS } from '../ledger/export.ts'
import { Refused } from '../ledger/refused.ts'
import type { Followed, Looked } from '../service/audit.ts'
import type { Caller } from '../service/caller.ts'
import { operatorCaller, requireSameSite } from './session.ts'
import type { Deps } from './settings.ts'

const MAX_LIMIT = 1000
/** About how long a page of events may be. The rest is on the next page. */
const MAX_CHARACTERS = 1_000_000

export function auditRoutes(deps: Deps): Router {
  const { audit } = deps.services
  const router = new Router({ sensitive: true, strict: true })

  router.get('/admin/audit/events', async (ctx) => {
    const caller = await auditor(ctx, deps)
    const [limit, before] = [wholeNumber(ctx, 'limit', MAX_LIMIT) ?? 50, wholeNumber(ctx, 'before')]
    const of = { filter: filterIn(ctx), limit, before, maxCharacters: MAX_CHARACTERS, signal: readerGone(ctx) }
    const { events, nextBefore } = found(ctx, await audit.page(caller, of))
    answer(ctx, { events, next_before: nextBefore })
  })

  router.get('/admin/audit/events/:seq', async (ctx) => {
    const caller = await auditor(ctx, deps)
    const text = String(ctx.params.seq)
    const shown = /^[1-9]\d{0,14}$/.test(text) ? await audit.show(caller, Number(text)) : undefined
    if (shown === undefined) throw new Refused('route_unknown', `There is no event ${text}.`)
    answer(ctx, found(ctx, shown))
  })

  router.get('/admin/audit/follow', async (ctx) => {
    const caller = await auditor(ctx, deps)
    // A browser that comes back says what it has seen (WHATWG HTML §9.2.3).
    const seen = /^\d{1,15}$/.exec(ctx.get('last-event-id'))?.[0]
    const after = seen === undefined ? wholeNumber(ctx, 'after') : Number(seen)
    const signal = readerGone(ctx, deps.stopping)
    const followed = found(ctx, await audit.follow(caller, { filter: filterIn(ctx), after, signal }))
    ctx.type = 'text/event-stream; charset=utf-8'
    ctx.set('Cache-Control', 'no-store')
    ctx.body = Readable.from(eventStream(followed), ONE_AHEAD)
  })

  router.get('/admin/audit/export', async (ctx) => {
    const caller = await auditor(ctx, deps)
    const format = EXPORT_FORMATS.find((known) => known === (ctx.query.format ?? 'ndjson'))
    if (format === undefined) throw new Refused('request_malformed', `format is one of ${EXPORT_FORMATS.join(', ')}.`)
    // HEAD exports nothing (RFC 9110 §9.3.2), but it is answered only to who may export.
    if (ctx.method === 'HEAD') {
      await audit.admit(caller)
      return answer(ctx, {})
    }
    const of = { filter: filterIn(ctx), format, opened: ctx.query.open === '1', signal: readerGone(ctx) }
    const body = await begun(found(ctx, await audit.export(caller, of)))
    ctx.type = format === 'csv' ? 'text/csv; charset=utf-8' : 'application/x-ndjson; charset=utf-8'
    ctx.set('Cache-Control', 'no-store')
    ctx.attachment(`daybook.${format}`)
    ctx.body = body
  })

  return router
}

/** @throws {Refused} `session_missing`, `form_foreign` */
async function auditor(ctx: Context, deps: Deps): Promise<Caller> {
  const caller = await operatorCaller(ctx, deps)
  // Each look leaves an event, and an export a file: another site must not make an operator's browser do that.
  requireSameSite(ctx, deps, 'request')
  return caller
}

/** Says when nobody reads the answer any more, or when the server stops. */
function readerGone(ctx: Context, stopping?: AbortSignal): AbortSignal {
  const gone = new AbortController()
  if (ctx.res.destroyed) gone.abort() // They left before this began.
  ctx.res.once('close', () => gone.abort())
  stopping?.addEventListener('abort', () => gone.abort(), { once: true, signal: gone.signal })
  return gone.signal
}

/** What was found. While the book cannot be written, the answer says that no record of the look is kept. */
function found<T>(ctx: Context, looked: Looked<T>): T {
  if (!looked.isRecorded) ctx.set('X-Daybook-Recorded', 'no')
  return looked.found
}

/** Nothing is read before the connection takes it: what a revoked operator has not received, they do not receive. */
const ONE_AHEAD = { highWaterMark: 1 }

/** Reads the first part before anything is answered, so that what cannot be read is refused like anything else. */
async function begun(text: AsyncGenerator<string>): Promise<Readable> {
  const first = await text.next()
  async function* whole(): AsyncGenerator<string> {
    if (first.done !== true) yield first.value
    yield* text
  }
  const body = Readable.from(whole(), ONE_AHEAD)
  // Who left before it began would leave it reading the book for ever.
  body.once('close', () => void text.return(undefined))
  return body
}

function answer(ctx: Context, body: object): void {
  ctx.set('Cache-Control', 'no-store')
  ctx.body = body
}

/** @throws {Refused} `request_malformed` */
function filterIn(ctx: Context): string {
  const { filter = '' } = ctx.query
  if (typeof filter !== 'string') throw new Refused('request_malformed', 'filter is given more than once.')
  return filter
}

function wholeNumber(ctx: Context, name: string, most = Number.MAX_SAFE_INTEGER): number | undefined {
  const text = ctx.query[name]
  if (text === undefined) return undefined
  if (typeof text !== 'string' || !/^\d{1,15}$/.test(text) || Number(text) < 1 || Number(text) > most)
    throw new Refused('request_malformed', `${name} must be a whole number from 1 on.`)
  return Number(text)
}

/** Server-sent events (WHATWG HTML §9.2): each has its `seq` as id, so that who comes back misses none. */
async function* eventStream({ from, news }: Followed): AsyncGenerator<string> {
  // Without data it is no event; but who is cut off comes back to here, and misses none.
  yield `: following\nid: ${from}\n\n`
  try {
    for await (const heard of news)
      yield 'event' in heard
        ? `id: ${heard.event.seq}\ndata: ${JSON.stringify(heard.event)}\n\n`
        : `: still here\nid: ${heard.silentUpTo}\n\n`
  } catch (error) {
    // Who may not follow any more is told no more. Coming back, they are told why.
    if (!(error instanceof Refused)) throw error
  }
}
