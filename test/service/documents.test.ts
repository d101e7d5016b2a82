/** Client-id documents, fetched from a real HTTPS server that behaves, misbehaves, or stands where it must not. */
import { Resolver } from 'node:dns/promises'
import { once } from 'node:events'
import type { RequestListener, ServerResponse } from 'node:http'
import { gzipSync } from 'node:zlib'
import test, { type ExecutionContext } from 'ava'
import {
  DocumentUnreadable,
  dnsLookup,
  documentFetcher,
  type FetchDocument,
  type FetcherOptions,
  freshMsOf,
} from '../../src/service/documents.ts'
import { wait } from '../_support.ts'
import { CA, startHost, startNameServer, startRawHost } from './_hosts.ts'

const NO_PUBLIC_ADDRESS = 'No public address was found for the host of the client-id document.'
const LATE = 'The client-id document did not arrive in time.'
const LARGE = 'The client-id document is larger than 64 kB.'
const BUSY = 'Too many client-id documents are being fetched. Try again in a moment.'
const NOT_JSON = 'The client-id document is not JSON in UTF-8.'
const NO_OBJECT = 'The client-id document must be a JSON object.'

const DOCUMENT = { client_id: 'https://client.example/app.json', client_name: 'An app' }

/** A fetcher for which `client.example` is this machine, and this machine a public address. */
const local = (options: Partial<FetcherOptions> = {}): FetchDocument =>
  documentFetcher({
    lookup: async () => ['127.0.0.1'],
    ca: CA,
    isForbidden: (address) => address !== '127.0.0.1',
    ...options,
  })

const urlOn = (port: number, path = '/app.json', host = 'client.example'): URL =>
  new URL(`https://${host}:${port}${path}`)

const sendJson = (response: ServerResponse, body: string | Buffer = JSON.stringify(DOCUMENT)): void =>
  void response.setHeader('content-type', 'application/json').end(body)

async function refused(t: ExecutionContext, fetching: Promise<unknown>, message: string): Promise<DocumentUnreadable> {
  const error = await t.throwsAsync(fetching, { instanceOf: DocumentUnreadable }, message)
  t.is(error?.message, message)
  return error!
}

/** Strangers are told nothing of why: the code is for the log. */
async function notFetched(t: ExecutionContext, fetching: Promise<unknown>, code: string): Promise<DocumentUnreadable> {
  const error = await refused(t, fetching, 'The client-id document could not be fetched.')
  t.is((error.cause as NodeJS.ErrnoException).code, code)
  return error
}

/** The sentence with which an answer is refused; `undefined` if it is taken. */
async function sentenceFor(t: ExecutionContext, answer: RequestListener): Promise<string | undefined> {
  const { port } = await startHost(t, answer)
  return local()(urlOn(port)).then(
    () => undefined,
    (error: Error) => error.message,
  )
}

test('a document is fetched with a plain GET that carries no credentials', async (t) => {
  let headers: unknown
  const { port, asked } = await startHost(t, (request, response) => {
    headers = { method: request.method, ...request.headers }
    sendJson(response)
  })
  t.deepEqual(await local()(urlOn(port, '/app.json?v=1')), { json: DOCUMENT, freshMs: 3_600_000 })
  t.deepEqual(asked, ['/app.json?v=1'])
  t.deepEqual(headers, {
    method: 'GET',
    accept: 'application/json',
    'accept-encoding': 'identity',
    connection: 'close',
    host: `client.example:${port}`,
    'user-agent': 'Daybook',
  })
})

test('77. only https, without user and fragment, and of a sane length; nothing is sent otherwise', async (t) => {
  const { port, opened } = await startHost(t, (_, response) => sendJson(response))
  const cases = {
    [`http://client.example:${port}/app.json`]: 'A client-id document must have an https URL.',
    [`ftp://client.example:${port}/app.json`]: 'A client-id document must have an https URL.',
    'file:///etc/passwd': 'A client-id document must have an https URL.',
    [`https://user@client.example:${port}/`]: 'The URL of a client-id document must not contain a user.',
    [`https://:secret@client.example:${port}/`]: 'The URL of a client-id document must not contain a user.',
    [`https://client.example:${port}/#top`]: 'The URL of a client-id document must not have a fragment.',
    [`https://client.example:${port}/#`]: 'The URL of a client-id document must not have a fragment.',
    [`https://client.example:${port}/${'a'.repeat(2048)}`]: 'The URL of a client-id document must not be that long.',
  }
  for (const [url, message] of Object.entries(cases)) {
    const { wasTried } = await refused(t, local()(new URL(url)), message)
    t.false(wasTried)
  }
  t.is(opened(), 0)
})

