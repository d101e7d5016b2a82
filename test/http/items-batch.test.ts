/** H. Several to-dos at once, finding them page by page, and the bounds of both. */
import test from 'ava'
import { issueKey } from '../../src/domain/keys.ts'
import { rotateService } from '../../src/domain/service.ts'
import { AUTH_MODES } from '../../src/service/policy.ts'
import { digest } from '../../src/service/secrets.ts'
import type { Item } from '../../src/service/todos.ts'
import { Users } from '../../src/service/users.ts'
import { ClientSide, person, SYSTEM, startWorld } from '../_support.ts'
import { asking, BATCH, begin, ITEMS, NO_ID, refusing } from './_items.ts'
import { send } from './_wire.ts'

const UNKNOWN = 'There is no to-do of that ID.'
const OPEN = 'The list has reached its limit of open to-dos: complete or delete some first.'
const SIZE = 'The list has reached its size limit. Done to-dos count, too: delete some, or clear notes.'
const namesOf = (items: readonly Item[]): string => items.map(({ todo }) => todo).join(' ')
const numbered = (count: number) => Array.from({ length: count }, (_, i) => ({ todo: `t${i}` }))

test('a batch of 25: each action, its exact events, and its items as they are then', async (t) => {
  const { ask, find, news, clock } = await begin(t)
  const act = async (action: string, rest: object) => (await ask('POST', BATCH, { action, ...rest })).json
  const { items, failures } = await act('add', { items: numbered(25), username: 'alice' })
  t.deepEqual([items.length, failures, await news()], [25, [], Array(25).fill('TodoAdded')])
  t.deepEqual(await find(), items)
  const ids: string[] = items.map(({ id }: Item) => id)
  clock.pass(1000)
  const at = new Date(clock.now).toISOString()
  const done = items.map((item: Item) => ({ ...item, done: true, done_at: at, updated_at: at }))
  t.deepEqual(await act('complete', { ids }), { items: done, failures: [] })
  t.deepEqual(await news(), Array(25).fill('TodoCompleted'))
  t.deepEqual(await act('complete', { ids }), { items: done, failures: [] }, 'they are so already')
  t.deepEqual(await news(), [])
  const open = items.map((item: Item) => ({ ...item, updated_at: at }))
  t.deepEqual(await act('reopen', { ids }), { items: open, failures: [] })
  const dues = ids.map((id, i) => ({ id, due: i % 2 === 0 ? '2026-12-01' : null }))
  const dated = open.map((item: Item, i: number) => ({ ...item, due: dues[i]!.due }))
  t.deepEqual(await act('reschedule', { items: dues }), { items: dated, failures: [] })
  t.deepEqual(await news(), [...Array(25).fill('TodoReopened'), ...Array(13).fill('TodoChanged')])
  t.deepEqual(await act('delete', { ids }), { items: dated, failures: [] })
  t.deepEqual([await find('?state=all'), await news()], [[], Array(25).fill('TodoDeleted')])
  t.deepEqual(await act('undelete', { ids: ids.toReversed() }), { items: dated.toReversed(), failures: [] })
  t.deepEqual([await find(), await news()], [dated, Array(25).fill('TodoUndeleted')])
})

test('what fails for one does not hold up the others; who is named twice is met once', async (t) => {
  const { ask, add, news } = await begin(t)
  const [one, two] = await add('one', 'two')
  const [a, b] = [one!.id, two!.id]
  const complete = (ids: unknown[]) => ask('POST', BATCH, { action: 'complete', ids })
  const some = (await complete([a, NO_ID, a, '', NO_ID, '\ud800', b])).json
  t.is(namesOf(some.items), 'one two')
  t.deepEqual(
    some.failures,
    [NO_ID, '', '\ud800'].map((id) => ({ id, why: UNKNOWN })),
  )
  t.deepEqual(await news(), ['TodoCompleted', 'TodoCompleted'])
  const none = await complete([NO_ID])
  t.deepEqual([none.status, none.json], [200, { items: [], failures: [{ id: NO_ID, why: UNKNOWN }] }])
  const items = [
    { id: a, due: '2026-12-01' },
    { id: b, due: '2026-02-30' },
    { id: NO_ID, due: null },
    { id: a, due: '2026-12-24' },
  ]
  const dated = (await ask('POST', BATCH, { action: 'reschedule', items })).json
  t.deepEqual(
    dated.items.map(({ due }: Item) => due),
    ['2026-12-24'],
    'the later one counts',
  )
  t.deepEqual(
    dated.failures.map(({ id }: Item) => id),
    [b, NO_ID],
  )
  t.regex(dated.failures[0].why, /"due" must be a date/)
  t.deepEqual(await news(), ['TodoChanged'])
})

