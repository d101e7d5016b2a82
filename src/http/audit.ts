/** The audit for operators' programs and pages: list, one event, follow, export. Each look is recorded. */
import { Readable } from 'node:stream'
import Router from '@koa/router'
import type { Context } from 'koa'
import { FilterMalformed, type Search } from '../domain/search.ts'
import { sessionUser } from '../domain/sessions.ts'
import { follow, followFrom, list, neighbours, recordLook, searchOf, tell } from '../ledger/audit.ts'
import { EXPORT_FORMATS, exportText } from '../ledger/export.ts'
import type { Found } from '../ledger/history.ts'
import { Refused } from '../ledger/refused.ts'
import { adminCaller } from '../service/caller.ts'
import { meterOf, provenance } from './origin.ts'
import { requireSameSite, type SignedIn, signedIn } from './session.ts'
import type { Deps } from './settings.ts'

const MAX_LIMIT = 1000
/** About so long an answer may be; the rest is on the next page. */
const MAX_CHARACTERS = 1_000_000

export function auditRoutes(deps: Deps): Router {
  const { ledger } = deps
  const router = new Router({ sensitive: true, strict: true })

  router.get('/admin/audit/events', async (ctx) => {
    const visitor = await requireOperator(ctx, deps)
    const search = searchIn(ctx, deps)
    const limit = wholeNumber(ctx, 'limit', MAX_LIMIT) ?? 50
    const before = wholeNumber(ctx, 'before')
    const { events, isMore } = await pageOf(deps, search, before, limit)
    tellRecorded(ctx, await recordLook(ledger, operator(ctx, visitor), 'list', search.canonical))
    const last = events.at(-1) as { seq: number } | undefined
    // Where the next page begins: with what stands before the last one of this.
    answer(ctx, { events, next_before: isMore && last!.seq > 1 ? last!.seq : null })
  })

  router.get('/admin/audit/events/:seq', async (ctx) => {
    const visitor = await requireOperator(ctx, deps)
    const text = String(ctx.params.seq)
    if (!/^[1-9]\d{0,14}$/.test(text)) throw new Refused('route_unknown')
    const found = await neighbours(ledger, Number(text))
    if (found === undefined) throw new Refused('route_unknown', `There is no event ${text}.`)
    tellRecorded(ctx, await recordLook(ledger, operator(ctx, visitor), 'show', `seq:${text}`))
    answer(ctx, found)
  })

  router.get('/admin/audit/follow', async (ctx) => {
    const visitor = await requireOperator(ctx, deps)
    const search = searchIn(ctx, deps)
    // A browser that comes back says itself what it has seen (WHATWG HTML §9.2.3).
    const seen = /^\d{1,15}$/.exec(ctx.get('last-event-id'))?.[0]
    const after = seen === undefined ? wholeNumber(ctx, 'after') : Number(seen)
    tellRecorded(ctx, await recordLook(ledger, operator(ctx, visitor), 'tail', search.canonical))
    const gone = new AbortController()
    if (ctx.res.destroyed) gone.abort() // Gone meanwhile.
    ctx.res.once('close', () => gone.abort())
    deps.stopping?.addEventListener('abort', () => gone.abort(), { once: true, signal: gone.signal })
    ctx.type = 'text/event-stream; charset=utf-8'
    ctx.set('Cache-Control', 'no-store')
    ctx.set('X-Accel-Buffering', 'no') // nginx would keep events back.
    ctx.body = Readable.from(
      eventStream(deps, visitor, search, followFrom(ledger, after ?? ledger.head.seq), gone.signal),
    )
  })

  router.get('/admin/audit/export', async (ctx) => {
    const visitor = await requireOperator(ctx, deps)
    const search = searchIn(ctx, deps)
    const format = EXPORT_FORMATS.find((known) => known === (ctx.query.format ?? 'ndjson'))
    if (format === undefined) throw new Refused('request_malformed', `format is one of ${EXPORT_FORMATS.join(', ')}.`)
    const opened = ctx.query.open === '1'
    if (ctx.method === 'HEAD') return answer(ctx, {}) // Nothing is taken along.
    const { text, isRecorded } = await exportText(ledger, operator(ctx, visitor), { search, format, opened })
    const body = await begun(text)
    tellRecorded(ctx, isRecorded)
    ctx.type = format === 'csv' ? 'text/csv; charset=utf-8' : 'application/x-ndjson; charset=utf-8'
    ctx.set('Cache-Control', 'no-store')
    ctx.attachment(`daybook.${format}`)
    ctx.body = body
  })

  return router
}

