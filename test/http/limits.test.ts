/** How often somebody may: 429 with when to come back, before anything is evaluated or recorded, and others unharmed. */
import test, { type ExecutionContext } from 'ava'
import { registerClient } from '../../src/domain/clients.ts'
import { revokeUser } from '../../src/domain/users.ts'
import { LIMITS, type LimitName, type LimitSettings, Limits, networkOf } from '../../src/service/limits.ts'
import {
  type Answer,
  ClientSide,
  formWith,
  OTHER,
  person,
  SYSTEM,
  startWorld,
  type Tokens,
  Visitor,
} from '../_support.ts'
import { send } from './_wire.ts'

const PLENTY = { most: 1_000_000, windowMs: 3_600_000 }
const limitsWith = (changed: Partial<Record<LimitName, number>>): LimitSettings => {
  return Object.fromEntries(
    (Object.keys(LIMITS) as LimitName[]).map((name) => [name, { ...PLENTY, most: changed[name] ?? PLENTY.most }]),
  ) as LimitSettings
}
const begin = (t: ExecutionContext, changed: Partial<Record<LimitName, number>>, more = {}) =>
  startWorld(t, { limits: limitsWith(changed), ...more })

function assertLimited(
  t: ExecutionContext,
  { status, headers }: Pick<Answer, 'status' | 'headers'>,
  name: string,
): void {
  t.is(status, 429, name)
  t.regex(headers.get('retry-after')!, /^[1-9]\d{0,3}$/)
  t.regex(headers.get('ratelimit')!, new RegExp(`(^|, )"${name}";r=0;t=[1-9]\\d*$`))
  t.regex(headers.get('ratelimit-policy')!, new RegExp(`(^|, )"${name}";q=\\d+;w=3600$`))
}

const tryPassword = async (url: string, identifier: string, password: string): Promise<Answer> => {
  const visitor = new Visitor(url)
  return visitor.submit(await visitor.get('/login'), 'identifier', { identifier, password })
}

test('24. of many wrong passwords, one after the other, ten are evaluated; then 429, also for the right one; others get in', async (t) => {
  const world = await begin(t, { sign_in: 10 })
  for (const name of ['alice', 'bob']) await new Visitor(world.url).signUp(person(name))
  await world.news()
  // By name in any case and by e-mail it is the same account.
  const names = ['alice', 'ALICE', ' alice ', 'alice@example.org']
  for (let i = 0; i < 10; i++) t.is((await tryPassword(world.url, names[i % 4]!, `wrong ${i}`)).status, 400)
  t.is((await world.news()).length, 10)
  for (const name of names) {
    const limited = await tryPassword(world.url, name, person('alice').password)
    assertLimited(t, limited, 'sign_in')
    t.true(limited.text.includes('Too many tries'))
    t.is(
      limited.headers.getSetCookie().some((cookie) => cookie.includes('session')),
      false,
    )
  }
  t.deepEqual(await world.news(), [], 'nothing is recorded of what was not evaluated')
  t.is((await tryPassword(world.url, 'bob', person('bob').password)).status, 303)
  t.is((await tryPassword(world.url, 'nobody', 'x'.repeat(9))).status, 400)
})

test('24. of a hundred at once, no more than ten are evaluated, whether the account exists or not', async (t) => {
  const world = await begin(t, { sign_in: 10 })
  await new Visitor(world.url).signUp(person('alice'))
  await world.news()
  for (const name of ['alice', 'nobody']) {
    const visitors = Array.from({ length: 100 }, () => new Visitor(world.url))
    const pages = await Promise.all(visitors.map((visitor) => visitor.get('/login')))
    const answers = await Promise.all(
      visitors.map((visitor, i) =>
        visitor.submit(pages[i]!, 'identifier', { identifier: name, password: `wrong ${i}` }),
      ),
    )
    const statuses = answers.map(({ status }) => status)
    t.is(statuses.filter((status) => status === 400).length, 10, name)
    t.is(statuses.filter((status) => status === 429).length, 90, name)
    t.is((await world.news()).filter((type) => type === 'SignInFailed').length, 10, name)
  }
})

