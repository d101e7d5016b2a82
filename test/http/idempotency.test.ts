/** H. Idempotency-Key: a repeat is answered as the first was, for a day, after a restart too, and changes nothing. */
import test from 'ava'
import { eraseUser } from '../../src/domain/users.ts'
import type { Item } from '../../src/service/todos.ts'
import { ClientSide, OTHER, person, SYSTEM, Visitor } from '../_support.ts'
import { reopen, send } from './_elsewhere.ts'
import { type Ask, asking, BATCH, begin, ITEMS, NO_ID } from './_items.ts'
import { whileReadOnly } from './_wire.ts'

const DAY_MS = 86_400_000
const keyed = (key: string) => ({ 'idempotency-key': key })

type Call = readonly [what: string, method: string, path: string, body: object | undefined, events: readonly string[]]

/** One call of each write there is, each with what it records. */
const calls = ([a, b, c]: readonly Item[]): Call[] => [
  ['addTodo', 'POST', '/todos/me', { todo: 'by index' }, ['TodoAdded']],
  ['addItem', 'POST', ITEMS, { todo: 'x "y"\n', due: '2026-12-01' }, ['TodoAdded']],
  ['updateItem', 'PATCH', `${ITEMS}/${a!.id}`, { todo: 'new', done: true }, ['TodoChanged', 'TodoCompleted']],
  ['updateItem, the same', 'PATCH', `${ITEMS}/${c!.id}`, {}, []],
  ['moveItem', 'POST', `${ITEMS}/${b!.id}/move`, { position: 2 }, ['TodoMoved']],
  ['deleteItem', 'DELETE', `${ITEMS}/${b!.id}`, undefined, ['TodoDeleted']],
  ['deleteTodo', 'DELETE', '/todos/me', { todo_idx: 0 }, ['TodoDeleted']],
  ['deleteTodo by query', 'DELETE', '/todos/me?todo_idx=0', undefined, ['TodoDeleted']],
  ['add', 'POST', BATCH, { action: 'add', items: [{ todo: '1' }, { todo: '2' }] }, ['TodoAdded', 'TodoAdded']],
  ['reopen', 'POST', BATCH, { action: 'reopen', ids: [a!.id, NO_ID, '\ud800'] }, ['TodoReopened']],
  ['complete', 'POST', BATCH, { action: 'complete', ids: [a!.id] }, ['TodoCompleted']],
  [
    'reschedule',
    'POST',
    BATCH,
    {
      action: 'reschedule',
      items: [
        { id: a!.id, due: '2026-12-24' },
        { id: NO_ID, due: '\ud800' },
      ],
    },
    ['TodoChanged'],
  ],
  ['delete', 'POST', BATCH, { action: 'delete', ids: [a!.id] }, ['TodoDeleted']],
  ['undelete', 'POST', BATCH, { action: 'undelete', ids: [a!.id, NO_ID] }, ['TodoUndeleted']],
]

const shown = ({ status, text, headers }: Awaited<ReturnType<Ask>>) => ({
  status,
  text,
  told: ['etag', 'location', 'content-type', 'cache-control'].map((name) => headers.get(name)),
})

