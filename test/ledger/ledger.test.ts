/** transact() and read(): decided in one turn, recorded in one batch, and never answered before it is on disk. */
import test, { type ExecutionContext } from 'ava'
import type { Event } from '../../src/domain/domain.ts'
import { redeemCode } from '../../src/domain/grants.ts'
import { signIn } from '../../src/domain/sessions.ts'
import { accept, type Decision, refuse } from '../../src/domain/shape.ts'
import { findUser, restoreUser, revokeUser } from '../../src/domain/users.ts'
import type { Caller, Ledger } from '../../src/ledger/ledger.ts'
import { Refused } from '../../src/ledger/refused.ts'
import { dump, SYSTEM } from '../_support.ts'
import { add, databaseOf, deleteFirst, register, startBook, todosOf, typesOf } from './_book.ts'

/** What is answered, in the order in which it is. */
function watch(ledger: Ledger) {
  const order: string[] = []
  const note = async <T>(name: string, work: Promise<T>): Promise<T> => {
    try {
      return await work
    } finally {
      order.push(`${name} at ${ledger.head.seq}`)
    }
  }
  return { order, note }
}

/** Long enough for a batch to begin, and too short for any to end: nothing comes from the disk meanwhile. */
async function moment(): Promise<void> {
  for (let i = 0; i < 20; i++) await null
}

const refusal = async (t: ExecutionContext, work: Promise<unknown>): Promise<string> =>
  (await t.throwsAsync(work, { instanceOf: Refused }))!.reason

test('an event stands in the book as the contract says: place, id, time, type, who and how', async (t) => {
  const { ledger, clock } = await startBook(t)
  const by: Caller = {
    holds: () => undefined,
    actor: { kind: 'user', id: 'alice' },
    via: { request: 'r1', client: 'chatgpt', conversation: 'c-1' },
    trace: { ip: '192.0.2.7', agent: 'agent/1' },
  }
  clock.pass(1234)
  await add(ledger, 'alice', 'milk', by)
  const [event] = await Array.fromAsync(ledger.events({ from: 3 }))
  const { id, hash, prev, sealed, trace, ...rest } = event as typeof event & { hash: string; prev: string }
  t.deepEqual(rest as object, {
    seq: 3,
    at: '2026-11-20T12:00:01.234Z',
    type: 'TodoAdded',
    actor: by.actor,
    via: by.via,
    data: { todo: (event!.data as { todo: string }).todo, owner: 'alice', priority: null, fields: ['text'] },
  })
  t.regex(id, /^[0-9A-HJKMNP-TV-Z]{26}$/)
  t.is(hash, ledger.head.hash)
  const [before] = await Array.fromAsync(ledger.events({ from: 2, to: 2 }))
  t.is(prev, (before as unknown as { hash: string }).hash)
  t.deepEqual([sealed?.open, trace?.open], [{ text: 'milk' }, { ip: '192.0.2.7', agent: 'agent/1' }])
})

test('an event without personal text carries none', async (t) => {
  const { ledger } = await startBook(t)
  await ledger.transact(SYSTEM, (state) => revokeUser(state, 'alice'))
  const [event] = await Array.fromAsync(ledger.events({ from: 3 }))
  t.deepEqual(['sealed' in event!, 'trace' in event!], [false, false])
})

test('85. many requests of one turn share one batch, are all recorded, and each is told its own result', async (t) => {
  const { ledger } = await startBook(t)
  const heads: number[] = []
  const indexes = await Promise.all(
    Array.from({ length: 100 }, async (_, i) => {
      const index = await add(ledger, 'alice', `todo ${i}`)
      heads.push(ledger.head.seq)
      return index
    }),
  )
  t.deepEqual(indexes, [...Array(100).keys()])
  t.deepEqual(new Set(heads), new Set([102]), 'nobody was answered before all of it was on disk')
  t.deepEqual(
    await todosOf(ledger, 'alice'),
    Array.from({ length: 100 }, (_, i) => `todo ${i}`),
  )
})