test('24. who signs in well is not counted, and one address may try only so many names', async (t) => {
  const world = await begin(t, { sign_in: 3, sign_in_address: 6 })
  await new Visitor(world.url).signUp(person('alice'))
  for (let i = 0; i < 8; i++) t.is((await tryPassword(world.url, 'alice', person('alice').password)).status, 303)
  for (let i = 0; i < 6; i++) t.is((await tryPassword(world.url, `nobody-${i}`, 'wrong one')).status, 400)
  assertLimited(t, await tryPassword(world.url, 'nobody-7', 'wrong one'), 'sign_in_address')
})

test('sign-up: so many accounts from one address; what is malformed is not counted', async (t) => {
  const world = await begin(t, { sign_up: 2 })
  const signUp = (name: string) => new Visitor(world.url).signUp({ ...person(name) })
  for (const name of ['a b', 'x'.repeat(65), '', 'me']) t.is((await signUp(name)).status, 400)
  for (const name of ['alice', 'bob']) t.is((await signUp(name)).status, 303)
  assertLimited(t, await signUp('carol'), 'sign_up')
  t.deepEqual(
    (await world.news()).filter((type) => type === 'UserRegistered'),
    ['UserRegistered', 'UserRegistered'],
  )
})

test('authorization: so many requests from one address', async (t) => {
  const world = await begin(t, { authorize: 5 })
  const visitor = new Visitor(world.url)
  const link = new ClientSide(world.url).link({ redirect_uri: 'https://chatgpt.com/aip/g-1/oauth/callback' })
  for (let i = 0; i < 5; i++) t.is((await visitor.get(link)).status, 400)
  assertLimited(t, await visitor.get(link), 'authorize')
})

test('token endpoint: so many of one app, so many wrong secrets from one address; the right one is not counted', async (t) => {
  const world = await begin(t, { token: 6, failed: 4 })
  const [chatgpt, other, alice] = [new ClientSide(world.url), new ClientSide(world.url, OTHER), new Visitor(world.url)]
  const tokens: Tokens = await chatgpt.connect(person('alice'), alice)
  let refresh = tokens.refresh_token
  for (let i = 0; i < 5; i++) refresh = (await chatgpt.refresh(refresh)).json.refresh_token
  const limited = await chatgpt.refresh(refresh)
  assertLimited(t, limited, 'token')
  t.is(limited.json.error, 'temporarily_unavailable')
  t.is((await other.exchange(await other.codeFor(alice))).status, 200, 'another app')
  for (let i = 0; i < 4; i++) t.is((await other.refresh('x', { client_secret: `wrong ${i}` })).status, 401)
  assertLimited(t, await other.refresh('x', { client_secret: 'wrong again' }), 'failed')
  // Who is right may share the address with whoever is not.
  t.is((await other.exchange(await other.codeFor(alice))).status, 200)
})

test('token endpoint: of a public client so many from one address, since anybody can be it', async (t) => {
  const world = await startWorld(t, { limits: limitsWith({ token: 2 }) }, ['127.0.0.1'])
  await world.ledger.transact(SYSTEM, (state) => {
    const entry = { client: 'desk', name: 'Desk', secret: null, redirects: ['http://127.0.0.1/cb'] }
    return registerClient(state, { ...entry, grantTypes: ['authorization_code', 'refresh_token'] })
  })
  const ask = (from: string) =>
    send(world.url, '/auth/oauth_exchange', {
      method: 'POST',
      headers: { 'Content-Type': 'application/x-www-form-urlencoded', 'X-Forwarded-For': from },
      body: 'grant_type=refresh_token&client_id=desk&refresh_token=x',
    })
  for (let i = 0; i < 2; i++) t.is((await ask('203.0.113.7')).status, 400)
  t.is((await ask('203.0.113.7')).status, 429)
  t.is((await ask('203.0.113.8')).status, 400)
})

