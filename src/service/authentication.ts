/** Authentication of API and MCP callers: who may speak, by `AUTH_MODE`, and which list they mean. */
import { authenticate } from '../domain/bearers.ts'
import type { State } from '../domain/domain.ts'
import { authenticateKey, isNewUse, useKey } from '../domain/keys.ts'
import type { Owner } from '../domain/lists.ts'
import { DEFAULT_SCOPE, includesScope } from '../domain/scopes.ts'
import { authenticateService, THE_SERVICE } from '../domain/service.ts'
import type { Reason } from '../domain/shape.ts'
import { isUsername, type User } from '../domain/users.ts'
import type { Ledger } from '../ledger/ledger.ts'
import { Refused } from '../ledger/refused.ts'
import { addressOf, anonymous, type Caller, type Provenance, type SignedIn, sessionCaller } from './caller.ts'
import type { Limits } from './limits.ts'
import { type AuthMode, apiAudiences, mcpAudience, type Policy } from './policy.ts'
import { digest } from './secrets.ts'

/** A caller who has authenticated, before it is known which list they mean. */
export type ApiCaller = Caller & {
  /** The user they act for; `undefined` in modes without users. */
  readonly user: User | undefined
  /** What they may do: scopes, separated by blanks. In modes without scopes, all of them. */
  readonly scope: string
}

/** A caller and the list that they mean. */
export type ListCaller = ApiCaller & {
  readonly owner: Owner
  /** By what limits count them. */
  readonly budget: string
}

/** Where a token is shown: at the JSON API, or at `/mcp`. A token for one is good for nothing at the other. */
export type Surface = 'api' | 'mcp'

/** @throws {Refused} `scope_insufficient` */
export function requireScope({ scope }: ApiCaller, needed: string): void {
  if (!includesScope(scope, needed)) throw new Refused('scope_insufficient')
}

/** A signed-in visitor of the pages, who means their own list. */
export const visitorCaller = (from: Provenance, visitor: SignedIn): ListCaller => ({
  ...sessionCaller(from, visitor),
  user: visitor.user,
  scope: DEFAULT_SCOPE,
  owner: { user: visitor.user.id },
  budget: visitor.user.id,
})

type Way = (from: Provenance, token: string, surface: Surface) => Promise<ApiCaller>

export class Authentication {
  readonly #ledger: Ledger
  readonly #limits: Limits
  readonly #policy: Policy

  constructor(ledger: Ledger, limits: Limits, policy: Policy) {
    this.#ledger = ledger
    this.#limits = limits
    this.#policy = policy
  }

  /**
   * The caller that a bearer token speaks for. In `AUTH_MODE=none` nobody shows one.
   * @param token gives the bearer as it was sent, or throws the reason why there is none
   * @throws {Refused} that reason, or `token_unknown`
   */
  async caller(from: Provenance, token: () => string, surface: Surface): Promise<ApiCaller> {
    if (this.#policy.authMode === 'none') return { ...anonymous(from), user: undefined, scope: DEFAULT_SCOPE }
    return this.#ways[this.#policy.authMode](from, token(), surface)
  }

  /**
   * The list that a caller means, counted against the API limit.
   * @param name as it stands in the path; `undefined` for the caller's own, or the common list
   * @throws {Refused} `list_invalid`, `list_foreign`, `rate_limited`
   */
  listCaller(caller: ApiCaller, name?: string): ListCaller {
    const { user } = caller
    const owner = user === undefined ? anyList(name ?? 'global') : ownList(name ?? 'me', user)
    const key = 'user' in owner ? owner.user : owner.list.toLowerCase()
    const budget = this.#policy.authMode === 'none' ? addressOf(caller) : key
    this.#limits.take(caller.meter, 'api', budget)
    return { ...caller, owner, budget }
  }

  readonly #ways: { readonly [M in Exclude<AuthMode, 'none'>]: Way } = {
    oauth: async (from, token, surface) => {
      const audiences = surface === 'mcp' ? [mcpAudience(this.#policy)] : apiAudiences(this.#policy)
      const access = digest(token)
      const look = (state: State, now: number) => authenticate(state, access, audiences, now, surface === 'mcp')
      const bearer = required(await this.#ledger.read(look))
      return {
        ...from,
        actor: { kind: 'user', id: bearer.user.id },
        via: { ...from.via, client: bearer.client },
        user: bearer.user,
        scope: bearer.scope,
        holds: (state, now) => reasonOf(look(state, now)),
      }
    },

    user_http: async (from, token) => {
      const key = digest(token)
      const found = await this.#ledger.read((state, now) => ({ holder: authenticateKey(state, key), now }))
      const holder = required(found.holder)
      const caller: ApiCaller = {
        ...from,
        actor: { kind: 'user', id: holder.user.id },
        via: { ...from.via, key: holder.key },
        user: holder.user,
        scope: DEFAULT_SCOPE,
        holds: (state) => reasonOf(authenticateKey(state, key)),
      }
      if (isNewUse(holder, found.now)) await this.#recordUse(caller, holder.key)
      return caller
    },

    service_http: async (from, token) => {
      const shown = digest(token)
      const reason = await this.#ledger.read((state) => authenticateService(state, shown))
      if (reason !== undefined) throw new Refused(reason)
      return {
        ...from,
        actor: { kind: 'client', id: THE_SERVICE },
        user: undefined,
        scope: DEFAULT_SCOPE,
        holds: (state) => authenticateService(state, shown),
      }
    },
  }

  /** While the book cannot be written, reading goes on without a record of the use. */
  async #recordUse(caller: Caller, key: string): Promise<void> {
    await this.#ledger
      .transact(caller, (state, now) => useKey(state, key, now))
      .catch((error: unknown) => {
        if (!(error instanceof Refused) || error.reason !== 'book_unavailable') throw error
      })
  }
}

/** The caller's own list: by name, `me` or `global`. Another name is refused whether or not somebody has it. */
function ownList(name: string, user: User): Owner {
  // Only ASCII letters have a case here: other alphabets have letters that become one of them in lower case.
  if (/^(me|global)$/i.test(name)) return { user: user.id }
  if (!isUsername(name)) throw new Refused('list_invalid')
  if (name.toLowerCase() !== user.sealed.open?.username.toLowerCase()) throw new Refused('list_foreign')
  return { user: user.id }
}

const LIST_NAMES =
  'A list is named by 1 to 64 letters, digits, dots, hyphens or underscores, and not "me". Use "global" for the common list.'

/** Any valid name is a list of its own, and `global` is one of them. */
function anyList(name: string): Owner {
  if (!/^global$/i.test(name) && !isUsername(name)) throw new Refused('list_invalid', LIST_NAMES)
  return { list: name }
}

function required<T extends object>(found: T | Reason): T {
  if (typeof found === 'string') throw new Refused(found)
  return found
}

const reasonOf = (found: object | Reason): Reason | undefined => (typeof found === 'string' ? found : undefined)