test('the largest to-dos that are allowed fit, alone and 25 at once; nothing is read of a stranger', async (t) => {
  const { ask, find, token, world } = await begin(t, { maxListSize: 1e8, maxListsSize: 1e9 })
  const largest = { todo: '\u{1f600}'.repeat(10_000), notes: '\u{1f600}'.repeat(10_000) }
  const escaped = JSON.stringify(largest).replace(/[^\x20-\x7e]/gu, (pair) => {
    return [...pair.split('')].map((unit) => `\\u${unit.charCodeAt(0).toString(16)}`).join('')
  })
  const post = (path: string, body: string, bearer = token) => {
    const headers = { authorization: `Bearer ${bearer}`, 'content-type': 'application/json' }
    return send(world.url, path, { method: 'POST', headers, body })
  }
  t.true(escaped.length > 240_000)
  t.is((await post(ITEMS, escaped)).status, 201)
  t.is((await ask('POST', BATCH, { action: 'add', items: Array(25).fill(largest) })).status, 200)
  t.is((await find()).length, 2, 'a page ends after 90,000 characters')
  t.is((await ask('GET', `${ITEMS}?limit=1`)).json.total, 26)
  t.is((await post(ITEMS, JSON.stringify({ todo: 'x'.repeat(310_000) }))).status, 413)
  for (const path of [ITEMS, BATCH])
    for (const body of ['{', 'x'.repeat(2_100_000)]) t.is((await post(path, body, 'x')).status, 401, path)
})

test('a batch of none, of 26, of the wrong kind: 400, and nothing is done', async (t) => {
  const { ask, add, find, refused, token, world } = await begin(t)
  const [item] = await add('kept')
  const ids = Array.from({ length: 26 }, () => item!.id)
  const item25 = numbered(25)
  const wrong: [object, string][] = [
    [{}, 'none'],
    [{ action: 'explode', ids: [item!.id] }, 'unknown'],
    [{ action: 'toString', ids: [item!.id] }, 'inherited'],
    [{ action: ['complete'], ids: [item!.id] }, 'an array'],
    [{ action: null, ids }, 'null'],
    ...['complete', 'reopen', 'delete', 'undelete'].flatMap((action): [object, string][] =>
      [undefined, null, [], ids, 'x', {}, [1], [null], [[item!.id]]].map((named) => [{ action, ids: named }, action]),
    ),
    [{ action: 'complete', ids: [item!.id], items: [] }, 'both'],
    [{ action: 'add', items: item25, ids: [] }, 'both'],
    [{ action: 'add', items: [] }, 'no items'],
    [{ action: 'add', items: [...item25, { todo: 'x' }] }, '26'],
    [{ action: 'add', items: { 0: { todo: 'x' } } }, 'no array'],
    ...[null, 'x', [], 1].map((one): [object, string] => [{ action: 'add', items: [{ todo: 'x' }, one] }, 'no object']),
    [{ action: 'reschedule', items: [] }, 'no items'],
    [{ action: 'reschedule', items: [{ due: null }] }, 'no id'],
    [{ action: 'reschedule', items: [{ id: 1, due: null }] }, 'an id that is none'],
  ]
  for (const [body, because] of wrong)
    await refused(
      await ask('POST', BATCH, body),
      400,
      'invalid_batch',
      `${because} ${JSON.stringify(body).slice(0, 99)}`,
    )
  for (const due of [undefined, 1, {}]) {
    const body = { action: 'reschedule', items: [{ id: item!.id, due }] }
    await refused(await ask('POST', BATCH, body), 400, 'invalid_due', String(due))
  }
  for (const one of [
    { todo: 'x', id: '1' },
    { todo: 'x', done: true },
  ])
    await refused(
      await ask('POST', BATCH, { action: 'add', items: [one] }),
      400,
      'invalid_request',
      'a member',
      'no member',
    )
  for (const body of [
    '{"action":"add","items":[{"todo":"a","todo":"b"}]}',
    '{"action":"add","items":[[{"a":[],"\\u0061":1}]]}',
  ]) {
    const headers = { authorization: `Bearer ${token}`, 'content-type': 'application/json' }
    const answer = await send(world.url, BATCH, { method: 'POST', headers, body })
    t.is(answer.status, 400, body)
    t.regex(JSON.parse(String(answer.body)).message, /^(todo|a) is given more than once/)
  }
  t.deepEqual(await find(), [item!])
})

