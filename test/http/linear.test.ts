/** Whatever strangers send is read in linear time: 16 times as much takes far less than 256 times as long. */
import { connect } from 'node:net'
import test from 'ava'
import { isRedirectUri } from '../../src/domain/redirects.ts'
import { parseFilter } from '../../src/domain/search.ts'
import { isEmail, isUsername } from '../../src/domain/users.ts'
import { breakOf, lineAndColumn, repeatedMember } from '../../src/http/json.ts'
import { clientAddress, proxyList } from '../../src/http/origin.ts'
import { checkLine, GENESIS } from '../../src/ledger/chain.ts'
import { verifyExport } from '../../src/ledger/proof.ts'
import { startWorld } from '../_support.ts'

/** The least time of several runs, in ms: what else runs on the machine counts as little as may be. */
async function least(act: () => unknown): Promise<number> {
  const runs: number[] = []
  for (let i = 0; i < 5; i++) {
    const before = performance.now()
    await act()
    runs.push(performance.now() - before)
  }
  return Math.min(...runs)
}

/** At 16 times the length linear time is 16 times as much, and quadratic time 256 times. */
const MOST_GROWTH = 40

/**
 * Measures at n, 4n and 16n, again where it was too slow.
 * @param floorMs what takes so long tells nothing @returns what is wrong, if anything
 */
async function growthWrong(act: (n: number) => unknown, n: number, floorMs: number): Promise<string | undefined> {
  let told = ''
  for (let tries = 0; tries < 4; tries++) {
    const times: number[] = []
    for (const factor of [1, 4, 16]) times.push(await least(() => act(factor * n)))
    if (times[2]! < MOST_GROWTH * times[0]! + floorMs) return undefined
    told = `${n}, ${4 * n}, ${16 * n}: ${times.map((ms) => `${ms.toFixed(2)} ms`).join(', ')}`
  }
  return told
}

const repeated = (text: string, n: number): string => text.repeat(Math.ceil(n / text.length)).slice(0, n)

/** Sends a request and waits for the end of the connection. */
function ask(url: string, bytes: string): Promise<void> {
  const socket = connect(Number(new URL(url).port), '127.0.0.1')
  socket.on('error', () => {}) // Being cut is an answer too.
  socket.resume().end(bytes)
  return new Promise((resolve) => socket.once('close', () => resolve()))
}

type Asked = (n: number) => string
const asking = (line: string, headers: string, body = ''): string =>
  `${line} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n${headers}\r\n\r\n${body}`
const header =
  (line: string, name: string, around: string, text: string): Asked =>
  (n) =>
    asking(line, `${name}: ${around.replace('*', () => repeated(text, n))}`)
const target =
  (path: string, text: string): Asked =>
  (n) =>
    asking(`GET ${path}${repeated(text, n)}`, 'X: y')
const typed = (type: string, path: string, body: Asked): Asked => {
  return (n) => {
    const text = body(n)
    return asking(`POST ${path}`, `Content-Type: ${type}\r\nContent-Length: ${Buffer.byteLength(text)}`, text)
  }
}
const form = (before: string, text: string): Asked =>
  typed('application/x-www-form-urlencoded', '/login', (n) => before + repeated(text, 2 * n))
const json = (before: string, text: string, after = ''): Asked =>
  typed('application/json', '/auth/oauth_exchange', (n) => before + repeated(text, 4 * n) + after)

const POST = 'POST /todos/me'
const TOKEN = 'POST /auth/oauth_exchange'
const DOCUMENT = 'GET /openapi.yaml'
const media = (around: string, text: string): Asked => header(POST, 'Content-Length: 1\r\nContent-Type', around, text)

