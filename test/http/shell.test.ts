/** What keeps others out besides credentials: where a request comes from, under which name, and how much there may be. */
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import test, { type ExecutionContext } from 'ava'
import pino from 'pino'
import { told } from '../../src/domain/told.ts'
import { createApp } from '../../src/http/app.ts'
import { proxyList } from '../../src/http/origin.ts'
import type { Settings } from '../../src/http/settings.ts'
import { Users } from '../../src/service/users.ts'
import { ClientSide, OTHER, person, SYSTEM, settings, startWorld, Visitor, type World } from '../_support.ts'
import { send } from './_wire.ts'

const BROWSER = { 'sec-fetch-site': 'cross-site', 'sec-fetch-mode': 'navigate', 'sec-fetch-dest': 'document' }

/** alice, who has said yes to the other app, and her cookies. */
async function connected(t: ExecutionContext) {
  const world = await startWorld(t)
  const [alice, other] = [new Visitor(world.url), new ClientSide(world.url, OTHER)]
  await other.connect(person('alice'), alice)
  await world.news()
  const cookie = [...alice.cookies].map(([name, value]) => `${name}=${value}`).join('; ')
  const path = (changed: { [name: string]: string } = {}): string => other.link(changed).replace(world.url, '')
  return { world, alice, other, cookie, path }
}

test('a remembered yes answers a person’s browser that goes there, and nothing that nobody looks at', async (t) => {
  const { world, cookie, path } = await connected(t)
  const elsewhere: { [name: string]: string }[] = [
    { 'sec-fetch-dest': 'iframe' },
    { 'sec-fetch-dest': 'image', 'sec-fetch-mode': 'no-cors' },
    { 'sec-fetch-dest': 'empty', 'sec-fetch-mode': 'cors' },
    ...['object', 'embed', 'frame', 'fencedframe', 'worker', 'x'].map((dest) => ({ 'sec-fetch-dest': dest })),
    { 'sec-purpose': 'prefetch' },
    { 'sec-purpose': 'prefetch;prerender' },
    { purpose: 'prefetch' },
  ]
  for (const headers of elsewhere) {
    const answer = await send(world.url, path(), { headers: { ...BROWSER, cookie, ...headers } })
    t.is(answer.status, 400, JSON.stringify(headers))
    t.is(answer.headers.location, undefined)
  }
  const head = await send(world.url, path(), { method: 'HEAD', headers: { ...BROWSER, cookie } })
  t.is(head.headers.location, undefined, 'HEAD is safe (RFC 9110 §9.2.1)')
  t.deepEqual(await world.news(), [])
  t.is((await send(world.url, path(), { headers: { ...BROWSER, cookie } })).status, 303)
  t.is((await send(world.url, path(), { headers: { cookie } })).status, 303)
  t.deepEqual(await world.news(), ['CodeIssued', 'CodeIssued'])
})

test('a client that wants its user to be asked has them asked', async (t) => {
  const { world, cookie, path } = await connected(t)
  for (const prompt of ['consent', 'login', 'login consent', 'select_account']) {
    t.is((await send(world.url, path({ prompt }), { headers: { cookie } })).status, 200, prompt)
    t.deepEqual(await world.news(), ['ConsentRequested'])
  }
  for (const prompt of ['', 'none', 'whatever'])
    t.is((await send(world.url, path({ prompt }), { headers: { cookie } })).status, 303, prompt)
})

