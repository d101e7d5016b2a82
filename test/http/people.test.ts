/** B. People: signing in and up, what a bad form is answered, and where a page may lead. */
import { createHook } from 'node:async_hooks'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import test, { type ExecutionContext } from 'ava'
import pino from 'pino'
import { acts } from '../../src/cli/user.ts'
import { createApp } from '../../src/http/app.ts'
import { proxyList } from '../../src/http/origin.ts'
import {
  type Answer,
  ClientSide,
  formWith,
  SYSTEM,
  settings,
  startWorld,
  unescapeHtml,
  Visitor,
  type World,
} from '../_support.ts'
import { alice, assertRefused, bob, startWithAlice } from './_pages.ts'

/** How many password hashes were computed meanwhile. Only in serial tests: others hash too. */
async function hashesDuring(act: () => Promise<unknown>): Promise<number> {
  let count = 0
  const init = (_id: number, type: string): void => {
    if (type === 'ARGON2REQUEST') count++
  }
  const hook = createHook({ init }).enable()
  await act()
  hook.disable()
  return count
}

/** What an operator does at the command line. */
const command = (world: World, name: string, input: object): Promise<unknown> =>
  Array.fromAsync(acts[name]!(world.ledger, { ...input }, SYSTEM, new AbortController().signal))

test.serial(
  '23. an unknown user, a wrong password and a revoked user get the same answer, each after one hash',
  async (t) => {
    const world = await startWithAlice(t)
    const { url, news } = world
    await new Visitor(url).signUp(bob)
    await command(world, 'user revoke', { username: 'bob' })
    await news()
    const visitor = new Visitor(url)
    const page = await visitor.get('/login')
    const wrong = 'something else'
    const attempts = [
      { identifier: 'alice', password: wrong, cause: 'wrong_password' },
      { identifier: 'alice', password: '', cause: 'wrong_password' },
      { identifier: 'alice', password: 'short', cause: 'wrong_password' },
      { identifier: 'alice@example.org', password: alice.password.toUpperCase(), cause: 'wrong_password' },
      { identifier: 'nobody', password: wrong, cause: 'unknown_user' },
      { identifier: 'nobody', password: alice.password, cause: 'unknown_user' },
      { identifier: 'nobody@example.org', password: wrong, cause: 'unknown_user' },
      { identifier: '__proto__', password: wrong, cause: 'unknown_user' },
      { identifier: '<b>"alice"</b>', password: wrong, cause: 'unknown_user' },
      { identifier: 'x'.repeat(5000), password: wrong, cause: 'unknown_user' },
      { identifier: 'bob', password: wrong, cause: 'wrong_password' },
      { identifier: 'bob', password: bob.password, cause: 'revoked_user' },
      { identifier: 'bob@example.org', password: bob.password, cause: 'revoked_user' },
    ]
    const seen = new Set<string>()
    for (const { cause, ...fields } of attempts) {
      let answer: Answer | undefined
      const hashes = await hashesDuring(async () => (answer = await visitor.submit(page, 'identifier', fields)))
      const { status, text, headers } = answer!
      const what = JSON.stringify(fields)
      t.is(hashes, 1, what)
      assertRefused(t, answer!, 400, what)
      t.is(formWith(text, 'identifier')!.values.identifier, fields.identifier, 'what was typed is kept')
      t.is(formWith(text, 'identifier')!.values.password, '')
      t.false(fields.password !== '' && text.includes(fields.password), 'the password is not')
      t.regex(text, /role="alert"[^>]*>That username or password is not right\.</)
      const typed = /name="identifier" type="text" value="[^"]*"/
      const differs = new Set(['date', 'x-request-id', 'content-length'])
      const shown = [...headers].filter(([name]) => !differs.has(name))
      seen.add(JSON.stringify([status, shown, text.replace(typed, '')]))
      t.deepEqual(await news(), ['SignInFailed'], what)
      t.like((await world.events()).at(-1)!.data, { cause }, what)
    }
    t.is(seen.size, 1, 'all answers are the same')
    t.is((await visitor.submit(page, 'identifier', { identifier: 'alice', password: alice.password })).status, 303)
    t.deepEqual(await news(), ['SignedIn'])
  },
)

