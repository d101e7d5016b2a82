/** G. The OpenAPI document: within the limits, and true of every response of every operation. */
import { Ajv2020, type ValidateFunction } from 'ajv/dist/2020.js'
import addFormats from 'ajv-formats'
import test, { type ExecutionContext } from 'ava'
import { parse } from 'yaml'
import type { Settings } from '../../src/http/settings.ts'
import { LIMITS, type LimitSettings } from '../../src/service/limits.ts'
import { ClientSide, person, startWorld, Visitor, type World } from '../_support.ts'
import { type Asked, send, whileBroken } from './_wire.ts'

const json = async (world: World, path: string): Promise<any> => (await fetch(world.url + path)).json()

test('70. the two notations of the OpenAPI document are equal, and name this server', async (t) => {
  const publicUrl = 'https://todo.example'
  const world = await startWorld(t, { publicUrl })
  const document = await json(world, '/openapi.json')
  t.deepEqual(parse(await (await fetch(`${world.url}/openapi.yaml`)).text()), document)
  t.is(document.openapi, '3.1.0')
  t.is(document.info.version, '0.0.0-test')
  t.deepEqual(document.servers, [{ url: publicUrl }])
  const { authorizationUrl, tokenUrl, refreshUrl, scopes } =
    document.components.securitySchemes.oauth.flows.authorizationCode
  const endpoint = `${publicUrl}/auth/oauth_exchange`
  t.deepEqual([authorizationUrl, tokenUrl, refreshUrl], [`${publicUrl}/oauth`, endpoint, endpoint])
  const metadata = await json(world, '/.well-known/oauth-authorization-server')
  t.deepEqual(Object.keys(scopes), metadata.scopes_supported)
})

type Operation = { path: string; method: string; id: string; [member: string]: any }

function operationsOf(document: any): Operation[] {
  const methods = ['get', 'put', 'post', 'delete', 'patch', 'options', 'head', 'trace', 'query']
  return Object.entries<any>(document.paths).flatMap(([path, item]) =>
    methods
      .filter((method) => method in item)
      .map((method) => ({ path, method, id: item[method].operationId, ...item[method] })),
  )
}

test('70. names and descriptions fit the limits, and every operation says whether it is consequential', async (t) => {
  const document = await json(await startWorld(t), '/openapi.json')
  const walk = (value: unknown, at: string): void => {
    if (typeof value !== 'object' || value === null) return
    for (const [name, member] of Object.entries(value)) {
      const isText = (name === 'description' || name === 'summary') && typeof member === 'string'
      if (isText) t.true(member.length >= 1 && member.length <= 200, `${at}.${name}: ${member.length} characters`)
      walk(member, `${at}.${name}`)
    }
  }
  walk(document, '')
  const operations = operationsOf(document)
  t.true(operations.length >= 3 && operations.length <= 30)
  t.is(new Set(operations.map(({ id }) => id)).size, operations.length)
  for (const operation of operations) {
    t.regex(operation.id, /^[A-Za-z][A-Za-z0-9_]{0,63}$/)
    t.truthy(operation.summary)
    t.is(typeof operation['x-openai-isConsequential'], 'boolean', operation.id)
  }
  const consequential = operations.filter((operation) => operation['x-openai-isConsequential']).map(({ id }) => id)
  t.deepEqual(consequential, ['deleteTodo', 'batchItems', 'deleteItem'], 'what can delete, and nothing else')
})

