/** What tests of services stand on: a real book with two users, the services, and callers made without a surface. */
import type { ExecutionContext } from 'ava'
import type { Event } from '../../src/domain/domain.ts'
import type { Owner } from '../../src/domain/lists.ts'
import { accept, type Reason } from '../../src/domain/shape.ts'
import { registerUser, revokeUser } from '../../src/domain/users.ts'
import { Ledger } from '../../src/ledger/ledger.ts'
import { Refused } from '../../src/ledger/refused.ts'
import { newKey } from '../../src/ledger/vault.ts'
import type { ListCaller } from '../../src/service/authentication.ts'
import type { Meter } from '../../src/service/limits.ts'
import type { Policy } from '../../src/service/policy.ts'
import { createServices } from '../../src/service/services.ts'
import { assertBookHolds, Clock, SYSTEM, settings, temporaryFolder } from '../_support.ts'

export const SCOPES = 'todos:read todos:write'

/** Opens a book with alice and bob, and the services on it. When the test ends, the book must hold. */
export async function begin(t: ExecutionContext, changed: Partial<Policy> = {}) {
  const folder = temporaryFolder(t)
  const clock = new Clock()
  const ledger = await Ledger.open({ directory: folder, clock: clock.read, version: 'test' })
  t.teardown(() => assertBookHolds(ledger, folder, clock))
  for (const user of ['alice', 'bob'])
    await ledger.transact(SYSTEM, (state) =>
      registerUser(state, { user, username: user, email: undefined, admin: false, passwordHash: '-', key: newKey() }),
    )
  const services = createServices(ledger, { ...settings('http://localhost'), ...changed })
  let seen = ledger.head.seq
  /** The events since the last call: their types, or all of them. */
  const events = async () => {
    const news = await Array.fromAsync(ledger.events({ from: seen + 1 }))
    seen += news.length
    return news
  }
  const news = async (): Promise<string[]> => (await events()).map(({ type }) => type)
  /** What has happened before. */
  const given = async (...facts: Event[]): Promise<void> => {
    await ledger.transact(SYSTEM, () => accept(facts, undefined))
    await events()
  }
  return { ledger, clock, ...services, events, news, given }
}

/** A user who is signed in through ChatGPT, as long as they are not revoked. */
export function callerOf(user: string, changed: Partial<ListCaller> = {}): ListCaller {
  const meter: Meter = []
  return {
    actor: { kind: 'user', id: user },
    via: { request: '01ARZ3NDEKTSV4RRFFQ69G5FAV', client: 'chatgpt' },
    trace: {},
    meter,
    user: undefined,
    scope: SCOPES,
    owner: { user },
    budget: user,
    holds: (state): Reason | undefined => (state.users.get(user)?.active ? undefined : 'token_unknown'),
    ...changed,
  }
}

/** Somebody who names a list, where nobody signs in. */
export const listCaller = (list: string): ListCaller => {
  const owner: Owner = { list }
  return callerOf('-', { actor: { kind: 'anonymous', id: 'anonymous' }, owner, budget: list, holds: () => undefined })
}

export const revoke = (ledger: Ledger, user: string) => ledger.transact(SYSTEM, (state) => revokeUser(state, user))

/** Asserts why something is refused. */
export async function refused(
  t: ExecutionContext,
  asked: Promise<unknown>,
  reason: Reason,
  because: string = reason,
): Promise<void> {
  const error = await t.throwsAsync(asked, { instanceOf: Refused }, because)
  t.is(error?.reason, reason, because)
}

/** A to-do that was added. */
export const added = (todo: string, owner: string, text = todo): Event => ({
  type: 'TodoAdded',
  data: { todo, owner, priority: null, fields: ['text'] },
  personal: { text },
})
