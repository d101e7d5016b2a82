/** A. Authorize: what a request has to be, and how it goes back to the client (RFC 6749 §4.1.1, §4.1.2). */
import test, { type ExecutionContext } from 'ava'
import {
  type Answer,
  CALLBACK,
  CHATGPT_ID,
  ClientSide,
  formWith,
  OTHER,
  person,
  startWorld,
  Visitor,
} from '../_support.ts'
import { answered, assertErrorPage, assertStillServes, startWithVisitors } from './_pages.ts'

/** **RD(error)**: back to the exact registered URI. */
function assertRedirectedBack(t: ExecutionContext, url: string, answer: Answer, error: string, what: string): void {
  const { error_description: description = '', ...rest } = answered(t, answer, CALLBACK, what)
  t.deepEqual(rest, { error, state: STATE, iss: url }, what)
  // RFC 6749 §4.1.2.1.
  t.regex(description, /^[\x20-\x21\x23-\x5b\x5d-\x7e]*$/, what)
}

const STATE = 'a+b %2B/ü'

test("1. the guide's request with an empty scope: sign-in page, then everything by default", async (t) => {
  const { url, news } = await startWorld(t)
  const guide =
    `/oauth?response_type=code&client_id=${CHATGPT_ID}&scope=&state=xyz123` +
    `&redirect_uri=${encodeURIComponent(CALLBACK)}`
  const visitor = new Visitor(url)
  const page = await visitor.get(guide)
  t.is(page.status, 200)
  t.regex(page.text, /<h1>Sign in<\/h1>/)
  t.deepEqual(Object.keys(formWith(page.text, 'identifier')!.values), [
    'form_token',
    'return_to',
    'identifier',
    'password',
  ])
  t.deepEqual(await news(), [])

  const signUp = await visitor.signUp(person('alice'), formWith(page.text, 'identifier')!.values.return_to)
  t.is(signUp.status, 303)
  const consent = await visitor.get(signUp.headers.get('location')!)
  t.true(consent.text.includes('see your to-dos') && consent.text.includes('add, change and delete to-dos'))
  const answer = await visitor.submit(consent, 'decision', { decision: 'allow' })
  const { code, ...rest } = answered(t, answer, CALLBACK)
  t.deepEqual(rest, { state: 'xyz123', iss: url })
  t.is((await new ClientSide(url).exchange(code!)).json.scope, 'todos:read todos:write')
  t.deepEqual(await news(), [
    'UserRegistered',
    'SignedIn',
    'ConsentRequested',
    'ConsentGranted',
    'CodeIssued',
    'TokenIssued',
  ])
})

const states = {
  plain: 's1',
  'plus, space and percent': 'a+b c%2B%20%',
  'what HTML and URLs set apart': `"<>&'#?/\\=;`,
  'UTF-8': 'ü€😀 日本',
  'a header': '\r\nSet-Cookie: a=b\0',
  '2 kB': 'x'.repeat(2048),
  '2 kB of UTF-8': '€'.repeat(682),
  'a value and nothing else': ' ',
}
test('2. the whole flow gives back a code of 256 bits, iss and the exact state, and keeps the registered query', async (t) => {
  const { url, news } = await startWorld(t)
  const other = new ClientSide(url, OTHER)
  await new Visitor(url).signUp(person('alice'))
  await news()
  const codes = new Set<string>()
  for (const [name, state] of Object.entries(states)) {
    const visitor = new Visitor(url)
    const signIn = await visitor.signIn(person('alice'), other.link({ state }))
    t.is(signIn.status, 303, name)
    const consent = await visitor.get(signIn.headers.get('location')!)
    const isFirst = codes.size === 0
    const answer = isFirst ? await visitor.submit(consent, 'decision', { decision: 'allow' }) : consent
    const { code, ...rest } = answered(t, answer, 'https://other.example/cb?keep=1', name)
    t.deepEqual(rest, { state, iss: url }, name)
    t.regex(code!, /^dbc_[A-Za-z0-9_-]{43}$/, name)
    codes.add(code!)
    const asked = isFirst ? ['ConsentRequested', 'ConsentGranted'] : []
    t.deepEqual(await news(), ['SignedIn', ...asked, 'CodeIssued'], name)
  }
  t.is(codes.size, Object.keys(states).length, 'every code is another one')
})

