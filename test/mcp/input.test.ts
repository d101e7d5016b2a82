/** Bad arguments: each is answered so that a model can act on it, changes nothing, and says nothing of the inside. */
import test from 'ava'
import { GENERATIONS, startMcp } from './_mcp.ts'

const START = 'Input validation error: Invalid arguments for tool'
const DUE = '"due" must be a date (2026-12-01), a date and time with offset (2026-12-01T17:00:00+01:00), or null.'
const BOUND = 'must be a date (2026-12-01) or a date and time with offset; leave it out if there is none.'
const KEYS = 'must be 1 to 255 visible ASCII characters.'

const BAD_DUES = [
  '2026-02-30',
  '2026-13-01',
  '2026-12-01T25:00:00Z',
  '2026-12-01T12:60:00Z',
  '2026-12-01T12:00:00',
  '2026-12-01T12:00:00+99:00',
  '2026-12-01T12:00:00+15:00',
  '2026-12-1',
  'tomorrow',
  '',
]

/** Tool, arguments, and what is said after the start. */
const bad: readonly (readonly [tool: string, args: object, said: string])[] = [
  ['find_todos', { query: 1 }, 'query: Invalid input: expected string, received number'],
  ['find_todos', { state: 'closed' }, 'state: Invalid option: expected one of "open"|"done"|"all"|"deleted"'],
  ['find_todos', { limit: 0 }, 'limit: Too small: expected number to be >=1'],
  ['find_todos', { limit: 101 }, 'limit: Too big: expected number to be <=100'],
  ['find_todos', { limit: 1.5 }, 'limit: Invalid input: expected int, received number'],
  ['find_todos', { due_before: '2026-02-30' }, `due_before: ${BOUND}`],
  ['find_todos', { due_after: '' }, `due_after: ${BOUND}`],
  [
    'find_todos',
    { sort: 'due', constructor: 1 },
    'there is no argument "sort", "constructor" here. It takes: query, state, due_before, due_after, limit, cursor.',
  ],
  ['find_todos', { query: 'x'.repeat(201) }, 'query: Too big: expected string to have <=200 characters'],
  ['add_todos', {}, 'items: Invalid input: expected array, received undefined'],
  ['add_todos', { items: [] }, 'items: Too small: expected array to have >=1 items'],
  ['add_todos', { items: Array(26).fill({ todo: 'x' }) }, 'items: Too big: expected array to have <=25 items'],
  ['add_todos', { items: 'x' }, 'items: Invalid input: expected array, received string'],
  ['add_todos', { items: [{ todo: ' ' }] }, 'items.0.todo: "todo" must be a text with something in it.'],
  ['add_todos', { items: [{ todo: '\ud800' }] }, 'items.0.todo: "todo" must be a text with something in it.'],
  ['add_todos', { items: [{ todo: 'x'.repeat(10_001) }] }, 'items.0.todo: "todo" may have at most 10,000 characters.'],
  [
    'add_todos',
    { items: [{ todo: 'x', notes: 'x'.repeat(10_001) }] },
    'items.0.notes: "notes" must be a text of at most 10,000 characters, or null.',
  ],
  [
    'add_todos',
    { items: [{ todo: 'x', priority: 5 }] },
    'items.0.priority: "priority" must be 1 (highest), 2, 3, 4, or null.',
  ],
  [
    'add_todos',
    { items: [{ todo: 'x', priority: '1' }] },
    'items.0.priority: "priority" must be 1 (highest), 2, 3, 4, or null.',
  ],
  [
    'add_todos',
    { items: [{ todo: 'x', done: true }] },
    'items.0: there is no argument "done" here. It takes: todo, due, priority, notes.',
  ],
  ['add_todos', { items: [{ todo: 'x' }], idempotency_key: '' }, `idempotency_key: ${KEYS}`],
  ['add_todos', { items: [{ todo: 'x' }], idempotency_key: 'ü' }, `idempotency_key: ${KEYS}`],
  [
    'add_todos',
    { items: Array.from({ length: 25 }, (_, i) => ({ todo: 'x', due: i === 17 ? '2026-02-30' : '2026-02-28' })) },
    `items.17.due: ${DUE}`,
  ],
  ...BAD_DUES.map((due) => ['add_todos', { items: [{ todo: 'x', due }] }, `items.0.due: ${DUE}`] as const),
  ['reschedule_todos', { items: [{ id: 'x', due: '2026-12-01T25:00Z' }] }, `items.0.due: ${DUE}`],
  ['reschedule_todos', { items: [{ id: 'x' }] }, 'items.0.due: Invalid input: expected string, received undefined'],
  ['update_todo', { id: 'x' }, 'give at least one of todo, notes, priority.'],
  [
    'update_todo',
    { id: 'x', todo: 'y', due: null },
    'there is no argument "due" here. It takes: id, todo, notes, priority. For the due date call reschedule_todos.',
  ],
  [
    'update_todo',
    { id: 'x', todo: 'y', done: true },
    'there is no argument "done" here. It takes: id, todo, notes, priority. To mark it done call complete_todos, to open it again reopen_todos.',
  ],
  ['complete_todos', { ids: 'x' }, 'ids: Invalid input: expected array, received string'],
  ['complete_todos', { ids: [1] }, 'ids.0: Invalid input: expected string, received number'],
  ['delete_todos', { ids: Array(26).fill('x') }, 'ids: Too big: expected array to have <=25 items'],
  ['undo_delete', { ids: ['x'.repeat(65)] }, 'ids.0: Too big: expected string to have <=64 characters'],
  ['move_todo', { id: 'x' }, 'give exactly one of before, after, position.'],
  ['move_todo', { id: 'x', before: 'y', position: 1 }, 'give exactly one of before, after, position.'],
  ['move_todo', { id: 'x', position: 0 }, 'position: Too small: expected number to be >=1'],
  ['get_overview', { today: '2026-02-30' }, 'today: must be a date that exists, such as 2026-12-01.'],
  ['search', {}, 'query: Invalid input: expected string, received undefined'],
  ['fetch', { id: null }, 'id: Invalid input: expected string, received null'],
  ['get_profile', { id: 'x' }, 'there is no argument "id" here. It takes none.'],
]

