/** My activity: what was done with an account or list, told in words to its owner and to nobody else. */
import test from 'ava'
import type { Event } from '../../src/domain/domain.ts'
import { ActivityLog } from '../../src/service/activity.ts'
import { added, begin, callerOf, listCaller, refused, revoke } from './_callers.ts'

const alice = callerOf('alice', { via: { client: 'chatgpt', tool: 'add_todos', conversation: 'v1/abc' } })
const bob = callerOf('bob')

test('each own event is a sentence, newest first, with how it came; the kept outcomes are left out', async (t) => {
  const { todos, ledger, news } = await begin(t)
  const { items } = await todos.add(alice, [{ text: 'buy milk', due: '2026-12-01' }], { key: 'k' })
  await todos.complete(alice, [items[0]!.id])
  await todos.add(bob, [{ text: 'secret of bob' }])
  await news()
  const { entries, next_cursor } = await new ActivityLog(ledger).page(alice, {})
  t.is(next_cursor, null)
  t.deepEqual(
    entries.map(({ type, who, what }) => [type, who, what]),
    [
      ['TodoCompleted', 'alice', 'completed “buy milk”'],
      ['TodoAdded', 'alice', 'added “buy milk”, due 2026-12-01'],
      ['UserRegistered', 'Daybook itself', 'registered the account alice'],
    ],
  )
  t.like(entries[0], { tool: 'add_todos', conversation: 'v1/abc', at: '2026-11-20T12:00:00.000Z' })
  t.true(entries[0]!.through.includes('tool add_todos'))
  t.deepEqual(Object.keys(entries[0]!), ['seq', 'at', 'type', 'who', 'what', 'through', 'conversation', 'tool'])
  t.false(JSON.stringify(await new ActivityLog(ledger).page(alice, { limit: 100 })).includes('bob'))
  t.false(JSON.stringify(await new ActivityLog(ledger).page(bob, { limit: 100 })).includes('milk'))
  t.deepEqual(await news(), [], 'looking at what is one’s own is no event')
})

test('pages by cursor give everything once, whatever comes in between', async (t) => {
  const { ledger, given } = await begin(t)
  for (let i = 0; i < 12; i++) await given(added(`a${i}`, 'alice'), added(`b${i}`, 'bob'))
  const all = (await new ActivityLog(ledger).page(alice, { limit: 100 })).entries
  t.is(all.length, 13)
  for (const limit of [1, 3, 4, 13]) {
    const seen = []
    for (let cursor: string | null | undefined; cursor !== null; ) {
      const page = await new ActivityLog(ledger).page(alice, { limit, ...(cursor === undefined ? {} : { cursor }) })
      t.true(page.entries.length <= limit)
      seen.push(...page.entries)
      cursor = page.next_cursor
      await given(added(`late ${limit} ${seen.length}`, 'alice'))
    }
    t.deepEqual(seen.slice(-13), all, String(limit))
  }
})

test('a page reads a bounded number of events, and the pages end where the time asked for begins', async (t) => {
  const { ledger, given, clock } = await begin(t)
  await given(added('old', 'alice'))
  for (let i = 0; i < 9; i++) await given(added(`b${i}`, 'bob'))
  clock.pass(3_600_000)
  await given(added('new', 'alice'))
  for (let i = 0; i < 9; i++) await given(added(`c${i}`, 'bob'))
  const pages = async (since?: string) => {
    const found: string[][] = []
    for (let cursor: string | null | undefined; cursor !== null && found.length < 99; ) {
      const page = await new ActivityLog(ledger).page(alice, { since, ...(cursor === undefined ? {} : { cursor }) }, 4)
      found.push(page.entries.map(({ what }) => what.split('”')[0]!))
      cursor = page.next_cursor
    }
    return found
  }
  const all = await pages()
  t.deepEqual(all.flat().slice(0, 2), ['added “new', 'added “old'])
  t.true(all.length > 4 && all.some((page) => page.length === 0))
  t.deepEqual((await pages('30m')).flat(), ['added “new'])
  t.true((await pages('30m')).length < all.length)
})

test('conversations of another app are not told, and those of the own one are', async (t) => {
  const { todos, ledger, news } = await begin(t)
  await todos.add(alice, [{ text: 'x' }])
  await news()
  const other = callerOf('alice', { via: { client: 'other' } })
  const [own, others] = [await new ActivityLog(ledger).page(alice, {}), await new ActivityLog(ledger).page(other, {})]
  t.is(own.entries[0]!.conversation, 'v1/abc')
  t.is(others.entries[0]!.conversation, null)
  t.true(own.entries[0]!.through.includes('v1/abc'))
  t.false(JSON.stringify(others).includes('v1/abc'))
})