test('70. each operation has all its parameters itself, a description, and request schemas that take nothing else', async (t) => {
  const world = await startWorld(t)
  const document = await json(world, '/openapi.json')
  for (const [path, item] of Object.entries<object>(document.paths))
    t.true(
      Object.keys(item).every((name) => /^(get|post|patch|delete)$/.test(name)),
      `${path}: ${Object.keys(item)}`,
    )
  for (const { id, path, parameters, description, summary } of operationsOf(document)) {
    const inPath = parameters.filter((one: any) => one.in === 'path' && one.required).map(({ name }: any) => name)
    t.deepEqual(
      inPath,
      [...path.matchAll(/\{(\w+)\}/g)].map(([, name]) => name),
      id,
    )
    for (const one of parameters)
      t.truthy(one.name && one.description && one.schema && one.$ref === undefined, `${id} ${one.name}`)
    t.true(typeof description === 'string' && description !== summary, id)
  }
  for (const [name, schema] of Object.entries<any>(document.components.schemas))
    if (/Request$|^new|Patch$/.test(name)) t.is(schema.additionalProperties, false, name)
  // Aliases of YAML are for the people who write the document.
  t.notRegex(await (await fetch(`${world.url}/openapi.yaml`)).text(), /[:-] [&*]\w/)
})

/** Validators of the document's own schemas, and of nothing that they do not name. */
function readDocument(document: any) {
  const ajv = new Ajv2020({ strict: true, strictTypes: false, allErrors: true })
  addFormats.default(ajv)
  const resolve = (node: any): any =>
    node?.$ref === undefined
      ? node
      : node.$ref
          .slice(2)
          .split('/')
          .reduce((at: any, name: string) => at[name], document)
  /** A schema with what it refers to in its place. */
  const whole = (node: any): any => {
    if (typeof node !== 'object' || node === null) return node
    if (Array.isArray(node)) return node.map(whole)
    const { example: _, ...schema } = resolve(node)
    const parts = Object.fromEntries(Object.entries(schema).map(([name, part]) => [name, whole(part)]))
    return parts.type === 'object' ? { additionalProperties: false, ...parts } : parts
  }
  const compiled = new Map<object, ValidateFunction>()
  const validator = (node: any): ValidateFunction => {
    const schema = resolve(node)
    if (!compiled.has(schema)) compiled.set(schema, ajv.compile(whole(schema)))
    return compiled.get(schema)!
  }
  return { resolve, validator }
}

type Call = { as?: string; at?: string; list?: string; item?: string; query?: string } & Asked
type Caller = (id: string, wanted: number, call?: Call) => Promise<any>
const body = (value: unknown) => ({ body: JSON.stringify(value) })
const keyed = (value: unknown, key = 'k') => ({ ...body(value), headers: { 'idempotency-key': key } })

/** Calls operations by their ids, and holds each answer against the document. `met`: which statuses have been seen. */
function checking(t: ExecutionContext, document: any, url: string, token: string) {
  const operations = operationsOf(document)
  const { resolve, validator } = readDocument(document)
  const met = new Set<string>()
  const call: Caller = async (
    id,
    wanted,
    { as = token, at = url, list = 'me', item = '-', query = '', ...asked } = {},
  ) => {
    const operation = operations.find((one) => one.id === id)!
    const what = `${id} → ${wanted} ${asked.body?.slice(0, 60) ?? ''}${query}`
    const headers = {
      ...(as === '' ? {} : { authorization: `Bearer ${as}` }),
      'content-type': 'application/json',
      ...asked.headers,
    }
    const path = operation.path.replace('{username}', list).replace('{id}', item) + query
    const answer = await send(at, path, { ...asked, method: operation.method.toUpperCase(), headers })
    t.is(answer.status, wanted, `${what}: ${answer.body}`)
    const response = resolve(operation.responses[answer.status])
    t.truthy(response, `${what}: not documented`)
    met.add(`${id} ${answer.status}`)
    for (const name of Object.keys(response?.headers ?? {}))
      t.truthy(answer.headers[name.toLowerCase()], `${what}: ${name}`)
    if (response?.content === undefined) return void t.is(answer.body.length, 0, what)
    t.is(answer.headers['content-type'], 'application/json; charset=utf-8', what)
    const json = JSON.parse(answer.body.toString('utf8'))
    const validate = validator(response.content['application/json'].schema)
    t.true(validate(json), `${what}: ${JSON.stringify(validate.errors)} ${answer.body}`)
    if (wanted < 300 && asked.body !== undefined) {
      const request = validator(operation.requestBody.content['application/json'].schema)
      t.true(request(JSON.parse(String(asked.body))), `${what}: a request that works is not one that is described`)
    }
    return json
  }
  return { call, met, operations }
}

