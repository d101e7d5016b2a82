/** E. Giving tokens back (RFC 7009) and asking about them (RFC 7662). */
import test, { type ExecutionContext } from 'ava'
import {
  CHATGPT_ID,
  CHATGPT_SECRET,
  ClientSide,
  OTHER,
  PKCE,
  PUBLIC,
  person,
  publicClient,
  startWorld,
  type Tokens,
  VERIFIER,
  Visitor,
} from '../_support.ts'
import { whileBroken } from './_wire.ts'

const CREDENTIALS = { client_id: CHATGPT_ID, client_secret: CHATGPT_SECRET }
type Body = { readonly [name: string]: string | undefined }

/** A world in which alice has connected ChatGPT and another app; `post` speaks to an endpoint as a form. */
async function begin(t: ExecutionContext) {
  const world = await startWorld(t)
  const [chatgpt, other, alice] = [new ClientSide(world.url), new ClientSide(world.url, OTHER), new Visitor(world.url)]
  const tokens = await chatgpt.connect(person('alice'), alice)
  const others: Tokens = (await other.exchange(await other.codeFor(alice))).json
  await world.news()
  const post = async (path: string, fields: Body, headers = {}) => {
    const given = Object.entries(fields).filter((pair): pair is [string, string] => pair[1] !== undefined)
    const init = { method: 'POST', body: new URLSearchParams(given), headers }
    const response = await fetch(world.url + path, init)
    const json = (await response.json()) as { [name: string]: any }
    t.is(response.headers.get('cache-control'), 'no-store')
    t.is(response.headers.get('pragma'), 'no-cache')
    return { status: response.status, json, headers: response.headers }
  }
  const revoke = (fields: Body, headers = {}) => post('/auth/revoke', { ...CREDENTIALS, ...fields }, headers)
  const ask = (fields: Body, headers = {}) => post('/auth/introspect', { ...CREDENTIALS, ...fields }, headers)
  const works = async (token: string): Promise<boolean> => (await chatgpt.api(token, 'GET', '/todos/me')).status === 200
  return { world, chatgpt, other, alice, tokens, others, revoke, ask, works }
}

test('48. a refresh token given back: 200, it and its access tokens are dead on the next request', async (t) => {
  const { world, chatgpt, tokens, others, revoke, works } = await begin(t)
  const next: Tokens = (await chatgpt.refresh(tokens.refresh_token)).json
  await world.news()
  const { status, json } = await revoke({ token: next.refresh_token })
  t.deepEqual([status, json], [200, {}])
  for (const { access_token, refresh_token } of [tokens, next]) {
    t.false(await works(access_token))
    t.is((await chatgpt.refresh(refresh_token)).json.error, 'invalid_grant')
  }
  t.true(await works(others.access_token), 'another app’s')
  t.deepEqual(await world.news(), ['TokenRevoked'])
  const event = (await world.events()).at(-1)!
  t.like(event, { type: 'TokenRevoked', actor: { kind: 'client', id: 'chatgpt' }, data: { access: null } })
})

test('48. one that was exchanged already ends all that came of it', async (t) => {
  const { chatgpt, tokens, revoke, works } = await begin(t)
  const next: Tokens = (await chatgpt.refresh(tokens.refresh_token)).json
  await revoke({ token: tokens.refresh_token })
  t.false(await works(next.access_token))
  t.is((await chatgpt.refresh(next.refresh_token)).json.error, 'invalid_grant')
})

test('48. one from many refreshes ago ends its connection; another app’s, or a forged one, ends nothing', async (t) => {
  const { world, chatgpt, tokens, others, revoke, works } = await begin(t)
  let last = tokens
  for (let i = 0; i < 5; i++) last = (await chatgpt.refresh(last.refresh_token)).json
  await world.news()
  const old = tokens.refresh_token
  const forged = [
    `${old.slice(0, -1)}${old.endsWith('A') ? 'B' : 'A'}`,
    others.refresh_token.slice(0, 60) + old.slice(60),
  ]
  for (const token of [...forged, others.refresh_token]) t.is((await revoke({ token })).status, 200)
  t.is((await revoke({ token: old, client_id: OTHER.id, client_secret: OTHER.secret })).status, 200)
  t.deepEqual(await world.news(), [])
  t.is((await revoke({ token: old })).status, 200)
  t.deepEqual(await world.news(), ['TokenRevoked'])
  t.false(await works(last.access_token))
  t.true(await works(others.access_token))
})

test('49. an access token given back, whatever the hint says: 200, it alone is dead', async (t) => {
  const { world, chatgpt, tokens, revoke, works } = await begin(t)
  let { access_token: access, refresh_token: refresh } = tokens
  for (const token_type_hint of ['access_token', 'refresh_token', 'nonsense', undefined]) {
    const { status, json } = await revoke({ token: access, token_type_hint })
    t.deepEqual([status, json], [200, {}], token_type_hint)
    t.false(await works(access))
    t.deepEqual(await world.news(), ['TokenRevoked'], token_type_hint)
    ;({ access_token: access, refresh_token: refresh } = (await chatgpt.refresh(refresh)).json)
    t.true(await works(access))
    await world.news()
  }
})

