/** L. What is answered and logged when the book is broken, when Daybook is, and when all is well. */
import test from 'ava'
import { accept } from '../../src/domain/shape.ts'
import { findUser, userKeyName } from '../../src/domain/users.ts'
import { CHATGPT_SECRET, ClientSide, formWith, person, SYSTEM, startWorld, Visitor, type World } from '../_support.ts'
import { assertPage, assertSafe, cookies, everyKind, FORM, JSON_TYPE } from './_answers.ts'
import { alice, startWithAlice } from './_pages.ts'
import { send, untilReady, whileBroken } from './_wire.ts'

/** Whom a bug meets: somebody whose sealing key is lost, so that nothing of theirs can be recorded any more. */
async function loseKey({ ledger }: World, username: string): Promise<void> {
  const user = await ledger.read((state) => findUser(state, username)!.id)
  await ledger.transact(SYSTEM, () => accept([], undefined, { [userKeyName(user)]: undefined }))
}

test('118. while the book is broken: 503, when to come back, and the process is up', async (t) => {
  const world = await startWorld(t)
  const { url } = world
  const { failing, chatgpt, visitor, token } = await everyKind(world)
  const refresh = {
    grant_type: 'refresh_token',
    refresh_token: 'x',
    client_id: chatgpt.id,
    client_secret: CHATGPT_SECRET,
  }
  const { json: before } = await chatgpt.api(token, 'GET', '/todos/me')
  await world.news()
  await whileBroken(world, async () => {
    for (const [surface, kind] of Object.entries(failing(503))) {
      const answer = await send(url, kind[1], kind[2])
      assertSafe(t, answer, kind)
      t.is(answer.headers['retry-after'], '5')
      if (surface === 'page') assertPage(t, answer, kind)
      else t.is(JSON.parse(answer.body.toString()).error, 'unavailable')
    }
    // Reads answer what is durable, and nothing of what was never recorded.
    const list = await chatgpt.api(token, 'GET', '/todos/me')
    t.deepEqual([list.status, list.json], [200, before])
    t.is((await visitor.get('/')).status, 200)
    const exchange = await chatgpt.token(refresh)
    t.is(exchange.status, 503)
    t.is(exchange.json.error, 'temporarily_unavailable')
    t.is(exchange.headers.get('retry-after'), '5')
    t.deepEqual([(await send(url, '/healthz')).status, (await send(url, '/openapi.yaml')).status], [200, 200])
    const ready = await send(url, '/readyz')
    assertSafe(t, ready, ['readyz', '', {}, 503, JSON_TYPE])
    t.is(JSON.parse(ready.body.toString()).status, 'read-only')
    t.false(ready.body.includes(world.folder), 'where the book lies is nobody’s business')
  })
  const { seq } = world.ledger.head
  const ready = await send(url, '/readyz')
  t.deepEqual([ready.status, JSON.parse(ready.body.toString())], [200, { status: 'ready', seq }])
  t.deepEqual(JSON.parse((await send(url, '/healthz')).body.toString()), { status: 'up' })
  t.deepEqual(await world.news(), [])
  t.is((await chatgpt.api(token, 'POST', '/todos/me', { todo: 'x' })).status, 200)
  t.is((await chatgpt.token(refresh)).json.error, 'invalid_grant')
  t.deepEqual(await world.news(), ['TodoAdded'])
})

test('119. a forced exception: 500 server_error with the request id, the stack in the log, and the process lives', async (t) => {
  const world = await startWorld(t)
  const { url, log } = world
  const { failing, chatgpt, visitor } = await everyKind(world)
  const tokens = (await chatgpt.exchange(await chatgpt.codeFor(visitor))).json
  const bobs = await chatgpt.connect(person('bob'))
  await loseKey(world, 'alice')
  await world.news()
  const assertLogged = (id: unknown): void => {
    const lines = log.map((line) => JSON.parse(line)).filter((line) => line.request === id)
    t.deepEqual(
      lines.map(({ level, msg }) => [level, msg]),
      [
        [50, 'request failed'],
        [30, 'request'],
      ],
    )
    t.regex(lines[0].err.stack, /no key to seal[^\n]*\n +at /)
    t.is(lines[1].status, 500)
  }
  for (const [surface, kind] of Object.entries(failing(500))) {
    const answer = await send(url, kind[1], kind[2])
    assertSafe(t, answer, kind)
    const id = answer.headers['x-request-id'] as string
    if (surface === 'page') {
      assertPage(t, answer, kind)
      t.true(answer.body.includes(`<code>${id}</code>`))
    } else {
      const { message, ...rest } = JSON.parse(answer.body.toString())
      t.deepEqual(rest, { error: 'server_error', request_id: id })
      t.is(typeof message, 'string')
    }
    assertLogged(id)
    await untilReady(world)
  }
  const { status, json, headers } = await chatgpt.refresh(tokens.refresh_token)
  t.is(status, 500)
  const { error, error_description: description } = json
  t.is(error, 'server_error')
  t.true(description.includes(headers.get('x-request-id')!))
  t.deepEqual([headers.get('cache-control'), headers.get('pragma')], ['no-store', 'no-cache'])
  assertLogged(headers.get('x-request-id'))
  await untilReady(world)

  t.deepEqual(await world.news(), [], 'nothing of it was recorded')
  t.is((await send(url, '/healthz')).status, 200)
  t.is((await chatgpt.api(bobs.access_token, 'POST', '/todos/me', { todo: 'x' })).status, 200)
  t.deepEqual(await world.news(), ['TodoAdded'])
})

