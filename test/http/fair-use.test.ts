/** Fair use: the requests of one caller take turns, and answers that are not read are kept within bounds. */
import { once } from 'node:events'
import type { Server } from 'node:http'
import { type AddressInfo, connect, type Socket } from 'node:net'
import test, { type ExecutionContext } from 'ava'
import Koa, { type Context } from 'koa'
import { FairUse, type FairUseBounds } from '../../src/http/fair-use.ts'
import { attach, createHttpServer } from '../../src/http/server.ts'
import { Limits } from '../../src/service/limits.ts'
import { limitsOf } from '../service/_services.ts'
import { holdWrites, settleTraffic } from './_elsewhere.ts'
import { begin, ITEMS } from './_items.ts'

const MB = 1 << 20

/** A server whose every route is of the caller that the path names. */
async function start(t: ExecutionContext, bounds: FairUseBounds, work: (ctx: Context) => unknown) {
  const fairUse = new FairUse(new Limits(limitsOf({})), bounds)
  const app = new Koa()
  app.silent = true
  app.use(fairUse.middleware)
  app.use(async (ctx) => {
    fairUse.belongsTo(ctx, ctx.path.split('/')[1]!)
    await fairUse.begin(ctx)
    ctx.body = await work(ctx)
  })
  const server: Server = createHttpServer()
  attach(server, app, Date.now)
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const { port } = server.address() as AddressInfo
  const sockets: Socket[] = []
  t.teardown(() => {
    for (const socket of sockets) socket.destroy()
    server.closeAllConnections()
    server.close()
  })
  /** Sends a request, and reads nothing yet. */
  const ask = (path: string): Socket => {
    const socket = connect(port, '127.0.0.1').on('error', () => {})
    sockets.push(socket)
    socket.pause().write(`GET ${path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n`)
    return socket
  }
  return { fairUse, ask }
}

/** Notes what happens by name, and waits for it. */
function journal() {
  const names: string[] = []
  const waiting = new Set<() => void>()
  const note = (name: string): void => {
    names.push(name)
    for (const look of waiting) look()
  }
  const until = (isSo: (names: readonly string[]) => boolean): Promise<void> =>
    new Promise((resolve) => {
      const look = (): void => {
        if (!isSo(names)) return
        waiting.delete(look)
        resolve()
      }
      waiting.add(look)
      look()
    })
  return { names, note, until }
}

test('a bounded number of requests of one caller is worked on at once; the next one waits for its turn, other callers do not', async (t) => {
  const { names, note, until } = journal()
  const gates = new Map<string, () => void>()
  const bounds = { atOnce: 2, unsentOfOne: MB, unsentOfAll: MB }
  const { ask } = await start(t, bounds, async ({ path }) => {
    note(path)
    await new Promise<void>((resolve) => gates.set(path, resolve))
    return 'done'
  })
  for (const path of ['/alice/1', '/alice/2']) {
    ask(path)
    await until((all) => all.includes(path))
  }
  const left = ask('/alice/3')
  ask('/alice/4')
  ask('/bob/1')
  await until((all) => all.includes('/bob/1'))
  left.resetAndDestroy()
  ask('/bob/2')
  await until((all) => all.includes('/bob/2'))
  t.deepEqual(names, ['/alice/1', '/alice/2', '/bob/1', '/bob/2'])
  gates.get('/alice/1')!()
  await until((all) => all.includes('/alice/4'))
  t.false(names.includes('/alice/3'), 'nothing is done for who left while they waited')
  gates.get('/alice/2')!()
  gates.get('/alice/4')!()
  for (const path of ['/alice/5', '/alice/6']) ask(path)
  await until((all) => ['/alice/5', '/alice/6'].every((path) => all.includes(path)))
  t.pass()
})

test('answers that nobody reads: the oldest of one caller is cut past their bound, and of the largest past that of all', async (t) => {
  const { names, note, until } = journal()
  const bounds = { atOnce: 8, unsentOfOne: 41 * MB, unsentOfAll: 61 * MB }
  const { fairUse, ask } = await start(t, bounds, (ctx) => {
    const { path, res } = ctx
    // The middleware of fair use listens first.
    res.once('prefinish', () => setImmediate(() => note(`${path} sent`)))
    res.once('close', () => note(`${path} ${res.writableFinished ? 'read' : 'cut'}`))
    return Buffer.alloc(20 * MB)
  })
  const leave = async (path: string): Promise<void> => {
    ask(path)
    await until((all) => all.includes(`${path} sent`))
  }
  await leave('/alice/1')
  await leave('/alice/2')
  t.deepEqual([names.filter((name) => name.endsWith('cut')), fairUse.cut], [[], 0])
  await leave('/alice/3')
  await until((all) => all.includes('/alice/1 cut'))
  await leave('/bob/1')
  t.is(fairUse.cut, 1)
  ask('/carol/1').resume()
  await until((all) => all.includes('/alice/2 cut'))
  await until((all) => all.includes('/carol/1 read'))
  await leave('/bob/2')
  t.deepEqual(names.filter((name) => name.endsWith('cut')).length, 2, 'what was read takes no room')
  t.is(fairUse.cut, 2)
})

