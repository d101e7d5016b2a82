/** `daybook serve` as a process: one at a time on a directory, private, draining when told to stop, back after being killed. */
import {
  chmodSync,
  existsSync,
  lstatSync,
  mkdirSync,
  readFileSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs'
import { connect } from 'node:net'
import { join } from 'node:path'
import test from 'ava'
import { Ledger } from '../../src/ledger/ledger.ts'
import { bookOf, daybook, eventsOf, freePort, type Home, newHome, rowsOf, run, type Serving, serve } from '../_serve.ts'
import { ClientSide, person } from '../_support.ts'

const socketOf = ({ data }: Home): string => join(data, 'daybook.sock')
const modeOf = (path: string): string => (statSync(path).mode & 0o777).toString(8)

test('108. a second serve on the same directory exits at once, naming the holder; the first is unharmed', async (t) => {
  const home = await newHome(t)
  const first = await serve(t, home)
  const tokens = await new ClientSide(home.url).connect(person('alice'))
  symlinkSync(home.data, join(home.folder, 'the-same'))
  const port = String(await freePort())
  for (const DATA_DIR of [home.data, join(home.folder, 'the-same'), './data']) {
    const second = await daybook(home, 'serve', { env: { APP_PORT: port, DATA_DIR } })
    t.deepEqual([second.code, second.stdout], [1, ''], DATA_DIR)
    t.regex(second.stderr, new RegExp(`^daybook: [^\n]*/[^\n]* is in use by process ${first.pid}\n$`))
  }
  t.is(
    (await new ClientSide(home.url).api(tokens.access_token, 'POST', '/todos/me', { todo: 'still here' })).status,
    200,
  )
  t.like(await daybook(home, 'user revoke alice'), { code: 0 }, 'the socket is still the first one’s')
  t.deepEqual((await eventsOf(home)).slice(-2), ['TodoAdded', 'UserRevoked'])
  t.is(await first.stop(), 0)
})

test('a port in use: 2, one line that names APP_PORT, and the directory is free again', async (t) => {
  const first = await serve(t, await newHome(t))
  const home = await newHome(t)
  const { code, stdout, stderr } = await daybook(home, 'serve', { env: { APP_PORT: String(first.port) } })
  t.deepEqual([code, stdout], [2, ''])
  t.regex(stderr, new RegExp(`^daybook: APP_PORT: [^\n]*${first.port}[^\n]* in use[^\n]*\n$`))
  await serve(t, home)
  t.is((await fetch(`${first.url}/readyz`)).status, 200)
})

test('a start that fails on its port leaves no event, however often it is tried', async (t) => {
  const first = await serve(t, await newHome(t))
  const home = await newHome(t, { APP_PORT: String(first.port) })
  t.like(await daybook(home, 'client show chatgpt'), { code: 0 })
  const before = (await bookOf(home)).length
  for (const _ of [1, 2]) t.like(await daybook(home, 'serve'), { code: 2 })
  t.is((await bookOf(home)).length, before)
})

test('OPENAI_CLIENT_ID may not be another client’s: one line, nothing changed', async (t) => {
  const home = await newHome(t)
  await daybook(home, 'client show chatgpt')
  const added = await daybook(home, 'client add --name Other --redirect https://o.example/cb -o json')
  const other = JSON.parse(added.stdout)
  const before = (await bookOf(home)).length
  const refused = await daybook(home, 'serve', { env: { OPENAI_CLIENT_ID: other.client_id } })
  const text = `daybook: OPENAI_CLIENT_ID: another client is called ${other.client_id} already\n`
  t.like(refused, { code: 2, stderr: text })
  t.is((await bookOf(home)).length, before)
})

test('a command given while a server is about to stop waits for the book', async (t) => {
  const home = await newHome(t)
  const ledger = await Ledger.open({ directory: home.data, clock: Date.now, version: 'test' })
  const asked = daybook(home, 'user list')
  setTimeout(() => void ledger.close(), 700)
  t.like(await asked, { code: 0 })
})

test('after kill -9 its socket and lock are left behind, and harm nobody', async (t) => {
  const home = await newHome(t)
  const first = await serve(t, home)
  await new ClientSide(home.url).connect(person('alice'))
  t.is(await first.stop('SIGKILL'), 'SIGKILL')
  t.true(lstatSync(socketOf(home)).isSocket(), 'the stale socket is there')
  t.like(await daybook(home, 'user revoke alice'), { code: 0, stderr: '' })
  const second = await serve(t, home)
  t.like(await daybook(home, 'user restore alice'), { code: 0, stderr: '' })
  t.deepEqual((await eventsOf(home)).slice(-2), ['UserRevoked', 'UserRestored'])
  t.like(await daybook(home, 'audit verify'), { code: 0 })
  t.is(await second.stop(), 0)
  t.false(existsSync(socketOf(home)))
  t.false(existsSync(join(home.data, 'lock')))
})

test('88. a planted link in place of the socket leads nowhere', async (t) => {
  const home = await newHome(t)
  await daybook(home, 'client show chatgpt')
  const victim = join(home.folder, 'victim')
  writeFileSync(victim, 'keep me', { mode: 0o644 })
  for (const target of [victim, join(home.folder, 'nothing')]) {
    symlinkSync(target, socketOf(home))
    t.like(
      await daybook(home, 'user list -o json'),
      { code: 0, stdout: '[]\n', stderr: '' },
      'no server: it opens the book',
    )
    const server = await serve(t, home)
    t.true(lstatSync(socketOf(home)).isSocket())
    t.like(await daybook(home, 'user list -o json'), { code: 0, stdout: '[]\n', stderr: '' })
    t.deepEqual([readFileSync(victim, 'utf8'), modeOf(victim)], ['keep me', '644'])
    t.is(await server.stop(), 0)
  }
})

test('88. the socket is 0600 in a 0700 directory, whatever the umask; so is a directory that stood empty', async (t) => {
  for (const isThere of [false, true]) {
    const home = await newHome(t)
    if (isThere) {
      mkdirSync(home.data)
      chmodSync(home.data, 0o777)
    }
    const server = await serve(t, home, [], { before: 'umask 000' })
    t.is(modeOf(home.data), '700')
    for (const name of ['daybook.sock', 'head', 'lock']) t.is(modeOf(join(home.data, name)), '600', name)
    await server.stop()
  }
})

test('a DATA_DIR longer than a socket path may be works, in bytes that are not ASCII too', async (t) => {
  const { folder } = await newHome(t)
  for (const name of ['d'.repeat(120), 'ü'.repeat(60), `${'a'.repeat(100)}/${'b'.repeat(100)}/${'c d'.repeat(30)}`]) {
    const home = await newHome(t, { DATA_DIR: join(folder, name) })
    const server = await serve(t, home)
    t.is(modeOf(join(home.data, 'daybook.sock')), '600')
    t.like(await daybook(home, 'user add alice --random-password'), { code: 0, stderr: '' })
    t.is((await rowsOf(home, 'user list')).length, 1)
    t.is(await server.stop(), 0)
    t.false(existsSync(socketOf(home)), 'it takes its socket away')
    t.is((await rowsOf(home, 'user list')).length, 1)
  }
})

test('DATA_DIR is ./data unless told otherwise, and never a directory that holds something else', async (t) => {
  const { folder } = await newHome(t)
  const home: Home = { folder, data: join(folder, 'data'), port: 0, url: '', env: {} }
  t.is((await daybook(home, 'client show chatgpt')).code, 0)
  t.true(existsSync(join(folder, 'data/book/CURRENT')))
  t.is(modeOf(home.data), '700')

  mkdirSync(join(folder, 'else'))
  writeFileSync(join(folder, 'else/notes.txt'), 'mine')
  const refused = await daybook(home, 'serve --data-dir else')
  t.deepEqual([refused.code, refused.stdout], [1, ''])
  t.regex(refused.stderr, /^daybook: [^\n]*else is not empty and holds no book[^\n]*\n$/)
  t.is(readFileSync(join(folder, 'else/notes.txt'), 'utf8'), 'mine')
})

for (const signal of ['SIGTERM', 'SIGINT'] as const)
  test(`${signal} ends it with 0, its socket and lock gone, and the log says so in JSON lines`, async (t) => {
    const home = await newHome(t)
    const server = await serve(t, home)
    t.is(await server.stop(signal), 0)
    t.false(existsSync(socketOf(home)))
    t.false(existsSync(join(home.data, 'lock')))
    const lines = server.said.stdout
      .trimEnd()
      .split('\n')
      .map((line) => JSON.parse(line)) // One object a line.
    t.deepEqual(
      lines.filter((line) => line.msg !== 'request').map((line) => line.msg),
      ['serving', 'finishing what runs; another signal ends it at once', 'stopped'],
    )
    t.like(await daybook(home, 'audit verify'), { code: 0 })
  })

/** A request whose body is half sent: the server has to wait for the rest. */
async function halfSent(server: Serving, token: string, body: string) {
  const socket = connect(server.port, '127.0.0.1').setEncoding('utf8')
  let answer = ''
  socket.on('data', (text) => {
    answer += text
  })
  const ended = new Promise<string>((resolve) => socket.once('close', () => resolve(answer)))
  socket.on('error', () => {}) // Where the server is killed, the connection is reset.
  const length = Buffer.byteLength(body)
  const head = `POST /todos/me HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer ${token}\r\nExpect: 100-continue\r\n`
  socket.write(`${head}Content-Type: application/json\r\nContent-Length: ${length}\r\n\r\n`)
  // The server has taken the request when it asks for the body.
  await new Promise((resolve) => socket.once('data', resolve))
  socket.write(body.slice(0, 5))
  return { finish: () => socket.write(body.slice(5)), ended }
}

test('115. SIGTERM finishes what runs, takes nothing new, and then ends with 0', async (t) => {
  const home = await newHome(t)
  const server = await serve(t, home)
  const tokens = await new ClientSide(home.url).connect(person('alice'))
  const request = await halfSent(server, tokens.access_token, '{"todo":"just in time"}')
  server.signal('SIGTERM')
  await server.says('finishing what runs')
  await t.throwsAsync(fetch(`${home.url}/healthz`), undefined, 'no new connection is taken')
  request.finish()
  t.regex(await request.ended, /HTTP\/1\.1 200 OK.*"todo":"just in time"/s)
  t.is(await server.ended, 0)
  t.is((await bookOf(home)).at(-1)!.type, 'TodoAdded')
})

test('115. a second signal ends it at once, and the book is whole', async (t) => {
  const home = await newHome(t)
  for (const [index, second] of (['SIGTERM', 'SIGINT'] as const).entries()) {
    const server = await serve(t, home)
    const tokens = await new ClientSide(home.url).connect(person(`user${index}`))
    const request = await halfSent(server, tokens.access_token, '{"todo":"too late"}')
    server.signal('SIGTERM')
    await server.says('finishing what runs')
    server.signal(second)
    t.is(await server.ended, second)
    t.notRegex(await request.ended, /HTTP\/1\.1 200/)
    t.false((await eventsOf(home)).includes('TodoAdded'))
    t.like(await daybook(home, 'audit verify'), { code: 0 })
  }
})

test('what it says when it starts: where everything is, and what is missing next; never 0.0.0.0 as a link', async (t) => {
  const bare = { OPENAI_CLIENT_ID: '', OPENAI_CLIENT_SECRET: '', OPENAI_REDIRECT_URIS: '', PUBLIC_URL: '' }
  const home = await newHome(t, { ...bare, HOST: '0.0.0.0' })
  const { said } = await serve(t, home)
  const url = `http://localhost:${home.port}`
  const { stdout } = await run(['version'])
  t.regex(stdout, /^daybook \d+\.\d+\.\d+ \(node 24\.\d+\.\d+, \w+ \w+\)\n$/)
  t.true(said.stderr.startsWith(`\nDaybook ${stdout.split(' ')[1]}\n`))
  for (const fact of [home.data, `${url}/`, `${url}/login`, `${url}/.well-known/ai-plugin.json`, `${url}/openapi.yaml`])
    t.true(said.stderr.includes(` ${fact}\n`), fact)
  for (const next of ['https', '/mcp \\(docs/connect']) t.regex(said.stderr, new RegExp(`\nNext\n.*${next}`, 's'))
  t.false(said.stderr.includes('VERIFICATION'), 'the plugins that gave such tokens have ended')
  t.false(said.stderr.includes('0.0.0.0'))
  const trouble = `Other machines can reach Daybook, but PUBLIC_URL is ${url}, which leads to this one only`
  t.true(said.stderr.includes(trouble))
  t.true(said.stdout.includes(`"level":40`) && said.stdout.includes(trouble), 'the log warns, too')
  t.false(said.stderr.includes('\u001b'), 'no colours where there is no terminal')

  const open = { HOST: '0.0.0.0', PUBLIC_URL: 'https://todo.example.org' }
  const settled = await newHome(t, open)
  const quiet = await serve(t, { ...settled, env: { ...settled.env, LOG_LEVEL: 'silent' } })
  t.regex(quiet.said.stderr, /\nNext\n *Connect an assistant: give it https:\/\/todo\.example\.org\/mcp \(.*\)\n\n?$/)
  t.is(quiet.said.stdout, '')
  t.is(await quiet.stop(), 0)
})

test('63. what it logs: a line a request with id, method, path and status; no query, no header, no body', async (t) => {
  const home = await newHome(t, { LOG_LEVEL: 'trace' })
  const server = await serve(t, home)
  const headers = { authorization: 'Bearer in-a-header', 'content-type': 'application/json', cookie: 'a=in-a-cookie' }
  const answer = await fetch(`${home.url}/todos/me?access_token=in-the-query`, {
    method: 'POST',
    headers,
    body: '{"todo":"in-the-body"',
  })
  await server.stop()
  const lines = server.said.stdout
    .trimEnd()
    .split('\n')
    .map((line) => JSON.parse(line)) // One object a line.
  const line = lines.find((entry) => entry.request === answer.headers.get('x-request-id'))
  t.like(line, { method: 'POST', path: '/todos/:username', status: answer.status, msg: 'request' })
  t.notRegex(server.said.stdout + server.said.stderr, /in-(a-header|a-cookie|the-query|the-body)/)
})

test('a log that cannot be written loses its lines and nothing else, and the end is an orderly one', async (t) => {
  const home = await newHome(t)
  const server = await serve(t, home, [], { before: 'exec > /dev/full' })
  const tokens = await new ClientSide(home.url).connect(person('alice'))
  for (let i = 0; i < 30; i++)
    t.is((await new ClientSide(home.url).api(tokens.access_token, 'POST', '/todos/me', { todo: `${i}` })).status, 200)
  t.is(await server.stop(), 0)
  t.is((await eventsOf(home)).filter((type) => type === 'TodoAdded').length, 30)
})
