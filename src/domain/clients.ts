/** Clients: programs that may ask a user for a grant, and the exact callbacks they may be answered at (RFC 6749 §2). */
import type { ExpiredDropped } from './book.ts'
import type { GrantEvent } from './grants.ts'
import { isChatGptCallback, isRedirectUri, matchesRedirect } from './redirects.ts'
import { accept, type Decision, type Keeps, type On, refuse, type Says, type Sealed, type Trace } from './shape.ts'
import { expiredKeys, minuteOf, type Sight, Table } from './table.ts'

/** Who named a callback; `client`: the client itself, when it registered or in its document. */
type RedirectFrom = 'settings' | 'operator' | 'client'

/**
 * How a client came: made by the operator (ChatGPT's built-in one too), registered by itself (RFC 7591), or described by
 * the document at its client ID (OAuth Client ID Metadata Document).
 */
export type Registration = 'operator' | 'dynamic' | 'document'

/** How a client that registered itself said that it would authenticate (RFC 7591 §2). */
export const AUTH_METHODS = ['none', 'client_secret_post', 'client_secret_basic'] as const
export type AuthMethod = (typeof AUTH_METHODS)[number]

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
        registration: Registration
        /** ms since 1970; `null` for an operator's client, which stays. */
        expiresAt: number | null
        authMethod: AuthMethod | null
        /** Digest of the registration access token (RFC 7592 §3). */
        registrationToken: string | null
      }
    }
  /** The document at its client ID was read, and that was worth a note: another name, or some time had passed. */
  | { type: 'ClientDocumentRead'; data: { client: string; name: string; grantTypes: readonly GrantType[] } }
  | { type: 'ClientIdChanged'; data: { client: string; clientId: string } }
  | { type: 'ClientSecretRotated'; data: { client: string; secret: string; secretFrom: SecretFrom } }
  /** `cause`: an operator removed it, it removed itself, or it gave way to a newer one. */
  | { type: 'ClientRemoved'; data: { client: string; cause: 'operator' | 'client' | 'room' } }
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
  readonly registration: Registration
  /** ms since 1970; `null`: never. */
  readonly expiresAt: number | null
  readonly authMethod: AuthMethod | null
  readonly registrationToken: string | null
  /** When it last redeemed a code: somebody connected it. */
  readonly usedAt: string | null
  readonly createdAt: string
  /** When its document was last noted to be read. */
  readonly readAt: string
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
type Index = 'clientId' | 'unused' | 'minute'
export type Clients = {
  readonly clients: Table<Client, Index>
  readonly waiting: Table<Waiting, 'client' | 'minute'>
}

