/** Clients: programs that may ask a user for a grant, and the exact callbacks they may be answered at (RFC 6749 §2). */
import type { ExpiredDropped } from './book.ts'
import { accept, type Decision, type Keeps, type On, refuse, type Says, type Sealed, type Trace } from './shape.ts'
import { expiredKeys, minuteOf, type Sight, Table } from './table.ts'

type RedirectFrom = 'settings' | 'operator'
export type ClientEvent =
  | {
      type: 'ClientRegistered'
      data: {
        client: string
        clientId: string
        name: string
        secret: string | null
        secretFrom: SecretFrom
        grantTypes: readonly GrantType[]
      }
    }
  | { type: 'ClientIdChanged'; data: { client: string; clientId: string } }
  | { type: 'ClientSecretRotated'; data: { client: string; secret: string; secretFrom: SecretFrom } }
  | { type: 'ClientRemoved'; data: { client: string } }
  | { type: 'RedirectUriRequested'; data: { client: string; uri: string; expiresAt: number } }
  | { type: 'RedirectUriAllowed'; data: { client: string; uri: string; from: RedirectFrom } }
  | { type: 'RedirectUriWithdrawn'; data: { client: string; uri: string } }

/**
 * `vault`: made here and kept, so that it can be shown again. `settings`: the operator keeps it, here is only a digest.
 * `shown`: made here, shown once, only a digest kept. `none`: a public client, which cannot keep one (RFC 6749 §2.1).
 */
type SecretFrom = 'settings' | 'vault' | 'shown' | 'none'

/** What a client may send to the token endpoint as `grant_type` (RFC 6749 §4.1.3, §6). */
export const GRANT_TYPES = ['authorization_code', 'refresh_token'] as const
export type GrantType = (typeof GRANT_TYPES)[number]

export type Client = {
  /** Daybook's own name for it, as events call it. */
  readonly id: string
  /** The `client_id` on the wire (RFC 6749 §2.2). */
  readonly clientId: string
  readonly name: string
  /** SHA-256 of the client secret; `null` for a public client. */
  readonly secret: string | null
  readonly secretFrom: SecretFrom
  readonly grantTypes: readonly GrantType[]
  readonly redirects: readonly { readonly uri: string; readonly from: RedirectFrom }[]
  readonly createdAt: string
}

/** A callback that was asked for, and that an operator may allow. */
export type Waiting = {
  readonly client: string
  readonly uri: string
  readonly askedAt: string
  /** ms since 1970 */
  readonly expiresAt: number
  /** From where it was asked for. */
  readonly trace: Sealed<Trace> | undefined
}
export type Clients = {
  readonly clients: Table<Client, 'clientId'>
  readonly waiting: Table<Waiting, 'client' | 'minute'>
}

export const tables = (sight: Sight): Clients => ({
  clients: new Table<Client, 'clientId'>(sight, { clientId: (client) => client.clientId }),
  waiting: new Table<Waiting, 'client' | 'minute'>(sight, {
    client: (asked) => asked.client,
    minute: (asked) => minuteOf(asked.expiresAt),
  }),
})

/** A callback that nobody allowed is forgotten after a day, so that strangers cannot fill the places for ever. */
const WAITING_TTL_MS = 86_400_000
const waitingKey = ({ client, uri }: { client: string; uri: string }): string => `${client} ${uri}`

const change = ({ clients }: Clients, id: string, to: (client: Client) => Partial<Client>): void => {
  const client = clients.get(id)
  if (client !== undefined) clients.set(id, { ...client, ...to(client) })
}

export const on: On<Clients, ClientEvent | ExpiredDropped> = {
  ClientRegistered: ({ clients }, { at, data: { client: id, ...rest } }) =>
    clients.set(id, { id, ...rest, redirects: [], createdAt: at }),
  ClientRemoved({ clients, waiting }, { data }) {
    clients.delete(data.client)
    waiting.deleteBy('client', data.client)
  },
  ClientIdChanged: (rows, { data }) => change(rows, data.client, () => ({ clientId: data.clientId })),
  ClientSecretRotated: (rows, { data: { client, secret, secretFrom } }) =>
    change(rows, client, () => ({ secret, secretFrom })),
  RedirectUriRequested: ({ waiting }, { at, trace, data }) =>
    waiting.set(waitingKey(data), { ...data, askedAt: at, trace }),
  RedirectUriAllowed(rows, { data: { client, uri, from } }) {
    rows.waiting.delete(waitingKey({ client, uri }))
    change(rows, client, ({ redirects }) => ({
      redirects: [...redirects.filter((redirect) => redirect.uri !== uri), { uri, from }],
    }))
  },
  RedirectUriWithdrawn(rows, { data: { client, uri } }) {
    rows.waiting.delete(waitingKey({ client, uri }))
    change(rows, client, ({ redirects }) => ({ redirects: redirects.filter((redirect) => redirect.uri !== uri) }))
  },
  ExpiredDropped({ waiting }, { data: { until } }) {
    for (const key of expiredKeys(waiting, until)) waiting.delete(key)
  },
}

