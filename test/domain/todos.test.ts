/** To-dos as rows: each list in its own order, with exact texts, whatever events made them. */
import test from 'ava'
import fc from 'fast-check'
import { deleteTodoAt } from '../../src/domain/deletions.ts'
import type { Event } from '../../src/domain/domain.ts'
import { addTodos, getItem, moveTodo } from '../../src/domain/edits.ts'
import {
  allInOrder,
  deletedInOrder,
  evenRanks,
  excerptOf,
  type Field,
  itemOf,
  keptInOrder,
  openInOrder,
  says,
  TODO_EVENTS,
} from '../../src/domain/todos.ts'
import { AMPLE, History, keysOf, MINUTE, NOON, openTexts, registered, todoAdded } from './_history.ts'

const added = (owner: string, ...texts: string[]): Event[] =>
  texts.map((text) => todoAdded(owner, `${owner}-${text}`, { text }))
const start = (): History => new History().given(registered('alice'), registered('bob'))
const deleteAt = (history: History, owner: string, index: number, text?: string) =>
  deleteTodoAt(history.state, { owner, index, text, limits: AMPLE }, history.now)
const ids = (rows: readonly (readonly [id: string, todo: object])[]): string => rows.map(([id]) => id).join()

test('the events of a list are those of this room, all of them', (t) => {
  // `says` has each type of the union once: the type checker holds it against the union.
  t.deepEqual([...TODO_EVENTS].sort(), Object.keys(says).sort() as (typeof TODO_EVENTS)[number][])
})

test('the list stands in the order of the book, whatever the ids and the clock say', (t) => {
  const history = start().given(...added('alice', 'c'))
  history.now -= 3_600_000
  history.given(...added('bob', 'z'), ...added('alice', 'a', 'b'))
  t.deepEqual(openTexts(history, 'alice'), ['c', 'a', 'b'])
  t.deepEqual(openTexts(history, 'bob'), ['z'])
  t.deepEqual(openTexts(history, 'nobody'), [])
})

test('84. a text is kept as it was written, to the last character', (t) => {
  const odd = ['x', ' x ', '<script>alert(1)</script>', '=1+1', '\u001b[31mred', '\u0000', '\u202e', '"\\', '__proto__']
  const long = ['x'.repeat(10_000), '\u{1f4a5}'.repeat(10_000), 'é', 'e\u0301']
  const history = start()
  for (const [i, text] of [...odd, ...long].entries()) {
    const items = [{ id: `t${i}`, text, notes: text, due: null, priority: null }]
    t.is(history.when(addTodos(history.state, { owner: 'alice', items, limits: AMPLE }, NOON)).refusal, undefined)
    t.like(getItem(history.state, 'alice', `t${i}`), { todo: text, notes: text })
  }
  t.deepEqual(openTexts(history, 'alice'), [...odd, ...long])
})

test('deleting by index takes what stands there, and moves up what follows', (t) => {
  const history = start().given(...added('alice', 'a', 'b', 'c'), ...added('bob', 'x', 'y'))
  const b = getItem(history.state, 'alice', 'alice-b')!
  t.deepEqual(history.when(deleteAt(history, 'alice', 1)), {
    facts: [
      {
        type: 'TodoDeleted',
        data: { todo: 'alice-b', owner: 'alice', undoUntil: NOON + 30 * 86_400_000, replaces: [] },
        personal: { excerpt: 'b' },
      },
    ],
    result: b,
    keeps: {},
  })
  t.is(history.when(deleteAt(history, 'alice', 1, 'c')).refusal, undefined)
  t.deepEqual([openTexts(history, 'alice'), openTexts(history, 'bob')], [['a'], ['x', 'y']])
})

