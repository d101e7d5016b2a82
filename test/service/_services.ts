/** What tests of services stand on: given events, when a caller asks, then a result and the exact events. */
import type { ExecutionContext } from 'ava'
import type { Event } from '../../src/domain/domain.ts'
import { accept, type Keeps, type Reason } from '../../src/domain/shape.ts'
import { passwordName, userKeyName } from '../../src/domain/users.ts'
import { Ledger } from '../../src/ledger/ledger.ts'
import { Refused } from '../../src/ledger/refused.ts'
import { newKey } from '../../src/ledger/vault.ts'
import { type Caller, operator, type Provenance, type SignedIn } from '../../src/service/caller.ts'
import { LIMITS, type LimitName, type LimitSettings, type Meter } from '../../src/service/limits.ts'
import type { Policy } from '../../src/service/policy.ts'
import { createServices, type Services } from '../../src/service/services.ts'
import { assertBookHolds, Clock, SYSTEM, settings, temporaryFolder } from '../_support.ts'

/** An event as a test asserts it: what it says, and who did it. */
export type Happened = readonly [type: string, actor: string, data: object]

export type Floor = {
  readonly ledger: Ledger
  readonly folder: string
  readonly services: Services
  readonly clock: Clock
  /** These have happened. */
  readonly given: (...events: Event[]) => Promise<void>
  /** The events since the last call, or since what was given. */
  readonly happened: () => Promise<Happened[]>
}

/** A book and the services on it. When the test ends, the book must hold (`assertBookHolds`). */
export async function startFloor(t: ExecutionContext, policy: Partial<Policy> = {}): Promise<Floor> {
  const [folder, clock] = [temporaryFolder(t), new Clock()]
  const ledger = await Ledger.open({ directory: folder, clock: clock.read, version: 'test' })
  t.teardown(() => assertBookHolds(ledger, folder, clock))
  const services = createServices(ledger, { ...settings('https://todo.example'), ...policy })
  let { seq } = ledger.head
  const given: Floor['given'] = async (...events) => {
    await ledger.transact(SYSTEM, () => accept(events, undefined, Object.assign({}, ...events.map(keepsOf))))
    seq = ledger.head.seq
  }
  const happened = async (): Promise<Happened[]> => {
    const events = await Array.fromAsync(ledger.events({ from: seq + 1 }))
    seq += events.length
    return events.map(({ type, actor, data }) => [type, `${actor.kind} ${actor.id}`, data])
  }
  return { ledger, folder, services, clock, given, happened }
}

/** The password of every user here, and its hash, made with the least cost that Argon2id takes. */
export const PASSWORD = 'long enough'
const HASH = '$argon2id$v=19$m=8,t=1,p=1$QUFBQUFBQUFBQUFBQUFBQQ$Kv9wajTusAGbc2aZ0huMB+k6gLGtiUgoDqossIi/aew'

const keepsOf = (event: Event): Keeps =>
  event.type === 'UserRegistered'
    ? { [userKeyName(event.data.user)]: newKey(), [passwordName(event.data.user)]: HASH }
    : {}

/** A user whose id is `user-NAME`. */
export const registered = (name: string, { admin = false } = {}): Event => ({
  type: 'UserRegistered',
  data: { user: `user-${name}`, admin },
  personal: { username: name, email: `${name}@example.org` },
})

/** A session of a user, whose digest is `session-NAME`. */
export const signedInAs = (name: string): Event => ({
  type: 'SignedIn',
  data: { user: `user-${name}`, session: `session-${name}`, expiresAt: Date.UTC(2027, 0, 1), replaces: null },
})

/** The visitor of that session. */
export async function visitorOf({ services }: Floor, name: string): Promise<SignedIn> {
  const visitor = await services.accounts.signedIn(`session-${name}`)
  if (visitor === undefined) throw new Error(`${name} is not signed in`)
  return visitor
}

/** A request that came from that address. */
export const cameFrom = (ip = '192.0.2.1', request = 'a-request', meter: Meter = []): Provenance => ({
  via: { request },
  trace: { ip },
  meter,
})

/** The operator at the command line. */
export const OPERATOR: Caller = operator('a-command')

/** Only these limits are there to be reached. */
export const limitsOf = (most: Partial<Record<LimitName, number>>): LimitSettings =>
  Object.fromEntries(
    (Object.keys(LIMITS) as LimitName[]).map((name) => [name, { most: most[name] ?? 1e6, windowMs: 3_600_000 }]),
  ) as LimitSettings

/** Why it was refused; `undefined` where it was not. */
export async function refusalOf(asked: Promise<unknown>): Promise<Reason | undefined> {
  try {
    await asked
    return undefined
  } catch (error) {
    if (error instanceof Refused) return error.reason
    throw error
  }
}
