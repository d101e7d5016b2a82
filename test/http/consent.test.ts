/** B. Consent: what the page says, who may answer it, and how often (RFC 6749 §4.1.2, §10.12). */
import test from 'ava'
import { type Answer, CALLBACK, ClientSide, formWith, OTHER, unescapeHtml, Visitor } from '../_support.ts'
import { assertOwnFormOnly, assertRefused, bob, signedIn, startWithAlice, tokenOf } from './_pages.ts'

test('17. a consent without its token, of another session or for another request: 403, no code', async (t) => {
  const world = await startWithAlice(t)
  const { url, news } = world
  await new Visitor(url).signUp(bob)
  const chatgpt = new ClientSide(url)
  const visitor = await signedIn(world)
  const [otherTab, bobs] = [await signedIn(world), await signedIn(world, bob)]
  const page = await visitor.get(chatgpt.link())
  const second = await visitor.get(chatgpt.link({ scope: 'todos:read' }))
  const tokens = [page, second, await otherTab.get(chatgpt.link()), await bobs.get(chatgpt.link())]
    .map((consent) => tokenOf(consent, 'decision'))
    .slice(1)
  await news()
  for (const decision of ['allow', 'deny']) {
    const { action, values } = formWith(page.text, 'decision')!
    const form = { action, values: { ...values, decision } }
    const others = [...tokens, formWith(page.text, 'return_to')!.values.form_token!]
    await assertOwnFormOnly(t, world, visitor, form, others)
    for (const [who, thief] of Object.entries({ 'another session of hers': otherTab, bob: bobs })) {
      assertRefused(t, await thief.post(action, form.values), 403, who)
      const own = formWith((await thief.get(chatgpt.link())).text, 'decision')!.values.form_token!
      t.deepEqual(await news(), ['ConsentRequested'])
      assertRefused(t, await thief.post(action, { ...form.values, form_token: own }), 403, who)
    }
    for (const request of ['', '__proto__', formWith(second.text, 'decision')!.values.request!])
      assertRefused(t, await visitor.post(action, { ...form.values, request }), 403, `the request ${request}`)
    t.deepEqual(await news(), [])
  }
  t.is((await visitor.submit(page, 'decision', { decision: 'allow' })).status, 303)
  t.deepEqual(await news(), ['ConsentGranted', 'CodeIssued'])
})

test('18. posted twice, in a row or at once: one code', async (t) => {
  const world = await startWithAlice(t)
  const { url, news } = world
  const chatgpt = new ClientSide(url)
  const visitor = await signedIn(world)
  const page = await visitor.get(chatgpt.link())
  await news()
  const answers = await Promise.all(
    Array.from({ length: 20 }, (_, i) => visitor.submit(page, 'decision', { decision: i < 10 ? 'allow' : 'deny' })),
  )
  const [given, ...more] = answers.filter((answer) => answer.status === 303)
  t.is(more.length, 0)
  for (const answer of answers.filter((one) => one !== given)) assertRefused(t, answer, 403, 'at once')
  const decided = await news()
  t.true(
    [['ConsentGranted', 'CodeIssued'], ['ConsentDenied']].some((types) => `${types}` === `${decided}`),
    `${decided}`,
  )
  for (const decision of ['allow', 'deny'])
    assertRefused(t, await visitor.submit(page, 'decision', { decision }), 403, `once more: ${decision}`)
  t.deepEqual(await news(), [])
  t.is((await chatgpt.exchange(await chatgpt.codeFor(visitor))).status, 200)
})

test('18. a consent page that has been open for too long, or behind ten others, is not answered', async (t) => {
  const world = await startWithAlice(t)
  const chatgpt = new ClientSide(world.url)
  const visitor = await signedIn(world)
  const pages: Answer[] = []
  for (let tab = 0; tab < 11; tab++, world.clock.pass(1)) pages.push(await visitor.get(chatgpt.link()))
  await world.news()
  assertRefused(t, await visitor.submit(pages[0]!, 'decision', { decision: 'allow' }), 403, 'the oldest of eleven')
  t.is((await visitor.submit(pages[1]!, 'decision', { decision: 'allow' })).status, 303)
  world.clock.pass(30 * 60_000)
  assertRefused(t, await visitor.submit(pages[2]!, 'decision', { decision: 'allow' }), 403, 'after half an hour')
  t.deepEqual(await world.news(), ['ConsentGranted', 'CodeIssued'])
})