test('finding: by state, by words in text and notes, by due date', async (t) => {
  const { ask, add, find, clock } = await begin(t)
  const [, b, c, , e] = await add(
    { todo: 'Buy MILK', due: '2026-12-01' },
    { todo: 'buy bread', notes: 'not the Straße one', due: '2026-12-01T23:30:00-05:00' },
    { todo: 'done', due: '2026-12-02' },
    { todo: 'call ÄRZTE', due: '2026-12-03', priority: 1 },
    { todo: 'deleted milk', priority: 2 },
  )
  clock.pass(1000)
  await ask('PATCH', `${ITEMS}/${c!.id}`, { done: true })
  await ask('DELETE', `${ITEMS}/${e!.id}`)
  const found: [query: string, names: string][] = [
    ['', 'Buy MILK buy bread call ÄRZTE'],
    ['?state=open', 'Buy MILK buy bread call ÄRZTE'],
    ['?state=done', 'done'],
    ['?state=all', 'Buy MILK buy bread done call ÄRZTE'],
    ['?state=deleted', 'deleted milk'],
    ['?query=milk', 'Buy MILK'],
    ['?query=milk&state=deleted', 'deleted milk'],
    ['?query=BUY%20%20%0abrea', 'buy bread'],
    ['?query=buy+not', 'buy bread'],
    [`?query=${encodeURIComponent('straße')}`, 'buy bread'],
    [`?query=${encodeURIComponent('ärzte')}`, 'call ÄRZTE'],
    ['?query=nothing', ''],
    ['?query=.*', ''],
    ['?query=%00', ''],
    ['?query=&limit=2', 'Buy MILK buy bread'],
    ['?due_before=2026-12-02', 'Buy MILK buy bread'],
    ['?due_before=2026-12-01', ''],
    ['?due_after=2026-12-01', 'Buy MILK buy bread call ÄRZTE'],
    ['?due_after=2026-12-02&state=all', 'done call ÄRZTE'],
    ['?due_before=2026-12-02T04:30:00Z', 'Buy MILK'],
    ['?due_before=2026-12-02T04:30:01Z', 'Buy MILK buy bread'],
    ['?due_after=2026-12-02T04:30:00Z&due_before=2026-12-03', 'buy bread'],
    ['?sort=due&state=all', 'buy bread Buy MILK done call ÄRZTE'],
    ['?sort=priority', 'call ÄRZTE Buy MILK buy bread'],
    ['?sort=updated&state=all', 'done Buy MILK buy bread call ÄRZTE'],
    ['?sort=created', 'Buy MILK buy bread call ÄRZTE'],
  ]
  for (const [query, names] of found) t.is(namesOf(await find(query)), names, query)
  t.is((await find('?query=bread'))[0]!.id, b!.id)
})

