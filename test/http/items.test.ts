/** H. To-dos by id: each route as its callers see it, with the exact events that it leaves. */
import test from 'ava'
import type { Item } from '../../src/service/todos.ts'
import { BATCH, begin, ITEMS, NO_ID } from './_items.ts'

const DAY_MS = 86_400_000
const NOON = '2026-11-20T12:00:00.000Z'
const FULL = { todo: 'buy milk', due: '2026-12-01T17:00:00+01:00', priority: 1, notes: 'two litres\n' }
const bodyOf = ({ headers, text }: { headers: Headers; text: string }) => [headers.get('etag'), text]
const namesOf = (items: readonly Item[]): string => items.map(({ todo }) => todo).join(' ')

test('adding one: 201 with every member, its address and its tag; one event, its text sealed', async (t) => {
  const { ask, news, events, url } = await begin(t)
  const headers = { 'openai-conversation-id': 'c1' }
  const added = await ask('POST', '/todos/ALICE/items', { ...FULL, username: 'alice' }, headers)
  const { id } = added.json
  const times = { created_at: NOON, updated_at: NOON, done_at: null }
  t.is(added.status, 201)
  t.regex(id, /^[0-9A-HJKMNP-TV-Z]{26}$/)
  const { todo, due, priority, notes } = FULL
  t.is(added.text, JSON.stringify({ id, todo, done: false, due, priority, notes, ...times }))
  t.is(added.headers.get('location'), `${url}/todos/ALICE/items/${id}`)
  t.is(added.headers.get('cache-control'), 'no-store')
  t.regex(added.headers.get('etag')!, /^"[\w-]{22}"$/)
  t.deepEqual(await news(), ['TodoAdded'])
  const event = (await events()).at(-1)!
  t.like(event, { actor: { kind: 'user' }, via: { client: 'chatgpt', conversation: 'c1' } })
  t.deepEqual(event.data, { ...event.data, todo: id, priority: 1, fields: ['text', 'notes', 'due'] })
  t.false(/milk|litres|2026-12/.test(JSON.stringify(event)))
  const got = await ask('GET', `${ITEMS}/${id}`)
  t.deepEqual([got.status, ...bodyOf(got)], [200, ...bodyOf(added)])
  const bare = (await ask('POST', ITEMS, { todo: 'x', due: null, priority: null, notes: '' })).json
  t.deepEqual(bare, { id: bare.id, todo: 'x', done: false, due: null, priority: null, notes: null, ...times })
  t.deepEqual((await ask('GET', '/todos/me')).json, { todos: ['buy milk', 'x'] }, 'the same list by index')
})

test('PATCH is a merge: what is absent stays, null takes away, what is the same changes nothing', async (t) => {
  const { ask, add, news, clock } = await begin(t)
  const [item] = await add(FULL)
  const path = `${ITEMS}/${item!.id}`
  let now: object = item!
  /** Patches, and asserts the exact item that comes of it. */
  const patch = async (body: object, becomes: object, ...types: string[]) => {
    clock.pass(1000)
    const updated = { updated_at: new Date(clock.now).toISOString() }
    const answer = await ask('PATCH', path, body)
    now = { ...now, ...becomes, ...(types.length > 0 ? updated : {}) }
    t.deepEqual([answer.status, answer.json], [200, now], JSON.stringify(body))
    t.deepEqual(await news(), types, JSON.stringify(body))
    t.deepEqual(bodyOf(await ask('GET', path)), bodyOf(answer))
  }
  await patch({}, {})
  await patch({ username: 'alice' }, {})
  await patch({ ...FULL, done: false }, {})
  await patch({ todo: 'buy oat milk' }, { todo: 'buy oat milk' }, 'TodoChanged')
  await patch({ due: '2026-12-02' }, { due: '2026-12-02' }, 'TodoChanged')
  await patch({ notes: null, priority: null }, { notes: null, priority: null }, 'TodoChanged')
  await patch({ notes: null, priority: null }, {})
  await patch({ notes: '' }, {})
  await patch({ due: null, priority: 4, notes: 'n' }, { due: null, priority: 4, notes: 'n' }, 'TodoChanged')
  const done = { done: true, done_at: new Date(clock.now + 1000).toISOString() }
  await patch({ done: true }, done, 'TodoCompleted')
  await patch({ done: true }, {})
  await patch(
    { todo: 'both', done: false },
    { todo: 'both', done: false, done_at: null },
    'TodoChanged',
    'TodoReopened',
  )
})