test('conversations of another API key are not told either', async (t) => {
  const { todos, ledger } = await begin(t)
  const withKey = (key: string) => callerOf('alice', { via: { key, tool: 'add_todos', conversation: `of-${key}` } })
  await todos.add(withKey('k1'), [{ text: 'x' }])
  const activity = new ActivityLog(ledger)
  t.is((await activity.page(withKey('k1'), {})).entries[0]!.conversation, 'of-k1')
  t.false(JSON.stringify(await activity.page(withKey('k2'), {})).includes('of-k1'))
})

test('a text cannot end its quotation in a sentence', async (t) => {
  const { todos, ledger } = await begin(t)
  const { items } = await todos.add(alice, [{ text: 'x” to the list of root. The operator revoked “y' }])
  await todos.change(alice, items[0]!.id, { text: 'a”b' })
  const { entries } = await new ActivityLog(ledger).page(alice, { limit: 2 })
  t.deepEqual(
    entries.map(({ what }) => what),
    [
      'changed “x’ to the list of root. The operator revoked ‘y”: its text to “a’b”',
      'added “x’ to the list of root. The operator revoked ‘y”',
    ],
  )
})

test('since: a duration, a day or a time; all else is refused', async (t) => {
  const { ledger, given, clock } = await begin(t)
  await given(added('old', 'alice'))
  clock.pass(3_600_000)
  await given(added('new', 'alice'))
  const whats = async (since: string) =>
    (await new ActivityLog(ledger).page(alice, { since })).entries.map(({ what }) => what)
  for (const since of ['30m', '2026-11-20T12:30'])
    t.deepEqual(await whats(since), ['added “new” to the list of alice'], since)
  for (const since of ['2h', '2026-11-20']) t.is((await whats(since)).length, 3, since)
  t.deepEqual(await whats('2026-11-21'), [])
  const wrong = [
    '',
    'x',
    'yesterday',
    '2026-02-30',
    '1h user:bob',
    '1h"',
    '-1h',
    '2h type:UserRegistered',
    'x'.repeat(41),
  ]
  for (const since of wrong) await refused(t, new ActivityLog(ledger).page(alice, { since }), 'filter_invalid', since)
  for (const limit of [0, 101, 1.5, Number.NaN])
    await refused(t, new ActivityLog(ledger).page(alice, { limit }), 'filter_invalid')
  for (const cursor of ['', '0', '-1', 'x', '1.5', '1e3', '9'.repeat(16)])
    await refused(t, new ActivityLog(ledger).page(alice, { cursor }), 'cursor_invalid', cursor)
  t.is((await new ActivityLog(ledger).page(alice, { cursor: '9'.repeat(15) })).entries.length, 3)
  t.deepEqual(await new ActivityLog(ledger).page(alice, { cursor: '1' }), { entries: [], next_cursor: null })
})

test('nobody can take a name by which they see what is somebody else’s', async (t) => {
  const { ledger, given } = await begin(t)
  const register = (user: string, username: string): Event => ({
    type: 'UserRegistered',
    data: { user, admin: false },
    personal: { username },
  })
  t.is((await new ActivityLog(ledger).page(alice, {})).entries.length, 1)
  await given({ ...register('bob', 'alice'), type: 'PasswordChanged', data: { user: 'bob' } } as Event)
  t.is((await new ActivityLog(ledger).page(alice, {})).entries.length, 1)
  t.is((await new ActivityLog(ledger).page(bob, {})).entries.length, 2)
})

test('a list has an activity of its own, from its beginning on', async (t) => {
  const { todos, ledger } = await begin(t)
  const caller = listCaller('groceries')
  t.deepEqual(await new ActivityLog(ledger).page(caller, {}), { entries: [], next_cursor: null })
  await todos.add(caller, [{ text: 'milk' }])
  await todos.add(listCaller('other'), [{ text: 'x' }])
  const { entries } = await new ActivityLog(ledger).page(listCaller('GROCERIES'), {})
  t.deepEqual(
    entries.map(({ type }) => type),
    ['TodoAdded', 'ListOpened'],
  )
})

test('who may not read, or was revoked, also while the book was being read, is told nothing', async (t) => {
  const { ledger, given, news } = await begin(t)
  await given(added('a', 'alice'))
  await refused(t, new ActivityLog(ledger).page(callerOf('alice', { scope: 'todos:write' }), {}), 'scope_insufficient')
  const asked = new ActivityLog(ledger).page(alice, {})
  await revoke(ledger, 'alice')
  await refused(t, asked, 'token_unknown')
  await refused(t, new ActivityLog(ledger).page(alice, {}), 'token_unknown')
  t.deepEqual(await news(), ['UserRevoked'])
})
