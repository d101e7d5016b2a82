/** Edits: what adding, changing, completing and rescheduling to-dos records and gives, and when it is refused. */
import test from 'ava'
import fc from 'fast-check'
import {
  type Change,
  changeWrong,
  getItem,
  type ListLimits,
  MAX_TEXT_LENGTH,
  rescheduleTodos,
} from '../../src/domain/edits.ts'
import { type Reason, storedSize } from '../../src/domain/shape.ts'
import type { Item } from '../../src/domain/todos.ts'
import { newKey, Vault } from '../../src/ledger/vault.ts'
import {
  add,
  complete,
  draft,
  edit,
  excerpt,
  idsOf,
  item,
  itemsOf,
  LATER,
  of,
  remove,
  reopen,
  sizeOf,
  start,
} from './_edits.ts'
import { AMPLE, History, NOON, openTexts, SECOND } from './_history.ts'

test('79. a to-do is recorded with its texts as personal text and the names of its fields; it stands last', (t) => {
  const history = start('a', 'b')
  const items = [draft('c', { notes: 'n', due: '2026-12-01', priority: 1 }), draft('d', { due: '2026-12-01T17:00Z' })]
  t.deepEqual(history.when(add(history, items)), {
    facts: [
      {
        type: 'TodoAdded',
        data: { ...of('c'), priority: 1, fields: ['text', 'notes', 'due'] },
        personal: { text: 'text of c', notes: 'n', due: '2026-12-01' },
      },
      {
        type: 'TodoAdded',
        data: { ...of('d'), priority: null, fields: ['text', 'due'] },
        personal: { text: 'text of d', due: '2026-12-01T17:00Z' },
      },
    ],
    result: {
      index: 2,
      items: [
        item('c', { notes: 'n', due: '2026-12-01', priority: 1, created_at: LATER, updated_at: LATER }),
        item('d', { due: '2026-12-01T17:00Z', created_at: LATER, updated_at: LATER }),
      ],
    },
    keeps: {},
  })
  t.deepEqual(idsOf(history), ['a', 'b', 'c', 'd'])
  t.deepEqual(itemsOf(history).slice(0, 2), [item('a'), item('b')])
})

test('the index of a new to-do counts the open ones', (t) => {
  const history = start('a', 'b', 'c')
  history.when(complete(history, ['a']))
  history.when(remove(history, ['b']))
  t.like(add(history, [draft('d')]), { result: { index: 1 } })
  t.like(add(new History(), [draft('d')]), { result: { index: 0 } })
})

const WRONG: [what: string, change: Change, why: Reason][] = [
  ...['', ' ', '\n\t\r ', '\u00a0\u2003\ufeff', '\ud800', 'x\udc00', '\udc00\ud800'].map(
    (text, i) => [`blank or broken text ${i + 1}`, { text }, 'todo_text_invalid'] as [string, Change, Reason],
  ),
  ['text of 10,001 letters', { text: 'x'.repeat(10_001) }, 'todo_too_long'],
  ['text of 10,001 signs', { text: '\u{1f4a5}'.repeat(10_001) }, 'todo_too_long'],
  ['text that is long for its blanks', { text: `${' '.repeat(10_000)}x` }, 'todo_too_long'],
  ['notes of 10,001 letters', { notes: 'x'.repeat(10_001) }, 'notes_invalid'],
  ['notes with half a pair', { notes: 'x\ud800' }, 'notes_invalid'],
  ['due 30 February', { due: '2026-02-30' }, 'due_invalid'],
  ['due at 25:00', { due: '2026-12-01T25:00Z' }, 'due_invalid'],
  ['due with offset +99', { due: '2026-12-01T17:00+99:00' }, 'due_invalid'],
  ['due never', { due: '' }, 'due_invalid'],
  ...[0, 5, -1, 1.5, Number.NaN, Number.POSITIVE_INFINITY].map(
    (priority) => [`priority ${priority}`, { priority }, 'priority_invalid'] as [string, Change, Reason],
  ),
  ['everything wrong', { text: '', notes: '\ud800', due: '', priority: 0 }, 'todo_text_invalid'],
]
for (const [what, change, why] of WRONG)
  test(`82. ${what} is refused: ${why}, by an addition and by a change`, (t) => {
    const history = start('a')
    t.is(changeWrong(change), why)
    const { text = 'right', notes = null, due = null, priority = null } = change
    t.deepEqual(add(history, [draft('b', { text, notes, due, priority })]), { facts: [], refusal: why })
    t.deepEqual(edit(history, 'a', change), { facts: [], refusal: why })
    if (why === 'due_invalid')
      t.deepEqual(
        rescheduleTodos(
          history.state,
          { owner: 'alice', items: [{ id: 'a', due: change.due ?? null }], limits: AMPLE },
          NOON,
        ),
        { facts: [], result: { items: [], failures: [{ id: 'a', why }] }, keeps: {} },
      )
  })