test('PATCH takes a merge patch by its own media type and as JSON, and nothing else', async (t) => {
  const { ask, add, refused, news } = await begin(t)
  const [item] = await add('x')
  const patch = (type: string) => ask('PATCH', `${ITEMS}/${item!.id}`, { todo: type }, { 'content-type': type })
  for (const type of [
    'application/json',
    'application/merge-patch+json',
    'application/merge-patch+json; charset=utf-8',
  ]) {
    t.is((await patch(type)).json.todo, type)
    t.deepEqual(await news(), ['TodoChanged'])
  }
  for (const type of ['application/json-patch+json', 'text/plain', 'application/x-www-form-urlencoded'])
    await refused(await patch(type), 415, 'unsupported_media_type', type)
  const post = await ask('POST', ITEMS, { todo: 'x' }, { 'content-type': 'application/merge-patch+json' })
  await refused(post, 415, 'unsupported_media_type', 'a patch adds nothing')
})

const LONG = 'x'.repeat(10_001)
/** Members that are wrong by themselves, wherever they stand. */
const WRONG: [object, number, string][] = [
  ...[null, 0, true, ['x'], {}, '', ' \n', '\ud800'].map((todo): [object, number, string] => [
    { todo },
    400,
    'invalid_todo',
  ]),
  [{ todo: LONG }, 413, 'too_large'],
  ...[0, 5, -1, 1.5, '1', true, [], {}].map((priority): [object, number, string] => [
    { priority },
    400,
    'invalid_priority',
  ]),
  ...[1, true, [], {}, LONG, '\udc00'].map((notes): [object, number, string] => [{ notes }, 400, 'invalid_notes']),
  ...[
    ...[
      '2026-02-30',
      '2025-02-29',
      '2026-13-01',
      '2026-00-10',
      '2026-1-1',
      '0000-01-01',
      '+002026-12-01',
      'tomorrow',
      '',
    ],
    ...[
      '2026-12-01T25:00:00Z',
      '2026-12-01T24:00:00Z',
      '2026-12-01T10:60Z',
      '2026-12-01T23:59:60Z',
      '2026-12-01T10:00:00',
    ],
    ...['2026-12-01T10:00:00+99:00', '2026-12-01T10:00:00+15:00', '2026-12-01T10:00:00+1:00', '2026-12-01 10:00:00Z'],
    ...['2026-02-30T10:00:00Z', '2026-12-01Z', '2026-12-01t10:00:00z', ' 2026-12-01', '2026-12-01\n', '２０２６-12-01'],
    ...['2026-12-01T10:00:00.1234567890Z', 20261201, true, [], {}, { date: '2026-12-01' }],
  ].map((due): [object, number, string] => [{ due }, 400, 'invalid_due']),
]

test('what is wrong is refused by name, in POST, PATCH and batch alike, and nothing is recorded', async (t) => {
  const { ask, add, find, refused } = await begin(t)
  const [item] = await add(FULL)
  const path = `${ITEMS}/${item!.id}`
  for (const [member, status, error] of WRONG) {
    const because = JSON.stringify(member).slice(0, 80)
    await refused(await ask('PATCH', path, member), status, error, because)
    await refused(await ask('POST', ITEMS, { todo: 'x', ...member }), status, error, because)
    const items = [{ todo: 'good' }, { todo: 'x', ...member }]
    await refused(await ask('POST', BATCH, { action: 'add', items }), status, error, because)
  }
  for (const done of [null, 0, 1, 'true', 'yes', [], {}])
    await refused(await ask('PATCH', path, { done }), 400, 'invalid_done', String(done))
  for (const name of ['id', 'Todo', 'text', 'created_at', 'done_at', 'tags', '__proto_', 'constructor', 'position'])
    for (const [method, at] of [
      ['PATCH', path],
      ['POST', ITEMS],
      ['POST', `${path}/move`],
      ['POST', BATCH],
    ] as const)
      await refused(
        await ask(method, at, { todo: 'x', [name]: 1, [`${name}x`]: 1 }),
        400,
        'invalid_request',
        `${method} ${name}`,
        /no member/,
      )
  await refused(await ask('POST', ITEMS, { todo: 'x', done: true }), 400, 'invalid_request', 'done', 'member done')
  await refused(await ask('POST', ITEMS, {}), 400, 'invalid_todo', 'no text')
  for (const body of [[], null, 'x', 1])
    await refused(await ask('PATCH', path, body), 400, 'invalid_request', String(body))
  t.deepEqual(await find(), [item!])
})

