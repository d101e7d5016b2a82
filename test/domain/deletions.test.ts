/** Undo: what deleting leaves, how it is taken back, which deletions give way; and whatever is done to a list. */
import test from 'ava'
import fc from 'fast-check'
import { UNDO_MS } from '../../src/domain/deletions.ts'
import {
  type Added,
  type BatchResult,
  getItem,
  type ListLimits,
  type Place,
  rescheduleTodos,
} from '../../src/domain/edits.ts'
import type { Decision } from '../../src/domain/shape.ts'
import type { Item, Priority, TodoEvent } from '../../src/domain/todos.ts'
import {
  add,
  complete,
  draft,
  edit,
  excerpt,
  idsOf,
  itemsOf,
  move,
  of,
  remove,
  reopen,
  sizeOf,
  start,
  undo,
} from './_edits.ts'
import { AMPLE, History, SECOND } from './_history.ts'

test('a deleted to-do is nowhere but where it can be undone; then it is again what it was, where it was', (t) => {
  const history = start('a', 'b', 'c')
  history.when(edit(history, 'b', { notes: 'n', priority: 3, done: true }))
  const before = itemsOf(history)
  const deleted = history.when(remove(history, ['b', 'none', 'b', 'his']))
  t.deepEqual(deleted, {
    facts: [
      {
        type: 'TodoDeleted',
        data: { ...of('b'), undoUntil: history.now + 30 * 86_400_000, replaces: [] },
        personal: excerpt('b'),
      },
    ],
    result: {
      items: [before[1]!],
      failures: [
        { id: 'none', why: 'todo_unknown' },
        { id: 'his', why: 'todo_unknown' },
      ],
    },
    keeps: {},
  })
  t.deepEqual(idsOf(history), ['a', 'c'])
  for (const decision of [complete(history, ['b']), remove(history, ['b'])])
    t.like(decision, { facts: [], result: { failures: [{ id: 'b', why: 'todo_unknown' }] } })
  t.is(move(history, 'b', { position: 1 }).refusal, 'todo_unknown')
  history.now += UNDO_MS - 1
  const undone = history.when(undo(history, ['b', 'a', 'his', 'b']))
  t.deepEqual(undone, {
    facts: [{ type: 'TodoUndeleted', data: of('b'), personal: excerpt('b') }],
    result: {
      items: [before[1]!],
      failures: [
        { id: 'a', why: 'todo_not_deleted' },
        { id: 'his', why: 'todo_unknown' },
      ],
    },
    keeps: {},
  })
  t.deepEqual(itemsOf(history), before)
  history.sweep(history.now + 2 * UNDO_MS)
  t.deepEqual(itemsOf(history), before, 'and nothing of it expires any more')
})

test('a deletion cannot be undone when its time is over, swept or not', (t) => {
  const history = start('a')
  history.when(remove(history, ['a']))
  history.now += UNDO_MS
  const over = { facts: [], result: { items: [], failures: [{ id: 'a', why: 'todo_unknown' }] }, keeps: {} }
  t.deepEqual(undo(history, ['a']), over as object)
  history.sweep(history.now + 60_000)
  t.deepEqual(undo(history, ['a']), over as object)
})

test('undoing stops where the list is full', (t) => {
  const history = start('a', 'b', 'c')
  history.when(complete(history, ['c']))
  history.when(remove(history, ['a', 'b', 'c']))
  t.like(undo(history, ['a', 'b', 'c'], { ...AMPLE, open: 1 }), {
    result: { failures: [{ id: 'b', why: 'list_full' }] },
  })
  const one = sizeOf({ text: 'text of a' })
  t.like(undo(history, ['a', 'b'], { open: 9, size: 2 * one - 1, sizeOfAll: 1e9 }), {
    result: { failures: [{ id: 'b', why: 'list_too_large' }] },
  })
  // It was in memory all the time.
  t.like(undo(history, ['a'], { open: 9, size: one, sizeOfAll: 0 }), { result: { failures: [] } })
})

const replacedBy = (history: History, ids: string[], limits: ListLimits): (readonly string[])[] =>
  history
    .when(remove(history, ids, limits))
    .facts.map((fact) => (fact.type === 'TodoDeleted' ? fact.data.replaces : ['?']))

