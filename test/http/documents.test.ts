/** G. Client-id metadata documents: apps that name themselves by an address, from the first look to the last token. */
import test, { type ExecutionContext } from 'ava'
import type { Settings } from '../../src/http/settings.ts'
import { DocumentUnreadable, type FetchDocument } from '../../src/service/documents.ts'
import { ClientSide, PKCE, person, startWorld, unescapeHtml, VERIFIER, Visitor, type World } from '../_support.ts'
import { assertErrorPage } from './_pages.ts'

const ADDRESS = 'https://chatgpt.com/oauth/client.json'
const CALLBACK = 'https://chatgpt.com/connector_platform_oauth_redirect'
/** As ChatGPT publishes it: `none` stands only in the plural. */
const CHATGPT = {
  client_id: ADDRESS,
  client_name: 'ChatGPT',
  redirect_uris: [CALLBACK],
  token_endpoint_auth_method: 'private_key_jwt',
  token_endpoint_auth_methods_supported: ['none', 'private_key_jwt'],
  jwks_uri: 'https://chatgpt.com/oauth/jwks.json',
  grant_types: ['authorization_code', 'refresh_token'],
  response_types: ['code'],
}
const FRESH_MS = 300_000

/** The web as Daybook sees it: what stands at each address, and what was asked for. */
class Web {
  readonly documents = new Map<string, unknown>([[ADDRESS, CHATGPT]])
  readonly asked: string[] = []
  fetch: FetchDocument = async ({ href }) => {
    this.asked.push(href)
    const json = this.documents.get(href)
    if (json === undefined) throw new DocumentUnreadable('The client-id document did not arrive in time.')
    return { json, freshMs: this.freshMs }
  }
  freshMs = FRESH_MS
}

async function begin(t: ExecutionContext, changed: Partial<Settings> = {}) {
  const web = new Web()
  const world = await startWorld(t, changed, [], web.fetch)
  const alice = new Visitor(world.url)
  await alice.signUp(person('alice'))
  await world.news()
  return { world, web, alice, side: sideOf(world) }
}
const sideOf = ({ url }: Pick<World, 'url'>, id = ADDRESS, callback = CALLBACK) =>
  new ClientSide(url, { id, secret: undefined, callback })
const exchange = (side: ClientSide, code: string) => side.exchange(code, { code_verifier: VERIFIER })
const text = (html: string): string => unescapeHtml(html.replace(/<[^>]*>/g, ' ')).replace(/\s+/g, ' ')

test('77. strangers who look leave nothing; who is asked makes the app known; then tokens for /mcp, refreshed', async (t) => {
  const { world, web, alice, side } = await begin(t)
  const stranger = new Visitor(world.url)
  for (let i = 0; i < 3; i++) {
    const page = await stranger.get(side.link(PKCE))
    t.regex(text(page.text), /Sign in to connect ChatGPT/)
  }
  t.deepEqual([await world.news(), web.asked], [[], [ADDRESS]])
  t.is(await world.ledger.read(({ clients }) => clients.by('clientId', ADDRESS).length), 0)

  const code = await side.codeFor(alice, PKCE)
  const given = ['ClientRegistered', 'RedirectUriAllowed', 'ConsentRequested', 'ConsentGranted', 'CodeIssued']
  t.deepEqual(await world.news(), given)
  const { status, json } = await exchange(side, code)
  t.is(status, 200)
  t.is((await side.refresh(json.refresh_token)).status, 200)
  const issued = (await world.events()).findLast(({ type }) => type === 'TokenIssued')!
  t.is((issued.data as { resource: string }).resource, `${world.url}/mcp`)
  t.is((await exchange(side, code)).json.error, 'invalid_grant')
  await world.news()
  await side.codeFor(alice, PKCE)
  t.deepEqual(await world.news(), ['ConsentRequested', 'ConsentGranted', 'CodeIssued'], 'always asked')
  t.deepEqual(web.asked, [ADDRESS], 'kept while it is fresh, and never fetched for a token')
})

