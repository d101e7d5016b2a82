/** Who is speaking to the token endpoint and its neighbours: client authentication (RFC 6749 §2.3). */
import type { Context } from 'koa'
import { type Client, clientByClientId, isPublic } from '../../domain/clients.ts'
import { Refused } from '../../ledger/refused.ts'
import { addressOf, type Caller, clientCaller } from '../../service/caller.ts'
import { digest, matchesDigest, newSecret } from '../../service/secrets.ts'
import { provenance } from '../origin.ts'
import { isRepeated } from '../parse.ts'
import type { Deps } from '../settings.ts'

export type Parameters = ReadonlyMap<string, string>

/** A parameter that must be there. @throws {Refused} `parameter_missing` */
export function required(parameters: Parameters, name: string): string {
  const value = parameters.get(name)
  if (value === undefined) throw new Refused('parameter_missing', `${name} is missing.`)
  return value
}

export const byClient = (ctx: Context, client: Client): Caller => clientCaller(provenance(ctx), client)

/** What is compared for a client that is not there: as slow, never right. */
const NO_SECRET = digest(newSecret('dbs'))

/**
 * RFC 6749 §2.3.1: the client by Basic header or by body, never both; a public one by its `client_id` alone (§3.2.1).
 * Wrong id and wrong secret look the same.
 * @throws {Refused} `client_unauthenticated`, `request_malformed`, `rate_limited`
 */
export async function authenticateClient(ctx: Context, deps: Deps, parameters: Parameters): Promise<Client> {
  const { limits } = deps.services
  const from = provenance(ctx)
  if (isRepeated(ctx, 'authorization')) throw new Refused('request_malformed', 'Authorization is given more than once.')
  const basic = basicReadings(ctx.get('authorization'))
  if (basic !== undefined && parameters.has('client_secret')) {
    if (basic.length < 2) throw new Refused('client_unauthenticated')
    throw new Refused('request_malformed', 'The client must authenticate in one way only.')
  }
  const named = parameters.get('client_id')
  const readings = basic ?? [{ id: named ?? '', secret: parameters.get('client_secret') ?? '' }]
  const asNamed = readings.filter(({ id }) => named === undefined || id === named)
  if (readings.length > 0 && asNamed.length === 0)
    throw new Refused('request_malformed', 'client_id differs from the one in the Authorization header.')
  const client = await rightOne(deps, asNamed)
  if (client === undefined) {
    // Who is right is let through all the same: they may share the address with whoever is not.
    limits.take(from.meter, 'failed', addressOf(from))
    throw new Refused('client_unauthenticated')
  }
  // Anybody can be a public client, and must not keep the others from it.
  limits.take(from.meter, 'token', isPublic(client) ? `${client.id} ${addressOf(from)}` : client.id)
  return client
}

/** As `authenticateClient`, for what a client without a secret may not do. @throws {Refused} `client_unauthenticated` */
export async function authenticateConfidential(ctx: Context, deps: Deps, parameters: Parameters): Promise<Client> {
  const client = await authenticateClient(ctx, deps, parameters)
  if (isPublic(client)) throw new Refused('client_unauthenticated')
  return client
}

type Credentials = { readonly id: string; readonly secret: string }

/** The client whose credentials these are. All of them are compared, so that the time does not tell which was right. */
async function rightOne({ ledger }: Deps, readings: readonly Credentials[]): Promise<Client | undefined> {
  const clients = await ledger.read((state) => readings.map(({ id }) => clientByClientId(state, id)))
  const right = readings.map(({ secret }, i) => {
    const client = clients[i]
    const isRight = matchesDigest(secret, client?.secret ?? NO_SECRET)
    return client !== undefined && (isPublic(client) ? secret === '' : isRight)
  })
  return clients.find((_, i) => right[i])
}

/**
 * RFC 6749 §2.3.1: id and secret are form-encoded before they go into the Basic header. Many clients send them as they
 * are, so both readings hold; one that cannot be decoded is left out. `undefined` where there is no header.
 */
function basicReadings(header: string): Credentials[] | undefined {
  if (header === '') return undefined
  const encoded = /^Basic +([A-Za-z0-9+/]+=*)$/i.exec(header)?.[1]
  const text = Buffer.from(encoded ?? '', 'base64').toString('utf8')
  const colon = text.indexOf(':')
  if (colon < 0) return []
  const [id, secret] = [text.slice(0, colon), text.slice(colon + 1)]
  const [decodedId, decodedSecret] = [formDecoded(id), formDecoded(secret)]
  const decoded =
    decodedId === undefined || decodedSecret === undefined ? [] : [{ id: decodedId, secret: decodedSecret }]
  return [...decoded, { id, secret }]
}

function formDecoded(text: string): string | undefined {
  try {
    return decodeURIComponent(text.replaceAll('+', ' '))
  } catch {
    return undefined
  }
}