test('the oldest deletions give way where a list keeps too many, too large ones, or Daybook is full', (t) => {
  const many = start('a', 'b', 'c', 'd', 'e')
  const two: ListLimits = { ...AMPLE, open: 2 }
  t.deepEqual(replacedBy(many, ['c'], two), [[]])
  many.now += SECOND
  t.deepEqual(replacedBy(many, ['a', 'b'], two), [[], ['c']])
  many.now += SECOND
  t.deepEqual(replacedBy(many, ['d'], two), [['a']])
  t.deepEqual(many.state.todos.keysBy('bin', 'alice').sort(), ['b', 'd'])
  t.like(undo(many, ['c']), { result: { failures: [{ id: 'c', why: 'todo_unknown' }] } })

  const apart = start('a', 'b', 'c')
  for (const [id, gone] of [
    ['c', []],
    ['a', []],
    ['b', ['c']],
  ] as const) {
    t.deepEqual(replacedBy(apart, [id], two), [gone], 'the oldest deletion, not the first in the list')
    apart.now += SECOND
  }

  const one = sizeOf({ text: 'text of a' })
  const large = start('a', 'b', 'c')
  t.deepEqual(replacedBy(large, ['a', 'b'], { ...AMPLE, size: 2 * one }), [[], []])
  large.now += SECOND
  t.deepEqual(replacedBy(large, ['c'], { ...AMPLE, size: 2 * one }), [['a']])

  const full = start('a', 'b', 'c')
  full.when(remove(full, ['a', 'b']))
  t.deepEqual(replacedBy(full, ['c'], { ...AMPLE, sizeOfAll: full.state.todos.totalSize }), [['a', 'b']])
  t.deepEqual(full.rows(full.replayed()), full.rows())
})

test('deleted to-dos are sorted once, by age: their order in the list decides only between two of one age', (t) => {
  const history = start('a', 'b', 'c')
  let looks = 0
  const gone = { owner: 'alice', parts: [], priority: null, createdAt: '', updatedAt: '', doneAt: null, deletedAt: '' }
  const counted = (expiresAt: number, place: number) => ({
    ...gone,
    expiresAt,
    get rank() {
      looks++
      return place
    },
  })
  for (let i = 1; i <= 50; i++) history.state.todos.load(`old-${i}`, counted(history.now + i * SECOND, 100 - i))
  const many: ListLimits = { ...AMPLE, open: 50 }
  t.deepEqual(replacedBy(history, ['a'], many), [['old-1']])
  t.is(looks, 0)
  for (const [id, place] of Object.entries({ first: 200, second: 300 }))
    history.state.todos.load(id, counted(history.now, place))
  t.deepEqual(replacedBy(history, ['b'], many), [['first', 'second', 'old-2']])
  t.true(looks > 0 && looks < 10, `${looks} looks`)
})

test('from nine tenths of what all lists may take, only what the last request deleted can be undone, all of it', (t) => {
  const history = start('a', 'b', 'c', 'd', 'e')
  const size = history.state.todos.totalSize
  const [below, from] = [
    { ...AMPLE, sizeOfAll: Math.ceil(size / 0.89) },
    { ...AMPLE, sizeOfAll: Math.ceil(size / 0.91) },
  ]
  t.deepEqual(replacedBy(history, ['a', 'b'], below), [[], []])
  t.deepEqual(replacedBy(history, ['c'], below), [[]])
  t.deepEqual(replacedBy(history, ['d', 'e'], from), [['a', 'b', 'c'], []])
  t.deepEqual(history.state.todos.keysBy('bin', 'alice').sort(), ['d', 'e'])
  t.like(undo(history, ['d', 'e'], from), { result: { failures: [] } })
})

test('whatever the limits are, all that one request deleted can be undone', (t) => {
  for (const limits of [
    { ...AMPLE, open: 1 },
    { ...AMPLE, size: 1 },
    { ...AMPLE, sizeOfAll: 1 },
  ]) {
    const history = start('a', 'b', 'c', 'd')
    const ids = ['b', 'c', 'd']
    history.when(remove(history, ['a'], limits))
    history.now += SECOND
    t.deepEqual(replacedBy(history, ids, limits), [['a'], [], []])
    t.like(history.when(undo(history, ids)), { result: { failures: [] } })
    t.deepEqual(idsOf(history), ids)
  }
})