test('what comes while a batch is being written shares the next one', async (t) => {
  const { ledger } = await startBook(t)
  const { order, note } = watch(ledger)
  const first = note('first', add(ledger, 'alice', 'first'))
  await moment()
  const rest = Array.from({ length: 3 }, (_, i) => note(`${i}`, add(ledger, 'alice', `next ${i}`)))
  await Promise.all([first, ...rest])
  t.deepEqual(order, ['first at 3', '0 at 6', '1 at 6', '2 at 6'])
})

test('79. a read that meets rows that are not on disk waits for them; one that does not, does not', async (t) => {
  const { ledger } = await startBook(t)
  await register(ledger, 'bob')
  const looks: [string, (l: Ledger) => Promise<unknown>, string][] = [
    ['his list', (l) => todosOf(l, 'bob'), 'before'],
    ['his account', (l) => l.read((state) => findUser(state, 'bob')), 'before'],
    ['nobody’s account', (l) => l.read((state) => findUser(state, 'nobody')), 'before'],
    ['nothing', (l) => l.read(() => 1), 'before'],
    ['her list', (l) => todosOf(l, 'alice'), 'after'],
    ['how long it is', (l) => l.read(({ todos }) => todos.countBy('owner', 'alice')), 'after'],
    ['all lists', (l) => l.read(({ todos }) => [...todos.entries()].length), 'after'],
    [
      'both lists',
      (l) => l.read(({ todos }) => todos.countBy('owner', 'alice') + todos.countBy('owner', 'bob')),
      'after',
    ],
  ]
  for (const [name, look, when] of looks) {
    const { order, note } = watch(ledger)
    const { seq } = ledger.head
    await Promise.all([note('add', add(ledger, 'alice', name)), note('look', look(ledger))])
    t.deepEqual(
      order,
      when === 'before' ? [`look at ${seq}`, `add at ${seq + 1}`] : [`add at ${seq + 1}`, `look at ${seq + 1}`],
      name,
    )
  }
})

test('79. a read that meets what is being written waits for that batch, not for the next one', async (t) => {
  const { ledger } = await startBook(t)
  await register(ledger, 'bob')
  const { order, note } = watch(ledger)
  const writing = note('alice adds', add(ledger, 'alice', 'milk'))
  await moment()
  const next = note('bob adds', add(ledger, 'bob', 'bread'))
  const reads = [note('alice’s list', todosOf(ledger, 'alice')), note('bob’s list', todosOf(ledger, 'bob'))]
  await Promise.all([writing, next, ...reads])
  t.deepEqual(order, ['alice adds at 4', 'alice’s list at 4', 'bob adds at 5', 'bob’s list at 5'])
})

test('79. what is being written stays unanswered, whatever comes and gathers behind it', async (t) => {
  const { ledger } = await startBook(t)
  await register(ledger, 'bob')
  const { order, note } = watch(ledger)
  const works: Promise<unknown>[] = [note('alice adds', add(ledger, 'alice', 'milk'))]
  for (const name of ['bob adds', 'bob adds again']) {
    await moment()
    works.push(note(name, add(ledger, 'bob', 'bread')))
  }
  await moment()
  works.push(note('alice’s list', todosOf(ledger, 'alice')))
  await Promise.all(works)
  t.true(order.findIndex((one) => one.startsWith('alice adds')) < order.findIndex((one) => one.startsWith('alice’s')))
})

test('a refusal, too, waits for what it has seen', async (t) => {
  const { ledger } = await startBook(t)
  const { order, note } = watch(ledger)
  const revoked = note(
    'revoke',
    ledger.transact(SYSTEM, (state) => revokeUser(state, 'alice')),
  )
  const again = note(
    'again',
    ledger.transact(SYSTEM, (state) => revokeUser(state, 'alice')),
  )
  const other = note(
    'other',
    ledger.transact(SYSTEM, (state) => revokeUser(state, 'nobody')),
  )
  t.is(await refusal(t, again), 'user_already_revoked')
  t.is(await refusal(t, other), 'user_unknown')
  await revoked
  t.deepEqual(order, ['other at 2', 'revoke at 3', 'again at 3'])
})

