/** To-dos as a service: given events, when a caller asks, then a result and exact events. */
import test from 'ava'
import { LIMITS, type LimitSettings } from '../../src/service/limits.ts'
import type { Item } from '../../src/service/todos.ts'
import { added, begin, callerOf, listCaller, refused, revoke } from './_callers.ts'

const NOON = '2026-11-20T12:00:00.000Z'
const alice = callerOf('alice')
const itemOf = (id: string, changed: Partial<Item> = {}): Item => ({
  ...{ id, todo: id, done: false, due: null, priority: null, notes: null },
  ...{ created_at: NOON, updated_at: NOON, done_at: null, ...changed },
})

test('given to-dos, what is asked about them is answered, and nothing is recorded', async (t) => {
  const { todos, given, news } = await begin(t)
  const owner = 'alice'
  await given(added('a', owner), added('b', owner), added('c', owner), added('of bob', 'bob'))
  await given(
    { type: 'TodoCompleted', data: { todo: 'b', owner }, personal: { excerpt: 'b' } },
    { type: 'TodoMoved', data: { todo: 'c', owner, before: 'a' }, personal: { excerpt: 'c' } },
    {
      type: 'TodoChanged',
      data: { todo: 'a', owner, fields: ['due'], cleared: [], priority: 1 },
      personal: { due: '2026-11-19', excerpt: 'a' },
    },
  )
  const [a, c] = [itemOf('a', { due: '2026-11-19', priority: 1 }), itemOf('c')]
  const b = itemOf('b', { done: true, done_at: NOON })
  t.deepEqual(await todos.get(alice, 'b'), b)
  t.deepEqual(await todos.find(alice, {}), { items: [c, a], next_cursor: null, total: 2 })
  t.deepEqual((await todos.find(alice, { state: 'all', sort: 'priority' })).items, [a, c, b])
  t.deepEqual(await todos.texts(alice, (open) => [...open.from(0)]), ['c', 'a'])
  t.deepEqual(await todos.overview(alice), {
    ...{ today: '2026-11-20', open: 2, done: 1, deleted: 0, overdue: 1, due_today: 0 },
    next: [a, c],
  })
  t.like(await todos.overview(alice, '2026-11-19'), { today: '2026-11-19', overdue: 0, due_today: 1 })
  await refused(t, todos.overview(alice, '2026-02-30'), 'filter_invalid')
  for (const id of ['of bob', '', 'd']) await refused(t, todos.get(alice, id), 'todo_unknown')
  t.deepEqual(await news(), [])
})

test('each write gives its result and records exactly its events, in the name of who asked', async (t) => {
  const { todos, events, given } = await begin(t)
  await given(added('a', 'alice'), added('b', 'alice'))
  const recorded = async () =>
    (await events()).map(({ type, actor, via, data, sealed }) => {
      t.deepEqual([actor, via], [alice.actor, alice.via])
      return { type, data, text: sealed?.open }
    })
  const { index, items } = await todos.add(alice, [{ text: 'new', due: '2026-12-01', priority: 2 }])
  const id = items[0]!.id
  t.deepEqual([index, items], [2, [itemOf(id, { todo: 'new', due: '2026-12-01', priority: 2 })]])
  const [owner, of] = ['alice', { todo: id, owner: 'alice' }]
  t.deepEqual(await recorded(), [
    {
      type: 'TodoAdded',
      data: { ...of, priority: 2, fields: ['text', 'due'] },
      text: { text: 'new', due: '2026-12-01' },
    },
  ])
  await todos.change(alice, id, { text: 'newer', due: null, priority: null, done: true })
  t.deepEqual(await recorded(), [
    {
      type: 'TodoChanged',
      data: { ...of, fields: ['text'], cleared: ['due'], priority: null },
      text: { excerpt: 'new', text: 'newer' },
    },
    { type: 'TodoCompleted', data: of, text: { excerpt: 'newer' } },
  ])
  await todos.reopen(alice, [id])
  await todos.reschedule(alice, [{ id, due: '2026-12-24' }])
  await todos.move(alice, id, { before: 'a' })
  await todos.deleteOne(alice, id)
  await todos.undelete(alice, [id])
  t.is((await todos.deleteAt(alice, 0, 'newer')).id, id)
  const excerpt = { excerpt: 'newer' }
  const undoUntil = Date.parse(NOON) + 30 * 86_400_000
  const deleted = { type: 'TodoDeleted', data: { ...of, undoUntil, replaces: [] }, text: excerpt }
  t.deepEqual(await recorded(), [
    { type: 'TodoReopened', data: of, text: excerpt },
    { type: 'TodoChanged', data: { ...of, fields: ['due'], cleared: [] }, text: { ...excerpt, due: '2026-12-24' } },
    { type: 'TodoMoved', data: { ...of, before: 'a' }, text: excerpt },
    deleted,
    { type: 'TodoUndeleted', data: of, text: excerpt },
    deleted,
  ])
  const { items: done, failures } = await todos.complete(alice, ['a', 'of nobody', 'a', 'b'])
  t.deepEqual(
    done.map((item) => item.id),
    ['a', 'b'],
  )
  t.deepEqual(failures, [{ id: 'of nobody', why: 'todo_unknown' }])
  t.deepEqual(
    (await recorded()).map(({ data }) => data),
    [
      { todo: 'a', owner },
      { todo: 'b', owner },
    ],
  )
})