export const tables = (sight: Sight): Clients => ({
  clients: new Table<Client, Index>(sight, {
    clientId: (client) => client.clientId,
    unused: (client) => (client.usedAt === null && client.expiresAt !== null ? client.registration : undefined),
    minute: (client) => (client.expiresAt === null ? undefined : minuteOf(client.expiresAt)),
  }),
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

/** How long after the end of its last connection a client that came by itself is kept. ms */
const USED_TTL_MS = 90 * 86_400_000

type Uses = Extract<GrantEvent, { type: 'TokenIssued' }>
export const on: On<Clients, ClientEvent | Uses | ExpiredDropped> = {
  ClientRegistered: ({ clients }, { at, data: { client: id, ...rest } }) =>
    clients.set(id, { id, ...rest, redirects: [], usedAt: null, createdAt: at, readAt: at }),
  ClientDocumentRead: (rows, { at, data: { client, ...rest } }) =>
    change(rows, client, () => ({ ...rest, readAt: at })),
  TokenIssued(rows, { at, data }) {
    const client = rows.clients.get(data.client)
    // An operator's client stays whatever happens: its row need not change with every connection.
    if (client?.expiresAt == null) return
    const expiresAt = Math.max(client.expiresAt, data.grantExpiresAt + USED_TTL_MS)
    rows.clients.set(client.id, { ...client, usedAt: at, expiresAt })
  },
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
  ExpiredDropped({ clients, waiting }, { data: { until } }) {
    for (const key of expiredKeys(waiting, until)) waiting.delete(key)
    for (const key of expiredKeys(clients, until)) clients.delete(key)
  },
}

const came: { readonly [R in Registration]: (name: string, clientId: string) => string } = {
  operator: (name, clientId) => `registered the client ${name} as ${clientId}`,
  dynamic: (name, clientId) => `registered an app that calls itself “${name}” as ${clientId}`,
  document: (name, clientId) => `noted the app “${name}” that ${clientId} describes`,
}
const removals = {
  operator: 'removed the client',
  client: 'took back the registration of',
  room: 'pushed out an app that nobody had used,',
}

export const says: Says<ClientEvent> = {
  ClientRegistered: ({ data }) => came[data.registration](data.name, data.clientId),
  ClientDocumentRead: ({ data }) => `read the document of the app “${data.name}” again`,
  ClientIdChanged: ({ data }, names) => `changed the client id of ${names.client(data.client)} to ${data.clientId}`,
  ClientSecretRotated: ({ data }, names) =>
    `gave ${names.client(data.client)} a new secret${data.secretFrom === 'settings' ? ' (from the settings)' : ''}`,
  ClientRemoved: ({ data }, names) =>
    `${removals[data.cause]} ${names.client(data.client)}: all that it had been given ended`,
  RedirectUriRequested: ({ data }, names) => `asked to answer ${names.client(data.client)} at ${data.uri}`,
  RedirectUriAllowed: ({ data }, names) =>
    data.from === 'client'
      ? `noted the callback ${data.uri} of ${names.client(data.client)}`
      : `allowed ${names.client(data.client)} the callback ${data.uri}`,
  RedirectUriWithdrawn: ({ data }, names) => `withdrew from ${names.client(data.client)} the callback ${data.uri}`,
}

/** How many callbacks a client may have waiting. The first ones stay: whoever comes later pushes nobody out. */
export const MAX_WAITING = 20

/** An app for people to read: as the operator calls it, or, in quotes, as it calls itself. */
export function appNameOf({ clients }: Clients, id: string): string {
  const client = clients.get(id)
  if (client === undefined) return id
  return client.registration === 'operator' ? client.name : `“${client.name}”`
}

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

/** Is this a callback of the client? On loopback any port is (see `matchesRedirect`). */
export const isAllowedRedirect = (client: Pick<Client, 'redirects'>, uri: string): boolean =>
  client.redirects.some((redirect) => matchesRedirect(redirect.uri, uri))

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
      data: { client, clientId, name: 'ChatGPT', grantTypes: GRANT_TYPES, ...secret, ...BY_OPERATOR },
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

/** What an operator's client has not. */
const BY_OPERATOR = { registration: 'operator', expiresAt: null, authMethod: null, registrationToken: null } as const

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
  if (redirects.length === 0 || !redirects.every((uri) => isRedirectUri(uri, secret === null)))
    return refuse('redirect_invalid')
  const secretFrom = secret === null ? 'none' : 'shown'
  const data = { client, clientId: client, name, secret, secretFrom, grantTypes, ...BY_OPERATOR } as const
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

/** Characters that nobody sees, and the quotation marks in which pages and the audit put names. */
export const MISLEADING = /\p{C}|\p{Default_Ignorable_Code_Point}|[\u2800\u201c\u201d]/u

/** 1–60 characters that a person can read on the consent page. */
export const isClientName = (name: string): boolean =>
  name.trim() === name && name.length >= 1 && name.length <= 60 && name.isWellFormed() && !MISLEADING.test(name)

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
  if (!isRedirectUri(uri, isPublic(found))) return refuse('redirect_invalid')
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
  return accept([{ type: 'ClientRemoved', data: { client: found.id, cause: 'operator' } }], found)
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
