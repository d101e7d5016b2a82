/** `/mcp` as the wire shows it: what is checked before a message is read, and in which order. */
import test from 'ava'
import { person, startWorld } from '../_support.ts'
import { send } from '../http/_wire.ts'
import { GENERATIONS, McpSide, requestIn, startMcp } from './_mcp.ts'

const LIST = { method: 'tools/list' }
const SCOPES = 'scope="todos:read todos:write"'

test('without a token, and with one that is none: 401, which names the metadata of /mcp and both scopes', async (t) => {
  const { world, alice } = await startMcp(t)
  const where = `resource_metadata="${world.url}/.well-known/oauth-protected-resource/mcp", ${SCOPES}`
  const wrong = `Bearer error="invalid_token", error_description="The access token is malformed, expired or revoked.", ${where}`
  for (const generation of GENERATIONS) {
    const none = await new McpSide(world.url).ask(LIST, generation)
    t.deepEqual([none.status, none.headers.get('www-authenticate')], [401, `Bearer ${where}`])
    t.is(none.json.error, 'unauthorized')
    for (const authorization of ['Bearer x', `Bearer ${alice.token}x`, 'Basic eDp5', `Bearer ${alice.token} x`]) {
      const { status, headers } = await alice.ask(LIST, generation, { authorization })
      t.deepEqual([status, headers.get('www-authenticate')], [401, wrong], authorization)
    }
    t.is((await send(world.url, '/mcp?access_token=x', { method: 'POST', ...requestIn(generation, LIST) })).status, 401)
  }
  t.deepEqual(await world.news(), [])
})

test('a body is not read before it is known who sent it', async (t) => {
  const { world, alice } = await startMcp(t)
  for (const body of ['{', '[]', 'x'.repeat(3_000_000)]) t.is((await new McpSide(world.url).post(body)).status, 401)
  t.is((await alice.post('{')).status, 400)
})

test('other methods are 405 and say so, whoever asks', async (t) => {
  const { world, alice } = await startMcp(t)
  for (const token of [undefined, alice.token])
    for (const method of ['GET', 'HEAD', 'DELETE', 'PUT', 'PATCH', 'OPTIONS']) {
      const headers = token === undefined ? {} : { authorization: `Bearer ${token}` }
      const answer = await send(world.url, '/mcp', { method, headers: { accept: 'text/event-stream', ...headers } })
      t.deepEqual([answer.status, answer.headers.allow], [405, 'POST'], method)
      t.is(answer.headers['cache-control'], 'no-store')
    }
  for (const path of ['/mcp/', '/MCP', '/mcp/x']) t.is((await send(world.url, path, { method: 'POST' })).status, 404)
})

test('a foreign Origin is 403 even with a good token, and before the token is looked at', async (t) => {
  const { world, alice } = await startMcp(t)
  const foreign = [
    'https://evil.example',
    'null',
    'https://chatgpt.com.evil.example',
    'http://localhost:1',
    `${world.url}/`,
  ]
  for (const origin of foreign)
    for (const token of [alice.token, undefined]) {
      const { status, headers, json } = await new McpSide(world.url, token).ask(LIST, '2025', { origin })
      t.deepEqual([status, json.error], [403, 'forbidden'], origin)
      t.is(headers.get('www-authenticate'), null, 'this is nothing that a sign-in would mend')
    }
  for (const origin of [world.url, 'https://chatgpt.com', 'https://chat.openai.com'])
    t.is((await alice.ask(LIST, '2025', { origin })).status, 200, origin)
  const crossSite = { 'sec-fetch-site': 'cross-site' }
  t.is((await send(world.url, '/mcp', { method: 'POST', headers: crossSite })).status, 403)
  t.deepEqual(await world.news(), [])
})

test('a Host that is not this server’s is 403, one that is none too, and never 500', async (t) => {
  const world = await startWorld(t, { publicUrl: 'https://todo.example' })
  const { port } = new URL(world.url)
  const ask = async (host: string) => {
    const { headers, body } = requestIn('2025', LIST)
    return (await send(world.url, '/mcp', { method: 'POST', headers: { ...headers, host }, body })).status
  }
  for (const host of [
    'todo.example',
    'todo.example:8443',
    'TODO.example',
    'localhost',
    `localhost:${port}`,
    '127.0.0.1',
    '[::1]',
  ])
    t.is(await ask(host), 401, `${host}: the token is looked at`)
  for (const host of [
    'evil.example',
    'todo.example.evil.example',
    'evil',
    'localhost.evil.example',
    '[',
    '[::1',
    'a b',
    'todo.example:99999',
    'todo.example:x',
    'todo.example@evil.example',
    'localhost/x',
    '%zz',
    '\u00e9.example',
  ])
    t.is(await ask(host), 403, host)
  t.is(await ask(''), 401, 'none: HTTP/1.1 asks for the field, which may be empty')
})

