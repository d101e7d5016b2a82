/** B. Sessions: the cookie that holds one, the forms that only its own pages may send, and what ends it. */
import test from 'ava'
import { acts } from '../../src/cli/user.ts'
import { type Answer, ClientSide, type Form, formWith, SYSTEM, startWorld, Visitor, type World } from '../_support.ts'
import {
  alice,
  assertOwnFormOnly,
  assertRefused,
  bob,
  cookieOf,
  foreignHeaders,
  greeted,
  SESSION,
  signedIn,
  startWithAlice,
  tokenOf,
  withSession,
} from './_pages.ts'

/** What an operator does at the command line. */
const command = (world: World, name: string, input: object): Promise<unknown> =>
  Array.fromAsync(acts[name]!(world.ledger, { ...input }, SYSTEM, new AbortController().signal))

test('14. a good sign-in: 303, a new session, and a cookie that no script and no other site can use', async (t) => {
  const { url, news, clock } = await startWithAlice(t)
  const visitor = new Visitor(url)
  const values = new Set<string>()
  for (const identifier of ['alice', 'ALICE', ' alice ', 'alice@example.org', 'Alice@Example.ORG']) {
    const browser = new Visitor(url)
    const answer = await browser.submit(await browser.get('/login'), 'identifier', { ...alice, identifier })
    t.is(answer.status, 303, identifier)
    t.is(answer.headers.get('location'), '/')
    t.is(answer.headers.get('cache-control'), 'no-store')
    const { value, attributes } = cookieOf(answer, SESSION)!
    t.regex(value, /^dbw_[A-Za-z0-9_-]{43}$/)
    values.add(value)
    const rest = attributes.filter((attribute) => !attribute.startsWith('expires='))
    t.deepEqual(rest.sort(), ['httponly', 'path=/', 'samesite=lax'])
    t.deepEqual(await news(), ['SignedIn'])
    t.is(await greeted(browser), 'alice')
  }
  t.is(values.size, 5, 'a new one every time')
  const page = await visitor.get('/login')
  t.is(cookieOf(page, SESSION), undefined, 'nobody has a session before')
  t.true(cookieOf(page, 'daybook_visitor')!.attributes.includes('httponly'))

  clock.pass(14 * 86_400_000 - 1)
  t.is(await greeted(withSession(url, [...values][0]!)), 'alice')
  clock.pass(1)
  for (const value of values) t.is(await greeted(withSession(url, value)), undefined, 'a session ends')
})

test('14. over https every cookie is __Host- and Secure, and no other one is believed', async (t) => {
  const publicUrl = 'https://todo.example'
  const { url, news } = await startWorld(t, { publicUrl })
  const visitor = new Visitor(url)
  const send = (form: Form, values: { [name: string]: string }) =>
    visitor.post(form.action, { ...form.values, ...values }, { origin: publicUrl })
  const page = await visitor.get('/signup')
  const answer = await send(formWith(page.text, 'username')!, { ...alice })
  t.is(answer.status, 303)
  for (const [from, name] of [
    [page, '__Host-daybook_visitor'],
    [answer, '__Host-daybook_session'],
  ] as const) {
    t.is(from.headers.getSetCookie().length, 1)
    const attributes = cookieOf(from, name)!.attributes.filter((attribute) => !attribute.startsWith('expires='))
    t.deepEqual(attributes.sort(), ['httponly', 'path=/', 'samesite=lax', 'secure'])
  }
  t.is(await greeted(visitor), 'alice')
  const session = cookieOf(answer, '__Host-daybook_session')!.value
  t.is(await greeted(withSession(url, session)), undefined)
  t.deepEqual(await news(), ['UserRegistered', 'SignedIn'])
  // The origin that people see is the public one; the loopback behind a proxy is not.
  const form = formWith((await visitor.get('/')).text, 'form_token')!
  t.is((await visitor.post(form.action, form.values)).status, 403)
  const out = await send(form, {})
  t.is(out.status, 303)
  t.is(cookieOf(out, '__Host-daybook_session')!.value, '')
  t.true(cookieOf(out, '__Host-daybook_session')!.attributes.includes('secure'))
  t.deepEqual(await news(), ['SignedOut'])
})