test('77. an address that is not public is refused after resolution, before anything is sent', async (t) => {
  const { port, opened } = await startHost(t, (_, response) => sendJson(response))
  const answers = [
    ['127.0.0.1'],
    ['::1'],
    ['::ffff:127.0.0.1'],
    ['8.8.8.8', '10.0.0.1'],
    ['127.0.0.1', '8.8.8.8'],
    ['2606:4700::1111', 'fd00::1'],
    [],
  ]
  for (const addresses of answers) {
    const fetch = documentFetcher({ ca: CA, lookup: async () => addresses })
    await refused(t, fetch(urlOn(port)), NO_PUBLIC_ADDRESS)
  }
  t.is(opened(), 0)
})

test('77. an address in the URL is judged as well, however it is written', async (t) => {
  const { port, opened } = await startHost(t, (_, response) => sendJson(response))
  const lookup = async (): Promise<never> => t.fail('nothing to resolve') as never
  const hosts = ['127.0.0.1', '0x7f.1', '2130706433', '127.0.0.1.', '0', '169.254.169.254', '[::1]', '[::]']
  const embedded = ['[::ffff:127.0.0.1]', '[64:ff9b::7f00:1]', '[fe80::1]']
  for (const host of [...hosts, ...embedded])
    await refused(t, documentFetcher({ ca: CA, lookup })(urlOn(port, '/', host)), NO_PUBLIC_ADDRESS)
  t.is(opened(), 0)
})

test('77. a name is resolved once; an answer that would differ the second time is never heard', async (t) => {
  const { port, asked } = await startHost(t, (_, response) => sendJson(response))
  const answers = [['127.0.0.1'], ['127.0.0.2']]
  const judged: string[] = []
  const fetch = local({
    lookup: async () => answers.shift()!,
    isForbidden: (address) => {
      judged.push(address)
      return address !== '127.0.0.1'
    },
  })
  t.deepEqual((await fetch(urlOn(port))).json, DOCUMENT)
  t.deepEqual(answers, [['127.0.0.2']])
  t.deepEqual(judged, ['127.0.0.1', '127.0.0.1'], 'after resolution and after connecting')
  t.is(asked.length, 1)
})

test('77. the address is judged again once the connection stands, before the request is sent', async (t) => {
  const { port, asked } = await startHost(t, (_, response) => sendJson(response))
  let judged = 0
  await refused(t, local({ isForbidden: () => judged++ > 0 })(urlOn(port)), NO_PUBLIC_ADDRESS)
  t.is(judged, 2)
  t.deepEqual(asked, [])
})

test('a host with several addresses is reached at the one that answers', async (t) => {
  const { port } = await startHost(t, (_, response) => sendJson(response))
  const fetch = local({ lookup: async () => ['127.0.0.3', '127.0.0.2', '127.0.0.1'], isForbidden: () => false })
  t.deepEqual((await fetch(urlOn(port))).json, DOCUMENT)
})

test('names are asked of the name servers: both families, and no document without an answer', async (t) => {
  const server = await startNameServer(t, {
    'client.example': ['127.0.0.1'],
    'mixed.example': ['127.0.0.1', '2001:db8:0:0:0:0:0:1'],
    'internal.example': ['10.0.0.1'],
    'empty.example': [],
    'silent.example': 'silence',
  })
  const lookup = dnsLookup(() => {
    const resolver = new Resolver({ tries: 100 })
    resolver.setServers([server])
    return resolver
  })
  const { port, opened } = await startHost(t, (_, response) => sendJson(response))
  t.deepEqual((await local({ lookup })(urlOn(port))).json, DOCUMENT)
  t.deepEqual(await lookup('mixed.example', new AbortController().signal), ['127.0.0.1', '2001:db8::1'])
  for (const host of ['mixed.example', 'internal.example', 'empty.example', 'unknown.example'])
    await refused(t, local({ lookup })(urlOn(port, '/', host)), NO_PUBLIC_ADDRESS)
  await refused(t, local({ lookup, deadlineMs: 100 })(urlOn(port, '/', 'silent.example')), LATE)
  t.is(opened(), 1)
})