test('119. a target that is no URL: no exception, and an answer like any other', async (t) => {
  const { url, log } = await startWorld(t)
  for (const target of [
    'http://[::1',
    'http://[/',
    'http://[x]/',
    'https://[::1',
    'http://::1/',
    'http://a:b/',
    'http://',
    'foo://',
    'http://?x=%zz',
  ]) {
    const { status, headers } = await send(url, target)
    t.true(status < 500, `${target}: ${status}`)
    t.truthy(headers['x-request-id'], target)
    t.is(headers['x-content-type-options'], 'nosniff', target)
  }
  t.deepEqual(
    log.map((line) => JSON.parse(line)).filter(({ level }) => level >= 50),
    [],
  )
})

test('91, 118. no secret, cookie, password or text of anybody gets into the log', async (t) => {
  const world = await startWithAlice(t)
  const { url, log } = world
  const chatgpt = new ClientSide(url)
  const visitor = new Visitor(url)
  const [state, text] = ['state_of_the_client_0123456789', 'a text of hers']
  const wrong = { identifier: alice.email, password: 'wrong password' }
  await visitor.submit(await visitor.get(chatgpt.link({ state })), 'identifier', wrong)
  await visitor.signIn(alice)
  await visitor.post('/signup', { ...wrong, form_token: 'forged' }, { origin: 'https://evil.example' })
  const { form_token: formToken } = formWith((await visitor.get(chatgpt.link({ state }))).text, 'decision')!.values
  const code = await chatgpt.codeFor(visitor, { state })
  await chatgpt.exchange(code, { client_secret: 'wrong secret' })
  await chatgpt.exchange(code, { client_secret: [CHATGPT_SECRET] })
  await send(url, `/auth/oauth_exchange?code=${code}&client_secret=${CHATGPT_SECRET}`)
  const tokens = (await chatgpt.exchange(code)).json
  const basic = Buffer.from(`${chatgpt.id}:${CHATGPT_SECRET}`).toString('base64')
  const refreshed = await send(url, '/auth/oauth_exchange', {
    method: 'POST',
    body: `grant_type=refresh_token&refresh_token=${tokens.refresh_token}`,
    headers: { authorization: `Basic ${basic}`, 'content-type': FORM },
  })
  t.is(refreshed.status, 200)
  const second = JSON.parse(refreshed.body.toString())
  const authorization = `Bearer ${tokens.access_token}`
  const add = () => chatgpt.api(tokens.access_token, 'POST', '/todos/me', { todo: text })
  t.is((await add()).status, 200)
  await send(url, `/todos/me?access_token=${tokens.access_token}`)
  await send(url, '/todos/me', { headers: { authorization: `${authorization}x` } })
  const bodies = [`{"client_secret":"${CHATGPT_SECRET}"`, `code=${code}&%zz`, `{"a":"${text}${'x'.repeat(200_000)}"}`]
  for (const type of ['application/json', FORM, 'text/plain'])
    for (const body of bodies)
      for (const path of ['/auth/oauth_exchange', '/login', '/todos/me']) {
        const headers = { 'content-type': type, ...cookies(visitor), authorization }
        t.true((await send(url, path, { method: 'POST', body, headers })).status >= 400)
      }
  await whileBroken(world, async () => {
    t.is((await add()).status, 503)
  })
  await loseKey(world, 'alice')
  t.is((await add()).status, 500)
  await untilReady(world)
  t.is((await visitor.get(chatgpt.link({ state }))).status, 500)
  await untilReady(world)

  const typed = [alice.password, alice.email, wrong.password, 'wrong secret', state, text]
  const given = [CHATGPT_SECRET, basic, formToken!, code, ...visitor.cookies.values()]
  const secrets = [...typed, ...given, ...[tokens, second].flatMap((pair) => [pair.access_token, pair.refresh_token])]
  t.is(new Set(secrets).size, 16)
  for (const line of log)
    for (const secret of secrets)
      for (const form of [secret, encodeURIComponent(secret), JSON.stringify(secret).slice(1, -1)])
        t.false(line.includes(form), `${secret} in ${line}`)
  const requests = log.map((line) => JSON.parse(line)).filter(({ msg }) => msg === 'request')
  t.true(requests.length > 40)
  for (const { level: _, time: __, pid: ___, hostname: ____, msg: _____, ...rest } of requests)
    t.deepEqual(
      Object.keys(rest).filter((name) => name !== 'reason' || rest.status < 400),
      ['request', 'method', 'path', 'status', 'ms'],
    )
})