/** @throws {Refused} `session_missing`, `operator_only` */
/** The latest events before `before`, as many as one answer takes. */
async function pageOf({ ledger }: Deps, search: Search, before: number | undefined, limit: number) {
  const events: object[] = []
  let characters = 0
  const to = before === undefined ? {} : { to: before - 1 }
  for await (const { event } of list(ledger, { search, ...to, newestFirst: true })) {
    const told = tell(ledger, event)
    characters += JSON.stringify(told).length
    if (events.push(told) === limit || characters > MAX_CHARACTERS) return { events, isMore: true }
  }
  return { events, isMore: false }
}

async function requireOperator(ctx: Context, deps: Deps): Promise<SignedIn> {
  const visitor = await signedIn(ctx, deps)
  if (visitor === undefined) throw new Refused('session_missing')
  if (!visitor.user.admin) throw new Refused('operator_only')
  // Each look leaves an event, and an export a file: another site must not make an operator's browser do that.
  requireSameSite(ctx, deps, 'request')
  deps.services.limits.take(meterOf(ctx), 'api', visitor.user.id)
  return visitor
}

const operator = (ctx: Context, visitor: SignedIn) => adminCaller(provenance(ctx), visitor)

/** Reads the first part before anything is answered: so what cannot be read is refused like anything else. */
async function begun(text: AsyncGenerator<string>): Promise<Readable> {
  const first = await text.next()
  async function* whole(): AsyncGenerator<string> {
    if (first.done !== true) yield first.value
    yield* text
  }
  const body = Readable.from(whole())
  // Who left before it began would leave it reading the book for ever.
  body.once('close', () => void text.return(undefined))
  return body
}

/** Where the book cannot be written, looking is needed most: so it goes on, and says that no record is kept of it. */
function tellRecorded(ctx: Context, isRecorded: boolean): void {
  if (!isRecorded) ctx.set('X-Daybook-Recorded', 'no')
}

function answer(ctx: Context, body: object): void {
  ctx.set('Cache-Control', 'no-store')
  ctx.body = body
}

/** @throws {Refused} `request_malformed` with what is wrong with the filter */
function searchIn(ctx: Context, { ledger }: Deps): Search {
  const { filter = '' } = ctx.query
  if (typeof filter !== 'string') throw new Refused('request_malformed', 'filter is given more than once.')
  try {
    return searchOf(ledger, filter)
  } catch (error) {
    if (error instanceof FilterMalformed) throw new Refused('request_malformed', error.message)
    throw error
  }
}

function wholeNumber(ctx: Context, name: string, most = Number.MAX_SAFE_INTEGER): number | undefined {
  const text = ctx.query[name]
  if (text === undefined) return undefined
  if (typeof text !== 'string' || !/^\d{1,15}$/.test(text) || Number(text) < 1 || Number(text) > most)
    throw new Refused('request_malformed', `${name} must be a whole number from 1 on.`)
  return Number(text)
}

/** Server-sent events (WHATWG HTML §9.2): each has its `seq` as id, so that whoever comes back misses none. */
async function* eventStream(
  { ledger }: Deps,
  { session }: SignedIn,
  search: Search,
  after: number,
  signal: AbortSignal,
): AsyncGenerator<string> {
  const mayGoOn = (): Promise<boolean> => ledger.read((state, now) => sessionUser(state, session, now)?.admin === true)
  // Without data it is no event; but whoever is cut off comes back to here, and misses none.
  yield `: following\nid: ${after}\n\n`
  for await (const heard of follow(ledger, search, after, signal)) {
    if (!(await mayGoOn())) return
    yield 'event' in heard ? asEvent(ledger, heard) : `: still here\nid: ${heard.silentUpTo}\n\n`
  }
}

const asEvent = (ledger: Deps['ledger'], { event }: Found): string =>
  `id: ${event.seq}\ndata: ${JSON.stringify(tell(ledger, event))}\n\n`