test('the body is one JSON-RPC message of UTF-8 JSON, of bounded size and depth', async (t) => {
  const { world, alice } = await startMcp(t)
  const good = requestIn('2025', LIST).body
  const wrong = async (body: string | Buffer) => {
    const { status, json } = await alice.post(body)
    return [status, json.jsonrpc, json.id, json.error.code]
  }
  const call = requestIn('2025', {
    method: 'tools/call',
    params: { name: 'add_todos', arguments: { items: [{ todo: 'x' }] } },
  })
  for (const batch of ['[]', `[${good}]`, `[${call.body},${call.body}]`, ` \n[${call.body}]`])
    t.deepEqual(await wrong(batch), [400, '2.0', null, -32600], batch.slice(0, 20))
  for (const text of ['', '{', 'x', '{"jsonrpc":"2.0",}', `${good}${good}`, '\u0000'])
    t.deepEqual(await wrong(text), [400, '2.0', null, -32700], text)
  for (const text of ['null', '"hi"', '1', '{}', '{"jsonrpc":"1.0","id":1,"method":"ping"}']) {
    const { status, json } = await alice.post(text)
    t.deepEqual([status, json.error.code], [400, -32600], text)
  }
  const nested = (depth: number): string => `${'{"a":'.repeat(depth)}1${'}'.repeat(depth)}`
  for (const depth of [65, 5000, 200_000])
    t.deepEqual(await wrong(nested(depth)), [400, '2.0', null, -32600], String(depth))
  t.deepEqual(await wrong('['.repeat(1_000_000)), [400, '2.0', null, -32600])
  const meta = (members: number): string => {
    const [, ...rest] = Array.from({ length: members + 1 }, (_, i) => `"m${i}":{"x":1}`)
    return good.replace('"params":{}', `"params":{"_meta":{${rest}}}`)
  }
  t.is((await alice.post(meta(900))).status, 200)
  t.deepEqual(await wrong(meta(1100)), [400, '2.0', null, -32600], 'too many members')
  const text = (call: string) => call.replace('{"todo":"x"}', '{"todo":"x","t\\u006fdo":"y"}')
  t.deepEqual(await wrong(text(call.body)), [400, '2.0', null, -32600], 'a member twice')
  for (const name of ['id', 'method'])
    t.deepEqual(await wrong(JSON.stringify({ ...JSON.parse(good), [name]: 'x'.repeat(1001) })), [
      400,
      '2.0',
      null,
      -32600,
    ])
  const revision = requestIn('2026', LIST).body.replace('2026-07-28', 'x'.repeat(1001))
  t.deepEqual(await wrong(revision), [400, '2.0', null, -32600])
  for (const name of ['name', 'uri'])
    for (const length of [1000, 1001]) {
      const params = { arguments: {}, [name]: 'x'.repeat(length) }
      const method = name === 'name' ? 'tools/call' : 'resources/read'
      const { status, json } = await alice.post(JSON.stringify({ jsonrpc: '2.0', id: 1, method, params }))
      t.is(status === 400 && json.id === null, length > 1000, `${name} of ${length}`)
    }
  // Brackets in strings open nothing.
  const brackets = requestIn('2025', {
    method: 'tools/call',
    params: { name: 'search', arguments: { query: '"\\{['.repeat(100) } },
  })
  t.is((await alice.post(brackets.body)).status, 200)
  t.is((await alice.post('x'.repeat(2 * 1024 * 1024 + 1))).status, 413)
  t.is((await alice.post(Buffer.from([0x22, 0xff, 0x22]))).status, 400)
  for (const type of ['text/plain', 'application/x-www-form-urlencoded', 'application/json; charset=utf-16', undefined])
    t.is((await alice.post(good, { 'content-type': type })).status, 415, type)
  t.is((await alice.post(good, { 'content-encoding': 'gzip' })).status, 415)
  t.is((await alice.post(good, { 'content-type': 'application/json; charset=UTF-8' })).status, 200)
  t.deepEqual(await world.news(), [])
})

test('deep values in the envelope of a request reach no reader that would exhaust its stack', async (t) => {
  const { alice } = await startMcp(t)
  const { headers, body } = requestIn('2026', LIST)
  const deep = `${'{"a":'.repeat(5000)}1${'}'.repeat(5000)}`
  const { status, text } = await alice.post(
    body.replace('clientCapabilities":{}', `clientCapabilities":{"experimental":${deep}}`),
    headers,
  )
  t.is(status, 400)
  t.notRegex(text, /stack|RangeError/i)
})