export const says: Says<ClientEvent> = {
  ClientRegistered: ({ data }) => `registered the client ${data.name} as ${data.clientId}`,
  ClientIdChanged: ({ data }, names) => `changed the client id of ${names.client(data.client)} to ${data.clientId}`,
  ClientSecretRotated: ({ data }, names) =>
    `gave ${names.client(data.client)} a new secret${data.secretFrom === 'settings' ? ' (from the settings)' : ''}`,
  ClientRemoved: ({ data }, names) =>
    `removed the client ${names.client(data.client)}: all that it had been given ended`,
  RedirectUriRequested: ({ data }, names) => `asked to answer ${names.client(data.client)} at ${data.uri}`,
  RedirectUriAllowed: ({ data }, names) => `allowed ${names.client(data.client)} the callback ${data.uri}`,
  RedirectUriWithdrawn: ({ data }, names) => `withdrew from ${names.client(data.client)} the callback ${data.uri}`,
}

/** How many callbacks a client may have waiting. The first ones stay: whoever comes later pushes nobody out. */
export const MAX_WAITING = 20

/** The pre-registered client. */
export const CHATGPT = 'chatgpt'

/** Where the vault keeps a client's secret that was made here. */
export const clientSecretName = (client: string): string => `client-secret/${client}`

/** It cannot keep a secret, so anybody could be it (RFC 6749 §2.1). */
export const isPublic = (client: Client): boolean => client.secret === null

/** By Daybook's own name or by `client_id`. */
export const findClient = ({ clients }: Clients, id: string): Client | undefined =>
  clients.get(id) ?? clients.by('clientId', id)[0]

/** By `client_id` alone: what a stranger may name. */
export const clientByClientId = ({ clients }: Clients, clientId: string): Client | undefined =>
  clients.by('clientId', clientId)[0]

/** Simple string comparison (RFC 6749 §3.1.2.3, RFC 9700 §2.1). */
export const isAllowedRedirect = (client: Client, uri: string): boolean =>
  client.redirects.some((redirect) => redirect.uri === uri)

/** What an authorization response may carry (RFC 6749 §4.1.2, RFC 9207). */
const ANSWER_PARAMETERS = ['code', 'state', 'iss', 'error', 'error_description', 'error_uri']

/** An absolute https URI, or http on loopback, without fragment or user information (RFC 6749 §3.1.2, RFC 8252 §7.3). */
export function isRedirectUri(uri: string): boolean {
  if (uri.length > 2048 || /[^\x21-\x7e]/.test(uri) || uri.includes('#') || !URL.canParse(uri)) return false
  const { href, protocol, hostname, host, username, password, searchParams } = new URL(uri)
  // Written as every browser writes it: then nobody can read another address into it.
  if (href !== uri && href !== `${uri}/`) return false
  // What the answer carries must not stand there twice (RFC 6749 §3.1).
  if (ANSWER_PARAMETERS.some((name) => searchParams.has(name))) return false
  // A host name may hold characters that mean something in a Content-Security-Policy, where this origin goes.
  if (username !== '' || password !== '' || !/^[a-z0-9.:[\]-]+$/.test(host)) return false
  return protocol === 'https:' || (protocol === 'http:' && ['localhost', '127.0.0.1', '[::1]'].includes(hostname))
}

/**
 * Is this on a host where ChatGPT takes its answers? Only such a callback may wait for an operator, without a query and
 * in letters that mean nothing to a shell: anybody can send it, and an operator will paste it.
 */