test('15. a planted session cookie is not adopted', async (t) => {
  const world = await startWithAlice(t)
  const { url, news } = world
  await new Visitor(url).signUp(bob)
  const bobs = (await signedIn(world, bob)).cookies.get(SESSION)!
  for (const planted of ['planted', `dbw_${'A'.repeat(43)}`, bobs]) {
    const visitor = new Visitor(url)
    const page = await visitor.get('/login')
    visitor.cookies.set(SESSION, planted)
    t.is((await visitor.submit(page, 'identifier', { ...alice, identifier: 'alice' })).status, 303)
    t.not(visitor.cookies.get(SESSION), planted)
    t.is(await greeted(visitor), 'alice')
    // What the browser came with ends, and is never taken over.
    t.deepEqual(await news(), planted === bobs ? ['SignedOut', 'SignedIn'] : ['SignedIn'])
    t.is(await greeted(withSession(url, planted)), undefined)
  }
})

test('16. a sign-in, sign-up or sign-out that another site sent: 403, and nothing happens', async (t) => {
  const world = await startWithAlice(t)
  const { url, news } = world
  const visitor = new Visitor(url)
  const [signIn, signUp] = [await visitor.get('/login'), await visitor.get('/signup')]
  const elsewhere = await new Visitor(url).get('/login')
  const tokens = [tokenOf(elsewhere, 'identifier')]
  const form = (page: Answer, name: string, values: { [name: string]: string }): Form => {
    const found = formWith(page.text, name)!
    return { action: found.action, values: { ...found.values, ...values } }
  }
  const login = form(signIn, 'identifier', { identifier: 'alice', password: alice.password })
  const register = form(signUp, 'username', { ...bob })
  await assertOwnFormOnly(t, world, visitor, login, [...tokens, tokenOf(signUp, 'username')])
  await assertOwnFormOnly(t, world, visitor, register, [...tokens, tokenOf(signIn, 'identifier')])
  t.is((await visitor.post(login.action, login.values)).status, 303)
  t.is((await visitor.post(register.action, register.values)).status, 303)
  t.deepEqual(await news(), ['SignedIn', 'UserRegistered', 'SignedOut', 'SignedIn'])

  const home = await (await signedIn(world)).get('/')
  const bobs = withSession(url, visitor.cookies.get(SESSION)!)
  const logout = form(await bobs.get('/'), 'form_token', {})
  const { form_token: alices } = formWith(home.text, 'form_token')!.values
  for (const headers of foreignHeaders(url)) t.is((await bobs.post('/logout', logout.values, headers)).status, 403)
  for (const token of ['', alices!, ...tokens])
    t.is((await bobs.post('/logout', { ...logout.values, form_token: token })).status, 403)
  t.deepEqual(await news(), [])
  t.is(await greeted(bobs), 'bob')
})

test('16. a sign-out that another site sent comes without the session cookie: 403, and the browser keeps that cookie', async (t) => {
  const world = await startWithAlice(t)
  for (const headers of foreignHeaders(world.url)) {
    const answer = await new Visitor(world.url).post('/logout', {}, headers)
    assertRefused(t, answer, 403, JSON.stringify(headers))
    t.deepEqual(answer.headers.getSetCookie(), [], JSON.stringify(headers))
  }
  t.deepEqual(await world.news(), [])
})

test('16. nothing else is asked of a form: old browsers send neither header, strict ones an Origin of null', async (t) => {
  const { url, news } = await startWithAlice(t)
  const headers = [
    { origin: '', 'sec-fetch-site': '' },
    { origin: 'null', 'sec-fetch-site': 'same-origin' },
    { referer: 'https://elsewhere.example/', host: 'elsewhere.example' },
    { 'x-forwarded-host': 'elsewhere.example', 'x-forwarded-proto': 'https' },
  ]
  for (const given of headers) {
    const visitor = new Visitor(url)
    const { action, values } = formWith((await visitor.get('/login')).text, 'identifier')!
    const answer = await visitor.post(action, { ...values, identifier: 'alice', password: alice.password }, given)
    t.is(answer.status, 303, JSON.stringify(given))
    t.deepEqual(await news(), ['SignedIn'])
  }
})

/** How many consents are open, and how many sessions: what is dead is not kept either. */
const alive = ({ ledger }: World): Promise<[consents: number, sessions: number]> =>
  ledger.read((state) => [state.consents.size, state.sessions.size])

/** A consent page that is open in that browser. */
const openConsent = (visitor: Visitor): Promise<Answer> => visitor.get(new ClientSide(visitor.url).link())

