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

const codeOf = (answer: Answer): string | null => new URL(answer.headers.get('location')!).searchParams.get('code')

test('18. posted many times at once: one answer holds, and of its codes one lives', async (t) => {
  const world = await startWithAlice(t)
  const { url, news } = world
  const chatgpt = new ClientSide(url)
  const visitor = await signedIn(world)
  const page = await visitor.get(chatgpt.link())
  await news()
  const decisions = Array.from({ length: 20 }, (_, i) => (i < 10 ? 'allow' : 'deny'))
  const answers = await Promise.all(decisions.map((decision) => visitor.submit(page, 'decision', { decision })))
  const won = decisions[answers.findIndex(({ status }) => status === 303)]!
  for (const [i, answer] of answers.entries())
    if (decisions[i] === won) t.is(answer.status, 303)
    else assertRefused(t, answer, 403, 'the other answer')
  if (won === 'deny') t.deepEqual(await news(), ['ConsentDenied'])
  else t.deepEqual(await news(), ['ConsentGranted', ...Array<string>(10).fill('CodeIssued')])
  const codes = new Set(answers.flatMap((answer) => (answer.status === 303 ? (codeOf(answer) ?? []) : [])))
  t.is(codes.size, won === 'allow' ? 10 : 0)
  const given = await Promise.all([...codes].map(async (code) => (await chatgpt.exchange(code)).status))
  t.deepEqual(given.sort(), won === 'allow' ? [200, ...Array<number>(9).fill(400)] : [])
})

test('18. the same answer again leads to the callback again, with a code in place of the first; another one never', async (t) => {
  const world = await startWithAlice(t)
  const { url, news } = world
  const chatgpt = new ClientSide(url)
  const visitor = await signedIn(world)
  const page = await visitor.get(chatgpt.link({ state: 'mine' }))
  await news()
  const answer = (decision: string, from = page): Promise<Answer> => visitor.submit(from, 'decision', { decision })
  const [first, second] = [await answer('allow'), await answer('allow')]
  for (const one of [first, second]) {
    t.is(one.status, 303)
    t.like(Object.fromEntries(new URL(one.headers.get('location')!).searchParams), { state: 'mine', iss: url })
  }
  t.deepEqual(await news(), ['ConsentGranted', 'CodeIssued', 'CodeIssued'])
  const issued = (await world.events()).filter(({ type }) => type === 'CodeIssued').slice(-2)
  t.is(new Set(issued.map(({ data }) => (data as { grant: string }).grant)).size, 1, 'both are for one connection')
  assertRefused(t, await answer('deny'), 403, 'denied after all')
  t.is((await chatgpt.exchange(codeOf(first)!)).json.error, 'invalid_grant')
  t.deepEqual(await news(), [], 'a code that gave way ends nothing')
  t.is((await chatgpt.exchange(codeOf(second)!)).status, 200)
  assertRefused(t, await answer('allow'), 403, 'after it was redeemed')
  t.deepEqual(await news(), ['TokenIssued'])

  const denied = await visitor.get(chatgpt.link({ prompt: 'consent' }))
  await news()
  for (let i = 0; i < 2; i++)
    t.is(new URL((await answer('deny', denied)).headers.get('location')!).searchParams.get('error'), 'access_denied')
  assertRefused(t, await answer('allow', denied), 403, 'allowed after all')
  t.deepEqual(await news(), ['ConsentDenied'])

  const late = await visitor.get(chatgpt.link({ prompt: 'consent' }))
  t.is((await answer('allow', late)).status, 303)
  world.clock.pass(60_000)
  await news()
  assertRefused(t, await answer('allow', late), 403, 'after the code has expired')
  t.deepEqual(await news(), [])
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
  t.deepEqual(via, { request: answer.headers.get('x-request-id')!, client: 'chatgpt' })
  assertRefused(t, await visitor.submit(page, 'decision', { decision: 'allow' }), 403, 'allowed after all')
})

test('18. allow: recorded as the person’s answer, and as one that came through the app', async (t) => {
  const world = await startWithAlice(t)
  const visitor = await signedIn(world)
  const page = await visitor.get(new ClientSide(world.url).link())
  await world.news()
  const answer = await visitor.submit(page, 'decision', { decision: 'allow' })
  t.is(answer.status, 303)
  t.deepEqual(await world.news(), ['ConsentGranted', 'CodeIssued'])
  for (const { actor, data, via } of (await world.events()).slice(-2)) {
    t.like(data, { user: actor.id, client: 'chatgpt' })
    t.is(actor.kind, 'user')
    t.deepEqual(via, { request: answer.headers.get('x-request-id')!, client: 'chatgpt' })
  }
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
    ['see your to-dos', 'add, change and delete to-dos'],
  )
})
