/** Who is speaking to the token endpoint and its neighbours: client authentication (RFC 6749 §2.3). */
import type { Context } from 'koa'
import { Refused } from '../../ledger/refused.ts'
import type { ClientCaller } from '../../service/access.ts'
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
  const basic = basicCredentials(ctx.get('authorization'))
  const [id, secret] = basic ?? [parameters.get('client_id'), parameters.get('client_secret')]
  if (basic !== undefined && parameters.has('client_secret'))
    throw new Refused('request_malformed', 'The client must authenticate in one way only.')
  if (basic !== undefined && parameters.has('client_id') && parameters.get('client_id') !== id)
    throw new Refused('request_malformed', 'client_id differs from the one in the Authorization header.')
  return services.access.authenticate(provenance(ctx), [{ id: id ?? '', secret: secret ?? '' }])
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
