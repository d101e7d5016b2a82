/** A person in a real browser: from ChatGPT's link to its callback and back, by mouse, by keyboard, on a phone, without JavaScript. */
import { createServer, type IncomingMessage, type RequestListener, request, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import test, { type ExecutionContext } from 'ava'
import type { BrowserContextOptions, Locator, Page } from 'playwright-core'
import { allowRedirect, registerClient } from '../src/domain/clients.ts'
import { digest } from '../src/service/secrets.ts'
import { desktop, expectAccessible, looks, openBrowser, phone } from './_browser.ts'
import {
  CHATGPT_ID,
  CHATGPT_SECRET,
  ClientSide,
  OTHER,
  PKCE,
  person,
  SYSTEM,
  startWorld,
  Visitor,
  type World,
  wait,
} from './_support.ts'

const browser = openBrowser()
test.after.always(async () => (await browser).close())

/** The app's side of a browser test: its callback is a real page on loopback that notes who arrives. */
type App = ClientSide & { readonly arrivals: IncomingMessage[] }
type Stage = { readonly world: World; readonly app: App; readonly page: Page; readonly troubles: string[] }

/** A world, an app with a callback in it, and an empty browser window. */
async function stage(t: ExecutionContext, options: BrowserContextOptions = desktop, changed = {}): Promise<Stage> {
  const world = await startWorld(t, changed)
  const arrivals: IncomingMessage[] = []
  const server = createServer((req, res) => {
    if (req.url?.startsWith('/cb')) arrivals.push(req)
    res.setHeader('content-type', 'text/html').end('<title>Arrived</title><link rel="icon" href="data:,">')
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const callback = `http://127.0.0.1:${(server.address() as AddressInfo).port}/cb?keep=1`
  await world.ledger.transact(SYSTEM, (state) => allowRedirect(state, { client: 'chatgpt', uri: callback }))
  await world.news()
  const side = new ClientSide(world.url, { id: CHATGPT_ID, secret: CHATGPT_SECRET, callback })
  const context = await (await browser).newContext({ baseURL: world.url, ...options })
  const page = await context.newPage()
  t.teardown(async () => {
    await context.close()
    server.closeAllConnections()
    server.close()
  })
  return { world, app: Object.assign(side, { arrivals }), page, troubles: watch(page) }
}

/** What the browser complains about: scripts, resources, the policy of the page. A refusal's own status is none. */
function watch(page: Page): string[] {
  const troubles: string[] = []
  page.on('console', (message) => {
    const isOwnStatus = message.text().startsWith('Failed to load resource') && message.location().url === page.url()
    if (['error', 'warning'].includes(message.type()) && !isOwnStatus) troubles.push(message.text())
  })
  page.on('pageerror', (error) => troubles.push(error.message))
  page.on('response', (response) => {
    const isPage = response.request().isNavigationRequest()
    if (!isPage && response.status() >= 400) troubles.push(`${response.status()} ${response.url()}`)
  })
  return troubles
}

const button = (page: Page, name: string): Locator => page.getByRole('button', { name, exact: true })
/** The text that a person sees there. */
const seen = async (place: Locator): Promise<string> => (await place.allInnerTexts()).join(' ')
const main = (page: Page): Promise<string> => seen(page.locator('main'))
const heading = (page: Page): Promise<string> => seen(page.getByRole('heading', { level: 1 }))
const focus = (page: Page): Promise<string> => page.evaluate('document.activeElement.id')

async function fillSignUp(page: Page, username: string, password = `correct horse ${username}`): Promise<void> {
  await page.getByLabel('Username').fill(username)
  await page.getByLabel('E-mail').fill(`${username}@example.org`)
  await page.getByLabel('Password').fill(password)
}

async function fillSignIn(page: Page, username: string, password = `correct horse ${username}`): Promise<void> {
  await page.getByLabel('Username or e-mail').fill(username)
  await page.getByLabel('Password').fill(password)
}

/** Waits until the browser has come back to the app; gives what it brought. */
async function arrival(page: Page, app: App): Promise<URLSearchParams> {
  await page.waitForURL((url) => url.href.startsWith(app.callback))
  return new URL(page.url()).searchParams
}

const SIGNED_UP = ['UserRegistered', 'SignedIn', 'ConsentRequested']

for (const [how, options] of Object.entries({
  'on a desktop': desktop,
  'on a phone': phone,
  'without JavaScript': { ...desktop, javaScriptEnabled: false },
}))
  test(`117. sign-up, consent, allow, and back to the app with code and state (${how})`, async (t) => {
    const { world, app, page, troubles } = await stage(t, options)
    await page.goto(app.link({ state: 's+1%2B&ü ☂' }))
    t.is(await heading(page), 'Sign in')
    t.regex(await main(page), /to connect ChatGPT with your to-dos/)
    await page.getByRole('link', { name: 'Create an account' }).click()
    await fillSignUp(page, 'alice')
    await button(page, 'Create account').click()
    await button(page, 'Allow').waitFor()
    t.is(await heading(page), 'Connect ChatGPT?')
    const consent = await main(page)
    for (const words of [
      'as alice',
      'see your to-dos',
      'add, change and delete to-dos',
      'an app on this device',
      '90 days',
    ])
      t.true(consent.includes(words), words)
    await button(page, 'Allow').click()
    const brought = await arrival(page, app)
    t.deepEqual([...brought.keys()], ['keep', 'code', 'state', 'iss'])
    t.is(brought.get('state'), 's+1%2B&ü ☂')
    t.is(brought.get('iss'), world.url)
    t.is(app.arrivals.length, 1)
    t.is(app.arrivals[0]!.headers.referer, undefined, 'the app is not told which page it came from')
    t.deepEqual(await world.news(), [...SIGNED_UP, 'ConsentGranted', 'CodeIssued'])
    const { status, json } = await app.exchange(brought.get('code')!)
    t.is(status, 200)
    t.is((await app.api(json.access_token, 'GET', '/todos/alice')).status, 200)
    t.deepEqual(troubles, [])
  })

test('sign-in inside an authorization: a wrong password is told beside what was typed, a right one leads on', async (t) => {
  const { world, app, page, troubles } = await stage(t)
  await new Visitor(world.url).signUp(person('alice'))
  await world.news()
  await page.goto(app.link())
  t.is(await page.getByLabel('Username or e-mail').getAttribute('autocomplete'), 'username')
  t.is(await page.getByLabel('Password').getAttribute('autocomplete'), 'current-password')
  await fillSignIn(page, 'alice', 'a wrong password')
  await button(page, 'Sign in').click()
  await page.getByRole('alert').waitFor()
  t.is(await seen(page.getByRole('alert')), 'That username or password is not right.')
  t.is(await page.getByLabel('Username or e-mail').inputValue(), 'alice')
  t.is(await page.getByLabel('Password').inputValue(), '')
  t.is(await focus(page), 'password')
  t.regex(await main(page), /to connect ChatGPT/)
  await page.getByLabel('Password').fill(person('alice').password)
  await page.keyboard.press('Enter')
  await button(page, 'Allow').click()
  t.truthy((await arrival(page, app)).get('code'))
  const events = ['SignInFailed', 'SignedIn', 'ConsentRequested', 'ConsentGranted', 'CodeIssued']
  t.deepEqual(await world.news(), events)
  t.deepEqual(troubles, [])
})

test('sign-up: each error stands beside its field, what was typed is kept but for the password', async (t) => {
  const { world, app, page, troubles } = await stage(t)
  await new Visitor(world.url).signUp(person('bob'))
  await world.news()
  await page.goto(app.link())
  await page.getByRole('link', { name: 'Create an account' }).click()
  t.is(await page.getByLabel('Password').getAttribute('autocomplete'), 'new-password')
  const cases = [
    { label: 'Username', typed: { Username: 'not a name' }, error: /1 to 64/ },
    { label: 'Username', typed: { Username: 'BOB' }, error: /taken/ },
    { label: 'E-mail', typed: { 'E-mail': 'bob@example.org' }, error: /already/ },
    { label: 'Password', typed: { Password: 'short' }, error: /8 to 1,024/ },
  ]
  for (const { label, typed, error } of cases) {
    const all = { Username: 'alice', 'E-mail': 'alice@example.org', Password: 'correct horse alice', ...typed }
    for (const [name, text] of Object.entries(all)) await page.getByLabel(name).fill(text)
    await button(page, 'Create account').click()
    const field = page.locator('input[aria-invalid="true"]')
    await field.waitFor()
    t.is(await field.count(), 1)
    t.is(await field.getAttribute('id'), await page.getByLabel(label).getAttribute('id'))
    t.is(await field.getAttribute('id'), await focus(page))
    const described = (await field.getAttribute('aria-describedby'))!.split(' ').map((id) => `#${id}`)
    t.regex(await seen(page.locator(described.join(', '))), error)
    const [input, text] = [await field.boundingBox(), await page.locator('.error').boundingBox()]
    t.true(text!.y - (input!.y + input!.height) < 20, 'right below it')
    t.is(await page.getByLabel('Username').inputValue(), all.Username)
    t.is(await page.getByLabel('E-mail').inputValue(), all['E-mail'])
    t.is(await page.getByLabel('Password').inputValue(), '')
  }
  t.deepEqual(await world.news(), [])
  await fillSignUp(page, 'alice')
  await button(page, 'Create account').click()
  await button(page, 'Allow').waitFor()
  t.deepEqual(await world.news(), SIGNED_UP)
  t.deepEqual(troubles, [])
})

test('21. deny: back to the app with access_denied and its state, no code', async (t) => {
  const { world, app, page, troubles } = await stage(t)
  await page.goto(`/signup?return_to=${encodeURIComponent(app.link({ state: 'of the app' }))}`)
  await fillSignUp(page, 'alice')
  await button(page, 'Create account').click()
  await button(page, 'Deny').click()
  const brought = await arrival(page, app)
  t.deepEqual([brought.get('error'), brought.get('state'), brought.get('code')], ['access_denied', 'of the app', null])
  t.deepEqual(await world.news(), [...SIGNED_UP, 'ConsentDenied'])
  t.deepEqual(troubles, [])
})

test('"Use another account" signs out and comes back to the same request', async (t) => {
  const { world, app, page, troubles } = await stage(t)
  await new Visitor(world.url).signUp(person('bob'))
  await page.goto(`/signup?return_to=${encodeURIComponent(app.link())}`)
  await fillSignUp(page, 'alice')
  await button(page, 'Create account').click()
  await button(page, 'Use another account').click()
  await world.news()
  t.regex(await main(page), /Sign in\s+to connect ChatGPT/)
  await fillSignIn(page, 'bob')
  await button(page, 'Sign in').click()
  await button(page, 'Allow').waitFor()
  t.regex(await main(page), /as bob/)
  await button(page, 'Allow').click()
  const { json } = await app.exchange((await arrival(page, app)).get('code')!)
  t.is((await app.api(json.access_token, 'GET', '/todos/bob')).status, 200)
  t.deepEqual((await world.news()).slice(-5), [
    ...['SignedIn', 'ConsentRequested', 'ConsentGranted', 'CodeIssued', 'TokenIssued'],
  ])
  t.deepEqual(troubles, [])
})

test('18. Allow pressed twice in quick succession is one answer, and the person still arrives', async (t) => {
  const { world, app, page } = await stage(t)
  await page.goto(`/signup?return_to=${encodeURIComponent(app.link())}`)
  await fillSignUp(page, 'alice')
  await button(page, 'Create account').click()
  await button(page, 'Allow').dblclick()
  const { json } = await app.exchange((await arrival(page, app)).get('code')!)
  t.truthy(json.access_token)
  // Where the second press was sent too, its code replaced the first.
  const news = await world.news()
  const isSentTwice = news.filter((type) => type === 'CodeIssued').length === 2
  t.deepEqual(news, [
    ...SIGNED_UP,
    'ConsentGranted',
    ...(isSentTwice ? ['CodeIssued'] : []),
    'CodeIssued',
    'TokenIssued',
  ])
})

/** Serves on a free port of loopback until the test ends. @returns where, by that name of the host */
async function serve(t: ExecutionContext, handle: RequestListener, host = '127.0.0.1'): Promise<string> {
  const server = createServer(handle)
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  t.teardown(() => {
    server.closeAllConnections()
    server.close()
  })
  return `http://${host}:${(server.address() as AddressInfo).port}`
}

const redirect =
  (to: (query: string) => string): RequestListener =>
  (req, res) =>
    void res.writeHead(303, { location: to(req.url!.split('?')[1] ?? '') }).end()

/** An app whose callback leads on to another origin, and that one to a third, as chat.openai.com does to chatgpt.com. */
async function leadingOn(t: ExecutionContext, { world }: Stage) {
  const end = await serve(t, (_, res) => void res.end('<title>Arrived</title>'), 'localhost')
  const middle = await serve(
    t,
    redirect((query) => `${end}/arrived?${query}`),
  )
  const callback = `${await serve(
    t,
    redirect((query) => `${middle}/next?${query}`),
    'localhost',
  )}/cb`
  const grantTypes = ['authorization_code', 'refresh_token'] as const
  const entry = { name: 'Leading on', redirects: [callback], grantTypes }
  for (const [client, secret] of [
    ['leads-on', digest('secret')],
    ['leads-on-public', null],
  ] as const)
    await world.ledger.transact(SYSTEM, (state) => registerClient(state, { ...entry, client, secret }))
  await world.news()
  const arrived = async (page: Page): Promise<URLSearchParams> => {
    await page.waitForURL(`${end}/arrived?**`)
    return new URL(page.url()).searchParams
  }
  const side = (id: string): ClientSide => new ClientSide(world.url, { id, secret: 'secret', callback })
  return { arrived, confidential: side('leads-on'), anybody: side('leads-on-public') }
}

test('1. the browser arrives, whatever the callback does next: after Allow, Deny, and a sign-in that leads straight through', async (t) => {
  const on = await stage(t)
  const { world, page, troubles } = on
  const { arrived, confidential, anybody } = await leadingOn(t, on)
  await page.goto(`/signup?return_to=${encodeURIComponent(confidential.link({ state: 'a b' }))}`)
  await fillSignUp(page, 'alice')
  await button(page, 'Create account').click()
  await button(page, 'Allow').click()
  const allowed = await arrived(page)
  t.deepEqual([allowed.get('state'), allowed.get('iss')], ['a b', world.url])
  t.is((await confidential.exchange(allowed.get('code')!)).status, 200)
  await page.goto(world.url + anybody.link(PKCE))
  await button(page, 'Allow').click()
  t.truthy((await arrived(page)).get('code'), 'a public app')
  await page.goto(world.url + anybody.link(PKCE))
  await button(page, 'Deny').click()
  t.is((await arrived(page)).get('error'), 'access_denied')
  await page.goto(world.url)
  await button(page, 'Sign out').click()
  await page.getByRole('link', { name: 'Sign in' }).waitFor()
  await world.news()
  await page.goto(world.url + confidential.link())
  await fillSignIn(page, 'alice')
  await button(page, 'Sign in').click()
  t.truthy((await arrived(page)).get('code'), 'who has said yes before')
  t.deepEqual(await world.news(), ['SignedIn', 'CodeIssued'])
  await page.goto(world.url)
  await button(page, 'Sign out').click()
  await page.goto(`${world.url}/signup?return_to=${encodeURIComponent(confidential.link({ scope: 'unknown' }))}`)
  await fillSignUp(page, 'bob')
  await button(page, 'Create account').click()
  t.is((await arrived(page)).get('error'), 'invalid_scope', 'a sign-up for a request that is wrong')
  t.deepEqual(troubles, [])
})

test('1, 7. the answer goes to a program on the device by its own scheme, at once or from a callback on', async (t) => {
  const { world, page, troubles } = await stage(t)
  const callback = `${await serve(
    t,
    redirect((query) => `com.example.app:/on?${query}`),
  )}/cb`
  const redirects = ['com.example.app:/cb', callback]
  const entry = {
    client: 'native',
    name: 'Native',
    secret: null,
    redirects,
    grantTypes: ['authorization_code'] as const,
  }
  await world.ledger.transact(SYSTEM, (state) => registerClient(state, entry))
  await page.goto('/signup')
  await fillSignUp(page, 'alice')
  await button(page, 'Create account').click()
  await page.getByText('Signed in as').waitFor()
  for (const uri of redirects)
    for (const choice of ['Allow', 'Deny']) {
      await page.goto(
        world.url + new ClientSide(world.url, { id: 'native', secret: undefined, callback: uri }).link(PKCE),
      )
      // There is no such program here, so the last thing to be seen is that the browser gives up on the scheme.
      const failed = page.waitForEvent('requestfailed')
      await button(page, choice).click()
      const request = await failed
      t.regex(request.url(), /^com\.example\.app:\/(cb|on)\?(code|error)=/, `${uri} ${choice}`)
      t.notRegex(request.failure()!.errorText, /CSP|csp/)
    }
  t.deepEqual(troubles, [])
})

test('3. Allow pressed again on a slow line: the person arrives, with the one code that lives', async (t) => {
  const held: ServerResponse[] = []
  let target = ''
  // A line on which the first answer to a consent is on its way for ever.
  const line = await serve(t, (req, res) => {
    const isAnswer = req.url === '/oauth/consent' && held.length === 0
    if (isAnswer) held.push(res)
    const passed = request(target + req.url, { method: req.method!, headers: req.headers }, (answer) => {
      if (!isAnswer) answer.pipe(res.writeHead(answer.statusCode!, answer.headers))
    })
    req.pipe(passed)
  })
  const { world, app, page } = await stage(t, desktop, { publicUrl: line })
  target = world.url
  await page.goto(`${line}/signup?return_to=${encodeURIComponent(app.link())}`)
  await fillSignUp(page, 'alice')
  await button(page, 'Create account').click()
  const { x, y } = (await button(page, 'Allow').boundingBox())!
  // By hand: a locator would wait for the navigation that is held up.
  await page.mouse.click(x + 5, y + 5)
  const seenTypes: string[] = []
  while (!seenTypes.includes('CodeIssued')) seenTypes.push(...(await world.news()))
  t.is(app.arrivals.length, 0)
  await page.mouse.click(x + 5, y + 5)
  // Playwright reports the first navigation, which the second click ends, as an error: so the address is looked at.
  while (!page.url().startsWith(app.callback)) await wait(50)
  const code = new URL(page.url()).searchParams.get('code')!
  t.is((await app.exchange(code)).status, 200)
  t.deepEqual(
    [...seenTypes, ...(await world.news())],
    [...SIGNED_UP, ...['ConsentGranted', 'CodeIssued', 'CodeIssued', 'TokenIssued']],
  )
})

/** What has the focus, by its label or text, and what shows it. */
const AT_FOCUS = `(at => ({
  text: at.labels?.[0]?.innerText || at.innerText,
  outline: getComputedStyle(at).outline,
}))(document.activeElement)`

test('keyboard only: every stop is reached in order and seen, from the link to the callback', async (t) => {
  const { app, page, troubles } = await stage(t)
  const tabTo = async (name: string): Promise<void> => {
    const stops: string[] = []
    for (let n = 0; n < 12; n++) {
      await page.keyboard.press('Tab')
      const { text, outline } = await page.evaluate<{ text: string; outline: string }>(AT_FOCUS)
      t.regex(outline, /solid 3px/, `${text} shows that it has the focus`)
      stops.push(text)
      if (text.startsWith(name)) return
    }
    t.fail(`${name} is not among ${stops.join(', ')}`)
  }
  await page.goto(app.link())
  await tabTo('Password') // The first field has the focus already.
  await tabTo('Create an account')
  await page.keyboard.press('Enter')
  await page.getByRole('heading', { name: 'Create an account' }).waitFor()
  await page.keyboard.type('alice')
  await tabTo('E-mail')
  await tabTo('Password')
  await page.keyboard.type('correct horse')
  await page.keyboard.press('Enter')
  await button(page, 'Allow').waitFor()
  await tabTo('Daybook')
  await tabTo('Allow')
  await tabTo('Deny')
  await tabTo('Use another account')
  await tabTo('Privacy and terms')
  for (let n = 0; n < 3; n++) await page.keyboard.press('Shift+Tab')
  await page.keyboard.press('Space')
  t.truthy((await arrival(page, app)).get('code'))
  t.deepEqual(troubles, [])
})

test('home: the to-dos of who is signed in, as text; after signing out nothing of it, by Back neither', async (t) => {
  const { world, app, page, troubles } = await stage(t)
  await page.goto(`/signup?return_to=${encodeURIComponent(app.link())}`)
  await fillSignUp(page, 'alice')
  await button(page, 'Create account').click()
  await button(page, 'Allow').click()
  const { json } = await app.exchange((await arrival(page, app)).get('code')!)
  const todo = '<img src=x onerror=alert(1)> & "milk"'
  await app.api(json.access_token, 'POST', '/todos/me', { todo })
  await page.goto('/')
  t.deepEqual(await page.getByRole('listitem').allInnerTexts(), [todo])
  t.is(await page.evaluate('document.cookie'), '', 'no script could read the cookies')
  t.regex(await main(page), /Signed in as alice/)
  await button(page, 'Sign out').click()
  await page.getByRole('link', { name: 'Sign in' }).waitFor()
  await page.goBack()
  await page.getByRole('link', { name: 'Sign in' }).waitFor()
  t.notRegex(await page.content(), /milk|alice/)
  t.is((await world.news()).at(-1), 'SignedOut')
  t.is((await page.goto('/login'))?.status(), 200)
  await fillSignIn(page, 'alice')
  await button(page, 'Sign in').click()
  await page.getByRole('listitem').waitFor()
  await page.reload()
  t.deepEqual(await page.getByRole('listitem').allInnerTexts(), [todo])
  t.deepEqual((await world.news()).slice(-1), ['SignedIn'], 'a reload repeats nothing')
  t.deepEqual(troubles, [])
})

test('117. no other site can show a page of Daybook in a frame', async (t) => {
  const { world, app, page } = await stage(t)
  await page.goto(app.callback)
  await page.setContent(`<iframe src="${world.url}/login"></iframe>`)
  await page.waitForLoadState('networkidle')
  const framed = page.frames().at(-1)!
  t.notRegex(await framed.content(), /Sign in/)
})

/** An app and a person with the longest names there may be. */
const LONG = { name: 'W'.repeat(60), username: 'w'.repeat(64), host: `${'w'.repeat(60)}.${'w'.repeat(60)}.example` }

/** Walks through every page there is and stops at each. `visit` is given the page's name and its status. */
async function everyPage(t: ExecutionContext, { world, app, page }: Stage, visit: (name: string) => Promise<void>) {
  const go = async (name: string, path: string, status = 200): Promise<void> => {
    t.is((await page.goto(path))?.status(), status, name)
    await visit(name)
  }
  const uri = `https://${LONG.host}/cb`
  const long = { client: 'long', name: LONG.name, secret: digest('x'), redirects: [uri], grantTypes: [] }
  await world.ledger.transact(SYSTEM, (state) => registerClient(state, long))
  await go('home', '/')
  await go('sign in', '/login')
  await fillSignIn(page, 'W'.repeat(200), 'a wrong password')
  await button(page, 'Sign in').click()
  await page.getByRole('alert').waitFor()
  await visit('sign in, with an error')
  await go('sign up', '/signup')
  for (const [what, username, password] of [
    ['name', 'W'.repeat(200), 'correct horse'],
    ['password', 'alice', 'short'],
  ] as const) {
    await fillSignUp(page, username, password)
    await button(page, 'Create account').click()
    await page.locator('[aria-invalid]').waitFor()
    await visit(`sign up, with an error: ${what}`)
  }
  const link = app.link({ client_id: 'long', redirect_uri: uri })
  await go('sign in for an app', link)
  await page.getByRole('link', { name: 'Create an account' }).click()
  await visit('sign up for an app')
  await fillSignUp(page, LONG.username)
  await button(page, 'Create account').click()
  await button(page, 'Allow').waitFor()
  await visit('consent')
  await go('home, signed in, empty', '/')
  const visitor = new Visitor(world.url)
  for (const { name, value } of await page.context().cookies()) visitor.cookies.set(name, value)
  const { json } = await app.exchange(await app.codeFor(visitor))
  for (const todo of ['buy milk', 'W'.repeat(2000), 'two\nlines', 'several words '.repeat(50)])
    await app.api(json.access_token, 'POST', '/todos/me', { todo })
  await go('home, signed in', '/')
  await go('legal', '/legal')
  await go('nothing here', '/login/nothing', 404)
  await go('unknown app', '/oauth?client_id=nobody', 400)
  await go('unknown callback', app.link({ client_id: OTHER.id }), 400)
  await go('callback to be allowed', app.link({ redirect_uri: 'https://chatgpt.com/aip/g-1/oauth/callback' }), 400)
  await go('no request', '/oauth?%zz', 400)
  await page.goto(link)
  await page.context().clearCookies()
  await button(page, 'Allow').press('Enter')
  await page.getByText('answered already').waitFor()
  await visit('consent that is over')
}

for (const [name, look] of Object.entries(looks))
  test(`every page is accessible and at peace with its policy (${name})`, async (t) => {
    const on = await stage(t, look)
    await everyPage(t, on, async (name) => {
      await t.notThrowsAsync(expectAccessible(on.page), name)
      t.deepEqual(on.troubles, [], name)
    })
  })

test('at 320 pixels nothing scrolls sideways, and every target is at least 24 pixels wide and high', async (t) => {
  const on = await stage(t, { ...phone, viewport: { width: 320, height: 640 } })
  const widths: { [name: string]: number } = {}
  const small: string[] = []
  await everyPage(t, on, async (name) => {
    widths[name] = await on.page.evaluate<number>('document.documentElement.scrollWidth')
    // WCAG 2.2 SC 2.5.8; of its exceptions only the one for links in a sentence.
    for (const target of await on.page.locator('button, input:not([type=hidden]), a:not(p > a)').all()) {
      const { width, height } = (await target.boundingBox())!
      if (width < 24 || height < 24) small.push(`${name}: ${await seen(target)} is ${width} by ${height}`)
    }
  })
  t.deepEqual(widths, Object.fromEntries(Object.keys(widths).map((name) => [name, 320])))
  t.deepEqual(small, [])
  t.is(Object.keys(widths).length, 18)
})

test('a Daybook that takes no new accounts says so, accessibly', async (t) => {
  const { page, troubles } = await stage(t, desktop, { signup: 'closed' })
  await page.goto('/login')
  t.is(await page.getByRole('link', { name: 'Create an account' }).count(), 0)
  t.regex(await main(page), /takes no new accounts/)
  await t.notThrowsAsync(expectAccessible(page))
  t.is((await page.goto('/signup'))?.status(), 403)
  await t.notThrowsAsync(expectAccessible(page))
  t.deepEqual(troubles, [])
})

for (const [name, look] of Object.entries(looks))
  test(`API keys are made, seen once, and revoked in a browser, accessibly (${name})`, async (t) => {
    const { page, troubles, world } = await stage(t, look, { authMode: 'user_http' })
    const seenAs = (what: string) =>
      process.env.SHOTS === undefined
        ? undefined
        : page.screenshot({ path: `${process.env.SHOTS}/${name}-${what}.png`, fullPage: true })
    await page.goto('/signup')
    await fillSignUp(page, 'alice')
    await button(page, 'Create account').click()
    await seenAs('home')
    await t.notThrowsAsync(expectAccessible(page))
    await page.getByRole('link', { name: 'Your API keys' }).click()
    await page.getByText('There is none yet').waitFor()
    await t.notThrowsAsync(expectAccessible(page))
    await page.getByLabel('What it is for').fill('ChatGPT at work')
    await button(page, 'Make a key').click()
    const secret = await page.locator('code.secret').textContent()
    await seenAs('made')
    await t.notThrowsAsync(expectAccessible(page))
    const side = new ClientSide(world.url)
    t.is((await side.api(secret!, 'POST', '/todos/me', { todo: 'buy milk' })).status, 200)
    await page.getByLabel('What it is for').fill('W'.repeat(60))
    await button(page, 'Make a key').click()
    await page.getByLabel('What it is for').fill('x'.repeat(61))
    await button(page, 'Make a key').click()
    await page.getByText('1 to 60 printable').waitFor()
    await seenAs('error')
    await t.notThrowsAsync(expectAccessible(page))
    t.is(await page.evaluate<number>('document.documentElement.scrollWidth'), page.viewportSize()!.width)
    await button(page, 'Revoke ChatGPT at work').click()
    await button(page, 'Revoke ChatGPT at work').waitFor({ state: 'detached' })
    t.is((await side.api(secret!, 'GET', '/todos/me')).status, 401)
    await seenAs('list')
    t.deepEqual(troubles, [])
  })
