/** What the tests of pages share: somebody signed in, what a cookie says, and a form as another site would send it. */
import type { ExecutionContext } from 'ava'
import { type Answer, ClientSide, type Form, formWith, person, startWorld, Visitor, type World } from '../_support.ts'

export const SESSION = 'daybook_session'
export const alice = person('alice')
export const bob = person('bob')

/** A world with alice's account, made in a browser that is then put away. */
export async function startWithAlice(t: ExecutionContext, changed = {}): Promise<World> {
  const world = await startWorld(t, changed)
  await new Visitor(world.url).signUp(alice)
  await world.news()
  return world
}

export async function signedIn(world: World, user = alice): Promise<Visitor> {
  const visitor = new Visitor(world.url)
  const answer = await visitor.signIn(user)
  if (answer.status !== 303) throw new Error(`cannot sign in: ${answer.status} ${answer.text}`)
  await world.news()
  return visitor
}

/** Whom the first page greets, if anybody. */
export const greeted = async (visitor: Visitor): Promise<string | undefined> =>
  /Signed in as <strong>([^<]*)</.exec((await visitor.get('/')).text)?.[1]

export const withSession = (url: string, cookie: string): Visitor => {
  const visitor = new Visitor(url)
  visitor.cookies.set(SESSION, cookie)
  return visitor
}

/** A cookie that an answer sets: its value, and its attributes in lower case. */
export function cookieOf(answer: Answer, name: string): { value: string; attributes: string[] } | undefined {
  const found = answer.headers.getSetCookie().find((cookie) => cookie.startsWith(`${name}=`))
  if (found === undefined) return undefined
  const [pair, ...attributes] = found.split('; ')
  return { value: pair!.slice(name.length + 1), attributes: attributes.map((attribute) => attribute.toLowerCase()) }
}

/** A page that refuses: that status, no redirect, no session. */
export function assertRefused(t: ExecutionContext, answer: Answer, status: number, what: string): void {
  t.is(answer.status, status, what)
  t.is(answer.headers.get('content-type'), 'text/html; charset=utf-8', what)
  t.is(answer.headers.get('location'), null, what)
  t.is(cookieOf(answer, SESSION), undefined, what)
  t.notRegex(answer.text, /dbc_/, what)
}

/** Headers that say that a form is another site's. */
export const foreignHeaders = (url: string): { [name: string]: string }[] => [
  { origin: 'https://evil.example' },
  { origin: 'https://chat.openai.com' },
  { origin: url.replace('http:', 'https:') },
  { origin: url.replace('127.0.0.1', 'localhost') },
  { origin: url.replace(/\d+$/, '1') },
  { origin: `${url}.evil.example` },
  { origin: `${url}/` },
  { origin: 'null', 'sec-fetch-site': '' },
  { origin: 'null', 'sec-fetch-site': 'cross-site' },
  { origin: 'null', 'sec-fetch-site': 'none' },
  { origin: 'garbage', 'sec-fetch-site': '' },
  { 'sec-fetch-site': 'cross-site' },
  { 'sec-fetch-site': 'same-site' },
  { origin: '', 'sec-fetch-site': 'cross-site' },
  { origin: '', 'sec-fetch-site': 'garbage' },
]

/** Posts a form in every way that another site could, and expects 403, nothing recorded, nobody signed in or out. */
export async function assertOwnFormOnly(
  t: ExecutionContext,
  world: World,
  visitor: Visitor,
  form: Form,
  tokens: string[],
) {
  const before = visitor.cookies.get(SESSION)
  for (const headers of foreignHeaders(world.url)) {
    const answer = await visitor.post(form.action, form.values, headers)
    assertRefused(t, answer, 403, `${form.action} ${JSON.stringify(headers)}`)
  }
  const { form_token: own, ...tokenless } = form.values
  assertRefused(t, await visitor.post(form.action, tokenless), 403, `${form.action} without a token`)
  for (const token of [...tokens, '', own!.slice(0, -1), `${own}x`, own!.toLowerCase(), '😀'.repeat(11)]) {
    const answer = await visitor.post(form.action, { ...form.values, form_token: token })
    assertRefused(t, answer, 403, `${form.action} with the token ${token}`)
  }
  const stranger = new Visitor(world.url)
  assertRefused(t, await stranger.post(form.action, form.values), 403, `${form.action} without cookies`)
  t.is(visitor.cookies.get(SESSION), before)
  t.deepEqual(await world.news(), [])
}

export const tokenOf = (page: Answer, name: string): string => formWith(page.text, name)!.values.form_token!

/** What a page leads to, loads or posts to. */
export const leadsTo = (html: string): string[] =>
  [...html.matchAll(/\b(?:href|src|action|formaction)\s*=\s*"([^"]*)"/g)].map(([, target]) => target!)

/** **LP**: an error page that redirects nobody, links nowhere but to this service, and gives no code. */
export function assertErrorPage(t: ExecutionContext, answer: Answer, what: string): void {
  t.is(answer.status, 400, what)
  t.is(answer.headers.get('content-type'), 'text/html; charset=utf-8', what)
  t.is(answer.headers.get('location'), null, what)
  for (const target of leadsTo(answer.text)) t.regex(target, /^\/(?![/\\])/, `${what}: a link to ${target}`)
  t.notRegex(answer.text, /http-equiv|dbc_|<script|<form/i, what)
  t.regex(answer.headers.get('content-security-policy')!, /form-action 'self';/, what)
}

/** The query that an answer added to a redirect URI, taken apart as a client does. */
export function answered(
  t: ExecutionContext,
  answer: Answer,
  redirectUri: string,
  what = '',
): { [name: string]: string } {
  t.is(answer.status, 303, what)
  t.is(answer.headers.get('cache-control'), 'no-store', what)
  t.is(answer.text, '', what)
  const location = answer.headers.get('location') ?? ''
  const start = `${redirectUri}${redirectUri.includes('?') ? '&' : '?'}`
  t.is(location.slice(0, start.length), start, what)
  const added = [...new URLSearchParams(location.slice(start.length))]
  const names = added.map(([name]) => name)
  t.deepEqual(names, [...new Set(names)], `${what}: nothing stands twice`)
  return Object.fromEntries(added)
}

/** A world whose alice is signed in, and somebody who is not: a refusal must not depend on it. */
export async function startWithVisitors(t: ExecutionContext, changed = {}) {
  const world = await startWorld(t, changed)
  const alice = new Visitor(world.url)
  await alice.signUp(person('alice'))
  await world.news()
  const visitors: [string, Visitor][] = [
    ['alice', alice],
    ['a stranger', new Visitor(world.url)],
  ]
  return { world, alice, visitors, chatgpt: new ClientSide(world.url) }
}

/** A good request still leads to tokens. */
export async function assertStillServes(t: ExecutionContext, world: World, alice: Visitor): Promise<void> {
  const chatgpt = new ClientSide(world.url)
  const { status } = await chatgpt.exchange(await chatgpt.codeFor(alice))
  t.is(status, 200)
  // Who has said yes before is not asked the same again.
  t.deepEqual((await world.news()).slice(-2), ['CodeIssued', 'TokenIssued'])
}
