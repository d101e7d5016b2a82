/** Is the process up, is it able to write, and how is the book: for supervisors, load balancers and Prometheus. */
import Router from '@koa/router'
import type { Context } from 'koa'
import { collectDefaultMetrics, Gauge, Registry } from 'prom-client'
import { tablesOf } from '../domain/domain.ts'
import { isLoopbackHost, namedHost } from './origin.ts'
import { operatorCaller } from './session.ts'
import type { Deps } from './settings.ts'

/** Where the book lies is for the log, not for whoever asks. */
const withoutPaths = (text: string): string => text.replaceAll(/\/[^\s:'"]+/g, '…')

export function healthRoutes(deps: Deps): Router {
  const { ledger } = deps
  const router = new Router({ sensitive: true, strict: true })
  const metrics = bookMetrics(deps)
  router.get('/healthz', (ctx) => {
    ctx.set('Cache-Control', 'no-store')
    ctx.body = { status: 'up' }
  })
  router.get('/readyz', (ctx) => {
    const { status } = ledger
    ctx.set('Cache-Control', 'no-store')
    ctx.status = status.writable ? 200 : 503
    ctx.body = status.writable
      ? { status: 'ready', seq: ledger.head.seq }
      : { status: 'read-only', reason: `The book cannot be written: ${withoutPaths(status.reason)}` }
  })
  router.get('/metrics', async (ctx) => {
    if (!isLocal(ctx)) await ledger.ask(await operatorCaller(ctx, deps), () => undefined)
    ctx.set('Cache-Control', 'no-store')
    const text = await metrics.metrics()
    ctx.type = metrics.contentType
    ctx.body = text
  })
  return router
}

const LOOPBACK = /^(127\.\d+\.\d+\.\d+|::1)$/

/** Asked on this machine, by a name of this machine, and not through a proxy that stands on it. */
const isLocal = (ctx: Context): boolean =>
  LOOPBACK.test(ctx.request.ip) &&
  isLoopbackHost(namedHost(ctx) ?? '') &&
  !['x-forwarded-for', 'forwarded', 'via'].some((name) => ctx.get(name) !== '')

function bookMetrics({ ledger, services: { limits }, largeBodies, fairUse }: Deps): Registry {
  const registry = new Registry()
  collectDefaultMetrics({ register: registry })
  const gauge = (name: string, help: string, value: () => number): void => {
    new Gauge({
      name: `daybook_${name}`,
      help,
      registers: [registry],
      collect() {
        this.set(value())
      },
    })
  }
  gauge('writable', 'Whether the book can be written', () => Number(ledger.status.writable))
  gauge('todos_bytes', 'Memory that all to-dos take, about (MAX_LISTS_SIZE)', () =>
    ledger.peek(({ todos }) => todos.totalSize),
  )
  gauge('head_seq', 'The last event on disk', () => ledger.head.seq)
  gauge(
    'verified_seq',
    'Up to which event the chain was read back and found to hold',
    () => ledger.scrub.status.verified,
  )
  gauge('scrub_seq', 'Where the pass over the whole book is; 0 between two', () => ledger.scrub.status.at ?? 0)
  gauge('scrub_passed_seconds', 'When the last pass ended well, seconds since 1970; 0 for never', () =>
    Math.floor((ledger.scrub.status.passed?.at ?? 0) / 1000),
  )
  gauge('scrub_troubled', 'Whether something could not be read back, for a reason that may pass', () =>
    Number(ledger.scrub.status.trouble !== undefined),
  )
  gauge(
    'scrub_fault_seq',
    'The first event that does not hold; 0 where all do',
    () => ledger.scrub.status.fault?.seq ?? 0,
  )
  const rows = new Gauge({
    name: 'daybook_rows',
    help: 'What holds now, by table',
    labelNames: ['table'],
    registers: [registry],
    collect() {
      for (const [table, { size }] of ledger.peek(tablesOf)) rows.set({ table }, size)
    },
  })
  const limited = new Gauge({
    name: 'daybook_limited_total',
    help: 'Requests refused with 429, and answers cut off, since the start, by limit',
    labelNames: ['limit'],
    registers: [registry],
    collect() {
      for (const [limit, refused] of limits.refused) limited.set({ limit }, refused)
      limited.set({ limit: 'large_bodies' }, largeBodies.refused)
      limited.set({ limit: 'unsent_answers' }, fairUse.cut)
    },
  })
  return registry
}
