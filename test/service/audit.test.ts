/** The audit: what an operator is given, what is recorded, and that whatever takes long ends with the right to it. */
import test, { type ExecutionContext } from 'ava'
import type { Event } from '../../src/domain/domain.ts'
import type { Head } from '../../src/ledger/chain.ts'
import { verifyExport } from '../../src/ledger/proof.ts'
import { adminCaller, type Caller } from '../../src/service/caller.ts'
import {
  cameFrom,
  type Floor,
  limitsOf,
  OPERATOR,
  refusalOf,
  registered,
  signedInAs,
  startFloor,
  visitorOf,
} from './_services.ts'

const WAITING = new AbortController().signal
const ALL = { filter: '', signal: WAITING }

/** How many events the book has: some blocks of 256, so that a search has to read on and on. */
const TRIES = 700
const tried: Event = { type: 'SignInFailed', data: { cause: 'unknown_user' } }

/** An operator who is signed in on the pages, alice who is not one, and a book with many events. */
async function begin(t: ExecutionContext, more: Event[] = []): Promise<Floor & { boss: Caller; alice: Caller }> {
  const floor = await startFloor(t)
  await floor.given(registered('boss', { admin: true }), signedInAs('boss'), registered('alice'), signedInAs('alice'))
  await floor.given(...more)
  const [boss, alice] = [await visitorOf(floor, 'boss'), await visitorOf(floor, 'alice')]
  const from = cameFrom('192.0.2.1', 'a-look')
  return { ...floor, boss: adminCaller(from, boss), alice: adminCaller(from, alice) }
}

const looked = (how: string, filter: string, actor = 'user user-boss') =>
  ['BookInspected', actor, { how, filter }] as const

test('every way to look is for operators only, and is not recorded where it is refused', async (t) => {
  const { services, boss, alice, happened } = await begin(t)
  const { audit, users } = services
  const ways = (caller: Caller): Promise<unknown>[] => [
    audit.admit(caller),
    audit.list(caller, { ...ALL, limit: 1 }),
    audit.page(caller, { ...ALL, limit: 1 }),
    audit.show(caller, 1),
    audit.trace(caller, { request: 'a', signal: WAITING }),
    audit.follow(caller, ALL),
    audit.stats(caller, ALL),
    audit.state(caller, { name: 'alice', at: 1, signal: WAITING }),
    audit.export(caller, { ...ALL, format: 'ndjson', opened: false }),
  ]
  for (const asked of ways(alice)) t.is(await refusalOf(asked), 'operator_only')
  await users.revoke(OPERATOR, 'boss')
  await happened()
  for (const asked of ways(boss)) t.is(await refusalOf(asked), 'session_missing')
  t.deepEqual(await happened(), [])
})

test('a list goes from page to page; each page is recorded, and shows nothing of its own look', async (t) => {
  const { services, boss, happened, ledger } = await begin(t)
  const { seq } = ledger.head
  const page = async (before?: number) => {
    const { found, isRecorded } = await services.audit.page(boss, { ...ALL, limit: 2, before })
    t.true(isRecorded)
    return [found.events.map((event) => event.seq), found.nextBefore]
  }
  t.deepEqual(await page(), [[seq, seq - 1], seq - 1])
  t.deepEqual(await page(seq - 1), [[seq - 2, seq - 3], seq - 3])
  t.deepEqual(await page(3), [[2, 1], null])
  t.deepEqual(await page(1), [[], null])
  t.deepEqual(await happened(), Array(4).fill(looked('list', '')))
  const short = await services.audit.page(boss, { ...ALL, limit: 100, maxCharacters: 1 })
  t.is(short.found.events.length, 1, 'there is always one')
  t.is(short.found.nextBefore, short.found.events[0]!.seq)
})