test('finding page by page gives everything once, in any order, also while the list changes', async (t) => {
  const { ask, find, news } = await begin(t)
  const items = numbered(23).map((item, i) => ({
    ...item,
    due: i % 3 === 0 ? null : i % 3 === 1 ? '2026-12-01' : `2026-12-01T1${i % 10}:00:00Z`,
    priority: i % 5 === 0 ? null : i % 5,
  }))
  await ask('POST', BATCH, { action: 'add', items })
  await news()
  for (const sort of ['order', 'due', 'priority', 'created', 'updated']) {
    const whole = await find(`?sort=${sort}`)
    t.is(whole.length, 23)
    for (const limit of [1, 5, 22, 23, 100]) {
      const pages: Item[][] = []
      for (let cursor: string | null = ''; cursor !== null; ) {
        const page = await ask('GET', `${ITEMS}?sort=${sort}&limit=${limit}${cursor && `&cursor=${cursor}`}`)
        t.deepEqual([page.status, page.json.total], [200, 23], page.text)
        pages.push(page.json.items)
        cursor = page.json.next_cursor
      }
      t.deepEqual(pages.flat(), whole, `${sort} ${limit}`)
      t.is(pages.length, Math.ceil(23 / limit))
    }
  }
  t.deepEqual(await news(), [])
  const first = (await ask('GET', `${ITEMS}?limit=10`)).json
  for (const at of [9, 10]) await ask('DELETE', `${ITEMS}/${(await find())[at === 9 ? 9 : 9]!.id}`)
  await ask('POST', ITEMS, { todo: 'last' })
  const rest = (await ask('GET', `${ITEMS}?cursor=${first.next_cursor}`)).json
  t.deepEqual(
    rest.items.map(({ todo }: Item) => todo),
    [
      ...numbered(23)
        .map(({ todo }) => todo)
        .slice(11),
      'last',
    ],
  )
})

test('a page is no longer than 90,000 characters, whatever the to-dos hold; one at least is on it', async (t) => {
  const { ask, add, find } = await begin(t)
  const kinds = ['x', '"', '😀', '\u0001', 'é']
  const texts = Array.from({ length: 15 }, (_, i) => `${i} ${kinds[i % 5]!.repeat(i * 600)}`)
  await add(...texts, { todo: '\u0001'.repeat(10_000), notes: '\u0002'.repeat(9000) })
  const seen: string[] = []
  for (let cursor: string | null = ''; cursor !== null; ) {
    const page = await ask('GET', `${ITEMS}?limit=100${cursor && `&cursor=${cursor}`}`)
    t.true(page.json.items.length >= 1)
    t.true(page.text.length <= 90_000 || page.json.items.length === 1, String(page.text.length))
    seen.push(...page.json.items.map(({ todo }: Item) => todo))
    cursor = page.json.next_cursor
  }
  t.deepEqual(seen.slice(0, 15), texts)
  t.is(seen.length, 16)
  t.true((await find('?limit=100')).length < 16)
})

