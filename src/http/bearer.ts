/** Who is speaking to the API: the user and the client behind an access token (RFC 6750 §2.1). */
import type { Context } from 'koa'
import { authenticate, type Bearer } from '../domain/grants.ts'
import { Refused } from '../ledger/ledger.ts'
import { digest } from './secrets.ts'
import { audiencesOf, type Deps } from './settings.ts'

/** `b64token` of RFC 6750 §2.1; the scheme's name in any case (RFC 9110 §11.1). */
const CREDENTIALS = /^Bearer +([A-Za-z0-9._~+/-]+=*)$/i

/**
 * The bearer of a request that may do what `scope` names.
 * @throws {Refused} `token_missing`, `token_unknown`, `scope_insufficient`
 */
export async function requireBearer(ctx: Context, { ledger, settings }: Deps, scope: string): Promise<Bearer> {
  const header = ctx.get('authorization')
  if (header === '') throw new Refused('token_missing')
  const token = CREDENTIALS.exec(header)?.[1]
  if (token === undefined) throw new Refused('token_unknown')
  const bearer = await ledger.read((state, now) => authenticate(state, digest(token), audiencesOf(settings), now))
  if (typeof bearer === 'string') throw new Refused(bearer)
  if (!bearer.scope.split(' ').includes(scope)) throw new Refused('scope_insufficient')
  return bearer
}