test('what cannot be asked is refused in words, and not recorded', async (t) => {
  const { services, boss, happened } = await begin(t)
  const { audit } = services
  for (const filter of ['type:Nope', 'user:nobody', 'foo:bar'])
    for (const asked of [
      audit.list(boss, { filter, signal: WAITING, limit: 1 }),
      audit.stats(boss, { filter, signal: WAITING }),
      audit.follow(boss, { filter, signal: WAITING }),
      audit.export(boss, { filter, signal: WAITING, format: 'csv', opened: true }),
    ])
      t.is(await refusalOf(asked), 'request_malformed', filter)
  t.is(await refusalOf(audit.state(boss, { name: 'nobody', at: 1, signal: WAITING })), 'user_unknown')
  t.is(await audit.show(boss, 999), undefined)
  t.deepEqual(await happened(), [])
})

test('one event, what a request did, and how many there are of each type', async (t) => {
  const { services, boss, happened, ledger } = await begin(t, [tried, tried])
  const { audit } = services
  const { head } = ledger
  const { found: stats } = await audit.stats(boss, ALL)
  t.deepEqual(stats.head, head)
  t.is(
    stats.counts.reduce((sum, [, n]) => sum + n, 0),
    head.seq,
  )
  t.deepEqual(
    stats.counts.find(([type]) => type === 'SignInFailed'),
    ['SignInFailed', 2],
  )
  const shown = await audit.show(boss, 2)
  t.like(shown!.found, { seq: 2, type: 'UserRegistered', what: 'registered the account boss as an operator' })
  await services.users.revoke({ ...OPERATOR, via: { request: '01ARZ3NDEKTSV4RRFFQ69G5FAV' } }, 'alice')
  const { found } = await audit.trace(boss, { request: '01ARZ3NDEKTSV4RRFFQ69G5FAV', signal: WAITING })
  const types = (await Array.fromAsync(found)).map((event) => event.type)
  t.deepEqual(types, ['UserRevoked'])
  t.deepEqual(await happened(), [
    looked('stats', ''),
    looked('show', 'seq:2'),
    ['UserRevoked', 'operator cli', { user: 'user-alice' }],
    looked('trace', 'request:01ARZ3NDEKTSV4RRFFQ69G5FAV'),
  ])
})

test('while the book is searched and nothing is found, a revocation ends it, and so does a reader who has gone', async (t) => {
  const searches = {
    list: ({ services: { audit }, boss }, onRead, signal) =>
      audit.page(boss, { filter: 'nowhere', limit: 5, signal, onRead }),
    stats: ({ services: { audit }, boss }, onRead, signal) => audit.stats(boss, { filter: 'nowhere', signal, onRead }),
    all: ({ services: { audit }, boss }, onRead, signal) => audit.stats(boss, { filter: '', signal, onRead }),
    trace: async ({ services: { audit }, boss }, onRead, signal) =>
      Array.fromAsync((await audit.trace(boss, { request: '01ARZ3NDEKTSV4RRFFQ69G5FAV', signal, onRead })).found),
  } satisfies {
    [name: string]: (
      floor: Awaited<ReturnType<typeof begin>>,
      onRead: (seq: number) => void,
      signal: AbortSignal,
    ) => Promise<unknown>
  }
  const many = Array<Event>(TRIES).fill(tried)
  for (const [name, search] of Object.entries(searches)) {
    const floor = await begin(t, many)
    const left = new AbortController()
    const reads: number[] = []
    const leave = (seq: number): void => {
      reads.push(seq)
      left.abort()
    }
    await t.throwsAsync(search(floor, leave, left.signal), { name: 'AbortError' }, name)
    t.is(reads.length, 1, name)
    let revoking: Promise<void> | undefined
    const revoke = (seq: number): void => {
      reads.push(seq)
      revoking ??= floor.services.users.revoke(OPERATOR, 'boss')
    }
    t.is(await refusalOf(search(floor, revoke, WAITING)), 'session_missing', name)
    t.is(reads.length, 2, name)
    await revoking
  }
})