export const isChatGptCallback = (uri: string): boolean =>
  /^https:\/\/(chat\.openai\.com|chatgpt\.com)\/[\w./-]{1,200}$/.test(uri) && new URL(uri).href === uri

type Settle = {
  /** From the settings; what they do not give is `undefined`. */
  clientId: string | undefined
  secret: string | undefined
  redirects: readonly string[]
  /** Fresh values, used where the settings give none and none exist yet. `digest` is of `secret`. */
  made: { clientId: string; secret: string; digest: string }
}

/**
 * Makes the ChatGPT client what the settings say, recording only what differs. `secret` is a digest.
 * Refuses `client_id_taken`.
 */
export function settleChatGpt(rows: Clients, settings: Settle): Decision<ClientEvent> {
  const client = CHATGPT
  const known = rows.clients.get(client)
  const clientId = settings.clientId ?? known?.clientId ?? settings.made.clientId
  if (rows.clients.by('clientId', clientId).some((other) => other.id !== client)) return refuse('client_id_taken')
  const { facts: secretFacts, secret, keeps } = settleSecret(known, settings)
  const facts: ClientEvent[] = []
  if (known === undefined)
    facts.push({
      type: 'ClientRegistered',
      data: { client, clientId, name: 'ChatGPT', grantTypes: GRANT_TYPES, ...secret },
    })
  else if (clientId !== known.clientId) facts.push({ type: 'ClientIdChanged', data: { client, clientId } })
  return accept([...facts, ...secretFacts, ...settleRedirects(known, settings.redirects)], undefined, keeps)
}

type Secret = Pick<Client, 'secretFrom'> & { readonly secret: string }

/** The secret from the settings, or else one made here, which the vault keeps so that it can be shown. */
function settleSecret(
  known: Client | undefined,
  { secret: given, made }: Settle,
): { facts: ClientEvent[]; secret: Secret; keeps: Keeps } {
  const name = clientSecretName(CHATGPT)
  const secret: Secret =
    given === undefined ? { secret: made.digest, secretFrom: 'vault' } : { secret: given, secretFrom: 'settings' }
  const keeps = { [name]: given === undefined ? made.secret : undefined }
  if (known === undefined) return { facts: [], secret, keeps: given === undefined ? keeps : {} }
  const isSettled =
    given === undefined ? known.secretFrom !== 'settings' : known.secretFrom === 'settings' && known.secret === given
  if (isSettled) return { facts: [], secret, keeps: {} }
  return { facts: [{ type: 'ClientSecretRotated', data: { client: CHATGPT, ...secret } }], secret, keeps }
}

/** The settings' callbacks are allowed; what they no longer name is withdrawn, and an operator's own stay. */
function settleRedirects(known: Client | undefined, wanted: readonly string[]): ClientEvent[] {
  const client = CHATGPT
  const before = known?.redirects ?? []
  const added = [...new Set(wanted)].filter((uri) => !before.some((redirect) => redirect.uri === uri))
  const gone = before.filter(({ uri, from }) => from === 'settings' && !wanted.includes(uri))
  return [
    ...added.map((uri) => ({ type: 'RedirectUriAllowed', data: { client, uri, from: 'settings' } }) as const),
    ...gone.map(({ uri }) => ({ type: 'RedirectUriWithdrawn', data: { client, uri } }) as const),
  ]
}

type Register = {
  client: string
  name: string
  /** A digest; the secret is shown once by whoever made it. `null` for a public client. */
  secret: string | null
  redirects: readonly string[]
  grantTypes: readonly GrantType[]
}

/** Another client, by an operator. Refuses `client_name_invalid`, `redirect_invalid`. */
export function registerClient(_rows: Clients, input: Register): Decision<ClientEvent> {
  const { client, name, secret, redirects, grantTypes } = input
  if (!isClientName(name)) return refuse('client_name_invalid')
  if (redirects.length === 0 || !redirects.every(isRedirectUri)) return refuse('redirect_invalid')
  const secretFrom = secret === null ? 'none' : 'shown'
  const data = { client, clientId: client, name, secret, secretFrom, grantTypes } as const
  return accept<ClientEvent, undefined>(
    [
      { type: 'ClientRegistered', data },
      ...[...new Set(redirects)].map(
        (uri) => ({ type: 'RedirectUriAllowed', data: { client, uri, from: 'operator' } }) as const,
      ),
    ],
    undefined,
  )
}