test.serial('25. a longer password is refused before anything is hashed', async (t) => {
  const { url, news } = await startWithAlice(t)
  const visitor = new Visitor(url)
  const [login, signup] = [await visitor.get('/login'), await visitor.get('/signup')]
  for (const password of ['x'.repeat(1025), `${alice.password}${' '.repeat(1024)}`, 'x'.repeat(20_000)])
    for (const identifier of ['alice', 'nobody']) {
      const hashes = await hashesDuring(async () => {
        const answer = await visitor.submit(login, 'identifier', { identifier, password })
        assertRefused(t, answer, 400, 'sign-in')
        t.false(answer.text.includes('xxxx'))
        assertRefused(t, await visitor.submit(signup, 'username', { username: 'bob', password }), 400, 'sign-up')
      })
      t.is(hashes, 0)
    }
  t.deepEqual(await news(), [])
  t.is(await hashesDuring(() => visitor.submit(login, 'identifier', { ...alice, identifier: 'alice' })), 1)
})

/** Whether somebody with that password gets an account, and whether exactly that password opens it. */
async function assertPasswordServes(t: ExecutionContext, world: World, username: string, password: string) {
  const user = { username, email: '', password }
  const what = `${JSON.stringify(password.slice(0, 20))}, ${password.length} units`
  t.is((await new Visitor(world.url).signUp(user)).status, 303, what)
  t.is((await new Visitor(world.url).signIn(user)).status, 303, what)
  const others = [
    password.trim(),
    password.normalize('NFC'),
    password.toLowerCase(),
    password.slice(0, -1),
    `${password}x`,
  ]
  for (const other of others.filter((one) => one !== password))
    assertRefused(t, await new Visitor(world.url).signIn({ ...user, password: other }), 400, what)
}

test('25. passwords of 8 to 1,024 characters are verified verbatim', async (t) => {
  const world = await startWorld(t)
  const passwords = [
    'Xxxxxxxx',
    'X'.repeat(1024),
    '  spaces around it  ',
    'a+b%20&c=d;e%zz',
    'u\u0308ber den Wolken',
    '\tline\n\r end\0',
  ]
  for (const [i, password] of passwords.entries()) await assertPasswordServes(t, world, `user-${i}`, password)
  await world.news()
  for (const password of ['', 'x', 'X'.repeat(7), '       ', 'X'.repeat(1025)])
    assertRefused(t, await new Visitor(world.url).signUp({ ...bob, password }), 400, password)
  t.deepEqual(await world.news(), [])
})

test('25. a character is a character, however many units of UTF-16 it takes', async (t) => {
  const world = await startWorld(t)
  for (const password of ['😀'.repeat(4), '😀'.repeat(7)])
    assertRefused(t, await new Visitor(world.url).signUp({ ...bob, password }), 400, `${password.length} units`)
  t.deepEqual(await world.news(), [])
  for (const [i, count] of [8, 513, 1024].entries())
    await assertPasswordServes(t, world, `user-${i}`, '😀'.repeat(count))
})

test('a sign-up that is not right: the error beside its field, what was typed kept, never the password', async (t) => {
  const world = await startWithAlice(t)
  const { url, news } = world
  const invalid = [
    '',
    ' ',
    'a b',
    'a/b',
    'ä',
    'me',
    'ME',
    'global',
    '.',
    '..',
    '"><script>alert(1)</script>',
    'x'.repeat(65),
  ]
  const noEmail = ['@', 'a@', '@b', 'a b@c', 'a@b@c', 'alice', '"><b>', `${'x'.repeat(250)}@b.org`]
  const tries = [
    ...invalid.map((username) => ['username', 400, { username }] as const),
    ...['alice', 'ALICE', ' Alice '].map((username) => ['username', 409, { username }] as const),
    ...noEmail.map((email) => ['email', 400, { email }] as const),
    ...['alice@example.org', 'ALICE@EXAMPLE.ORG'].map((email) => ['email', 409, { email }] as const),
    ...['', 'secret7'].map((password) => ['password', 400, { password }] as const),
  ]
  const visitor = new Visitor(url)
  const page = await visitor.get('/signup')
  for (const [name, status, wrong] of tries) {
    const fields = { ...bob, ...wrong }
    const what = JSON.stringify(wrong)
    const answer = await visitor.submit(page, 'username', fields)
    assertRefused(t, answer, status, what)
    const errors = [...answer.text.matchAll(/<p class="error" id="(\w+)-error">([^<]+)<\/p>/g)]
    t.deepEqual(
      errors.map(([, field]) => field),
      [name],
      what,
    )
    const marked = [
      ...answer.text.matchAll(/<input id="(\w+)"[^>]*aria-describedby="([^"]*)"[^>]*aria-invalid="true"/g),
    ]
    t.deepEqual(
      marked.map(([, field]) => field),
      [name],
      what,
    )
    t.true(marked[0]![2]!.split(' ').includes(`${name}-error`), what)
    const { values } = formWith(answer.text, 'username')!
    t.deepEqual(
      [values.username, values.email, values.password],
      [fields.username.trim(), fields.email.trim(), ''],
      what,
    )
    t.false(fields.password !== '' && unescapeHtml(answer.text).includes(fields.password), what)
    t.notRegex(answer.text, /<script|"><b>/)
  }
  t.deepEqual(await news(), [])
  t.is((await visitor.submit(page, 'username', { ...bob, email: '' })).status, 303)
  t.deepEqual(await news(), ['UserRegistered', 'SignedIn'])
})