const hosts: { readonly [host: string]: number } = {
  'todo.example.org': 200,
  'TODO.example.org:8443': 200,
  localhost: 200,
  'localhost:85': 200,
  '127.0.0.1:8085': 200,
  '[::1]:85': 200,
  '192.168.1.5:85': 200,
  'evil.example': 403,
  'localhost.evil.example': 403,
  '127.0.0.1.evil.example': 403,
  'todo.example.org.evil.example': 403,
  'eviltodo.example.org': 403,
  'evil.todo.example.org': 403,
}
test('AUTH_MODE=none: only under its own name or an address, and to no foreign page; documents to everybody', async (t) => {
  const { url, news } = await startWorld(t, { authMode: 'none', publicUrl: 'http://todo.example.org' })
  for (const [host, status] of Object.entries(hosts)) {
    t.is((await send(url, '/todos/global', { headers: { host } })).status, status, host)
    t.is((await send(url, '/.well-known/ai-plugin.json', { headers: { host } })).status, 200)
  }
  await news()
  const body = '{"todo":"x"}'
  const post = (headers: { [name: string]: string }) =>
    send(url, '/todos/global', { method: 'POST', body, headers: { 'content-type': 'application/json', ...headers } })
  for (const origin of ['https://evil.example', 'null', 'http://todo.example.org:81']) {
    t.is((await post({ origin })).status, 403, origin)
    t.is((await send(url, '/todos/global', { headers: { origin } })).status, 403, origin)
  }
  t.is((await post({ host: 'evil.example' })).status, 403)
  t.deepEqual(await news(), [])
  for (const site of ['cross-site', 'same-site'])
    t.is(
      (await send(url, '/todos/global', { headers: { 'sec-fetch-site': site, 'sec-fetch-dest': 'image' } })).status,
      403,
    )
  for (const origin of ['https://chatgpt.com', 'http://todo.example.org'])
    t.is((await post({ origin })).status, 200, origin)
  t.is((await post({ origin: 'https://chatgpt.com', 'sec-fetch-site': 'cross-site' })).status, 200)
  t.is((await send(url, '/todos/global', { headers: { 'sec-fetch-site': 'none' } })).status, 200)
})

test('/metrics: here means by a name of this machine', async (t) => {
  const { url } = await startWorld(t, { publicUrl: 'https://todo.example.org' })
  for (const host of ['localhost:85', '127.0.0.1', '[::1]:85'])
    t.is((await send(url, '/metrics', { headers: { host } })).status, 200, host)
  for (const host of ['todo.example.org', 'evil.example', '192.168.1.5', 'localhost.evil.example'])
    t.is((await send(url, '/metrics', { headers: { host } })).status, 401, host)
})