test('events that are not admitted are not recorded, and the refusal waits until the rows that it met are on disk', async (t) => {
  const { ledger } = await startBook(t)
  const { order, note } = watch(ledger)
  const seen: string[] = []
  const revoke = (reason?: 'rate_limited') =>
    ledger.transact(
      SYSTEM,
      (state) => (reason === undefined ? revokeUser(state, 'alice') : restoreUser(state, 'alice')),
      (facts) => {
        seen.push(...facts.map(({ type }) => type))
        return reason === undefined ? undefined : new Refused(reason, 'too many', 5000)
      },
    )
  const revoked = note('revoke', revoke())
  const refused = note('restore', revoke('rate_limited'))
  t.like(await t.throwsAsync(refused, { instanceOf: Refused }), { reason: 'rate_limited', detail: 'too many' })
  await revoked
  t.deepEqual(seen, ['UserRevoked', 'UserRestored'])
  t.deepEqual(order, ['revoke at 3', 'restore at 3'])
  t.deepEqual((await typesOf(ledger)).slice(2), ['UserRevoked'])
  t.is(await refusal(t, revoke()), 'user_already_revoked')
  t.is(seen.length, 2, 'a refusal of the decision is not asked about')
})

test('an answer that changes nothing waits for what it has seen, and writes nothing', async (t) => {
  const { ledger } = await startBook(t)
  const { order, note } = watch(ledger)
  const writing = note('add', add(ledger, 'alice', 'milk'))
  const nothing = ledger.transact(SYSTEM, ({ todos }) => accept([], todos.countBy('owner', 'alice')))
  t.is(await note('count', nothing), 1)
  await writing
  t.deepEqual(order, ['add at 3', 'count at 3'])
})

test('85. deciding and recording are one turn: of many who want the same thing one gets it', async (t) => {
  const { ledger } = await startBook(t)
  const take = () => deleteFirst(ledger, 'alice', 'one')
  await add(ledger, 'alice', 'one')
  const results = await Promise.allSettled(Array.from({ length: 50 }, take))
  t.is(results.filter(({ status }) => status === 'fulfilled').length, 1)
  t.is((await typesOf(ledger)).filter((type) => type === 'TodoDeleted').length, 1)
})

test('a refusal that leaves facts is on disk when it is told', async (t) => {
  const { ledger } = await startBook(t)
  const bad = {
    user: 'alice',
    passwordRight: false,
    passwordChanges: 0,
    session: 's1',
    sessionTtlMs: 1,
    before: undefined,
  }
  const { seq } = ledger.head
  t.is(
    await refusal(
      t,
      ledger.transact(SYSTEM, (state, now) => signIn(state, bad, now)),
    ),
    'credentials_wrong',
  )
  t.is(ledger.head.seq, seq + 1)
  t.is((await typesOf(ledger)).at(-1), 'SignInFailed')
})

test('39. of 50 who redeem a code in parallel one gets tokens, and the first replay ends them', async (t) => {
  const { ledger, clock } = await startBook(t)
  const expiresAt = clock.now + 60_000
  const asked = {
    client: 'chatgpt',
    redirectUri: 'https://a.example/',
    scope: 'todos:read',
    challenge: null,
    resource: null,
  }
  const code = { type: 'CodeIssued', data: { code: 'c1', grant: 'g1', user: 'alice', expiresAt, ...asked } } as const
  await ledger.transact(SYSTEM, () => accept([code], undefined))
  const ttls = { accessTtlMs: 1e6, refreshIdleTtlMs: 1e6, refreshMaxTtlMs: 1e6 }
  const redeem = (n: number) => {
    const input = { ...asked, ...ttls, code: 'c1', access: `a${n}`, refresh: `r${n}`, resource: undefined }
    return ledger.transact(SYSTEM, (state, now) => redeemCode(state, input, now))
  }
  const results = await Promise.allSettled(Array.from({ length: 50 }, (_, n) => redeem(n)))
  t.deepEqual(
    results.map(({ status }) => status),
    ['fulfilled', ...Array(49).fill('rejected')],
  )
  t.deepEqual((await typesOf(ledger)).slice(2), ['CodeIssued', 'TokenIssued', 'CodeReplayed'])
  t.is(await ledger.read(({ tokens, grants, codes }) => tokens.size + grants.size + codes.size), 0)
})