test('of many sign-ups with one name at once, one gets it', async (t) => {
  const { url, news } = await startWorld(t)
  const visitors = Array.from({ length: 8 }, () => new Visitor(url))
  const names = ['bob', 'BOB', 'Bob', 'boB']
  const answers = await Promise.all(
    visitors.map((visitor, i) => visitor.signUp({ ...bob, username: names[i % 4]!, email: `${i}@example.org` })),
  )
  t.deepEqual(answers.map(({ status }) => status).sort(), [303, ...Array.from({ length: 7 }, () => 409)])
  t.deepEqual(await news(), ['UserRegistered', 'SignedIn'])
})

test('inside an authorization a bad form comes again, and a good one leads straight to the consent page', async (t) => {
  const { url, news } = await startWithAlice(t)
  const link = new ClientSide(url).link({ state: 'a+b %2B/ü' })
  const visitor = new Visitor(url)
  const wrong = { identifier: 'alice', password: 'something else' }
  const again = await visitor.submit(await visitor.get(link), 'identifier', wrong)
  assertRefused(t, again, 400, 'sign-in')
  t.regex(again.text, /to connect <strong>ChatGPT<\/strong>/)
  const good = await visitor.submit(again, 'identifier', { identifier: 'alice', password: alice.password })
  t.is(good.headers.get('location'), link)
  t.truthy(formWith((await visitor.get(link)).text, 'decision'))

  const newcomer = new Visitor(url)
  const href = /href="(\/signup\?[^"]*)"/.exec((await newcomer.get(link)).text)![1]!
  const short = await newcomer.submit(await newcomer.get(href), 'username', { ...bob, password: 'short' })
  assertRefused(t, short, 400, 'sign-up')
  t.regex(short.text, /to connect <strong>ChatGPT<\/strong>/)
  t.is((await newcomer.submit(short, 'username', { ...bob })).headers.get('location'), link)
  t.deepEqual(await news(), ['SignInFailed', 'SignedIn', 'ConsentRequested', 'UserRegistered', 'SignedIn'])
})