test('by default this machine is not reached by its names', async (t) => {
  const { port, opened } = await startHost(t, (_, response) => sendJson(response))
  await refused(t, documentFetcher({ ca: CA })(urlOn(port, '/', 'localhost')), NO_PUBLIC_ADDRESS)
  await refused(t, documentFetcher()(urlOn(port, '/', '127.0.0.1')), NO_PUBLIC_ADDRESS)
  t.is(opened(), 0)
})

test('the certificate must be of a known authority and for this name', async (t) => {
  const { port, asked } = await startHost(t, (_, response) => sendJson(response))
  await notFetched(t, local({ ca: undefined })(urlOn(port)), 'DEPTH_ZERO_SELF_SIGNED_CERT')
  await notFetched(t, local()(urlOn(port, '/', 'wrong.example')), 'ERR_TLS_CERT_ALTNAME_INVALID')
  t.deepEqual(asked, [])
  t.deepEqual((await local()(urlOn(port, '/', 'other.example'))).json, DOCUMENT)
})

test.serial('the certificate is checked even where the environment turns that off', async (t) => {
  const { port } = await startHost(t, (_, response) => sendJson(response))
  process.env.NODE_TLS_REJECT_UNAUTHORIZED = '0'
  t.teardown(() => delete process.env.NODE_TLS_REJECT_UNAUTHORIZED)
  await t.throwsAsync(local({ ca: undefined })(urlOn(port)), { instanceOf: DocumentUnreadable })
})

test('a host that cannot be reached, or hangs up, gives a sentence that names no address', async (t) => {
  const { port } = await startHost(t, (_, response) => void response.destroy())
  const reset = await notFetched(t, local()(urlOn(port)), 'ECONNRESET')
  t.true(reset.wasTried)
  const lookup = async () => ['127.0.0.2']
  const closed = local({ lookup, isForbidden: () => false })(urlOn(port))
  await notFetched(t, closed, 'ECONNREFUSED')
})

test('77. redirects are not followed', async (t) => {
  for (const status of [300, 301, 302, 303, 304, 307, 308]) {
    const { port, asked } = await startHost(t, (request, response) =>
      request.url === '/app.json' ? void response.writeHead(status, { location: '/other' }).end() : sendJson(response),
    )
    await refused(t, local()(urlOn(port)), 'The client-id document is a redirect, and redirects are not followed.')
    t.deepEqual(asked, ['/app.json'])
  }
})

test('only status 200 is an answer', async (t) => {
  for (const status of [201, 203, 204, 206, 400, 401, 404, 500, 503]) {
    const sentence = await sentenceFor(t, (_, response) => {
      response.statusCode = status
      sendJson(response)
    })
    t.is(sentence, `The client-id document was answered with status ${status}, not with 200.`)
  }
  const upgraded = 'HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n'
  await refused(t, local()(urlOn(await startRawHost(t, upgraded))), 'The client-id document was not sent.')
})

test('the type is JSON, or a kind of it', async (t) => {
  const answer = (type: string | undefined) =>
    sentenceFor(t, (_, response) => {
      if (type !== undefined) response.setHeader('content-type', type)
      response.end(JSON.stringify(DOCUMENT))
    })
  for (const type of [
    'application/json',
    'APPLICATION/JSON',
    'application/json; charset=utf-8',
    'application/oauth-client+json',
    'application/vnd.example.v1+json;v=1',
  ])
    t.is(await answer(type), undefined, type)
  for (const type of [
    undefined,
    '',
    'text/html',
    'text/json',
    'application/jsonp',
    'application/+json',
    'application/json-seq',
    'application/x/y+json',
    'text/plain, application/json',
  ])
    t.is(await answer(type), 'The client-id document must have the type application/json.', String(type))
})

test('77. at most 64 kB, whatever the host says', async (t) => {
  const padded = (size: number): string => `{"a":"${'a'.repeat(size - 8)}"}`
  t.is(await sentenceFor(t, (_, response) => sendJson(response, padded(65_536))), undefined)
  t.is(await sentenceFor(t, (_, response) => sendJson(response, padded(65_537))), LARGE)
  const inChunks: RequestListener = (_, response) => {
    response.setHeader('content-type', 'application/json')
    response.write(padded(65_537))
    response.end()
  }
  t.is(await sentenceFor(t, inChunks), LARGE)
})