test('2. a sign-up on the way leads to the same place', async (t) => {
  const { url, news } = await startWorld(t)
  const other = new ClientSide(url, OTHER)
  const state = Object.values(states).join('').slice(0, 1000)
  const visitor = new Visitor(url)
  const page = await visitor.get(other.link({ state }))
  const href = /href="(\/signup\?[^"]*)"/.exec(page.text)![1]!
  const signUp = await visitor.submit(await visitor.get(href), 'username', { ...person('alice') })
  t.deepEqual(await news(), ['UserRegistered', 'SignedIn'])
  const consent = await visitor.get(signUp.headers.get('location')!)
  const { code, ...rest } = answered(
    t,
    await visitor.submit(consent, 'decision', { decision: 'allow' }),
    OTHER.callback,
  )
  t.deepEqual(rest, { state, iss: url })
  t.is((await other.exchange(code!)).status, 200)
})

test('2. what the longest state of any letters takes in the book is bounded: less than 7 kB', async (t) => {
  const { world, alice, chatgpt } = await startWithVisitors(t)
  for (const state of ['\u0001'.repeat(682), '"'.repeat(2048), '€'.repeat(1365), '😀'.repeat(1024), 'x'.repeat(4096)]) {
    t.is((await alice.get(chatgpt.link({ state, prompt: 'consent' }))).status, 200)
    const { seq } = world.ledger.head
    let line = ''
    for await (const chunk of world.ledger.chunks({ from: seq, to: seq })) line += chunk
    t.true(line.includes('"ConsentRequested"') && line.length > 5000 && line.length < 7000, `${line.length}`)
    const longer = await alice.get(chatgpt.link({ state: `${state}xxxxx` }))
    t.is(answered(t, longer, CALLBACK).error, 'invalid_request')
  }
})

test('2. without a state none comes back, and an empty one is not made up', async (t) => {
  const { alice, chatgpt, world } = await startWithVisitors(t)
  const consent = await alice.get(chatgpt.link({ state: undefined }))
  const { code, ...rest } = answered(t, await alice.submit(consent, 'decision', { decision: 'allow' }), CALLBACK)
  t.truthy(code)
  t.deepEqual(rest, { iss: world.url })
  const refused = await alice.get(chatgpt.link({ state: undefined, scope: 'other' }))
  t.false('state' in answered(t, refused, CALLBACK))
})