/** Another server before the same book, with other settings: what a restart does. */
async function serveAgain(t: ExecutionContext, { ledger, url }: World, changed: object): Promise<string> {
  const deps = { ledger, settings: { ...settings(url), ...changed }, log: pino({ level: 'silent' }) }
  const handle = createApp(deps, proxyList([])).callback()
  const server = createServer((req, res) => void handle(req, res))
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  t.teardown(() => {
    server.closeAllConnections()
    server.close()
  })
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}`
}

test('sign-up closed: no form, no link to one, and a form from before is refused', async (t) => {
  const world = await startWithAlice(t)
  const visitor = new Visitor(world.url)
  const form = formWith((await visitor.get('/signup')).text, 'username')!
  const closed = await serveAgain(t, world, { signup: 'closed' })
  const later = new Visitor(closed)
  for (const [name, value] of visitor.cookies) later.cookies.set(name, value)
  assertRefused(t, await later.get('/signup'), 403, 'the page')
  const late = await later.post(form.action, { ...form.values, ...bob }, { origin: world.url })
  assertRefused(t, late, 403, 'the form')
  t.regex(late.text, /takes no new accounts/)
  for (const path of ['/', '/login', new ClientSide(closed).link()]) {
    const page = await later.get(path)
    t.is(page.status, 200)
    t.notRegex(page.text, /signup/, path)
  }
  t.deepEqual(await world.news(), [])
  const login = formWith((await later.get('/login')).text, 'identifier')!
  const fields = { ...login.values, identifier: 'alice', password: alice.password }
  t.is((await later.post(login.action, fields, { origin: world.url })).status, 303)
})

const elsewhere = [
  '//evil.example',
  '///evil.example',
  '/\\evil.example',
  '\\\\evil.example',
  '/.//evil.example',
  '/..//evil.example',
  'https://evil.example',
  'http:evil.example',
  'https:/evil.example',
  'HTTPS://evil.example/oauth?x=1',
  'evil.example',
  '//evil.example/oauth?x=1',
  '@evil.example',
  '.evil.example',
  ':1/oauth?x',
  ' //evil.example',
  '\t//evil.example',
  'javascript:alert(1)',
  'data:text/html,x',
  '/oauth//evil.example',
  '/oauth/../..//evil.example',
  '/oauth@evil.example?x',
  '/oauth\\@evil.example?x',
  '/oauth?x=1\r\nSet-Cookie: evil=1',
  '/oauth?x%0d%0aSet-Cookie:%20evil=1',
  '/oauth?\t//evil.example',
  '/oauth?\n//evil.example',
  '/oauth?#@evil.example',
  '/oauth?//evil.example',
  '/oauth?é',
  '/oauth?%zz',
  '/oauth?',
  '/oauth?\0',
  '/oauth?"><script>alert(1)</script>',
  '/oauth?redirect_uri=https://evil.example',
  '/OAUTH?x=1',
  '/logout',
  '/login?x',
  '__proto__',
]

test('return_to never leads off the origin', async (t) => {
  const world = await startWithAlice(t)
  const { url } = world
  const assertStays = async (visitor: Visitor, answer: Answer, what: string): Promise<void> => {
    t.true([200, 303, 400].includes(answer.status), `${what}: ${answer.status}`)
    for (const cookie of answer.headers.getSetCookie()) t.true(cookie.startsWith('daybook_'), what)
    const form = formWith(answer.text, 'return_to')
    const targets = [answer.headers.get('location'), form?.values.return_to, form?.action]
    const links = [...answer.text.matchAll(/href="([^"]*)"/g)].map(([, href]) => unescapeHtml(href!))
    for (const target of [...targets, ...links].filter((one) => one != null)) {
      t.regex(target, /^\/(?![/\\])[\x21-\x7e]*$/, `${what}: ${target}`)
      t.is(new URL(target, url).origin, url, `${what}: ${target}`)
    }
    const location = answer.headers.get('location')
    if (location !== null) t.is((await visitor.get(location)).headers.get('location'), null, `${what}: ${location}`)
  }
  const visit = async (returnTo: string, i: number): Promise<void> => {
    const visitor = new Visitor(url)
    for (const before of ['', 'return_to=/&'])
      await assertStays(
        visitor,
        await visitor.get(`/signup?${before}return_to=${encodeURIComponent(returnTo)}`),
        `GET /signup ${returnTo}`,
      )
    const newcomer = { ...bob, username: `bob-${i}`, email: '', return_to: returnTo }
    const signUp = await visitor.submit(await visitor.get('/signup'), 'username', newcomer)
    await assertStays(visitor, signUp, `/signup ${returnTo}`)

    const browser = new Visitor(url)
    const page = await browser.get('/login')
    const fields = { identifier: 'alice', password: alice.password }
    const signIn = await browser.submit(page, 'identifier', { ...fields, return_to: returnTo })
    await assertStays(browser, signIn, `/login ${returnTo}`)
    if (signIn.status !== 303) await browser.submit(page, 'identifier', fields)
    const out = await browser.submit(await browser.get('/'), 'form_token', { return_to: returnTo })
    await assertStays(browser, out, `/logout ${returnTo}`)
  }
  await Promise.all(elsewhere.map(visit))
})