test('due dates come back exactly as they were given: a date stays a date, a time keeps its offset', async (t) => {
  const { ask, add } = await begin(t)
  const [item] = await add('x')
  const days = ['2026-12-01', '2024-02-29', '0001-01-01', '9999-12-31']
  const times = [
    'T17:00Z',
    'T00:00:00+00:00',
    'T23:59:59.999999999-12:00',
    'T10:00:00+14:00',
    'T10:00:00-00:00',
    'T10:00+05:45',
  ]
  for (const due of [...days, ...times.map((time) => `2026-12-01${time}`)]) {
    t.is((await ask('PATCH', `${ITEMS}/${item!.id}`, { due })).json.due, due)
    t.is((await ask('GET', `${ITEMS}/${item!.id}`)).json.due, due)
  }
})

test('If-Match: done only if the to-do is what was read; If-None-Match spares what is known', async (t) => {
  const { ask, add, news, refused } = await begin(t)
  const [item, other] = await add('one', 'two')
  const path = `${ITEMS}/${item!.id}`
  const etagOf = async (at = path) => (await ask('GET', at)).headers.get('etag')!
  const etag = await etagOf()
  const stale = [`W/${etag}`, '"x"', '', etag.slice(1, -1), await etagOf(`${ITEMS}/${other!.id}`), '"*"']
  for (const given of stale)
    for (const method of ['PATCH', 'DELETE']) {
      const answer = await ask(method, path, method === 'PATCH' ? { todo: 'new' } : undefined, { 'if-match': given })
      await refused(answer, 412, 'precondition_failed', `${method} ${given}`)
    }
  const move = (given: string) => ask('POST', `${path}/move`, { after: other!.id }, { 'if-match': given })
  for (const given of stale) await refused(await move(given), 412, 'precondition_failed', `move ${given}`)
  const batch = { action: 'complete', ids: [item!.id] }
  await refused(await ask('POST', BATCH, batch, { 'if-match': '*' }), 400, 'invalid_batch', 'a batch')
  for (const given of ['*', etag, `"x", ${etag}`, `${etag},"y"`])
    t.is((await ask('PATCH', path, {}, { 'if-match': given })).status, 200, given)
  t.deepEqual(await news(), [])
  // Of two who read the same, one wins.
  const change = (todo: string) => ask('PATCH', path, { todo }, { 'if-match': etag })
  const answers = await Promise.all(['a', 'b', 'c'].map(change))
  t.deepEqual(answers.map(({ status }) => status).sort(), [200, 412, 412])
  t.deepEqual(await news(), ['TodoChanged'])
  await refused(await ask('DELETE', path, undefined, { 'if-match': etag }), 412, 'precondition_failed', 'deleting')
  const fresh = await etagOf()
  for (const given of [fresh, `W/${fresh}`, `"x",${fresh}`, '*'])
    for (const method of ['GET', 'HEAD']) {
      const answer = await ask(method, path, undefined, { 'if-none-match': given })
      t.deepEqual([answer.status, answer.text, answer.headers.get('etag')], [304, '', fresh], given)
    }
  t.is((await ask('GET', path, undefined, { 'if-none-match': etag })).json.id, item!.id)
  t.is((await ask('DELETE', path, undefined, { 'if-match': fresh })).status, 200)
  t.deepEqual(await news(), ['TodoDeleted'])
  await refused(await ask('PATCH', path, {}, { 'if-match': '*' }), 404, 'not_found', 'what is deleted')
})

