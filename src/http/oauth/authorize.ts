/** The authorization endpoint and the answer to its consent page (RFC 6749 §4.1.1, §4.1.2; RFC 9207). */
import Router from '@koa/router'
import type { Context } from 'koa'
import { type Client, isNewCallback, requestRedirect } from '../../domain/clients.ts'
import {
  type Answered,
  type Asked,
  type AuthorizeReason,
  type ConsentEvent,
  denyConsent,
  type Examined,
  examineRequest,
  grantAgain,
  grantConsent,
  isRemembered,
  requestConsent,
} from '../../domain/consents.ts'
import type { CodeIssued } from '../../domain/grants.ts'
import { scopeWords } from '../../domain/scopes.ts'
import type { Decision } from '../../domain/shape.ts'
import { usernameOf } from '../../domain/users.ts'
import { newId } from '../../ledger/ids.ts'
import { Refused } from '../../ledger/refused.ts'
import { addressOf, anonymous, type Caller, sessionCaller } from '../../service/caller.ts'
import { apiAudiences, mcpAudience } from '../../service/policy.ts'
import { refusals } from '../../service/refusals.ts'
import { digest, newSecret } from '../../service/secrets.ts'
import { provenance } from '../origin.ts'
import { consentPage } from '../pages/consent.ts'
import { sendPage } from '../pages/layout.ts'
import { type Destination, signInPage } from '../pages/sign-in.ts'
import { formFields, queryParameters } from '../parse.ts'
import { requireOwnForm, type SignedIn, signedIn, tokenFor } from '../session.ts'
import type { Deps } from '../settings.ts'

/** How long a consent page may stay open before it is too old to answer. */
const CONSENT_TTL_MS = 30 * 60_000