test('refreshes: so many of one app for one user; others go on, and what was stolen ends all the same', async (t) => {
  const world = await begin(t, { refresh: 3 })
  const chatgpt = new ClientSide(world.url)
  const [alice, bob] = [await chatgpt.connect(person('alice')), await chatgpt.connect(person('bob'))]
  let refresh = alice.refresh_token
  for (let i = 0; i < 3; i++) refresh = (await chatgpt.refresh(refresh)).json.refresh_token
  await world.news()
  assertLimited(t, await chatgpt.refresh(refresh), 'refresh')
  t.deepEqual(await world.news(), [])
  t.is((await chatgpt.refresh(bob.refresh_token)).status, 200)
  t.is((await chatgpt.refresh('unknown')).status, 400)
  await world.news()
  t.is((await chatgpt.refresh(alice.refresh_token)).json.error, 'invalid_grant', 'a replay is not held up')
  t.deepEqual(await world.news(), ['TokenReplayed'])
  t.is((await chatgpt.refresh(refresh)).json.error, 'invalid_grant')
})

test('one account: past its limit the form for a new key comes again, with what was typed and how long to wait', async (t) => {
  const world = await begin(t, { account: 1 }, { authMode: 'user_http' })
  const alice = new Visitor(world.url)
  await alice.signUp(person('alice'))
  const page = await alice.get('/account/keys')
  t.is((await alice.submit(page, 'label', { label: 'one' })).status, 200)
  await world.news()
  const limited = await alice.submit(page, 'label', { label: 'two & three' })
  assertLimited(t, limited, 'account')
  t.regex(limited.text, /role="alert"[^>]*>Too many tries\. Try again in \d+ minutes\.</)
  t.is(formWith(limited.text, 'label')!.values.label, 'two & three')
  t.deepEqual(await world.news(), [])
})

test('one account: so many sign-ins, however right they are; that is no reason to count them as wrong ones', async (t) => {
  const world = await begin(t, { account: 4, sign_in: 3, sign_in_address: 3 })
  for (const name of ['alice', 'bob']) await new Visitor(world.url).signUp(person(name))
  for (let i = 0; i < 4; i++) t.is((await tryPassword(world.url, 'alice', person('alice').password)).status, 303)
  await world.news()
  for (let i = 0; i < 4; i++)
    assertLimited(t, await tryPassword(world.url, 'alice', person('alice').password), 'account')
  t.is((await tryPassword(world.url, 'alice', 'wrong password')).status, 400)
  t.deepEqual(await world.news(), ['SignInFailed'])
  t.is((await tryPassword(world.url, 'bob', person('bob').password)).status, 303)
})

test('23. of somebody who is revoked, no header tells whether the password was right', async (t) => {
  const world = await begin(t, {})
  await new Visitor(world.url).signUp(person('alice'))
  await world.ledger.transact(SYSTEM, (state) => revokeUser(state, 'alice'))
  const [right, wrong] = [person('alice').password, 'wrong password']
  const told = async (password: string) => {
    const { status, headers } = await tryPassword(world.url, 'alice', password)
    return [status, headers.get('ratelimit-policy'), headers.get('ratelimit')?.replace(/r=\d+;t=\d+/g, '')]
  }
  t.deepEqual(await told(right), await told(wrong))
})

test('one account is asked about so many connections; it can still sign in', async (t) => {
  const world = await begin(t, { consent: 2 })
  const [alice, chatgpt] = [new Visitor(world.url), new ClientSide(world.url)]
  await alice.signUp(person('alice'))
  for (let i = 0; i < 2; i++) t.is((await alice.get(chatgpt.link())).status, 200)
  await world.news()
  assertLimited(t, await alice.get(chatgpt.link()), 'consent')
  t.deepEqual(await world.news(), [])
  t.is((await tryPassword(world.url, 'alice', person('alice').password)).status, 303)
})

test('the same answer again and again counts as a connection that is asked about', async (t) => {
  const world = await begin(t, { consent: 3 })
  const [alice, chatgpt] = [new Visitor(world.url), new ClientSide(world.url)]
  await alice.signUp(person('alice'))
  const page = await alice.get(chatgpt.link())
  const statuses: number[] = []
  await world.news()
  for (let i = 0; i < 5; i++) statuses.push((await alice.submit(page, 'decision', { decision: 'allow' })).status)
  t.deepEqual(statuses, [303, 303, 303, 429, 429])
  t.deepEqual(await world.news(), ['ConsentGranted', 'CodeIssued', 'CodeIssued', 'CodeIssued'])
})

