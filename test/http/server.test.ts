/** The HTTP server below the app: what never becomes a request is answered all the same, or cut. */
import { once } from 'node:events'
import { connect } from 'node:net'
import test from 'ava'
import { startWorld } from '../_support.ts'

/** Sends those bytes and gives all that comes back until the connection ends. */
async function exchange(url: string, bytes: string): Promise<string> {
  const socket = connect(Number(new URL(url).port), '127.0.0.1')
  socket.on('error', () => {}) // Being cut is an answer too.
  let told = ''
  socket.setEncoding('utf8').on('data', (part: string) => {
    told += part
  })
  socket.write(bytes)
  await new Promise((resolve) => socket.once('close', resolve))
  return told
}

const answers = {
  'no Host': ['GET / HTTP/1.1\r\nConnection: close\r\n\r\n', 400],
  'no Host, in HTTP/1.0, which knows none': ['GET /healthz HTTP/1.0\r\n\r\n', 200],
  'an expectation that nobody knows': [
    'GET /healthz HTTP/1.1\r\nHost: x\r\nExpect: miracles\r\nConnection: close\r\n\r\n',
    200,
  ],
  'two Hosts': ['GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\nConnection: close\r\n\r\n', 400],
  'a target that is a URL without a host': ['GET http:// HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n', 400],
  'no HTTP': ['hello\r\n\r\n', 400],
  TLS: ['\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03', 400],
  '111. headers of 40 kB': [`GET / HTTP/1.1\r\nHost: x\r\nA: ${'a'.repeat(40_000)}\r\n\r\n`, 431],
  '112. a length and chunks': [
    'POST /login HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n',
    400,
  ],
  '112. two lengths': ['POST /login HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\nContent-Length: 4\r\n\r\nabc', 400],
  'a header split by a bare line feed': ['GET / HTTP/1.1\r\nHost: x\r\nA: b\nC : d\r\n\r\n', 400],
} as const

for (const [what, [bytes, status]] of Object.entries(answers))
  test(`118. ${what}: ${status}, with an id`, async (t) => {
    const { url, news } = await startWorld(t)
    const told = await exchange(url, bytes)
    t.regex(told, new RegExp(`^HTTP/1.1 ${status} `), told)
    t.regex(told, /\r\nX-Request-Id: [0-9A-Z]{26}\r\n/i)
    t.regex(told, /\r\nX-Content-Type-Options: nosniff\r\n/i)
    t.notRegex(told, / at .*\.ts|node:/)
    t.is(told.split('HTTP/1.1 ').length, 2, 'one answer')
    t.deepEqual(await news(), [])
  })

const POST = 'POST /auth/oauth_exchange HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n'
const torn = {
  'a chunk that is none, after one that is': `${POST}Transfer-Encoding: chunked\r\n\r\n3\r\n{"a\r\ngarbage\r\n`,
  'a size that is none': `${POST}Transfer-Encoding: chunked\r\n\r\nzz\r\n{}\r\n0\r\n\r\n`,
  'a size beyond all bounds': `${POST}Transfer-Encoding: chunked\r\n\r\n${'f'.repeat(20)}\r\n{}\r\n0\r\n\r\n`,
  'a coding that nobody knows': `${POST}Transfer-Encoding: xchunked\r\n\r\n0\r\n\r\n`,
  'a coding before the chunks': `${POST}Transfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n`,
  'chunks in HTTP/1.0': `${POST.replace('1.1', '1.0')}Connection: keep-alive\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n`,
}
for (const [what, bytes] of Object.entries(torn))
  test(`112. ${what}: 400 with an id, and the connection ends`, async (t) => {
    const { url, news } = await startWorld(t)
    const told = await exchange(url, bytes)
    t.regex(told, /^HTTP\/1\.[01] 400 /)
    t.regex(told, /\r\nX-Request-Id: [0-9A-Z]{26}\r\n/i)
    t.regex(told, /\r\nConnection: close\r\n/i)
    t.is(told.split('HTTP/1.').length, 2, 'one answer')
    t.deepEqual(await news(), [])
    t.is((await fetch(`${url}/healthz`)).status, 200)
  })

test('112. garbage behind a request that is being answered cuts the connection: nothing is written into the answer', async (t) => {
  const { url } = await startWorld(t)
  t.notRegex(await exchange(url, 'GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n\0garbage\r\n\r\n'), / 400 /)
  t.is((await fetch(`${url}/healthz`)).status, 200)
})

test('some requests at once on one connection are answered in order, one after the other; many are cut', async (t) => {
  const { url, log } = await startWorld(t)
  const paths = ['/healthz', '/legal', '/readyz', '/', '/todos/me', '/nothing', '/openapi.json', '/logo.png', '/login']
  const ask = (path: string, more = '') => `GET ${path} HTTP/1.1\r\nHost: x\r\n${more}\r\n`
  const told = await exchange(url, paths.map((path) => ask(path)).join('') + ask('/healthz', 'Connection: close\r\n'))
  t.is(told.match(/HTTP\/1\.1 \d+ /g)?.length, 10)
  t.deepEqual(
    log.map((line) => JSON.parse(line).path).filter((path) => path !== undefined),
    [...paths.map((path) => path.replace('/todos/me', '/todos/:username')), '/healthz'],
  )
  log.length = 0
  await exchange(url, ask('/logo.png').repeat(1900))
  t.true(log.length <= 11, `${log.length} of 1,900 were answered`)
  t.is((await fetch(`${url}/healthz`)).status, 200)
})

test('112. garbage after a whole answer on the same connection is answered, then cut', async (t) => {
  const { url } = await startWorld(t)
  const socket = connect(Number(new URL(url).port), '127.0.0.1')
  let told = ''
  socket.setEncoding('utf8').on('data', (part: string) => {
    told += part
  })
  socket.write('GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n')
  while (!told.includes('"up"}')) await once(socket, 'data')
  await new Promise((resolve) => setTimeout(resolve, 50))
  socket.write('\0garbage\r\n\r\n')
  await once(socket, 'close')
  t.regex(told, /"up"\}HTTP\/1.1 400 .*X-Request-Id/s)
})
