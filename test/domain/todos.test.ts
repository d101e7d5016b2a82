/** To-dos as rows: each list in its own order, with exact texts, whatever events made them. */
import test from 'ava'
import fc from 'fast-check'
import { deleteTodoAt, deleteTodos, undeleteTodos } from '../../src/domain/deletions.ts'
import type { Event } from '../../src/domain/domain.ts'
import { addTodos, getItem, moveTodo, type Place } from '../../src/domain/edits.ts'
import {
  deletedInOrder,
  excerptOf,
  type Field,
  itemOf,
  keptInOrder,
  openInOrder,
  says,
  TODO_EVENTS,
} from '../../src/domain/todos.ts'
import { AMPLE, allInOrder, History, keysOf, MINUTE, NOON, openTexts, registered, todoAdded } from './_history.ts'

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
  const history = start().given(...added('alice', 'a', 'b'), ...added('bob', 'x', 'y'))
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
    { type: 'TodoMoved', data: { todo: 'alice-a', owner: 'alice', before: 'bob-y' }, personal },
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

const NAMES = Array.from({ length: 8 }, (_, i) => `t${i}`)
const which = fc.nat({ max: 11 })
/** What can happen to the order of a list. The numbers say which to-do, counted round and round. */
const acts = fc.oneof(
  fc.record({ act: fc.constant('add' as const) }),
  fc.record({ act: fc.constant('delete' as const), one: which }),
  fc.record({ act: fc.constant('undelete' as const), one: which }),
  fc.record({ act: fc.constant('move' as const), one: which, to: fc.constantFrom('before', 'after'), beside: which }),
  fc.record({ act: fc.constant('position' as const), one: which, position: fc.integer({ min: 1, max: 10 }) }),
  // Two to-dos pass each other again and again, so that the ranks at one place run out.
  fc.record({ act: fc.constant('squeeze' as const), pair: fc.tuple(which, which), beside: which, times: fc.nat(60) }),
)

type Act = typeof acts extends fc.Arbitrary<infer A> ? A : never

/** Where a move leads, said of a plain list of ids. `open` are those that a position counts. */
function moved(list: readonly string[], id: string, place: object, isOpen: (id: string) => boolean): string[] {
  const others = list.filter((other) => other !== id)
  if ('before' in place) return others.toSpliced(others.indexOf(place.before as string), 0, id)
  if ('after' in place) return others.toSpliced(others.indexOf(place.after as string) + 1, 0, id)
  const next = others.filter(isOpen)[(place as { position: number }).position - 1]
  return others.toSpliced(next === undefined ? others.length : others.indexOf(next), 0, id)
}

test('after any adds, moves, deletions and undos the order is that of a plain list, and replay agrees', (t) => {
  let squeezed = 0
  fc.assert(
    fc.property(fc.array(acts, { maxLength: 120, size: 'max' }), fc.subarray(NAMES), (played, done) => {
      const history = new History().given(...NAMES.map((id) => todoAdded('alice', id, { text: id })))
      for (const todo of done)
        history.given({ type: 'TodoCompleted', data: { todo, owner: 'alice' }, personal: { excerpt: todo } })
      let list: readonly string[] = NAMES
      const deleted = new Set<string>()
      const idOf = (number: number): string => list[number % list.length]!
      const isOpen = (id: string): boolean => !done.includes(id) && !deleted.has(id)
      const move = (id: string, place: Place): void => {
        const { refusal } = history.when(moveTodo(history.state, { owner: 'alice', id, place }))
        if (refusal === undefined) list = moved(list, id, place, isOpen)
      }
      const several = (id: string) => ({ owner: 'alice', ids: [id], limits: AMPLE })
      const play = (one: Act): void => {
        switch (one.act) {
          case 'add': {
            const id = `n${history.events.length}`
            history.given(todoAdded('alice', id, { text: id }))
            list = [...list, id]
            break
          }
          case 'delete':
            history.when(deleteTodos(history.state, several(idOf(one.one)), history.now))
            deleted.add(idOf(one.one))
            break
          case 'undelete':
            history.when(undeleteTodos(history.state, several(idOf(one.one)), history.now))
            deleted.delete(idOf(one.one))
            break
          case 'position':
            move(idOf(one.one), { position: one.position })
            break
          case 'move':
            move(idOf(one.one), one.to === 'before' ? { before: idOf(one.beside) } : { after: idOf(one.beside) })
            break
          case 'squeeze': {
            const [pair, before] = [one.pair.map(idOf), idOf(one.beside)]
            history.state.todos.beginBatch()
            for (let i = 0; i < one.times; i++) move(pair[i % 2]!, { before })
            if (history.state.todos.beginBatch().length > new Set(pair).size) squeezed++
          }
        }
      }
      for (const one of played) {
        play(one)
        const ranks = ranksOf(history)
        const isRight = (rank: number, i: number) => Number.isSafeInteger(rank) && rank > (ranks[i - 1] ?? 0)
        if (!ranks.every(isRight) || ranks.at(-1)! > history.events.length * 2 ** 20) return false
        if (ids(allInOrder(history.state, 'alice')) !== list.join()) return false
        if (ids(openInOrder(history.state, 'alice')) !== list.filter(isOpen).join()) return false
      }
      return JSON.stringify(history.rows(history.replayed())) === JSON.stringify(history.rows())
    }),
    { numRuns: 60 },
  )
  t.true(squeezed > 10, `other rows got new ranks ${squeezed} times`)
})