/** The index routes, as they are meant to be used and as they are not. */
async function callByIndex(t: ExecutionContext, call: Caller): Promise<void> {
  t.deepEqual(await call('getTodos', 200), { todos: [] })
  for (const [i, text] of ['buy milk', ' ü😀<b>\n"', 'x'.repeat(10_000), ...Array(9).fill('y'.repeat(9990))].entries())
    t.is((await call('addTodo', 200, body({ todo: text }))).todo_idx, i)
  const first = await call('getTodos', 200)
  t.true(first.next_idx > 0 && first.next_idx < 12)
  const rest = await call('getTodos', 200, { query: `?from=${first.next_idx}` })
  t.is(first.todos.length + rest.todos.length, 12)
  t.deepEqual(await call('getTodos', 200, { query: '?from=999999999' }), { todos: [] })
  await call('addTodo', 409, body({ todo: 'one too many' }))
  await call('addItem', 409, body({ todo: 'one too many' }))
  await call('batchItems', 409, body({ action: 'add', items: [{ todo: 'one too many' }] }))
  t.is((await call('deleteTodo', 200, body({ todo_idx: 0, todo: 'buy milk' }))).todo, 'buy milk')
  await call('deleteTodo', 200, body({ todo_idx: 1 }))
  for (let i = 0; i < 9; i++) await call('deleteTodo', 200, { query: '?todo_idx=1' })
  await call('deleteTodo', 404, body({ todo_idx: 1000 }))
  await call('deleteTodo', 409, body({ todo_idx: 0, todo: 'another' }))
  await call('deleteTodo', 409, { query: '?todo_idx=0&todo=another' })
  for (const query of ['?from=-1', '?from=x', '?from=1&from=2', '?from=1.5']) await call('getTodos', 400, { query })
  for (const query of ['?todo_idx=x', '?todo=x', '?todo_idx=0&todo_idx=0', '?todo_idx=0&x=1'])
    await call('deleteTodo', 400, { query })
  await call('addTodo', 200, keyed({ todo: 'x' }, 'a'))
  await call('addTodo', 422, keyed({ todo: 'y' }, 'a'))
  await call('deleteTodo', 422, keyed({ todo_idx: 0 }, 'a'))
}