export function authorizeRoutes(deps: Deps): Router {
  const { ledger, settings } = deps
  const router = new Router({ sensitive: true, strict: true })

  router.get('/oauth', async (ctx) => {
    requireNavigation(ctx)
    const from = provenance(ctx)
    deps.services.limits.take(from.meter, 'authorize', addressOf(from))
    const examined = await examine(deps, ctx.querystring)
    if ('page' in examined) return refuseOnPage(ctx, deps, examined)
    if ('refusal' in examined)
      return redirectBack(ctx, deps, examined.redirectUri, { ...inWords(examined.refusal), state: examined.state })
    const visitor = await signedIn(ctx, deps)
    // HEAD asks nobody: it is safe (RFC 9110 §9.2.1).
    if (visitor !== undefined && ctx.method === 'GET') return askForConsent(ctx, deps, examined, visitor)
    const page = { formToken: tokenFor(ctx, deps, 'login'), canSignUp: settings.signup === 'open' }
    return sendPage(ctx, signInPage({ ...page, ...destinationOf(examined, ctx.querystring) }))
  })

  router.post('/oauth/consent', async (ctx) => {
    const fields = formFields(ctx)
    const visitor = await signedIn(ctx, deps)
    if (visitor === undefined) throw new Refused('consent_unknown')
    const request = fields.get('request') ?? ''
    requireOwnForm(ctx, deps, fields, consentForm(request), visitor.session)
    const decision = fields.get('decision')
    if (decision !== 'allow' && decision !== 'deny') throw new Refused('decision_missing')
    const { code, kept } = newCode(deps)
    const answer = { request, session: visitor.session }
    const allow = { ...answer, ...kept, approvalTtlMs: settings.refreshMaxTtlMs }
    const client = await ledger.read((rows) => rows.consents.get(request)?.client)
    const { redirectUri, state }: Answered = await ledger.transact(
      sessionCaller(provenance(ctx, client), visitor),
      (rows, now): Decision<ConsentEvent | CodeIssued, Answered> =>
        decision === 'allow' ? grantConsent(rows, allow, now) : denyConsent(rows, answer, now),
    )
    redirectBack(ctx, deps, redirectUri, { ...(decision === 'allow' ? { code } : inWords('consent_denied')), state })
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

/** A code, and what is kept of it. */
function newCode({ ledger, settings }: Deps) {
  const code = newSecret('dbc')
  return { code, kept: { grant: newId(ledger.now()), code: digest(code), codeTtlMs: settings.codeTtlMs } }
}

const inWords = (reason: AuthorizeReason): { error: string; error_description: string } => {
  const [error, error_description] = refusals[reason].redirect
  return { error, error_description }
}
const consentForm = (request: string): string => `consent ${request}`

/** The resources that tokens may be bound to. */
const audiencesOf = ({ settings }: Deps): readonly string[] => [...apiAudiences(settings), mcpAudience(settings)]

const examine = async (deps: Deps, query: string): Promise<Examined> => {
  const parameters = queryParameters(query)
  return deps.ledger.read((state) => examineRequest(state, parameters, audiencesOf(deps)))
}

const destinationOf = ({ client, asked }: { client: Client; asked: Asked }, query: string): Destination => ({
  returnTo: `/oauth?${query}`,
  clientName: client.name,
  callbackOrigin: new URL(asked.redirectUri).origin,
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
  const examined = await examine(deps, query).catch((error: unknown) => {
    if (error instanceof Refused && error.reason === 'request_malformed') return undefined
    throw error
  })
  if (examined === undefined) return { returnTo: '/' }
  return 'asked' in examined ? destinationOf(examined, query) : { returnTo: `/oauth?${query}` }
}

type OnPage = Extract<Examined, { page: unknown }>

/** Nobody is redirected to an address that is not the client's. One of ChatGPT's own is put before the operator. */
async function refuseOnPage(
  ctx: Context,
  { ledger, services: { limits } }: Deps,
  { page, client, redirectUri }: OnPage,
): Promise<void> {
  if (page === 'redirect_unregistered' && client !== undefined && redirectUri !== undefined) {
    const asked = { client: client.id, uri: redirectUri }
    const from = provenance(ctx, client.id)
    // Only what would be put on the list counts.
    if (await ledger.read((state) => isNewCallback(state, asked))) limits.take(from.meter, 'waiting', addressOf(from))
    await ledger.transact(anonymous(from), (state, now) => requestRedirect(state, asked, now))
  }
  if (page === 'redirect_unregistered' && redirectUri === undefined)
    throw new Refused(page, 'The app did not say at which address to answer it (redirect_uri).')
  throw new Refused(page)
}

type Ready = Extract<Examined, { asked: unknown }>

async function askForConsent(ctx: Context, deps: Deps, examined: Ready, visitor: SignedIn): Promise<void> {
  const {
    ledger,
    services: { limits },
    settings,
  } = deps
  const { asked, client, state, mustAsk } = examined
  const { session, user } = visitor
  // What another site's script does must not use up what the person themselves may (Fetch Metadata, Sec-Fetch-User).
  const isScripted = ctx.get('sec-fetch-site') === 'cross-site' && ctx.get('sec-fetch-user') !== '?1'
  const caller: Caller = sessionCaller(provenance(ctx, client.id), visitor)
  limits.take(caller.meter, 'consent', isScripted ? `${user.id} scripted` : user.id)
  const request = newId(ledger.now())
  const ids = { user: user.id, session, asked }
  const made = newCode(deps)
  const isAnswered = await ledger.transact(caller, (rows, now) =>
    !mustAsk && isRemembered(rows, user.id, asked, now)
      ? { ...grantAgain(rows, { ...ids, ...made.kept }, now), result: true }
      : { ...requestConsent(rows, { ...ids, request, state, ttlMs: CONSENT_TTL_MS }, now), result: false },
  )
  if (isAnswered) return redirectBack(ctx, deps, asked.redirectUri, { code: made.code, state })
  const page = consentPage({
    clientName: client.name,
    username: await ledger.read((rows) => usernameOf(rows, user.id)),
    permissions: scopeWords(asked.scope),
    redirectUri: asked.redirectUri,
    holdsMs: settings.refreshMaxTtlMs,
    request,
    formToken: tokenFor(ctx, deps, consentForm(request), session),
    returnTo: `/oauth?${ctx.querystring}`,
    signOutToken: tokenFor(ctx, deps, 'logout', session),
  })
  await sendPage(ctx, page)
}

/** Back to the client, by GET whatever came before (303), the registered URI as it is, its own query kept. */
function redirectBack(
  ctx: Context,
  { settings }: Deps,
  redirectUri: string,
  answer: { readonly [name: string]: string | null },
): void {
  const parameters = new URLSearchParams()
  for (const [name, value] of Object.entries(answer)) if (value !== null) parameters.set(name, value)
  parameters.set('iss', settings.publicUrl) // RFC 9207 §2: on every answer, errors too.
  ctx.status = 303
  ctx.set('Cache-Control', 'no-store')
  ctx.set('Location', `${redirectUri}${redirectUri.includes('?') ? '&' : '?'}${parameters}`)
  ctx.body = ''
}
