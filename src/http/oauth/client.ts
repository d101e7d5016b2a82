/** Who is speaking to the token endpoint and its neighbours: client authentication (RFC 6749 §2.3). */
import type { Context } from 'koa'
import { Refused } from '../../ledger/refused.ts'
import type { ClientCaller, Credentials } from '../../service/access.ts'
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

/**
 * RFC 6749 §2.3.1: the client by Basic header or by body, never both; a public one by its `client_id` alone (§3.2.1).
 * @throws {Refused} `client_unauthenticated`, `request_malformed`, `rate_limited`
 */
export async function authenticateClient(
  ctx: Context,
  { services }: Deps,
  parameters: Parameters,
): Promise<ClientCaller> {
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
  return services.access.authenticate(provenance(ctx), asNamed)
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
