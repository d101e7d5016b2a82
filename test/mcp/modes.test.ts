/** `/mcp` in the modes without OAuth: by API key, by the service token, and where nobody signs in. */
import test, { type ExecutionContext } from 'ava'
import { issueKey, revokeKey } from '../../src/domain/keys.ts'
import { rotateService } from '../../src/domain/service.ts'
import type { AuthMode } from '../../src/service/policy.ts'
import { digest } from '../../src/service/secrets.ts'
import { Users } from '../../src/service/users.ts'
import { person, SYSTEM, startWorld } from '../_support.ts'
import { send } from '../http/_wire.ts'
import { GENERATIONS, McpSide, requestIn } from './_mcp.ts'

const KEY = 'dbk_a-key-that-alice-has-made-0123456789abcdef'
const SERVICE = 'dbs_a-service-token-0123456789abcdef'
const LIST = { method: 'tools/list' }

async function begin(t: ExecutionContext, authMode: AuthMode, bearer?: string) {
  const world = await startWorld(t, { authMode })
  const { ledger } = world
  const user = await new Users(ledger).add(SYSTEM, { ...person('alice'), admin: false })
  await ledger.transact(SYSTEM, (state) =>
    issueKey(state, { key: 'key-1', user, digest: digest(KEY), label: 'at work' }),
  )
  await ledger.transact(SYSTEM, (state) => rotateService(state, { token: SERVICE, digest: digest(SERVICE) }))
  await world.news()
  return { world, user, side: new McpSide(world.url, bearer) }
}

test('user_http: a key speaks for its user; without one there is a challenge without an authorization server', async (t) => {
  const { world, user, side } = await begin(t, 'user_http', KEY)
  for (const bearer of [undefined, SERVICE, 'x']) {
    const { status, headers } = await new McpSide(world.url, bearer).ask(LIST)
    t.is(status, 401)
    t.true(headers.get('www-authenticate')!.endsWith('realm="Daybook"'))
  }
  const [item] = (await side.did('add_todos', { items: [{ todo: 'buy milk' }] })).items
  t.deepEqual(await world.news(), ['KeyUsed', 'TodoAdded'])
  t.like((await world.events()).at(-1)!, {
    actor: { kind: 'user', id: user },
    via: { key: 'key-1', tool: 'add_todos' },
  })
  t.deepEqual(await side.did('get_profile'), { id: user, nickname: 'alice' })
  t.is((await side.did('fetch', { id: item.id })).url, `${world.url}/account/todos/${item.id}`)
  const { json } = await side.ask(LIST)
  t.deepEqual(
    json.result.tools.filter((tool: any) => tool._meta?.securitySchemes !== undefined),
    [],
  )
  await world.ledger.transact(SYSTEM, (state) => revokeKey(state, 'key-1', user))
  t.is((await side.ask(LIST)).status, 401)
})

test('service_http: the service token speaks for the common list', async (t) => {
  const { world, side } = await begin(t, 'service_http', SERVICE)
  for (const bearer of [undefined, KEY]) t.is((await new McpSide(world.url, bearer).ask(LIST)).status, 401)
  for (const generation of GENERATIONS) await side.did('add_todos', { items: [{ todo: 'buy milk' }] }, { generation })
  t.deepEqual(await world.news(), ['ListOpened', 'TodoAdded', 'TodoAdded'])
  t.like((await world.events()).at(-1)!, { actor: { kind: 'client', id: 'service' }, via: { tool: 'add_todos' } })
  t.deepEqual(await side.did('get_profile'), { id: 'global', nickname: 'global' })
  const { items } = await side.did('find_todos')
  t.is(items.length, 2)
  t.is((await side.did('fetch', { id: items[0].id })).url, `${world.url}/#${items[0].id}`)
  const page = await fetch(`${world.url}/#${items[0].id}`)
  t.is(page.status, 200)
  const common = await fetch(`${world.url}/todos/global`, { headers: { authorization: `Bearer ${SERVICE}` } })
  t.deepEqual(await common.json(), { todos: ['buy milk', 'buy milk'] })
  await world.ledger.transact(SYSTEM, (state) =>
    rotateService(state, { token: 'y'.repeat(30), digest: digest('y'.repeat(30)) }),
  )
  t.is((await side.ask(LIST)).status, 401)
})

test('none: anybody who asks by a name of this server, and no web page that is not named', async (t) => {
  const { world, side } = await begin(t, 'none')
  await side.did('add_todos', { items: [{ todo: 'buy milk' }] })
  t.deepEqual(await world.news(), ['ListOpened', 'TodoAdded'])
  t.like((await world.events()).at(-1)!, { actor: { kind: 'anonymous' }, via: { tool: 'add_todos' } })
  t.deepEqual(await side.did('get_profile'), { id: 'global', nickname: 'global' })
  t.is((await new McpSide(world.url, 'whatever').ask(LIST)).status, 200)
  const { json } = await side.ask(LIST)
  for (const { _meta } of json.result.tools) t.deepEqual(_meta.securitySchemes, [{ type: 'noauth' }])
  const ask = async (headers: { [name: string]: string }) => {
    const asked = requestIn('2025', {
      method: 'tools/call',
      params: { name: 'delete_todos', arguments: { ids: ['x'] } },
    })
    return (
      await send(world.url, '/mcp', { method: 'POST', body: asked.body, headers: { ...asked.headers, ...headers } })
    ).status
  }
  // A name that its owner makes point here is no name of ours (DNS rebinding).
  for (const host of ['evil.example', 'localhost.evil.example', 'evil.example:80', '[', 'x y'])
    t.is(await ask({ host }), 403, host)
  for (const host of ['localhost', '127.0.0.1:1', '[::1]', '192.168.1.7']) t.is(await ask({ host }), 200, host)
  for (const origin of ['https://evil.example', 'null', 'http://localhost:1']) t.is(await ask({ origin }), 403, origin)
  t.is(await ask({ 'sec-fetch-site': 'cross-site' }), 403)
  t.is(await ask({ origin: 'https://chatgpt.com' }), 200)
  t.deepEqual(await world.news(), [])
})
