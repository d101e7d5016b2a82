/** F. Bearer: who may read and change which list, and how everybody else is answered (RFC 6750). */
import { randomBytes } from 'node:crypto'
import test, { type ExecutionContext } from 'ava'
import { digest } from '../../src/service/secrets.ts'
import { CHATGPT_SECRET, ClientSide, person, startWorld, type Tokens, Visitor, type World } from '../_support.ts'
import { type Answered, send, serveToo } from './_elsewhere.ts'

/** What a bearer can do with a list. */
type Call = readonly [method: 'GET' | 'POST' | 'DELETE', body: { todo: string } | { todo_idx: number } | undefined]
const calls: readonly Call[] = [
  ['GET', undefined],
  ['POST', { todo: 'new' }],
  ['DELETE', { todo_idx: 0 }],
]

/** A world with alice's connection, one to-do on her list, and a look at refusals. */
async function begin(t: ExecutionContext) {
  const world = await startWorld(t)
  const chatgpt = new ClientSide(world.url)
  const visitor = new Visitor(world.url)
  const tokens = await chatgpt.connect(person('alice'), visitor)
  const code = await chatgpt.codeFor(visitor)
  await chatgpt.api(tokens.access_token, 'POST', '/todos/me', { todo: 'kept' })
  await world.news()
  return { ...world, chatgpt, visitor, tokens, code, ...looksAt(t, world, tokens) }
}

function looksAt(t: ExecutionContext, { url, news }: Pick<World, 'url' | 'news'>, { access_token }: Tokens) {
  const chatgpt = new ClientSide(url)
  const metadata = `resource_metadata="${url}/.well-known/oauth-protected-resource"`
  /** The exact refusal: status, word, challenge; nothing recorded. */
  const refused = async (answer: Answered, status: number, word: string, challenge: string | null, because: string) => {
    const { headers, json } = answer
    t.is(answer.status, status, because)
    t.deepEqual(Object.keys(json), ['error', 'message', 'request_id'], because)
    t.is(json.error, word, because)
    t.is(json.request_id, headers.get('x-request-id'), because)
    t.is(headers.get('www-authenticate'), challenge, because)
    t.is(headers.get('content-type'), 'application/json; charset=utf-8', because)
    t.deepEqual(await news(), [], because)
  }
  const challengeOf = (json: any) => `Bearer error="${json.error}", error_description="${json.message}", ${metadata}`
  const stillWorks = async () => {
    t.deepEqual((await chatgpt.api(access_token, 'GET', '/todos/me')).json, { todos: ['kept'] })
  }
  return {
    refused,
    /** No error word for who showed nothing (RFC 6750 §3.1). */
    unauthenticated: (answer: Answered, because: string) =>
      refused(answer, 401, 'unauthorized', `Bearer ${metadata}`, because),
    /** B401 */
    invalid: (answer: Answered, because: string) =>
      refused(answer, 401, 'invalid_token', challengeOf(answer.json), because),
    insufficient: (answer: Answered, because: string) =>
      refused(answer, 403, 'insufficient_scope', challengeOf(answer.json), because),
    forbidden: (answer: Answered, because: string) => refused(answer, 403, 'forbidden', null, because),
    stillWorks,
  }
}

/** The call with a header in place of the usual one; `undefined` for none. */
const callWith = (client: ClientSide, [method, body]: Call, authorization: string | undefined, path = '/todos/me') =>
  client.api(undefined, method, path, body, authorization === undefined ? {} : { authorization })

test('60. no credentials: 401 that says where to learn more, and no error word', async (t) => {
  const { chatgpt, visitor, unauthenticated, stillWorks } = await begin(t)
  const cookie = [...visitor.cookies].map((pair) => pair.join('=')).join('; ')
  for (const call of calls) {
    for (const path of ['/todos/me', '/todos/alice', '/todos/bob', '/todos/__proto__', '/todos/%20'])
      await unauthenticated(await callWith(chatgpt, call, undefined, path), `${call[0]} ${path}`)
    await unauthenticated(await callWith(chatgpt, call, ''), `${call[0]}, an empty header`)
    await unauthenticated(await chatgpt.api(undefined, call[0], '/todos/me', call[1], { cookie }), 'a session cookie')
  }
  await stillWorks()
})