test('77. an error in the request of an app with a document sends nobody away (RFC 9700 §4.11.2)', async (t) => {
  const { world, alice, side } = await begin(t)
  const page = await alice.get(side.link({ ...PKCE, scope: 'all' }))
  assertErrorPage(t, page, 'scope')
  t.regex(text(page.text), /scope may be any of.*No operator of this Daybook added this app, so you are not sent back/)
  t.deepEqual(await world.news(), [])
})

test('77. pages to sign in and to sign up fetch no document: no limit counts them', async (t) => {
  const { world, web, side } = await begin(t)
  const stranger = new Visitor(world.url)
  const returnTo = side.link(PKCE)
  const signUp = () => stranger.get(`/signup?return_to=${encodeURIComponent(returnTo)}`)
  const wrong = { identifier: 'alice', password: 'not the right one', return_to: returnTo }
  const page = await signUp()
  t.notRegex(text(page.text), /ChatGPT/)
  t.true(page.text.includes(`value="${returnTo.replaceAll('&', '&amp;')}"`))
  await stranger.submit(await stranger.get('/login'), 'identifier', wrong)
  await stranger.submit(page, 'username', { ...person('bob'), password: 'short' })
  t.deepEqual(web.asked, [])
  await stranger.get(returnTo)
  t.regex(text((await signUp()).text), /ChatGPT/, 'what was read already is used')
  t.deepEqual(web.asked, [ADDRESS])
  await world.news()
})

test('22. the page names the host that vouches, and that nobody else does', async (t) => {
  const { alice, side } = await begin(t)
  const shown = text((await alice.get(side.link(PKCE))).text)
  t.regex(shown, /Connect ChatGPT\?/)
  t.regex(shown, /Not verified\. Only chatgpt\.com says that this is ChatGPT\./)
  t.regex(shown, /Afterwards you return to chatgpt\.com /)
})

const lies: { readonly [what: string]: unknown } = {
  'for another address': { ...CHATGPT, client_id: `${ADDRESS}2` },
  'without client_id': { ...CHATGPT, client_id: undefined },
  'without name': { ...CHATGPT, client_name: undefined },
  'with markup that is too long for a name': { ...CHATGPT, client_name: '<b>'.repeat(30) },
  'without callbacks': { ...CHATGPT, redirect_uris: [] },
  'with a script for a callback': { ...CHATGPT, redirect_uris: ['javascript:alert(1)'] },
  'with http for a callback': { ...CHATGPT, redirect_uris: ['http://evil.example/cb'] },
  'with a script for a logo': { ...CHATGPT, logo_uri: 'javascript:alert(1)' },
  'for a client with a secret': { ...CHATGPT, token_endpoint_auth_methods_supported: ['private_key_jwt'] },
  'with a secret': { ...CHATGPT, client_secret: 'x' },
  'that is a list': [CHATGPT],
  'that is a text': 'x',
  'that is not there': undefined,
}
for (const [what, json] of Object.entries(lies))
  test(`77. a document ${what}: an error page, nothing recorded, and not asked for again at once`, async (t) => {
    const { world, web, alice, side } = await begin(t)
    web.documents.set(ADDRESS, json)
    for (const visitor of [alice, new Visitor(world.url), alice]) {
      const page = await visitor.get(side.link(PKCE))
      assertErrorPage(t, page, what)
      t.regex(text(page.text), /The client-id document (does not fit|did not arrive)/)
    }
    t.deepEqual([await world.news(), web.asked.length], [[], 1])
    t.is((await exchange(side, 'x')).json.error, 'invalid_client')
    t.true(
      world.log.some((line) => line.includes(ADDRESS) && line.includes('client-id document')),
      'told in the log',
    )
  })