test('82. the longest texts and notes are 10,000 characters, counted as people count them', (t) => {
  t.is(MAX_TEXT_LENGTH, 10_000)
  for (const text of ['x'.repeat(10_000), '\u{1f4a5}'.repeat(10_000)])
    t.is(changeWrong({ text, notes: text, due: null, priority: null }), undefined)
  for (const priority of [1, 2, 3, 4, null]) t.is(changeWrong({ priority }), undefined)
  t.is(changeWrong({ notes: '' }), undefined)
  t.is(changeWrong({}), undefined)
})

test('of 25 with one bad, none is added', (t) => {
  const history = start('a')
  for (const at of [0, 12, 24])
    for (const [what, wrong, why] of WRONG) {
      const { done: _, ...more } = wrong
      const items = Array.from({ length: 25 }, (_, i) => draft(`n${i}`, i === at ? more : {}))
      t.deepEqual(add(history, items), { facts: [], refusal: why }, `${at}: ${what}`)
    }
})

test('87. a list has at most MAX_OPEN_TODOS open to-dos; each list is counted alone; done and deleted ones do not count', (t) => {
  const history = start('a', 'b')
  const two: ListLimits = { ...AMPLE, open: 2 }
  t.deepEqual(add(history, [draft('c')], two), { facts: [], refusal: 'list_full' })
  t.is(add(history, [draft('c')], two, 'bob').refusal, undefined)
  t.deepEqual(add(history, [draft('c'), draft('d')], two, 'bob'), { facts: [], refusal: 'list_full' })
  history.when(complete(history, ['a']))
  t.is(add(history, [draft('c')], two).refusal, undefined)
  history.when(remove(history, ['b']))
  t.is(add(history, [draft('c'), draft('d')], two).refusal, undefined)
  t.is(add(history, [draft('c'), draft('d'), draft('e')], two).refusal, 'list_full')
})

test('87. a list, and all lists together, take so much memory and no more', (t) => {
  const history = start('a')
  const [one, his] = [sizeOf({ text: 'text of a' }), sizeOf({ text: 'text of his' })]
  t.is(history.state.todos.sizeBy('owner', 'alice'), one)
  t.is(history.state.todos.totalSize, one + his)
  const limits = (size: number, sizeOfAll: number): ListLimits => ({ open: 100, size, sizeOfAll })
  const fits = add(history, [draft('b')], limits(2 * one, 2 * one + his))
  t.is(fits.refusal, undefined)
  t.deepEqual(add(history, [draft('b')], limits(2 * one - 1, 1e9)), { facts: [], refusal: 'list_too_large' })
  t.deepEqual(add(history, [draft('b')], limits(1e9, 2 * one + his - 1)), { facts: [], refusal: 'daybook_full' })
  const two = [draft('b'), draft('c')]
  t.is(add(history, two, limits(3 * one - 1, 1e9)).refusal, 'list_too_large')
  t.deepEqual(add(history, two, limits(1e9, 3 * one + his - 1)), { facts: [], refusal: 'daybook_full' })
  t.is(add(history, two, limits(3 * one, 3 * one + his)).refusal, undefined)
  history.when(remove(history, ['a']))
  t.is(add(history, [draft('b')], limits(one, 1e9)).refusal, undefined, 'a deleted one leaves its list')
  t.is(add(history, [draft('b')], limits(1e9, 2 * one + his - 1)).refusal, 'daybook_full', 'but not the memory')
})

test('what a text takes when it is stored is what the vault makes of it', (t) => {
  const vault = new Vault()
  vault.put('key/u', newKey())
  fc.assert(
    fc.property(fc.string({ unit: 'binary', maxLength: 200 }), (text) => {
      const texts = { text: text.toWellFormed() }
      return storedSize(texts) === vault.seal(texts, { id: 'e', member: 'sealed', owner: 'u' }).length
    }),
    { numRuns: 500 },
  )
  t.pass()
})

