/** G. Registration: apps that register themselves, from the first request to the last token (RFC 7591, RFC 7592). */
import test, { type ExecutionContext } from 'ava'
import { acts } from '../../src/cli/client.ts'
import { digest } from '../../src/service/secrets.ts'
import {
  ClientSide,
  PKCE,
  person,
  SYSTEM,
  startWorld,
  unescapeHtml,
  VERIFIER,
  Visitor,
  type World,
} from '../_support.ts'
import { limitsOf } from '../service/_services.ts'
import { serveToo } from './_elsewhere.ts'
import { assertErrorPage } from './_pages.ts'

const CALLBACK = 'https://claude.ai/api/mcp/auth_callback'
const CLAUDE = { client_name: 'Claude', redirect_uris: [CALLBACK], token_endpoint_auth_method: 'none' }
const BOTH = ['authorization_code', 'refresh_token']

type Told = { readonly status: number; readonly headers: Headers; readonly json: any }

async function call(url: string, method: string, token?: string, body?: unknown): Promise<Told> {
  const init = {
    method,
    headers: {
      ...(body === undefined ? {} : { 'content-type': 'application/json' }),
      ...(token === undefined ? {} : { authorization: `Bearer ${token}` }),
    },
    body: body === undefined ? null : typeof body === 'string' ? body : JSON.stringify(body),
  }
  const answer = await fetch(url, init)
  const text = await answer.text()
  return { status: answer.status, headers: answer.headers, json: text === '' ? undefined : JSON.parse(text) }
}
const register = (world: World, metadata: unknown = CLAUDE) =>
  call(`${world.url}/auth/register`, 'POST', undefined, metadata)

/** The side of a client that was just registered. */
const sideOf = ({ url }: World, { json }: Told, callback = CALLBACK): ClientSide =>
  new ClientSide(url, { id: json.client_id, secret: json.client_secret, callback })

async function begin(t: ExecutionContext, changed = {}) {
  const world = await startWorld(t, changed)
  const alice = new Visitor(world.url)
  await alice.signUp(person('alice'))
  await world.news()
  return { world, alice }
}

test('73. an app registers itself: 201, not to be kept, exactly what Daybook goes by; without a secret where it can keep none', async (t) => {
  const { world } = await begin(t)
  const more = { client_uri: 'https://claude.ai', scope: 'openid', contacts: ['a@b.c'], grant_types: BOTH, x: { y: 1 } }
  const { status, headers, json } = await register(world, { ...CLAUDE, ...more })
  t.is(status, 201)
  t.deepEqual([headers.get('cache-control'), headers.get('pragma')], ['no-store', 'no-cache'])
  const { client_id, registration_access_token, ...rest } = json
  t.regex(registration_access_token, /^dbm_[\w-]{43}$/)
  t.deepEqual(rest, {
    ...CLAUDE,
    client_id_issued_at: Math.floor(world.clock.now / 1000),
    registration_client_uri: `${world.url}/auth/register/${client_id}`,
    grant_types: BOTH,
    response_types: ['code'],
    scope: 'todos:read todos:write',
  })
  t.deepEqual(await world.news(), ['ClientRegistered', 'RedirectUriAllowed'])
  const [registered] = (await world.events()).slice(-2)
  t.deepEqual(registered!.data, {
    ...{ client: client_id, clientId: client_id, name: 'Claude', secret: null, secretFrom: 'none', grantTypes: BOTH },
    ...{ registration: 'dynamic', expiresAt: world.clock.now + 86_400_000, authMethod: 'none' },
    registrationToken: digest(registration_access_token),
  })
  t.deepEqual(registered!.actor, { kind: 'anonymous', id: 'anonymous' })
})

test('73. a secret is shown once, does not expire, and is kept as a digest', async (t) => {
  const { world, alice } = await begin(t)
  for (const method of ['client_secret_post', 'client_secret_basic', undefined]) {
    const told = await register(world, { redirect_uris: [CALLBACK], token_endpoint_auth_method: method })
    t.regex(told.json.client_secret, /^dbs_[\w-]{43}$/)
    t.is(told.json.client_secret_expires_at, 0)
    t.is(told.json.token_endpoint_auth_method, method ?? 'client_secret_basic')
    const { data } = (await world.events()).at(-2)!
    t.is((data as { secret: string }).secret, digest(told.json.client_secret))
    const read = await call(told.json.registration_client_uri, 'GET', told.json.registration_access_token)
    t.deepEqual([read.status, read.headers.get('cache-control')], [200, 'no-store'])
    const { client_secret: _, client_secret_expires_at: __, ...rest } = told.json
    t.deepEqual(read.json, rest)
    const side = sideOf(world, told)
    t.is((await side.exchange(await side.codeFor(alice))).status, 200)
    t.is((await side.exchange(await side.codeFor(alice), { client_secret: 'x' })).status, 401)
  }
})

