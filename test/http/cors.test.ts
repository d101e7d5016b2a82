/** G. Which origins may read what (the Fetch standard's CORS protocol, and its preflight for private networks). */
import test from 'ava'
import { ClientSide, startWorld } from '../_support.ts'
import { type Raw, send } from './_wire.ts'

/** What the named origins may read: the plugin's documents, the metadata, the API. */
const PUBLIC = [
  '/.well-known/ai-plugin.json',
  '/openapi.yaml',
  '/openapi.json',
  '/logo.png',
  '/.well-known/oauth-authorization-server',
  '/.well-known/oauth-protected-resource',
  '/legal',
]

const ASKED_HEADERS = 'authorization,content-type,if-match,if-none-match,idempotency-key'

const allowed = (headers: Raw['headers']) => Object.keys(headers).filter((name) => name.startsWith('access-control-'))

test('the two origins of ChatGPT may read the documents and the API, and no other origin may', async (t) => {
  const { url, news } = await startWorld(t)
  const paths = [...PUBLIC, '/todos/me', '/todos/me/items', '/todos/me/items/x', '/.well-known/nothing']
  for (const path of paths) {
    for (const origin of ['https://chat.openai.com', 'https://chatgpt.com'])
      for (const method of ['GET', 'HEAD', 'PUT']) {
        const { headers } = await send(url, path, { method, headers: { origin } })
        t.is(headers['access-control-allow-origin'], origin, `${method} ${path}`)
        t.is(headers['access-control-allow-credentials'], undefined)
        const exposed = headers['access-control-expose-headers']!.split(',')
        for (const name of ['WWW-Authenticate', 'ETag', 'Location', 'X-Request-Id', 'Retry-After'])
          t.true(exposed.includes(name), name)
        t.is(headers.vary, 'Origin')
      }
    const foreign = [
      'null',
      'http://chatgpt.com',
      'https://chatgpt.com.evil.example',
      'https://evil.chatgpt.com',
      'https://chatgpt.com/',
    ]
    for (const origin of [
      ...foreign,
      'https://chatgpt.com:443',
      'https://CHATGPT.com',
      'https://evil.example',
      '*',
      url,
    ]) {
      const asked = { 'access-control-request-method': 'POST', 'access-control-request-private-network': 'true' }
      for (const method of ['GET', 'OPTIONS'])
        t.deepEqual(
          allowed((await send(url, path, { method, headers: { ...asked, origin } })).headers),
          [],
          `${origin} ${path}`,
        )
    }
    const none = await send(url, path)
    t.deepEqual(allowed(none.headers), [])
    t.is(none.headers.vary, 'Origin', 'what is kept for one origin is not given to another')
  }
  t.deepEqual(await news(), [])
})

test('a preflight is answered to the two origins, also when it asks for a private network', async (t) => {
  const { url } = await startWorld(t)
  for (const origin of ['https://chat.openai.com', 'https://chatgpt.com'])
    for (const path of [...PUBLIC, '/todos/me', '/todos/me/items', '/todos/me/items/x', '/todos/me/batch']) {
      const asked = {
        origin,
        'access-control-request-method': 'PATCH',
        'access-control-request-headers': ASKED_HEADERS,
      }
      const { status, headers, body } = await send(url, path, { method: 'OPTIONS', headers: asked })
      t.is(status, 204, path)
      t.is(body.length, 0)
      t.is(headers['access-control-allow-origin'], origin)
      t.deepEqual(headers['access-control-allow-methods']!.split(',').sort(), [
        'DELETE',
        'GET',
        'HEAD',
        'PATCH',
        'POST',
      ])
      t.is(headers['access-control-allow-headers'], ASKED_HEADERS)
      t.is(headers['access-control-max-age'], '600')
      t.is(headers['access-control-allow-private-network'], undefined)
      const private_ = { ...asked, 'access-control-request-private-network': 'true' }
      const near = await send(url, path, { method: 'OPTIONS', headers: private_ })
      t.is(near.headers['access-control-allow-private-network'], 'true')
    }
})

test('no origin may read a page or anything under /auth', async (t) => {
  const { url, news } = await startWorld(t)
  const paths = [
    '/',
    '/login',
    '/signup',
    '/logout',
    '/oauth',
    '/oauth/consent',
    '/auth/oauth_exchange',
    '/auth/nothing',
    '/style.css',
    '/healthz',
    '/readyz',
    '/nothing',
    '/todosx/me',
    '/oauth/../todos/me',
  ]
  for (const path of [...paths, new ClientSide(url).link()])
    for (const method of ['GET', 'POST', 'OPTIONS']) {
      const headers = {
        origin: 'https://chatgpt.com',
        'access-control-request-method': 'POST',
        'access-control-request-private-network': 'true',
      }
      t.deepEqual(allowed((await send(url, path, { method, headers })).headers), [], `${method} ${path}`)
    }
  t.deepEqual(await news(), [])
})

test('CORS_ORIGINS decides which origins those are', async (t) => {
  const { url } = await startWorld(t, { corsOrigins: ['http://localhost:3000'] })
  const ask = async (origin: string) =>
    (await send(url, '/openapi.yaml', { headers: { origin } })).headers['access-control-allow-origin']
  t.is(await ask('http://localhost:3000'), 'http://localhost:3000')
  t.is(await ask('https://chatgpt.com'), undefined)
})
