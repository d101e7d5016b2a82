/** Large bodies: four of one budget and thirty-two in all are read at the same time; a slot is free however its request ends. */
import { once } from 'node:events'
import { connect, type Socket } from 'node:net'
import test, { type ExecutionContext } from 'ava'
import { issueKey } from '../../src/domain/keys.ts'
import { LargeBodySlots } from '../../src/http/large-bodies.ts'
import { digest } from '../../src/service/secrets.ts'
import { Users } from '../../src/service/users.ts'
import { ClientSide, person, SYSTEM, startWorld, wait } from '../_support.ts'
import { connectMcp, requestIn } from '../mcp/_mcp.ts'
import { type Answered, holdWrites, send, settleTraffic } from './_elsewhere.ts'
import { BATCH, ITEMS, refusing } from './_items.ts'

/** The largest body that needs no slot, in bytes. */
const SMALL = 160 * 1024
const LARGE = 200_000

type Where = readonly [method: string, path: string, body: string]
type Lines = { readonly [name: string]: string }
const MESSAGE = requestIn('2025', { method: 'tools/list' }).body
const ADD: Where = ['POST', ITEMS, '{"todo":"x"}']
/** Is refused with 400 once it is read. */
const EMPTY: Where = ['POST', ITEMS, '{}']
const BATCHED: Where = ['POST', BATCH, '{"action":"add","items":[{"todo":"x"}]}']
const MCP: Where = ['POST', '/mcp', MESSAGE]

const EXPECT: Lines = { expect: '100-continue' }
const TYPES = { 'content-type': 'application/json', accept: 'application/json, text/event-stream' }
const bearer = (token: string): Lines => ({ authorization: `Bearer ${token}` })

/** Sends a whole body of that many bytes. */
const post = (url: string, [method, path, body]: Where, who: Lines, bytes = LARGE): Promise<Answered> =>
  send(url, method, path, body.padEnd(bytes), { ...TYPES, ...who })

/** A request whose body comes when the test says so. */
class Sender {
  readonly #socket: Socket
  readonly #body: string
  #told = ''

