/** D. Refresh: rotation with a grace, and what a replayed code or refresh token ends (RFC 6749 §4.1.2, §6; RFC 9700 §4.14.2). */
import test, { type ExecutionContext } from 'ava'
import { restoreUser, revokeUser } from '../../src/domain/users.ts'
import { Ledger } from '../../src/ledger/ledger.ts'
import { newKey } from '../../src/ledger/vault.ts'
import { digest, newRefreshToken } from '../../src/service/secrets.ts'
import { newHome, serve } from '../_serve.ts'
import {
  assertBookHolds,
  CHATGPT_ID,
  CHATGPT_SECRET,
  ClientSide,
  Clock,
  OTHER,
  person,
  SYSTEM,
  startWorld,
  type Tokens,
  Visitor,
  type World,
} from '../_support.ts'
import { type Answered, reopen } from './_elsewhere.ts'

const MINUTE = 60_000
const DAY = 86_400_000

/** All that is wrong with a grant looks the same from outside. */
let invalidGrant: string | undefined

/** T(error), or T401: the bare word, never cached. */
function isRefusal(t: ExecutionContext, { status, headers, json, text }: Answered, error: string, because?: string) {
  t.is(status, error === 'invalid_client' ? 401 : 400, because ?? text)
  t.deepEqual(Object.keys(json), ['error', 'error_description'], because)
  t.is(json.error, error, because)
  if (error === 'invalid_grant') {
    invalidGrant ??= text
    t.is(text, invalidGrant, because)
  }
  t.is(headers.get('cache-control'), 'no-store', because)
  t.is(headers.get('pragma'), 'no-cache', because)
}

/** A world in which alice is signed in and ChatGPT may ask for codes of hers; and looks at what lives. */
async function begin(t: ExecutionContext) {
  const world = await startWorld(t)
  const visitor = new Visitor(world.url)
  await visitor.signUp(person('alice'))
  const looks = looksAt(t, world)
  const connect = async (changed = {}, client = looks.chatgpt): Promise<Tokens> => {
    const answer = await client.exchange(await client.codeFor(visitor, changed))
    t.is(answer.status, 200, answer.text)
    await world.news()
    return answer.json
  }
  return { ...world, ...looks, visitor, connect }
}

/** What can be seen of a world from outside: which tokens work, and what was recorded. */
function looksAt(t: ExecutionContext, { url, news }: Pick<World, 'url' | 'news'>) {
  const chatgpt = new ClientSide(url)
  const refused = async (answer: Answered, error: string, events: string[] = [], because?: string) => {
    isRefusal(t, answer, error, because)
    t.deepEqual(await news(), events, because)
  }
  const refreshed = async (token: string, changed = {}, client = chatgpt): Promise<Tokens> => {
    const answer = await client.refresh(token, changed)
    t.is(answer.status, 200, answer.text)
    t.deepEqual(await news(), ['TokenRefreshed'])
    return answer.json
  }
  const works = async (...pairs: Tokens[]) => {
    for (const { access_token } of pairs) t.is((await chatgpt.api(access_token, 'GET', '/todos/me')).status, 200)
  }
  /** Neither half of any pair opens anything, and trying leaves no trace. */
  const isDead = async (...pairs: Tokens[]) => {
    for (const { access_token, refresh_token } of pairs) {
      const { status, headers } = await chatgpt.api(access_token, 'GET', '/todos/me')
      t.is(status, 401)
      t.regex(headers.get('www-authenticate')!, /^Bearer error="invalid_token"/)
      await refused(await chatgpt.refresh(refresh_token), 'invalid_grant')
    }
  }
  return { chatgpt, refused, refreshed, works, isDead }
}

test('39. a code used again at once: invalid_grant, and all that it had given dies', async (t) => {
  const { chatgpt, visitor, connect, news, refused, refreshed, works, isDead } = await begin(t)
  const code = await chatgpt.codeFor(visitor)
  const first: Tokens = (await chatgpt.exchange(code)).json
  const unrelated = await connect()
  const [second, sibling] = [await refreshed(first.refresh_token), await refreshed(first.refresh_token)]
  await works(first, second, sibling, unrelated)
  const wrong = await chatgpt.exchange(code, { client_secret: 'wrong' })
  await refused(wrong, 'invalid_client', [], 'who does not authenticate cannot replay either')
  await works(first, second, sibling, unrelated)
  await refused(await chatgpt.exchange(code), 'invalid_grant', ['CodeReplayed'])
  await isDead(first, second, sibling)
  await refused(await chatgpt.exchange(code), 'invalid_grant')
  await refreshed(unrelated.refresh_token)
  await works(unrelated)
  t.is((await chatgpt.exchange(await chatgpt.codeFor(visitor))).status, 200)
  await news()
})

