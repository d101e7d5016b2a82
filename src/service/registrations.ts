/** Registrations: how apps bring themselves, by registering or by a document, and what a `client_id` names. */
import { type Client, type Clients, clientByClientId, isNewCallback, requestRedirect } from '../domain/clients.ts'
import { isDocumentUrl, type Metadata, readDocument, readRegistration } from '../domain/metadata.ts'
import {
  clientLastRead,
  clientOfDocument,
  type Reading,
  registeredClient,
  registerItself,
  settleDocument,
  unregister,
} from '../domain/registrations.ts'
import type { Reason } from '../domain/shape.ts'
import { newId } from '../ledger/ids.ts'
import type { Ledger } from '../ledger/ledger.ts'
import { Refused } from '../ledger/refused.ts'
import { addressOf, anonymous, type Caller, type Provenance } from './caller.ts'
import { DocumentCache } from './document-cache.ts'
import { DocumentUnreadable, type FetchDocument } from './documents.ts'
import type { Limits } from './limits.ts'
import { acceptsClient, type Policy } from './policy.ts'
import { digest, newSecret } from './secrets.ts'

/** What registrations need from outside. */
export type Outside = {
  readonly fetchDocument: FetchDocument
  /** Told why the document of an app could not be read. */
  readonly onUnreadable: (clientId: string, why: string) => void
}

/** A registration, with the secrets that are shown this once. */
export type Registered = { readonly client: Client; readonly secret: string | undefined; readonly token: string }

/** What a client ID names. */
export type Named = {
  /** The client now, or why there is none. */
  readonly find: (rows: Clients, now: number) => Client | Reason
  /** Its document, where it was just read. */
  readonly reading?: Reading
  /** What is wrong with its document, for a person. */
  readonly detail?: string
}

export class Registrations {
  readonly #ledger: Ledger
  readonly #limits: Limits
  readonly #policy: Policy
  readonly #documents: DocumentCache<Reading>
  readonly #onUnreadable: Outside['onUnreadable']

  constructor(ledger: Ledger, limits: Limits, policy: Policy, { fetchDocument, onUnreadable }: Outside) {
    this.#ledger = ledger
    this.#limits = limits
    this.#policy = policy
    this.#documents = new DocumentCache(fetchDocument, parseDocument)
    this.#onUnreadable = onUnreadable
  }

  /**
   * An app registers itself (RFC 7591 §3).
   * @throws {Refused} what is wrong with the metadata; `rate_limited`, `clients_too_many`
   */
  async register(from: Provenance, metadata: Metadata): Promise<Registered> {
    const described = readRegistration(metadata)
    if ('reason' in described) throw new Refused(described.reason, described.detail)
    this.#limits.take(from.meter, 'register', addressOf(from))
    const secret = described.authMethod === 'none' ? undefined : newSecret('dbs')
    const [client, token] = [newId(this.#ledger.now()).toLowerCase(), newSecret('dbm')]
    const digests = { secret: secret === undefined ? null : digest(secret), registrationToken: digest(token) }
    const caller = anonymous(from)
    await this.#ledger.transact(caller, (state, now) => registerItself(state, { client, described, ...digests }, now))
    return { client: await this.#ledger.read((state) => state.clients.get(client)!), secret, token }
  }

  /** What is registered (RFC 7592 §2.1). @throws {Refused} `registration_token_unknown`, `rate_limited` */
  async registration(from: Provenance, id: string, token: string): Promise<Client> {
    const found = await this.#ledger.read((state) => registeredClient(state, id, digest(token)))
    if (found !== undefined) return found
    this.#limits.take(from.meter, 'failed', addressOf(from))
    throw new Refused('registration_token_unknown')
  }

  /** An app takes its registration back (RFC 7592 §2.3). @throws {Refused} as `registration` does */
  async unregister(from: Provenance, id: string, token: string): Promise<void> {
    const { id: client } = await this.registration(from, id, token)
    const caller: Caller = { ...anonymous(from), actor: { kind: 'client', id: client } }
    await this.#ledger.transact(caller, (state) => unregister(state, client, digest(token)))
  }

  /** What a `client_id` names. Where that is the URL of a document, the document is fetched unless it is fresh. */
  async named(clientId: string): Promise<Named> {
    if (!this.#mayFetch(clientId)) return this.known(clientId)
    try {
      return this.#described(await this.#documents.read(new URL(clientId)))
    } catch (error) {
      if (!(error instanceof DocumentUnreadable)) throw error
      const { code } = Object(error.cause)
      this.#onUnreadable(clientId, code === undefined ? error.message : `${error.message} (${code})`)
      return { find: lastRead(clientId), detail: error.message }
    }
  }

  /** What a `client_id` names, without fetching anything: no limit counts who asks this. */
  known(clientId: string): Named {
    if (!isDocumentUrl(clientId)) return { find: (rows) => this.#accepted(clientByClientId(rows, clientId)) }
    if (!this.#mayFetch(clientId)) return { find: () => 'client_unknown' }
    const reading = this.#documents.known(new URL(clientId))
    return reading === undefined ? { find: lastRead(clientId) } : this.#described(reading)
  }

  /** Whether a client ID is the URL of a document that may be fetched. One at Daybook itself would make it ask itself. */
  #mayFetch(clientId: string): boolean {
    const { publicUrl, clientRegistration } = this.#policy
    return clientRegistration === 'on' && isDocumentUrl(clientId) && new URL(clientId).origin !== publicUrl
  }

  #described(reading: Reading): Named {
    const id = newId(this.#ledger.now()).toLowerCase()
    return { reading, find: (rows) => clientOfDocument(rows, reading, id) }
  }

  /** Makes a client's row what its document says. Gives its id. @throws {Refused} `clients_too_many` */
  settle(caller: Caller, reading: Reading): Promise<string> {
    const id = newId(this.#ledger.now()).toLowerCase()
    return this.#ledger.transact(caller, (state, now) => settleDocument(state, reading, id, now))
  }

  #accepted(client: Client | undefined): Client | Reason {
    return client !== undefined && acceptsClient(this.#policy, client) ? client : 'client_unknown'
  }

  /**
   * Somebody came with a callback that is not the app's. One of ChatGPT's own is put before the operator.
   * @throws {Refused} always
   */
  async refuseCallback(from: Provenance, client: string, uri: string): Promise<never> {
    const asked = { client, uri }
    // Only what would be put on the list counts.
    if (await this.#ledger.read((state) => isNewCallback(state, asked)))
      this.#limits.take(from.meter, 'waiting', addressOf(from))
    return this.#ledger.transact(anonymous(from), (state, now) => requestRedirect(state, asked, now))
  }
}

/** The client of a document that is not at hand, as it was last read. */
const lastRead =
  (clientId: string): Named['find'] =>
  (rows, now) =>
    clientLastRead(rows, clientId, now) ?? 'client_document_unreadable'

/** @throws {DocumentUnreadable} for what does not describe a client */
function parseDocument(json: unknown, { href }: URL): Reading {
  const isObject = typeof json === 'object' && json !== null && !Array.isArray(json)
  const described = isObject ? readDocument(href, json as Metadata) : { reason: '', detail: 'it is not a JSON object.' }
  if ('reason' in described) throw new DocumentUnreadable(`The client-id document does not fit: ${described.detail}`)
  return { clientId: href, described }
}