/** What is wrong, though the redirect URI is right: the word for it, and the changes to a good request. */
const wrong: { readonly [what: string]: readonly [string, { [name: string]: string | undefined }[]] } = {
  '8. an absent response_type': ['invalid_request', [{ response_type: undefined }, { response_type: '' }]],
  '8. another response_type': [
    'unsupported_response_type',
    ['token', 'id_token', 'CODE', 'code token', 'code code', ' code', 'none', '__proto__'].map((type) => ({
      response_type: type,
    })),
  ],
  '10. an unknown or malformed scope': [
    'invalid_scope',
    [
      'other',
      'todos',
      'todos:',
      'todos:READ',
      'todos:read other',
      'todos:read,todos:write',
      'todos:read  todos:write',
      ' todos:read',
      'todos:read ',
      'todos:read\ttodos:write',
      '__proto__',
      'constructor',
      '*',
      '"',
    ].map((scope) => ({ scope })),
  ],
  '11. a code challenge that is not S256': [
    'invalid_request',
    [
      { code_challenge: 'x'.repeat(43) },
      { code_challenge: 'x'.repeat(43), code_challenge_method: '' },
      { code_challenge: 'x'.repeat(43), code_challenge_method: 'plain' },
      { code_challenge: 'x'.repeat(43), code_challenge_method: 's256' },
      { code_challenge: 'x'.repeat(43), code_challenge_method: 'S512' },
      { code_challenge_method: 'plain' },
    ],
  ],
  '11. a code challenge of a bad length or alphabet, or none': [
    'invalid_request',
    [undefined, '', 'x'.repeat(42), 'x'.repeat(44), 'x'.repeat(128), `${'x'.repeat(42)}=`, `${'x'.repeat(42)}+`]
      .concat([`${'x'.repeat(42)}.`, `${'x'.repeat(42)}é`, `${'x'.repeat(43)}\n`])
      .map((challenge) => ({ code_challenge: challenge, code_challenge_method: 'S256' })),
  ],
  '12. a foreign, relative or fragmented resource': [
    'invalid_target',
    ['https://evil.example', '/todos', 'todos', '.', 'URL#', 'URL/#fragment', 'URL.evil.example', 'URL@evil.example']
      .concat(['URL/elsewhere', 'URL?a=b', 'urn:daybook', 'javascript:alert(1)'])
      .map((resource) => ({ resource })),
  ],
}
for (const [what, [error, changes]] of Object.entries(wrong))
  test(`${what}: back with ${error}`, async (t) => {
    const { world, alice, visitors, chatgpt } = await startWithVisitors(t)
    for (const [who, visitor] of visitors)
      for (const { resource, ...changed } of changes) {
        const query = resource === undefined ? {} : { resource: resource.replace('URL', world.url) }
        const answer = await visitor.get(chatgpt.link({ state: STATE, ...changed, ...query }))
        assertRedirectedBack(t, world.url, answer, error, `${who}: ${JSON.stringify({ ...changed, ...query })}`)
      }
    t.deepEqual(await world.news(), [])
    await assertStillServes(t, world, alice)
  })

test('9. a parameter twice: an error page for who and where to, back with invalid_request for all others', async (t) => {
  const { world, alice, visitors, chatgpt } = await startWithVisitors(t)
  const good = { response_type: 'code', scope: 'todos:read', resource: world.url, code_challenge: 'x'.repeat(43) }
  const link = chatgpt.link({ state: STATE, ...good, code_challenge_method: 'S256' })
  const given = [...new URLSearchParams(link.slice(link.indexOf('?')))]
  // The same value, another one, none at all, and the name in other words.
  for (const [who, visitor] of visitors)
    for (const [name, value] of given)
      for (const twin of [value, 'other', '']) {
        for (const second of [name, name.replace('_', '%5F')]) {
          const what = `${who}: ${second}=${twin}`
          const answer = await visitor.get(`${link}&${second}=${encodeURIComponent(twin)}`)
          if (name === 'client_id' || name === 'redirect_uri') assertErrorPage(t, answer, what)
          else if (name !== 'state') assertRedirectedBack(t, world.url, answer, 'invalid_request', what)
          else {
            // Which of two states is the client's own cannot be told.
            const { error_description: _, ...rest } = answered(t, answer, CALLBACK, what)
            t.deepEqual(rest, { error: 'invalid_request', iss: world.url }, what)
          }
        }
      }
  t.deepEqual(await world.news(), [])
  await assertStillServes(t, world, alice)
})

test('10. what is unknown is ignored; a known scope is granted as asked', async (t) => {
  const { alice, chatgpt } = await startWithVisitors(t)
  const unknown = {
    nonce: 'n',
    prompt: 'none',
    response_mode: 'fragment',
    user: 'bob',
    ['__proto__']: 'x',
    'a[b]': '1',
  }
  const scopes = {
    'todos:read': 'todos:read',
    'todos:write': 'todos:write',
    'todos:write todos:read': 'todos:read todos:write',
    'todos:read todos:read': 'todos:read',
  }
  for (const [scope, granted] of Object.entries(scopes)) {
    const { status, json } = await chatgpt.exchange(await chatgpt.codeFor(alice, { ...unknown, scope }))
    t.is(status, 200)
    t.is(json.scope, granted)
  }
})

