/** Limits: how often somebody may do something, and how many large requests are read at the same time. In memory. */
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
    const counter = this.#counters.get(name)
    if (counter === undefined) return
    const { limit } = counter
    if (count > limit.most) {
      counter.refused++
      const most = `This is ${count} changes at once, and the limit is ${limit.most}. Send fewer at a time.`
      throw new Refused('rate_limited', most) // Waiting does not help, so no time is told.
    }
    const now = this.#now()
    const window = this.#windowOf(counter, key, now)
    const resetMs = window.endsAt - now
    const fits = window.count + count <= limit.most
    if (fits) window.count += count
    meter.push({ name, limit, left: fits ? limit.most - window.count : 0, resetMs })
    if (fits) return
    counter.refused++
    throw new Refused('rate_limited', undefined, resetMs)
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

/** How many large requests are read at the same time: of one budget, and in all. A body has up to 2 MiB. */
const [PLACES_OF_ONE, PLACES_OF_ALL] = [4, 32]

/** How long whoever found no place is told to wait. */
const PLACE_WAIT_MS = 1000

/**
 * Places for large requests, so that slow senders hold a bounded amount of memory. Nobody waits in a queue for one.
 * They bound what there is, not how often, so `RATE_LIMIT=off` does not end them.
 */
export class Places {
  /** How many each budget has. Budgets that have none are not in it. */
  readonly #taken = new Map<string, number>()
  #takenInAll = 0
  #refused = 0

  /** How many requests found no place since the start. */
  get refused(): number {
    return this.#refused
  }

  /**
   * Does work that may need one place. The place is free again once the work ends, however it ends.
   * @param budget by what limits count who asks: a user, a list or an address
   * @param work gets `enter`. The first call of `enter` takes the place, or throws `Refused` `rate_limited` with the
   * time to wait. Later calls do nothing.
   * @returns what the work returns
   * @throws whatever the work throws
   */
  async within<T>(budget: string, work: (enter: () => void) => Promise<T>): Promise<T> {
    let isInside = false
    const enter = (): void => {
      if (isInside) return
      this.#take(budget)
      isInside = true
    }
    try {
      return await work(enter)
    } finally {
      if (isInside) this.#free(budget)
    }
  }

  #take(budget: string): void {
    const taken = this.#taken.get(budget) ?? 0
    if (taken >= PLACES_OF_ONE) this.#refuse('Too many large requests at the same time: send them one after another.')
    if (this.#takenInAll >= PLACES_OF_ALL)
      this.#refuse('Daybook reads too many large requests at the same time. Try again shortly.')
    this.#taken.set(budget, taken + 1)
    this.#takenInAll++
  }

  #refuse(detail: string): never {
    this.#refused++
    throw new Refused('rate_limited', detail, PLACE_WAIT_MS)
  }

  #free(budget: string): void {
    const left = this.#taken.get(budget)! - 1
    if (left === 0) this.#taken.delete(budget)
    else this.#taken.set(budget, left)
    this.#takenInAll--
  }
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