for (const site of ['cross-site', 'same-site'])
  test(`what another site’s script does with a browser does not use up what its owner may (${site})`, async (t) => {
    const world = await begin(t, { consent: 2 })
    const [alice, link] = [new Visitor(world.url), new ClientSide(world.url).link()]
    await alice.signUp(person('alice'))
    const scripted = { 'sec-fetch-site': site, 'sec-fetch-mode': 'navigate', 'sec-fetch-dest': 'document' }
    const statuses = [0, 1, 2].map(async () => (await alice.get(link, scripted)).status)
    t.deepEqual((await Promise.all(statuses)).sort(), [200, 200, 429])
    t.is((await alice.get(link, { ...scripted, 'sec-fetch-user': '?1' })).status, 200)
    t.is((await alice.get(link)).status, 200)
    t.is((await alice.get(link)).status, 429)
  })

test('what nobody looks at uses up nobody’s authorizations', async (t) => {
  const world = await begin(t, { authorize: 1 })
  const link = new ClientSide(world.url).link()
  for (let i = 0; i < 3; i++)
    t.is((await send(world.url, link, { headers: { 'sec-fetch-dest': 'image' } })).status, 400)
  t.is((await send(world.url, link)).status, 200)
})

test('sign-up: so many accounts from everywhere; what makes none does not count, and the form comes again', async (t) => {
  const world = await begin(t, { sign_ups: 3 })
  const signUp = (name: string, password = person(name).password) =>
    new Visitor(world.url).signUp({ ...person(name), password })
  t.is((await signUp('alice')).status, 303)
  for (let i = 0; i < 4; i++) t.is((await signUp('alice')).status, 409)
  for (let i = 0; i < 4; i++) t.is((await signUp('carol', 'password')).status, 400)
  for (const name of ['bob', 'carol']) t.is((await signUp(name)).status, 303, name)
  const limited = await signUp('dave')
  assertLimited(t, limited, 'sign_ups')
  t.true(limited.text.includes('value="dave"') && limited.text.includes('Too many tries'))
})

test('callbacks for the operator to allow: so many new ones from one address; one that waits already is no new one', async (t) => {
  const world = await begin(t, { waiting: 2 })
  const [visitor, chatgpt] = [new Visitor(world.url), new ClientSide(world.url)]
  const ask = (n: number) =>
    visitor.get(chatgpt.link({ redirect_uri: `https://chatgpt.com/aip/g-${n}/oauth/callback` }))
  for (const n of [1, 2, 1, 2]) t.regex((await ask(n)).text, /has to allow/)
  await world.news()
  assertLimited(t, await ask(3), 'waiting')
  t.deepEqual(await world.news(), [])
  t.regex((await ask(1)).text, /has to allow/)
})

test('changes: so many of one user, a longer text for each 512 bytes as it is stored; what is refused does not count', async (t) => {
  const world = await begin(t, { write: 30 })
  const chatgpt = new ClientSide(world.url)
  const [alice, bob] = [await chatgpt.connect(person('alice')), await chatgpt.connect(person('bob'))]
  const add = (todo: string, { access_token: token } = alice) => chatgpt.api(token, 'POST', '/todos/me', { todo })
  const left = async (answer: Promise<Answer>): Promise<string | undefined> =>
    /"write";r=(\d+)/.exec((await answer).headers.get('ratelimit') ?? '')?.[1]
  t.is(await left(add('x')), '29')
  // Sealed and in base64url, 512 bytes hold 345 of a text.
  t.is(await left(add('x'.repeat(345))), '28')
  t.is(await left(add('x'.repeat(346))), '26')
  t.is(await left(add('ü'.repeat(512))), '23')
  t.is(await left(add('\u0001'.repeat(512))), '14')
  t.is(await left(chatgpt.api(alice.access_token, 'DELETE', '/todos/me', { todo_idx: 0 })), '13')
  await world.news()
  for (const todo of ['', 'x'.repeat(10_001), '\ud800']) t.true([400, 413].includes((await add(todo)).status))
  t.is((await add('x'.repeat(13 * 512))).status, 429)
  t.deepEqual(await world.news(), [])
  const patch = (change: object, headers = {}) =>
    chatgpt.api(alice.access_token, 'PATCH', `/todos/me/items/${id}`, change, headers)
  const { items } = (await chatgpt.api(alice.access_token, 'GET', '/todos/me/items')).json
  const id: string = items[0].id
  t.is(await left(patch({ todo: 'y'.repeat(345), done: true })), '10', 'two events, and one of them is longer')
  t.is(await left(patch({ done: true })), '10', 'what changes nothing')
  const key = { 'idempotency-key': 'k' }
  t.is(await left(patch({ done: true }, key)), '8', 'what is kept for a repeat holds the text, too')
  t.is(await left(patch({ done: true }, key)), '8', 'and the repeat costs nothing')
  for (let i = 7; i >= 0; i--) t.is(await left(add('x')), String(i))
  assertLimited(t, await add('x'), 'write')
  t.is((await patch({ done: true }, key)).status, 200, 'a repeat is answered all the same')
  t.is((await chatgpt.api(alice.access_token, 'GET', '/todos/me')).status, 200, 'reading goes on')
  t.is((await add('x', bob)).status, 200)
})