test('sign-out ends that session and what it was about to consent to, and no other', async (t) => {
  const world = await startWithAlice(t)
  const { url, news } = world
  const [visitor, other] = [await signedIn(world), await signedIn(world)]
  const cookie = visitor.cookies.get(SESSION)!
  const [consent, others] = [await openConsent(visitor), await openConsent(other)]
  await news()
  // Following a link signs nobody out.
  t.is((await visitor.get('/logout')).headers.get('location'), '/')
  t.is(await greeted(visitor), 'alice')
  t.deepEqual(await news(), [])

  const home = await visitor.get('/')
  const out = await visitor.submit(home, 'form_token', {})
  t.is(out.status, 303)
  t.is(out.headers.get('location'), '/')
  t.is(cookieOf(out, SESSION)!.value, '')
  t.deepEqual(await news(), ['SignedOut'])
  t.deepEqual(await alive(world), [1, 2], "the other one's, and the session of her sign-up")
  t.is(await greeted(visitor), undefined)
  t.is(await greeted(withSession(url, cookie)), undefined, 'the cookie is dead, not only forgotten')
  const back = withSession(url, cookie)
  assertRefused(t, await back.submit(consent, 'decision', { decision: 'allow' }), 403, 'the consent')
  t.is((await back.submit(home, 'form_token', {})).status, 303, 'signing out twice is signing out')
  t.deepEqual(await news(), [])
  t.is((await other.submit(others, 'decision', { decision: 'allow' })).status, 303)
})

test('“use another account” leads back to the same request', async (t) => {
  const world = await startWithAlice(t)
  const visitor = await signedIn(world)
  const link = new ClientSide(world.url).link({ state: 'a+b %2B/ü' })
  const out = await visitor.submit(await visitor.get(link), 'return_to', {})
  t.is(out.headers.get('location'), link)
  t.truthy(formWith((await visitor.get(link)).text, 'identifier'))
  t.deepEqual(await world.news(), ['ConsentRequested', 'SignedOut'])
})

test('a new password ends every session and open consent; connected apps stay', async (t) => {
  const world = await startWithAlice(t)
  const { url, news } = world
  const chatgpt = new ClientSide(url)
  const browsers = [await signedIn(world), await signedIn(world)]
  const consents = await Promise.all(browsers.map(openConsent))
  const tokens = (await chatgpt.exchange(await chatgpt.codeFor(browsers[0]!))).json
  const code = await chatgpt.codeFor(browsers[0]!)
  await news()
  await command(world, 'user passwd', { username: 'alice', password: 'another one' })
  t.deepEqual(await news(), ['PasswordChanged'])
  t.deepEqual(await alive(world), [0, 0])
  for (const [i, browser] of browsers.entries()) {
    t.is(await greeted(browser), undefined)
    assertRefused(t, await browser.submit(consents[i]!, 'decision', { decision: 'allow' }), 403, 'the consent')
  }
  t.is((await chatgpt.exchange(code)).json.error, 'invalid_grant', 'a code that was on its way')
  t.deepEqual(await news(), [])
  assertRefused(t, await new Visitor(url).signIn(alice), 400, 'the old password')
  const again = new Visitor(url)
  t.is((await again.signIn({ ...alice, password: 'another one' })).status, 303)
  assertRefused(
    t,
    await again.submit(consents[0]!, 'decision', { decision: 'allow' }),
    403,
    'an old page, signed in anew',
  )
  t.is((await chatgpt.api(tokens.access_token, 'GET', '/todos/me')).status, 200)
  t.deepEqual(await news(), ['SignInFailed', 'SignedIn'])
})

test('revoking a user ends their sessions and open consents at once; restoring brings none back', async (t) => {
  const world = await startWithAlice(t)
  const { url, news } = world
  await new Visitor(url).signUp(bob)
  const browsers = [await signedIn(world), await signedIn(world), await signedIn(world)]
  const bobs = await signedIn(world, bob)
  const consents = await Promise.all([...browsers, bobs].map(openConsent))
  await news()
  const assertEnded = async (): Promise<void> => {
    for (const [i, browser] of browsers.entries()) {
      t.is(await greeted(withSession(url, browser.cookies.get(SESSION)!)), undefined)
      assertRefused(t, await browser.submit(consents[i]!, 'decision', { decision: 'allow' }), 403, 'the consent')
    }
  }
  await command(world, 'user revoke', { username: 'alice' })
  t.deepEqual(await alive(world), [1, 2], "bob's")
  await assertEnded()
  t.truthy(formWith((await openConsent(browsers[0]!)).text, 'identifier'), 'they are asked to sign in')
  assertRefused(t, await new Visitor(url).signIn(alice), 400, 'sign-in')
  t.deepEqual(await news(), ['UserRevoked', 'SignInFailed'])
  await command(world, 'user restore', { username: 'alice' })
  await assertEnded()
  t.is(await greeted(await signedIn(world)), 'alice')
  t.is(await greeted(bobs), 'bob')
  t.is((await bobs.submit(consents.at(-1)!, 'decision', { decision: 'allow' })).status, 303)
})