  /**
   * @param bytes the length that is announced; without it the body is chunked
   * @param expect asks the server to say 100 once it reads the body
   */
  constructor(
    t: ExecutionContext,
    url: string,
    [method, path, body]: Where,
    who: Lines,
    bytes?: number,
    expect = EXPECT,
  ) {
    const length =
      bytes === undefined ? { 'transfer-encoding': 'chunked' } : { 'content-length': String(bytes), ...expect }
    const lines = Object.entries({ host: '127.0.0.1', ...TYPES, ...who, ...length })
    this.#body = body.padEnd(bytes ?? 0)
    this.#socket = connect(Number(new URL(url).port), '127.0.0.1').setEncoding('utf8')
    this.#socket.on('error', () => {}) // Being cut is an answer, too.
    this.#socket.on('data', (text: string) => {
      this.#told += text
    })
    this.#socket.write(`${method} ${path} HTTP/1.1\r\n${lines.map((line) => `${line.join(': ')}\r\n`).join('')}\r\n`)
    t.teardown(() => this.leave())
  }

  get statuses(): number[] {
    return [...this.#told.matchAll(/HTTP\/1\.1 (\d+)/g)].map(([, status]) => Number(status))
  }

  /** The status that comes as the `at`th, from 1 on. 100 is one. */
  async status(at = 1): Promise<number> {
    while (this.statuses.length < at) {
      if (this.#socket.destroyed) throw new Error(`the connection ended: ${this.#told}`)
      await Promise.race([once(this.#socket, 'data'), once(this.#socket, 'close')])
    }
    return this.statuses[at - 1]!
  }

  write(text: string): void {
    this.#socket.write(text)
  }

  chunk(bytes: number): void {
    this.write(`${bytes.toString(16)}\r\n${' '.repeat(bytes)}\r\n`)
  }

  /** Sends the whole body that was announced. @returns the status of the answer */
  async finish(): Promise<number> {
    this.write(this.#body)
    return this.status(2)
  }

  leave(): void {
    this.#socket.destroy()
  }

  /** Leaves without the usual end of a connection. */
  reset(): void {
    this.#socket.resetAndDestroy()
  }
}

/** Four senders of one budget. They have all slots of it once each was told 100. */
async function four(t: ExecutionContext, url: string, who: Lines, where: readonly Where[] = [ADD]) {
  const senders = Array.from({ length: 4 }, (_, i) => new Sender(t, url, where[i % where.length]!, who, LARGE))
  return { senders, statuses: await Promise.all(senders.map((sender) => sender.status())) }
}
const ALL_ENTERED = [100, 100, 100, 100]

/** Four senders who have all slots of a budget. They wait for who has left before: the server notices that by itself. */
async function enterFour(t: ExecutionContext, url: string, who: Lines, where?: readonly Where[]): Promise<Sender[]> {
  // The bound ends a test that fails.
  for (let tries = 0; tries < 600; tries++) {
    const { senders, statuses } = await four(t, url, who, where)
    if (statuses.every((status) => status === 100)) return senders
    for (const sender of senders) sender.leave()
    await wait(50)
  }
  throw new Error('the slots never became free')
}

/** Waits until all slots of a budget are free. A slot is free before its request is answered. */
async function untilFree(t: ExecutionContext, url: string, who: Lines): Promise<void> {
  for (const sender of await enterFour(t, url, who, [EMPTY])) t.is(await sender.finish(), 400)
}

/** A world with alice and bob, and alice's token for `/mcp`. */
async function begin(t: ExecutionContext, changed: Parameters<typeof startWorld>[1] = {}) {
  const world = await startWorld(t, changed)
  const chatgpt = new ClientSide(world.url)
  const { access_token: forMcp, visitor } = await connectMcp(world, person('alice'))
  const { json } = await chatgpt.exchange(await chatgpt.codeFor(visitor))
  const { access_token: bobs } = await chatgpt.connect(person('bob'))
  await world.news()
  const refused = refusing(t, world)
  return { ...world, chatgpt, refused, alice: bearer(json.access_token), mcp: bearer(forMcp), bob: bearer(bobs) }
}

const OWN_PLACES = 'Too many large requests at the same time: send them one after another.'

test('of one user four large bodies are read at the same time, wherever they go; the fifth is refused; others are served', async (t) => {
  const { url, news, refused, alice, mcp, bob } = await begin(t)
  const { json: item } = await post(url, ADD, alice, 0)
  await news()
  const change: Where = ['PATCH', `${ITEMS}/${item.id}`, '{"todo":"y"}']
  const move: Where = ['POST', `${ITEMS}/${item.id}/move`, '{"position":1}']
  const senders = [ADD, change, BATCHED].map((where) => new Sender(t, url, where, alice, LARGE))
  senders.push(new Sender(t, url, MCP, mcp, LARGE))
  for (const sender of senders) t.is(await sender.status(), 100)

  for (const where of [ADD, change, move, BATCHED, MCP]) {
    const answer = await post(url, where, where === MCP ? mcp : alice)
    await refused(answer, 429, 'rate_limited', where[1], OWN_PLACES)
    t.is(answer.headers.get('retry-after'), '1')
    t.is(await new Sender(t, url, where, where === MCP ? mcp : alice, LARGE).status(), 429, 'before its body')
  }
  await refused(await post(url, ADD, alice, SMALL + 1), 429, 'rate_limited', 'one byte too many')
  t.is(await new Sender(t, url, ADD, alice, SMALL + 1).status(), 429)
  await refused(await post(url, ADD, alice, 310_000), 413, 'too_large', 'what no slot would help')
  const metrics = await (await fetch(`${url}/metrics`)).text()
  t.true(metrics.includes('daybook_limited_total{limit="large_bodies"} 12'))

  for (const bytes of [0, SMALL]) {
    t.is((await post(url, ADD, alice, bytes)).status, 201)
    t.is((await post(url, BATCHED, alice, bytes)).status, 200)
    t.is((await post(url, ['POST', '/todos/me', '{"todo":"x"}'], alice, bytes)).status, 200)
  }
  t.is((await post(url, ADD, bob)).status, 201)
  t.deepEqual((await four(t, url, bob)).statuses, ALL_ENTERED)

  t.is(await senders[0]!.finish(), 201)
  t.is((await post(url, BATCHED, alice)).status, 200, 'one after another')
  t.is((await post(url, BATCHED, alice)).status, 200)
  t.is(await new Sender(t, url, ADD, alice, LARGE).status(), 100)
  t.is((await post(url, ADD, alice)).status, 429)
  for (const sender of senders.slice(1)) t.is(await sender.finish(), 200)
})

test('a chunked body needs a slot from the byte on that makes it large', async (t) => {
  const { url, alice } = await begin(t)
  const growing = new Sender(t, url, BATCHED, alice)
  growing.chunk(SMALL)
  const { senders, statuses } = await four(t, url, alice)
  t.deepEqual(statuses, ALL_ENTERED, 'one that may yet grow has no slot')
  growing.chunk(1)
  t.is(await growing.status(), 429, 'its end is not awaited')
  const small = new Sender(t, url, ADD, alice)
  small.write(`c\r\n${ADD[2]}\r\n`)
  small.chunk(SMALL - ADD[2].length)
  small.write('0\r\n\r\n')
  t.is(await small.status(), 201)

  t.is(await senders[0]!.finish(), 201)
  const grown = new Sender(t, url, BATCHED, alice)
  grown.write(`${BATCHED[2].length.toString(16)}\r\n${BATCHED[2]}\r\n`)
  grown.chunk(SMALL)
  await settleTraffic()
  t.is((await post(url, EMPTY, alice)).status, 429)
  grown.write('0\r\n\r\n')
  t.is(await grown.status(), 200)
  t.is((await post(url, ADD, alice)).status, 201)
})

/** How a large request may end, done by its sender once the server reads it; and what the sender is told. */
const ends: readonly (readonly [how: string, (sender: Sender) => void, status?: number])[] = [
  ['its sender leaves', (sender) => sender.leave()],
  ['its connection is reset', (sender) => sender.reset()],
  ['it is no JSON', (sender) => sender.write('x'.repeat(LARGE)), 400],
  ['it has members that nobody knows', (sender) => sender.write('{"x":1}'.padEnd(LARGE)), 400],
]
/** The same for a chunked request that has become large. */
const chunkedEnds: typeof ends = [
  ['its sender leaves', (sender) => sender.leave()],
  ['it grows too large', (sender) => sender.chunk(200_000), 413],
  ['it comes in too many pieces', (sender) => sender.write('1\r\n \r\n'.repeat(10_000)), 413],
  ['its framing breaks', (sender) => sender.write('no length\r\n'), 400],
]

test('a slot is free again however its request ends', async (t) => {
  const { url, news, alice } = await begin(t)
  for (const [how, end, status] of ends) {
    const senders = await enterFour(t, url, alice)
    for (const sender of senders) end(sender)
    if (status !== undefined) for (const sender of senders) t.is(await sender.status(2), status, how)
  }
  for (const [how, end, status] of chunkedEnds) {
    await untilFree(t, url, alice)
    const senders = Array.from({ length: 4 }, () => new Sender(t, url, ADD, alice))
    for (const sender of senders) sender.chunk(SMALL + 1)
    await settleTraffic()
    t.is((await post(url, EMPTY, alice)).status, 429, how)
    for (const sender of senders) end(sender)
    if (status !== undefined) for (const sender of senders) t.is(await sender.status(), status, how)
  }
  await untilFree(t, url, alice)
  t.deepEqual(await news(), [])
})

test('a slot is free again once its request is answered at the deadline, and nothing of the request is done', async (t) => {
  const { url, news } = await startWorld(t, { authMode: 'none', deadlineMs: 2000 })
  await news()
  const add: Where = ['POST', '/todos/one/items', ADD[2]]
  for (const sender of await enterFour(t, url, {}, [add])) t.is(await sender.status(2), 503)
  await enterFour(t, url, {}, [add])
  t.deepEqual(await news(), [])
})

test('where nobody signs in, slots are counted by address; thirty-two in all', async (t) => {
  const { url, ledger } = await startWorld(t, { authMode: 'none' }, ['127.0.0.1'])
  const from = (last: number): Lines => ({ 'x-forwarded-for': `203.0.113.${last}` })
  const [add, batch]: Where[] = [
    ['POST', '/todos/one/items', ADD[2]],
    ['POST', '/todos/two/batch', BATCHED[2]],
  ]
  const senders: Sender[] = []
  for (let last = 1; last <= 8; last++) {
    const entered = await four(t, url, from(last), [add!, batch!, MCP])
    t.deepEqual(entered.statuses, ALL_ENTERED)
    senders.push(...entered.senders)
  }
  const { head } = ledger
  for (const where of [add!, batch!, MCP]) {
    const { status, json, headers } = await post(url, where, from(9))
    t.deepEqual([status, json.error, headers.get('retry-after')], [429, 'rate_limited', '1'])
    t.is(json.message, 'Daybook reads too many large requests at the same time. Try again shortly.')
  }
  t.deepEqual(ledger.head, head)
  t.is((await post(url, add!, from(9), 0)).status, 201)
  t.is((await post(url, add!, from(1))).json.message, OWN_PLACES)

  t.is(await senders[0]!.finish(), 201)
  t.is((await post(url, add!, from(9))).status, 201)
  senders[5]!.leave()
  senders[6]!.leave()
  senders[7]!.leave()
  await enterFour(t, url, from(9), [add!])
  t.is((await post(url, add!, from(10))).status, 429)
})

test('a budget is remembered while it has a slot, and no longer', async (t) => {
  const slots = new LargeBodySlots()
  const budgets = Array.from({ length: 100 }, (_, i) => `user ${i}`)
  for (const budget of budgets) {
    await slots.within(budget, async (enter) => {
      enter()
      await slots.within(budget, async (enterToo) => enterToo())
      t.is(slots.size, 1)
    })
    await t.throwsAsync(
      slots.within(budget, async (enter) => {
        enter()
        throw new Error('it broke')
      }),
      { message: 'it broke' },
    )
  }
  t.is(slots.size, 0)
})

test.serial('who leaves before it is known who they are takes no slot', async (t) => {
  const { url, ledger } = await startWorld(t, { authMode: 'user_http' })
  const user = await new Users(ledger).add(SYSTEM, { ...person('alice'), admin: false })
  await ledger.transact(SYSTEM, (state) =>
    issueKey(state, { key: 'alice', user, digest: digest('dbk_alice'), label: 'x' }),
  )
  const alice = bearer('dbk_alice')
  // The first use of a key is recorded, so its request waits for the disk.
  const release = holdWrites(t)
  const asked = new Sender(t, url, ADD, alice, LARGE)
  const senders = Array.from({ length: 8 }, () => new Sender(t, url, ADD, alice, LARGE, {}))
  await settleTraffic()
  t.deepEqual(asked.statuses, [], 'nothing is read yet')
  for (const sender of senders.slice(0, 4)) sender.leave()
  for (const sender of senders.slice(4)) sender.reset()
  await settleTraffic()
  await release()
  t.is(await asked.status(), 100)
  asked.leave()
  await untilFree(t, url, alice)
})