test('39. a code used again later, long past its own time and after sweeps: the same', async (t) => {
  const { chatgpt, visitor, news, clock, ledger, refused, refreshed, works, isDead } = await begin(t)
  const code = await chatgpt.codeFor(visitor)
  let tokens: Tokens = (await chatgpt.exchange(code)).json
  await news()
  for (const _ of [1, 2, 3]) {
    clock.pass(29 * DAY)
    await ledger.sweep()
    t.deepEqual(await news(), ['ExpiredDropped'])
    tokens = await refreshed(tokens.refresh_token)
  }
  await works(tokens)
  await refused(await chatgpt.exchange(code), 'invalid_grant', ['CodeReplayed'])
  await isDead(tokens)
})

test('39. a code used again after the book was reopened: the same', async (t) => {
  const world = await begin(t)
  const code = await world.chatgpt.codeFor(world.visitor)
  const tokens: Tokens = (await world.chatgpt.exchange(code)).json
  const after = looksAt(t, await reopen(t, world))
  await after.works(tokens)
  await after.refused(await after.chatgpt.exchange(code), 'invalid_grant', ['CodeReplayed'])
  await after.isDead(tokens)
  await after.refused(await after.chatgpt.exchange(code), 'invalid_grant')
})

test('39. a code used 50 times in parallel: exactly one 200, and what it gave is then dead', async (t) => {
  const { chatgpt, visitor, news, isDead } = await begin(t)
  const code = await chatgpt.codeFor(visitor)
  await news()
  const answers = await Promise.all(Array.from({ length: 50 }, () => chatgpt.exchange(code)))
  const good = answers.filter(({ status }) => status === 200)
  t.is(good.length, 1)
  for (const answer of answers) if (answer !== good[0]) isRefusal(t, answer, 'invalid_grant')
  t.deepEqual(await news(), ['TokenIssued', 'CodeReplayed'])
  await isDead(good[0]!.json)
})

test('40. a refresh gives a new access and refresh token, by JSON, form or Basic header', async (t) => {
  const { chatgpt, connect, news, events, works } = await begin(t)
  let last = await connect()
  const basic = { authorization: `Basic ${Buffer.from(`${CHATGPT_ID}:${CHATGPT_SECRET}`).toString('base64')}` }
  const ways = [
    (token: string) => chatgpt.refresh(token),
    (token: string) => chatgpt.refresh(token, {}, 'form'),
    (token: string) => chatgpt.token({ grant_type: 'refresh_token', refresh_token: token }, 'form', basic),
  ]
  for (const way of ways) {
    const { status, headers, json } = await way(last.refresh_token)
    t.is(status, 200)
    t.deepEqual(Object.keys(json), ['access_token', 'token_type', 'expires_in', 'refresh_token', 'scope'])
    t.like(json, { token_type: 'bearer', expires_in: 3600, scope: 'todos:read todos:write' })
    t.is(headers.get('cache-control'), 'no-store')
    t.is(headers.get('pragma'), 'no-cache')
    t.not(json.access_token, last.access_token)
    t.not(json.refresh_token, last.refresh_token)
    t.deepEqual(await news(), ['TokenRefreshed'])
    const event = (await events()).at(-1)!
    t.like(event.actor, { kind: 'client', id: 'chatgpt' })
    t.like(event.data, { from: digest(last.refresh_token), refresh: digest(json.refresh_token) })
    await works(json)
    last = json
  }
})

test('40. the scope may be narrowed, never widened; a refusal does not consume the token', async (t) => {
  const { url, chatgpt, connect, clock, refused, refreshed } = await begin(t)
  const narrow = await connect({ scope: 'todos:read' })
  for (const scope of [
    'todos:read todos:write',
    'todos:write',
    'admin',
    'todos:read  ',
    ' ',
    'TODOS:READ',
    '__proto__',
  ])
    await refused(await chatgpt.refresh(narrow.refresh_token, { scope }), 'invalid_scope', [], scope)
  for (const resource of ['https://elsewhere.example', `${url}/mcp`])
    await refused(await chatgpt.refresh(narrow.refresh_token, { resource }), 'invalid_target', [], resource)
  clock.pass(10 * MINUTE) // Had a refusal counted as a first use, the grace would be over.
  t.is((await refreshed(narrow.refresh_token)).scope, 'todos:read')
  t.is((await refreshed(narrow.refresh_token, { scope: '' })).scope, 'todos:read')

  const wide = await connect()
  const less = await refreshed(wide.refresh_token, { scope: 'todos:read' })
  t.is(less.scope, 'todos:read')
  t.is((await chatgpt.api(less.access_token, 'POST', '/todos/me', { todo: 'no' })).status, 403)
  const again = await refreshed(less.refresh_token, { scope: '' })
  t.is(again.scope, 'todos:read todos:write', 'RFC 6749 §6: the refresh token keeps the scope that was granted')
  t.is((await refreshed(again.refresh_token, { scope: 'todos:write todos:read' })).scope, 'todos:read todos:write')
})