test('each write: its repeat is answered byte for byte as the first, after a restart too, and changes nothing', async (t) => {
  const { world, ask, add, news, clock, token, find } = await begin(t)
  const items = await add('a', 'b', 'c', 'd')
  const all = calls(items)
  const firsts: ReturnType<typeof shown>[] = []
  for (const [what, method, path, body, events] of all) {
    const first = await ask(method, path, body, keyed(`key of ${what}`.replaceAll(' ', '-')))
    t.true([200, 201].includes(first.status), `${what}: ${first.text}`)
    t.deepEqual(await news(), [...events, 'OutcomeKept'], what)
    firsts.push(shown(first))
  }
  // What happens later does not change the answer.
  await ask('PATCH', `${ITEMS}/${items[0]!.id}`, { todo: 'changed since', notes: 'n' })
  clock.pass(60_000)
  await news()
  const list = await find('?state=all')
  const repeatAll = async (ask: Ask, quote = '', because = '') => {
    for (const [i, [what, method, path, body]] of all.entries()) {
      const headers = keyed(`${quote}key of ${what}${quote}`.replaceAll(' ', '-'))
      const told = JSON.stringify(shown(await ask(method, path, body, headers)))
      // An address names the server that was asked.
      t.is(
        told.replace(/http:[^"]*\/todos/, '/todos'),
        JSON.stringify(firsts[i]).replace(/http:[^"]*\/todos/, '/todos'),
        `${what} ${because}`,
      )
    }
  }
  await repeatAll(ask)
  await repeatAll(ask, '"', 'the draft has it as a string in quotes')
  t.deepEqual(await news(), [])
  const again = await reopen(t, world)
  await repeatAll(asking(again.url, token), '', 'after a restart')
  t.deepEqual(await again.news(), [])
  t.deepEqual(await find('?state=all'), list)
})

test('another request under the same key: 422, nothing is done; members in another order are no other request', async (t) => {
  const { ask, add, news, refused } = await begin(t)
  const [item, other] = await add('a', 'b')
  const path = `${ITEMS}/${item!.id}`
  const first = await ask('PATCH', path, { todo: 'x', notes: 'n', done: true }, keyed('k'))
  await news()
  const others: [method: string, path: string, body: object | undefined][] = [
    ['PATCH', path, { todo: 'y', notes: 'n', done: true }],
    ['PATCH', path, { todo: 'x', notes: 'n' }],
    ['PATCH', path, {}],
    ['PATCH', `${ITEMS}/${other!.id}`, { todo: 'x', notes: 'n', done: true }],
    ['PATCH', `${ITEMS}/${NO_ID}`, { todo: 'x', notes: 'n', done: true }],
    ['DELETE', path, undefined],
    ['POST', `${path}/move`, { position: 1 }],
    ['POST', ITEMS, { todo: 'x', notes: 'n' }],
    ['POST', '/todos/me', { todo: 'x' }],
    ['DELETE', '/todos/me', { todo_idx: 0 }],
    ...['complete', 'delete', 'undelete', 'reopen'].map((action): [string, string, object] => [
      'POST',
      BATCH,
      { action, ids: [item!.id] },
    ]),
  ]
  for (const [method, at, body] of others)
    await refused(await ask(method, at, body, keyed('k')), 422, 'idempotency_key_reused', `${method} ${at}`)
  const swapped = await ask('PATCH', path, { done: true, notes: 'n', todo: 'x' }, keyed('k'))
  t.deepEqual(shown(swapped), shown(first))
  t.deepEqual(await news(), [])
})

test('repeats at once: one set of events, every answer the same', async (t) => {
  const { ask, news, find } = await begin(t)
  const body = { action: 'add', items: [{ todo: 'a' }, { todo: 'b' }] }
  const answers = await Promise.all(Array.from({ length: 20 }, () => ask('POST', BATCH, body, keyed('k'))))
  t.deepEqual(new Set(answers.map(({ status, text }) => `${status} ${text}`)).size, 1)
  t.deepEqual(await news(), ['TodoAdded', 'TodoAdded', 'OutcomeKept'])
  t.is((await find()).length, 2)
})

test('a key is of one user and one app: the same one of another is another', async (t) => {
  const { ask, askAsBob, url, news, chatgpt } = await begin(t)
  const first = await ask('POST', ITEMS, { todo: 'alice’s' }, keyed('k'))
  t.is((await askAsBob('POST', ITEMS, { todo: 'bob’s' }, keyed('k'))).json.todo, 'bob’s')
  const visitor = new Visitor(url)
  await visitor.signIn(person('alice'))
  const other = new ClientSide(url, OTHER)
  const through = async (app: ClientSide) =>
    asking(url, (await app.exchange(await app.codeFor(visitor))).json.access_token)
  await news()
  const [throughOther, again] = [await through(other), await through(chatgpt)]
  await news()
  t.is((await throughOther('POST', ITEMS, { todo: 'by another app' }, keyed('k'))).json.todo, 'by another app')
  t.deepEqual(await news(), ['TodoAdded', 'OutcomeKept'])
  t.deepEqual(shown(await again('POST', ITEMS, { todo: 'alice’s' }, keyed('k'))), shown(first), 'by another token')
  t.deepEqual(await news(), [])
})

test('keys that are none: 400; any visible ASCII up to 255 characters is one', async (t) => {
  const { ask, refused, news, token, url } = await begin(t)
  const wrong = ['', ' ', '""', 'a b', '"a b"', 'é', '"é"', 'x'.repeat(256), 'a\tb', 'a,b c']
  for (const key of wrong)
    for (const [method, path] of [
      ['POST', '/todos/me'],
      ['POST', ITEMS],
      ['DELETE', '/todos/me?todo_idx=0'],
    ] as const) {
      const answer = await ask(method, path, method === 'POST' ? { todo: 'x' } : undefined, keyed(key))
      await refused(answer, 400, 'invalid_idempotency_key', JSON.stringify(key))
    }
  const headers = {
    authorization: `Bearer ${token}`,
    'content-type': 'application/json',
    'idempotency-key': ['a', 'b'],
  }
  const twice = await send(url, 'POST', ITEMS, '{"todo":"x"}', headers)
  await refused(twice, 400, 'invalid_idempotency_key', 'twice')
  for (const key of ['x', '!', '~', '"', '"""', 'a"b', '__proto__', '{"a":1}', 'x'.repeat(255)])
    t.is((await ask('POST', ITEMS, { todo: key }, keyed(key))).json.todo, key)
  t.is((await news()).length, 18)
  for (const key of ['', 'a b'])
    t.is((await ask('GET', ITEMS, undefined, keyed(key))).status, 200, 'reading needs none')
})

test('after 24 hours a key is free again, and its outcome is let go of', async (t) => {
  const { ask, clock, ledger, news } = await begin(t, { accessTtlMs: 10 * DAY_MS })
  const add = (todo: string) => ask('POST', ITEMS, { todo }, keyed('k'))
  const first = await add('x')
  clock.pass(DAY_MS - 1)
  t.deepEqual(shown(await add('x')), shown(first))
  t.is((await add('y')).status, 422)
  clock.pass(1)
  await news()
  const second = await add('y')
  t.is(second.json.todo, 'y')
  t.deepEqual(await news(), ['TodoAdded', 'OutcomeKept'])
  clock.pass(DAY_MS - 1)
  t.deepEqual(shown(await add('y')), shown(second))
  clock.pass(60_001)
  await ledger.sweep()
  t.is(await ledger.read(({ outcomes }) => outcomes.size), 0)
})

test('a refusal is not kept: the same key can be used again once what was wrong is put right', async (t) => {
  const { ask, add, news, refused, world } = await begin(t, { maxOpenTodos: 1 })
  const [item] = await add('a')
  const path = `${ITEMS}/${item!.id}`
  await refused(await ask('POST', ITEMS, { todo: 'b' }, keyed('full')), 409, 'list_full', 'full')
  await refused(
    await ask('PATCH', path, { todo: 'b' }, { ...keyed('match'), 'if-match': '"x"' }),
    412,
    'precondition_failed',
    'tag',
  )
  await refused(await ask('PATCH', `${ITEMS}/${NO_ID}`, {}, keyed('none')), 404, 'not_found', 'nobody’s')
  await refused(
    await ask('DELETE', '/todos/me', { todo_idx: 0, todo: 'b' }, keyed('text')),
    409,
    'todo_differs',
    'another',
  )
  await refused(await ask('POST', ITEMS, { todo: '' }, keyed('wrong')), 400, 'invalid_todo', 'wrong')
  t.is((await ask('PATCH', path, { todo: 'b' }, keyed('match'))).status, 200)
  t.is((await ask('PATCH', path, { todo: 'b' }, { ...keyed('match'), 'if-match': '"x"' })).status, 200, 'a repeat')
  t.is((await ask('DELETE', '/todos/me', { todo_idx: 0, todo: 'b' }, keyed('text'))).status, 200)
  t.is((await ask('POST', ITEMS, { todo: 'b' }, keyed('full'))).status, 201)
  await whileReadOnly(world, async () => {
    t.is((await ask('DELETE', '/todos/me', { todo_idx: 0 }, keyed('unwritten'))).status, 503)
  })
  await news()
  t.is((await ask('DELETE', '/todos/me', { todo_idx: 0 }, keyed('unwritten'))).status, 200)
  t.deepEqual(await news(), ['TodoDeleted', 'OutcomeKept'])
})

test('outcomes of a list take no more memory than its to-dos may: the oldest give way', async (t) => {
  const { ask, ledger, find, events } = await begin(t, { maxListSize: 20_000 })
  for (let i = 0; i < 40; i++) {
    const { json } = await ask('POST', ITEMS, { todo: `t${i} ${'x'.repeat(500)}` }, keyed(`add-${i}`))
    await ask('DELETE', `${ITEMS}/${json.id}`)
    t.true((await ledger.read(({ outcomes }) => outcomes.totalSize)) <= 20_000)
  }
  t.deepEqual(await find(), [])
  const kept = (await events()).filter((event) => event.type === 'OutcomeKept')
  const gone = kept.flatMap(({ data }) => data.replaces)
  t.deepEqual(
    gone,
    kept.slice(0, gone.length).map(({ data }) => data.key),
    'the oldest first',
  )
  t.true(gone.length > 20 && gone.length < 40)
})

test('an outcome is sealed like the to-dos themselves, and goes with its user', async (t) => {
  const { ask, world, ledger } = await begin(t)
  await ask('POST', ITEMS, { todo: 'secret text' }, keyed('secret-key'))
  const event = (await world.events()).at(-1)!
  t.deepEqual(
    [event.type, Object.keys(event.data).sort()],
    ['OutcomeKept', ['expiresAt', 'key', 'owner', 'replaces', 'request']],
  )
  t.false(/secret/.test(JSON.stringify(event)))
  await ledger.transact(SYSTEM, (state) => eraseUser(state, 'alice'))
  t.is(await ledger.read(({ outcomes, todos }) => outcomes.size + todos.size), 0)
})