test('73. from registration to tokens: a public client with PKCE, refreshed, and always asked', async (t) => {
  const { world, alice } = await begin(t)
  const side = sideOf(world, await register(world))
  const code = await side.codeFor(alice, PKCE)
  const { status, json } = await side.exchange(code, { code_verifier: VERIFIER })
  t.is(status, 200)
  t.is((await side.refresh(json.refresh_token)).status, 200)
  await world.news()
  t.regex((await alice.get(side.link(PKCE))).text, /<button[^>]*value="allow"/)
  t.deepEqual(await world.news(), ['ConsentRequested'], 'asked again')
  assertErrorPage(t, await alice.get(side.link()), 'without a challenge')
})

test('12. what it gets is for /mcp unless it names the API; another resource is refused', async (t) => {
  const { world, alice } = await begin(t)
  const side = sideOf(world, await register(world))
  const get = async (asked: { [name: string]: string }, redeemed = {}) =>
    side.exchange(await side.codeFor(alice, { ...PKCE, ...asked }), { code_verifier: VERIFIER, ...redeemed })
  const mcp = `${world.url}/mcp`
  const api = async (token: string): Promise<number> => (await side.api(token, 'GET', '/todos/me')).status
  for (const [asked, redeemed] of [
    [{}, {}],
    [{}, { resource: mcp }],
    [{ resource: mcp }, { resource: mcp }],
  ]) {
    const { json } = await get(asked!, redeemed)
    t.is(await api(json.access_token), 401, 'good for nothing else')
    const issued = (await world.events()).findLast(({ type }) => type === 'TokenIssued')!
    t.is((issued.data as { resource: string }).resource, mcp)
    t.is((await side.refresh(json.refresh_token, { resource: world.url })).json.error, 'invalid_target')
  }
  t.is(await api((await get({ resource: world.url })).json.access_token), 200)
  t.is((await get({}, { resource: world.url })).json.error, 'invalid_target')
  for (const resource of [
    `${mcp}/`,
    `${mcp}?x`,
    `${mcp}#x`,
    '/mcp',
    'https://evil.example/mcp',
    `${world.url}/todos`,
  ]) {
    assertErrorPage(t, await alice.get(side.link({ ...PKCE, resource })), resource)
  }
})

test('7. a program on the device: loopback with any port, a scheme of its own; nothing looser', async (t) => {
  const { world, alice } = await begin(t)
  const uris = [
    'http://127.0.0.1/cb',
    'http://localhost:8787/cb',
    'http://[::1]/cb',
    'cursor://anysphere.cursor-mcp/cb',
  ]
  const told = await register(world, { ...CLAUDE, redirect_uris: [...uris, 'com.example.app:/oauth'] })
  t.is(told.status, 201)
  const good = ['http://127.0.0.1:52311/cb', 'http://127.0.0.1/cb', 'http://localhost:1/cb', 'http://[::1]:65535/cb']
  for (const callback of [...good, 'cursor://anysphere.cursor-mcp/cb', 'com.example.app:/oauth']) {
    const side = sideOf(world, told, callback)
    const page = await alice.get(side.link(PKCE))
    t.regex(page.text, /<dd>an app on this device<\/dd>/, callback)
    const answer = await alice.submit(page, 'decision', { decision: 'allow' })
    t.true(answer.headers.get('location')!.startsWith(`${callback}?code=`), callback)
    const code = new URL(answer.headers.get('location')!).searchParams.get('code')!
    const other = { code_verifier: VERIFIER, redirect_uri: callback.replace(/\/cb|\/oauth/, '/other') }
    t.is((await side.exchange(code, other)).json.error, 'invalid_grant')
    t.is((await side.exchange(code, { code_verifier: VERIFIER })).status, 200)
  }
  const bad = [
    'http://127.0.0.1:52311/other',
    'http://127.0.0.1:52311/cb?x',
    'http://127.0.0.2:1/cb',
    'http://127.0.0.1:x/cb',
  ]
    .concat([
      'https://127.0.0.1:1/cb',
      'http://localhost:1/cb/',
      'http://127.0.0.1:1@evil.example/cb',
      'cursor://evil/cb',
    ])
    .concat(['http://127.0.0.1.evil.example/cb', 'http://127.0.0.1:0/cb', 'http://127.0.0.1:65536/cb', 'javascript:/x'])
  for (const callback of bad) assertErrorPage(t, await alice.get(sideOf(world, told, callback).link(PKCE)), callback)
})