test('83. an index where nothing stands is refused, and the list is untouched', (t) => {
  const history = start().given(...added('alice', 'a', 'b', 'c'), ...added('bob', 'x', 'y', 'z'))
  history.given({ type: 'TodoCompleted', data: { todo: 'alice-a', owner: 'alice' }, personal: { excerpt: 'a' } })
  for (const index of [2, -1, -2, 0.5, 1e9, Number.NaN, Number.POSITIVE_INFINITY, Number.MAX_SAFE_INTEGER])
    t.deepEqual(deleteAt(history, 'alice', index), { facts: [], refusal: 'todo_index_unknown' })
  t.is(deleteAt(history, 'nobody', 0).refusal, 'todo_index_unknown')
  t.deepEqual(openTexts(history, 'alice'), ['b', 'c'], 'the index counts the open ones')
})

test('a text that is not the one at that index is refused, and the list is untouched', (t) => {
  const history = start().given(...added('alice', 'a', 'b'))
  for (const text of ['b', 'A', 'a ', '', 'a\u0000'])
    t.deepEqual(deleteAt(history, 'alice', 0, text), { facts: [], refusal: 'todo_differs' })
  t.is(deleteAt(history, 'alice', 0, 'a').refusal, undefined)
})

test('what was erased is still counted and shows no text; events about what is not there change nothing', (t) => {
  const history = start().given(...added('alice', 'a', 'b'))
  history.erased.add('alice')
  t.deepEqual(openTexts(history, 'alice'), ['', ''])
  t.like(getItem(history.state, 'alice', 'alice-a'), { todo: '', notes: null, due: null })
  const before = history.rows()
  const [data, personal] = [{ todo: 'gone', owner: 'alice' }, { excerpt: 'x' }]
  const late: Event[] = [
    { type: 'TodoChanged', data: { ...data, fields: ['text'], cleared: [] }, personal: { ...personal, text: 'y' } },
    { type: 'TodoCompleted', data, personal },
    { type: 'TodoReopened', data, personal },
    { type: 'TodoMoved', data: { ...data, before: 'alice-a' }, personal },
    { type: 'TodoMoved', data: { todo: 'alice-a', owner: 'alice', before: 'gone' }, personal },
    { type: 'TodoMoved', data: { ...data, before: null }, personal },
    { type: 'TodoDeleted', data: { ...data, undoUntil: NOON, replaces: ['gone too'] }, personal },
    { type: 'TodoUndeleted', data, personal },
  ]
  t.notThrows(() => history.given(...late))
  t.deepEqual(history.rows(), before)
})

test('a list or a user that is erased leaves no to-do, open, done or deleted', (t) => {
  for (const end of [
    { type: 'ListErased', data: { owner: 'l1' } },
    { type: 'UserErased', data: { user: 'l1' } },
  ] as const) {
    const { state } = new History().given(
      { type: 'ListOpened', data: { owner: 'l1' }, personal: { name: 'x' } },
      ...added('l1', 'open', 'done', 'deleted'),
      ...added('other', 'kept'),
      { type: 'TodoCompleted', data: { todo: 'l1-done', owner: 'l1' }, personal: { excerpt: '' } },
      {
        type: 'TodoDeleted',
        data: { todo: 'l1-deleted', owner: 'l1', undoUntil: NOON, replaces: [] },
        personal: { excerpt: '' },
      },
      end,
    )
    t.deepEqual(keysOf(state.todos), ['other-kept'])
    t.deepEqual(state.todos.totalSize, state.todos.sizeBy('owner', 'other'))
  }
})

test('a deleted to-do goes when its undo has expired, not before', (t) => {
  const history = start().given(...added('alice', 'a', 'b'))
  history.when(deleteAt(history, 'alice', 0))
  const end = NOON + 30 * 86_400_000
  history.sweep(end)
  t.is(ids(deletedInOrder(history.state, 'alice')), 'alice-a')
  history.sweep(end + MINUTE)
  t.deepEqual(keysOf(history.state.todos), ['alice-b'])
  t.deepEqual(history.rows(history.replayed()), history.rows())
})

