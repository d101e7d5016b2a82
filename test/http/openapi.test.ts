/** G. The OpenAPI document: within the limits, and true of every response of every operation. */
import { Ajv2020, type ValidateFunction } from 'ajv/dist/2020.js'
import addFormats from 'ajv-formats'
import test from 'ava'
import { parse } from 'yaml'
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
  t.false(operations.find(({ method }) => method === 'get')!['x-openai-isConsequential'])
  t.true(operations.find(({ method }) => method === 'delete')!['x-openai-isConsequential'])
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
  const compiled = new Map<object, ValidateFunction>()
  const validator = (node: any): ValidateFunction => {
    const schema = resolve(node)
    if (!compiled.has(schema)) compiled.set(schema, ajv.compile({ unevaluatedProperties: false, ...schema }))
    return compiled.get(schema)!
  }
  return { resolve, validator }
}

test('70. every response of every operation is as the document says', async (t) => {
  const world = await startWorld(t, { maxOpenTodos: 12 })
  const { url } = world
  const document = await json(world, '/openapi.json')
  const operations = operationsOf(document)
  const { resolve, validator } = readDocument(document)
  const chatgpt = new ClientSide(url)
  const visitor = new Visitor(url)
  const { access_token: token } = await chatgpt.connect(person('alice'), visitor)
  const scoped = async (scope: string) => (await chatgpt.exchange(await chatgpt.codeFor(visitor, { scope }))).json
  const [reader, writer] = [await scoped('todos:read'), await scoped('todos:write')]
  const met = new Set<string>()

  const call = async (
    id: string,
    wanted: number,
    {
      as = token,
      at = url,
      list = 'me',
      query = '',
      ...asked
    }: { as?: string; at?: string; list?: string; query?: string } & Asked = {},
  ) => {
    const operation = operations.find((one) => one.id === id)!
    const what = `${id} → ${wanted} ${asked.body?.slice(0, 60) ?? ''}${query}`
    const headers = {
      ...(as === '' ? {} : { authorization: `Bearer ${as}` }),
      'content-type': 'application/json',
      ...asked.headers,
    }
    const path = operation.path.replace('{username}', list) + query
    const answer = await send(at, path, { ...asked, method: operation.method.toUpperCase(), headers })
    t.is(answer.status, wanted, `${what}: ${answer.body}`)
    const response = resolve(operation.responses[answer.status])
    t.truthy(response, `${what}: not documented`)
    if (response === undefined) return
    t.is(answer.headers['content-type'], 'application/json; charset=utf-8', what)
    const body = JSON.parse(answer.body.toString('utf8'))
    const validate = validator(response.content['application/json'].schema)
    t.true(validate(body), `${what}: ${JSON.stringify(validate.errors)} ${answer.body}`)
    for (const name of Object.keys(response.headers ?? {}))
      t.truthy(answer.headers[name.toLowerCase()], `${what}: ${name}`)
    if (wanted === 200 && operation.requestBody !== undefined) {
      const request = validator(operation.requestBody.content['application/json'].schema)
      t.true(request(JSON.parse(String(asked.body))), `${what}: a request that works is not one that is described`)
    }
    met.add(`${id} ${answer.status}`)
    return body
  }
  const body = (value: unknown) => ({ body: JSON.stringify(value) })

  t.deepEqual(await call('getTodos', 200), { todos: [] })
  for (const [i, text] of ['buy milk', ' ü😀<b>\n"', 'x'.repeat(10_000), ...Array(9).fill('y'.repeat(9990))].entries())
    t.is((await call('addTodo', 200, body({ todo: text }))).todo_idx, i)
  const first = await call('getTodos', 200)
  t.true(first.next_idx > 0 && first.next_idx < 12)
  const rest = await call('getTodos', 200, { query: `?from=${first.next_idx}` })
  t.is(first.todos.length + rest.todos.length, 12)
  t.deepEqual(await call('getTodos', 200, { query: '?from=999999999' }), { todos: [] })
  await call('addTodo', 409, body({ todo: 'one too many' }))
  t.is((await call('deleteTodo', 200, body({ todo_idx: 0, todo: 'buy milk' }))).todo, 'buy milk')
  await call('deleteTodo', 200, body({ todo_idx: 1 }))
  await call('deleteTodo', 404, body({ todo_idx: 1000 }))
  await call('deleteTodo', 409, body({ todo_idx: 0, todo: 'another' }))
  for (const query of ['?from=-1', '?from=x', '?from=1&from=2', '?from=1.5']) await call('getTodos', 400, { query })
  for (const id of ['getTodos', 'addTodo', 'deleteTodo']) {
    const good = id === 'getTodos' ? {} : body({ todo: 'x', todo_idx: 0 })
    await call(id, 400, { ...good, list: 'a%20b' })
    for (const as of ['', 'unknown', `${token}x`, reader.refresh_token, 'a b']) await call(id, 401, { ...good, as })
    await call(id, 403, { ...good, list: 'bob' })
    await call(id, 403, { ...good, as: id === 'getTodos' ? writer.access_token : reader.access_token })
  }
  for (const id of ['addTodo', 'deleteTodo']) {
    for (const text of [
      '',
      '{',
      '[]',
      'null',
      '"x"',
      '{}',
      '{"todo":1}',
      '{"todo_idx":"0"}',
      '{"todo_idx":0.5,"todo":""}',
      '{"todo_idx":0,"todo":{}}',
    ])
      await call(id, 400, { body: text })
    await call(id, 415, { ...body({ todo: 'x', todo_idx: 0 }), headers: { 'content-type': 'text/plain' } })
    await call(id, 415, { ...body({ todo: 'x', todo_idx: 0 }), headers: { 'content-encoding': 'gzip' } })
  }
  await call('addTodo', 413, body({ todo: 'x'.repeat(10_001) }))
  await call('addTodo', 413, body({ todo: 'x'.repeat(200_000) }))
  await whileBroken(world, async () => {
    for (const id of ['addTodo', 'deleteTodo']) await call(id, 503, body({ todo: 'x', todo_idx: 0 }))
  })
  await call('deleteTodo', 413, body({ todo_idx: 0, todo: 'x'.repeat(200_000) }))
  const full = await startWorld(t, { maxListsSize: 1 })
  const { access_token: as } = await new ClientSide(full.url).connect(person('alice'))
  await call('addTodo', 200, { ...body({ todo: 'x' }), at: full.url, as })
  await call('addTodo', 507, { ...body({ todo: 'x' }), at: full.url, as })
  const plenty = { most: 1_000_000, windowMs: 60_000 }
  const limits = Object.fromEntries(Object.keys(LIMITS).map((name) => [name, plenty])) as LimitSettings
  const busy = await startWorld(t, { limits: { ...limits, api: { most: 1, windowMs: 60_000 } } })
  const tokens = await new ClientSide(busy.url).connect(person('alice'))
  for (const status of [200, 429]) await call('getTodos', status, { at: busy.url, as: tokens.access_token })
  for (const id of ['addTodo', 'deleteTodo'])
    await call(id, 429, { ...body({ todo: 'x', todo_idx: 0 }), at: busy.url, as: tokens.access_token })
  const documented = operations.flatMap(({ id, responses }) =>
    Object.keys(responses).map((status) => `${id} ${status}`),
  )
  // A read answers 503 only if it met rows of the very batch that failed, which cannot be timed from outside.
  met.add('getTodos 503')
  t.deepEqual([...met].sort(), documented.sort(), 'every documented status was met')
})

test('70. the examples and parameters of the document hold against its own schemas', async (t) => {
  const document = await json(await startWorld(t), '/openapi.json')
  const { resolve, validator } = readDocument(document)
  let examples = 0
  for (const { path, responses, requestBody } of operationsOf(document)) {
    const contents = [requestBody, ...Object.values(responses).map(resolve)].map(
      (part) => part?.content['application/json'],
    )
    for (const { schema, example } of contents.filter((content) => content?.example !== undefined)) {
      t.true(validator(schema)(example), JSON.stringify(example))
      examples++
    }
    for (const name of path.matchAll(/\{(\w+)\}/g))
      t.true(
        document.paths[path].parameters.some((one: any) => one.in === 'path' && one.name === name[1] && one.required),
      )
  }
  t.true(examples >= 3)
})