test('41. the same token again within 60 s: a pair of its own; the first one used becomes the lineage', async (t) => {
  const { chatgpt, connect, clock, refused, refreshed, works, news } = await begin(t)
  for (const used of [0, 1, 2]) {
    const first = await connect()
    const siblings = [await refreshed(first.refresh_token)]
    clock.pass(MINUTE / 2)
    siblings.push(await refreshed(first.refresh_token))
    clock.pass(MINUTE / 2 - 1)
    siblings.push(await refreshed(first.refresh_token))
    t.is(new Set(siblings.flatMap((pair) => [pair.access_token, pair.refresh_token])).size, 6)
    await works(first, ...siblings)
    let lineage = await refreshed(siblings[used]!.refresh_token)
    for (const [at, sibling] of siblings.entries())
      if (at !== used) {
        await refused(await chatgpt.refresh(sibling.refresh_token), 'invalid_grant', ['TokenRefused'])
        await refused(await chatgpt.refresh(sibling.refresh_token), 'invalid_grant')
      }
    await works(lineage)
    // The lineage has a grace of its own, and goes on.
    lineage = await refreshed(siblings[used]!.refresh_token)
    lineage = await refreshed(lineage.refresh_token)
    await works(lineage)
    clock.pass(DAY)
    await refreshed(lineage.refresh_token)
  }
  t.deepEqual(await news(), [])
})

test('42. a token whose successor was used, even at once: the whole family dies', async (t) => {
  const { url, visitor, chatgpt, connect, refused, refreshed, works, isDead } = await begin(t)
  const other = new ClientSide(url, OTHER)
  const bob = await chatgpt.connect(person('bob'))
  const [another, others] = [await connect(), await connect({}, other)]
  const first = await connect()
  const [second, sibling] = [await refreshed(first.refresh_token), await refreshed(first.refresh_token)]
  const third = await refreshed(second.refresh_token)
  await refused(await chatgpt.refresh(first.refresh_token), 'invalid_grant', ['TokenReplayed'])
  await isDead(first, second, sibling, third)
  await refused(await chatgpt.refresh(first.refresh_token), 'invalid_grant')
  await works(another, others, bob)
  await refreshed(another.refresh_token)
  await refreshed(others.refresh_token, {}, other)
  await refreshed(bob.refresh_token)
  t.is((await chatgpt.exchange(await chatgpt.codeFor(visitor))).status, 200)
})

test('42. past the grace, at 60 s exactly, counted from the first use: the whole family dies', async (t) => {
  const { chatgpt, connect, clock, refused, refreshed, works, isDead } = await begin(t)
  for (const [late, retries] of [
    [MINUTE, 0],
    [MINUTE, 1],
    [DAY, 0],
  ] as const) {
    const first = await connect()
    const family = [first, await refreshed(first.refresh_token)]
    clock.pass(MINUTE - 1)
    for (let retry = 0; retry < retries; retry++) family.push(await refreshed(first.refresh_token))
    await works(...family)
    clock.pass(late - MINUTE + 1)
    await refused(await chatgpt.refresh(first.refresh_token), 'invalid_grant', ['TokenReplayed'])
    await isDead(...family)
  }
})