test('a decision that throws records nothing, and the next one is taken', async (t) => {
  const { ledger, folder, reopen } = await startBook(t)
  const rows = await ledger.read(dump)
  const throwing = ledger.transact(SYSTEM, (state) => {
    revokeUser(state, 'alice')
    throw new RangeError('a bug')
  })
  await t.throwsAsync(throwing, { instanceOf: RangeError, message: 'a bug' })
  t.deepEqual([await typesOf(ledger), await ledger.read(dump)], [['BookOpened', 'UserRegistered'], rows])
  t.deepEqual(ledger.status, { writable: true })
  t.is(await add(ledger, 'alice', 'milk'), 0)
  await reopen(async () => t.false((await databaseOf(folder)).some(([, value]) => value.includes('UserRevoked'))))
})

test('facts that cannot be sealed are recorded not even in part, and fail nobody else', async (t) => {
  const { ledger } = await startBook(t)
  const half = [
    { type: 'UserRevoked', data: { user: 'alice' } },
    // No canonical form: RFC 8785 takes no lone surrogate.
    { type: 'BookOpened', data: { version: '\ud800' } },
  ] as const
  const bystander = add(ledger, 'alice', 'milk')
  const keeps = { 'password/alice': 'other', 'client-secret/x': 'new' }
  await t.throwsAsync(
    ledger.transact(SYSTEM, () => accept(half, undefined, keeps)),
    { instanceOf: TypeError },
  )
  t.is(await bystander, 0)
  t.true(ledger.status.writable)
  t.false((await typesOf(ledger)).includes('UserRevoked'))
  t.is((await ledger.read((state) => findUser(state, 'alice')))?.active, true)
  t.deepEqual([ledger.secret('password/alice'), ledger.secret('client-secret/x')], ['hash of alice', undefined])
  t.is(await add(ledger, 'alice', 'bread'), 1)
})

test('a key that goes with the last fact about its user seals that fact before it goes', async (t) => {
  const { ledger } = await startBook(t)
  const by = { ...SYSTEM, trace: { ip: '203.0.113.7' } }
  const facts = [{ type: 'UserRevoked', data: { user: 'alice' } }] as const
  await ledger.transact(by, () => accept(facts, undefined, { 'key/alice': undefined }))
  const last = (await Array.fromAsync(ledger.events())).at(-1)!
  t.is(last.type, 'UserRevoked')
  t.truthy(last.trace)
  t.is(last.trace?.open, undefined, 'nobody can open it any more')
})

test('what follows from a fact breaks half-way: nothing of it is kept, who waited is told, the book goes on', async (t) => {
  const { ledger } = await startBook(t)
  // A registration without a name: it can be sealed, but no row can be made of it.
  const broken = { type: 'UserRegistered', data: { user: 'none', admin: false } } as unknown as Event
  const bystander = add(ledger, 'alice', 'milk')
  await t.throwsAsync(
    ledger.transact(SYSTEM, () => accept<Event, undefined>([broken], undefined)),
    { instanceOf: TypeError },
  )
  t.is(await refusal(t, bystander), 'book_unavailable')
  t.deepEqual(await todosOf(ledger, 'alice'), [], 'what was refused shows nowhere, from the first moment on')
  while (!ledger.status.writable) await new Promise(setImmediate)
  t.is(await ledger.read((state) => state.users.get('none')), undefined)
  t.is(await add(ledger, 'alice', 'bread'), 0)
})

