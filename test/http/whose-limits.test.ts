/** Whom each limit counts: who is stopped by what somebody else did, and who is not. Everybody has an address of their own. */
import test, { type ExecutionContext } from 'ava'
import { registerClient } from '../../src/domain/clients.ts'
import { issueKey } from '../../src/domain/keys.ts'
import { rotateService } from '../../src/domain/service.ts'
import { clientAddress, proxyList } from '../../src/http/origin.ts'
import { LIMITS, type LimitName, type LimitSettings } from '../../src/service/limits.ts'
import type { AuthMode } from '../../src/service/policy.ts'
import { digest } from '../../src/service/secrets.ts'
import { Users } from '../../src/service/users.ts'
import { ClientSide, formWith, OTHER, person, SYSTEM, startWorld, Visitor, type World } from '../_support.ts'
import { send } from './_wire.ts'

const limitsWith = (changed: Partial<Record<LimitName, number>>): LimitSettings =>
  Object.fromEntries(
    (Object.keys(LIMITS) as LimitName[]).map((name) => [name, { most: changed[name] ?? 1e6, windowMs: 3_600_000 }]),
  ) as LimitSettings

/** A Daybook behind a proxy that says from where each request comes. */
const begin = (t: ExecutionContext, changed: Partial<Record<LimitName, number>>, authMode: AuthMode = 'oauth') =>
  startWorld(t, { limits: limitsWith(changed), authMode }, ['127.0.0.1'])

const [HERE, THERE] = ['203.0.113.7', '203.0.113.8']
const from = (ip: string) => ({ 'x-forwarded-for': ip })

/** Sends the form of a page, from an address. */
async function submit(world: World, page: string, field: string, values: object, ip: string): Promise<number> {
  const visitor = new Visitor(world.url)
  const form = formWith((await visitor.get(page)).text, field)!
  return (await visitor.post(form.action, { ...form.values, ...values }, from(ip))).status
}
const get = async (world: World, path: string, ip: string): Promise<number> =>
  (await send(world.url, path, { headers: from(ip) })).status
const token = async (world: World, body: { [name: string]: string }, ip: string): Promise<number> => {
  const headers = { 'content-type': 'application/x-www-form-urlencoded', ...from(ip) }
  const text = new URLSearchParams({ grant_type: 'refresh_token', refresh_token: 'x', ...body }).toString()
  return (await send(world.url, '/auth/oauth_exchange', { method: 'POST', headers, body: text })).status
}

test('sign_in_address: an address, and no other', async (t) => {
  const world = await begin(t, { sign_in_address: 1 })
  const attempt = (ip: string) => submit(world, '/login', 'identifier', { identifier: 'x', password: 'wrong one' }, ip)
  t.deepEqual([await attempt(HERE), await attempt(HERE), await attempt(THERE)], [400, 429, 400])
})

test('sign_in: an account, from wherever it is tried', async (t) => {
  const world = await begin(t, { sign_in: 1 })
  const attempt = (identifier: string, ip: string) =>
    submit(world, '/login', 'identifier', { identifier, password: 'wrong one' }, ip)
  t.deepEqual([await attempt('a', HERE), await attempt('a', THERE), await attempt('b', HERE)], [400, 429, 400])
})

test('sign_up: an address; sign_ups: everybody', async (t) => {
  for (const [limit, statuses] of [
    ['sign_up', [303, 429, 303]],
    ['sign_ups', [303, 429, 429]],
  ] as const) {
    const world = await begin(t, { [limit]: 1 })
    const attempt = (name: string, ip: string) => submit(world, '/signup', 'username', person(name), ip)
    t.deepEqual(
      [await attempt('alice', HERE), await attempt('bob', HERE), await attempt('carol', THERE)],
      [...statuses],
      limit,
    )
  }
})

test('authorize, waiting: an address', async (t) => {
  const link = (id: number): string =>
    new ClientSide('').link({ redirect_uri: `https://chatgpt.com/aip/g-${id}/oauth/callback` })
  for (const limit of ['authorize', 'waiting'] as const) {
    const world = await begin(t, { [limit]: 1 })
    const statuses = [
      await get(world, link(1), HERE),
      await get(world, link(2), HERE),
      await get(world, link(3), THERE),
    ]
    t.deepEqual(statuses, [400, 429, 400], limit)
  }
})

test('consent, account: an account, and no other', async (t) => {
  const world = await begin(t, { consent: 1, account: 1 })
  for (const name of ['alice', 'bob']) {
    const visitor = new Visitor(world.url)
    await visitor.signUp(person(name))
    const link = new ClientSide(world.url).link()
    t.deepEqual([(await visitor.get(link)).status, (await visitor.get(link)).status], [200, 429], name)
    const enter = () =>
      submit(world, '/login', 'identifier', { identifier: name, password: person(name).password }, HERE)
    t.deepEqual([await enter(), await enter()], [303, 429], name)
  }
})

test('account: new API keys, too', async (t) => {
  const world = await begin(t, { account: 1 }, 'user_http')
  const alice = new Visitor(world.url)
  await alice.signUp(person('alice'))
  const make = async () => (await alice.submit(await alice.get('/account/keys'), 'label', { label: 'x' })).status
  t.deepEqual([await make(), await make()], [200, 429])
})

