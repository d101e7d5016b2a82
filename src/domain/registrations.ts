/** Clients that bring themselves: registered by a request (RFC 7591), or described by the document at their client ID. */
import {
  type Client,
  type ClientEvent,
  type Clients,
  clientByClientId,
  isPublic,
  type Registration,
} from './clients.ts'
import type { Description } from './metadata.ts'
import { accept, type Decision, refuse } from './shape.ts'

/** A client that nobody has connected is forgotten after a day. ms */
const UNUSED_TTL_MS = 86_400_000
/** How many of each kind may be there that nobody has connected. */
export const MAX_UNUSED = 1000
/** Past that the oldest gives way, if it has had this long. ms */
const MIN_UNUSED_MS = 3_600_000

/** Which unused client has to go so that another of that kind may come; `undefined` where none needs to, or may. */
function makeRoom(
  { clients }: Clients,
  kind: Registration,
  now: number,
): Extract<ClientEvent, { type: 'ClientRemoved' }>[] | undefined {
  if (clients.countBy('unused', kind) < MAX_UNUSED) return []
  const expiresAt = (id: string): number => clients.get(id)!.expiresAt!
  const oldest = clients.keysBy('unused', kind).reduce((a, b) => (expiresAt(b) < expiresAt(a) ? b : a))
  if (expiresAt(oldest) - UNUSED_TTL_MS > now - MIN_UNUSED_MS) return undefined
  return [{ type: 'ClientRemoved', data: { client: oldest, cause: 'room' } }]
}

type Register = {
  client: string
  described: Description
  /** Digests. `secret` is `null` for a public client. */
  secret: string | null
  registrationToken: string
}

/** RFC 7591 §3. Refuses `clients_too_many`. */
export function registerItself(rows: Clients, input: Register, now: number): Decision<ClientEvent> {
  const { client, secret, registrationToken, described } = input
  const { name, grantTypes, authMethod, redirects } = described
  const removed = makeRoom(rows, 'dynamic', now)
  if (removed === undefined) return refuse('clients_too_many')
  const expiresAt = now + UNUSED_TTL_MS
  const secretFrom = secret === null ? 'none' : 'shown'
  const kept = { registration: 'dynamic', expiresAt, authMethod, registrationToken } as const
  return accept<ClientEvent, undefined>(
    [
      ...removed,
      { type: 'ClientRegistered', data: { client, clientId: client, name, secret, secretFrom, grantTypes, ...kept } },
      ...redirects.map((uri) => named(client, uri)),
    ],
    undefined,
  )
}

const named = (client: string, uri: string): ClientEvent => ({
  type: 'RedirectUriAllowed',
  data: { client, uri, from: 'client' },
})

/** The client that may manage its registration with that token (RFC 7592 §2). @param token its digest */
export function registeredClient({ clients }: Clients, id: string, token: string): Client | undefined {
  const client = clients.get(id)
  return client?.registration === 'dynamic' && client.registrationToken === token ? client : undefined
}

/** RFC 7592 §2.3. Refuses `registration_token_unknown`. */
export function unregister(rows: Clients, id: string, token: string): Decision<ClientEvent> {
  const client = registeredClient(rows, id, token)
  if (client === undefined) return refuse('registration_token_unknown')
  return accept([{ type: 'ClientRemoved', data: { client: client.id, cause: 'client' } }], undefined)
}

/** A document as it was read, and at which client ID. */
export type Reading = { readonly clientId: string; readonly described: Description }

/** The client of a document, as it is now: the row that is known, with what the document says. Nothing is recorded. */
export function clientOfDocument(rows: Clients, { clientId, described }: Reading, id: string): Client {
  const known = clientByClientId(rows, clientId)
  const { name, grantTypes } = described
  const others = known?.redirects.filter(({ from }) => from !== 'client') ?? []
  const redirects = [...others, ...described.redirects.map((uri) => ({ uri, from: 'client' }) as const)]
  if (known !== undefined) return { ...known, name, grantTypes, redirects }
  return {
    ...{ id, clientId, name, secret: null, secretFrom: 'none', grantTypes, redirects, registration: 'document' },
    ...{ expiresAt: 0, authMethod: 'none', registrationToken: null, usedAt: null, createdAt: '', readAt: '' },
  } as const
}

/** The least time between two `ClientDocumentRead` of a document that has not changed. ms */
const NOTE_MS = 3_600_000

/**
 * Makes the client's row what its document says, recording only what differs; gives the client's id. A callback that the
 * document no longer names is withdrawn, and that ends codes on their way to it. Refuses `clients_too_many`.
 * @param id the id of a client that is not known yet
 */
export function settleDocument(
  rows: Clients,
  reading: Reading,
  id: string,
  now: number,
): Decision<ClientEvent, string> {
  const { clientId, described } = reading
  const { name, grantTypes, redirects } = described
  const known = clientByClientId(rows, clientId)
  if (known === undefined) {
    const removed = makeRoom(rows, 'document', now)
    if (removed === undefined) return refuse('clients_too_many')
    const kept = { expiresAt: now + UNUSED_TTL_MS, authMethod: 'none', registrationToken: null } as const
    const data = { client: id, clientId, name, secret: null, secretFrom: 'none', grantTypes } as const
    return accept<ClientEvent, string>(
      [
        ...removed,
        { type: 'ClientRegistered', data: { ...data, registration: 'document', ...kept } },
        ...redirects.map((uri) => named(id, uri)),
      ],
      id,
    )
  }
  const client = known.id
  const added = redirects.filter((uri) => !known.redirects.some((one) => one.uri === uri))
  const gone = known.redirects.filter(({ uri, from }) => from === 'client' && !redirects.includes(uri))
  const isOld = Math.abs(now - Date.parse(known.readAt)) >= NOTE_MS
  const hasChanged = name !== known.name || `${grantTypes}` !== `${known.grantTypes}`
  const isNews = isOld || hasChanged || added.length + gone.length > 0
  return accept<ClientEvent, string>(
    [
      ...(isNews ? [{ type: 'ClientDocumentRead', data: { client, name, grantTypes } } as const] : []),
      ...added.map((uri) => named(client, uri)),
      ...gone.map(({ uri }) => ({ type: 'RedirectUriWithdrawn', data: { client, uri } }) as const),
    ],
    client,
  )
}

/** How long a client may go on as it was last read while its document cannot be read. ms */
const STALE_MS = 86_400_000

/** The known client of a document that cannot be read at the moment, if it was read not too long ago. */
export function clientLastRead(rows: Clients, clientId: string, now: number): Client | undefined {
  const known = clientByClientId(rows, clientId)
  if (known?.registration !== 'document' || !isPublic(known)) return undefined
  return Math.abs(now - Date.parse(known.readAt)) < STALE_MS ? known : undefined
}
