/** Access: what an app gets for a code or a refresh token, what its tokens are good for, and how it gives them back. */
import { type Introspected, introspect, type Shown, userToRefresh } from '../domain/bearers.ts'
import { type Client, clientByClientId, type GrantType, isPublic } from '../domain/clients.ts'
import { type Given, redeemCode, refreshTokens, revokeToken } from '../domain/grants.ts'
import { refuse } from '../domain/shape.ts'
import { REFRESH_KEY } from '../ledger/book.ts'
import type { Ledger } from '../ledger/ledger.ts'
import { Refused } from '../ledger/refused.ts'
import { addressOf, type Caller, clientCaller, type Provenance } from './caller.ts'
import type { Limits } from './limits.ts'
import { acceptsClient, type Policy } from './policy.ts'
import { challengeOf, digest, grantOfRefreshToken, matchesDigest, newRefreshToken, newSecret } from './secrets.ts'

/** One reading of how a client says who it is. A public client has no secret, and gives ''. */
export type Credentials = { readonly id: string; readonly secret: string }

/** A client that has authenticated. */
export type ClientCaller = Caller & { readonly client: Client }

/** What a client gets for a code (RFC 6749 §4.1.3). */
export type CodeRequest = {
  readonly code: string
  readonly redirectUri: string
  readonly verifier: string | undefined
  readonly resource: string | undefined
}

/** What a client gets for a refresh token (RFC 6749 §6). */
export type RefreshRequest = {
  readonly token: string
  readonly scope: string | undefined
  readonly resource: string | undefined
}

/** New tokens, in plain text: they are nowhere else. */
export type Issued = {
  readonly access: string
  /** `undefined` for a client that may not refresh. */
  readonly refresh: string | undefined
  readonly scope: string
  /** How long the access token holds. */
  readonly accessTtlMs: number
}

/** Compared where no client has that id, so that the time does not tell. Nothing matches it. */
const NO_SECRET = digest(newSecret('dbs'))

export class Access {
  readonly #ledger: Ledger
  readonly #limits: Limits
  readonly #policy: Policy

  constructor(ledger: Ledger, limits: Limits, policy: Policy) {
    this.#ledger = ledger
    this.#limits = limits
    this.#policy = policy
  }

  /**
   * The client whose credentials these are. An unknown id and a wrong secret look the same.
   * @param readings all of them are compared, so that the time does not tell which was right
   * @throws {Refused} `client_unauthenticated`, `rate_limited`
   */
  async authenticate(from: Provenance, readings: readonly Credentials[]): Promise<ClientCaller> {
    const clients = await this.#ledger.read((state) =>
      readings.map(({ id }) => {
        const client = clientByClientId(state, id)
        return client !== undefined && acceptsClient(this.#policy, client) ? client : undefined
      }),
    )
    const right = readings.map(({ secret }, i) => {
      const client = clients[i]
      const isRight = matchesDigest(secret, client?.secret ?? NO_SECRET)
      return client !== undefined && (isPublic(client) ? secret === '' : isRight)
    })
    const client = clients.find((_, i) => right[i])
    if (client === undefined) {
      // Right credentials are let through all the same: they may come from the same address as wrong ones.
      this.#limits.take(from.meter, 'failed', addressOf(from))
      throw new Refused('client_unauthenticated')
    }
    // Anybody can be a public client, and must not keep the others from it.
    this.#limits.take(from.meter, 'token', isPublic(client) ? `${client.id} ${addressOf(from)}` : client.id)
    return { ...clientCaller(from, client), client }
  }

