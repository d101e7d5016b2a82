/** K. Time: the clock may jump; the order of the book does not, and nothing used or revoked comes back with it. */
import test from 'ava'
import { authenticate } from '../../src/domain/bearers.ts'
import { refreshTokens } from '../../src/domain/grants.ts'
import { sessionUser, signIn } from '../../src/domain/sessions.ts'
import { accept } from '../../src/domain/shape.ts'
import { restoreUser, revokeUser } from '../../src/domain/users.ts'
import type { Ledger } from '../../src/ledger/ledger.ts'
import { Refused } from '../../src/ledger/refused.ts'
import { SYSTEM } from '../_support.ts'
import { add, type Book, startBook, todosOf } from './_book.ts'

const [MINUTE, HOUR, YEAR] = [60_000, 3_600_000, 365 * 86_400_000]
/** An hour back, ten years forward, and back again. */
const JUMPS = [-HOUR, 10 * YEAR, -10 * YEAR, HOUR]

/** Goes through every jump, with a restart before each and a sweep after it, and then to where all has expired. */
async function jump({ ledger, clock, reopen }: Book, then: (ledger: Ledger) => Promise<void>): Promise<Ledger> {
  let current = ledger
  for (const ms of JUMPS) {
    current = await reopen()
    clock.pass(ms)
    await then(current)
    await current.sweep()
    await then(current)
  }
  clock.pass(20 * YEAR)
  return current
}

/** alice signs in, and ChatGPT is given tokens for her, as of now. */
async function grant({ ledger, clock }: Book): Promise<void> {
  const expiresAt = clock.now + YEAR
  const session = {
    user: 'alice',
    passwordRight: true,
    passwordChanges: 0,
    session: 's1',
    sessionTtlMs: YEAR,
    before: undefined,
  }
  await ledger.transact(SYSTEM, (state, now) => signIn(state, session, now))
  const ids = { code: 'c1', grant: 'g1', user: 'alice', client: 'chatgpt', resource: null, scope: 'todos:read' }
  const pair = { access: 'a1', accessExpiresAt: expiresAt, refresh: 'r1', refreshExpiresAt: expiresAt }
  const data = { ...ids, ...pair, grantExpiresAt: expiresAt, replaces: null }
  await ledger.transact(SYSTEM, () => accept([{ type: 'TokenIssued', data }], undefined))
}

let made = 0
/** Refreshes; gives the new refresh token, or the reason why not. */
async function refresh(ledger: Ledger, from: string): Promise<string> {
  const [access, token] = [`a-${++made}`, `r-${made}`]
  const ask = { client: 'chatgpt', scope: undefined, resource: undefined, accessTtlMs: YEAR, refreshIdleTtlMs: YEAR }
  const input = { ...ask, from: { digest: from, grant: 'g1' }, access, refresh: token }
  try {
    await ledger.transact(SYSTEM, (state, now) => refreshTokens(state, input, now))
    return token
  } catch (error) {
    if (!(error instanceof Refused)) throw error
    return error.reason
  }
}

test('116. over every jump of the clock seq goes up by one, time is told as it was, and lists keep their order', async (t) => {
  const book = await startBook(t)
  const added: string[] = []
  const times: string[] = []
  const ledger = await jump(book, async (current) => {
    added.push(`todo ${added.length}`)
    times.push(new Date(book.clock.now).toISOString())
    await add(current, 'alice', added.at(-1)!)
    t.deepEqual(await todosOf(current, 'alice'), added)
  })
  const events = await Array.fromAsync(ledger.events())
  t.deepEqual(
    events.map(({ seq }) => seq),
    [...events.keys()].map((i) => i + 1),
  )
  t.deepEqual(
    events.slice(2).map(({ at }) => at),
    times,
  )
  t.is(new Set(times).size, 3)
  t.false('fault' in (await ledger.verify()))
})

test('116. what was revoked stays dead over every jump of the clock', async (t) => {
  const book = await startBook(t)
  await grant(book)
  await book.ledger.transact(SYSTEM, (state) => revokeUser(state, 'alice'))
  await book.ledger.transact(SYSTEM, (state) => restoreUser(state, 'alice'))
  await jump(book, async (ledger) => {
    t.is(await ledger.read((state, now) => sessionUser(state, 's1', now)), undefined)
    t.is(await ledger.read((state, now) => authenticate(state, 'a1', [], now)), 'token_unknown')
    t.is(await refresh(ledger, 'r1'), 'refresh_unknown')
  })
})

test('116. a spent refresh token is a replay at any hour, and ends the grant for good', async (t) => {
  const book = await startBook(t)
  await grant(book)
  const lineage = await refresh(book.ledger, await refresh(book.ledger, 'r1'))
  book.clock.pass(-HOUR)
  t.is(await refresh(await book.reopen(), 'r1'), 'refresh_replayed')
  await jump({ ...book, ledger: await book.reopen() }, async (ledger) => {
    t.is(await ledger.read((state, now) => authenticate(state, 'a1', [], now)), 'token_unknown')
    for (const token of ['r1', lineage]) t.is(await refresh(ledger, token), 'refresh_unknown')
  })
})

test('116. a clock that goes back does not reopen the grace of a used refresh token', async (t) => {
  const book = await startBook(t)
  await grant(book)
  book.clock.pass(2 * HOUR)
  await refresh(book.ledger, 'r1')
  book.clock.pass(MINUTE + 1)
  await add(book.ledger, 'alice', 'this late it is')
  book.clock.pass(-HOUR)
  t.is(await refresh(await book.reopen(), 'r1'), 'refresh_replayed')
})