/** The routes by id, as they are meant to be used and as they are not. @returns the id of a to-do that is there */
async function callById(t: ExecutionContext, call: Caller): Promise<string> {
  const full = { todo: 'a', due: '2026-12-01T17:00:00+01:00', priority: 1, notes: 'n' }
  const { id: item } = await call('addItem', 201, keyed(full))
  const { id: other } = await call('addItem', 201, body({ todo: 'b', due: null, priority: null, notes: null }))
  await call('addItem', 422, keyed({ todo: 'another' }))
  t.deepEqual(
    await call('getItem', 200, { item }).then(({ todo, due, priority, notes }) => ({ todo, due, priority, notes })),
    full,
  )
  await call('getItem', 304, { item, headers: { 'if-none-match': '*' } })
  for (const change of [
    {},
    { done: true },
    { done: false, due: '2026-12-24' },
    { todo: 'c', due: null, priority: null, notes: null },
  ])
    await call('updateItem', 200, { item, ...body(change) })
  await call('updateItem', 412, { item, ...body({}), headers: { 'if-match': '"x"' } })
  await call('updateItem', 422, { item, ...keyed({}) })
  for (const place of [{ before: other }, { after: other }, { position: 1 }])
    await call('moveItem', 200, { item, ...body(place) })
  await call('moveItem', 412, { item, ...body({ position: 1 }), headers: { 'if-match': '"x"' } })
  await call('moveItem', 422, { item, ...keyed({ position: 1 }) })
  for (const place of [{}, { position: 0 }, { before: item }, { before: item, after: item }])
    await call('moveItem', 400, { item, ...body(place) })
  const ids = [item, other, 'nobody’s']
  for (const action of ['complete', 'reopen', 'delete', 'undelete']) {
    const { items, failures } = await call('batchItems', 200, body({ action, ids }))
    t.deepEqual([items.length, failures.length], [2, 1], action)
  }
  await call('batchItems', 200, body({ action: 'add', items: [{ todo: 'x' }, full] }))
  await call(
    'batchItems',
    200,
    body({
      action: 'reschedule',
      items: [
        { id: item, due: '2026-12-31' },
        { id: other, due: null },
      ],
    }),
  )
  await call('batchItems', 422, keyed({ action: 'complete', ids }))
  for (const query of ['', '?state=all&sort=due', '?query=x&limit=1', '?due_before=2027-01-01&due_after=2026-01-01'])
    t.true((await call('findItems', 200, { query })).total > 0, query)
  const { next_cursor: cursor } = await call('findItems', 200, { query: '?limit=1' })
  await call('findItems', 200, { query: `?limit=1&cursor=${cursor}` })
  for (const query of ['?limit=0', '?state=x', '?sort=x', '?due_before=x', '?cursor=x', '?x=1'])
    await call('findItems', 400, { query })
  await call('deleteItem', 412, { item: other, headers: { 'if-match': '"x"' } })
  await call('deleteItem', 422, { item: other, headers: { 'idempotency-key': 'k' } })
  await call('deleteItem', 200, { item: other })
  for (const id of ['getItem', 'updateItem', 'deleteItem', 'moveItem'])
    await call(id, 404, { item: other, ...(OF_ITEMS[id] === undefined ? {} : body(OF_ITEMS[id])) })
  return item
}

/** A body that each operation takes; `undefined` where it takes none. */
const OF_ITEMS: { readonly [id: string]: object | undefined } = {
  addItem: { todo: 'x' },
  updateItem: { todo: 'x' },
  moveItem: { position: 1 },
  batchItems: { action: 'add', items: [{ todo: 'x' }] },
}
const BODIES: { readonly [id: string]: object | undefined } = {
  ...OF_ITEMS,
  addTodo: { todo: 'x' },
  deleteTodo: { todo_idx: 0 },
}
const BROKEN = [
  '',
  '{',
  '[]',
  'null',
  '"x"',
  '{"todo":1}',
  '{"todo_idx":"0"}',
  '{"todo_idx":0.5,"todo":""}',
  '{"unknown":1}',
]

