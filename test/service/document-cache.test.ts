/** The cache of client-id documents: what it keeps, for how long, how much, and how it spares a host that fails. */
import type { RequestListener, ServerResponse } from 'node:http'
import test, { type ExecutionContext } from 'ava'
import { DocumentCache } from '../../src/service/document-cache.ts'
import { DocumentUnreadable, documentFetcher, type FetchDocument } from '../../src/service/documents.ts'
import { Clock } from '../_support.ts'
import { CA, type Host, startHost } from './_hosts.ts'

const MINUTE = 60_000
const MISMATCH = 'The client-id document names another client.'

type World = Host & { readonly clock: Clock; readonly read: (path: string) => Promise<string> }

/** A cache before a host, which says by its clock how old a document may be. A document has a name. */
async function startWorld(t: ExecutionContext, answer: RequestListener): Promise<World> {
  const host = await startHost(t, answer)
  const clock = new Clock(0)
  const fetch = documentFetcher({ lookup: async () => ['127.0.0.1'], ca: CA, isForbidden: () => false })
  const parse = (json: unknown): string => {
    if (typeof json === 'object' && json !== null && 'name' in json && typeof json.name === 'string') return json.name
    throw new DocumentUnreadable(MISMATCH)
  }
  const cache = new DocumentCache(fetch, parse, clock.read)
  return { ...host, clock, read: (path) => cache.read(new URL(`https://client.example:${host.port}${path}`)) }
}

const sendJson = (response: ServerResponse, json: unknown): void =>
  void response.setHeader('content-type', 'application/json').end(JSON.stringify(json))

test('a document is fetched once while it is fresh, and again after that', async (t) => {
  let version = 0
  const { read, clock, asked } = await startWorld(t, (_, response) =>
    sendJson(response.setHeader('cache-control', 'max-age=600'), { name: `version ${++version}` }),
  )
  t.is(await read('/app'), 'version 1')
  clock.pass(10 * MINUTE - 1)
  t.is(await read('/app'), 'version 1')
  t.is(asked.length, 1)
  clock.pass(1)
  t.is(await read('/app'), 'version 2')
  t.is(asked.length, 2)
})

test('reading does not make a document fresh for longer', async (t) => {
  const { read, clock, asked } = await startWorld(t, (_, response) => sendJson(response, { name: 'app' }))
  for (let minutes = 0; minutes < 60; minutes += 10) {
    await read('/app')
    clock.pass(10 * MINUTE)
  }
  t.is(asked.length, 1)
  await read('/app')
  t.is(asked.length, 2)
})

test('documents are told apart by their whole URL', async (t) => {
  const { read } = await startWorld(t, (request, response) => sendJson(response, { name: request.url }))
  for (const path of ['/a', '/A', '/a?b', '/a/']) t.is(await read(path), path)
  for (const path of ['/a', '/A', '/a?b', '/a/']) t.is(await read(path), path)
})

test('a URL that failed is not asked again for 30 seconds, and then it is', async (t) => {
  let status = 500
  const { read, clock, asked } = await startWorld(t, (_, response) => {
    response.statusCode = status
    sendJson(response, { name: 'app' })
  })
  const failed = { instanceOf: DocumentUnreadable, message: /status 500/ }
  for (let i = 0; i < 10; i++) await t.throwsAsync(read('/app'), failed)
  status = 200
  clock.pass(29_999)
  await t.throwsAsync(read('/app'), failed)
  t.deepEqual(asked, ['/app'])
  clock.pass(1)
  t.is(await read('/app'), 'app')
  t.is(await read('/app'), 'app')
  t.deepEqual(asked, ['/app', '/app'])
})

test('a document that is stale is not used when the host fails', async (t) => {
  let status = 200
  const { read, clock } = await startWorld(t, (_, response) => {
    response.statusCode = status
    sendJson(response, { name: 'app' })
  })
  t.is(await read('/app'), 'app')
  status = 404
  t.is(await read('/app'), 'app')
  clock.pass(60 * MINUTE)
  await t.throwsAsync(read('/app'), { instanceOf: DocumentUnreadable, message: /status 404/ })
})

test('an invalid document is not kept, and its host is spared as after a failure', async (t) => {
  let json: unknown = { other: 'app' }
  const { read, clock, asked } = await startWorld(t, (_, response) => sendJson(response, json))
  for (let i = 0; i < 3; i++) await t.throwsAsync(read('/app'), { instanceOf: DocumentUnreadable, message: MISMATCH })
  t.is(asked.length, 1)
  json = { name: 'app' }
  clock.pass(30_000)
  t.is(await read('/app'), 'app')
})

test('who was refused only because too many were fetching may come again at once', async (t) => {
  const held: (() => void)[] = []
  const { read } = await startWorld(t, (request, response) => {
    const send = (): void => sendJson(response, { name: request.url })
    if (request.url === '/app') send()
    else held.push(send)
  })
  const reading = Array.from({ length: 40 }, (_, i) => read(`/${i}`))
  await t.throwsAsync(read('/app'), { instanceOf: DocumentUnreadable, message: /^Too many/ })
  let done = false
  const all = Promise.all(reading).finally(() => {
    done = true
  })
  while (!done) {
    held.shift()?.()
    await new Promise((resolve) => setImmediate(resolve))
  }
  t.is((await all).length, 40)
  t.is(await read('/app'), '/app')
})

test('at most 500 are kept; those go first that were not used for longest; failures push out none', async (t) => {
  const asked: string[] = []
  const fetch: FetchDocument = async ({ pathname }) => {
    asked.push(pathname)
    if (pathname.startsWith('/bad')) throw new DocumentUnreadable('It is bad.')
    return { json: pathname, freshMs: MINUTE }
  }
  const cache = new DocumentCache(fetch, String, () => 0)
  const read = (path: string): Promise<string> => cache.read(new URL(`https://client.example${path}`))
  for (let i = 0; i < 500; i++) t.is(await read(`/${i}`), `/${i}`)
  for (let i = 0; i < 501; i++) await t.throwsAsync(read(`/bad${i}`))
  await read('/0')
  t.is(asked.length, 1001)
  await read('/new') // `/1` goes.
  for (const path of ['/0', '/2', '/499', '/new']) await read(path)
  t.is(asked.length, 1002)
  await read('/1')
  t.is(asked.length, 1003)
  await t.throwsAsync(read('/bad500'))
  t.is(asked.length, 1003)
  await t.throwsAsync(read('/bad0'))
  t.is(asked.length, 1004)
})
