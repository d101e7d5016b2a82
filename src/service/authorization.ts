/** Authorization: what an app asks a person for, the question that the person is shown, and the answer. */
import type { Client } from '../domain/clients.ts'
import {
  type Answered,
  type AuthorizeReason,
  type ConsentEvent,
  denyConsent,
  type Examined,
  examineRequest,
  grantAgain,
  grantConsent,
  isRemembered,
  requestConsent,
} from '../domain/consents.ts'
import type { CodeIssued } from '../domain/grants.ts'
import type { Reading } from '../domain/registrations.ts'
import type { Decision } from '../domain/shape.ts'
import { usernameOf } from '../domain/users.ts'
import { newId } from '../ledger/ids.ts'
import type { Ledger } from '../ledger/ledger.ts'
import { Refused } from '../ledger/refused.ts'
import { addressOf, type Caller, type Provenance, type SignedIn, sessionCaller } from './caller.ts'
import type { Limits } from './limits.ts'
import { acceptsClient, apiAudiences, mcpAudience, type Policy } from './policy.ts'
import type { Named, Registrations } from './registrations.ts'
import { digest, newSecret } from './secrets.ts'

/** How long a consent page may stay open before it is too old to answer. */
const CONSENT_TTL_MS = 30 * 60_000

type Parameters = ReadonlyMap<string, readonly string[]>

/** A request that a person can be asked about. */
export type Ready = Extract<Examined, { asked: unknown }> & { readonly reading: Reading | undefined }
/** Where an app is told what is wrong with its request, or what came of it. */
export type Reply = {
  readonly redirectUri: string
  readonly state: string | null
  readonly answer: { readonly code: string } | { readonly refusal: AuthorizeReason }
}
/** Something is wrong with the request of an app that brought itself. The person is told, and not sent back to it. */
export class NotSentBack extends Refused {}

/** A question to a person. `request` names it in their answer. */
export type Question = { readonly request: string; readonly client: Client; readonly username: string }

export class Authorization {
  readonly #ledger: Ledger
  readonly #limits: Limits
  readonly #policy: Policy
  readonly #registrations: Registrations

  constructor(ledger: Ledger, limits: Limits, policy: Policy, registrations: Registrations) {
    this.#ledger = ledger
    this.#limits = limits
    this.#policy = policy
    this.#registrations = registrations
  }

  /**
   * An app sends somebody with a request.
   * @param parameters every value of every query parameter
   * @throws {Refused} `rate_limited`, or why nobody can be sent back to the app
   */
  async open(from: Provenance, parameters: Parameters): Promise<Ready | Reply> {
    this.#limits.take(from.meter, 'authorize', addressOf(from))
    const examined = await this.#examine(parameters, (clientId) => this.#registrations.named(clientId))
    if ('page' in examined) return this.#refuse(from, examined)
    if ('asked' in examined) return examined
    const { redirectUri, state, refusal, client } = examined
    // RFC 9700 §4.11.2: nobody is redirected unasked to an address that no operator has allowed.
    if (client.registration !== 'operator') throw new NotSentBack(refusal)
    return { redirectUri, state, answer: { refusal } }
  }

  /** The request as it would be asked, if it is one. Nothing is fetched, recorded or counted. */
  async preview(parameters: Parameters): Promise<Ready | undefined> {
    const examined = await this.#examine(parameters, (clientId) => this.#registrations.known(clientId))
    return 'asked' in examined ? examined : undefined
  }