test('74. what is wrong with a registration is said in words of RFC 7591, as JSON, and leaves nothing', async (t) => {
  const { world } = await begin(t)
  const bad: [unknown, string][] = [
    [{}, 'invalid_redirect_uri'],
    [{ ...CLAUDE, redirect_uris: ['javascript:alert(1)'] }, 'invalid_redirect_uri'],
    [{ ...CLAUDE, redirect_uris: [CALLBACK, 'http://evil.example/cb'] }, 'invalid_redirect_uri'],
    [
      { ...CLAUDE, redirect_uris: ['com.example.app:/cb'], token_endpoint_auth_method: 'client_secret_post' },
      'invalid_redirect_uri',
    ],
    [{ ...CLAUDE, logo_uri: 'javascript:alert(1)' }, 'invalid_client_metadata'],
    [{ ...CLAUDE, policy_uri: 'data:text/html,x' }, 'invalid_client_metadata'],
    [{ ...CLAUDE, token_endpoint_auth_method: 'private_key_jwt' }, 'invalid_client_metadata'],
    [{ ...CLAUDE, client_name: 'x'.repeat(61) }, 'invalid_client_metadata'],
    [{ ...CLAUDE, grant_types: ['password'] }, 'invalid_client_metadata'],
    ['[]', 'invalid_request'],
    ['{', 'invalid_request'],
    ['null', 'invalid_request'],
    [`{"redirect_uris":[],"redirect_uris":["${CALLBACK}"]}`, 'invalid_request'],
    [`{"redirect_uris":${'['.repeat(30_000)}${']'.repeat(30_000)}}`, 'invalid_redirect_uri'],
  ]
  for (const [metadata, error] of bad) {
    const { status, headers, json } = await register(world, metadata)
    t.deepEqual([status, json.error], [400, error], JSON.stringify(metadata).slice(0, 100))
    t.is(headers.get('cache-control'), 'no-store')
    t.regex(json.error_description, /^[\x20-\x21\x23-\x5b\x5d-\x7e]+$/)
  }
  t.is((await call(`${world.url}/auth/register`, 'GET')).status, 405)
  t.is((await fetch(`${world.url}/auth/register`, { method: 'POST', body: 'a=b' })).status, 400)
  t.deepEqual(await world.news(), [])
})

test('a registration is read and taken back with its own token only; then all that it was given is dead', async (t) => {
  const { world, alice } = await begin(t)
  const [told, other] = [await register(world), await register(world)]
  const side = sideOf(world, told)
  const { json: tokens } = await side.exchange(await side.codeFor(alice, { ...PKCE, resource: world.url }), {
    code_verifier: VERIFIER,
  })
  const code = await side.codeFor(alice, PKCE)
  await world.news()
  const { registration_client_uri: uri, registration_access_token: token } = told.json
  const wrong = [undefined, '', 'x', token.slice(0, -1), other.json.registration_access_token, tokens.access_token]
  for (const method of ['GET', 'DELETE'])
    for (const one of wrong) {
      const { status, headers, json } = await call(uri, method, one)
      t.deepEqual([status, json.error], [401, 'invalid_token'], `${method} ${one}`)
      t.is(headers.get('www-authenticate'), 'Bearer error="invalid_token"')
    }
  for (const id of ['x', 'chatgpt', 'other', '__proto__'])
    t.is((await call(`${world.url}/auth/register/${id}`, 'DELETE', token)).status, 401, id)
  t.is((await call(uri, 'PUT', token, CLAUDE)).status, 405)
  t.deepEqual(await world.news(), [])

  const gone = await call(uri, 'DELETE', token)
  t.deepEqual([gone.status, gone.headers.get('cache-control')], [204, 'no-store'])
  t.deepEqual(await world.news(), ['ClientRemoved'])
  const removed = (await world.events()).at(-1)!
  t.deepEqual([removed.data, removed.actor], [
    { client: told.json.client_id, cause: 'client' },
    { kind: 'client', id: told.json.client_id },
  ] as never)
  t.is((await call(uri, 'DELETE', token)).status, 401)
  for (const answer of [
    await side.exchange(code, { code_verifier: VERIFIER }),
    await side.refresh(tokens.refresh_token),
  ]) {
    // Clients register anew on this answer.
    t.deepEqual([answer.status, answer.json.error], [401, 'invalid_client'])
    t.is(answer.headers.get('www-authenticate'), 'Basic realm="Daybook", charset="UTF-8"')
  }
  t.is((await side.api(tokens.access_token, 'GET', '/todos/me')).status, 401)
  assertErrorPage(t, await alice.get(side.link(PKCE)), 'removed')
})