test('a small answer is never cut, and one that is read counts no more', async (t) => {
  const bounds = { atOnce: 8, unsentOfOne: 0, unsentOfAll: 0 }
  const { fairUse, ask } = await start(t, bounds, () => Buffer.alloc(10_000))
  for (let i = 0; i < 5; i++) {
    const socket = ask('/alice').resume()
    await once(socket, 'close')
    t.true(socket.bytesRead > 10_000)
  }
  t.is(fairUse.cut, 0)
})

test('a body counts by its length, too, where it is refused, and an answer without one does not', async (t) => {
  const { ask, token, url } = await begin(t, { limits: limitsOf({ api: 100 }) })
  const left = async (): Promise<number> =>
    Number(/"api";r=(\d+)/.exec((await ask('GET', ITEMS)).headers.get('ratelimit') ?? '')?.[1])
  const before = await left()
  const headers = { authorization: `Bearer ${token}`, 'content-type': 'application/json' }
  const broken = await fetch(`${url}${ITEMS}`, { method: 'POST', headers, body: `{"todo":"${' '.repeat(140_000)}` })
  t.is(broken.status, 400)
  t.is(await left(), before - 1 - 2 - 1)
})

test('a turn ends with the answer at the deadline, though the work goes on', async (t) => {
  const { note, until } = journal()
  const bounds = { atOnce: 1, unsentOfOne: MB, unsentOfAll: MB }
  const { ask } = await start(t, bounds, async (ctx) => {
    note(ctx.path)
    if (ctx.path !== '/alice/1') return 'done'
    ctx.respond = false
    ctx.res.end('late')
    return new Promise(() => {})
  })
  ask('/alice/1')
  await until((all) => all.includes('/alice/1'))
  ask('/alice/2')
  await until((all) => all.includes('/alice/2'))
  t.pass()
})

test.serial('each write takes a turn, whether its body is read, means nothing, or is none', async (t) => {
  const { world, url, token, add } = await begin(t, { limits: limitsOf({}) })
  const items = await add(...Array.from({ length: 12 }, (_, i) => `${i}`))
  const headers = { authorization: `Bearer ${token}`, 'content-type': 'application/json' }
  const count = () =>
    world.ledger.peek(({ todos }) => [...todos.entries()].filter(([, { deletedAt }]) => !deletedAt).length)
  const writes: readonly (readonly [what: string, by: number, path: (i: number) => string, init: RequestInit])[] = [
    ['a new to-do', 1, () => ITEMS, { method: 'POST', body: '{"todo":"x"}' }],
    ['a new to-do by index', 1, () => '/todos/me', { method: 'POST', body: '{"todo":"x"}' }],
    ['a deletion', -1, (i) => `${ITEMS}/${items[i]!.id}`, { method: 'DELETE' }],
    ['a deletion with a body', -1, (i) => `${ITEMS}/${items[6 + i]!.id}`, { method: 'DELETE', body: '{}' }],
  ]
  for (const [what, by, path, init] of writes) {
    const before = count()
    const release = holdWrites(t)
    const asked = Array.from({ length: 6 }, (_, i) => fetch(url + path(i), { ...init, headers }))
    // The bound ends a test that fails.
    for (let tries = 0; tries < 200 && count() !== before + 4 * by; tries++) await settleTraffic()
    await settleTraffic()
    t.is(count(), before + 4 * by, `${what}: four are decided, and two wait for their turn`)
    await release()
    for (const answer of await Promise.all(asked)) t.true(answer.ok, `${what}: ${answer.status}`)
    t.is(count(), before + 6 * by, what)
  }
})

test('who sends a body slowly keeps no turn', async (t) => {
  const { url, ask, token } = await begin(t, { limits: limitsOf({}) })
  const slow = Array.from({ length: 10 }, () => {
    const socket = connect(Number(new URL(url).port), '127.0.0.1')
    t.teardown(() => socket.destroy())
    const lines = ['Host: x', `Authorization: Bearer ${token}`, 'Content-Type: application/json', 'Content-Length: 50']
    socket.write(`POST ${ITEMS} HTTP/1.1\r\n${lines.join('\r\n')}\r\nExpect: 100-continue\r\n\r\n`)
    return once(socket, 'data').then(String)
  })
  for (const told of await Promise.all(slow)) t.regex(told, /^HTTP\/1\.1 100 /)
  t.is((await ask('POST', ITEMS, { todo: 'x' })).status, 201)
})

test('what is long counts more than once against the limit of the API: each 64 kB of a body or of its answer', async (t) => {
  const { ask, add } = await begin(t, { limits: limitsOf({ api: 30 }) })
  const left = async (): Promise<number> =>
    Number(/"api";r=(\d+)/.exec((await ask('GET', `${ITEMS}?limit=1`)).headers.get('ratelimit') ?? '')?.[1])
  const [one] = await add({ todo: 'x', notes: 'n' })
  const before = await left()
  t.is(await left(), before - 1)
  const answer = await ask('PATCH', `${ITEMS}/${one!.id}`, { notes: 'n', todo: `${'\u0001'.repeat(10_000)}` })
  t.is(answer.status, 200)
  const bytes = JSON.stringify({ notes: 'n', todo: '\u0001'.repeat(10_000) }).length + Buffer.byteLength(answer.text)
  t.true(bytes > 65_536 && bytes < 2 * 65_536)
  t.is(await left(), before - 1 - 1 - 1 - 1)
})
