/** Who is looking at a page: the session cookie, and the tokens that tie a form to the visitor it was given to. */
import type { Context } from 'koa'
import { FORM_KEY } from '../ledger/book.ts'
import { Refused } from '../ledger/refused.ts'
import { adminCaller, type Caller, type SignedIn } from '../service/caller.ts'
import { digest, formToken, isFormToken, newSecret } from '../service/secrets.ts'
import { provenance } from './origin.ts'
import type { Deps, Settings } from './settings.ts'

const isHttps = ({ publicUrl }: Settings): boolean => publicUrl.startsWith('https:')
/** Over https a `__Host-` cookie cannot be planted from another host or path (RFC 6265bis §4.1.3.2). */
const cookieName = (settings: Settings, name: string): string =>
  isHttps(settings) ? `__Host-daybook_${name}` : `daybook_${name}`

function setCookie(ctx: Context, settings: Settings, name: string, value: string | null, maxAgeMs?: number): void {
  ctx.cookies.secure = isHttps(settings)
  ctx.cookies.set(cookieName(settings, name), value, {
    httpOnly: true,
    sameSite: 'lax',
    path: '/',
    overwrite: true,
    ...(maxAgeMs === undefined ? {} : { maxAge: maxAgeMs }),
  })
}

export type { SignedIn }

export async function signedIn(ctx: Context, { services, settings }: Deps): Promise<SignedIn | undefined> {
  const session = sessionBefore(ctx, settings)
  return session === undefined ? undefined : services.accounts.signedIn(session)
}

/**
 * The visitor as an operator: whether they are one is asked in each turn, by `holds`.
 * @throws {Refused} `session_missing`
 */
export async function operatorCaller(ctx: Context, deps: Deps): Promise<Caller> {
  const visitor = await signedIn(ctx, deps)
  if (visitor === undefined) throw new Refused('session_missing')
  return adminCaller(provenance(ctx), visitor)
}

/** The session that the browser sent, live or not: it ends when somebody signs in with the same browser. */
export function sessionBefore(ctx: Context, settings: Settings): string | undefined {
  const cookie = ctx.cookies.get(cookieName(settings, 'session'))
  return cookie === undefined ? undefined : digest(cookie)
}

export const setSession = (ctx: Context, settings: Settings, cookie: string): void =>
  setCookie(ctx, settings, 'session', cookie, settings.sessionTtlMs)

export const clearSession = (ctx: Context, settings: Settings): void => setCookie(ctx, settings, 'session', null)

/** Who has not signed in is known by a cookie of their own, so that a form fits only the browser it was given to. */
function visitor(ctx: Context, settings: Settings): string | undefined {
  const cookie = ctx.cookies.get(cookieName(settings, 'visitor'))
  return cookie === undefined ? undefined : digest(cookie)
}

/** The token for a form on a page that is being answered. @param form what the form does, and to what */
export function tokenFor(ctx: Context, { ledger, settings }: Deps, form: string, session?: string): string {
  let who = session ?? visitor(ctx, settings)
  if (who === undefined) {
    const cookie = newSecret('dbw')
    setCookie(ctx, settings, 'visitor', cookie)
    who = digest(cookie)
  }
  return formToken(ledger.secret(FORM_KEY)!, who, form)
}

/**
 * Was this sent by a page of ours, as far as the browser says?
 * @throws {Refused} `form_foreign`
 */
export function requireSameSite(ctx: Context, { settings }: Deps, what = 'form'): void {
  const site = ctx.get('sec-fetch-site')
  const origin = ctx.get('origin')
  if (site !== '' && site !== 'same-origin' && site !== 'none')
    throw new Refused(
      'form_foreign',
      `This ${what} came from another site. Open Daybook at ${settings.publicUrl} instead.`,
    )
  // Under a strict referrer policy browsers send "null"; then Sec-Fetch-Site has to vouch.
  if (origin !== '' && origin !== settings.publicUrl && !(origin === 'null' && site === 'same-origin'))
    throw new Refused(
      'form_foreign',
      `This ${what} came from ${printableOrigin(origin)}. Open Daybook at ${settings.publicUrl} instead.`,
    )
}

/**
 * Was this form sent by the page it was given to? By `Sec-Fetch-Site`, `Origin` and the form's token.
 * @throws {Refused} `form_foreign`
 */
export function requireOwnForm(
  ctx: Context,
  deps: Deps,
  fields: ReadonlyMap<string, string>,
  form: string,
  session?: string,
): void {
  requireSameSite(ctx, deps)
  const who = session ?? visitor(ctx, deps.settings)
  const token = fields.get('form_token')
  if (who === undefined || token === undefined || !isFormToken(token, deps.ledger.secret(FORM_KEY)!, who, form))
    throw new Refused('form_foreign')
}

const printableOrigin = (origin: string): string => (URL.canParse(origin) ? new URL(origin).origin : 'another site')