test('42. an ancestor of any age, its narrower requests too, and after the book was reopened: the same', async (t) => {
  const world = await begin(t)
  const lines: Tokens[][] = []
  for (const _ of [0, 1, 2]) {
    const line = [await world.connect()]
    for (const __ of [1, 2, 3]) line.push(await world.refreshed(line.at(-1)!.refresh_token))
    lines.push(line)
  }
  const [byFirst, bySecond, afterwards] = lines as [Tokens[], Tokens[], Tokens[]]
  await world.refused(await world.chatgpt.refresh(byFirst[0]!.refresh_token), 'invalid_grant', ['TokenReplayed'])
  await world.isDead(...byFirst)
  const narrowed = await world.chatgpt.refresh(bySecond[1]!.refresh_token, { scope: 'todos:read' })
  await world.refused(narrowed, 'invalid_grant', ['TokenReplayed'])
  await world.isDead(...bySecond)
  const after = looksAt(t, await reopen(t, world))
  await after.works(...afterwards)
  await after.isDead(...byFirst, ...bySecond)
  await after.refused(await after.chatgpt.refresh(afterwards[0]!.refresh_token), 'invalid_grant', ['TokenReplayed'])
  await after.isDead(...afterwards)
})

test('41, 42. the grace goes on, and ends, after the book was reopened', async (t) => {
  const world = await begin(t)
  const first = await world.connect()
  const second = await world.refreshed(first.refresh_token)
  const after = looksAt(t, await reopen(t, world))
  world.clock.pass(MINUTE - 1)
  const sibling = await after.refreshed(first.refresh_token)
  world.clock.pass(1)
  await after.works(second, sibling)
  await after.refused(await after.chatgpt.refresh(first.refresh_token), 'invalid_grant', ['TokenReplayed'])
  await after.isDead(first, second, sibling)
})

test('41. siblings that lost are refused whenever they are shown, and never hurt the lineage', async (t) => {
  const { chatgpt, connect, clock, ledger, news, refused, refreshed, works } = await begin(t)
  const first = await connect()
  const siblings = [await refreshed(first.refresh_token), await refreshed(first.refresh_token)] as const
  let lineage = await refreshed(siblings[0].refresh_token)
  let isNews = true
  for (const days of [0, 1, 28, 28, 28]) {
    clock.pass(days * DAY)
    await ledger.sweep()
    await news()
    lineage = await refreshed(lineage.refresh_token)
    for (const _ of [1, 2]) {
      const events = isNews ? ['TokenRefused'] : []
      await refused(await chatgpt.refresh(siblings[1].refresh_token), 'invalid_grant', events, `${days} days later`)
      isNews = false
    }
    await works(lineage)
  }
})

test('42. a token from before 200 refreshes, also after the book was reopened: the whole family dies', async (t) => {
  const world = await begin(t)
  const lines: Tokens[][] = []
  for (const _ of [0, 1]) {
    const first = await world.connect()
    let last = first
    for (let i = 0; i < 200; i++) last = (await world.chatgpt.refresh(last.refresh_token)).json
    lines.push([first, last])
  }
  await world.news()
  const [now, later] = lines as [Tokens[], Tokens[]]
  await world.works(now[1]!, later[1]!)
  await world.refused(await world.chatgpt.refresh(now[0]!.refresh_token), 'invalid_grant', ['TokenReplayed'])
  await world.isDead(...now)
  const after = looksAt(t, await reopen(t, world))
  await after.works(later[1]!)
  await after.refused(await after.chatgpt.refresh(later[0]!.refresh_token), 'invalid_grant', ['TokenReplayed'])
  await after.isDead(...later)
})

test('45. a token that Daybook did not make is unknown, whatever connection it names, and ends nothing', async (t) => {
  const { chatgpt, connect, refused, refreshed, works } = await begin(t)
  const [first, another] = [await connect(), await connect()]
  const second = await refreshed(first.refresh_token)
  const third = await refreshed(second.refresh_token)
  const made = newRefreshToken(newKey(), first.refresh_token.slice(4, 30))
  const spliced = another.refresh_token.slice(0, 30) + first.refresh_token.slice(30)
  const letters = [...first.refresh_token].map((letter, i, all) =>
    all.with(i, letter === 'A' ? 'B' : letter === '4' ? '5' : 'A').join(''),
  )
  for (const forged of [made, spliced, ...letters])
    await refused(await chatgpt.refresh(forged), 'invalid_grant', [], forged)
  await works(first, second, third, await refreshed(third.refresh_token), await refreshed(another.refresh_token))
})

test('41. a token exchanged a hundred times in its grace: 429, and its successors go on', async (t) => {
  const { chatgpt, connect, news, refreshed, works } = await begin(t)
  const first = await connect()
  const answers = await Promise.all(Array.from({ length: 105 }, () => chatgpt.refresh(first.refresh_token)))
  const given = answers.filter(({ status }) => status === 200)
  const refused = answers.filter(({ status }) => status === 429)
  t.deepEqual([given.length, refused.length], [100, 5])
  for (const { json } of refused) {
    t.is(json.error, 'temporarily_unavailable')
    t.regex(json.error_description, /given for it/)
  }
  t.deepEqual(await news(), Array(100).fill('TokenRefreshed'))
  await works(first, given[0]!.json, await refreshed(given[50]!.json.refresh_token))
})

