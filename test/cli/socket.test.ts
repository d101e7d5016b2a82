/** The socket in the data directory, as somebody meets it who is not the command line: errors, and a server that lives on. */
import { mkdirSync } from 'node:fs'
import { connect, createServer } from 'node:net'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import test, { type ExecutionContext } from 'ava'
import { listenForCommands } from '../../src/cli/socket.ts'
import { Ledger } from '../../src/ledger/ledger.ts'
import { bookOf, daybook, type Home, newHome, rowsOf, type Serving, serve } from '../_serve.ts'
import { CALLBACK } from '../_support.ts'

/** Sends bytes and reads the lines that come back until the server closes. `end` closes this side after sending. */
async function send(home: Home, bytes: string | Buffer, { end = false } = {}): Promise<string[]> {
  const socket = connect(join(home.data, 'daybook.sock'))
  socket.on('error', () => {}) // Who sends too much may be cut off.
  if (end) socket.end(bytes)
  else socket.write(bytes)
  const lines: string[] = []
  for await (const line of createInterface({ input: socket })) lines.push(line)
  return lines
}

const ask = (act: unknown, input: unknown): string => `${JSON.stringify({ act, input })}\n`

/** A server whose book knows alice. */
async function start(t: ExecutionContext): Promise<{ home: Home; server: Serving }> {
  const home = await newHome(t)
  const server = await serve(t, home)
  await daybook(home, 'user add alice --random-password')
  return { home, server }
}

/** What nobody should send, by what is wrong with it. */
const GARBAGE: { readonly [what: string]: string | Buffer } = {
  'an empty line': '\n',
  'no JSON': 'hello\n',
  HTTP: 'GET / HTTP/1.1\r\nHost: localhost\r\n\r\n',
  'random bytes': Buffer.concat([
    Buffer.from(Array.from({ length: 4096 }, (_, i) => (i * 167 + 13) % 256)),
    Buffer.from('\n'),
  ]),
  'broken UTF-8': Buffer.from('7b22616374223a22c328ff220a', 'hex'),
  'half a request': '{"act":"user list","input":\n',
  'deep nesting': `${'['.repeat(50_000)}\n`,
  'a line without end': 'x'.repeat(150_000),
  null: 'null\n',
  'a number': '5\n',
  'an array': '[]\n',
  'an empty object': '{}\n',
  'no input': '{"act":"user list"}\n',
  'input null': ask('user list', null),
  'input a text': ask('user list', 'x'),
  'an act that is no text': ask(['user list'], {}),
  'an unknown act': ask('user explode', { username: 'alice' }),
  __proto__: ask('__proto__', {}),
  constructor: ask('constructor', {}),
  toString: ask('toString', {}),
  'user add without anything': ask('user add', {}),
  'user add with a number': ask('user add', { username: 5, password: 'correct horse' }),
  'user add with a password that is no text': ask('user add', { username: 'bob', password: ['correct horse'] }),
  'user add with an e-mail that is no text': ask('user add', { username: 'bob', password: 'correct horse', email: {} }),
  'user add with an empty password': ask('user add', { username: 'bob', password: '' }),
  'user revoke with an object': ask('user revoke', { username: { toString: 'alice' } }),
  'user passwd without a password': ask('user passwd', { username: 'alice' }),
  'client allow without a URI': ask('client allow', { id: 'chatgpt' }),
  'client allow with an array': ask('client allow', { id: 'chatgpt', uri: ['https://a.example/'] }),
  'client add without callbacks': ask('client add', { name: 'Other' }),
  'client add with a callback that is no array': ask('client add', { name: 'Other', redirects: CALLBACK }),
  'client add with callbacks that are no texts': ask('client add', { name: 'Other', redirects: [5], grantTypes: [] }),
}

/** Requests that are well-formed but ask for what the command line itself would refuse. */
const ODD_INPUT: typeof GARBAGE = {
  'client add without grant types': ask('client add', { name: 'Other', redirects: [CALLBACK] }),
  'client add with grant types that are no array': ask('client add', {
    name: 'Other',
    redirects: [CALLBACK],
    grantTypes: { includes: 1 },
  }),
  'client add with an unknown grant type': ask('client add', {
    name: 'Other',
    redirects: [CALLBACK],
    grantTypes: ['password'],
  }),
  'client add with a grant type and an unknown one': ask('client add', {
    name: 'Other',
    redirects: [CALLBACK],
    grantTypes: ['authorization_code', 'password'],
  }),
  'client add with the same grant type twice': ask('client add', {
    name: 'Other',
    redirects: [CALLBACK],
    grantTypes: ['authorization_code', 'authorization_code'],
  }),
  'audit list with a limit that is no number': ask('audit list', { limit: 'all' }),
  'audit list with a limit below nothing': ask('audit list', { limit: -5 }),
}