  /**
   * Redeems a code for tokens (RFC 6749 §4.1.3).
   * @throws {Refused} `grant_type_foreign`, or why the code is not good
   */
  async redeem(by: ClientCaller, { code, redirectUri, verifier, resource }: CodeRequest): Promise<Issued> {
    requireGrantType(by, 'authorization_code')
    const shown = digest(code)
    // The connection that a code is for never changes, so it may be looked up before the decision.
    const grant = await this.#ledger.ask(by, (state) => state.codes.get(shown)?.grant)
    if (grant === undefined) return this.#ledger.transact(by, () => refuse('code_unknown'))
    const challenge = verifier === undefined ? null : challengeOf(verifier)
    const { refreshMaxTtlMs } = this.#policy
    return this.#issue(by, grant, (made) =>
      this.#ledger.transact(by, (state, now) =>
        redeemCode(
          state,
          { ...made, code: shown, client: by.client.id, redirectUri, challenge, resource, refreshMaxTtlMs },
          now,
        ),
      ),
    )
  }

  /**
   * Exchanges a refresh token for new tokens (RFC 6749 §6).
   * @throws {Refused} `grant_type_foreign`, `rate_limited`, or why the token is not good
   */
  async refresh(by: ClientCaller, { token, scope, resource }: RefreshRequest): Promise<Issued> {
    requireGrantType(by, 'refresh_token')
    const from = this.#shown(token)
    if (from.grant === undefined) return this.#ledger.transact(by, () => refuse('refresh_unknown'))
    const asked = { from, client: by.client.id, scope, resource }
    // A token that is shown too late, or again, is not held up: what it ends has to end at once.
    const user = await this.#ledger.ask(by, (state, now) => userToRefresh(state, asked, now))
    if (user !== undefined) this.#limits.take(by.meter, 'refresh', `${by.client.id} ${user}`)
    return this.#issue(by, from.grant, (made) =>
      this.#ledger.transact(by, (state, now) => refreshTokens(state, { ...made, ...asked }, now)),
    )
  }

  /** A client gives a token back (RFC 7009). One that is unknown, or another client's, changes nothing. */
  async revoke(by: ClientCaller, token: string): Promise<void> {
    const asked = { token: this.#shown(token), client: by.client.id }
    await this.#ledger.transact(by, (state, now) => revokeToken(state, asked, now))
  }

  /**
   * What a token of that client is good for now; `undefined` for any other token (RFC 7662 §2.2).
   * @throws {Refused} `client_unauthenticated` for a client without a secret (RFC 7662 §2.1)
   */
  async introspect(by: ClientCaller, token: string): Promise<Introspected | undefined> {
    if (isPublic(by.client)) throw new Refused('client_unauthenticated')
    const asked = { token: this.#shown(token), client: by.client.id }
    return this.#ledger.ask(by, (state, now) => introspect(state, asked, now))
  }

  #shown(token: string): Shown {
    return { digest: digest(token), grant: grantOfRefreshToken(this.#refreshKey, token) }
  }

  /** Makes new tokens for a connection, and gives them out once their digests are recorded. */
  async #issue(by: ClientCaller, grant: string, record: (made: Made) => Promise<Given>): Promise<Issued> {
    const access = newSecret('dba')
    const mayRefresh = by.client.grantTypes.includes('refresh_token')
    const refresh = mayRefresh ? newRefreshToken(this.#refreshKey, grant) : undefined
    const { accessTtlMs, refreshIdleTtlMs } = this.#policy
    const made = { access: digest(access), refresh: refresh === undefined ? null : digest(refresh) }
    const { scope, accessExpiresAt, now } = await record({ ...made, accessTtlMs, refreshIdleTtlMs })
    return { access, refresh, scope, accessTtlMs: accessExpiresAt - now }
  }

  get #refreshKey(): string {
    return this.#ledger.secret(REFRESH_KEY)!
  }
}

type Made = Pick<Parameters<typeof refreshTokens>[1], 'access' | 'refresh' | 'accessTtlMs' | 'refreshIdleTtlMs'>

/** RFC 6749 §5.2, `unauthorized_client`. @throws {Refused} `grant_type_foreign` */
function requireGrantType({ client }: ClientCaller, grantType: GrantType): void {
  if (!client.grantTypes.includes(grantType)) throw new Refused('grant_type_foreign')
}