test('77. a body without end is cut off', async (t) => {
  const { promise: closed, resolve } = Promise.withResolvers<void>()
  const { port } = await startHost(t, (_, response) => {
    response.setHeader('content-type', 'application/json')
    const flood = (): void => {
      while (!response.destroyed && response.write(' '.repeat(16_384)));
    }
    response.on('drain', flood).once('close', resolve)
    flood()
  })
  await refused(t, local({ deadlineMs: 60_000 })(urlOn(port)), LARGE)
  await t.notThrowsAsync(closed)
})

test('a Content-Length that lies', async (t) => {
  const body = JSON.stringify(DOCUMENT)
  const answer = (length: string | number, rest: string): string =>
    `HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: ${length}\r\n\r\n${rest}`
  const fetch = async (bytes: string, deadlineMs = 60_000) => local({ deadlineMs })(urlOn(await startRawHost(t, bytes)))
  t.deepEqual((await fetch(answer(body.length, body))).json, DOCUMENT)
  await refused(t, fetch(answer(65_537, body)), LARGE)
  await refused(t, fetch(answer(body.length + 1, body), 300), LATE)
  await refused(t, fetch(answer(body.length - 1, body)), NOT_JSON)
  for (const length of ['-1', 'many', `${body.length}, 5`, '9'.repeat(30)])
    await t.throwsAsync(fetch(answer(length, body)), { instanceOf: DocumentUnreadable }, length)
})

test('nothing compressed is taken, though it would unpack to a document', async (t) => {
  const packed = gzipSync(JSON.stringify(DOCUMENT))
  for (const encoding of ['gzip', 'br', 'identity, gzip'])
    t.is(
      await sentenceFor(t, (_, response) => sendJson(response.setHeader('content-encoding', encoding), packed)),
      'The client-id document must not be compressed.',
    )
  t.is(await sentenceFor(t, (_, response) => sendJson(response.setHeader('content-encoding', 'identity'))), undefined)
})

test('the body is a JSON object in UTF-8, and not nested too deeply', async (t) => {
  const sentence = (body: string | Buffer) => sentenceFor(t, (_, response) => sendJson(response, body))
  for (const broken of [
    '',
    '{',
    '{"a":1}}',
    "{'a':1}",
    '<html>',
    Buffer.from([0x7b, 0x22, 0xff, 0x22, 0x3a, 0x31, 0x7d]),
  ])
    t.is(await sentence(broken), NOT_JSON, String(broken))
  for (const other of ['[]', '[{}]', 'null', '1', '"{}"', 'true']) t.is(await sentence(other), NO_OBJECT, other)
  const nested = (depth: number): string => `${'{"a":'.repeat(depth)}1${'}'.repeat(depth)}`
  t.is(await sentence(nested(10)), undefined)
  t.is(await sentence(nested(17)), 'The client-id document is nested too deeply.')
  t.is(
    await sentence(`{"a":${'['.repeat(32_000)}${']'.repeat(32_000)}}`),
    'The client-id document is nested too deeply.',
  )
})

test('77. one deadline for slow headers, a slow body and one that drips', async (t) => {
  const drip = (response: ServerResponse): void => {
    const timer = setInterval(() => response.write(' '), 20)
    response.once('close', () => clearInterval(timer))
  }
  const slow: RequestListener[] = [
    () => {},
    (_, response) => response.setHeader('content-type', 'application/json').flushHeaders(),
    (_, response) => drip(response.setHeader('content-type', 'application/json')),
  ]
  for (const answer of slow) {
    const { port } = await startHost(t, answer)
    const { wasTried } = await refused(t, local({ deadlineMs: 300 })(urlOn(port)), LATE)
    t.true(wasTried)
  }
  const informed = 'HTTP/1.1 103 Early Hints\r\n\r\n'.repeat(100)
  await refused(t, local({ deadlineMs: 300 })(urlOn(await startRawHost(t, informed))), LATE)
  await refused(t, local({ deadlineMs: 300 })(urlOn(await startRawHost(t, 'HTTP/1.1 200 OK\r\nX: '))), LATE)
})

test('headers without end are refused', async (t) => {
  const port = await startRawHost(t, `HTTP/1.1 200 OK\r\nX: ${'a'.repeat(20_000)}`)
  await notFetched(t, local({ deadlineMs: 60_000 })(urlOn(port)), 'HPE_HEADER_OVERFLOW')
})

