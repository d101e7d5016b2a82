/** Says on a page that it was opened by another address than `PUBLIC_URL`, where cookies and forms do not work. */
import { html } from 'hono/html'
import type { Context, Middleware } from 'koa'
import { isLoopbackHost } from '../origin.ts'
import type { Html } from './layout.ts'

/** `PUBLIC_URL`, for the pages of a request. */
const homes = new WeakMap<Context, string>()

/** Lets every page of a request know where people are to open Daybook. */
export const knowHome =
  (publicUrl: string): Middleware =>
  (ctx, next) => {
    homes.set(ctx, publicUrl)
    return next()
  }

/** Where people are to open Daybook; `undefined` for a request that was not told. */
export const homeOf = (ctx: Context): string | undefined => homes.get(ctx)

/**
 * What to say above a page that was opened by another address; `undefined` where it was the right one, or it is not
 * known. The other address is not shown: nothing of a request's host ever stands on a page.
 */
export function addressNotice(ctx: Context): Html | undefined {
  const home = homes.get(ctx)
  const opened = home === undefined ? undefined : openedAt(ctx, home)
  if (home === undefined || opened === undefined || opened.origin === home) return undefined
  const isElsewhere = isLoopbackHost(new URL(home).hostname) && !isLoopbackHost(opened.hostname)
  const path = ctx.method === 'GET' || ctx.method === 'HEAD' ? `${ctx.path}${ctx.search}` : '/'
  return html`<aside class="notice" aria-label="The address of this page">
      <p>You opened Daybook by another address than its own. Signing in works only here:
        <a href="${home}${path}">${home}</a></p>
      ${
        isElsewhere
          ? html`<p>That address leads to the very machine that it is opened on. If Daybook runs on another one, its operator
        has to set <code>PUBLIC_URL</code> to the address that people use.</p>`
          : ''
      }
    </aside>`
}

const first = (list: string): string => list.split(',', 1)[0]!.trim()

/**
 * What the browser had in its address bar, as far as the request tells. A form says it in `Origin`; otherwise it is the
 * host that the request names, by the scheme of `PUBLIC_URL`, unless something says that it was another.
 */
function openedAt(ctx: Context, home: string): URL | undefined {
  const forwarded = first(ctx.get('x-forwarded-host'))
  const url = originOf(`${new URL(home).protocol}//${forwarded || ctx.get('host')}`)
  if (url === undefined) return undefined
  const sent = originOf(ctx.get('origin'))
  if (sent?.host === url.host) return sent
  // A browser that comes from a page at the right address is there, whatever a proxy makes of the host.
  if (sent?.origin === home || ctx.get('referer').startsWith(`${home}/`)) return undefined
  if (forwarded === '' && isBehindProxy(ctx, url) && !isName(url)) return undefined
  // Browsers send this only where the connection is secure, so a proxy that says "http" speaks of its own.
  const isPlain = first(ctx.get('x-forwarded-proto')) === 'http' && ctx.get('sec-fetch-site') === ''
  return isPlain ? originOf(`http://${forwarded || ctx.get('host')}`) : url
}

const originOf = (text: string): URL | undefined =>
  /^https?:\/\/[^/?#@\\]+$/i.test(text) && URL.canParse(text) ? new URL(text) : undefined

/** A proxy may name its own way to Daybook as the host, such as `127.0.0.1:8085` or `daybook:85`: nobody opened that. */
const isName = ({ hostname, port }: URL): boolean => port === '' && /\.[a-z][a-z0-9-]*\.?$/i.test(hostname)

/**
 * Did a proxy pass this on? It says so, or it speaks HTTP/1.0; or the browser's connection was secure, which ours
 * never is, but a browser calls one to its own machine secure, too (Secure Contexts §3.1).
 */
const isBehindProxy = (ctx: Context, { hostname }: URL): boolean =>
  ctx.req.httpVersion === '1.0' ||
  ['x-forwarded-for', 'x-forwarded-proto', 'x-real-ip', 'forwarded', 'via'].some((name) => ctx.get(name) !== '') ||
  (ctx.get('sec-fetch-site') !== '' && !isLoopbackHost(hostname))