test('an excerpt has at most 80 characters, as people count them', (t) => {
  t.is(excerptOf('x'.repeat(80)), 'x'.repeat(80))
  t.is(excerptOf('x'.repeat(81)), `${'x'.repeat(80)}…`)
  t.is(excerptOf('\u{1f4a5}'.repeat(80)), '\u{1f4a5}'.repeat(80))
  t.is(excerptOf('\u{1f4a5}'.repeat(10_000)), `${'\u{1f4a5}'.repeat(80)}…`)
  t.is(excerptOf(''), '')
  fc.assert(fc.property(fc.string({ unit: 'binary', maxLength: 400 }), (text) => excerptOf(text).isWellFormed()))
})

type Row = { text: string | null; notes: string | null; due: string | null }
const texts = fc.record({ text: fc.string(), notes: fc.string(), due: fc.string() }, { requiredKeys: [] })
/** Any change: some texts are new, some others are gone. */
const changes = fc.record({ texts, cleared: fc.subarray<Field>(['notes', 'due']) })

test('personal text from several events: each field says what the last event about it said', (t) => {
  fc.assert(
    fc.property(texts, fc.array(changes, { maxLength: 12 }), (first, later) => {
      const history = new History().given(todoAdded('alice', 't', { text: 'at first', ...first }))
      let row: Row = { text: 'at first', notes: null, due: null, ...first }
      for (const { texts, cleared: gone } of later) {
        const fields = Object.keys(texts) as Field[]
        const cleared = gone.filter((field) => !fields.includes(field))
        const data = { todo: 't', owner: 'alice', fields, cleared }
        history.given({ type: 'TodoChanged', data, personal: { ...texts, excerpt: 'x' } })
        row = { ...row, ...Object.fromEntries(cleared.map((field) => [field, null])), ...texts }
        const { parts } = history.state.todos.get('t')!
        // Each text has one place, and an event that says nothing more is let go of.
        const held = parts.flatMap((part) => part.fields)
        if (new Set(held).size !== held.length || parts.some((part) => part.fields.length === 0)) return false
      }
      const { todo, notes, due } = getItem(history.state, 'alice', 't')!
      const isSame = todo === row.text && notes === row.notes && due === row.due
      return isSame && JSON.stringify(history.rows(history.replayed())) === JSON.stringify(history.rows())
    }),
    { numRuns: 500 },
  )
  t.pass()
})

test('ranks at equal distances are safe integers, each greater than the one before, and lie before the end', (t) => {
  fc.assert(
    fc.property(fc.integer({ min: 1, max: 3000 }), fc.integer({ min: 0, max: 1e9 }), (count, more) => {
      const end = (count + more) * 2 ** 20
      const ranks = evenRanks(count, end)
      return (
        ranks.length === count &&
        ranks.every((rank, i) => Number.isSafeInteger(rank) && rank > (ranks[i - 1] ?? 0) && rank < end)
      )
    }),
    { numRuns: 300 },
  )
  t.pass()
})

const NAMES = Array.from({ length: 8 }, (_, i) => `t${i}`)
const aMove = fc.record({
  id: fc.constantFrom(...NAMES),
  to: fc.oneof(
    fc.record({ before: fc.constantFrom(...NAMES) }),
    fc.record({ after: fc.constantFrom(...NAMES) }),
    fc.record({ position: fc.integer({ min: 1, max: 10 }) }),
  ),
})

/** Where a move leads, said of a plain list of ids. `open` are those that a position counts. */
function moved(list: readonly string[], id: string, place: object, isOpen: (id: string) => boolean): string[] {
  const others = list.filter((other) => other !== id)
  if ('before' in place) return others.toSpliced(others.indexOf(place.before as string), 0, id)
  if ('after' in place) return others.toSpliced(others.indexOf(place.after as string) + 1, 0, id)
  const next = others.filter(isOpen)[(place as { position: number }).position - 1]
  return others.toSpliced(next === undefined ? others.length : others.indexOf(next), 0, id)
}