test('76. a flood: 429 after so many from one address; what is wrong does not count', async (t) => {
  const few = { most: 2, windowMs: 3_600_000 }
  const many = { most: 1000, windowMs: 3_600_000 }
  const names = [
    'sign_in',
    'sign_in_address',
    'sign_up',
    'sign_ups',
    'account',
    'consent',
    'authorize',
    'waiting',
    'token',
  ] as const
  const limits = Object.fromEntries([...names, 'refresh', 'failed', 'api', 'write'].map((name) => [name, many]))
  const { world } = await begin(t, { limits: { ...limits, register: few } })
  t.is((await register(world, {})).status, 400)
  for (let i = 0; i < 2; i++) t.is((await register(world)).status, 201)
  const { status, headers, json } = await register(world)
  t.deepEqual([status, json.error, headers.get('retry-after')], [429, 'temporarily_unavailable', '3600'])
  t.is((await world.news()).length, 4)
})

test('76. wrong registration tokens are counted by address, whichever app they name; the right one is not', async (t) => {
  const { world } = await begin(t, { limits: limitsOf({ failed: 2 }) })
  const told = await register(world)
  await world.news()
  const { registration_client_uri: uri, registration_access_token: token } = told.json
  const get = async (of: string, shown: string) => (await call(of, 'GET', shown)).status
  t.is(await get(uri, 'wrong'), 401)
  for (let i = 0; i < 3; i++) t.is(await get(uri, token), 200)
  t.is(await get(`${world.url}/auth/register/x`, 'wrong'), 401)
  const { status, headers, json } = await call(uri, 'DELETE', 'wrong')
  t.deepEqual([status, json.error, headers.get('retry-after')], [429, 'temporarily_unavailable', '3600'])
  t.deepEqual(await world.news(), [])
})

test('76. never used: gone after a day, and the token endpoint says invalid_client; used: it stays', async (t) => {
  const { world, alice } = await begin(t)
  const [unused, used] = [await register(world), await register(world)]
  const side = sideOf(world, used)
  const { json } = await side.exchange(await side.codeFor(alice, PKCE), { code_verifier: VERIFIER })
  world.clock.pass(86_400_000 + 60_000)
  await world.ledger.sweep()
  assertErrorPage(t, await alice.get(sideOf(world, unused).link(PKCE)), 'unused')
  t.is((await sideOf(world, unused).exchange('x', { code_verifier: VERIFIER })).json.error, 'invalid_client')
  t.is((await side.refresh(json.refresh_token)).status, 200)
  world.clock.pass(170 * 86_400_000)
  await world.ledger.sweep()
  t.is((await alice.get(side.link(PKCE))).status, 200, 'known for 90 days after its connection has ended')
})