test('unknown revisions, methods and headers are answered as the protocol says', async (t) => {
  const { alice } = await startMcp(t)
  const told = async (answer: ReturnType<McpSide['ask']>) => {
    const { status, json } = await answer
    return [status, json.error?.code]
  }
  t.deepEqual(await told(alice.ask(LIST, '2025', { 'mcp-protocol-version': '2019-01-01' })), [400, -32000])
  t.deepEqual(await told(alice.ask({ method: 'nope' }, '2025')), [200, -32601])
  t.deepEqual(await told(alice.ask({ method: 'nope' }, '2026')), [404, -32601])
  t.deepEqual(await told(alice.ask({ method: 'initialize' }, '2026')), [404, -32601])
  t.deepEqual(await told(alice.ask(LIST, '2026', { 'mcp-method': 'tools/call' })), [400, -32020])
  t.deepEqual(await told(alice.ask(LIST, '2026', { 'mcp-method': undefined })), [400, -32020])
  t.deepEqual(await told(alice.ask(LIST, '2026', { 'mcp-protocol-version': '2025-11-25' })), [400, -32020])
  const future = requestIn('2026', LIST)
  const body = future.body.replace('2026-07-28', '2027-01-01')
  t.deepEqual(await told(alice.post(body, { ...future.headers, 'mcp-protocol-version': '2027-01-01' })), [400, -32022])
  for (const version of ['2025-11-25', '2025-06-18', '1999-01-01']) {
    const params = { protocolVersion: version, capabilities: {}, clientInfo: { name: 'x', version: '1' } }
    const { json, headers } = await alice.ask({ method: 'initialize', params }, '2025')
    t.is(json.result.protocolVersion, version === '1999-01-01' ? '2025-11-25' : version)
    t.is(headers.get('mcp-session-id'), null)
  }
  const discovered = await alice.ask({ method: 'server/discover' }, '2026')
  t.deepEqual(discovered.json.result.supportedVersions, ['2026-07-28'])
  const notified = await alice.post('{"jsonrpc":"2.0","method":"notifications/initialized"}')
  t.deepEqual([notified.status, notified.text], [202, ''])
})

test('a range in Accept that covers both types will do; one that does not is 406 in 2025', async (t) => {
  const { alice } = await startMcp(t)
  for (const accept of ['*/*', 'application/*, text/*', 'text/event-stream, application/json'])
    t.is((await alice.ask(LIST, '2025', { accept })).status, 200, accept)
  for (const accept of ['application/json', 'text/html', 'x'.repeat(5000)])
    t.is((await alice.ask(LIST, '2025', { accept })).status, 406, accept)
  t.is((await alice.ask(LIST, '2026', { accept: 'application/json' })).status, 200)
})

test('every answer is no-store, carries the request’s id, and says how many requests are left', async (t) => {
  const { world, alice } = await startMcp(t, { limits: undefined })
  const nobody = new McpSide(world.url)
  const answers = [
    ...(await Promise.all(GENERATIONS.map((generation) => alice.ask(LIST, generation)))),
    await nobody.ask(LIST),
    await alice.post('{'),
    await alice.post('[]'),
    await alice.ask(LIST, '2025', { origin: 'https://evil.example' }),
    await alice.ask(LIST, '2025', { 'content-type': 'text/plain' }),
    await alice.ask({ method: 'subscriptions/listen', params: { notifications: {} } }, '2026'),
  ]
  for (const { headers, status } of answers) {
    t.is(headers.get('cache-control'), 'no-store', String(status))
    t.regex(headers.get('x-request-id')!, /^[0-9A-Z]{26}$/)
    t.is(headers.get('x-content-type-options'), 'nosniff')
  }
})

test('a preflight for /mcp lets the named origins send what clients send, and read what they need', async (t) => {
  const { world, alice } = await startMcp(t)
  const wanted = 'authorization,content-type,mcp-protocol-version,mcp-method,mcp-name'
  const asked = {
    origin: 'https://chatgpt.com',
    'access-control-request-method': 'POST',
    'access-control-request-headers': wanted,
  }
  const { status, headers } = await send(world.url, '/mcp', { method: 'OPTIONS', headers: asked })
  t.is(status, 204)
  t.is(headers['access-control-allow-origin'], 'https://chatgpt.com')
  t.is(headers['access-control-allow-headers'], wanted)
  t.true(headers['access-control-allow-methods']!.split(',').includes('POST'))
  const answer = await alice.ask(LIST, '2025', { origin: 'https://chatgpt.com' })
  const exposed = answer.headers.get('access-control-expose-headers')!.split(',')
  for (const name of ['WWW-Authenticate', 'Mcp-Protocol-Version', 'X-Request-Id']) t.true(exposed.includes(name), name)
  const foreign = await send(world.url, '/mcp', {
    method: 'OPTIONS',
    headers: { ...asked, origin: 'https://evil.example' },
  })
  t.is(foreign.status, 403)
  t.is(foreign.headers['access-control-allow-origin'], undefined)
})

test('no credential of a request reaches the log, and no word of a to-do', async (t) => {
  const { world, alice } = await startMcp(t)
  await alice.did('add_todos', { items: [{ todo: 'a very private thing' }] })
  await alice.failed('fetch', { id: 'a-secret-id' })
  await alice.ask({ method: 'a-private-method' }, '2026')
  const log = world.log.join('')
  for (const secret of [alice.token!, 'private', 'a-secret-id', person('alice').password])
    t.false(log.includes(secret), secret)
  t.regex(log, /"tool":"fetch","reason":"todo_unknown","msg":"a tool refused"/)
})