test('an export proves itself; when its operator is revoked, it ends at the next part, with the reason', async (t) => {
  const text = 'x'.repeat(5000)
  const notes = Array.from(
    { length: 100 },
    (_, i): Event => ({
      type: 'UserRegistered',
      data: { user: `u${i}`, admin: false },
      personal: { username: `name-${i}`, email: `${text}@example.org` },
    }),
  )
  const kinds = [
    { filter: '', format: 'ndjson', opened: false },
    { filter: 'type:UserRegistered', format: 'ndjson', opened: true },
    { filter: '', format: 'csv', opened: true },
  ] as const
  for (const kind of kinds) {
    const floor = await begin(t, notes)
    const { audit, users } = floor.services
    const { head } = floor.ledger
    const of = { ...kind, signal: WAITING }
    const whole = await Array.fromAsync((await audit.export(floor.boss, of)).found)
    t.true(whole.length > 2, `${kind.format}: several parts`)
    if (kind.format === 'ndjson' && kind.filter === '') t.like(await verifyExport(whole), head as Head & object)
    const { found } = await audit.export(floor.boss, of)
    t.false((await found.next()).done)
    await users.revoke(OPERATOR, 'boss')
    t.is(await refusalOf(found.next()), 'session_missing', kind.format)
    t.true((await found.next()).done)
    const exported = (await floor.happened()).filter(([type]) => type === 'BookExported')
    t.deepEqual(
      exported.map(([, actor]) => actor),
      ['user user-boss', 'user user-boss'],
    )
  }
})

test('a follower begins with the latest events, is told each new one, and not their own look', async (t) => {
  const { services, boss, given, ledger } = await begin(t, [tried])
  const gone = new AbortController()
  const { audit } = services
  const { seq } = ledger.head
  const { found } = await audit.follow(boss, { filter: '', lines: 2, signal: gone.signal })
  t.deepEqual(
    found.latest.map((event) => event.seq),
    [seq - 1, seq],
  )
  t.is(found.from, seq + 1)
  await given(tried)
  t.like(await found.news.next(), { value: { event: { seq: seq + 2, type: 'SignInFailed' } } })
  gone.abort()
  t.true((await found.news.next()).done)
  const again = await audit.follow(boss, { filter: 'type:SignInFailed', after: 0, lines: 2, signal: WAITING })
  t.deepEqual([again.found.latest, again.found.from], [[], 0])
  t.like(await again.found.news.next(), { value: { event: { seq } } })
  await again.found.news.return(undefined)
  const newer = await audit.follow(boss, { filter: '', after: 10_000, signal: WAITING })
  t.is(newer.found.from, ledger.head.seq, 'the book ends before: an older one was restored')
})

test('a follower who is revoked or demoted is told no more, also where the filter passes their end over', async (t) => {
  for (const end of ['revoked', 'signed out'] as const) {
    const floor = await begin(t)
    const { audit, users, accounts } = floor.services
    const { found } = await audit.follow(floor.boss, { filter: 'type:UserErased', signal: WAITING })
    const next = found.news.next()
    if (end === 'revoked') await users.revoke(OPERATOR, 'boss')
    else await accounts.signOut(cameFrom(), await visitorOf(floor, 'boss'))
    t.is(await refusalOf(next), 'session_missing', end)
    t.true((await found.news.next()).done)
  }
})

test('looks of an operator have a budget of their own; what an app does for them does not use it up', async (t) => {
  const floor = await startFloor(t, { limits: limitsOf({ api: 1 }) })
  await floor.given(registered('boss', { admin: true }), signedInAs('boss'))
  const boss = adminCaller(cameFrom(), await visitorOf(floor, 'boss'))
  const { audit, limits } = floor.services
  limits.take([], 'api', 'user-boss')
  t.is(await refusalOf(audit.stats(boss, ALL)), undefined)
  t.is(await refusalOf(audit.stats(boss, ALL)), 'rate_limited')
  t.deepEqual(await floor.happened(), [looked('stats', '')])
})