test('61. a malformed or unknown token: B401', async (t) => {
  const { chatgpt, tokens, invalid, stillWorks } = await begin(t)
  const good = tokens.access_token
  const malformed = ['Bearer', `Bearer${good}`, good, `Bearer ${good} ${good}`, `Bearer ${good},`, `Bearer "${good}"`]
  malformed.push(
    `Bearer ${good}, Bearer ${good}`,
    `Bearer\t${good}`,
    `Basic ${good}`,
    `Token ${good}`,
    `=Bearer ${good}`,
  )
  malformed.push(
    `Bearer =${good}`,
    `Bearer token=${good}`,
    'Bearer é',
    'Bearer null',
    'Bearer undefined',
    'Bearer __proto__',
  )
  const unknown = [good.slice(0, -1), `${good}A`, good.slice(4), good.toUpperCase(), good.toLowerCase(), digest(good)]
  unknown.push(`dba_${randomBytes(32).toString('base64url')}`, 'dba_', `dba_${'A'.repeat(10_000)}`, `${good}=`)
  for (const header of [...malformed, ...unknown.map((token) => `Bearer ${token}`)])
    for (const call of calls) {
      const [method, body] = call
      const text = body === undefined ? '' : JSON.stringify(body)
      const lines = { authorization: header, 'content-type': 'application/json' }
      await invalid(await send(chatgpt.url, method, '/todos/me', text, lines), `${method} ${header.slice(0, 99)}`)
    }
  await stillWorks()
})

test("61. the scheme's name is taken in any letters, with any blanks before the token", async (t) => {
  const { chatgpt, tokens } = await begin(t)
  for (const scheme of ['Bearer ', 'bearer ', 'BEARER ', 'bEaReR   '])
    t.is((await callWith(chatgpt, ['GET', undefined], scheme + tokens.access_token)).status, 200, scheme)
})

test('61. an expired token: B401, from its last moment on and after the sweep', async (t) => {
  const { chatgpt, tokens, clock, ledger, invalid, stillWorks, news } = await begin(t)
  clock.pass(3_599_999)
  await stillWorks()
  clock.pass(1)
  for (const call of calls) await invalid(await callWith(chatgpt, call, `Bearer ${tokens.access_token}`), call[0])
  clock.pass(60_000)
  await ledger.sweep()
  t.deepEqual(await news(), ['ExpiredDropped'])
  for (const call of calls) await invalid(await callWith(chatgpt, call, `Bearer ${tokens.access_token}`), call[0])
  const { json } = await chatgpt.refresh(tokens.refresh_token)
  t.deepEqual(await news(), ['TokenRefreshed'])
  t.deepEqual((await chatgpt.api(json.access_token, 'GET', '/todos/me')).json, { todos: ['kept'] })
})

test('63. a token in the query or the body is not accepted, and its value stands nowhere in the log', async (t) => {
  const { chatgpt, tokens, code, log, unauthenticated, stillWorks } = await begin(t)
  const token = tokens.access_token
  const form = { 'content-type': 'application/x-www-form-urlencoded' }
  for (const [method, body] of calls) {
    for (const query of [`access_token=${token}`, `ACCESS_TOKEN=${token}`, `from=0&access_token=Bearer+${token}`])
      await unauthenticated(await chatgpt.api(undefined, method, `/todos/me?${query}`, body), `${method} ${query}`)
    const more = { ...body, access_token: token }
    if (body !== undefined) await unauthenticated(await chatgpt.api(undefined, method, '/todos/me', more), method)
    if (body === undefined) continue
    // RFC 6750 §2.2 allows it in a form; nobody has to take it.
    await unauthenticated(await send(chatgpt.url, method, '/todos/me', `access_token=${token}`, form), `${method} form`)
  }
  await stillWorks()
  await chatgpt.api(token, 'GET', `/todos/me?from=${token}`)
  await chatgpt.exchange(code, { client_secret: tokens.refresh_token })
  await fetch(`${chatgpt.url}/healthz?access_token=${token}`)
  t.true(log.length > 10)
  for (const secret of [token, tokens.refresh_token, code, CHATGPT_SECRET])
    t.deepEqual(
      log.filter((line) => line.includes(secret)),
      [],
    )
})

