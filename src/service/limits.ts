/** Rate limits: how often somebody may do something. Every surface shares them; they count in memory, synchronously. */
import { createHash } from 'node:crypto'
import { isIPv6 } from 'node:net'
import { Refused } from '../ledger/refused.ts'

/** What each limit counts, and by whom. The setting of `sign_in` is `LIMIT_SIGN_IN`. */
export const LIMITS = {
  sign_in: 'wrong passwords for one account',
  sign_in_address: 'wrong passwords from one address',
  sign_up: 'tries to make an account from one address',
  sign_ups: 'new accounts from everywhere',
  account: 'sign-ins and new keys of one account',
  consent: 'connections that one account is asked about',
  authorize: 'authorization requests from one address',
  waiting: 'new callbacks for the operator to allow from one address',
  register: 'apps that register themselves from one address',
  token: 'token requests of one app; of a public one, from one address',
  refresh: 'refreshes of one app for one user',
  failed: 'wrong credentials of apps from one address',
  api: 'API calls of one user, list or, where nobody signs in, address',
  write: 'changes by one user, list or address; each 512 bytes of what is stored count as one',
} as const
export type LimitName = keyof typeof LIMITS
/** At most `most` in each window. */
export type Limit = { readonly most: number; readonly windowMs: number }
export type LimitSettings = { readonly [N in LimitName]: Limit }

/** What one limit says about a request; surfaces tell it to the caller. */
export type Taken = { readonly name: LimitName; readonly limit: Limit; readonly left: number; readonly resetMs: number }
/** Collects what the limits said during one request, in order. */
export type Meter = Taken[]

type Window = { count: number; endsAt: number }
type Counter = { readonly limit: Limit; readonly windows: Map<string, Window>; refused: number; sweepAt: number }

/** Past this size the windows that have ended are dropped from a counter. */
const SWEEP_SIZE = 1000
/** The most windows that one counter keeps: past it the oldest goes. Strangers choose the keys. */
const MAX_WINDOWS = 200_000

/**
 * Fixed windows that begin with the first count. After a restart all counts begin anew.
 * An attempt that must not race (a password check) is counted first and refunded on success.
 */
export class Limits {
  readonly #counters: ReadonlyMap<LimitName, Counter>
  readonly #now: () => number

  /**
   * @param settings `undefined` means no limits at all
   * @param now a monotonic clock, ms
   */
  constructor(settings: LimitSettings | undefined, now: () => number = () => performance.now()) {
    const given = Object.entries(settings ?? {}) as [LimitName, Limit][]
    this.#counters = new Map(
      given.map(([name, limit]) => [name, { limit, windows: new Map(), refused: 0, sweepAt: SWEEP_SIZE }]),
    )
    this.#now = now
  }

  /**
   * Counts `count`, and notes in the meter how many are left. What does not fit is not counted.
   * @throws {Refused} `rate_limited`, with the time until the window ends
   */
  take(meter: Meter, name: LimitName, key: string, count = 1): void {
    const refused = this.refusal(meter, name, key, count)
    if (refused !== undefined) throw refused
  }

  /** As `take`, but returns what `take` would throw. */
  refusal(meter: Meter, name: LimitName, key: string, count = 1): Refused | undefined {
    const counter = this.#counters.get(name)
    if (counter === undefined) return undefined
    const { limit } = counter
    if (count > limit.most) {
      counter.refused++
      const most = `This is ${count} changes at once, and the limit is ${limit.most}. Send fewer at a time.`
      return new Refused('rate_limited', most) // Waiting does not help, so no time is told.
    }
    const now = this.#now()
    const window = this.#windowOf(counter, key, now)
    const resetMs = window.endsAt - now
    const fits = window.count + count <= limit.most
    if (fits) window.count += count
    meter.push({ name, limit, left: fits ? limit.most - window.count : 0, resetMs })
    if (fits) return undefined
    counter.refused++
    return new Refused('rate_limited', undefined, resetMs)
  }

  /** Whether there is that limit: with `RATE_LIMIT=off` there is none. */
  has(name: LimitName): boolean {
    return this.#counters.has(name)
  }

  /** Counts what has been used already, whether it fits or not. What comes after it may be refused. */
  charge(name: LimitName, key: string, count: number): void {
    const counter = this.#counters.get(name)
    if (counter !== undefined) this.#windowOf(counter, key, this.#now()).count += count
  }

  /** Refunds a count after success, or when nothing was done. */
  giveBack(name: LimitName, key: string, count = 1): void {
    const window = this.#counters.get(name)?.windows.get(key)
    if (window !== undefined) window.count = Math.max(0, window.count - count)
  }

  /** How often each limit has refused somebody since the start. */
  get refused(): readonly (readonly [LimitName, number])[] {
    return [...this.#counters].map(([name, { refused }]) => [name, refused] as const)
  }

  #windowOf(counter: Counter, key: string, now: number): Window {
    const { windows, limit } = counter
    const known = windows.get(key)
    if (known !== undefined && known.endsAt > now) return known
    windows.delete(key) // A new window stands last, so the first of the map is the oldest.
    if (windows.size >= counter.sweepAt) sweep(counter, now)
    const window = { count: 0, endsAt: now + limit.windowMs }
    windows.set(key, window)
    return window
  }
}

function sweep(counter: Counter, now: number): void {
  const { windows } = counter
  for (const [key, { endsAt }] of windows) if (endsAt <= now) windows.delete(key)
  for (const key of windows.keys()) {
    if (windows.size < MAX_WINDOWS) break
    windows.delete(key)
  }
  counter.sweepAt = Math.min(MAX_WINDOWS, Math.max(SWEEP_SIZE, 2 * windows.size))
}

/** The network that an address stands for: of IPv6 the first 64 bits, since one customer has 2^64 addresses. */
export function networkOf(ip: string): string {
  if (!isIPv6(ip)) return ip
  const [head = '', tail] = ip.split('%')[0]!.split('::')
  const groups = head.split(':').filter((group) => group !== '')
  const missing = tail === undefined ? 0 : 8 - groups.length - tail.split(':').filter((group) => group !== '').length
  return [...groups, ...Array<string>(Math.max(0, missing)).fill('0'), ...(tail ?? '').split(':')]
    .slice(0, 4)
    .map((group) => group.replace(/^0+(?=.)/, '').toLowerCase())
    .join(':')
}

/** A key for a name that nobody has: the name itself is not kept. */
export const keyOfName = (name: string): string => createHash('sha256').update(name).digest('base64url')
