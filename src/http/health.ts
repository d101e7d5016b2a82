/** Is the process up, and is it able to write? */
import Router from '@koa/router'
import type { Deps } from './settings.ts'

/** Where the book lies is for the log, not for whoever asks. */
const withoutPaths = (text: string): string => text.replaceAll(/\/[^\s:'"]+/g, '…')

export function healthRoutes({ ledger }: Deps): Router {
  const router = new Router({ sensitive: true, strict: true })
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
  return router
}