test('64. what is no access token opens nothing as one: B401', async (t) => {
  const { chatgpt, visitor, tokens, code, ledger, invalid, stillWorks } = await begin(t)
  const cookies = [...visitor.cookies.values()]
  t.true(cookies.length > 0)
  const basic = Buffer.from(`${chatgpt.id}:${CHATGPT_SECRET}`).toString('base64')
  const kept = [digest(tokens.access_token), digest(tokens.refresh_token), ledger.secret('form-key')!]
  const others = [tokens.refresh_token, code, ...cookies, CHATGPT_SECRET, chatgpt.id, basic, ...kept, 'alice']
  for (const other of [...others, Buffer.from(`alice:${person('alice').password}`).toString('base64')])
    for (const call of calls) await invalid(await callWith(chatgpt, call, `Bearer ${other}`), `${call[0]} ${other}`)
  await stillWorks()
  t.is((await chatgpt.exchange(code)).status, 200)
  t.is((await chatgpt.refresh(tokens.refresh_token)).status, 200)
})

test('65. a token bound to one resource opens no other: B401; an unbound one opens this service, whatever its URL', async (t) => {
  const world = await begin(t)
  const { ledger, chatgpt, visitor, tokens, news } = world
  const bound: Tokens[] = []
  for (const resource of [world.url, `${world.url}/`])
    bound.push((await chatgpt.exchange(await chatgpt.codeFor(visitor, { resource }))).json)
  await news()
  const there = new ClientSide(await serveToo(t, ledger))
  const { invalid, stillWorks } = looksAt(t, { url: there.url, news }, tokens)
  await stillWorks()
  for (const { access_token } of bound) {
    for (const call of calls) await invalid(await callWith(there, call, `Bearer ${access_token}`), call[0])
    t.is((await chatgpt.api(access_token, 'GET', '/todos/me')).status, 200, 'where it belongs')
  }
})

test('65. a token for less may do no more: 403 insufficient_scope', async (t) => {
  const { chatgpt, visitor, news, insufficient, stillWorks } = await begin(t)
  const may = { 'todos:read': ['GET'], 'todos:write': ['POST', 'DELETE'] }
  for (const [scope, methods] of Object.entries(may)) {
    const { access_token } = (await chatgpt.exchange(await chatgpt.codeFor(visitor, { scope }))).json
    await news()
    for (const call of calls) {
      if (methods.includes(call[0])) continue
      for (const path of ['/todos/me', '/todos/alice', '/todos/bob'])
        await insufficient(
          await callWith(chatgpt, call, `Bearer ${access_token}`, path),
          `${scope}: ${call[0]} ${path}`,
        )
    }
    const mine: Call[] = [
      ['GET', undefined],
      ['POST', { todo: 'new' }],
      ['DELETE', { todo_idx: 1 }],
    ]
    for (const call of mine.filter(([method]) => methods.includes(method)))
      t.is((await callWith(chatgpt, call, `Bearer ${access_token}`)).status, 200, `${scope}: ${call[0]}`)
  }
  t.deepEqual(await news(), ['TodoAdded', 'TodoDeleted'])
  await stillWorks()
})

test("66. alice on bob's list, in any spelling, by any method: 403, and nothing is changed or told", async (t) => {
  const { url, chatgpt, tokens, news, forbidden, stillWorks } = await begin(t)
  const bob = await chatgpt.connect(person('Bob'))
  await chatgpt.api(bob.access_token, 'POST', '/todos/bob', { todo: "bob's" })
  await news()
  const spellings = [
    'bob',
    'BOB',
    'Bob',
    'b%6Fb',
    'b%6fb',
    '%62%6F%62',
    '%42ob',
    'bob?user=alice',
    'bob?from=0',
    'bob?username=me',
  ]
  // Whether somebody of that name exists makes no difference.
  const nobodys = ['nobody', 'alice2', 'alic', '__proto__', 'constructor', 'x'.repeat(64), '...', 'me.', '-']
  const texts = new Set<string>()
  for (const name of [...spellings, ...nobodys])
    for (const [method, body] of calls) {
      const lines = { authorization: `Bearer ${tokens.access_token}`, 'content-type': 'application/json' }
      const text = body === undefined ? '' : JSON.stringify(body)
      const answer = await send(url, method, `/todos/${name}`, text, lines)
      await forbidden(answer, `${method} ${name}`)
      texts.add(answer.json.message)
    }
  t.is(texts.size, 1)
  t.is((await chatgpt.api(bob.access_token, 'GET', '/todos/me')).text, `{"todos":["bob's"]}`)
  await stillWorks()
})

