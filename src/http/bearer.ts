/** Who is speaking to the API: the user and the client behind an access token (RFC 6750 §2.1). */
import type { Context } from 'koa'
import { authenticate, type Bearer } from '../domain/bearers.ts'
import type { State } from '../domain/domain.ts'
import { type Decision, type Fact, refuse } from '../domain/shape.ts'
import { Refused } from '../ledger/ledger.ts'
import { isRepeated } from './parse.ts'
import { digest } from './secrets.ts'
import { audiencesOf, type Deps } from './settings.ts'

/** `b64token` of RFC 6750 §2.1; the scheme's name in any case (RFC 9110 §11.1). */
const CREDENTIALS = /^Bearer +([A-Za-z0-9._~+/-]+=*)$/i

/**
 * The token that a request shows, whatever it is.
 * @throws {Refused} `request_malformed`, `token_missing`, `token_unknown`
 */
export function bearerToken(ctx: Context): string {
  const header = ctx.get('authorization')
  if (isRepeated(ctx, 'authorization')) throw new Refused('request_malformed', 'Authorization is given more than once.')
  if (header === '') throw new Refused('token_missing')
  const token = CREDENTIALS.exec(header)?.[1]
  if (token === undefined) throw new Refused('token_unknown')
  return token
}

/**
 * The bearer of a request that may do what `scope` names.
 * @throws {Refused} `request_malformed`, `token_missing`, `token_unknown`, `scope_insufficient`
 */
export async function requireBearer(ctx: Context, { ledger, settings }: Deps, scope: string): Promise<Bearer> {
  const token = bearerToken(ctx)
  const bearer = await ledger.read((state, now) => authenticate(state, digest(token), audiencesOf(settings), now))
  if (typeof bearer === 'string') throw new Refused(bearer)
  if (!bearer.scope.split(' ').includes(scope)) throw new Refused('scope_insufficient')
  return bearer
}

/**
 * A decision in the name of a bearer. Between their authentication and the decision time passed, and what was revoked
 * meanwhile must not act any more: so they are authenticated again in the same turn.
 */
export const inNameOf =
  <F extends Fact, T>(
    { access }: Bearer,
    { settings }: Deps,
    decide: (state: State, now: number) => Decision<F, T>,
  ): ((state: State, now: number) => Decision<F, T>) =>
  (state, now) => {
    const bearer = authenticate(state, access, audiencesOf(settings), now)
    return typeof bearer === 'string' ? refuse(bearer) : decide(state, now)
  }