/** 1–60 characters that a person can read on the consent page. */
const isClientName = (name: string): boolean =>
  name.trim() === name && name.length >= 1 && name.length <= 60 && name.isWellFormed() && !/\p{C}/u.test(name)

type AskRedirect = { client: string; uri: string }

/** Would asking for that callback put it before the operator? */
export const isNewCallback = (rows: Clients, asked: AskRedirect): boolean =>
  requestRedirect(rows, asked, 0).facts.length > 0

/**
 * Somebody came with a callback that nobody allowed. Refuses in any case: `redirect_waiting` when an operator can now
 * allow it, `redirects_waiting_too_many` when they will not be told, `redirect_unregistered` when it is not ChatGPT's.
 */
export function requestRedirect(
  rows: Clients,
  { client, uri }: AskRedirect,
  now: number,
): Decision<ClientEvent, never> {
  const found = rows.clients.get(client)
  if (found === undefined || found.id !== CHATGPT || !isChatGptCallback(uri)) return refuse('redirect_unregistered')
  if (rows.waiting.get(waitingKey({ client, uri })) !== undefined) return refuse('redirect_waiting')
  if (rows.waiting.countBy('client', client) >= MAX_WAITING) return refuse('redirects_waiting_too_many')
  const data = { client, uri, expiresAt: now + WAITING_TTL_MS }
  return refuse<ClientEvent>('redirect_waiting', { type: 'RedirectUriRequested', data })
}

/** Refuses `client_unknown`, `redirect_invalid`, `redirect_already_allowed`. */
export function allowRedirect(rows: Clients, { client, uri }: AskRedirect): Decision<ClientEvent> {
  const found = findClient(rows, client)
  if (found === undefined) return refuse('client_unknown')
  if (!isRedirectUri(uri)) return refuse('redirect_invalid')
  if (isAllowedRedirect(found, uri)) return refuse('redirect_already_allowed')
  return accept([{ type: 'RedirectUriAllowed', data: { client: found.id, uri, from: 'operator' } }], undefined)
}

/**
 * Takes back a callback that an operator allowed, or turns away one that waits.
 * Gives which it was. Refuses `client_unknown`, `redirect_unknown`, and `redirect_from_settings` where the next start
 * would allow it again.
 */
export function withdrawRedirect(
  rows: Clients,
  { client, uri }: AskRedirect,
): Decision<ClientEvent, 'allowed' | 'waiting'> {
  const found = findClient(rows, client)
  if (found === undefined) return refuse('client_unknown')
  const allowed = found.redirects.find((redirect) => redirect.uri === uri)
  if (allowed === undefined && rows.waiting.get(waitingKey({ client: found.id, uri })) === undefined)
    return refuse('redirect_unknown')
  if (allowed?.from === 'settings') return refuse('redirect_from_settings')
  const was = allowed === undefined ? 'waiting' : 'allowed'
  return accept<ClientEvent, typeof was>([{ type: 'RedirectUriWithdrawn', data: { client: found.id, uri } }], was)
}

/**
 * Ends all that it was given: each room that holds something of its drops it on `ClientRemoved`.
 * Refuses `client_unknown`, and `client_built_in` for ChatGPT's own, which every start would make again.
 */
export function removeClient(rows: Clients, id: string): Decision<ClientEvent, Client> {
  const found = findClient(rows, id)
  if (found === undefined) return refuse('client_unknown')
  if (found.id === CHATGPT) return refuse('client_built_in')
  return accept([{ type: 'ClientRemoved', data: { client: found.id } }], found)
}

/** Refuses `client_unknown`, `client_public`, and `secret_from_settings` where the settings would put the old one back. */
export function rotateSecret(
  rows: Clients,
  input: { client: string; secret: string; digest: string },
): Decision<ClientEvent, Client> {
  const found = findClient(rows, input.client)
  if (found === undefined) return refuse('client_unknown')
  if (found.secretFrom === 'settings') return refuse('secret_from_settings')
  if (found.secretFrom === 'none') return refuse('client_public')
  const data = { client: found.id, secret: input.digest, secretFrom: found.secretFrom }
  const keeps = found.secretFrom === 'vault' ? { [clientSecretName(found.id)]: input.secret } : {}
  return accept([{ type: 'ClientSecretRotated', data }], found, keeps)
}