test('70. every response of every operation is as the document says', async (t) => {
  const world = await startWorld(t, { maxOpenTodos: 12 })
  const { url } = world
  const document = await json(world, '/openapi.json')
  const chatgpt = new ClientSide(url)
  const visitor = new Visitor(url)
  const { access_token: token } = await chatgpt.connect(person('alice'), visitor)
  const { call, met, operations } = checking(t, document, url, token)
  await callByIndex(t, call)
  const item = await callById(t, call)
  const scoped = async (scope: string) => (await chatgpt.exchange(await chatgpt.codeFor(visitor, { scope }))).json
  const [reader, writer] = [await scoped('todos:read'), await scoped('todos:write')]
  const goodOf = (id: string) => ({ item, ...(BODIES[id] === undefined ? {} : body(BODIES[id])) })
  const all = operations.map(({ id }) => id)
  const withBody = Object.keys(BODIES)
  for (const id of all) {
    const good = goodOf(id)
    await call(id, 400, { ...good, list: 'a%20b' })
    for (const as of ['', 'unknown', `${token}x`, reader.refresh_token, 'a b']) await call(id, 401, { ...good, as })
    await call(id, 403, { ...good, list: 'bob' })
    await call(id, 403, { ...good, as: /^(get|find)/.test(id) ? writer.access_token : reader.access_token })
  }
  for (const id of withBody) {
    for (const text of BROKEN) await call(id, 400, { item, body: text })
    await call(id, 415, { ...goodOf(id), headers: { 'content-type': 'text/plain' } })
    await call(id, 415, { ...goodOf(id), headers: { 'content-encoding': 'gzip' } })
    await call(id, 413, { item, body: 'x'.repeat(2_200_000) })
  }
  for (const id of ['addTodo', 'addItem', 'updateItem'])
    await call(id, 413, { item, ...body({ todo: 'x'.repeat(10_001) }) })
  await whileBroken(world, async () => {
    for (const id of all.filter((one) => !/^(get|find)/.test(one))) await call(id, 503, goodOf(id))
  })
  await callFull(t, call)
  await callBusy(t, call, goodOf, all)
  const documented = operations.flatMap(({ id, responses }) =>
    Object.keys(responses).map((status) => `${id} ${status}`),
  )
  // A read answers 503 only if it met rows of the very batch that failed, which cannot be timed from outside.
  for (const id of all.filter((one) => /^(get|find)/.test(one))) met.add(`${id} 503`)
  t.deepEqual([...met].sort(), documented.sort(), 'every documented status was met')
})

/** A list that cannot be reopened into, and a Daybook that holds no more. */
async function callFull(t: ExecutionContext, call: Caller): Promise<void> {
  const connected = async (changed: Partial<Settings>) => {
    const { url: at } = await startWorld(t, changed)
    return { at, as: (await new ClientSide(at).connect(person('alice'))).access_token }
  }
  const one = await connected({ maxOpenTodos: 1 })
  const { id: done } = await call('addItem', 201, { ...body({ todo: 'x' }), ...one })
  await call('updateItem', 200, { item: done, ...body({ done: true }), ...one })
  await call('addItem', 201, { ...body({ todo: 'y' }), ...one })
  await call('updateItem', 409, { item: done, ...body({ done: false }), ...one })
  const full = await connected({ maxListsSize: 1300 })
  const { id: item } = await call('addItem', 201, { ...body({ todo: 'x' }), ...full })
  for (const id of ['addTodo', 'addItem', 'batchItems']) await call(id, 507, { ...body(BODIES[id]), ...full })
  await call('updateItem', 507, { item, ...body({ todo: 'x'.repeat(1000) }), ...full })
}

async function callBusy(
  t: ExecutionContext,
  call: Caller,
  goodOf: (id: string) => Call,
  all: readonly string[],
): Promise<void> {
  const plenty = { most: 1_000_000, windowMs: 60_000 }
  const limits = Object.fromEntries(Object.keys(LIMITS).map((name) => [name, plenty])) as LimitSettings
  const { url: at } = await startWorld(t, { limits: { ...limits, api: { most: 1, windowMs: 60_000 } } })
  const { access_token: as } = await new ClientSide(at).connect(person('alice'))
  await call('getTodos', 200, { at, as })
  for (const id of all) await call(id, 429, { ...goodOf(id), at, as })
}

test('70. the examples and parameters of the document hold against its own schemas', async (t) => {
  const document = await json(await startWorld(t), '/openapi.json')
  const { resolve, validator } = readDocument(document)
  let examples = 0
  for (const { responses, requestBody } of operationsOf(document)) {
    const contents = [requestBody, ...Object.values(responses).map(resolve)].map(
      (part) => part?.content?.['application/json'],
    )
    for (const { schema, example } of contents.filter((content) => content?.example !== undefined)) {
      t.true(validator(schema)(example), JSON.stringify(example))
      examples++
    }
  }
  t.true(examples >= 10)
})