test('/metrics: not to another machine, whatever name it calls', async (t) => {
  const { ledger, url } = await startWorld(t)
  const handle = createApp(
    { ledger, settings: settings(url), log: pino({ level: 'silent' }) },
    proxyList([]),
  ).callback()
  const server = createServer((req, res) => {
    Object.defineProperty(req.socket, 'remoteAddress', { value: '192.168.1.9' })
    void handle(req, res)
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  t.teardown(() => void server.close())
  const { port } = server.address() as AddressInfo
  t.is((await send(`http://127.0.0.1:${port}`, '/metrics', { headers: { host: 'localhost' } })).status, 401)
})

test('112. a transfer coding that nobody knows: 400 at once, and the connection is cut', async (t) => {
  const { url, news } = await startWorld(t)
  for (const coding of ['xchunked', 'gzip', 'chunked, identity', 'identity']) {
    const began = performance.now()
    const headers = { 'transfer-encoding': coding, 'content-type': 'application/json' }
    const answer = await send(url, '/auth/oauth_exchange', { method: 'POST', headers }).catch(() => undefined)
    if (answer !== undefined) t.deepEqual([answer.status, answer.headers.connection], [400, 'close'], coding)
    t.true(performance.now() - began < 8000, 'not when the request would have timed out')
  }
  t.deepEqual(await news(), [])
})

test('117. no page of ours is a window to others, but one that an app waits for; the logo is for all', async (t) => {
  const { world, cookie, path } = await connected(t)
  const headersOf = async (where: string) => (await send(world.url, where, { headers: { cookie } })).headers
  for (const where of ['/', '/legal', '/oauth?client_id=x']) {
    const headers = await headersOf(where)
    t.is(headers['cross-origin-opener-policy'], 'same-origin', where)
    t.is(headers['cross-origin-resource-policy'], 'same-origin', where)
  }
  const consent = await headersOf(path({ prompt: 'consent' }))
  t.is(consent['cross-origin-opener-policy'], undefined)
  t.is(consent['cross-origin-resource-policy'], 'same-origin')
  t.is((await headersOf('/todos/me'))['cross-origin-resource-policy'], 'same-origin')
  t.is((await headersOf('/logo.png'))['cross-origin-resource-policy'], 'cross-origin')
})

test('a password that others try first is refused, at sign-up and in any case, and nothing is recorded', async (t) => {
  const world = await startWorld(t)
  const signUp = (password: string, username = 'password-of-alice') =>
    new Visitor(world.url).signUp({ username, email: 'alice.b@example.org', password })
  for (const password of [
    'password',
    'PassWord',
    '12345678',
    'iloveyou',
    'qwertyuiop',
    'trustno1',
    'catwoman',
    'lemonade',
    '13101988',
    'DayBook1',
    'daybook2026',
    ' trustno1 ',
  ]) {
    const { status, text } = await signUp(password)
    t.is(status, 400, password)
    t.regex(text, /others would try/)
    t.false(text.includes(`value="${password}"`))
  }
  for (const password of ['password-of-alice', 'PASSWORD-of-alice', 'Alice.B@example.org'])
    t.is((await signUp(password)).status, 400, password)
  t.deepEqual(await world.news(), [])
  t.is((await signUp('a few words in a row')).status, 303)
})

/** alice with a list, the API, and what it says. */
async function listing(t: ExecutionContext, changed: Partial<Settings>) {
  const world: World = await startWorld(t, changed)
  const chatgpt = new ClientSide(world.url)
  const visitor = new Visitor(world.url)
  const tokens = { alice: await chatgpt.connect(person('alice'), visitor), bob: await chatgpt.connect(person('bob')) }
  const call = (who: 'alice' | 'bob', method: string, body?: object) =>
    chatgpt.api(tokens[who].access_token, method, '/todos/me', body)
  return { world, visitor, call }
}

test('the first page is no longer for long texts', async (t) => {
  const { visitor, call } = await listing(t, {})
  for (let i = 0; i < 20; i++) await call('alice', 'POST', { todo: '"'.repeat(10_000) })
  const { text } = await visitor.get('/')
  t.true(text.length < 500_000, `${text.length}`)
  t.true(text.includes('1 to 6 of 20') && text.includes('href="/?from=6"'))
})

test('93. another site cannot make an operator’s browser look, export, and leave events of it', async (t) => {
  const { url, ledger, news } = await startWorld(t)
  await new Users(ledger).add(SYSTEM, { ...person('boss'), admin: true })
  const boss = new Visitor(url)
  await boss.signIn(person('boss'))
  const cookie = [...boss.cookies].map(([name, value]) => `${name}=${value}`).join('; ')
  await news()
  const paths = ['/admin/audit/events', '/admin/audit/events/1', '/admin/audit/export', '/admin/audit/follow']
  const foreign = [
    { 'sec-fetch-site': 'cross-site' },
    { 'sec-fetch-site': 'same-site' },
    { origin: 'https://chatgpt.com' },
  ] as const
  for (const path of paths)
    for (const headers of foreign) t.is((await send(url, path, { headers: { cookie, ...headers } })).status, 403, path)
  t.deepEqual(await news(), [])
  for (const headers of [{}, { 'sec-fetch-site': 'none' }, { 'sec-fetch-site': 'same-origin' }])
    t.is((await send(url, paths[0]!, { headers: { cookie, ...headers } })).status, 200)
})

test('a secret that is put into a path by mistake does not get into the log', async (t) => {
  const { url, log } = await startWorld(t)
  await send(url, '/nope/dba_0123456789abcdefghijklmnopqrstuvwxyz/x')
  t.true(log.some((line) => line.includes('/nope/dba_…/x')))
  t.false(log.join().includes('0123456789abc'))
})

test('87. a list takes no more than it may, however few its to-dos; what is deleted makes room', async (t) => {
  const { world, call } = await listing(t, { maxListSize: 90_000 })
  const long = { todo: 'x'.repeat(9000) }
  let added = 0
  while ((await call('alice', 'POST', long)).status === 200) added++
  t.true(added >= 3 && added <= 4, `${added}`)
  while ((await call('alice', 'POST', { todo: 'short' })).status === 200);
  await world.news()
  const full = await call('alice', 'POST', { todo: 'short' })
  t.deepEqual([full.status, full.json.error], [409, 'list_full'])
  t.deepEqual(await world.news(), [])
  t.is((await call('bob', 'POST', long)).status, 200)
  t.is((await call('alice', 'DELETE', { todo_idx: 0 })).status, 200)
  t.is((await call('alice', 'POST', long)).status, 200)
})

test('all lists together take no more than they may: whoever writes next is told, reads and deletes on', async (t) => {
  const { world, call } = await listing(t, { maxListsSize: 90_000 })
  while ((await call('alice', 'POST', { todo: 'x'.repeat(9000) })).status === 200);
  while ((await call('alice', 'POST', { todo: 'short' })).status === 200);
  await world.news()
  const full = await call('bob', 'POST', { todo: 'short' })
  t.deepEqual([full.status, full.json.error], [507, 'daybook_full'])
  t.deepEqual(await world.news(), [])
  t.is((await call('bob', 'GET')).status, 200)
  for (let i = 0; i < 2; i++) t.is((await call('alice', 'DELETE', { todo_idx: 0 })).status, 200)
  t.is((await call('bob', 'POST', { todo: 'short' })).status, 200)
})

test('the first page shows a long list in parts, in order, and each text within its own place', async (t) => {
  const { visitor, call } = await listing(t, {})
  for (let i = 0; i < 205; i++) await call('alice', 'POST', { todo: i === 0 ? '\u202eevil' : `number ${i} of them` })
  const numbers = (text: string): number[] => [...text.matchAll(/number (\d+) of them/g)].map(([, n]) => Number(n))
  const first = await visitor.get('/')
  t.deepEqual(
    numbers(first.text),
    Array.from({ length: 99 }, (_, i) => i + 1),
  )
  t.true(first.text.includes('<bdi>\u202eevil</bdi>'))
  t.true(first.text.includes('1 to 100 of 205') && first.text.includes('href="/?from=100"'))
  const last = await visitor.get('/?from=200')
  t.deepEqual(numbers(last.text), [200, 201, 202, 203, 204])
  t.true(last.text.includes('<ol class="todos" start="201">') && !last.text.includes('from=205'))
  for (const from of ['-1', 'x', '1.5', '99999999999'])
    t.deepEqual(numbers((await visitor.get(`/?from=${from}`)).text).length, 99)
  t.deepEqual(numbers((await visitor.get('/?from=204')).text), [204])
  for (const from of [205, 206, 1000])
    t.is(numbers((await visitor.get(`/?from=${from}`)).text).length, 99, `${from}: past the end is the beginning`)
})

test('in the audit nobody can be taken for what is no user: a username has no blank, and the others have one', async (t) => {
  const world = await startWorld(t)
  const chatgpt = new ClientSide(world.url)
  for (const name of ['ChatGPT', 'Daybook', 'somebody', 'operator'])
    await chatgpt.connect({ ...person(name), email: '' })
  const events = await Array.fromAsync(world.ledger.events())
  const tellers = await world.ledger.read((state) =>
    events.map((event) => [event.actor.kind, told(event, state).who] as const),
  )
  for (const [kind, who] of tellers) t.is(who.includes(' '), kind !== 'user', `${kind} ${who}`)
  t.deepEqual(new Set(tellers.map(([kind]) => kind)), new Set(['system', 'anonymous', 'user', 'client']))
})