test('API: so many calls of one user, the others are served; a wrong token is told so, however often it comes', async (t) => {
  const world = await begin(t, { api: 5, failed: 1 })
  const chatgpt = new ClientSide(world.url)
  const [alice, bob] = [await chatgpt.connect(person('alice')), await chatgpt.connect(person('bob'))]
  for (let i = 0; i < 5; i++) {
    const { status, headers } = await chatgpt.api(alice.access_token, 'GET', '/todos/me')
    t.is(status, 200)
    t.is(headers.get('ratelimit')!.split(';')[1], `r=${4 - i}`)
  }
  const limited = await chatgpt.api(alice.access_token, 'POST', '/todos/me', { todo: 'x' })
  assertLimited(t, limited, 'api')
  t.deepEqual(limited.json.error, 'rate_limited')
  t.is((await chatgpt.api(bob.access_token, 'GET', '/todos/me')).status, 200)
  for (let i = 0; i < 3; i++) t.is((await chatgpt.api(`wrong-${i}`, 'GET', '/todos/me')).status, 401)
  t.is((await chatgpt.api(bob.access_token, 'GET', '/todos/me')).status, 200)
})

test('what was refused is counted in the metrics; without limits nothing is said', async (t) => {
  const world = await begin(t, { authorize: 1 })
  for (let i = 0; i < 3; i++) await new Visitor(world.url).get('/oauth?client_id=x')
  const metrics = await (await fetch(`${world.url}/metrics`)).text()
  t.true(metrics.includes('daybook_limited_total{limit="authorize"} 2'))
  t.true(metrics.includes('daybook_limited_total{limit="sign_in"} 0'))
  const free = await startWorld(t)
  const { headers } = await send(free.url, '/oauth?client_id=x')
  t.deepEqual([headers.ratelimit, headers['ratelimit-policy']], [undefined, undefined])
})

test('an IPv6 address stands for its network, an IPv4 address for itself', (t) => {
  const of = networkOf
  t.is(of('203.0.113.7'), '203.0.113.7')
  for (const ip of ['2001:db8:1:2::1', '2001:DB8:0001:2:ffff::', '2001:db8:1:2:a:b:c:d', '2001:db8:1:2::1%eth0'])
    t.is(of(ip), '2001:db8:1:2', ip)
  t.is(of('2001:db8::1'), '2001:db8:0:0')
  t.is(of('::1'), '0:0:0:0')
})

test('a limit cannot be raced: of a thousand at once exactly as many get through as may', async (t) => {
  const limits = new Limits(limitsWith({ api: 100 }))
  const take = async () => limits.take([], 'api', 'x')
  const taken = await Promise.allSettled(Array.from({ length: 1000 }, take))
  t.is(taken.filter(({ status }) => status === 'fulfilled').length, 100)
  t.deepEqual(
    limits.refused.find(([name]) => name === 'api'),
    ['api', 900],
  )
})