const requests: { readonly [what: string]: Asked } = {
  'Content-Type: blanks behind a type': media('a/b*x', ' '),
  'Content-Type: blanks behind a parameter': media('application/json;a=b*x', ' '),
  'Content-Type: blanks and semicolons': media('application/json;*x', ' ;'),
  'Content-Type: quotes': media('application/json*x', ';a="'),
  'Content-Type: parameters': media('application/json*x', ';a=b '),
  'Content-Encoding': header(POST, 'Content-Length: 1\r\nContent-Encoding', '*', 'gzip,'),
  'Transfer-Encoding': header(POST, 'Transfer-Encoding', '*', 'a,'),
  'Accept: commas in a quote': header('GET /nope', 'Accept', '"*', ','),
  'Accept: quotes': header('GET /nope', 'Accept', 'a/b;*', '";'),
  'Accept: types': header('GET /nope', 'Accept', '*', 'a/b,'),
  'Accept: blanks': header('GET /nope', 'Accept', 'a/b*x', ' '),
  'Bearer: blanks': header('GET /todos/me', 'Authorization', 'Bearer *!', ' '),
  'Bearer: padding': header('GET /todos/me', 'Authorization', 'Bearer a*!', '='),
  'Basic: base64': header(TOKEN, 'Authorization', 'Basic *', 'YTph'),
  'Basic: percent-encoding': (n) =>
    asking(TOKEN, `Authorization: Basic ${Buffer.from(`${repeated('%41+', n * 0.7)}:`).toString('base64')}`),
  'Cookie: blanks': header('GET /', 'Cookie', ';*', ' '),
  'Cookie: many': header('GET /', 'Cookie', '*', 'daybook_session=x; '),
  'X-Forwarded-For: hops': header('GET /healthz', 'X-Forwarded-For', '*', '10.0.0.1,'),
  'X-Forwarded-For: an address': header('GET /healthz', 'X-Forwarded-For', '[*', ':'),
  'If-None-Match: tags': header(DOCUMENT, 'If-None-Match', '*', '"x",'),
  'If-None-Match: blanks': header(DOCUMENT, 'If-None-Match', '"x*', ' '),
  'Cache-Control: blanks': header(DOCUMENT, 'If-None-Match: "x"\r\nCache-Control', ',*x', ' '),
  'Origin and Access-Control-Request-Headers': header(
    'OPTIONS /todos/me',
    'Origin: https://chatgpt.com\r\nAccess-Control-Request-Method: GET\r\nAccess-Control-Request-Headers',
    '*',
    'a,',
  ),
  'Origin: a name to decode': header('POST /logout', 'Origin', 'http://xn--*', 'a'),
  'Sec-Purpose': header('GET /oauth', 'Sec-Purpose', '*', 'prefetc'),
  'query: one parameter many times, by Koa': target('/signup?', 'a&'),
  'query: many parameters, by Koa': (n) =>
    asking(`GET /signup?${Array.from({ length: n / 6 }, (_, i) => `a${i}`).join('&')}`, 'X: y'),
  'query: one parameter many times': target('/oauth?', 'a&'),
  'query: a long value': target('/oauth?state=', '%C3%A9'),
  'query: scopes': target('/oauth?client_id=chatgpt&scope=', 'a+'),
  'path: slashes': target('/', '/'),
  'path: secrets': target('/', 'dba_'),
  'path: a name': target('/todos/', '%2e'),
  'target: a URL': target('http://', 'a.'),
  'target: a name to decode': target('http://xn--', 'a'),
  Host: (n) => `GET /metrics HTTP/1.1\r\nHost: xn--${repeated('a', n)}\r\nConnection: close\r\n\r\n`,
  'form: brackets': form('', 'a['),
  'form: dots': form('', 'a.b.'),
  'form: one field many times': form('', 'a[]=b&'),
  'form: a long value': form('identifier=', '%41,'),
  'form: where to return': form('return_to=', '/oauth?'),
  'JSON: members': typed('application/json', '/auth/oauth_exchange', (n) => {
    const members = Array.from({ length: n / 3 }, (_, i) => `"\\u0061${i}":""`)
    return `{${members.join(',')}}`
  }),
  'JSON: names with escapes, twice': json('{"\\u0061":1', ',"\\u0061":1', '}'),
  'JSON: depth': typed('application/json', '/auth/oauth_exchange', (n) => `{"a":${'['.repeat(n)}${']'.repeat(n)}}`),
  'JSON: broken at depth': json('', '['),
  'JSON: a prototype': json('{', '"__proto__" '),
  'JSON: escapes': json('{"a":"', '\\"', '"}'),
  'JSON: half an escape': json('{"a":"', '\\\\'),
  'JSON: blanks': json('', ' \n', 'x'),
  'JSON: a number': json('{"a":', '1', 'x}'),
  'a body of an unknown type': typed('text/plain', '/todos/me', (n) => repeated('a', 4 * n)),
}

test.serial('requests: each header, query, form and JSON body', async (t) => {
  t.timeout(120_000)
  const { url } = await startWorld(t, {}, ['127.0.0.1', '10.0.0.0/8'])
  const wrong: string[] = []
  for (const [what, asked] of Object.entries(requests)) {
    const told = await growthWrong((n) => ask(url, asked(n)), 1950, 10)
    if (told !== undefined) wrong.push(`${what}: ${told}`)
  }
  t.deepEqual(wrong, [])
})

const trusted = proxyList(['10.0.0.0/8'])
const LINK = `"id":"${'0'.repeat(26)}","prev":"${GENESIS}","sealed":"x","seq":1,"type":"A","via":{`
const line = (body: string): string => `{"hash":"${GENESIS}",${body}`

const texts: { readonly [what: string]: (n: number) => unknown } = {
  'filter: letters': (n) => filtered(repeated('a', n)),
  'filter: words': (n) => filtered(repeated('a -', n)),
  'filter: quotes': (n) => filtered(repeated('a"', n)),
  'filter: an open quote': (n) => filtered(`"${repeated('a:', n)}`),
  'filter: minus': (n) => filtered(repeated('-', n)),
  'username, e-mail': (n) => [isUsername(repeated('a', n)), isEmail(`${repeated('a@', n)} `)],
  callback: (n) => isRedirectUri(`https://xn--${repeated('a', n)}/`, true),
  hops: (n) => clientAddress('10.0.0.1', repeated('10.0.0.1, ', n), trusted),
  'hops with blanks': (n) => clientAddress('10.0.0.1', `x${repeated(' ', n)}x`, trusted),
  'JSON that breaks': (n) => breakOf(`{"a":"${repeated('\\n', n)}`),
  'JSON that is whole': (n) => breakOf(`[${repeated('[],', n / 3)}0]`),
  lines: (n) => lineAndColumn(repeated('\n', n), n),
  'members of JSON': (n) => repeatedMember(`{${Array.from({ length: n / 8 }, (_, i) => `"a${i}":{}`).join(',')}}`),
  'a line of a book: its end many times': (n) => checkLine(line(repeated(LINK, n)), { seq: 0, hash: GENESIS }),
  'a line of a book: no end': (n) => checkLine(line(LINK + repeated('a', n)), { seq: 0, hash: GENESIS }),
  'an export of one line, in pieces': (n) => verifyExport(Array<string>(n / 10).fill(' '.repeat(100))),
  'an export of many lines': (n) => verifyExport([repeated('\n', n)]),
}

function filtered(text: string): void {
  try {
    parseFilter(text, 0)
  } catch {
    // What is no filter was read all the same.
  }
}

for (const [what, read] of Object.entries(texts))
  test.serial(`texts: ${what}`, async (t) => {
    t.is(await growthWrong(read, 10_000, 200), undefined)
  })
