/** How often somebody may: sign-in, sign-up, authorization, tokens and the API, by account, app and address. */
import { createHash } from 'node:crypto'
import { isIPv6 } from 'node:net'
import type { Context } from 'koa'
import { RateLimiterMemory, RateLimiterRes } from 'rate-limiter-flexible'
import { Refused } from '../ledger/ledger.ts'

/** What each limit is for, and by whom it counts. The setting of `sign_in` is `LIMIT_SIGN_IN`. */
export const LIMITS = {
  sign_in: 'wrong passwords for one account',
  sign_in_address: 'wrong passwords from one address',
  sign_up: 'tries to make an account from one address',
  sign_ups: 'new accounts from everywhere',
  account: 'sign-ins and new keys of one account',
  consent: 'connections that one account is asked about',
  authorize: 'authorization requests from one address',
  waiting: 'new callbacks for the operator to allow from one address',
  token: 'token requests of one app; of a public one, from one address',
  refresh: 'refreshes of one app for one user',
  failed: 'wrong credentials of apps from one address',
  api: 'API calls of one user, list or, where nobody signs in, address',
  write: 'changes by one user, list or address; of a longer text, each 512 bytes count',
} as const
export type LimitName = keyof typeof LIMITS
/** So many in each window. */
export type Limit = { readonly most: number; readonly windowMs: number }
export type LimitSettings = { readonly [N in LimitName]: Limit }

type Counter = { readonly limit: Limit; readonly limiter: RateLimiterMemory; refused: number }

/**
 * Counts in memory: after a restart everybody begins anew. What must not be raced, such as tries of a password, is taken
 * before it is done, and given back where it was well.
 */
export class Limits {
  readonly #counters: ReadonlyMap<LimitName, Counter>

  /** @param settings `undefined`: no limits at all */
  constructor(settings: LimitSettings | undefined) {
    const given = Object.entries(settings ?? {}) as [LimitName, Limit][]
    this.#counters = new Map(
      given.map(([name, limit]) => {
        const limiter = new RateLimiterMemory({ points: limit.most, duration: limit.windowMs / 1000 })
        return [name, { limit, limiter, refused: 0 }]
      }),
    )
  }

  /**
   * Counts one, or more, and says in the answer how many are left (draft-ietf-httpapi-ratelimit-headers).
   * @throws {Refused} `rate_limited`, with `Retry-After`, where there were as many as there may be
   */
  async take(ctx: Context, name: LimitName, key: string, count = 1): Promise<void> {
    const counter = this.#counters.get(name)
    if (counter === undefined) return
    try {
      tell(ctx, name, counter.limit, await counter.limiter.consume(key, count))
    } catch (error) {
      if (!(error instanceof RateLimiterRes)) throw error
      counter.refused++
      // What was not done does not count; a smaller one may still fit.
      if (count > 1) await counter.limiter.reward(key, count)
      tell(ctx, name, counter.limit, error)
      ctx.set('Retry-After', String(secondsOf(error)))
      throw new Refused('rate_limited')
    }
  }

  /** It was well, or nothing was done: what was counted before is not. */
  async giveBack(name: LimitName, key: string, count = 1): Promise<void> {
    await this.#counters.get(name)?.limiter.reward(key, count)
  }

  /** How often each limit has refused somebody since the start. */
  get refused(): readonly (readonly [LimitName, number])[] {
    return [...this.#counters].map(([name, { refused }]) => [name, refused] as const)
  }
}

const secondsOf = ({ msBeforeNext }: RateLimiterRes): number => Math.max(1, Math.ceil(msBeforeNext / 1000))

function tell(ctx: Context, name: LimitName, { most, windowMs }: Limit, found: RateLimiterRes): void {
  add(ctx, 'RateLimit-Policy', `"${name}";q=${most};w=${Math.round(windowMs / 1000)}`)
  add(ctx, 'RateLimit', `"${name}";r=${Math.max(0, found.remainingPoints)};t=${secondsOf(found)}`)
}

/** To a list, as these fields are (RFC 9651 §3.1). */
const add = (ctx: Context, name: string, item: string): void => {
  const before = ctx.response.get(name) as string | undefined
  ctx.set(name, before ? `${before}, ${item}` : item)
}

/** Whom an address stands for: of IPv6 the network, since one customer has 2^64 addresses. */
export function byAddress({ request: { ip } }: Context): string {
  if (!isIPv6(ip)) return ip
  const [head = '', tail] = ip.split('%')[0]!.split('::')
  const groups = head.split(':').filter((group) => group !== '')
  const missing = tail === undefined ? 0 : 8 - groups.length - tail.split(':').filter((group) => group !== '').length
  return [...groups, ...Array<string>(Math.max(0, missing)).fill('0'), ...(tail ?? '').split(':')]
    .slice(0, 4)
    .map((group) => group.replace(/^0+(?=.)/, '').toLowerCase())
    .join(':')
}

/** Whom a name stands for that nobody has: not kept as it came. */
export const byName = (name: string): string => createHash('sha256').update(name).digest('base64url')