const ranksOf = (history: History): number[] => allInOrder(history.state, 'alice').map(([, { rank }]) => rank)

test('where no rank is left between two to-dos, some get new ones, and the order stays', (t) => {
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
    t.true(spread > 0 && spread < 30, `${spread} times`)
    t.is(history.state.todos.get('bob-x')!.rank, 9 * 2 ** 20, 'other lists stay')
    history.given(...added('alice', 'new'))
    t.is(openTexts(history, 'alice').at(-1), 'new', 'what comes later stands last')
    t.deepEqual(history.rows(history.replayed()), history.rows())
  }
})

/** A list of that many to-dos, t0 first, and how many rows the next move changes. */
function large(count: number) {
  const names = Array.from({ length: count }, (_, i) => `t${i}`)
  const history = new History().given(...names.map((id) => todoAdded('alice', id, { text: id })))
  const { todos } = history.state
  todos.beginBatch()
  const rowsOfMove = (todo: string, before: string): number => {
    history.given({ type: 'TodoMoved', data: { todo, owner: 'alice', before }, personal: { excerpt: todo } })
    return todos.beginBatch().length
  }
  return { history, rowsOfMove }
}

test('moves to one place of a list of 5,000 change few rows on average, whichever place that is', (t) => {
  const MOVES = 1500
  // Before one to-do again and again, at the start and in the middle; each before the last; two that pass each other.
  const runs: [name: string, move: (i: number) => [id: string, before: string]][] = [
    ['before the first', (i) => [`t${4999 - i}`, 't0']],
    ['before one', (i) => [`t${i % 2 === 0 ? i : 4999 - i}`, 't2500']],
    ['each before the last', (i) => [`t${4999 - i}`, i === 0 ? 't2500' : `t${5000 - i}`]],
    ['two pass each other', (i) => (i % 2 === 0 ? ['t2501', 't2500'] : ['t2500', 't2501'])],
  ]
  for (const [name, move] of runs) {
    const { history, rowsOfMove } = large(5000)
    let changed = 0
    for (let i = 0; i < MOVES; i++) changed += rowsOfMove(...move(i))
    t.true(changed / MOVES < 20, `${name}: ${changed / MOVES} rows a move`)
    const ranks = ranksOf(history)
    t.true(
      ranks.every((rank, i) => rank > (ranks[i - 1] ?? 0)),
      name,
    )
  }
})

test('where no smaller range of ranks has room, all rows of the list get new ones', (t) => {
  const history = new History()
  const names = Array.from({ length: 300 }, (_, i) => `t${i}`)
  const row = { owner: 'alice', parts: [], priority: null, createdAt: '', updatedAt: '', doneAt: null }
  for (const [i, id] of names.entries())
    history.state.todos.load(id, { ...row, rank: i + 1, deletedAt: null, expiresAt: null })
  // The first event of a book: all ranks have to lie before 2^20.
  history.given({ type: 'TodoMoved', data: { todo: 't299', owner: 'alice', before: 't1' }, personal: { excerpt: '' } })
  t.is(ids(allInOrder(history.state, 'alice')), moved(names, 't299', { before: 't1' }, () => true).join())
  t.is(history.state.todos.beginBatch().length, 300)
  const ranks = ranksOf(history)
  t.deepEqual(
    ranks,
    names.map((_, i) => (i + 1) * Math.floor(2 ** 20 / 301)),
  )
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