  async #examine(
    parameters: Parameters,
    named: (clientId: string) => Named | Promise<Named>,
  ): Promise<(Exclude<Examined, { asked: unknown }> & { detail?: string }) | Ready> {
    const [clientId, ...more] = parameters.get('client_id') ?? []
    const isOne = clientId !== undefined && clientId !== '' && more.length === 0
    const { find, reading, detail }: Named = isOne ? await named(clientId) : { find: () => 'client_unknown' }
    const audiences = {
      accepted: [...apiAudiences(this.#policy), mcpAudience(this.#policy)],
      standard: mcpAudience(this.#policy),
    }
    const examined = await this.#ledger.read((state, now) =>
      examineRequest(parameters, audiences, () => find(state, now)),
    )
    if ('asked' in examined) return { ...examined, reading }
    return detail === undefined ? examined : { ...examined, detail }
  }

  async #refuse(from: Provenance, examined: OnPage): Promise<never> {
    const { page, missing, client, redirectUri, detail } = examined
    if (missing !== undefined) throw new Refused(page, `${MISSING[missing]} (${missing}).`)
    if (page === 'redirect_unregistered' && client !== undefined && redirectUri !== undefined)
      return this.#registrations.refuseCallback(through(from, client.id), client.id, redirectUri)
    throw new Refused(page, page === 'client_document_unreadable' ? detail : undefined)
  }

  /**
   * Asks a signed-in person, or answers for them what they have allowed before.
   * @param isScripted the script of another site sent this. It has a budget of its own, so that it cannot use up the
   *   person's; neither budget bounds what is kept open, which is bounded for each user and in all.
   * @throws {Refused} `rate_limited`, `consents_too_many`, `clients_too_many`, `session_ended`
   */
  async ask(
    from: Provenance,
    visitor: SignedIn,
    { asked, client, state, mustAsk, reading }: Ready,
    isScripted: boolean,
  ): Promise<Question | Reply> {
    const { session, user } = visitor
    this.#limits.take(from.meter, 'consent', isScripted ? `${user.id} scripted` : user.id)
    const id =
      reading === undefined ? client.id : await this.#registrations.settle(sessionCaller(from, visitor), reading)
    const ids = { user: user.id, session, asked: { ...asked, client: id } }
    const [request, made] = [newId(this.#ledger.now()), this.#newCode()]
    const caller = sessionCaller(through(from, id), visitor)
    const username = await this.#ledger.transact(caller, (rows, now) =>
      !mustAsk && isRemembered(rows, user.id, ids.asked, now)
        ? { ...grantAgain(rows, { ...ids, ...made.kept }, now), result: undefined }
        : {
            ...requestConsent(rows, { ...ids, request, state, ttlMs: CONSENT_TTL_MS }, now),
            result: usernameOf(rows, user.id),
          },
    )
    if (username !== undefined) return { request, client, username }
    return { redirectUri: asked.redirectUri, state, answer: { code: made.code } }
  }

  /**
   * The person's answer. The same answer of the same session may come twice (see `grantConsent`).
   * @throws {Refused} `consent_unknown`, `session_ended`, `rate_limited`
   */
  async answer(from: Provenance, visitor: SignedIn, request: string, isAllowed: boolean): Promise<Reply> {
    const { client, isAnswered } = await this.#openConsent(visitor, request)
    // Each repeated answer is an event as well.
    if (isAnswered) this.#limits.take(from.meter, 'consent', visitor.user.id)
    const caller = sessionCaller(client === undefined ? from : through(from, client.id), visitor)
    if (client !== undefined) await this.#readAgain(caller, client)
    const { code, kept } = this.#newCode()
    const answer = { request, session: visitor.session }
    const allow = { ...answer, ...kept, approvalTtlMs: this.#policy.refreshMaxTtlMs }
    const { redirectUri, state }: Answered = await this.#ledger.transact(
      caller,
      (rows, now): Decision<ConsentEvent | CodeIssued, Answered> =>
        isAllowed ? grantConsent(rows, allow, now) : denyConsent(rows, answer, now),
    )
    return { redirectUri, state, answer: isAllowed ? { code } : { refusal: 'consent_denied' } }
  }

  /** What a question of this session is about, and whether it was answered already. */
  #openConsent({ session }: SignedIn, request: string): Promise<{ client?: Client | undefined; isAnswered: boolean }> {
    return this.#ledger.read((rows) => {
      const consent = rows.consents.get(request)
      if (consent?.session !== session) return { isAnswered: false }
      return { client: rows.clients.get(consent.client), isAnswered: consent.answer !== null }
    })
  }

  /** A callback that the app's document no longer names gets no code. @throws {Refused} */
  async #readAgain(caller: Caller, client: Client): Promise<void> {
    if (!acceptsClient(this.#policy, client)) throw new Refused('consent_unknown')
    if (client.registration !== 'document') return
    const { reading, find, detail } = await this.#registrations.named(client.clientId)
    if (reading !== undefined) await this.#registrations.settle(caller, reading)
    else {
      const found = await this.#ledger.read(find)
      if (typeof found === 'string') throw new Refused(found, detail)
    }
  }

  /** A new code, and what the book keeps of it. */
  #newCode() {
    const code = newSecret('dbc')
    const kept = { grant: newId(this.#ledger.now()), code: digest(code), codeTtlMs: this.#policy.codeTtlMs }
    return { code, kept }
  }
}

type OnPage = Extract<Examined, { page: unknown }> & { readonly detail?: string }

const MISSING = {
  client_id: 'The app did not say which app it is',
  redirect_uri: 'The app did not say at which address to answer it',
} as const

/** How a request came, once it is known through which app. */
const through = (from: Provenance, client: string): Provenance => ({ ...from, via: { ...from.via, client } })