test('19. hidden fields altered or added: the stored request governs', async (t) => {
  const world = await startWithAlice(t)
  const chatgpt = new ClientSide(world.url)
  const visitor = await signedIn(world)
  const page = await visitor.get(chatgpt.link({ scope: 'todos:read', state: 'mine' }))
  await world.news()
  const altered = {
    client_id: OTHER.id,
    client: OTHER.id,
    redirect_uri: 'https://evil.example/cb',
    redirectUri: 'https://evil.example/cb',
    scope: 'todos:read todos:write',
    state: 'theirs',
    user: 'bob',
    code: 'known',
    response_type: 'token',
    return_to: 'https://evil.example/',
    code_challenge: 'x'.repeat(43),
  }
  const answer = await visitor.submit(page, 'decision', { ...altered, decision: 'allow' })
  t.is(answer.status, 303)
  const location = new URL(answer.headers.get('location')!)
  t.is(location.origin + location.pathname, CALLBACK)
  t.is(location.searchParams.get('state'), 'mine')
  const { status, json } = await chatgpt.exchange(location.searchParams.get('code')!)
  t.is(status, 200)
  t.is(json.scope, 'todos:read')
  t.deepEqual(await world.news(), ['ConsentGranted', 'CodeIssued', 'TokenIssued'])
})

test('21. deny: back with access_denied, recorded; anything but the two buttons decides nothing', async (t) => {
  const world = await startWithAlice(t)
  const chatgpt = new ClientSide(world.url)
  const visitor = await signedIn(world)
  const page = await visitor.get(chatgpt.link({ state: 'a+b %2B/ü' }))
  await world.news()
  for (const decision of ['', 'Allow', 'ALLOW', 'yes', 'deny ', '__proto__'])
    assertRefused(t, await visitor.submit(page, 'decision', { decision }), 400, decision)
  t.deepEqual(await world.news(), [])
  const answer = await visitor.submit(page, 'decision', { decision: 'deny' })
  t.is(answer.status, 303)
  const location = answer.headers.get('location')!
  t.true(location.startsWith(`${CALLBACK}?`))
  const { error_description: _, ...rest } = Object.fromEntries(new URL(location).searchParams)
  t.deepEqual(rest, { error: 'access_denied', state: 'a+b %2B/ü', iss: world.url })
  t.deepEqual(await world.news(), ['ConsentDenied'])
  const { data, actor, via } = (await world.events()).at(-1)!
  const { request, ...who } = data as { request: string }
  t.is(request, formWith(page.text, 'decision')!.values.request!)
  t.deepEqual(who, { user: actor.id, client: 'chatgpt' })
  t.is(actor.kind, 'user')
  t.is(via.request, answer.headers.get('x-request-id')!)
  assertRefused(t, await visitor.submit(page, 'decision', { decision: 'allow' }), 403, 'allowed after all')
})

test('22. the consent page says who asks, as whom, for what, and where it leads', async (t) => {
  const world = await startWithAlice(t)
  const visitor = await signedIn(world)
  const page = await visitor.get(new ClientSide(world.url, OTHER).link({ scope: 'todos:read', state: 'secret state' }))
  t.is(page.status, 200)
  t.false(page.text.includes('<app>'))
  const shown = unescapeHtml(page.text.replace(/<[^>]*>/g, ' ')).replace(/\s+/g, ' ')
  t.regex(shown, /Connect Other <app>\?/)
  t.regex(shown, /Other <app> wants to use Daybook as alice/)
  t.regex(shown, /It will be able to see your to-dos It never/)
  t.regex(shown, /Afterwards you return to other\.example /)
  t.regex(shown, /Holds for up to 90 days/)
  t.regex(shown, /Not alice\?/)
  // The host alone: no link there, and nothing that belongs to the client's session.
  t.false(page.text.includes('href="https://other.example'))
  t.deepEqual(await world.news(), ['ConsentRequested'])
  const both = await visitor.get(new ClientSide(world.url).link())
  t.deepEqual(
    [...both.text.matchAll(/<li>([^<]*)<\/li>/g)].map(([, words]) => words),
    ['see your to-dos', 'add to-dos and delete them'],
  )
})