test('deleting and taking it back within 30 days: the to-do is again what and where it was', async (t) => {
  const { ask, add, find, news, clock, ledger } = await begin(t, { accessTtlMs: 90 * DAY_MS })
  const [, two] = await add('one', { ...FULL, todo: 'two' }, 'three')
  const path = `${ITEMS}/${two!.id}`
  const deleted = await ask('DELETE', path)
  t.deepEqual([deleted.status, deleted.json, deleted.headers.get('etag')], [200, two!, null])
  t.deepEqual(await news(), ['TodoDeleted'])
  t.is((await ask('DELETE', path)).status, 404)
  t.is(namesOf(await find()), 'one three')
  t.deepEqual(await find('?state=deleted'), [two!])
  const undelete = async () => (await ask('POST', BATCH, { action: 'undelete', ids: [two!.id] })).json
  t.deepEqual(await undelete(), { items: [two!], failures: [] })
  t.deepEqual(await news(), ['TodoUndeleted'])
  t.is(namesOf(await find()), 'one two three')
  t.deepEqual(await undelete(), { items: [], failures: [{ id: two!.id, why: 'That to-do is not deleted.' }] })
  await ask('DELETE', path)
  clock.pass(30 * DAY_MS - 1)
  t.deepEqual((await undelete()).items, [two!], 'as long as it is promised')
  await ask('DELETE', path)
  await news()
  clock.pass(30 * DAY_MS)
  t.deepEqual(await undelete(), { items: [], failures: [{ id: two!.id, why: 'There is no to-do of that ID.' }] })
  t.deepEqual(await news(), [])
  clock.pass(60_000)
  await ledger.sweep()
  t.true((await news()).includes('ExpiredDropped'))
  t.is(await ledger.read(({ todos }) => todos.size), 2)
})

test('moving: before, after, to a position among the open ones, to the end; what is there already stays', async (t) => {
  const { ask, add, find, news, refused } = await begin(t)
  const items = await add('a', 'b', 'c', 'd')
  const [a, b, c, d] = items.map(({ id }) => id)
  const move = async (id: string, place: object, order: string, ...types: string[]) => {
    const answer = await ask('POST', `${ITEMS}/${id}/move`, place)
    const item = items.find((one) => one.id === id)!
    t.deepEqual([answer.status, answer.json], [200, item], JSON.stringify(place))
    t.deepEqual([namesOf(await find()), await news()], [order, types], JSON.stringify(place))
  }
  await move(d!, { before: a }, 'd a b c', 'TodoMoved')
  await move(d!, { before: a, username: 'alice' }, 'd a b c')
  await move(d!, { after: b }, 'a b d c', 'TodoMoved')
  await move(a!, { after: c }, 'b d c a', 'TodoMoved')
  await move(a!, { position: 1 }, 'a b d c', 'TodoMoved')
  await move(a!, { position: 3 }, 'b d a c', 'TodoMoved')
  await move(b!, { position: 4 }, 'd a c b', 'TodoMoved')
  await move(b!, { position: 2 ** 40 }, 'd a c b')
  for (let i = 0; i < 30; i++)
    t.is((await ask('POST', `${ITEMS}/${i % 2 ? c : a}/move`, { before: i % 2 ? a : c })).status, 200)
  t.is(namesOf(await find()), 'd c a b', 'however often the same two change places')
  await news()
  const wrong = [
    {},
    { before: a, after: b },
    { position: 0 },
    { position: '1' },
    { position: 1.5 },
    { position: -1 },
    { before: 1 },
    { before: null },
    { after: [] },
  ]
  for (const place of [...wrong, { before: d }, { after: d }])
    await refused(await ask('POST', `${ITEMS}/${d}/move`, place), 400, 'invalid_place', JSON.stringify(place))
  for (const place of [{ before: NO_ID }, { after: '' }, { after: '\ud800' }])
    await refused(await ask('POST', `${ITEMS}/${d}/move`, place), 404, 'not_found', JSON.stringify(place))
  await refused(await ask('POST', `${ITEMS}/${NO_ID}/move`, { before: a }), 404, 'not_found', 'nobody’s')
})