test('a thousand random moves leave the order that a plain list says, and replay to the same rows', (t) => {
  fc.assert(
    fc.property(fc.array(aMove, { minLength: 1000, maxLength: 1000 }), fc.subarray(NAMES), (moves, done) => {
      const history = new History().given(...NAMES.map((id) => todoAdded('alice', id, { text: id })))
      for (const todo of done)
        history.given({ type: 'TodoCompleted', data: { todo, owner: 'alice' }, personal: { excerpt: todo } })
      let list = NAMES
      for (const { id, to } of moves) {
        const decision = history.when(moveTodo(history.state, { owner: 'alice', id, place: to }))
        const beside = Object.values(to)[0]
        if ((decision.refusal === 'place_invalid') !== (beside === id)) return false
        if (decision.refusal === undefined) list = moved(list, id, to, (other) => !done.includes(other))
        if (ids(keptInOrder(history.state, 'alice')) !== list.join()) return false
      }
      const open = list.filter((id) => !done.includes(id))
      return (
        ids(openInOrder(history.state, 'alice')) === open.join() &&
        JSON.stringify(history.rows(history.replayed())) === JSON.stringify(history.rows())
      )
    }),
    { numRuns: 10 },
  )
  t.pass()
})

const ranksOf = (history: History): number[] => allInOrder(history.state, 'alice').map(([, { rank }]) => rank)

test('where no rank is left between two to-dos, all of the list get new ones, in their order', (t) => {
  for (const gap of ['first', 'middle']) {
    const history = new History().given(...NAMES.map((id) => todoAdded('alice', id, { text: id })))
    history.given(...added('bob', 'x'))
    const [low, high] = gap === 'first' ? [undefined, 't0'] : ['t2', 't3']
    let spread = 0
    let list = NAMES
    for (let i = 0; i < 100; i++) {
      const [before, id] = [ranksOf(history), ['t6', 't7'][i % 2]!]
      const next = i === 0 ? high! : ['t6', 't7'][(i + 1) % 2]!
      const decision = history.when(moveTodo(history.state, { owner: 'alice', id, place: { before: next } }))
      t.deepEqual(decision.facts[0], {
        type: 'TodoMoved',
        data: { todo: id, owner: 'alice', before: next },
        personal: { excerpt: id },
      })
      list = moved(list, id, { before: next }, () => true)
      t.is(ids(keptInOrder(history.state, 'alice')), list.join(), `${i}`)
      const ranks = ranksOf(history)
      t.true(ranks.every(Number.isSafeInteger))
      t.is(new Set(ranks).size, ranks.length, 'no two have the same')
      if (ranks.filter((rank) => !before.includes(rank)).length > 1) spread++
    }
    if (low !== undefined) t.is(list.indexOf(low), 2)
    t.true(spread > 0 && spread < 10, `${spread} times`)
    t.is(history.state.todos.get('bob-x')!.rank, 9 * 2 ** 20, 'other lists stay')
    history.given(...added('alice', 'new'))
    t.is(openTexts(history, 'alice').at(-1), 'new', 'what comes later stands last')
    t.deepEqual(history.rows(history.replayed()), history.rows())
  }
})

test('deleted to-dos keep their place among the others while these move', (t) => {
  const history = new History().given(...['a', 'b', 'c'].map((id) => todoAdded('alice', id, { text: id })))
  history.when(deleteAt(history, 'alice', 1))
  const rankOf = (id: string): number => history.state.todos.get(id)!.rank
  for (let i = 0; i < 60; i++) {
    const [id, other] = i % 2 === 0 ? ['c', 'a'] : ['a', 'c']
    history.when(moveTodo(history.state, { owner: 'alice', id, place: { position: 1 } }))
    t.true(rankOf(id) < rankOf(other) && rankOf(other) < rankOf('b'), `after move ${i}`)
  }
  history.given({ type: 'TodoUndeleted', data: { todo: 'b', owner: 'alice' }, personal: { excerpt: 'b' } })
  t.is(ids(keptInOrder(history.state, 'alice')), 'a,c,b')
  t.deepEqual(
    keptInOrder(history.state, 'alice').map((row) => itemOf(row).updated_at),
    Array(3).fill(new Date(NOON).toISOString()),
  )
})