test('token: an app, from wherever it asks; of a public one, an address', async (t) => {
  const world = await begin(t, { token: 1 })
  const entry = { client: 'desk', name: 'Desk', secret: null, redirects: ['http://127.0.0.1/cb'] }
  await world.ledger.transact(SYSTEM, (state) =>
    registerClient(state, { ...entry, grantTypes: ['authorization_code', 'refresh_token'] }),
  )
  const chatgpt = new ClientSide(world.url)
  const [mine, theirs] = [
    { client_id: chatgpt.id, client_secret: String(chatgpt.secret) },
    { client_id: OTHER.id, client_secret: String(OTHER.secret) },
  ]
  t.deepEqual(
    [await token(world, mine, HERE), await token(world, mine, THERE), await token(world, theirs, HERE)],
    [400, 429, 400],
  )
  const desk = { client_id: 'desk' }
  t.deepEqual(
    [await token(world, desk, HERE), await token(world, desk, HERE), await token(world, desk, THERE)],
    [400, 429, 400],
  )
})

test('failed: an address; whoever is right is let through', async (t) => {
  const world = await begin(t, { failed: 1 })
  const chatgpt = new ClientSide(world.url)
  const right = { client_id: chatgpt.id, client_secret: String(chatgpt.secret) }
  const wrong = { ...right, client_secret: 'wrong' }
  t.deepEqual(
    [await token(world, wrong, HERE), await token(world, wrong, HERE), await token(world, wrong, THERE)],
    [401, 429, 401],
  )
  t.is(await token(world, right, HERE), 400)
})

test('refresh: one app for one user; neither their other apps nor its other users', async (t) => {
  const world = await begin(t, { refresh: 1 })
  const [alice, chatgpt, other] = [new Visitor(world.url), new ClientSide(world.url), new ClientSide(world.url, OTHER)]
  const mine = await chatgpt.connect(person('alice'), alice)
  const bobs = await chatgpt.connect(person('bob'))
  const others = (await other.exchange(await other.codeFor(alice))).json
  const next = await chatgpt.refresh(mine.refresh_token)
  t.deepEqual([next.status, (await chatgpt.refresh(next.json.refresh_token)).status], [200, 429])
  t.is((await other.refresh(others.refresh_token)).status, 200)
  t.is((await chatgpt.refresh(bobs.refresh_token)).status, 200)
})

/** Who calls the API in each mode, and with what: two whose calls count apart, and a third call that counts to the first. */
const callers: { readonly [M in AuthMode]: (world: World) => Promise<Call[]> } = {
  async oauth({ url }) {
    const chatgpt = new ClientSide(url)
    const [alice, bob] = [await chatgpt.connect(person('alice')), await chatgpt.connect(person('bob'))]
    return [
      ['me', alice.access_token, HERE],
      ['alice', alice.access_token, THERE],
      ['me', bob.access_token, HERE],
    ]
  },
  async user_http({ ledger }) {
    for (const name of ['alice', 'bob']) {
      const user = await new Users(ledger).add(SYSTEM, { ...person(name), admin: false })
      for (const n of [1, 2])
        await ledger.transact(SYSTEM, (state) =>
          issueKey(state, { key: `${name}${n}`, user, digest: digest(`dbk_${name}${n}`), label: 'x' }),
        )
    }
    return [
      ['me', 'dbk_alice1', HERE],
      ['alice', 'dbk_alice2', THERE],
      ['me', 'dbk_bob1', HERE],
    ]
  },
  async service_http({ ledger }) {
    await ledger.transact(SYSTEM, (state) => rotateService(state, { token: 'service', digest: digest('service') }))
    return [
      ['one', 'service', HERE],
      ['ONE', 'service', THERE],
      ['two', 'service', HERE],
    ]
  },
  async none() {
    return [
      ['one', '', HERE],
      ['two', '', HERE],
      ['one', '', THERE],
    ]
  },
}
type Call = readonly [list: string, bearer: string, ip: string]

for (const [mode, callersOf] of Object.entries(callers) as [AuthMode, (world: World) => Promise<Call[]>][])
  test(`api, write: ${mode}`, async (t) => {
    for (const limit of ['api', 'write'] as const) {
      // A list that begins with its first to-do costs two changes.
      const isNamed = mode === 'none' || mode === 'service_http'
      const world = await begin(t, { [limit]: limit === 'write' && isNamed ? 2 : 1 }, mode)
      const body = '{"todo":"x"}'
      const statuses: number[] = []
      for (const [list, bearer, ip] of await callersOf(world)) {
        const headers = { authorization: `Bearer ${bearer}`, 'content-type': 'application/json', ...from(ip) }
        statuses.push((await send(world.url, `/todos/${list}`, { method: 'POST', headers, body })).status)
      }
      t.deepEqual(statuses, [200, 429, 200], limit)
    }
  })

test('an address is the last one that no trusted proxy has, whatever stands before it', (t) => {
  const rows = [
    ['10.0.0.1', '6.6.6.6, 203.0.113.9', '203.0.113.9'],
    ['10.0.0.1', '6.6.6.6, 203.0.113.9, 10.0.0.2', '203.0.113.9'],
    ['10.0.0.1', '', '10.0.0.1'],
    ['10.0.0.1', 'nonsense', '10.0.0.1'],
    ['203.0.113.1', '6.6.6.6', '203.0.113.1'],
    ['10.0.0.1', '203.0.113.9:4711', '203.0.113.9'],
    ['10.0.0.1', '[2001:db8::1]:4711', '2001:db8::1'],
    ['10.0.0.1', '[2001:db8::1]', '2001:db8::1'],
    ['::ffff:10.0.0.1', '::ffff:cb00:7109', '203.0.113.9'],
    ['10.0.0.1', '::ffff:203.0.113.9', '203.0.113.9'],
    ['10.0.0.1', '0:0:0:0:0:ffff:cb00:7109', '203.0.113.9'],
  ] as const
  for (const [socket, forwarded, address] of rows)
    t.is(clientAddress(socket, forwarded, proxyList(['10.0.0.0/8'])), address, forwarded)
})
