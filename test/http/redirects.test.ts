/** A. Authorize: where an answer may go, and where none goes (RFC 6749 §3.1.2, RFC 9700 §2.1). */
import test from 'ava'
import { acts } from '../../src/cli/client.ts'
import { CHATGPT, settleChatGpt } from '../../src/domain/clients.ts'
import { CALLBACK, CHATGPT_ID, OTHER, SYSTEM } from '../_support.ts'
import { assertErrorPage, assertRefused, assertStillServes, startWithVisitors } from './_pages.ts'

const PATH = '/aip/plugin-8f1c2d3e-0000-4a5b-9c6d-7e8f90a1b2c3/oauth/callback'
/** Near misses, none of them at a place where ChatGPT takes answers. */
const foreign = [
  CALLBACK.replace('chat.', 'CHAT.'),
  CALLBACK.replace('https', 'HTTPS'),
  CALLBACK.replace('.com', '.com:443'),
  CALLBACK.replace('.com', '.com:8443'),
  CALLBACK.replace('.com', '.com.'),
  CALLBACK.replace('https:', 'http:'),
  CALLBACK.replace('https://', 'https:/'),
  CALLBACK.replace('https://', '//'),
  CALLBACK.replace('https://', 'https:\\\\'),
  CALLBACK.replace('/oauth', '/x/../oauth'),
  CALLBACK.replace('openai', 'оpenai'), // a Cyrillic letter
  `${CALLBACK}#`,
  `${CALLBACK}#fragment`,
  `${CALLBACK}?a=b#c`,
  ` ${CALLBACK}`,
  `${CALLBACK} `,
  `${CALLBACK}\n`,
  `${CALLBACK}\0`,
  `${CALLBACK}\r\nSet-Cookie: a=b`,
  `${CALLBACK}${'a'.repeat(8192)}`,
  `https://user@chat.openai.com${PATH}`,
  `https://user:password@chat.openai.com${PATH}`,
  `https://chat.openai.com@evil.example${PATH}`,
  `https://chat.openai.com%2eevil.example${PATH}`,
  `https://chat.openai.com.evil.example${PATH}`,
  `https://evilchat.openai.com${PATH}`,
  `https://evil.example/${CALLBACK}`,
  `https://evil.example${PATH}`,
  `https://evil.example\\@chat.openai.com${PATH}`,
  'https://evil.example/"><script>alert(1)</script>',
  PATH,
  'callback',
  'https://',
  'urn:ietf:wg:oauth:2.0:oob',
  'javascript:alert(1)',
  `javascript:alert(1)//${CALLBACK}`,
  'data:text/html,<script>alert(1)</script>',
  'file:///etc/passwd',
]

test("3. a redirect_uri that is not exactly a registered one: an error page, and nobody's business", async (t) => {
  const { world, alice, visitors, chatgpt } = await startWithVisitors(t)
  for (const redirectUri of foreign)
    for (const [who, visitor] of visitors) {
      const what = `${who}: ${redirectUri.slice(0, 100)}`
      const answer = await visitor.get(chatgpt.link({ redirect_uri: redirectUri }))
      assertErrorPage(t, answer, what)
      t.regex(answer.text, /not one of its own/, what)
      t.false(redirectUri.includes('<') && answer.text.includes(redirectUri), what)
    }
  t.deepEqual(await world.news(), [])
  await assertStillServes(t, world, alice)
})

/** Places of ChatGPT's that nobody allowed. */
const waiting = [
  CALLBACK.replace('8f1c2d3e', '00000000'),
  CALLBACK.replace('chat.openai.com', 'chatgpt.com'),
  'https://chatgpt.com/connector/oauth/aB3_-',
  'https://chatgpt.com/aip/g-0123456789abcdef/oauth/callback',
]

test("3. ChatGPT's own callback that nobody allowed: the person is told, the operator sees and allows it", async (t) => {
  const { world, alice, visitors, chatgpt } = await startWithVisitors(t)
  for (const redirectUri of waiting)
    for (const [i, [who, visitor]] of visitors.entries()) {
      const answer = await visitor.get(chatgpt.link({ redirect_uri: redirectUri }))
      assertErrorPage(t, answer, `${who}: ${redirectUri}`)
      t.regex(answer.text, /operator of this Daybook has to allow/)
      // Asking again puts nothing on the list again.
      t.deepEqual(await world.news(), i === 0 ? ['RedirectUriRequested'] : [], `${who}: ${redirectUri}`)
    }
  const asked = (await world.events()).filter((event) => event.type === 'RedirectUriRequested')
  t.deepEqual(
    asked.map((event) => event.data),
    waiting.map((uri) => ({ client: CHATGPT, uri, expiresAt: world.clock.now + 86_400_000 })),
  )
  t.deepEqual(asked[0]!.actor, { kind: 'anonymous', id: 'anonymous' })
  t.is(asked[0]!.via.client, CHATGPT)

  const redirectUri = waiting.at(-1)!
  const shown = await Array.fromAsync(
    acts['client show']!(world.ledger, { id: CHATGPT }, SYSTEM, new AbortController().signal),
  )
  t.deepEqual((shown[0] as { row: { waiting: string[] } }).row.waiting, waiting)
  await Array.fromAsync(
    acts['client allow']!(world.ledger, { id: CHATGPT, uri: redirectUri }, SYSTEM, new AbortController().signal),
  )
  t.deepEqual(await world.news(), ['RedirectUriAllowed'])
  const code = await chatgpt.codeFor(alice, { redirect_uri: redirectUri })
  t.is((await chatgpt.exchange(code, { redirect_uri: redirectUri })).status, 200)
  await world.news()
  await assertStillServes(t, world, alice)
})

