/** Agenda: which to-dos are found, in which order, page by page; and the overview. */
import test from 'ava'
import fc from 'fast-check'
import {
  type Filter,
  findTodos,
  overviewOf,
  type Page,
  type Position,
  type Search,
  SORTS,
  STATES,
} from '../../src/domain/agenda.ts'
import { deleteTodos } from '../../src/domain/deletions.ts'
import { isBefore, sortKeyOf } from '../../src/domain/due.ts'
import { changeTodo, getItem, moveTodo, setDone } from '../../src/domain/edits.ts'
import type { Item, Priority } from '../../src/domain/todos.ts'
import { AMPLE, History, SECOND, todoAdded } from './_history.ts'

const ALL: Filter = { state: 'all', words: [], dueBefore: undefined, dueAfter: undefined }
const SEARCH: Search = {
  ...{ owner: 'alice', filter: ALL, sort: 'order', limit: 100, maxCharacters: 1e6 },
  after: undefined,
}
const find = ({ state }: History, more: Partial<Search> = {}, filter: Partial<Filter> = {}): Page =>
  findTodos(state, { ...SEARCH, ...more, filter: { ...ALL, ...filter } })
const ids = ({ items }: Pick<Page, 'items'>): string => items.map(({ id }) => id).join('')

const complete = (history: History, ...todos: string[]) =>
  history.when(setDone(history.state, { owner: 'alice', ids: todos, limits: AMPLE, done: true }, history.now))
const remove = (history: History, ...todos: string[]) =>
  history.when(deleteTodos(history.state, { owner: 'alice', ids: todos, limits: AMPLE }, history.now))
const edit = (history: History, id: string, change: { due?: string; text?: string; priority?: number }) =>
  history.when(changeTodo(history.state, { owner: 'alice', id, change, limits: AMPLE }, history.now))

/** Six to-dos of Alice’s, each a second after the other: d is done, x is deleted; and one of Bob’s. */
function week(): History {
  const history = new History()
  const add = (id: string, texts: Parameters<typeof todoAdded>[2], priority: Priority | null = null): void => {
    history.given(todoAdded(id === 'o' ? 'bob' : 'alice', id, texts, priority))
    history.now += SECOND
  }
  add('a', { text: 'Buy milk', notes: 'Oat, not COW' })
  add('b', { text: 'Call Bob', due: '2026-12-01' }, 3)
  add('c', { text: 'Pay the rent', due: '2026-12-01T09:00:00+01:00' }, 1)
  add('d', { text: 'buy bread', due: '2026-11-30' }, 1)
  add('e', { text: 'Ünïcode', due: '2026-12-02T00:30+14:00' })
  add('x', { text: 'buy nothing', due: '2026-12-01' }, 2)
  add('o', { text: 'buy the world', due: '2026-12-01' })
  complete(history, 'd')
  remove(history, 'x')
  history.now += SECOND
  return history
}

test('each state finds its own, in the person’s order, and nobody else’s', (t) => {
  const history = week()
  const found = STATES.map((state) => [state, ids(find(history, {}, { state }))])
  t.deepEqual(Object.fromEntries(found), { open: 'abce', done: 'd', all: 'abcde', deleted: 'x' })
  t.is(ids(find(history, { owner: 'bob' })), 'o')
  t.deepEqual(find(history, { owner: 'nobody' }), { items: [], next: undefined, total: 0 })
  t.deepEqual(
    find(history).items,
    ['a', 'b', 'c', 'd', 'e'].map((id) => getItem(history.state, 'alice', id)!),
  )
})

test('words must all stand in the text or the notes, in any case', (t) => {
  const history = week()
  const words: [words: string[], found: string][] = [
    [['buy'], 'ad'],
    [['buy', 'milk'], 'a'],
    [['milk', 'cow'], 'a'],
    [['buy', 'rent'], ''],
    [['ünï'], 'e'],
    [['uy mi'], 'a'],
    [['2026'], ''],
    [['milk\noat'], 'a'],
    [[''], 'abcde'],
  ]
  for (const [of, found] of words) t.is(ids(find(history, {}, { words: of })), found, of.join())
  t.is(ids(find(history, {}, { words: ['buy'], state: 'deleted' })), 'x')
})

test('due bounds: before is without its bound, after is with it; what has no due date is in neither', (t) => {
  const history = week()
  const bounds: [Partial<Filter>, string][] = [
    [{ dueBefore: '2026-12-01' }, 'd'],
    [{ dueBefore: '2026-12-02' }, 'bcd'],
    [{ dueAfter: '2026-12-01' }, 'bce'],
    [{ dueAfter: '2026-12-02' }, 'e'],
    [{ dueAfter: '2026-12-01', dueBefore: '2026-12-02' }, 'bc'],
    [{ dueAfter: '2026-12-03', dueBefore: '2026-12-01' }, ''],
    // Times are compared as moments: e is due on 1 December at 10:30 in UTC.
    [{ dueBefore: '2026-12-01T08:00Z' }, 'd'],
    [{ dueBefore: '2026-12-01T08:00:00.001Z' }, 'cd'],
    [{ dueAfter: '2026-12-01T08:00Z' }, 'bce'],
    [{ dueAfter: '2026-12-01T10:30Z' }, 'be'],
    [{ dueAfter: '2026-12-01T10:31Z' }, 'b'],
  ]
  for (const [filter, found] of bounds) t.is(ids(find(history, {}, filter)), found, JSON.stringify(filter))
})