test('77. an address at Daybook itself is an unknown client: it does not ask itself', async (t) => {
  const web = new Web()
  const publicUrl = 'https://todo.example'
  const world = await startWorld(t, { publicUrl }, [], web.fetch)
  const visit = (id: string) => {
    web.documents.set(id, { ...CHATGPT, client_id: id })
    return new Visitor(world.url).get(sideOf(world, id).link(PKCE), { 'x-forwarded-host': 'todo.example' })
  }
  for (const own of [`${publicUrl}/client.json`, `${publicUrl}/oauth?client_id=x`])
    assertErrorPage(t, await visit(own), own)
  t.deepEqual([web.asked, await world.news()], [[], []])
  const other = 'https://todo.example:8443/client.json'
  t.is((await visit(other)).status, 200)
  t.deepEqual(web.asked, [other], 'another port is another place')
})

test('77. an address that may not be one is an unknown client, and nothing is fetched', async (t) => {
  const { world, web, alice } = await begin(t)
  const bad = [
    'http://a.example/x',
    'https://a.example',
    'https://a.example/',
    'https://a.example/x#y',
    'https://u@a.example/x',
  ].concat([
    'https://A.example/x',
    'https://a.example/../x',
    `https://a.example/${'x'.repeat(2048)}`,
    'https://',
    'ftp://a/x',
  ])
  for (const id of bad) {
    web.documents.set(id, { ...CHATGPT, client_id: id })
    assertErrorPage(t, await alice.get(sideOf(world, id).link(PKCE)), id)
  }
  t.deepEqual([web.asked, await world.news()], [[], []])
})

test('77. a document that drops the callback while its page is open: no code goes there', async (t) => {
  const { world, web, alice, side } = await begin(t)
  web.freshMs = 0
  const page = await alice.get(side.link(PKCE))
  web.documents.set(ADDRESS, { ...CHATGPT, redirect_uris: ['https://chatgpt.com/new'] })
  await world.news()
  const answer = await alice.submit(page, 'decision', { decision: 'allow' })
  t.deepEqual([answer.status, answer.headers.get('location')], [403, null])
  t.deepEqual(await world.news(), ['ClientDocumentRead', 'RedirectUriAllowed', 'RedirectUriWithdrawn'])
})

test('77. a document that drops the callback between code and token: the code is dead', async (t) => {
  const { world, web, alice, side } = await begin(t)
  web.freshMs = 0
  const code = await side.codeFor(alice, PKCE)
  web.documents.set(ADDRESS, { ...CHATGPT, client_name: 'Chat', redirect_uris: ['https://chatgpt.com/new'] })
  await world.news()
  await alice.get(sideOf(world, ADDRESS, 'https://chatgpt.com/new').link(PKCE))
  const changed = ['ClientDocumentRead', 'RedirectUriAllowed', 'RedirectUriWithdrawn', 'ConsentRequested']
  t.deepEqual(await world.news(), changed)
  t.is((await exchange(side, code)).json.error, 'invalid_grant')
  assertErrorPage(t, await alice.get(side.link(PKCE)), 'the old callback')
})

test('77. while it cannot be read, a known app goes on for a day, and an unknown one is refused', async (t) => {
  const { world, web, alice, side } = await begin(t)
  web.freshMs = 0
  await exchange(side, await side.codeFor(alice, PKCE))
  web.documents.delete(ADDRESS)
  world.clock.pass(86_400_000 - 60_000)
  t.is((await exchange(side, await side.codeFor(alice, PKCE))).status, 200)
  const page = await alice.get(side.link(PKCE))
  world.clock.pass(120_000)
  assertErrorPage(t, await alice.get(side.link(PKCE)), 'a day later')
  t.is((await alice.submit(page, 'decision', { decision: 'allow' })).status, 400, 'nor is what was asked before')
})

test('76. CLIENT_REGISTRATION=off: no document is read', async (t) => {
  const { web, alice, side, world } = await begin(t, { clientRegistration: 'off' })
  assertErrorPage(t, await alice.get(side.link(PKCE)), 'off')
  t.deepEqual([web.asked, await world.news()], [[], []])
})
