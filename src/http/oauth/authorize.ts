/** The authorization endpoint and the answer to its consent page (RFC 6749 §4.1.1, §4.1.2; RFC 9207). */
import Router from '@koa/router'
import type { Context } from 'koa'
import { isOnDevice } from '../../domain/redirects.ts'
import { scopeWords } from '../../domain/scopes.ts'
import { Refused } from '../../ledger/refused.ts'
import { vouchingFor } from '../../service/apps.ts'
import type { Question, Ready, Reply } from '../../service/authorization.ts'
import { refusals } from '../../service/refusals.ts'
import { provenance } from '../origin.ts'
import { consentPage } from '../pages/consent.ts'
import { sendPage } from '../pages/layout.ts'
import { type Destination, signInPage } from '../pages/sign-in.ts'
import { formFields, queryParameters } from '../parse.ts'
import { requireOwnForm, type SignedIn, signedIn, tokenFor } from '../session.ts'
import type { Deps } from '../settings.ts'

export function authorizeRoutes(deps: Deps): Router {
  const { authorization } = deps.services
  const router = new Router({ sensitive: true, strict: true })

  router.get('/oauth', async (ctx) => {
    requireNavigation(ctx)
    const from = provenance(ctx)
    const opened = await authorization.open(from, queryParameters(ctx.querystring))
    if ('answer' in opened) return redirectBack(ctx, deps, opened)
    const visitor = await signedIn(ctx, deps)
    // HEAD asks nobody: it is safe (RFC 9110 §9.2.1).
    if (visitor === undefined || ctx.method !== 'GET') return sendSignIn(ctx, deps, opened)
    const asked = await authorization.ask(from, visitor, opened, isScripted(ctx))
    if ('answer' in asked) return redirectBack(ctx, deps, asked)
    return sendQuestion(ctx, deps, opened, asked, visitor)
  })

  router.post('/oauth/consent', async (ctx) => {
    const fields = formFields(ctx)
    const visitor = await signedIn(ctx, deps)
    if (visitor === undefined) throw new Refused('consent_unknown')
    const request = fields.get('request') ?? ''
    requireOwnForm(ctx, deps, fields, consentForm(request), visitor.session)
    const decision = fields.get('decision')
    if (decision !== 'allow' && decision !== 'deny') throw new Refused('decision_missing')
    redirectBack(ctx, deps, await authorization.answer(provenance(ctx), visitor, request, decision === 'allow'))
  })

  return router
}

/**
 * An authorization is asked for by a person's browser that goes somewhere, not by a frame, an image or a guess of what
 * they will open next: where nobody looks, nobody may be let in. What is no browser says nothing of it.
 * @throws {Refused} `request_malformed`
 */
function requireNavigation(ctx: Context): void {
  const isAhead = /prefetch|prerender/i.test(ctx.get('sec-purpose') + ctx.get('purpose'))
  if (isAhead || !['', 'document'].includes(ctx.get('sec-fetch-dest')))
    throw new Refused('request_malformed', 'Open this address in a browser window of its own.')
}

/** Did the script of another site send the browser here, and not the person (Fetch Metadata, `Sec-Fetch-User`)? */
const isScripted = (ctx: Context): boolean =>
  ['cross-site', 'same-site'].includes(ctx.get('sec-fetch-site')) && ctx.get('sec-fetch-user') !== '?1'

const consentForm = (request: string): string => `consent ${request}`

const destinationOf = ({ client }: Ready, query: string): Destination => ({
  returnTo: `/oauth?${query}`,
  clientName: client.name,
})

/** The page of one to-do, which links in answers of `/mcp` lead to. */
const TODO_PAGE = /^\/account\/todos\/\w{1,64}$/

/**
 * Where a sign-in may lead: back to an authorization or to the page of a to-do, or home. Nowhere else, and never off
 * this origin.
 * @param returnTo as it came in a form or query
 */
export async function destination(deps: Deps, returnTo: string | undefined): Promise<Destination> {
  if (returnTo !== undefined && TODO_PAGE.test(returnTo)) return { returnTo }
  const query = /^\/oauth\?([\x21-\x7e]+)$/.exec(returnTo ?? '')?.[1]
  if (query === undefined || deps.settings.authMode !== 'oauth') return { returnTo: '/' }
  try {
    const ready = await deps.services.authorization.preview(queryParameters(query))
    return ready === undefined ? { returnTo: `/oauth?${query}` } : destinationOf(ready, query)
  } catch (error) {
    if (error instanceof Refused && error.reason === 'request_malformed') return { returnTo: '/' }
    throw error
  }
}

function sendSignIn(ctx: Context, deps: Deps, ready: Ready): Promise<void> {
  const page = { formToken: tokenFor(ctx, deps, 'login'), canSignUp: deps.services.accounts.canSignUp }
  return sendPage(ctx, signInPage({ ...page, ...destinationOf(ready, ctx.querystring) }))
}

async function sendQuestion(
  ctx: Context,
  deps: Deps,
  { asked }: Ready,
  { request, client, username }: Question,
  { session }: SignedIn,
): Promise<void> {
  const page = consentPage({
    clientName: client.name,
    vouching: vouchingFor(client),
    username,
    permissions: scopeWords(asked.scope),
    returnsTo: isOnDevice(asked.redirectUri) ? undefined : new URL(asked.redirectUri).host,
    holdsMs: deps.settings.refreshMaxTtlMs,
    request,
    formToken: tokenFor(ctx, deps, consentForm(request), session),
    returnTo: `/oauth?${ctx.querystring}`,
    signOutToken: tokenFor(ctx, deps, 'logout', session),
  })
  await sendPage(ctx, page)
}

/** Back to the client, by GET whatever came before (303), the registered URI as it is, its own query kept. */
function redirectBack(ctx: Context, { settings }: Deps, { redirectUri, state, answer }: Reply): void {
  const parameters = new URLSearchParams()
  if ('code' in answer) parameters.set('code', answer.code)
  else {
    const [error, description] = refusals[answer.refusal].redirect
    parameters.set('error', error)
    parameters.set('error_description', description)
  }
  if (state !== null) parameters.set('state', state)
  parameters.set('iss', settings.publicUrl) // RFC 9207 §2: on every answer, errors too.
  ctx.status = 303
  ctx.set('Cache-Control', 'no-store')
  ctx.set('Location', `${redirectUri}${redirectUri.includes('?') ? '&' : '?'}${parameters}`)
  ctx.body = ''
}
