/** Who may do what at `/mcp`: scopes, audiences, revocation in the middle of a request, limits, and the trail. */
import { once } from 'node:events'
import { request } from 'node:http'
import test from 'ava'
import { revokeUser } from '../../src/domain/users.ts'
import { LIMITS, type LimitName, type LimitSettings } from '../../src/service/limits.ts'
import { ClientSide, PKCE, person, publicClient, SYSTEM, startWorld, VERIFIER, type World } from '../_support.ts'
import { settleTraffic } from '../http/_elsewhere.ts'
import { connectMcp, GENERATIONS, type Generation, McpSide, requestIn, startMcp } from './_mcp.ts'

const WRITES: { readonly [tool: string]: object } = {
  add_todos: { items: [{ todo: 'x' }] },
  update_todo: { id: 'x', todo: 'y' },
  complete_todos: { ids: ['x'] },
  reopen_todos: { ids: ['x'] },
  reschedule_todos: { items: [{ id: 'x', due: null }] },
  move_todo: { id: 'x', position: 1 },
  delete_todos: { ids: ['x'] },
  undo_delete: { ids: ['x'] },
}
const READS: { readonly [tool: string]: object } = {
  find_todos: {},
  get_overview: {},
  my_activity: {},
  search: { query: 'x' },
  fetch: { id: 'x' },
  get_profile: {},
}

const challenge = (url: string, error: string, description: string): string =>
  `Bearer error="${error}", error_description="${description}", resource_metadata="${url}/.well-known/oauth-protected-resource/mcp", scope="todos:read todos:write"`

test('all tools are listed to every token, each with the scope it needs; a missing scope is told with a challenge', async (t) => {
  const world = await startWorld(t)
  const sides = {
    read: new McpSide(world.url, (await connectMcp(world, person('alice'), { scope: 'todos:read' })).access_token),
    write: new McpSide(world.url, (await connectMcp(world, person('bob'), { scope: 'todos:write' })).access_token),
  }
  await world.news()
  for (const generation of GENERATIONS) {
    const lists = await Promise.all(Object.values(sides).map((side) => side.ask({ method: 'tools/list' }, generation)))
    t.deepEqual(lists[0]!.json.result, lists[1]!.json.result)
    const { tools } = lists[0]!.json.result
    t.deepEqual(tools.map(({ name }: any) => name).sort(), [...Object.keys(READS), ...Object.keys(WRITES)].sort())
    for (const [side, allowed, refused] of [
      [sides.read, READS, WRITES],
      [sides.write, WRITES, READS],
    ] as const) {
      for (const [tool, args] of Object.entries(refused)) {
        const result = await side.call(tool, args, { generation })
        t.true(result.isError, tool)
        t.is(result.content[0]!.text, 'The user has not allowed this. They can allow it by connecting Daybook again.')
        t.deepEqual(result._meta['mcp/www_authenticate'], [
          challenge(world.url, 'insufficient_scope', 'The access token does not allow that.'),
        ])
        t.is(result.structuredContent, undefined)
        const needed = refused === WRITES ? 'todos:write' : 'todos:read'
        const listed = tools.find(({ name }: any) => name === tool)
        t.deepEqual(listed._meta.securitySchemes, [{ type: 'oauth2', scopes: [needed] }], tool)
      }
      for (const [tool, args] of Object.entries(allowed))
        t.is((await side.call(tool, args, { generation }))._meta?.['mcp/www_authenticate'], undefined, tool)
    }
    const read = { method: 'resources/read', params: { uri: 'daybook://todos' } }
    t.is((await sides.read.ask(read, generation)).status, 200)
    const { status, headers } = await sides.write.ask(read, generation)
    t.is(status, 403)
    const told = headers.get('www-authenticate')!
    for (const part of [
      'error="insufficient_scope"',
      'scope="todos:read todos:write"',
      `${world.url}/.well-known/oauth-protected-resource/mcp`,
    ])
      t.true(told.includes(part), told)
  }
  t.deepEqual(await world.news(), ['TodoAdded', 'TodoAdded'])
})

