/** The token endpoint: a code or a refresh token for a new pair of tokens (RFC 6749 §3.2, §4.1.3, §6). */
import Router from '@koa/router'
import type { Context } from 'koa'
import { type Client, clientByClientId, GRANT_TYPES, type GrantType } from '../../domain/clients.ts'
import type { State } from '../../domain/domain.ts'
import { type Given, redeemCode, refreshTokens } from '../../domain/grants.ts'
import { type Decision, type Fact, refuse } from '../../domain/shape.ts'
import { Refused } from '../../ledger/ledger.ts'
import { by } from '../origin.ts'
import { isRepeated, tokenParameters } from '../parse.ts'
import { challengeOf, digest, matchesDigest, newSecret } from '../secrets.ts'
import type { Deps } from '../settings.ts'

type Parameters = ReadonlyMap<string, string>

export function tokenRoutes(deps: Deps): Router {
  const router = new Router({ sensitive: true, strict: true })
  router.post('/auth/oauth_exchange', async (ctx) => {
    const parameters = tokenParameters(ctx)
    const client = await authenticateClient(ctx, deps, parameters)
    const grantType = required(parameters, 'grant_type')
    if (!isGrantType(grantType)) throw new Refused('grant_type_unsupported')
    if (!client.grantTypes.includes(grantType)) throw new Refused('grant_type_foreign')
    const access = newSecret('dba')
    const refresh = client.grantTypes.includes('refresh_token') ? newSecret('dbr') : undefined
    const made = { access: digest(access), refresh: refresh === undefined ? null : digest(refresh) }
    const given = await exchanges[grantType](ctx, deps, parameters, client, made)
    // RFC 6749 §5.1.
    ctx.body = {
      access_token: access,
      token_type: 'bearer',
      expires_in: Math.floor((given.accessExpiresAt - given.now) / 1000),
      refresh_token: refresh,
      scope: given.scope,
    }
  })
  return router
}

const isGrantType = (text: string): text is GrantType => (GRANT_TYPES as readonly string[]).includes(text)

type Digests = { access: string; refresh: string | null }
type Exchange = (ctx: Context, deps: Deps, parameters: Parameters, client: Client, made: Digests) => Promise<Given>

const exchanges: { readonly [G in GrantType]: Exchange } = {
  authorization_code(ctx, { ledger, settings }, parameters, client, made) {
    const verifier = parameters.get('code_verifier')
    const input = {
      ...made,
      code: digest(required(parameters, 'code')),
      client: client.id,
      // RFC 6749 §4.1.3: required, since it always came with the authorization request; without it, it differs.
      redirectUri: parameters.get('redirect_uri') ?? '',
      challenge: verifier === undefined ? null : challengeOf(verifier),
      resource: parameters.get('resource'),
      accessTtlMs: settings.accessTtlMs,
      refreshIdleTtlMs: settings.refreshIdleTtlMs,
      refreshMaxTtlMs: settings.refreshMaxTtlMs,
    }
    return ledger.transact(
      byClient(ctx, client),
      inNameOf(client, (state, now) => redeemCode(state, input, now)),
    )
  },
  refresh_token(ctx, { ledger, settings }, parameters, client, made) {
    const input = {
      ...made,
      from: digest(required(parameters, 'refresh_token')),
      client: client.id,
      scope: parameters.get('scope'),
      resource: parameters.get('resource'),
      accessTtlMs: settings.accessTtlMs,
      refreshIdleTtlMs: settings.refreshIdleTtlMs,
    }
    return ledger.transact(
      byClient(ctx, client),
      inNameOf(client, (state, now) => refreshTokens(state, input, now)),
    )
  },
}

/** Its secret may have been rotated since it was authenticated: then it is not any more. */
const inNameOf =
  <F extends Fact, T>(client: Client, decide: (state: State, now: number) => Decision<F, T>) =>
  (state: State, now: number): Decision<F, T> =>
    state.clients.get(client.id)?.secret === client.secret ? decide(state, now) : refuse('client_unauthenticated')

const byClient = (ctx: Context, { id }: Client) => by(ctx, { kind: 'client', id }, id)

function required(parameters: Parameters, name: string): string {
  const value = parameters.get(name)
  if (value === undefined) throw new Refused('parameter_missing', `${name} is missing.`)
  return value
}

/** What is compared for a client that is not there: as slow, never right. */
const NO_SECRET = digest(newSecret('dbs'))

/**
 * RFC 6749 §2.3.1: the client by Basic header or by body, never both. Wrong id and wrong secret look the same.
 * @throws {Refused} `client_unauthenticated`, `request_malformed`
 */
async function authenticateClient(ctx: Context, { ledger }: Deps, parameters: Parameters): Promise<Client> {
  if (isRepeated(ctx, 'authorization')) throw new Refused('request_malformed', 'Authorization is given more than once.')
  const basic = basicCredentials(ctx.get('authorization'))
  const [id, secret] = basic ?? [parameters.get('client_id'), parameters.get('client_secret')]
  if (basic !== undefined && parameters.has('client_secret'))
    throw new Refused('request_malformed', 'The client must authenticate in one way only.')
  if (basic !== undefined && parameters.has('client_id') && parameters.get('client_id') !== id)
    throw new Refused('request_malformed', 'client_id differs from the one in the Authorization header.')
  const client = await ledger.read((state) => (id === undefined ? undefined : clientByClientId(state, id)))
  const isRight = matchesDigest(secret ?? '', client?.secret ?? NO_SECRET)
  if (client === undefined || !isRight) throw new Refused('client_unauthenticated')
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