test('what is refused leaves nothing behind', async (t) => {
  const { todos, news, given } = await begin(t)
  await given(added('a', 'alice'))
  const many = Array.from({ length: 26 }, () => 'a')
  await refused(t, todos.add(alice, [{ text: 'ok' }, { text: ' ' }]), 'todo_text_invalid')
  await refused(t, todos.add(alice, []), 'batch_invalid')
  await refused(t, todos.complete(alice, many), 'batch_invalid')
  await refused(t, todos.reschedule(alice, []), 'batch_invalid')
  await refused(t, todos.change(alice, 'a', { due: '2026-02-30' }), 'due_invalid')
  await refused(t, todos.change(alice, 'a', { priority: 5 }), 'priority_invalid')
  await refused(t, todos.change(alice, 'a', { text: 'b' }, { expects: () => false }), 'precondition_failed')
  await refused(t, todos.deleteOne(alice, 'a', { expects: () => false }), 'precondition_failed')
  await refused(t, todos.move(alice, 'a', { after: 'a' }), 'place_invalid')
  await refused(t, todos.deleteAt(alice, 1, undefined), 'todo_index_unknown')
  await refused(t, todos.deleteAt(alice, 0, 'b'), 'todo_differs')
  await refused(t, todos.add(alice, [{ text: 'x' }], { key: 'a b' }), 'idempotency_key_malformed')
  await refused(t, todos.find(alice, { query: '\ud800', cursor: 'x' }), 'cursor_invalid')
  t.deepEqual((await todos.find(alice, { query: '\ud800' })).items, [])
  t.deepEqual(await news(), [])
})

test('a caller without the scope is refused before anything else', async (t) => {
  const { todos, news, given } = await begin(t)
  await given(added('a', 'alice'))
  const [reader, writer] = [callerOf('alice', { scope: 'todos:read' }), callerOf('alice', { scope: 'todos:write' })]
  const writes = [
    () => todos.add(reader, []),
    () => todos.change(reader, 'a', { priority: 9 }),
    () => todos.reschedule(reader, []),
    () => todos.move(reader, 'a', { position: 1 }),
    () => todos.deleteOne(reader, 'a'),
    () => todos.deleteAt(reader, 0, undefined),
    ...([todos.complete, todos.reopen, todos.delete, todos.undelete] as const).map((act) => () => act(reader, ['a'])),
  ]
  const reads = [
    () => todos.find(writer, {}),
    () => todos.get(writer, 'a'),
    () => todos.overview(writer),
    () => todos.texts(writer, () => 0),
  ]
  for (const ask of [...writes, ...reads]) await refused(t, ask(), 'scope_insufficient', String(ask))
  t.deepEqual(await news(), [])
})

test('a caller who was revoked between authentication and decision is refused, and nothing is recorded or counted', async (t) => {
  const once = Object.fromEntries(Object.keys(LIMITS).map((name) => [name, { most: 1, windowMs: 60_000 }]))
  const { todos, ledger, news, given } = await begin(t, { limits: once as LimitSettings })
  await given(added('a', 'alice'))
  const revoked = revoke(ledger, 'alice')
  // The revocation is decided, and not on disk yet.
  const asked = [
    () => todos.add(alice, [{ text: 'late' }]),
    () => todos.add(alice, [{ text: 'late' }], { key: 'k' }),
    () => todos.change(alice, 'a', { text: 'late' }),
    () => todos.complete(alice, ['a']),
    () => todos.reschedule(alice, [{ id: 'a', due: null }]),
    () => todos.move(alice, 'a', { position: 1 }),
    () => todos.deleteOne(alice, 'a'),
    () => todos.deleteAt(alice, 0, undefined),
    () => todos.get(alice, 'a'),
    () => todos.find(alice, {}),
    () => todos.overview(alice),
    () => todos.texts(alice, () => 0),
  ]
  await Promise.all(asked.map((ask) => refused(t, ask(), 'token_unknown', String(ask))))
  await revoked
  t.deepEqual(await news(), ['UserRevoked'])
  t.deepEqual(alice.meter, [])
  const bob = callerOf('bob')
  await todos.add(bob, [{ text: 'x' }])
  await refused(t, todos.add(bob, [{ text: 'x' }]), 'rate_limited')
  t.deepEqual(await news(), ['TodoAdded'])
})