test('what a decision keeps goes to the vault with its facts, and stays there over a restart', async (t) => {
  const { ledger, reopen } = await startBook(t)
  t.is(ledger.secret('password/alice'), 'hash of alice')
  await ledger.transact(SYSTEM, () => accept([], undefined, { 'client-secret/x': 'one', 'client-secret/y': 'two' }))
  await ledger.transact(SYSTEM, () => accept([], undefined, { 'client-secret/x': undefined }))
  t.deepEqual([ledger.secret('client-secret/x'), ledger.secret('client-secret/y')], [undefined, 'two'])
  t.is(ledger.head.seq, 2, 'keeping is no event')
  const again = await reopen()
  t.deepEqual([again.secret('client-secret/x'), again.secret('client-secret/y')], [undefined, 'two'])
  t.is(again.secret('password/alice'), 'hash of alice')
})

test('a refusal keeps nothing in the vault', async (t) => {
  const { ledger } = await startBook(t)
  const decision = { ...refuse<never>('user_unknown'), keeps: { 'password/alice': 'other' } } as Decision<never>
  t.is(
    await refusal(
      t,
      ledger.transact(SYSTEM, () => decision),
    ),
    'user_unknown',
  )
  t.is(ledger.secret('password/alice'), 'hash of alice')
})

test('events come by place, in either direction, within limits, and only durable ones', async (t) => {
  const { ledger } = await startBook(t)
  for (let i = 0; i < 8; i++) await add(ledger, 'alice', `todo ${i}`)
  const pending = add(ledger, 'alice', 'not on disk yet')
  const seqs = async (span?: Parameters<Ledger['events']>[0]) =>
    (await Array.fromAsync(ledger.events(span))).map(({ seq }) => seq)
  t.deepEqual(await seqs({ from: 9 }), [9, 10])
  await pending
  t.deepEqual(await seqs(), [1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11])
  t.deepEqual(await seqs({ from: 4, to: 6 }), [4, 5, 6])
  t.deepEqual(await seqs({ reverse: true, limit: 3 }), [11, 10, 9])
  t.deepEqual(await seqs({ from: 2, to: 9, reverse: true, limit: 2 }), [9, 8])
  t.deepEqual(await seqs({ from: 12 }), [])
})

test('113. a sweep drops what has expired, in memory and on disk', async (t) => {
  const { ledger, folder, clock, reopen } = await startBook(t)
  const good = {
    user: 'alice',
    passwordRight: true,
    passwordChanges: 0,
    session: 'swept-session',
    sessionTtlMs: 1000,
    before: undefined,
  }
  await ledger.transact(SYSTEM, (state, now) => signIn(state, good, now))
  await ledger.sweep()
  t.is(await ledger.read(({ sessions }) => sessions.size), 1)
  clock.pass(61_000)
  await ledger.sweep()
  t.is(await ledger.read(({ sessions }) => sessions.size), 0)
  await ledger.sweep()
  t.deepEqual((await typesOf(ledger)).slice(3), ['ExpiredDropped'], 'which the book says, once')
  await reopen(async () => t.false((await databaseOf(folder)).some(([key]) => key.includes('row/sessions'))))
})

test('whoever waits for news is told when there is some, and when the time is over, however often', async (t) => {
  const { ledger } = await startBook(t)
  const { signal } = new AbortController()
  const { seq } = ledger.head
  // A timer may go off a little early: that must not make anybody wait for ever.
  await Promise.all(Array.from({ length: 300 }, (_, i) => ledger.waitBeyond(seq, signal, 1 + (i % 20))))
  const waiting = ledger.waitBeyond(seq, signal, 60_000)
  await add(ledger, 'alice', 'news')
  await waiting
  const stop = new AbortController()
  const stopped = ledger.waitBeyond(ledger.head.seq, stop.signal, 60_000)
  stop.abort()
  await stopped
  t.pass()
})