test("66. paths that climb, hide or double a name never lead to bob's list", async (t) => {
  const { url, chatgpt, tokens, news, stillWorks } = await begin(t)
  const bob = await chatgpt.connect(person('bob'))
  await chatgpt.api(bob.access_token, 'POST', '/todos/me', { todo: "bob's" })
  await news()
  const paths = [
    '/todos/me/../bob',
    '/todos/./bob',
    '/todos//bob',
    '//todos/bob',
    '/todos/bob/',
    '/TODOS/bob',
    '/todos/bob%2F',
  ]
  paths.push(
    '/todos/alice%2f..%2fbob',
    '/todos/bob%00',
    '/todos/%00bob',
    '/todos/bob%20',
    '/todos/b%256Fb',
    '/todos/bob;alice',
  )
  paths.push(
    '/todos/bob,alice',
    '/todos/%EF%BD%82ob',
    '/todos/bob%0A',
    '/todos/bob%E2%80%8B',
    '/todos/b%C3%B6b',
    '/todos/bob%ff',
  )
  for (const path of paths)
    for (const [method, body] of [
      ...calls,
      ['HEAD', undefined],
      ['PUT', { todo: 'x' }],
      ['PATCH', { todo: 'x' }],
    ] as const) {
      const lines = { authorization: `Bearer ${tokens.access_token}`, 'content-type': 'application/json' }
      const text = body === undefined ? '' : JSON.stringify(body)
      const { status, text: told } = await send(url, method, path, text, lines)
      t.true([400, 403, 404, 405].includes(status), `${method} ${path}: ${status}`)
      t.false(told.includes("bob's"), `${method} ${path}`)
      t.deepEqual(await news(), [], `${method} ${path}`)
    }
  for (const method of ['PUT', 'PATCH', 'HEAD']) {
    const [mine, bobs] = [
      await send(url, method, '/todos/alice', '', { authorization: `Bearer ${tokens.access_token}` }),
      await send(url, method, '/todos/bob', '', { authorization: `Bearer ${tokens.access_token}` }),
    ]
    t.deepEqual([mine.status, bobs.status], method === 'HEAD' ? [200, 403] : [405, 405], method)
  }
  t.is((await chatgpt.api(bob.access_token, 'GET', '/todos/me')).text, `{"todos":["bob's"]}`)
  await stillWorks()
})

test("66. alice's own list answers to her name in any letters, to me and to global", async (t) => {
  const { url, chatgpt, tokens, news } = await begin(t)
  for (const name of ['alice', 'ALICE', 'aLiCe', '%61lice', 'me', 'ME', 'm%65', 'global', 'Global']) {
    const lines = { authorization: `Bearer ${tokens.access_token}`, 'content-type': 'application/json' }
    t.is((await send(url, 'POST', `/todos/${name}`, '{"todo":"new"}', lines)).json.todo_idx, 1, name)
    t.deepEqual((await send(url, 'GET', `/todos/${name}`, '', lines)).json, { todos: ['kept', 'new'] }, name)
    t.is((await send(url, 'DELETE', `/todos/${name}`, '{"todo_idx":1}', lines)).json.todo, 'new', name)
    t.deepEqual(await news(), ['TodoAdded', 'TodoDeleted'], name)
  }
  const others = await chatgpt.connect(person('bob'))
  t.deepEqual((await chatgpt.api(others.access_token, 'GET', '/todos/global')).json, { todos: [] })
})