test('those who ask for the same URL share one fetch; the next one after that fetches anew', async (t) => {
  const { promise: released, resolve: release } = Promise.withResolvers<void>()
  const { port, asked } = await startHost(t, (_, response) => void released.then(() => sendJson(response)))
  const fetch = local()
  const all = Array.from({ length: 100 }, () => fetch(urlOn(port)))
  release()
  for (const { json } of await Promise.all(all)) t.deepEqual(json, DOCUMENT)
  t.deepEqual(asked, ['/app.json'])
  await fetch(urlOn(port))
  t.is(asked.length, 2)
})

test('eight at once, 32 wait, and no more', async (t) => {
  const held: ServerResponse[] = []
  const { port, asked } = await startHost(t, (_, response) => void held.push(response))
  const fetch = local({ deadlineMs: 60_000 })
  const fetching = Array.from({ length: 40 }, (_, i) => fetch(urlOn(port, `/${i}`)))
  const { wasTried } = await refused(t, fetch(urlOn(port, '/one-more')), BUSY)
  t.false(wasTried)
  const shared = fetch(urlOn(port, '/39'))
  while (asked.length < 8) await wait(5)
  await wait(50)
  t.is(asked.length, 8)
  for (let answered = 0; answered < 40; answered++) {
    while (held.length === 0) await wait(5)
    t.true(held.length <= 8)
    sendJson(held.shift()!)
  }
  await Promise.all([...fetching, shared])
  t.is(asked.length, 40)
  t.false(asked.includes('/one-more'))
})

test('who waits until the deadline was not tried, and leaves its place to others', async (t) => {
  const { port, opened } = await startHost(t, (_, response) => sendJson(response))
  const { promise: found, resolve: find } = Promise.withResolvers<string[]>()
  const fetch = local({ deadlineMs: 300, lookup: () => found })
  const running = Array.from({ length: 8 }, (_, i) => fetch(urlOn(port, `/${i}`)))
  const waiting = Array.from({ length: 32 }, (_, i) => fetch(urlOn(port, `/waiting-${i}`)))
  for (const { wasTried } of await Promise.all(waiting.map((one) => refused(t, one, BUSY)))) t.false(wasTried)
  find(['127.0.0.1'])
  await Promise.all(running.map((one) => refused(t, one, LATE)))
  t.is(opened(), 0)
  // A busy machine may need several tries within this deadline.
  let last: unknown
  while (last === undefined) last = (await fetch(urlOn(port)).catch(() => undefined))?.json
  t.deepEqual(last, DOCUMENT)
})

test('the connection ends with the fetch', async (t) => {
  const { promise: socket, resolve } = Promise.withResolvers<import('node:net').Socket>()
  const { port } = await startHost(t, (request, response) => {
    resolve(request.socket)
    response.writeHead(404, { 'content-type': 'application/json' }).write('{')
  })
  await t.throwsAsync(local({ deadlineMs: 60_000 })(urlOn(port)), { instanceOf: DocumentUnreadable })
  const open = await socket
  if (!open.destroyed) await once(open, 'close')
  t.true(open.destroyed)
})

test('how long a document is fresh: as its host says, from five minutes to a day', async (t) => {
  const MINUTE = 60_000
  const cases: [string | undefined, number][] = [
    [undefined, 60 * MINUTE],
    ['', 60 * MINUTE],
    ['public, must-revalidate', 60 * MINUTE],
    ['max-age=1800', 30 * MINUTE],
    ['public, MAX-AGE=1800 , immutable', 30 * MINUTE],
    ['max-age="1800"', 30 * MINUTE],
    ['max-age=0', 5 * MINUTE],
    ['max-age=299', 5 * MINUTE],
    ['max-age=301', 301_000],
    ['max-age=86400', 1440 * MINUTE],
    ['max-age=31536000', 1440 * MINUTE],
    [`max-age=${'9'.repeat(400)}`, 1440 * MINUTE],
    ['max-age=-1', 5 * MINUTE],
    ['max-age=soon', 5 * MINUTE],
    ['max-age', 5 * MINUTE],
    ['max-age=1800, max-age=3600', 30 * MINUTE],
    ['no-store', 5 * MINUTE],
    ['no-store, max-age=86400', 5 * MINUTE],
    ['max-age=86400, no-cache', 5 * MINUTE],
    ['x-max-age=1', 60 * MINUTE],
  ]
  for (const [header, expected] of cases) t.is(freshMsOf(header), expected, header)
  const { port } = await startHost(t, (_, response) => sendJson(response.setHeader('cache-control', 'max-age=1800')))
  t.is((await local()(urlOn(port))).freshMs, 30 * MINUTE)
})