test('queries that are wrong, huge, or of another search: 400 that says why', async (t) => {
  const { ask, add, refused } = await begin(t)
  await add('a', 'b', 'c')
  const wrong: [query: string, error: string, says: string][] = [
    ['?state=closed', 'invalid_filter', '"state" must be one of open, done, all, deleted'],
    ['?state=', 'invalid_filter', '"state"'],
    ['?sort=toString', 'invalid_filter', '"sort"'],
    ['?due_before=2026-02-30', 'invalid_filter', '"due_before"'],
    ['?due_after=tomorrow', 'invalid_filter', '"due_after"'],
    ['?due_after=', 'invalid_filter', '"due_after"'],
    ...['0', '101', '-1', '1.5', 'x', '1e1', '', '99999999999'].map((limit): [string, string, string] => [
      `?limit=${limit}`,
      'invalid_filter',
      '"limit"',
    ]),
    [`?query=${'x'.repeat(201)}`, 'invalid_filter', '200 characters'],
    [`?query=${Array.from({ length: 21 }, (_, i) => i).join('+')}`, 'invalid_filter', '20 words'],
    ['?q=x', 'invalid_request', 'no parameter "q"'],
    ['?state=open&state=done', 'parameter_repeated', 'state is given more than once'],
    ['?query=%zz', 'invalid_request', ''],
    ['?query=%ff', 'invalid_request', ''],
    [`?${'&x='.repeat(200)}`, 'invalid_request', 'too many parameters'],
    [`?${'x'.repeat(10_000)}=1`, 'invalid_request', 'no parameter "xxx'],
  ]
  for (const [query, error, says] of wrong) {
    const answer = await ask('GET', ITEMS + query)
    await refused(answer, 400, error === 'parameter_repeated' ? 'invalid_request' : error, query.slice(0, 99), says)
  }
  const pack = (value: unknown) => Buffer.from(JSON.stringify(value)).toString('base64url')
  const good = (await ask('GET', `${ITEMS}?limit=1`)).json.next_cursor
  const [mark, key, rank, id] = JSON.parse(Buffer.from(good, 'base64url').toString())
  const garbage = [
    '',
    'x',
    '%00',
    '!',
    'null',
    'bnVsbA',
    pack(null),
    pack([]),
    pack({}),
    pack([mark]),
    pack(['', key, rank, id]),
  ]
  const torn = [
    pack([mark, key, rank]),
    pack([mark, null, rank, id]),
    pack([mark, key, '1', id]),
    pack([mark, key, rank, 1]),
    pack([mark, key, rank, id, 1]),
  ]
  for (const cursor of [...garbage, ...torn, good.slice(0, -3), 'x'.repeat(401)])
    await refused(await ask('GET', `${ITEMS}?cursor=${cursor}`), 400, 'invalid_cursor', cursor)
  for (const other of ['&state=all', '&query=a', '&sort=due', '&due_before=2026-12-01'])
    await refused(await ask('GET', `${ITEMS}?cursor=${good}${other}`), 400, 'invalid_cursor', other)
  t.is(namesOf((await ask('GET', `${ITEMS}?cursor=${good}&limit=7&state=open`)).json.items), 'b c')
  t.is((await ask('GET', `${ITEMS}?query=${'x'.repeat(40_000)}`).catch(() => ({ status: 431 }))).status, 431)
  const at = `${ITEMS}/${id}`
  for (const [method, path] of [
    ['GET', at],
    ['PATCH', at],
    ['DELETE', at],
    ['POST', ITEMS],
    ['POST', BATCH],
    ['POST', `${at}/move`],
  ] as const)
    await refused(
      await ask(method, `${path}?done=true`, method === 'GET' ? undefined : {}),
      400,
      'invalid_request',
      `${method} ${path}`,
      'no parameter "done"',
    )
})

test('more than MAX_OPEN_TODOS open to-dos: 409, whole or one by one; what is done or deleted makes room', async (t) => {
  const { ask, add, news, refused } = await begin(t, { maxOpenTodos: 3 })
  const items = await add('a', 'b')
  const [a, b] = items.map(({ id }) => id)
  await refused(await ask('POST', BATCH, { action: 'add', items: numbered(2) }), 409, 'list_full', 'all or none')
  const [c] = (await add('c')).map(({ id }) => id)
  await refused(await ask('POST', ITEMS, { todo: 'd' }), 409, 'list_full', 'full', OPEN)
  await ask('POST', BATCH, { action: 'complete', ids: [a, b] })
  await add('d', 'e')
  await refused(await ask('PATCH', `${ITEMS}/${a}`, { done: false }), 409, 'list_full', 'reopened', OPEN)
  await ask('DELETE', `${ITEMS}/${c}`)
  await news()
  const reopened = (await ask('POST', BATCH, { action: 'reopen', ids: [a, b] })).json
  t.is(namesOf(reopened.items), 'a')
  t.deepEqual(reopened.failures, [{ id: b, why: OPEN }])
  t.is((await ask('POST', BATCH, { action: 'undelete', ids: [c] })).json.failures.length, 1)
  t.deepEqual(await news(), ['TodoReopened'])
  // A full list can still be changed, and what makes a text shorter makes room.
  t.is((await ask('PATCH', `${ITEMS}/${a}`, { todo: 'x', done: true })).status, 200)
  t.is((await ask('POST', BATCH, { action: 'undelete', ids: [c] })).json.items.length, 1)
})