test('22. an error in a request of an app that nobody vouches for sends nobody away (RFC 9700 §4.11.2)', async (t) => {
  const { world, alice } = await begin(t)
  const side = sideOf(world, await register(world))
  for (const [wrong, says] of [
    [{ ...PKCE, scope: 'all' }, 'scope'],
    [{}, 'code_challenge'],
    [{ ...PKCE, response_type: 'token' }, 'response_type'],
    [{ ...PKCE, resource: 'https://other.example' }, 'resource'],
    [{ ...PKCE, code_challenge: 'x' }, 'code_challenge'],
    [{ ...PKCE, code_challenge_method: 'plain' }, 'code_challenge_method'],
    [{ ...PKCE, state: 'x'.repeat(4097) }, 'state'],
    [{ ...PKCE, response_type: undefined }, 'missing'],
  ] as const)
    for (const visitor of [alice, new Visitor(world.url)]) {
      const answer = await visitor.get(side.link(wrong))
      assertErrorPage(t, answer, says)
      t.true(answer.text.includes(says), says)
      t.true(answer.text.includes('you are not sent back to it'), says)
    }
  t.deepEqual(await world.news(), ['ClientRegistered', 'RedirectUriAllowed'])
})

test('22. the page says that nobody has verified it; an operator sees, and removes it', async (t) => {
  const { world, alice } = await begin(t)
  const told = await register(world, { ...CLAUDE, client_name: '<b>ChatGPT</b>' })
  const side = sideOf(world, told)
  const { text } = await alice.get(side.link(PKCE))
  t.false(text.includes('<b>'))
  const shown = unescapeHtml(text.replace(/<[^>]*>/g, ' ')).replace(/\s+/g, ' ')
  t.regex(shown, /Not verified\. This app registered itself, and chose its name itself\./)
  t.regex(shown, /Afterwards you return to claude\.ai /)
  t.notRegex((await alice.get(new ClientSide(world.url).link())).text, /Not verified/)
  await side.exchange(await side.codeFor(alice, PKCE), { code_verifier: VERIFIER })
  const act = async (name: string, input: object): Promise<any[]> =>
    Array.fromAsync(acts[name]!(world.ledger, input as never, SYSTEM, new AbortController().signal))
  const rows = await act('client list', {})
  t.like(rows.at(-1).row, {
    ...{ id: told.json.client_id, kind: 'public', registration: 'dynamic', vouched_by: 'itself' },
    last_connected: new Date(world.clock.now).toISOString(),
    expires: new Date(world.clock.now + 180 * 86_400_000).toISOString(),
  })
  t.like(rows[0].row, {
    id: 'chatgpt',
    registration: 'operator',
    vouched_by: 'operator',
    last_connected: null,
    expires: null,
  })
  await act('client remove', { id: told.json.client_id })
  assertErrorPage(t, await alice.get(side.link(PKCE)), 'removed')
  t.is((await world.news()).at(-1), 'ClientRemoved')
})

test('76. CLIENT_REGISTRATION=off: not there, not named, and who came by themselves is not accepted any more', async (t) => {
  const { world, alice } = await begin(t)
  const told = await register(world)
  const side = sideOf(world, told)
  const { json } = await side.exchange(await side.codeFor(alice, PKCE), { code_verifier: VERIFIER })
  const code = await side.codeFor(alice, PKCE)
  const open = await alice.get(side.link(PKCE))
  const url = await serveToo(t, world.ledger, { clientRegistration: 'off' })
  await world.news()
  const off = { ...world, url }
  t.deepEqual([(await register(off)).status, (await register(off)).json.error], [404, 'invalid_request'])
  const path = new URL(told.json.registration_client_uri).pathname
  t.is((await call(url + path, 'GET', told.json.registration_access_token)).status, 404)
  const metadata = (await call(`${url}/.well-known/oauth-authorization-server`, 'GET')).json
  t.false('registration_endpoint' in metadata || 'client_id_metadata_document_supported' in metadata)
  const there = sideOf(off, told)
  for (const answer of [
    await there.exchange(code, { code_verifier: VERIFIER }),
    await there.refresh(json.refresh_token),
  ])
    t.deepEqual([answer.status, answer.json.error], [401, 'invalid_client'])
  const visitor = new Visitor(url)
  for (const [name, value] of alice.cookies) visitor.cookies.set(name, value)
  assertErrorPage(t, await visitor.get(side.link(PKCE)), 'registered')
  t.is((await visitor.submit(open, 'decision', { decision: 'allow' })).status, 403)
  t.is((await new ClientSide(url).exchange(await new ClientSide(url).codeFor(visitor))).status, 200, 'ChatGPT is')
  t.deepEqual(await world.news(), ['ConsentRequested', 'ConsentGranted', 'CodeIssued', 'TokenIssued'])
  t.is((await side.exchange(code, { code_verifier: VERIFIER })).status, 200, 'nothing was consumed')
})