test('50. an unknown token: 200, and nothing happens; none, or two: invalid_request', async (t) => {
  const { world, tokens, revoke, works } = await begin(t)
  const unknown = ['x', 'dbr_', `${tokens.refresh_token}x`, tokens.refresh_token.slice(0, -1), '__proto__']
  for (const token of unknown) t.deepEqual((await revoke({ token })).status, 200, token)
  t.is((await revoke({ token: tokens.access_token.toUpperCase() })).status, 200)
  for (const token of [undefined, '']) {
    const { status, json } = await revoke({ token })
    t.deepEqual([status, json.error], [400, 'invalid_request'])
  }
  const twice = await fetch(`${world.url}/auth/revoke`, {
    method: 'POST',
    headers: { 'content-type': 'application/x-www-form-urlencoded' },
    body: `${new URLSearchParams(CREDENTIALS)}&token=a&token=${tokens.refresh_token}`,
  })
  t.is(twice.status, 400)
  t.true(await works(tokens.access_token))
  t.deepEqual(await world.news(), [])
})

test('51. bad client authentication: 401; D giving back C’s token changes nothing', async (t) => {
  const { world, chatgpt, tokens, others, revoke, ask, works } = await begin(t)
  await publicClient(world)
  await world.news()
  const bad: Body[] = [
    { client_secret: 'wrong' },
    { client_secret: undefined },
    { client_id: undefined },
    { client_id: 'nobody' },
    { client_id: OTHER.id },
    { client_id: PUBLIC.id },
  ]
  for (const fields of bad)
    for (const endpoint of [revoke, ask]) {
      const { status, json, headers } = await endpoint({ token: tokens.refresh_token, ...fields })
      t.deepEqual([status, json.error], [401, 'invalid_client'], JSON.stringify(fields))
      t.regex(headers.get('www-authenticate')!, /^Basic /)
    }
  const foreign = { client_id: OTHER.id, client_secret: OTHER.secret }
  for (const token of [tokens.refresh_token, tokens.access_token])
    t.is((await revoke({ ...foreign, token })).status, 200)
  t.true(await works(tokens.access_token))
  t.true(await works(others.access_token))
  t.deepEqual(await world.news(), [])
  t.is((await chatgpt.refresh(tokens.refresh_token)).status, 200)
  const basic = { authorization: `Basic ${btoa(`${CHATGPT_ID}:${CHATGPT_SECRET}`)}` }
  const { status } = await revoke(
    { token: tokens.refresh_token, client_id: undefined, client_secret: undefined },
    basic,
  )
  t.is(status, 200)
  t.false(await works(tokens.access_token))
})

test('52. a public client gives back its own with its id only, and nobody else’s', async (t) => {
  const { world, alice, tokens, revoke, works } = await begin(t)
  const side = await publicClient(world)
  const code = await side.codeFor(alice, PKCE)
  const own: Tokens = (await side.exchange(code, { code_verifier: VERIFIER })).json
  t.true(await works(own.access_token))
  await world.news()
  const as = { client_id: PUBLIC.id, client_secret: undefined }
  t.is((await revoke({ ...as, token: tokens.refresh_token })).status, 200)
  t.true(await works(tokens.access_token))
  t.is((await revoke({ ...as, token: own.refresh_token })).status, 200)
  t.false(await works(own.access_token))
  t.deepEqual(await world.news(), ['TokenRevoked'])
})

test('53. while storage fails: 503 and when to come back, never 200', async (t) => {
  const { world, tokens, revoke, works } = await begin(t)
  await whileBroken(world, async () => {
    const { status, json, headers } = await revoke({ token: tokens.refresh_token })
    t.deepEqual([status, json.error, headers.get('retry-after')], [503, 'temporarily_unavailable', '5'])
  })
  t.true(await works(tokens.access_token))
})

test('54. a live token: active, whose, for which app, scope and until when; unauthenticated: 401', async (t) => {
  const { world, tokens, ask } = await begin(t)
  const user = (await world.ledger.read((state) => [...state.users.entries()]))[0]![0]
  const { status, json } = await ask({ token: tokens.access_token })
  t.is(status, 200)
  t.deepEqual(json, {
    active: true,
    sub: user,
    client_id: CHATGPT_ID,
    scope: 'todos:read todos:write',
    exp: Math.floor(world.clock.now / 1000) + 3600,
    iss: world.url,
    aud: world.url,
    token_type: 'bearer',
  })
  const refresh = await ask({ token: tokens.refresh_token, token_type_hint: 'access_token' })
  t.like(refresh.json, { active: true, sub: user, exp: Math.floor(world.clock.now / 1000) + 30 * 86_400 })
  t.false('token_type' in refresh.json)
  t.deepEqual(await world.news(), [])
})

test('55. anything else: exactly {"active":false}', async (t) => {
  const { world, chatgpt, tokens, others, ask, revoke } = await begin(t)
  const next: Tokens = (await chatgpt.refresh(tokens.refresh_token)).json
  const later: Tokens = (await chatgpt.refresh(next.refresh_token)).json
  const dead = async (token: string, what: string): Promise<void> => {
    const { status, json } = await ask({ token })
    t.deepEqual([status, json], [200, { active: false }], what)
  }
  await dead('x', 'unknown')
  await dead(CHATGPT_SECRET, 'a secret')
  await dead(others.access_token, 'another app’s access token')
  await dead(others.refresh_token, 'another app’s refresh token')
  await dead(tokens.refresh_token, 'one that is used up')
  t.true((await ask({ token: later.refresh_token })).json.active)
  world.clock.pass(3_600_000)
  await dead(later.access_token, 'expired')
  const fresh: Tokens = (await chatgpt.refresh(later.refresh_token)).json
  await revoke({ token: fresh.access_token })
  await dead(fresh.access_token, 'given back')
  t.is((await ask({ token: undefined })).json.error, 'invalid_request')
})