test('43. 20 refreshes in parallel: no 5xx, every access token given works, afterwards one lineage', async (t) => {
  const { chatgpt, connect, news, refused, refreshed, works } = await begin(t)
  const first = await connect()
  const answers = await Promise.all(Array.from({ length: 20 }, () => chatgpt.refresh(first.refresh_token)))
  for (const { status, text } of answers) t.is(status, 200, text)
  t.deepEqual(await news(), Array(20).fill('TokenRefreshed'))
  const pairs: Tokens[] = answers.map(({ json }) => json)
  t.is(new Set(pairs.flatMap((pair) => [pair.access_token, pair.refresh_token])).size, 40)
  await works(first, ...pairs)
  const [used, ...rest] = pairs.toReversed()
  const lineage = await refreshed(used!.refresh_token)
  for (const sibling of rest)
    await refused(await chatgpt.refresh(sibling.refresh_token), 'invalid_grant', ['TokenRefused'])
  await works(lineage, await refreshed(lineage.refresh_token))
})

test('43. siblings used in parallel: exactly one becomes the lineage', async (t) => {
  const { chatgpt, connect, news, refreshed, works } = await begin(t)
  const first = await connect()
  const siblings = [await refreshed(first.refresh_token), await refreshed(first.refresh_token)]
  const answers = await Promise.all(siblings.map((sibling) => chatgpt.refresh(sibling.refresh_token)))
  const [lineage, ...more] = answers.filter(({ status }) => status === 200)
  t.deepEqual(more, [])
  for (const answer of answers) if (answer !== lineage) isRefusal(t, answer, 'invalid_grant')
  t.deepEqual((await news()).toSorted(), ['TokenRefreshed', 'TokenRefused'])
  await works(await refreshed(lineage!.json.refresh_token))
})

test('44. rotate, kill -9, restart, replay: as if nothing had happened', async (t) => {
  const home = await newHome(t)
  const chatgpt = new ClientSide(home.url)
  const status = async ({ access_token }: Tokens) => (await chatgpt.api(access_token, 'GET', '/todos/me')).status
  const refresh = async ({ refresh_token }: Tokens): Promise<Tokens> => {
    const answer = await chatgpt.refresh(refresh_token)
    t.is(answer.status, 200, answer.text)
    return answer.json
  }
  let server = await serve(t, home)
  const restart = async () => {
    t.is(await server.stop('SIGKILL'), 'SIGKILL')
    server = await serve(t, home)
  }
  const first = await chatgpt.connect(person('alice'))
  const second = await refresh(first)
  await restart()
  t.is(await status(second), 200)
  const sibling = await refresh(first)
  await restart()
  const third = await refresh(sibling)
  await restart()
  isRefusal(t, await chatgpt.refresh(second.refresh_token), 'invalid_grant')
  t.is(await status(third), 200)
  const fourth = await refresh(third)
  isRefusal(t, await chatgpt.refresh(first.refresh_token), 'invalid_grant')
  await restart()
  for (const pair of [first, second, sibling, third, fourth]) {
    t.is(await status(pair), 401)
    isRefusal(t, await chatgpt.refresh(pair.refresh_token), 'invalid_grant')
  }
  await server.stop('SIGKILL')
  const clock = new Clock(Date.now())
  const ledger = await Ledger.open({ directory: home.data, clock: clock.read, version: 'test' })
  const types = (await Array.fromAsync(ledger.events())).map((event) => event.type)
  const refreshes = ['TokenRefreshed', 'TokenRefreshed', 'TokenRefreshed', 'TokenRefused', 'TokenRefreshed']
  t.deepEqual(
    types.filter((type) => type.startsWith('Token')),
    ['TokenIssued', ...refreshes, 'TokenReplayed'],
  )
  await assertBookHolds(ledger, home.data, clock)
})