test('a change sets what it names, and leaves the rest; null takes away', (t) => {
  const history = start('a')
  const first = { notes: 'n', due: '2026-12-01', priority: 2 }
  t.deepEqual(history.when(edit(history, 'a', first)), {
    facts: [
      {
        type: 'TodoChanged',
        data: { ...of('a'), fields: ['notes', 'due'], cleared: [], priority: 2 },
        personal: { ...excerpt('a'), notes: 'n', due: '2026-12-01' },
      },
    ],
    result: item('a', { notes: 'n', due: '2026-12-01', priority: 2, updated_at: LATER }),
    keeps: {},
  })
  t.deepEqual(history.when(edit(history, 'a', { text: 'new', due: null })), {
    facts: [
      {
        type: 'TodoChanged',
        data: { ...of('a'), fields: ['text'], cleared: ['due'] },
        personal: { ...excerpt('a'), text: 'new' },
      },
    ],
    result: item('a', { todo: 'new', notes: 'n', priority: 2, updated_at: LATER }),
    keeps: {},
  })
  t.deepEqual(history.when(edit(history, 'a', { notes: null, priority: null })), {
    facts: [
      {
        type: 'TodoChanged',
        data: { ...of('a'), fields: [], cleared: ['notes'], priority: null },
        personal: { excerpt: 'new' },
      },
    ],
    result: item('a', { todo: 'new', updated_at: LATER }),
    keeps: {},
  })
  t.deepEqual(getItem(history.state, 'alice', 'a'), item('a', { todo: 'new', updated_at: LATER }))
})

test('a change to the same values records no event and leaves the to-do as it was', (t) => {
  const history = start('a')
  history.when(edit(history, 'a', { notes: 'n', due: '2026-12-01', priority: 4, done: true }))
  const now = getItem(history.state, 'alice', 'a')!
  history.now += SECOND
  const same: Change[] = [
    {},
    { text: 'text of a' },
    { notes: 'n', due: '2026-12-01', priority: 4, done: true },
    { text: 'text of a', notes: 'n' },
  ]
  for (const change of same) t.deepEqual(edit(history, 'a', change), { facts: [], result: now, keeps: {} })
  const bare = start('b')
  t.deepEqual(edit(bare, 'b', { notes: null, due: null, priority: null, done: false }).facts, [])
  // The same moment, or what looks the same, is another text: it is kept as it came.
  t.is(edit(history, 'a', { due: '2026-12-01T00:00Z' }).facts.length, 1)
  t.is(edit(history, 'a', { text: 'text of a ' }).facts.length, 1)
})

test('one change may set texts and complete or reopen: two events, one result', (t) => {
  const history = start('a')
  const done = history.when(edit(history, 'a', { text: 'new', done: true }))
  t.deepEqual(done, {
    facts: [
      {
        type: 'TodoChanged',
        data: { ...of('a'), fields: ['text'], cleared: [] },
        personal: { ...excerpt('a'), text: 'new' },
      },
      { type: 'TodoCompleted', data: of('a'), personal: { excerpt: 'new' } },
    ],
    result: item('a', { todo: 'new', done: true, updated_at: LATER, done_at: LATER }),
    keeps: {},
  })
  const open = history.when(edit(history, 'a', { done: false }))
  t.deepEqual(open.facts, [{ type: 'TodoReopened', data: of('a'), personal: { excerpt: 'new' } }])
  t.deepEqual(getItem(history.state, 'alice', 'a'), item('a', { todo: 'new', updated_at: LATER }))
})

test('a change of what is not there, is deleted, or is another’s is refused alike', (t) => {
  const history = start('a')
  history.when(remove(history, ['a']))
  for (const id of ['a', 'his', 'none', '', '__proto__'])
    t.deepEqual(edit(history, id, { text: 'new' }), { facts: [], refusal: 'todo_unknown' })
  t.is(getItem(history.state, 'alice', 'his'), undefined)
})

test('a change that expects another to-do than there is does nothing, whatever else is wrong with it', (t) => {
  const history = start('a')
  const seen: Item[] = []
  const expects = (one: Item): boolean => seen.push(one) < 0
  t.deepEqual(edit(history, 'a', { text: '' }, AMPLE, expects), { facts: [], refusal: 'precondition_failed' })
  t.deepEqual(seen, [item('a')])
  t.is(edit(history, 'a', { text: 'new' }, AMPLE, () => true).refusal, undefined)
})