test('a list that is full by size can still be changed, if the change makes it no larger', async (t) => {
  const { ask, add, refused, news } = await begin(t, { maxListSize: 40_000 })
  const [item] = await add({ todo: 'x'.repeat(9000), notes: 'y'.repeat(2000) })
  const patch = (change: object) => ask('PATCH', `${ITEMS}/${item!.id}`, change)
  await refused(await ask('POST', ITEMS, { todo: 'x'.repeat(4000) }), 409, 'list_full', 'full', SIZE)
  await refused(await patch({ todo: 'x'.repeat(9001) }), 409, 'list_full', 'the notes keep what they came with', SIZE)
  for (const change of [{ priority: 1 }, { notes: null }, { todo: 'x' }])
    t.is((await patch(change)).status, 200, JSON.stringify(change))
  t.is((await ask('POST', ITEMS, { todo: 'x'.repeat(9000) })).status, 201)
  t.deepEqual(await news(), ['TodoChanged', 'TodoChanged', 'TodoChanged', 'TodoAdded'])
})

for (const authMode of AUTH_MODES)
  test(`${authMode}: the items of the list that is meant; a named list begins with the first that is added`, async (t) => {
    const world = await startWorld(t, { authMode })
    const names =
      authMode === 'oauth' || authMode === 'user_http' ? ['me', 'alice', 'GLOBAL'] : ['global', 'Global', 'GLOBAL']
    const bearer = `dbk_${'b'.repeat(40)}`
    if (authMode === 'user_http') {
      const user = await new Users(world.ledger).add(SYSTEM, { ...person('alice'), admin: false })
      await world.ledger.transact(SYSTEM, (state) =>
        issueKey(state, { key: 'k', user, digest: digest(bearer), label: 'x' }),
      )
    }
    if (authMode === 'service_http')
      await world.ledger.transact(SYSTEM, (state) => rotateService(state, { token: 't', digest: digest(bearer) }))
    const token = { none: undefined, oauth: '', user_http: bearer, service_http: bearer }[authMode]
    const oauth = async () => (await new ClientSide(world.url).connect(person('alice'))).access_token
    const ask = asking(world.url, token === '' ? await oauth() : token)
    if (authMode === 'user_http') await ask('GET', '/todos/me')
    await world.news()
    const refused = refusing(t, world)
    const [one = '', two = '', three = ''] = names.map((name) => `/todos/${name}/items`)
    t.deepEqual((await ask('GET', one)).json, { items: [], next_cursor: null, total: 0 })
    await refused(await ask('PATCH', `${one}/${NO_ID}`, {}), 404, 'not_found', 'nothing there')
    await refused(await ask('POST', one, { todo: '' }), 400, 'invalid_todo', 'wrong')
    const failures = [{ id: NO_ID, why: UNKNOWN }]
    t.deepEqual(
      (
        await ask(
          'POST',
          one.replace('items', 'batch'),
          { action: 'complete', ids: [NO_ID] },
          { 'idempotency-key': 'a' },
        )
      ).json,
      { items: [], failures },
    )
    const isNamed = authMode === 'none' || authMode === 'service_http'
    t.deepEqual(await world.news(), isNamed ? [] : ['OutcomeKept'], 'looking begins no list')
    const { json } = await ask('POST', one, { todo: 'x' }, { 'idempotency-key': 'b' })
    t.deepEqual(await world.news(), [...(isNamed ? ['ListOpened'] : []), 'TodoAdded', 'OutcomeKept'])
    t.deepEqual(
      (await ask('POST', two, { todo: 'x' }, { 'idempotency-key': 'b' })).json,
      json,
      'the same list by another name',
    )
    t.deepEqual((await ask('GET', `${three}/${json.id}`)).json, json)
    t.is((await ask('PATCH', `${two}/${json.id}`, { done: true })).json.done, true)
    t.deepEqual((await ask('DELETE', `${three}/${json.id}`)).json.id, json.id)
    t.deepEqual(await world.news(), ['TodoCompleted', 'TodoDeleted'])
    if (isNamed) await refused(await ask('GET', '/todos/me/items'), 400, 'invalid_username', 'me', 'not "me"')
  })
