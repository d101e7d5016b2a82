/** Bodies: what nobody parses is refused before it is read; what is read is bounded in bytes and in pieces. */
import { once } from 'node:events'
import { type AddressInfo, connect } from 'node:net'
import test, { type ExecutionContext } from 'ava'
import Koa from 'koa'
import { endUnread, JSON_TYPE, parseBody, readBody } from '../../src/http/body.ts'
import { FairUse } from '../../src/http/fair-use.ts'
import { LargeBodySlots } from '../../src/http/large-bodies.ts'
import { attach, createHttpServer } from '../../src/http/server.ts'
import { Refused } from '../../src/ledger/ledger.ts'
import { Limits } from '../../src/service/limits.ts'
import { ClientSide, person, startWorld } from '../_support.ts'
import { settleTraffic } from './_elsewhere.ts'

/** Sends these bytes and gives all that comes back until the connection ends. */
async function exchange(url: string, ...parts: readonly string[]): Promise<string> {
  const socket = connect(Number(new URL(url).port), '127.0.0.1')
  socket.on('error', () => {}) // Being cut is an answer too.
  let told = ''
  socket.setEncoding('utf8').on('data', (part: string) => {
    told += part
  })
  for (const part of parts) socket.write(part)
  await once(socket, 'close')
  return told
}

const statusOf = (told: string): number => Number(/^HTTP\/1\.1 (\d+)/.exec(told)?.[1])
const JSON_LINE = 'Content-Type: application/json'
const FORM_LINE = 'Content-Type: application/x-www-form-urlencoded'
const endless = 'Content-Length: 600000000'

/** The first line, the type, and the status that is answered before a byte of the body has come. */
const unread: [string, string, number][] = [
  ['POST /todos/me', 'Content-Type: text/plain', 415],
  ['POST /todos/me', '', 415],
  ['DELETE /todos/me', 'Content-Type: application/octet-stream', 415],
  ['POST /todos/me', JSON_LINE, 413],
  ['POST /auth/oauth_exchange', 'Content-Type: text/plain', 400],
  ['POST /auth/oauth_exchange', FORM_LINE, 413],
  ['POST /login', 'Content-Type: multipart/form-data; boundary=x', 415],
  ['POST /login', FORM_LINE, 413],
  ['POST /', 'Content-Type: text/plain', 405],
  ['POST /', JSON_LINE, 405],
  ['POST /nothing', JSON_LINE, 404],
  ['PUT /todos/me', JSON_LINE, 405],
  ['GET /healthz', JSON_LINE, 200],
  ['GET /healthz', 'Content-Type: text/plain', 200],
  ['GET /todos/me', FORM_LINE, 200],
]

async function connected(t: ExecutionContext) {
  const world = await startWorld(t)
  const chatgpt = new ClientSide(world.url)
  const { access_token: token } = await chatgpt.connect(person('alice'))
  await world.news()
  const head = (line: string, ...headers: string[]): string =>
    [`${line} HTTP/1.1`, 'Host: x', `Authorization: Bearer ${token}`, ...headers, '', ''].join('\r\n')
  return { ...world, chatgpt, token, head }
}

test('what nobody parses, and what is too large, is answered before it is read, and its connection ends', async (t) => {
  const { url, news, head } = await connected(t)
  for (const [line, type, status] of unread)
    for (const expect of [[], ['Expect: 100-continue']]) {
      const headers = [endless, ...(type === '' ? [] : [type]), ...expect]
      const told = await exchange(url, head(line, ...headers), 'x')
      t.is(statusOf(told), status, `${line} ${type}`)
      t.regex(told, /\r\nConnection: close\r\n/i, `${line} ${type}`)
    }
  t.deepEqual(await news(), [])
})

test('an answer arrives also where a client sends everything before it reads', async (t) => {
  const { url, token } = await connected(t)
  const headers = { authorization: `Bearer ${token}` }
  for (const [type, status] of [
    ['text/plain', 415],
    ['application/json', 413],
  ] as const)
    t.is(
      (
        await fetch(`${url}/todos/me`, {
          method: 'POST',
          body: ' '.repeat(8_000_000),
          headers: { ...headers, 'content-type': type },
        })
      ).status,
      status,
    )
})

test('a body that waits for a 100 is asked for once it is read', async (t) => {
  const { url, chatgpt, token, head } = await connected(t)
  const body = '{"todo":"expected"}'
  const socket = connect(Number(new URL(url).port), '127.0.0.1').setEncoding('utf8')
  socket.write(head('POST /todos/me', JSON_LINE, `Content-Length: ${body.length}`, 'Expect: 100-continue'))
  const [first] = await once(socket, 'data')
  t.is(statusOf(first), 100)
  socket.write(body)
  const [second] = await once(socket, 'data')
  t.is(statusOf(second), 200)
  socket.destroy()
  t.deepEqual((await chatgpt.api(token, 'GET', '/todos/me')).json, { todos: ['expected'] })
})