test('a to-do of somebody else is answered exactly as one of nobody', async (t) => {
  const { ask, askAsBob, add, find, news, refused } = await begin(t)
  const [item] = await add(FULL)
  const asked = async (id: string) => {
    const path = `${ITEMS}/${id}`
    const all = [
      await askAsBob('GET', path),
      await askAsBob('PATCH', path, { todo: 'stolen' }),
      await askAsBob('PATCH', path, {}, { 'if-match': '*' }),
      await askAsBob('DELETE', path),
      await askAsBob('POST', `${path}/move`, { position: 1 }),
    ]
    for (const answer of all) await refused(answer, 404, 'not_found', id)
    const ids = [id]
    for (const action of ['complete', 'reopen', 'delete', 'undelete'])
      all.push(await askAsBob('POST', BATCH, { action, ids }))
    all.push(await askAsBob('POST', BATCH, { action: 'reschedule', items: [{ id, due: null }] }))
    return all.map(({ status, text, json }) => [status, text.replaceAll(id, '').replace(json.request_id ?? '-', '')])
  }
  t.deepEqual(await asked(item!.id), await asked(NO_ID))
  t.deepEqual(await askAsBob('GET', ITEMS).then(({ json }) => json), { items: [], next_cursor: null, total: 0 })
  for (const list of ['alice', 'Alice']) {
    for (const method of ['GET', 'PATCH', 'DELETE'])
      await refused(
        await askAsBob(method, `/todos/${list}/items/${item!.id}`, method === 'PATCH' ? {} : undefined),
        403,
        'forbidden',
        list,
      )
  }
  t.deepEqual([await news(), await find(), await ask('GET', ITEMS).then(({ json }) => json.total)], [[], [item!], 1])
  for (const id of [
    '__proto__',
    'constructor',
    '..%2f',
    '%00',
    '%F0%9F%98%80',
    'x'.repeat(5000),
    item!.id.toLowerCase(),
  ])
    await refused(await ask('GET', `${ITEMS}/${id}`), 404, 'not_found', id)
})

test('a username that no list can have is refused with a sentence that says to use "me"', async (t) => {
  const { ask, refused } = await begin(t)
  for (const name of ['a%20b', 'alice@example.org', '%7Busername%7D', 'x'.repeat(65), '%5Bobject%20Object%5D'])
    for (const path of ['', '/items', `/items/${NO_ID}`])
      await refused(await ask('GET', `/todos/${name}${path}`), 400, 'invalid_username', name, 'Use "me"')
})

test('methods that are not there: 405 and which are; HEAD is a GET without its body', async (t) => {
  const { ask, add, news, url } = await begin(t)
  const [item] = await add('x')
  const allowed: [path: string, allow: string][] = [
    [ITEMS, 'GET, HEAD, POST'],
    [`${ITEMS}/${item!.id}`, 'DELETE, GET, HEAD, PATCH'],
    [`${ITEMS}/${item!.id}/move`, 'POST'],
  ]
  for (const [path, allow] of allowed) {
    for (const method of ['PUT', 'GET', 'POST', 'PATCH', 'DELETE'].filter((one) => !allow.includes(one))) {
      const answer = await ask(method, path, method === 'GET' ? undefined : {})
      t.deepEqual([answer.status, answer.json.error], [405, 'method_not_allowed'], `${method} ${path}`)
      t.is(answer.headers.get('allow')!.split(', ').sort().join(', '), allow, `${method} ${path}`)
    }
    if (!allow.includes('GET')) continue
    const [got, head] = [await ask('GET', path), await ask('HEAD', path)]
    t.deepEqual([head.status, head.text], [200, ''])
    for (const name of ['content-length', 'content-type', 'etag', 'cache-control'])
      t.is(head.headers.get(name), got.headers.get(name), `${path} ${name}`)
  }
  for (const path of [`${ITEMS}/`, `${ITEMS}/x/y`, `${ITEMS}/x/move/`, '/todos/me/Items', '/todos/items/x/y/z'])
    t.is((await fetch(url + path)).status, 404, path)
  t.deepEqual(await news(), [])
})
