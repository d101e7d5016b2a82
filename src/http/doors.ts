/** The four doors: who may speak to the API and whose list they mean, by `AUTH_MODE`. */
import type { Context } from 'koa'
import type { State } from '../domain/domain.ts'
import { authenticateKey, isNewUse, type KeyHolder, useKey } from '../domain/keys.ts'
import type { Owner } from '../domain/lists.ts'
import { authenticateService, THE_SERVICE } from '../domain/service.ts'
import { type Actor, type Decision, type Fact, type Reason, refuse, type Via } from '../domain/shape.ts'
import { isUsername, type User } from '../domain/users.ts'
import { type By, Refused } from '../ledger/ledger.ts'
import { bearerToken, inNameOf, requireBearer } from './bearer.ts'
import { byAddress } from './limits.ts'
import { ANONYMOUS, by, isOwnHost } from './origin.ts'
import { digest } from './secrets.ts'
import type { AuthMode, Deps, Settings } from './settings.ts'

/** Somebody who may speak, and whose list the path names. */
export type Caller = {
  readonly owner: Owner
  readonly by: By
  /** By whom limits count what they do. */
  readonly countsAs: string
  /**
   * A decision in their name. Between their authentication and the decision time passed, and what was revoked meanwhile
   * must not act any more: so they are authenticated again in the same turn.
   */
  readonly deciding: <F extends Fact, T>(
    decide: (state: State, now: number) => Decision<F, T>,
  ) => (state: State, now: number) => Decision<F, T>
}

/** @param name of the list, as it stands in the path @param scope what they must be allowed, where there are scopes */
type Door = (ctx: Context, deps: Deps, name: string, scope: string) => Promise<Omit<Caller, 'countsAs'>>

const doors: { readonly [M in AuthMode]: Door } = {
  async oauth(ctx, deps, name, scope) {
    const bearer = await requireBearer(ctx, deps, scope)
    const who = by(ctx, { kind: 'user', id: bearer.user.id }, bearer.client)
    return { owner: ownList(name, bearer.user), by: who, deciding: (decide) => inNameOf(bearer, deps, decide) }
  },

  async user_http(ctx, deps, name) {
    const { ledger } = deps
    const token = digest(bearerToken(ctx))
    const holder = await ledger.read((state, now) => ({ ...required(authenticateKey(state, token)), now }))
    const who = through(by(ctx, { kind: 'user', id: holder.user.id }), { key: holder.key })
    const owner = ownList(name, holder.user)
    if (isNewUse(holder, holder.now)) await recordUse(deps, who, holder)
    return { owner, by: who, deciding: again((state) => authenticateKey(state, token)) }
  },

  async service_http(ctx, { ledger }, name) {
    const token = digest(bearerToken(ctx))
    await ledger.read((state) => required(authenticateService(state, token) ?? THE_SERVICE))
    const service: Actor = { kind: 'client', id: THE_SERVICE }
    const deciding = again((state) => authenticateService(state, token) ?? {})
    return { owner: anyList(name), by: by(ctx, service), deciding }
  },

  async none(ctx, { settings }, name) {
    requireOwnOrigin(ctx, settings)
    return { owner: anyList(name), by: by(ctx, ANONYMOUS), deciding: (decide) => decide }
  },
}

/** @throws {Refused} as the door of this mode does: nobody it knows, or not their list; `rate_limited` */
export async function requireCaller(ctx: Context, deps: Deps, scope: string): Promise<Caller> {
  const { limits, settings } = deps
  const caller = await doors[settings.authMode](ctx, deps, String(ctx.params.username), scope)
  const { owner } = caller
  const name = 'user' in owner ? owner.user : owner.list.toLowerCase()
  const countsAs = settings.authMode === 'none' ? byAddress(ctx) : name
  await limits.take(ctx, 'api', countsAs)
  return { ...caller, countsAs }
}

/**
 * Nothing else keeps a web page out that somebody on this network looks at.
 * @throws {Refused} `origin_foreign`
 */
function requireOwnOrigin(ctx: Context, { publicUrl, corsOrigins }: Settings): void {
  const origin = ctx.get('origin')
  const isForeign = ['cross-site', 'same-site'].includes(ctx.get('sec-fetch-site'))
  const isKnown = (origin === '' && !isForeign) || origin === publicUrl || corsOrigins.includes(origin)
  if (!isKnown || !isOwnHost(ctx, publicUrl)) throw new Refused('origin_foreign')
}

/** The caller's own list, by name, `me` or `global`. Anybody else's is told apart from nothing. */
function ownList(name: string, user: User): Owner {
  // Only ASCII letters have a case here: other alphabets have letters that become one of them in lower case.
  if (/^(me|global)$/i.test(name)) return { user: user.id }
  if (!isUsername(name)) throw new Refused('list_invalid')
  if (name.toLowerCase() !== user.sealed.open?.username.toLowerCase()) throw new Refused('list_foreign')
  return { user: user.id }
}

/** Any valid name is a list of its own, and `global` is one of them. */
function anyList(name: string): Owner {
  if (!/^global$/i.test(name) && !isUsername(name)) throw new Refused('list_invalid')
  return { list: name }
}

const through = ({ via, ...rest }: By, more: Via): By => ({ ...rest, via: { ...via, ...more } })

function required<T extends object | string>(found: T | Reason): T {
  if (found === 'token_unknown') throw new Refused(found)
  return found as T
}

const again =
  (authenticate: (state: State) => object | Reason): Caller['deciding'] =>
  (decide) =>
  (state, now) => {
    const found = authenticate(state)
    return typeof found === 'string' ? refuse(found) : decide(state, now)
  }

/** Where the book cannot be written, reading goes on all the same. */
async function recordUse({ ledger }: Deps, who: By, { key }: KeyHolder): Promise<void> {
  await ledger
    .transact(who, (state, now) => useKey(state, key, now))
    .catch((error: unknown) => {
      if (!(error instanceof Refused) || error.reason !== 'book_unavailable') throw error
    })
}