const chunked = (pieces: readonly string[]): string =>
  `${pieces.map((piece) => `${piece.length.toString(16)}\r\n${piece}\r\n`).join('')}0\r\n\r\n`

test('a body comes in as many pieces as it likes while it is short, and in no more than its size allows', async (t) => {
  const { url, news, head } = await connected(t)
  const begin = (line: string, type: string): string =>
    head(line, type, 'Transfer-Encoding: chunked', 'Connection: close')
  const json = `{"todo":"${'x'.repeat(400)}"}`
  t.is(statusOf(await exchange(url, begin('POST /todos/me', JSON_LINE), chunked([...json]))), 200)
  const long = `{"todo":"x"${' '.repeat(150_000)}}`
  const parts = long.match(/.{1,200}/gs)!
  t.is(statusOf(await exchange(url, begin('POST /todos/me', JSON_LINE), chunked(parts))), 200)
  t.deepEqual(await news(), ['TodoAdded', 'TodoAdded'])
  const crumbs = [...long.slice(0, 50_000)]
  for (const [line, type, status] of [
    ['POST /todos/me', JSON_LINE, 413],
    ['POST /login', FORM_LINE, 413],
    ['POST /auth/oauth_exchange', JSON_LINE, 413],
    ['POST /todos/me', 'Content-Type: text/plain', 415],
  ] as const) {
    const told = await exchange(url, begin(line, type), chunked(crumbs))
    t.is(statusOf(told), status, line)
  }
  t.deepEqual(await news(), [])
})

/**
 * A server with one route that reads its own body, of at most 1.5 MB, once it knows who sent it.
 * @param learn takes the time until that is known
 */
async function ownReader(t: ExecutionContext, learn = async (): Promise<void> => {}): Promise<string> {
  const deps = { largeBodies: new LargeBodySlots(), fairUse: new FairUse(new Limits(undefined)) }
  const app = new Koa()
  app.silent = true
  app.use(endUnread)
  app.use(async (ctx, next) => {
    try {
      await next()
    } catch (error) {
      if (!(error instanceof Refused)) throw error
      ctx.status = { request_too_large: 413, media_type_unsupported: 415 }[error.reason as string] ?? 400
      ctx.body = error.message
    }
  })
  app.use(parseBody(() => false))
  app.use(async (ctx) => {
    if (ctx.get('authorization') === '') {
      ctx.status = 401
      return
    }
    await learn()
    ctx.body = String((await readBody(ctx, { limit: 1_500_000, deps, budget: 'x' })).length)
  })
  const server = createHttpServer()
  attach(server, app, () => 0)
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  t.teardown(() => server.close().closeAllConnections())
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}/`
}

test('a route may read its own body, larger than others, after it knows who sent it', async (t) => {
  const url = await ownReader(t)
  const post = async (body: string | Buffer, headers: { [name: string]: string } = {}) => {
    const given = { authorization: 'Bearer x', 'content-type': JSON_TYPE, ...headers }
    const answer = await fetch(url, { method: 'POST', body, headers: given })
    return [answer.status, await answer.text()] as const
  }
  t.deepEqual(await post(' '.repeat(1_500_000)), [200, '1500000'])
  t.deepEqual(await post('\ufeff{}'), [200, '2'])
  t.is((await post(' '.repeat(1_500_001)))[0], 413)
  t.is((await post('x', { 'content-type': 'text/plain' }))[0], 415)
  t.is((await post(Buffer.from([0xff])))[0], 400)
  const nobody = await exchange(url, `POST / HTTP/1.1\r\nHost: x\r\n${JSON_LINE}\r\n${endless}\r\n\r\n{`)
  t.is(statusOf(nobody), 401)
  t.regex(nobody, /\r\nConnection: close\r\n/i)
})

test('pieces that come before it is known who sends them count as well', async (t) => {
  t.timeout(120_000, 'the reading never ended')
  const url = await ownReader(t, settleTraffic)
  const post = async (pieces: readonly string[]): Promise<number> => {
    const lines = ['POST / HTTP/1.1', 'Host: x', 'Authorization: Bearer x', JSON_LINE, 'Transfer-Encoding: chunked']
    return statusOf(await exchange(url, [...lines, 'Connection: close', '', ''].join('\r\n'), chunked(pieces)))
  }
  const crumbs = [...'{"todo":"x"}'.padEnd(3000)]
  t.is(await post(crumbs), 413)
  t.is(await post(crumbs.slice(0, 500)), 200)
  t.is(await post([crumbs.join('')]), 200)
})