test("45. C's token by D, without authentication, or no refresh token at all: refused, and C's still works", async (t) => {
  const { url, chatgpt, visitor, connect, clock, news, refused, refreshed, works } = await begin(t)
  const other = new ClientSide(url, OTHER)
  const tokens = await connect()
  const others = await connect({}, other)
  const code = await chatgpt.codeFor(visitor)
  await news()
  await refused(await other.refresh(tokens.refresh_token), 'invalid_grant')
  const [nobody, another] = [{ client_id: 'nobody' }, { client_id: OTHER.id }]
  const nothing = { client_id: undefined, client_secret: undefined }
  for (const changed of [nobody, another, nothing, { client_secret: undefined }, { client_secret: 'wrong' }])
    await refused(await chatgpt.refresh(tokens.refresh_token, changed), 'invalid_client')
  const good = tokens.refresh_token
  const altered = [good.slice(0, -1), `${good}0`, `${good} `, good.toUpperCase(), digest(good)]
  const foreign = [tokens.access_token, code, CHATGPT_SECRET, others.refresh_token, others.access_token]
  for (const wrong of [...altered, ...foreign, 'x', '__proto__', 'x'.repeat(20_000)])
    await refused(await chatgpt.refresh(wrong), 'invalid_grant', [], wrong.slice(0, 99))
  for (const missing of [undefined, ''])
    await refused(await chatgpt.refresh(good, { refresh_token: missing }), 'invalid_request')
  for (const odd of [[good], null, 1, {}])
    await refused(await chatgpt.refresh(good, { refresh_token: odd }), 'invalid_request')
  await refused(await chatgpt.exchange(good), 'invalid_grant', [], 'as a code')
  clock.pass(10 * MINUTE) // Had any of these counted as a first use, the grace would be over.
  await works(await refreshed(good), await refreshed(others.refresh_token, {}, other))
  const spent = (await chatgpt.exchange(await chatgpt.codeFor(visitor))).json
  await news()
  await refused(await other.refresh(spent.refresh_token), 'invalid_grant')
  await works(spent, await refreshed(spent.refresh_token))
})

test("45. D showing C's used token ends nothing", async (t) => {
  const { url, connect, clock, refused, refreshed, works } = await begin(t)
  const other = new ClientSide(url, OTHER)
  const first = await connect()
  const second = await refreshed(first.refresh_token)
  const third = await refreshed(second.refresh_token)
  clock.pass(10 * MINUTE)
  await refused(await other.refresh(first.refresh_token), 'invalid_grant')
  await works(first, second, third, await refreshed(third.refresh_token))
})

test('47. idle too long: invalid_grant; each refresh begins the time anew', async (t) => {
  const { chatgpt, connect, clock, ledger, news, refused, refreshed } = await begin(t)
  let tokens = await connect()
  for (const _ of [1, 2]) {
    clock.pass(30 * DAY - 1)
    tokens = await refreshed(tokens.refresh_token)
  }
  clock.pass(30 * DAY)
  await refused(await chatgpt.refresh(tokens.refresh_token), 'invalid_grant')
  await ledger.sweep()
  t.deepEqual(await news(), ['ExpiredDropped'])
  await refused(await chatgpt.refresh(tokens.refresh_token), 'invalid_grant')
})

test('47. the connection has an end that no refresh puts off, nor outlives', async (t) => {
  const { chatgpt, connect, clock, ledger, news, refused, refreshed, works, isDead } = await begin(t)
  let tokens = await connect()
  for (const _ of [1, 2, 3]) {
    clock.pass(29 * DAY)
    tokens = await refreshed(tokens.refresh_token)
  }
  clock.pass(3 * DAY - 5 * MINUTE)
  const last = await refreshed(tokens.refresh_token)
  t.is(last.expires_in, 5 * 60)
  clock.pass(5 * MINUTE - 1)
  await works(last)
  clock.pass(1)
  await isDead(last)
  await refused(await chatgpt.refresh(tokens.refresh_token), 'invalid_grant')
  await ledger.sweep()
  t.deepEqual(await news(), ['ExpiredDropped'])
  await isDead(last, tokens)
})

test('47. of a revoked user: invalid_grant, and still after they were restored', async (t) => {
  const { connect, ledger, news, isDead, visitor, chatgpt } = await begin(t)
  const tokens = await connect()
  await ledger.transact(SYSTEM, (state) => revokeUser(state, 'alice'))
  t.deepEqual(await news(), ['UserRevoked'])
  await isDead(tokens)
  await ledger.transact(SYSTEM, (state) => restoreUser(state, 'alice'))
  t.deepEqual(await news(), ['UserRestored'])
  await isDead(tokens)
  await visitor.signIn(person('alice'))
  t.is((await chatgpt.exchange(await chatgpt.codeFor(visitor))).status, 200)
})