for (const [kind, requests] of Object.entries({ garbage: GARBAGE, 'input that no command sends': ODD_INPUT }))
  test(`89. ${kind} on the socket is an error each time, and the server lives`, async (t) => {
    const { home, server } = await start(t)
    const outcomes: { [what: string]: string } = {}
    for (const [what, bytes] of Object.entries(requests)) {
      const before = (await bookOf(home)).length
      const lines = await send(home, bytes)
      const news = (await bookOf(home)).slice(before).map((event) => event.type)
      const isError = /^\{"fail":"[^"\\]+"\}\n\{"end":true\}$/.test(lines.join('\n')) && news.length === 0
      outcomes[what] = isError ? 'an error' : `${lines.length} lines and ${news.join(', ') || 'no event'}`
    }
    t.deepEqual(outcomes, Object.fromEntries(Object.keys(requests).map((what) => [what, 'an error'])))
    t.is((await fetch(`${home.url}/readyz`)).status, 200)
    t.like(await daybook(home, 'user revoke alice'), { code: 0 })
    t.is(await server.stop(), 0)
    t.notRegex(server.said.stderr, /\n +at /, 'no stack')
  })

test('89. a connection that ends early, sends nothing or goes away while it is answered harms nobody', async (t) => {
  const { home } = await start(t)
  const before = await bookOf(home)
  for (const bytes of ['', '{"act":"user', 'user list']) await send(home, bytes, { end: true })
  for (let round = 0; round < 20; round++) {
    const socket = connect(join(home.data, 'daybook.sock')).on('error', () => {})
    socket.write(ask('audit list', { limit: 100 }))
    await new Promise((resolve) => socket.once('connect', resolve))
    socket.destroy()
  }
  const idle = Array.from({ length: 50 }, () => connect(join(home.data, 'daybook.sock')))
  t.is((await rowsOf(home, 'user list')).length, 1)
  for (const socket of idle) socket.destroy()
  t.deepEqual(await bookOf(home), before)
})

test('a request in many pieces is one request; what follows it is left unread', async (t) => {
  const { home } = await start(t)
  const socket = connect(join(home.data, 'daybook.sock'))
  const lines = createInterface({ input: socket })[Symbol.asyncIterator]()
  for (const piece of ask('user list', {})) {
    socket.write(piece)
    await new Promise((resolve) => setImmediate(resolve))
  }
  const { row } = JSON.parse((await lines.next()).value!)
  t.is(row.username, 'alice')
  t.deepEqual(JSON.parse((await lines.next()).value!), { end: true })
  t.true((await lines.next()).done)
  const twice = await send(home, ask('user list', {}) + ask('user revoke', { username: 'alice' }))
  t.is(twice.length, 2)
  t.is((await rowsOf(home, 'user list'))[0]!.state, 'active')
})

/** What a server sends before it dies, and for each of these every command must not look as if it had done anything. */
const CUT_OFF = { nothing: '', 'half a line': '{"say":"alice is rev', 'a row': '{"row":{"id":1}}\n', garbage: '\0\n' }

for (const [what, bytes] of Object.entries(CUT_OFF))
  test(`a server that goes away after ${what}: 1, and it is said that nobody knows`, async (t) => {
    const home = await newHome(t)
    mkdirSync(home.data, { mode: 0o700 })
    const server = createServer((socket) => {
      socket.on('error', () => {})
      socket.once('data', () => (what === 'garbage' ? socket.end(bytes) : socket.write(bytes, () => socket.destroy())))
    })
    await new Promise<void>((resolve) => server.listen(join(home.data, 'daybook.sock'), resolve))
    t.teardown(() => server.close())
    for (const words of ['user revoke bob', 'user list', 'audit verify', 'client rotate-secret chatgpt -o json']) {
      const { code, stderr } = await daybook(home, words)
      t.is(code, 1, words)
      t.regex(stderr, /^daybook: the server went away [^\n]*not known[^\n]*\n$/, words)
    }
  })

test('a sign that comes in two pieces is one sign', async (t) => {
  const home = await newHome(t)
  mkdirSync(home.data, { mode: 0o700 })
  const line = Buffer.from('{"row":{"username":"é"}}\n{"end":true}\n')
  const server = createServer((socket) => {
    socket.once('data', () => {
      socket.write(line.subarray(0, 21))
      setTimeout(() => socket.end(line.subarray(21)), 50)
    })
  })
  await new Promise<void>((resolve) => server.listen(join(home.data, 'daybook.sock'), resolve))
  t.teardown(() => server.close())
  t.is((await rowsOf(home, 'user list'))[0]!.username, 'é')
})

test('an answer whose reader has gone ends where it is', async (t) => {
  const { data } = await newHome(t)
  mkdirSync(data, { mode: 0o700 })
  const { promise: ended, resolve: end } = Promise.withResolvers<void>()
  const server = await listenForCommands(data, async function* () {
    try {
      for (let i = 0; i < 1000; i++) yield { say: 'x'.repeat(10_000) }
    } finally {
      end()
    }
  })
  t.teardown(() => server.close())
  const socket = connect(join(data, 'daybook.sock'))
  socket.write(ask('any', {}))
  await new Promise((resolve) => socket.once('readable', resolve))
  socket.destroy()
  await ended
  t.pass()
})

test('a command given while a server starts is answered by that server', async (t) => {
  const home = await newHome(t)
  const ledger = await Ledger.open({ directory: home.data, clock: Date.now, version: 'test' })
  t.teardown(() => ledger.close())
  const asked = rowsOf(home, 'user list')
  await new Promise((resolve) => setTimeout(resolve, 1000))
  const server = await listenForCommands(home.data, async function* () {
    yield { row: { username: 'from the server' } }
  })
  t.teardown(() => server.close())
  t.deepEqual(await asked, [{ username: 'from the server' }])
})
