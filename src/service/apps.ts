/** Apps as an operator manages them: list, show, add, remove; callbacks and secrets; and ChatGPT's own. */
import {
  allowRedirect,
  CHATGPT,
  type Client,
  type Clients,
  clientSecretName,
  findClient,
  type GrantType,
  registerClient,
  removeClient,
  rotateSecret,
  settleChatGpt,
  type Waiting,
  withdrawRedirect,
} from '../domain/clients.ts'
import { newId } from '../ledger/ids.ts'
import type { Caller, Ledger } from '../ledger/ledger.ts'
import { Refused } from '../ledger/refused.ts'
import { digest, newSecret } from './secrets.ts'

/** An app, and the callbacks that wait for an operator to allow them, the oldest first. */
export type App = { readonly client: Client; readonly waiting: readonly Waiting[] }

export type NewApp = {
  readonly name: string
  /** The exact callbacks. */
  readonly redirects: readonly string[]
  readonly grantTypes: readonly GrantType[]
  /** Whether it cannot keep a secret (RFC 6749 §2.1). */
  readonly isPublic: boolean
}

/** What an app authenticates with. A public one has no secret. */
export type AppCredentials = { readonly clientId: string; readonly secret: string | undefined }

/** What the settings say of ChatGPT's client; what they leave open is `undefined`. */
export type ChatGptSettings = {
  readonly clientId: string | undefined
  readonly secret: string | undefined
  readonly redirects: readonly string[]
}

export class Apps {
  readonly #ledger: Ledger

  constructor(ledger: Ledger) {
    this.#ledger = ledger
  }

  /** Every app, the oldest first. */
  list(caller: Caller): Promise<App[]> {
    return this.#ledger.ask(caller, (state) =>
      [...state.clients.entries()]
        .map(([, client]) => appOf(state, client))
        .sort((a, b) => (a.client.createdAt < b.client.createdAt ? -1 : 1)),
    )
  }

  /**
   * One app, with its secret where Daybook keeps it in plain text: only the one that it made for ChatGPT.
   * @param id Daybook's name for it, or its `client_id`
   * @throws {Refused} `client_unknown`
   */
  async show(caller: Caller, id: string): Promise<App & { readonly secret: string | undefined }> {
    const found = await this.#ledger.ask(caller, (state) => {
      const client = findClient(state, id)
      if (client === undefined) return undefined
      const secret = client.secretFrom === 'vault' ? this.#ledger.secret(clientSecretName(client.id)) : undefined
      return { ...appOf(state, client), secret }
    })
    if (found === undefined) throw new Refused('client_unknown')
    return found
  }

  /** @returns the secret in plain text, which is nowhere else @throws {Refused} `client_name_invalid`, `redirect_invalid` */
  async add(caller: Caller, { name, redirects, grantTypes, isPublic }: NewApp): Promise<AppCredentials> {
    const client = newId(this.#ledger.now()).toLowerCase()
    const secret = isPublic ? undefined : newSecret('dbs')
    const kept = secret === undefined ? null : digest(secret)
    await this.#ledger.transact(caller, (state) =>
      registerClient(state, { client, name, secret: kept, redirects, grantTypes }),
    )
    return { clientId: client, secret }
  }

  /** Ends all that an app was given, and forgets it. @throws {Refused} `client_unknown`, `client_built_in` */
  remove(caller: Caller, id: string): Promise<Client> {
    return this.#ledger.transact(caller, (state) => removeClient(state, id))
  }

  /** @throws {Refused} `client_unknown`, `redirect_invalid`, `redirect_already_allowed` */
  async allowCallback(caller: Caller, client: string, uri: string): Promise<void> {
    await this.#ledger.transact(caller, (state) => allowRedirect(state, { client, uri }))
  }

  /** @returns which it was @throws {Refused} `client_unknown`, `redirect_unknown`, `redirect_from_settings` */
  withdrawCallback(caller: Caller, client: string, uri: string): Promise<'allowed' | 'waiting'> {
    return this.#ledger.transact(caller, (state) => withdrawRedirect(state, { client, uri }))
  }

  /** The old secret ends at once. @throws {Refused} `client_unknown`, `client_public`, `secret_from_settings` */
  async rotateSecret(caller: Caller, id: string): Promise<AppCredentials> {
    const secret = newSecret('dbs')
    const input = { client: id, secret, digest: digest(secret) }
    const rotated = await this.#ledger.transact(caller, (state) => rotateSecret(state, input))
    return { clientId: rotated.clientId, secret }
  }

  /**
   * Makes ChatGPT's client what the settings say. What they leave open is made up once.
   * @param onlyIfMissing whether to leave a client alone that is there
   * @throws {Refused} `client_id_taken`
   */
  async settleChatGpt(caller: Caller, settings: ChatGptSettings, { onlyIfMissing = false } = {}): Promise<void> {
    // Looked up first, since commands that only read also run while the book cannot be written. Clients never go.
    if (onlyIfMissing && (await this.#ledger.read((state) => state.clients.get(CHATGPT) !== undefined))) return
    const secret = newSecret('dbs')
    const made = { clientId: `chatgpt-${newSecret('dbw').slice(4, 12)}`, secret, digest: digest(secret) }
    const given = { ...settings, secret: settings.secret === undefined ? undefined : digest(settings.secret) }
    await this.#ledger.transact(caller, (state) => settleChatGpt(state, { ...given, made }))
  }
}

const appOf = ({ waiting }: Clients, client: Client): App => ({
  client,
  waiting: waiting.by('client', client.id).sort((a, b) => (a.askedAt < b.askedAt ? -1 : 1)),
})

/** Who says that an app is what it calls itself: the operator, the host of its document, or nobody but itself. */
export type Vouching = { readonly by: 'operator' | 'itself' } | { readonly by: 'document'; readonly host: string }

export function vouchingFor({ registration, clientId }: Client): Vouching {
  if (registration === 'document') return { by: 'document', host: new URL(clientId).host }
  return { by: registration === 'operator' ? 'operator' : 'itself' }
}
