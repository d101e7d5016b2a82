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
  const {
    ledger,
    services: { limits },
  } = deps
  const from = provenance(ctx)
  if (isRepeated(ctx, 'authorization')) throw new Refused('request_malformed', 'Authorization is given more than once.')
  const basic = basicCredentials(ctx.get('authorization'))
  const [id, secret] = basic ?? [parameters.get('client_id'), parameters.get('client_secret')]
  if (basic !== undefined && parameters.has('client_secret'))
    throw new Refused('request_malformed', 'The client must authenticate in one way only.')
  if (basic !== undefined && parameters.has('client_id') && parameters.get('client_id') !== id)
    throw new Refused('request_malformed', 'client_id differs from the one in the Authorization header.')
  const client = await ledger.read((state) => (id === undefined ? undefined : clientByClientId(state, id)))
  const isRight = matchesDigest(secret ?? '', client?.secret ?? NO_SECRET)
  const isItself = client !== undefined && (isPublic(client) ? (secret ?? '') === '' : isRight)
  if (!isItself) {
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

/** RFC 6749 §2.3.1: id and secret are form-encoded before they go into the Basic header. */
function basicCredentials(header: string): [string, string] | undefined {
  if (header === '') return undefined
  const encoded = /^Basic +([A-Za-z0-9+/]+=*)$/i.exec(header)?.[1]
  if (encoded === undefined) throw new Refused('client_unauthenticated')
  const text = Buffer.from(encoded, 'base64').toString('utf8')
  const colon = text.indexOf(':')
  if (colon < 0) throw new Refused('client_unauthenticated')
  try {
    const decode = (part: string): string => decodeURIComponent(part.replaceAll('+', ' '))
    return [decode(text.slice(0, colon)), decode(text.slice(colon + 1))]
  } catch {
    throw new Refused('client_unauthenticated')
  }
}