test('3. at most 20 callbacks are kept waiting, for a day', async (t) => {
  const { world, alice, chatgpt } = await startWithVisitors(t)
  const ask = (id: number) =>
    alice.get(chatgpt.link({ redirect_uri: `https://chatgpt.com/aip/g-${id}/oauth/callback` }))
  for (let id = 1; id <= 20; id++) t.regex((await ask(id)).text, /has to allow/)
  t.is((await world.news()).length, 20)
  t.regex((await ask(20)).text, /has to allow/)
  t.deepEqual(await world.news(), [])
  const tooMany = await ask(21)
  assertErrorPage(t, tooMany, 'the 21st')
  t.regex(tooMany.text, /list of such requests is full/)
  const waiting = () => world.ledger.read((state) => state.waiting.by('client', CHATGPT).map(({ uri }) => uri))
  const last = (await waiting()).at(-1)
  t.deepEqual([(await waiting()).length, last], [20, 'https://chatgpt.com/aip/g-20/oauth/callback'])
  t.deepEqual(await world.news(), [], 'the first ones stay, and whoever comes later leaves no trace')

  world.clock.pass(86_400_000 + 60_000)
  await world.ledger.sweep()
  t.deepEqual([await waiting(), await world.news()], [[], ['ExpiredDropped']])
})

/** Requests without a redirect URI or client that can be trusted, as changes to a good one. */
const untrusted: { readonly [what: string]: { [name: string]: string | undefined }[] } = {
  '4. redirect_uri absent or empty': [{ redirect_uri: undefined }, { redirect_uri: '' }],
  '5. client_id absent, empty or unknown': [
    { client_id: undefined },
    { client_id: '' },
    { client_id: 'somebody' },
    { client_id: CHATGPT_ID.toUpperCase() },
    { client_id: CHATGPT_ID.slice(0, -1) },
    { client_id: `${CHATGPT_ID} ` },
    { client_id: `${CHATGPT_ID}\0` },
    // Daybook's own name of the client, which is not its client_id.
    { client_id: CHATGPT },
    { client_id: '__proto__' },
    { client_id: 'constructor' },
  ],
  "6. one client's URI with another client": [
    { redirect_uri: OTHER.callback },
    { client_id: OTHER.id },
    { client_id: OTHER.id, redirect_uri: 'https://other.example/cb' },
    { client_id: OTHER.id, redirect_uri: waiting[0] },
  ],
}
for (const [what, changes] of Object.entries(untrusted))
  test(`${what}: an error page`, async (t) => {
    const { world, alice, visitors, chatgpt } = await startWithVisitors(t)
    // Whatever else is wrong with it, nobody is redirected.
    for (const [who, visitor] of visitors)
      for (const changed of changes)
        for (const more of [{}, { response_type: 'token' }, { scope: 'other' }, { state: 'x' }]) {
          const all = { ...changed, ...more }
          assertErrorPage(t, await visitor.get(chatgpt.link(all)), `${who}: ${JSON.stringify(all)}`)
        }
    t.deepEqual(await world.news(), [])
    await assertStillServes(t, world, alice)
  })

test('4, 5. what is missing is said, and nobody is advised to allow anything', async (t) => {
  const { world, visitors, chatgpt } = await startWithVisitors(t)
  for (const [who, visitor] of visitors)
    for (const [name, words] of [
      ['redirect_uri', 'at which address to answer it (redirect_uri)'],
      ['client_id', 'which app it is (client_id)'],
    ] as const) {
      const { text } = await visitor.get(chatgpt.link({ [name]: undefined }))
      t.true(text.includes(`The app did not say ${words}.`), `${who} ${name}`)
      t.notRegex(text, /client allow|compare the client ID/, `${who} ${name}`)
    }
  t.deepEqual(await world.news(), [])
})

test('a callback that is withdrawn while its consent page is open is not used any more', async (t) => {
  const { world, alice, chatgpt } = await startWithVisitors(t)
  const page = await alice.get(chatgpt.link())
  const given = { clientId: CHATGPT_ID, secret: undefined, redirects: [] }
  const made = { clientId: '', secret: 'made', digest: '0'.repeat(64) }
  await world.ledger.transact(SYSTEM, (state) => settleChatGpt(state, { ...given, made }))
  await world.news()
  const answer = await alice.submit(page, 'decision', { decision: 'allow' })
  assertRefused(t, answer, 403, 'a consent to a withdrawn callback')
  t.deepEqual(await world.news(), [])
})