test('sorts: by due date, priority, when added, when changed last; equal ones in the person’s order', (t) => {
  const history = week()
  edit(history, 'b', { text: 'Call Robert' })
  const sorted = SORTS.map((sort) => [sort, ids(find(history, { sort }))])
  t.deepEqual(Object.fromEntries(sorted), {
    order: 'abcde',
    due: 'dcbea',
    priority: 'cdbae',
    created: 'abcde',
    updated: 'bdeca',
  })
  history.when(moveTodo(history.state, { owner: 'alice', id: 'e', place: { position: 1 } }))
  t.deepEqual([ids(find(history)), ids(find(history, { sort: 'priority' }))], ['eabcd', 'cdbea'])
})

/** All pages, one after the other; `between` says what happens before the next one is asked for. */
function pages(history: History, more: Partial<Search>, filter: Partial<Filter>, between = () => {}): Page[] {
  const all: Page[] = []
  let after: Position | undefined
  do {
    const page = find(history, { ...more, after }, filter)
    all.push(page)
    after = page.next
    between()
  } while (after !== undefined && all.length < 500)
  return all
}

test('a page ends where the next one begins; the last one says that there is none', (t) => {
  const history = week()
  const found = pages(history, { limit: 2 }, {})
  t.deepEqual(found.map(ids), ['ab', 'cd', 'e'])
  t.deepEqual(
    found.map(({ total }) => total),
    [5, 5, 5],
  )
  t.deepEqual(pages(history, { limit: 5 }, {}).map(ids), ['abcde'])
  t.deepEqual(pages(history, { limit: 1 }, { state: 'deleted' }).map(ids), ['x'])
  t.is(ids(find(history, { after: { key: Number.MAX_SAFE_INTEGER, rank: 0, id: '' } })), '')
})

test('a page is bounded in characters, and holds at least one to-do', (t) => {
  const history = week()
  const [a, b] = find(history).items.map((item) => JSON.stringify(item).length + 1) as [number, number]
  for (const [maxCharacters, first] of [
    [0, 'a'],
    [a, 'a'],
    [a + b - 1, 'a'],
    [a + b, 'ab'],
  ] as const) {
    const found = pages(history, { maxCharacters }, {})
    t.is(ids(found[0]!), first, `${maxCharacters}`)
    t.is(found.map(ids).join(''), 'abcde')
  }
})

const priority = fc.constantFrom<Priority | null>(1, 2, null)
const due = fc.constantFrom(undefined, '2026-12-01', '2026-12-01T09:00Z', '2026-12-02T00:30+01:00', '2026-11-30')
const aList = fc.array(fc.record({ priority, due, state: fc.constantFrom('open', 'done', 'deleted') }), {
  maxLength: 30,
})
const search = fc.record({
  state: fc.constantFrom(...STATES),
  sort: fc.constantFrom(...SORTS),
  limit: fc.integer({ min: 1, max: 7 }),
  dueBefore: fc.constantFrom(undefined, '2026-12-01', '2026-12-01T12:00Z'),
  dueAfter: fc.constantFrom(undefined, '2026-12-01', '2026-12-01T08:00Z'),
})

/** A list like that: its to-dos are `t0`, `t1` … in some other order than they were added in. */
function listOf(todos: readonly { priority: Priority | null; due: string | undefined; state: string }[]): History {
  const history = new History()
  for (const [i, { due, priority, state }] of todos.entries()) {
    if (i % 3 === 0) history.now += SECOND
    history.given(todoAdded('alice', `t${i}`, { text: `text ${i}`, ...(due === undefined ? {} : { due }) }, priority))
    if (state === 'done') complete(history, `t${i}`)
    if (state !== 'deleted' && i > 2)
      history.when(moveTodo(history.state, { owner: 'alice', id: `t${i}`, place: { position: (i * 7) % 5 || 1 } }))
    if (state === 'deleted') remove(history, `t${i}`)
  }
  return history
}

/** What a sort promises of two to-dos that follow each other. */
const inOrder: { readonly [S in Search['sort']]: (a: Item, b: Item) => boolean } = {
  order: () => true,
  due: (a, b) => (b.due === null ? true : a.due !== null && sortKeyOf(a.due) <= sortKeyOf(b.due)),
  priority: (a, b) => (a.priority ?? 5) <= (b.priority ?? 5),
  created: (a, b) => a.created_at <= b.created_at,
  updated: (a, b) => a.updated_at >= b.updated_at,
}