test('65. a token of /todos is good for nothing at /mcp, and the other way', async (t) => {
  const { world, alice } = await startMcp(t)
  const side = new ClientSide(world.url)
  const unbound = await side.connect(person('bob'))
  const { access_token } = await connectMcp(world, person('carol'), { side: originSide(world) })
  await world.news()
  for (const token of [unbound.access_token, access_token]) {
    t.is((await side.api(token, 'GET', '/todos/me')).status, 200)
    for (const generation of GENERATIONS) {
      const { status, headers } = await new McpSide(world.url, token).ask({ method: 'tools/list' }, generation)
      t.is(status, 401)
      t.regex(headers.get('www-authenticate')!, /^Bearer error="invalid_token".*\/mcp"/)
    }
  }
  t.is((await alice.ask({ method: 'tools/list' })).status, 200)
  for (const [method, path] of [
    ['GET', '/todos/me'],
    ['GET', '/todos/me/items'],
    ['POST', '/todos/me'],
  ] as const)
    t.is((await side.api(alice.token, method, path, method === 'POST' ? { todo: 'x' } : undefined)).status, 401, path)
  t.deepEqual(await world.news(), [])
})

/** A client that binds its tokens to the origin, whatever it is asked for. */
function originSide({ url }: World): ClientSide {
  return new (class extends ClientSide {
    override link(changed: { [name: string]: string | undefined } = {}): string {
      return super.link({ ...changed, resource: url })
    }
  })(url)
}

/** Sends a request whose body ends only after something has happened: by then its bearer has been looked at. */
async function whileOnItsWay(
  side: McpSide,
  generation: Generation,
  message: Parameters<typeof requestIn>[1],
  act: () => Promise<unknown>,
) {
  const { headers, body } = requestIn(generation, message)
  const given = { ...headers, authorization: `Bearer ${side.token}`, 'content-length': Buffer.byteLength(body) }
  const asked = request(`${side.url}/mcp`, { method: 'POST', headers: given, agent: false })
  asked.write(body.slice(0, 10))
  await settleTraffic()
  await act()
  asked.end(body.slice(10))
  const [response] = await once(asked, 'response')
  let text = ''
  for await (const piece of response) text += piece
  const json = JSON.parse(/^data: (.*)$/m.exec(text)?.[1] ?? text)
  return { status: response.statusCode as number, json }
}

for (const generation of GENERATIONS)
  test.serial(
    `${generation}: a user who is revoked while a request is on its way: nothing is done, and the client has to connect again`,
    async (t) => {
      const { world } = await startMcp(t)
      for (const [tool, args] of Object.entries({ ...WRITES, ...READS })) {
        const name = tool.replaceAll('_', '-')
        const side = new McpSide(world.url, (await connectMcp(world, person(name))).access_token)
        await side.did('find_todos')
        await world.news()
        const params = { name: tool, arguments: args }
        const { status, json } = await whileOnItsWay(side, generation, { method: 'tools/call', params }, () =>
          world.ledger.transact(SYSTEM, (state) => revokeUser(state, name)),
        )
        t.is(status, 200, tool)
        t.true(json.result.isError)
        t.is(json.result.content[0].text, 'The connection to Daybook has ended. Ask the user to connect Daybook again.')
        const told = challenge(world.url, 'invalid_token', 'The access token is malformed, expired or revoked.')
        t.deepEqual(json.result._meta['mcp/www_authenticate'], [told])
        t.deepEqual(await world.news(), ['UserRevoked'])
        t.is((await side.ask({ method: 'tools/list' }, generation)).status, 401)
      }
      const side = new McpSide(world.url, (await connectMcp(world, person('reader'))).access_token)
      const read = { method: 'resources/read', params: { uri: 'daybook://todos' } }
      const { json } = await whileOnItsWay(side, generation, read, () =>
        world.ledger.transact(SYSTEM, (state) => revokeUser(state, 'reader')),
      )
      t.is(json.error.code, -32603)
      t.is(json.error.message, 'The connection to Daybook has ended. Ask the user to connect Daybook again.')
    },
  )

test('a subscription ends at once: no stream stays open that could outlive a revocation', async (t) => {
  const { alice } = await startMcp(t)
  const asked = { method: 'subscriptions/listen', params: { notifications: { toolsListChanged: true } } }
  const { status, text } = await alice.ask(asked, '2026')
  t.is(status, 200)
  t.false(text.includes('list_changed'))
  const { status: legacy } = await alice.post('', { accept: 'text/event-stream' })
  t.true(legacy >= 400)
})

const limitsWith = (changed: Partial<LimitSettings>): LimitSettings => {
  const wide = { most: 100_000, windowMs: 3_600_000 }
  return {
    ...(Object.fromEntries(Object.keys(LIMITS).map((name) => [name, wide])) as { [N in LimitName]: typeof wide }),
    ...changed,
  }
}

test('each request counts once against the limit of the API, and changes against that of changes', async (t) => {
  const { world, alice } = await startMcp(t, {
    limits: limitsWith({ api: { most: 6, windowMs: 3_600_000 }, write: { most: 3, windowMs: 3_600_000 } }),
  })
  const left = (headers: Headers): string => headers.get('ratelimit')!.replace(/;t=\d+/g, '')
  t.is(left((await alice.ask({ method: 'tools/list' })).headers), '"api";r=5')
  const add = (todos: number) => {
    const items = Array(todos).fill({ todo: 'x' })
    return alice.ask({ method: 'tools/call', params: { name: 'add_todos', arguments: { items } } })
  }
  t.is(left((await add(2)).headers), '"api";r=4, "write";r=1')
  const { status, json } = await add(2)
  t.is(status, 200)
  t.true(json.result.isError)
  t.is(json.result.content[0].text, 'Too many requests. Stop for now, and tell the user to try again in a few minutes.')
  const most = 'This is 4 changes at once, and the limit is 3. Send fewer at a time.'
  t.is((await add(4)).json.result.content[0].text, most, 'waiting would not help')
  await alice.failed('find_todos', { foo: 1 })
  t.is((await alice.post('{')).status, 400)
  const limited = await alice.ask({ method: 'tools/list' })
  t.deepEqual([limited.status, limited.json.error], [429, 'rate_limited'])
  t.regex(limited.json.message, /^Too many requests\. Stop for now/, 'a model reads this')
  t.true(Number(limited.headers.get('retry-after')) > 0)
  t.deepEqual(await world.news(), ['TodoAdded', 'TodoAdded'])
})

test('a token that only reads takes no slot for a large body: 413', async (t) => {
  const { world, alice } = await startMcp(t)
  const read = new McpSide(world.url, (await connectMcp(world, person('carl'), { scope: 'todos:read' })).access_token)
  const large = `${requestIn('2025', { method: 'tools/list' }).body}${' '.repeat(170_000)}`
  t.is((await read.post(large)).status, 413)
  t.is((await alice.post(large)).status, 200)
})

test('the trail of a change: user, client, conversation as it came, tool, and request', async (t) => {
  const { world, alice } = await startMcp(t)
  const session = `v1/${'aB3_-'.repeat(16)}`
  const trail = async (act: () => Promise<{ headers: Headers }>) => {
    const { headers } = await act()
    const { via, actor, type } = (await world.events()).at(-1)!
    return { via: { ...via, request: via.request === headers.get('x-request-id') }, actor: actor.kind, type }
  }
  const add = (meta: object | undefined, headers = {}, generation: Generation = '2025') =>
    trail(() => {
      const params = { name: 'add_todos', arguments: { items: [{ todo: 'x' }] }, ...(meta && { _meta: meta }) }
      return alice.ask({ method: 'tools/call', params }, generation, headers)
    })
  const plain = { request: true, client: 'chatgpt', tool: 'add_todos' }
  t.deepEqual(await add(undefined), { via: plain, actor: 'user', type: 'TodoAdded' })
  for (const generation of GENERATIONS)
    t.deepEqual((await add({ 'openai/session': session }, {}, generation)).via, { ...plain, conversation: session })
  t.deepEqual((await add(undefined, { 'openai-conversation-id': 'c-1/2' })).via, { ...plain, conversation: 'c-1/2' })
  const both = await add({ 'openai/session': session }, { 'openai-conversation-id': 'c-1' })
  t.deepEqual(both.via, { ...plain, conversation: 'c-1' })
  for (const bad of ['', 'x'.repeat(257), 'a b', '"hide', 'x$(id)', 'a;b', 'ü', 1, null, ['x'], { a: 1 }])
    t.deepEqual((await add({ 'openai/session': bad })).via, plain, JSON.stringify(bad))
  const found = (await world.events()).filter(({ via }) => via.conversation === session)
  t.is(found.length, 2)
})

test('another app’s changes carry its own name', async (t) => {
  const world = await startWorld(t)
  const side = await publicClient(world)
  const bound = new (class extends ClientSide {
    override link(changed: { [name: string]: string | undefined } = {}): string {
      return super.link({ ...changed, ...PKCE })
    }
    override exchange(code: string) {
      return super.exchange(code, { code_verifier: VERIFIER })
    }
  })(world.url, { id: side.id, secret: side.secret, callback: side.callback })
  const { access_token } = await connectMcp(world, person('alice'), { side: bound })
  await new McpSide(world.url, access_token).did('add_todos', { items: [{ todo: 'x' }] })
  t.like((await world.events()).at(-1)!, { via: { client: 'public', tool: 'add_todos' }, type: 'TodoAdded' })
})