test('87. a change may take the room that there is, and a full list may always shrink', (t) => {
  const history = start('a')
  const long = 'x'.repeat(1000)
  const growth = 2 * (storedSize({ ...excerpt('a'), text: long }) - storedSize({ text: 'text of a' }))
  const [size, all] = [history.state.todos.sizeBy('owner', 'alice'), history.state.todos.totalSize]
  const limits = (list: number, total: number): ListLimits => ({ open: 100, size: list, sizeOfAll: total })
  t.is(edit(history, 'a', { text: long }, limits(size + growth - 1, 1e9)).refusal, 'list_too_large')
  t.is(edit(history, 'a', { text: long }, limits(1e9, all + growth - 1)).refusal, 'daybook_full')
  t.is(history.when(edit(history, 'a', { text: long }, limits(size + growth, all + growth))).refusal, undefined)
  t.is(history.state.todos.sizeBy('owner', 'alice'), size + growth)
  const none = limits(0, 0)
  for (const change of [{ priority: 1 }, { text: 'short' }, { done: true }] as Change[])
    t.is(history.when(edit(history, 'a', change, none)).refusal, undefined, JSON.stringify(change))
  history.when(edit(history, 'a', { notes: long, due: '2026-12-01' }))
  for (const change of [{ notes: null }, { due: null }] as Change[])
    t.is(history.when(edit(history, 'a', change, none)).refusal, undefined, JSON.stringify(change))
})

test('completing and reopening several: those already in that state stay, unknown ids are reported', (t) => {
  const history = start('a', 'b', 'c')
  t.deepEqual(history.when(complete(history, ['b', 'none', 'b', 'his', 'a'])), {
    facts: [
      { type: 'TodoCompleted', data: of('b'), personal: excerpt('b') },
      { type: 'TodoCompleted', data: of('a'), personal: excerpt('a') },
    ],
    result: {
      items: [
        item('b', { done: true, done_at: LATER, updated_at: LATER }),
        item('a', { done: true, done_at: LATER, updated_at: LATER }),
      ],
      failures: [
        { id: 'none', why: 'todo_unknown' },
        { id: 'his', why: 'todo_unknown' },
      ],
    },
    keeps: {},
  })
  t.deepEqual(openTexts(history, 'alice'), ['text of c'])
  history.now += SECOND
  const again = complete(history, ['a'])
  t.deepEqual(again.facts, [])
  t.like(again, { result: { items: [{ id: 'a', done_at: LATER, updated_at: LATER }], failures: [] } })
  t.deepEqual(history.when(reopen(history, ['a', 'c'])).facts, [
    { type: 'TodoReopened', data: of('a'), personal: excerpt('a') },
  ])
  t.deepEqual(openTexts(history, 'alice'), ['text of a', 'text of c'], 'where it was')
  t.like(getItem(history.state, 'alice', 'a'), { done: false, done_at: null })
})

test('reopening stops where the list is full; completing in the same list makes room', (t) => {
  const history = start('a', 'b', 'c', 'd')
  history.when(complete(history, ['a', 'b', 'c']))
  const two: ListLimits = { ...AMPLE, open: 2 }
  t.like(reopen(history, ['a', 'b', 'c'], two), {
    result: {
      failures: [
        { id: 'b', why: 'list_full' },
        { id: 'c', why: 'list_full' },
      ],
    },
  })
  t.is(edit(history, 'a', { done: false }, { ...AMPLE, open: 1 }).refusal, 'list_full')
  t.is(edit(history, 'd', { done: true }, { ...AMPLE, open: 0 }).refusal, undefined)
  t.is(complete(history, ['d'], { open: 0, size: 0, sizeOfAll: 0 }).refusal, undefined)
})

test('rescheduling several: each once, the later date counts; what fails does not hold up the others', (t) => {
  const history = start('a', 'b', 'c')
  history.when(edit(history, 'c', { due: '2026-12-24' }))
  const items = [
    { id: 'a', due: '2026-12-01' },
    { id: 'b', due: '2026-02-30' },
    { id: 'none', due: null },
    { id: 'c', due: null },
    { id: 'a', due: '2026-12-02T09:00+01:00' },
  ]
  const decision = history.when(
    rescheduleTodos(history.state, { owner: 'alice', items, limits: AMPLE }, history.now + SECOND),
  )
  t.deepEqual(decision.facts, [
    {
      type: 'TodoChanged',
      data: { ...of('a'), fields: ['due'], cleared: [] },
      personal: { ...excerpt('a'), due: '2026-12-02T09:00+01:00' },
    },
    { type: 'TodoChanged', data: { ...of('c'), fields: [], cleared: ['due'] }, personal: excerpt('c') },
  ])
  t.like(decision, {
    result: {
      failures: [
        { id: 'b', why: 'due_invalid' },
        { id: 'none', why: 'todo_unknown' },
      ],
    },
  })
  const again = { owner: 'alice', items: [{ id: 'c', due: null }], limits: { open: 0, size: 0, sizeOfAll: 0 } }
  t.deepEqual(rescheduleTodos(history.state, again, NOON).facts, [], 'nothing differs')
  t.like(rescheduleTodos(history.state, { ...again, items: [{ id: 'b', due: '2026-12-01' }] }, NOON), {
    result: { failures: [{ id: 'b', why: 'list_too_large' }] },
  })
})