test('the same key for another to-do is refused as another request, in every operation', async (t) => {
  const { todos, given, news } = await begin(t)
  await given(added('a', 'alice'), added('b', 'alice'), added('c', 'alice'))
  // Each is done to b, then asked of a under the same key. After the move the order is b, a, c.
  type Ask = (id: string, safely: { readonly key: string }) => Promise<unknown>
  const asked: readonly (readonly [what: string, ask: Ask, type: string])[] = [
    ['change', (id, safely) => todos.change(alice, id, { priority: 1 }, safely), 'TodoChanged'],
    ['complete', (id, safely) => todos.complete(alice, [id], safely), 'TodoCompleted'],
    ['reopen', (id, safely) => todos.reopen(alice, [id], safely), 'TodoReopened'],
    ['reschedule', (id, safely) => todos.reschedule(alice, [{ id, due: '2026-12-01' }], safely), 'TodoChanged'],
    ['move', (id, safely) => todos.move(alice, id, { position: 1 }, safely), 'TodoMoved'],
    ['delete', (id, safely) => todos.delete(alice, [id], safely), 'TodoDeleted'],
    ['undelete', (id, safely) => todos.undelete(alice, [id], safely), 'TodoUndeleted'],
    ['deleteAt', (id, safely) => todos.deleteAt(alice, ['b', 'a'].indexOf(id), undefined, safely), 'TodoDeleted'],
    ['undelete again', (id, safely) => todos.undelete(alice, [id], safely), 'TodoUndeleted'],
    ['deleteOne', (id, safely) => todos.deleteOne(alice, id, safely), 'TodoDeleted'],
  ]
  for (const [i, [what, ask, type]] of asked.entries()) {
    const safely = { key: `key-${i}` }
    const answer = await ask('b', safely)
    t.deepEqual(await news(), [type, 'OutcomeKept'], what)
    await refused(t, ask('a', safely), 'idempotency_key_reused', what)
    t.deepEqual(await ask('b', safely), answer, what)
    t.deepEqual(await news(), [], what)
  }
  t.deepEqual(await todos.get(alice, 'a'), itemOf('a'))
})

test('a named list begins with what is first added to it; all else finds it empty', async (t) => {
  const { todos, events, news } = await begin(t)
  const [caller, other] = [listCaller('Groceries'), listCaller('GROCERIES')]
  t.deepEqual(await todos.find(caller, {}), { items: [], next_cursor: null, total: 0 })
  await refused(t, todos.change(caller, 'a', {}), 'todo_unknown')
  t.deepEqual(await todos.complete(caller, ['a'], { key: 'k' }), {
    items: [],
    failures: [{ id: 'a', why: 'todo_unknown' }],
  })
  await refused(t, todos.add(caller, [{ text: '' }], { key: 'k' }), 'todo_text_invalid')
  t.deepEqual(await news(), [])
  const first = await todos.add(caller, [{ text: 'milk' }], { key: 'k' })
  const [opened, event, kept] = await events()
  t.deepEqual([opened?.type, event?.type, kept?.type], ['ListOpened', 'TodoAdded', 'OutcomeKept'])
  t.deepEqual(opened?.sealed?.open, { name: 'Groceries' })
  t.deepEqual(event?.data, { ...event?.data, ...opened?.data })
  t.deepEqual(await todos.add(other, [{ text: 'milk' }], { key: 'k' }), first)
  t.deepEqual((await todos.find(other, {})).items, first.items)
  t.deepEqual(await news(), [])
})

test('times of one day sort by moment, and dates after them', async (t) => {
  const { todos } = await begin(t)
  const dues = [
    '2026-12-01',
    '2026-12-01T17:00:30Z',
    '2026-12-01T17:00Z',
    '2026-12-01T17:00:00.5Z',
    '2026-12-01T17:00:00+01:00',
  ]
  await todos.add(
    alice,
    [...dues, '2026-11-30', '2026-12-02T00:00Z', null].map((due) => ({ text: 'x', due })),
  )
  const found = (await todos.find(alice, { sort: 'due' })).items.map(({ due }) => due)
  const [day, ...times] = dues
  t.deepEqual(found, ['2026-11-30', times[3]!, times[1]!, times[2]!, times[0]!, day!, '2026-12-02T00:00Z', null])
})