test('11. a challenge of a confidential client is enforced', async (t) => {
  const { world, alice, chatgpt } = await startWithVisitors(t)
  // RFC 7636 appendix B.
  const verifier = 'dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk'
  const challenge = 'E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM'
  const code = await chatgpt.codeFor(alice, { code_challenge: challenge, code_challenge_method: 'S256' })
  await world.news()
  for (const wrongVerifier of [undefined, '', challenge, `${verifier}x`, verifier.toLowerCase(), 'x'.repeat(43)]) {
    const { status, json } = await chatgpt.exchange(code, { code_verifier: wrongVerifier })
    t.is(status, 400)
    t.is(json.error, 'invalid_grant', `${wrongVerifier}`)
    t.deepEqual(await world.news(), [])
  }
  t.is((await chatgpt.exchange(code, { code_verifier: verifier })).status, 200)
  t.deepEqual(await world.news(), ['TokenIssued'])
})

test('12. the own resource is accepted and bound', async (t) => {
  const { world, alice, chatgpt } = await startWithVisitors(t)
  for (const resource of [world.url, `${world.url}/`]) {
    const { status, json } = await chatgpt.exchange(await chatgpt.codeFor(alice, { resource }))
    t.is(status, 200, resource)
    t.is((await chatgpt.api(json.access_token, 'GET', '/todos/me')).status, 200)
    const issued = (await world.events()).findLast((event) => event.type === 'TokenIssued')!
    t.is(issued.data.resource, resource)
  }
})

test('13. other methods: 405 with Allow, and nothing happens', async (t) => {
  const { world, alice, visitors, chatgpt } = await startWithVisitors(t)
  for (const [who, visitor] of visitors)
    for (const method of ['POST', 'PUT', 'DELETE', 'PATCH', 'PROPFIND']) {
      const cookie = [...visitor.cookies].map((pair) => pair.join('=')).join('; ')
      const init = { method, headers: { cookie, origin: world.url }, redirect: 'manual' } as const
      for (const path of [chatgpt.link(), '/oauth']) {
        const response = await fetch(world.url + path, init)
        const what = `${who}: ${method} ${path}`
        t.is(response.status, 405, what)
        t.deepEqual(response.headers.get('allow')?.split(', ').sort(), ['GET', 'HEAD'], what)
        t.is(response.headers.get('location'), null, what)
        t.is(response.headers.get('content-type'), 'text/html; charset=utf-8', what)
      }
    }
  const consent = await alice.get('/oauth/consent')
  t.is(consent.status, 405)
  t.is(consent.headers.get('allow'), 'POST')
  t.deepEqual(await world.news(), [])
  await assertStillServes(t, world, alice)
})

test('13. no query, or one that cannot be read: an error page', async (t) => {
  const { world, alice, visitors, chatgpt } = await startWithVisitors(t)
  const paths = ['', '?', '?&&', '?=', '?%zz', '?%', '?client_id=%ff', '?client_id=%E0%A4%A', '?__proto__=1', '?[]=1']
    .concat([`?${'a=b&'.repeat(2000)}`, '?client_id[]=a&redirect_uri[]=b'])
    .map((query) => `/oauth${query}`)
  const broken = ['x=%zz', 'state=%', 'state=%c3', '%ff=x', 'x=%ed%a0%80'].map((pair) => `${chatgpt.link()}&${pair}`)
  for (const [who, visitor] of visitors)
    for (const path of [...paths, ...broken])
      assertErrorPage(t, await visitor.get(path), `${who}: ${path.slice(0, 80)}`)
  t.deepEqual(await world.news(), [])
  await assertStillServes(t, world, alice)
})