for (const generation of GENERATIONS)
  test(`${generation}: wrong and unknown arguments are named, and nothing is changed`, async (t) => {
    const { world, alice } = await startMcp(t)
    for (const [tool, args, said] of bad) {
      const text = await alice.failed(tool, args, { generation })
      t.is(text, `${START} ${tool}: ${said}`, JSON.stringify(args).slice(0, 200))
    }
    t.deepEqual(await world.news(), [])
    t.deepEqual(await alice.did('find_todos', { state: 'all' }, { generation }), {
      items: [],
      next_cursor: null,
      total: 0,
    })
  })

test('names that nobody could have meant are told in part, and members of the prototype are no arguments', async (t) => {
  const { world, alice } = await startMcp(t)
  const many = Object.fromEntries(Array.from({ length: 400 }, (_, i) => [`${'x'.repeat(100)}${i}`, 1]))
  t.true((await alice.failed('find_todos', many)).length < 500)
  const tooMany = Object.fromEntries(Array.from({ length: 501 }, (_, i) => [`x${i}`, 1]))
  t.regex(await alice.failed('find_todos', tooMany), /more than the maximum of 500 elements$/)
  const call = (args: string) =>
    alice.post(`{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"add_todos","arguments":${args}}}`)
  const { json } = await call('{"__proto__":{"items":[{"todo":"x"}]}}')
  t.regex(json.result.content[0].text, /items: Invalid input: expected array, received undefined/)
  for (const args of ['null', '[]', '"x"', '1']) t.is((await call(args)).json.error.code, -32602, args)
  t.deepEqual(await world.news(), [])
})

test('an unknown tool is an error of the protocol', async (t) => {
  const { world, alice } = await startMcp(t)
  for (const generation of GENERATIONS)
    for (const name of ['nope', 'FIND_TODOS', 'constructor', '__proto__', '']) {
      const { json } = await alice.ask({ method: 'tools/call', params: { name, arguments: {} } }, generation)
      t.true([-32602, -32020].includes(json.error.code), `${generation} ${name} ${JSON.stringify(json)}`)
    }
  t.deepEqual(await world.news(), [])
})

test('87. a full list is told with what to do about it; a batch that does not fit adds nothing', async (t) => {
  const { world, alice } = await startMcp(t, { maxOpenTodos: 3 })
  await alice.did('add_todos', { items: [{ todo: 'one' }, { todo: 'two' }] })
  await world.news()
  const full =
    'The list has reached its limit of open to-dos. Ask the user which are done or may be deleted. Add or reopen none until then.'
  t.is(await alice.failed('add_todos', { items: [{ todo: 'three' }, { todo: 'four' }] }), full)
  t.deepEqual(await world.news(), [])
  const [three] = (await alice.did('add_todos', { items: [{ todo: 'three' }] })).items
  await alice.did('complete_todos', { ids: [three.id] })
  await alice.did('add_todos', { items: [{ todo: 'four' }] })
  t.is(await alice.failed('reopen_todos', { ids: [three.id] }), `Nothing was changed. ${three.id}: ${full}`)
  t.deepEqual(await world.news(), ['TodoAdded', 'TodoCompleted', 'TodoAdded'])
})

test('87. a list that is too large is told with what to do about it, which is not to complete some', async (t) => {
  const { world, alice } = await startMcp(t, { maxListSize: 40_000 })
  const long = { todo: 'x'.repeat(9000) }
  const [one] = (await alice.did('add_todos', { items: [long] })).items
  await alice.did('complete_todos', { ids: [one.id] })
  await world.news()
  const full =
    'The list has reached its size limit. Ask the user which to-dos may be deleted. Until then add no text, notes or due dates.'
  t.is(await alice.failed('add_todos', { items: [long] }), full)
  t.is(await alice.failed('update_todo', { id: one.id, notes: 'y'.repeat(9000) }), full)
  t.deepEqual(await world.news(), [])
  await alice.did('delete_todos', { ids: [one.id] })
  t.is((await alice.did('add_todos', { items: [long] })).items.length, 1)
})

test('a batch of 25 to-dos of full length, every character escaped, is taken', async (t) => {
  const { world, alice } = await startMcp(t, { maxListSize: 40_000_000 })
  const todo = '\\u00e9'.repeat(10_000)
  const items = Array(25).fill(`{"todo":"${todo}"}`).join(',')
  const body = `{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"add_todos","arguments":{"items":[${items}]}}}`
  t.true(body.length > 1_500_000)
  const { status, json } = await alice.post(body)
  t.is(status, 200)
  t.is(json.result.structuredContent.items.length, 25)
  t.is(json.result.structuredContent.items[24].todo, 'é'.repeat(10_000))
  t.is((await world.news()).length, 25)
})