const ID = fc.constantFrom('a', 'b', 'c', 'd', 'e', 'none')
const IDS = fc.array(ID, { minLength: 1, maxLength: 4 })
const text = fc.constantFrom('x', 'a longer text', 'y'.repeat(200))
const due = fc.constantFrom('2026-12-01', '2026-12-01T17:00:00+01:00', '2026-02-30')
const priority = fc.constantFrom<Priority | 9 | null>(1, 2, 3, 4, null, 9)
const change = fc.record(
  { text, notes: fc.option(text), due: fc.option(due), priority, done: fc.boolean() },
  { requiredKeys: [] },
)
const place: fc.Arbitrary<Place> = fc.oneof(
  fc.record({ before: ID }),
  fc.record({ after: ID }),
  fc.record({ position: fc.integer({ min: 1, max: 6 }) }),
)
const act = fc.oneof(
  fc.record({ act: fc.constant('add' as const), id: ID, text, due: fc.option(due), priority }),
  fc.record({ act: fc.constant('change' as const), id: ID, change }),
  fc.record({
    act: fc.constantFrom('complete' as const, 'reopen' as const, 'delete' as const, 'undo' as const),
    ids: IDS,
  }),
  fc.record({
    act: fc.constant('reschedule' as const),
    items: fc.array(fc.record({ id: ID, due: fc.option(due) }), { minLength: 1, maxLength: 4 }),
  }),
  fc.record({ act: fc.constant('move' as const), id: ID, place }),
)
type Act = typeof act extends fc.Arbitrary<infer A> ? A : never

function decide(history: History, one: Act, limits: ListLimits): Decision<TodoEvent, Added | Item | BatchResult> {
  switch (one.act) {
    case 'add':
      return add(history, [draft(one.id, { text: one.text, due: one.due, priority: one.priority })], limits)
    case 'change':
      return edit(history, one.id, one.change, limits)
    case 'complete':
      return complete(history, one.ids, limits)
    case 'reopen':
      return reopen(history, one.ids, limits)
    case 'delete':
      return remove(history, one.ids, limits)
    case 'undo':
      return undo(history, one.ids, limits)
    case 'reschedule':
      return rescheduleTodos(history.state, { owner: 'alice', items: one.items, limits }, history.now)
    case 'move':
      return move(history, one.id, one.place)
  }
}

/** Acts that change nothing when they are done once more. */
const REPEATABLE: readonly Act['act'][] = ['change', 'complete', 'reopen', 'reschedule']

test('whatever is done: answers say what then is, limits hold, sizes add up, a refusal leaves nothing, replay agrees', (t) => {
  const limits: ListLimits = { open: 3, size: 9000, sizeOfAll: 12_000 }
  fc.assert(
    fc.property(fc.array(act, { maxLength: 60, size: 'max' }), (acts) => {
      const history = new History()
      let lastDeleted = 0
      for (const one of acts) {
        history.now += SECOND
        if (one.act === 'add' && history.state.todos.get(one.id) !== undefined) continue
        const decision = history.when(decide(history, one, limits))
        if (decision.refusal !== undefined) {
          if (decision.facts.length > 0) return false
          continue
        }
        const { result } = decision
        const items = 'items' in result ? result.items : [result]
        const { todos } = history.state
        for (const told of items) {
          const is = getItem(history.state, 'alice', told.id)
          if (one.act === 'delete' && (todos.get(told.id)?.deletedAt ?? null) === null) return false
          if (one.act === 'delete' ? is !== undefined : JSON.stringify(is) !== JSON.stringify(told)) return false
        }
        const rows = [...todos.entries()]
        const sizes = rows.map(([id]) => todos.sizeOf(id)).reduce((sum, size) => sum + size, 0)
        if (todos.totalSize !== sizes || todos.totalSize > limits.sizeOfAll) return false
        if (todos.countBy('open', 'alice') > limits.open || todos.sizeBy('owner', 'alice') > limits.size) return false
        if (one.act === 'delete' && items.length > 0) lastDeleted = items.length
        if (todos.countBy('bin', 'alice') > Math.max(limits.open, lastDeleted)) return false
        // A limit may hold up a part of it, so only what was done whole is done at once the second time.
        if (!REPEATABLE.includes(one.act) || ('failures' in result && result.failures.length > 0)) continue
        if (decide(history, one, limits).facts.length > 0) return false
      }
      return JSON.stringify(history.rows(history.replayed())) === JSON.stringify(history.rows())
    }),
    { numRuns: 400 },
  )
  t.pass()
})