test('pages put together are what one large page is: each to-do once, as wanted, in order', (t) => {
  fc.assert(
    fc.property(aList, search, (todos, { state, sort, limit, dueBefore, dueAfter }) => {
      const history = listOf(todos)
      const filter = { state, dueBefore, dueAfter }
      const found = pages(history, { sort, limit }, filter)
      const items = found.flatMap((page) => page.items)
      const whole = find(history, { sort }, filter)
      const wanted = todos.filter(({ due, ...todo }) => {
        const isState = state === 'all' ? todo.state !== 'deleted' : todo.state === state
        const isBeforeBound = dueBefore === undefined || (due !== undefined && isBefore(due, dueBefore))
        return isState && isBeforeBound && (dueAfter === undefined || (due !== undefined && !isBefore(due, dueAfter)))
      })
      return (
        JSON.stringify(items) === JSON.stringify(whole.items) &&
        items.length === wanted.length &&
        found.every(({ total }) => total === wanted.length) &&
        new Set(items.map(({ id }) => id)).size === items.length &&
        items.every((item, i) => i === 0 || inOrder[sort](items[i - 1]!, item))
      )
    }),
    { numRuns: 400 },
  )
  t.pass()
})

test('while things change between pages, what stays as it is is still met exactly once', (t) => {
  const happening = fc.record({
    what: fc.constantFrom('add', 'delete', 'complete', 'edit', 'move'),
    of: fc.nat({ max: 30 }),
  })
  fc.assert(
    fc.property(
      aList,
      fc.constantFrom(...SORTS),
      fc.integer({ min: 1, max: 5 }),
      fc.array(happening, { maxLength: 12 }),
      (todos, sort, limit, happenings) => {
        const history = listOf(todos)
        const before = new Set(find(history, {}, { state: 'open' }).items.map(({ id }) => id))
        const touched = new Set<string>()
        const left = [...happenings]
        const met = pages(history, { sort, limit }, { state: 'open' }, () => {
          history.now += SECOND
          for (const { what, of } of left.splice(0, 2)) {
            const id = `t${of}`
            touched.add(id)
            if (what === 'add') history.given(todoAdded('alice', `new-${history.events.length}`, { text: 'new' }))
            else if (what === 'delete') remove(history, id)
            else if (what === 'complete') complete(history, id)
            else if (what === 'edit') edit(history, id, { text: `new ${history.now}`, due: '2026-12-05', priority: 4 })
            else history.when(moveTodo(history.state, { owner: 'alice', id, place: { position: (of % 9) + 1 } }))
          }
        }).flatMap(({ items }) => items.map(({ id }) => id))
        const untouched = [...before].filter((id) => !touched.has(id))
        return untouched.every((id) => met.filter((one) => one === id).length === 1)
      },
    ),
    { numRuns: 400 },
  )
  t.pass()
})

test('the overview counts, and names what is next: by due date, then priority, then order', (t) => {
  const history = week()
  const over = overviewOf(history.state, 'alice', '2026-12-01')
  t.deepEqual({ ...over, next: ids({ items: over.next }) } as object, {
    ...{ open: 4, done: 1, deleted: 1, overdue: 0, due_today: 2 },
    next: 'cbea',
  })
  t.like(overviewOf(history.state, 'alice', '2026-12-02'), { overdue: 2, due_today: 1 })
  t.like(overviewOf(history.state, 'alice', '2026-12-03'), { overdue: 3, due_today: 0 })
  const empty = { open: 0, done: 0, deleted: 0, overdue: 0, due_today: 0, next: [] }
  t.deepEqual(overviewOf(history.state, 'nobody', '2026-12-01'), empty)
  const many = listOf(
    Array.from({ length: 9 }, (_, i) => ({ priority: i === 8 ? 1 : null, due: undefined, state: 'open' })),
  )
  const next = overviewOf(many.state, 'alice', '2026-12-01').next
  t.deepEqual([next.length, next[0]!.id], [5, 't8'])
})

test('the counts of an overview are those of the searches', (t) => {
  fc.assert(
    fc.property(aList, fc.constantFrom('2026-11-30', '2026-12-01', '2026-12-02'), (todos, today) => {
      const history = listOf(todos)
      const { next, due_today: dueToday, overdue, ...counts } = overviewOf(history.state, 'alice', today)
      const total = (filter: Partial<Filter>): number => find(history, { limit: 1 }, filter).total
      const open = find(history, { sort: 'due' }, { state: 'open' }).items
      return (
        counts.open === total({ state: 'open' }) &&
        counts.done === total({ state: 'done' }) &&
        counts.deleted === total({ state: 'deleted' }) &&
        overdue === total({ state: 'open', dueBefore: today }) &&
        dueToday === open.filter(({ due }) => due?.slice(0, 10) === today).length &&
        next.length === Math.min(5, open.length) &&
        next.every((item, i) => item.due === open[i]!.due)
      )
    }),
    { numRuns: 200 },
  )
  t.pass()
})

test('what was erased is counted, and found by no word', (t) => {
  const history = week()
  history.erased.add('alice')
  t.is(find(history).total, 5)
  t.is(find(history, {}, { words: ['buy'] }).total, 0)
  t.is(find(history, {}, { dueAfter: '2026-01-01' }).total, 0)
  t.like(overviewOf(history.state, 'alice', '2026-12-01'), { open: 4, overdue: 0, due_today: 0 })
})
