/** To-dos: each list in its order, with exact texts, in its limits, and nobody else’s. */
import test from 'ava'
import { addTodo, deleteTodo, MAX_TEXT_LENGTH, openTodos } from '../../src/domain/todos.ts'
import { History, keysOf, registered } from './_history.ts'

const added = (user: string, ...texts: string[]) =>
  texts.map((text) => ({ type: 'TodoAdded', data: { todo: `${user}-${text}`, user }, personal: { text } }) as const)
const start = (): History => new History().given(registered('alice'), registered('bob'))
const texts = (history: History, user: string, from?: number): string[] =>
  [...openTodos(history.state, user, from)].map(({ text }) => text)

test('79. a to-do is recorded with its text as personal text; its index is its place in its own list', (t) => {
  const history = start().given(...added('bob', 'x', 'y'), ...added('alice', 'milk'))
  const input = { user: 'alice', todo: 't1', text: 'bread', most: most(10) }
  t.deepEqual(history.when(addTodo(history.state, input)), {
    facts: [{ type: 'TodoAdded', data: { todo: 't1', user: 'alice' }, personal: { text: 'bread' } }],
    result: 1,
    keeps: {},
  })
  t.deepEqual(
    [...openTodos(history.state, 'alice')],
    [
      { id: 'alice-milk', text: 'milk' },
      { id: 't1', text: 'bread' },
    ],
  )
})

test('the list stands in the order of the book, whatever the ids and the clock say', (t) => {
  const history = start().given(...added('alice', 'c'))
  history.now -= 3_600_000
  history.given(...added('bob', 'z'), ...added('alice', 'a', 'b'))
  t.deepEqual(texts(history, 'alice'), ['c', 'a', 'b'])
  t.deepEqual(texts(history, 'bob'), ['z'])
  t.deepEqual(texts(history, 'nobody'), [])
})

test('87. a list can be read from any index on', (t) => {
  const history = start().given(...added('alice', 'a', 'b', 'c'))
  for (const [from, left] of [
    [0, 'abc'],
    [1, 'bc'],
    [2, 'c'],
    [3, ''],
    [999_999_999, ''],
  ] as const)
    t.is(texts(history, 'alice', from).join(''), left)
})

test('82. a text has something in it and at most 10,000 characters, counted as people count them', (t) => {
  const { state } = start()
  const add = (text: string) => addTodo(state, { user: 'alice', todo: 't1', text, most: most(10) })
  const blank = ['', ' ', '\n\t\r ', '\u00a0\u2003\ufeff']
  const broken = ['\ud800', 'x\udc00', '\udc00\ud800']
  for (const text of [...blank, ...broken])
    t.deepEqual(add(text), { facts: [], refusal: 'todo_text_invalid' }, JSON.stringify(text))
  t.is(MAX_TEXT_LENGTH, 10_000)
  for (const text of ['x'.repeat(10_001), '\u{1f4a5}'.repeat(10_001), `${' '.repeat(10_000)}x`])
    t.deepEqual(add(text), { facts: [], refusal: 'todo_too_long' })
})

const most = (open: number) => ({ open, size: 1e6, sizeOfAll: 1e6 })

test('84. a text is kept as it was written, to the last character', (t) => {
  const odd = ['x', ' x ', '<script>alert(1)</script>', '=1+1', '\u001b[31mred', '\u0000', '\u202e', '"\\', '__proto__']
  const long = ['x'.repeat(10_000), '\u{1f4a5}'.repeat(10_000), 'é', 'e\u0301']
  const history = start()
  for (const [i, text] of [...odd, ...long].entries())
    t.is(
      history.when(addTodo(history.state, { user: 'alice', todo: `t${i}`, text, most: most(100) })).refusal,
      undefined,
    )
  t.deepEqual(texts(history, 'alice'), [...odd, ...long])
})

test('87. a list holds so many and no more; each list for itself; a deleted one leaves its place', (t) => {
  const history = start().given(...added('alice', 'a', 'b'), ...added('bob', 'x'))
  const add = (user: string) => addTodo(history.state, { user, todo: 't1', text: 'new', most: most(2) })
  t.deepEqual(add('alice'), { facts: [], refusal: 'list_full' })
  t.is(add('bob').refusal, undefined)
  history.when(deleteTodo(history.state, { user: 'alice', index: 0, text: undefined }))
  t.is(add('alice').refusal, undefined)
})

test('deleting takes what stands at that index, and moves up what follows', (t) => {
  const history = start().given(...added('alice', 'a', 'b', 'c'), ...added('bob', 'x', 'y'))
  t.deepEqual(history.when(deleteTodo(history.state, { user: 'alice', index: 1, text: undefined })), {
    facts: [{ type: 'TodoDeleted', data: { todo: 'alice-b', user: 'alice' }, personal: { text: 'b' } }],
    result: { id: 'alice-b', text: 'b' },
    keeps: {},
  })
  t.deepEqual(history.when(deleteTodo(history.state, { user: 'alice', index: 1, text: 'c' })).refusal, undefined)
  t.deepEqual([texts(history, 'alice'), texts(history, 'bob')], [['a'], ['x', 'y']])
})

test('83. an index where nothing stands is refused, and the list is untouched', (t) => {
  const history = start().given(...added('alice', 'a', 'b'), ...added('bob', 'x', 'y', 'z'))
  for (const index of [2, -1, -2, 0.5, 1e9, Number.NaN, Number.POSITIVE_INFINITY, Number.MAX_SAFE_INTEGER])
    t.deepEqual(deleteTodo(history.state, { user: 'alice', index, text: undefined }), {
      facts: [],
      refusal: 'todo_index_unknown',
    })
  t.is(deleteTodo(history.state, { user: 'nobody', index: 0, text: undefined }).refusal, 'todo_index_unknown')
  t.deepEqual(texts(history, 'alice'), ['a', 'b'])
})

test('a text that is not the one at that index is refused, and the list is untouched', (t) => {
  const history = start().given(...added('alice', 'a', 'b'))
  for (const text of ['b', 'A', 'a ', '', 'a\u0000'])
    t.deepEqual(deleteTodo(history.state, { user: 'alice', index: 0, text }), { facts: [], refusal: 'todo_differs' })
  t.is(deleteTodo(history.state, { user: 'alice', index: 0, text: 'a' }).refusal, undefined)
})

test('what was erased is still counted, shows no text, and what is not there is not deleted', (t) => {
  const history = start().given(...added('alice', 'a', 'b'))
  history.erased.add('alice')
  t.deepEqual(texts(history, 'alice'), ['', ''])
  t.notThrows(() =>
    history.given({ type: 'TodoDeleted', data: { todo: 'gone', user: 'alice' }, personal: { text: 'x' } }),
  )
  t.deepEqual(keysOf(history.state.todos), ['alice-a', 'alice-b'])
})

test('a list that is erased leaves nothing', (t) => {
  const { state } = new History().given(
    { type: 'ListOpened', data: { user: 'l1' }, personal: { name: 'x' } },
    { type: 'TodoAdded', data: { todo: 't1', user: 'l1' }, personal: { text: 'x' } },
    { type: 'ListErased', data: { user: 'l1' } },
  )
  t.deepEqual([state.lists.size, state.todos.size, state.todos.totalSize], [0, 0, 0])
})
