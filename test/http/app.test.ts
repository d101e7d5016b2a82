/** L. Headers: what holds for every answer and every page, and what each route takes. */
import { METHODS } from 'node:http'
import test from 'ava'
import { ClientSide, startWorld, Visitor } from '../_support.ts'
import { assertPage, assertSafe, everyKind, HTML, type Kind } from './_answers.ts'
import { startWithAlice } from './_pages.ts'
import { type Raw, send } from './_wire.ts'

test('117. every page has a policy that lets nothing else in, and its forms lead only here or, where an app waits, on to it', async (t) => {
  const world = await startWorld(t)
  const { pages } = await everyKind(world)
  await world.news()
  for (const kind of pages) {
    const answer = await send(world.url, kind[1], kind[2])
    assertSafe(t, answer, kind)
    assertPage(t, answer, kind)
  }
  t.deepEqual(await world.news(), ['ConsentRequested', 'ConsentRequested', 'RedirectUriRequested'])
})

test('117. a form that was not right comes back with the same policy', async (t) => {
  const { url } = await startWithAlice(t)
  const visitor = new Visitor(url)
  const signIn = await visitor.get(new ClientSide(url).link())
  const signUp = await visitor.get(`/signup?return_to=${encodeURIComponent(new ClientSide(url).link())}`)
  for (const [page, name, formAction] of [
    [signIn, 'identifier', null],
    [signUp, 'username', null],
    [await visitor.get('/login'), 'identifier', "'self'"],
    [await visitor.get('/signup'), 'username', "'self'"],
  ] as const) {
    const answer = await visitor.submit(page, name, { identifier: 'alice', username: 'bob', password: 'short' })
    const headers = Object.fromEntries(answer.headers)
    const kind: Kind = [name, '', {}, 400, HTML, formAction]
    assertSafe(t, { status: answer.status, headers, body: Buffer.from(answer.text) }, kind)
    assertPage(t, { status: answer.status, headers, body: Buffer.from(answer.text) }, kind)
  }
})

test('118. every other kind of answer: nosniff, the right type, an id, no version, no stack', async (t) => {
  const world = await startWorld(t)
  const { others, oauth } = await everyKind(world)
  const ids = new Set<unknown>()
  await world.news()
  for (const kind of [...others, ...oauth]) {
    const answer = await send(world.url, kind[1], kind[2])
    assertSafe(t, answer, kind)
    const id = answer.headers['x-request-id']
    ids.add(id)
    const { status, path } = JSON.parse(world.log.find((line) => line.includes(`"${id}"`)) ?? '{}')
    const logged = kind[1].split('?')[0]!.replace(/^\/todos\/[^/]+/, '/todos/:username')
    t.deepEqual([status, path], [answer.status, logged], 'every request has its line in the log, and it names nobody')
    t.is(answer.headers['strict-transport-security'], undefined, 'only over https')
    if (answer.status < 400) continue
    const told = JSON.parse(answer.body.toString('utf8'))
    t.deepEqual(
      Object.keys(told),
      oauth.includes(kind) ? ['error', 'error_description'] : ['error', 'message', 'request_id'],
    )
    t.regex(told.error, /^[a-z]+(_[a-z]+)*$/, kind[0])
    if (oauth.includes(kind))
      t.deepEqual([answer.headers['cache-control'], answer.headers.pragma], ['no-store', 'no-cache'])
    else t.is(told.request_id, answer.headers['x-request-id'], kind[0])
  }
  t.is(ids.size, others.length + oauth.length)
  t.deepEqual(await world.news(), ['TodoAdded'])
})

test('118. over https browsers are told to stay there', async (t) => {
  const { url } = await startWorld(t, { publicUrl: 'https://todo.example' })
  for (const path of ['/', '/healthz', '/nothing', '/todos/me', '/logout'])
    t.regex((await send(url, path)).headers['strict-transport-security'] ?? '', /^max-age=31536000/, path)
})

/** The sitemap: what each route takes besides OPTIONS. */
const ROUTES: { readonly [path: string]: readonly string[] } = {
  '/': ['GET', 'HEAD'],
  '/login': ['GET', 'HEAD', 'POST'],
  '/signup': ['GET', 'HEAD', 'POST'],
  '/logout': ['GET', 'HEAD', 'POST'],
  '/oauth': ['GET', 'HEAD'],
  '/oauth/consent': ['POST'],
  '/auth/oauth_exchange': ['POST'],
  '/todos/me': ['DELETE', 'GET', 'HEAD', 'POST'],
  '/style.css': ['GET', 'HEAD'],
  '/legal': ['GET', 'HEAD'],
  '/logo.png': ['GET', 'HEAD'],
  '/openapi.yaml': ['GET', 'HEAD'],
  '/openapi.json': ['GET', 'HEAD'],
  '/.well-known/ai-plugin.json': ['GET', 'HEAD'],
  '/.well-known/oauth-authorization-server': ['GET', 'HEAD'],
  '/.well-known/oauth-protected-resource': ['GET', 'HEAD'],
  '/healthz': ['GET', 'HEAD'],
  '/readyz': ['GET', 'HEAD'],
}

test('every method that a route does not take: 405 with an exact Allow, and nothing happens', async (t) => {
  const { url, news } = await startWorld(t)
  for (const [path, methods] of Object.entries(ROUTES)) {
    const allow = ({ headers }: Raw) => headers.allow?.split(', ').sort()
    // CONNECT asks for a tunnel: Node itself ends that connection.
    for (const method of METHODS.filter((one) => !methods.includes(one) && one !== 'CONNECT')) {
      const answer = await send(url, path, { method })
      const what = `${method} ${path}`
      t.deepEqual(allow(answer), methods, what)
      t.is(answer.status, method === 'OPTIONS' ? 200 : 405, what)
      if (method === 'OPTIONS') t.is(answer.body.length, 0)
      else if (method !== 'HEAD')
        t.regex(answer.body.toString(), /method_not_allowed|That method is not allowed|invalid_request/, what)
    }
  }
  t.deepEqual(await news(), [])
})

test('HEAD is answered as GET is, without the body', async (t) => {
  const world = await startWorld(t)
  const { token } = await everyKind(world)
  await world.news()
  const paths = [
    ...Object.keys(ROUTES).filter((path) => ROUTES[path]!.includes('HEAD')),
    '/nothing',
    new ClientSide(world.url).link(),
  ]
  for (const path of paths)
    for (const headers of [{}, { accept: 'text/html' }, { authorization: `Bearer ${token}` }]) {
      const [get, head] = await Promise.all(['GET', 'HEAD'].map((method) => send(world.url, path, { method, headers })))
      const compared = ({ headers: { date: _, 'x-request-id': __, 'set-cookie': ___, ...rest }, status }: Raw) => ({
        status,
        ...rest,
      })
      t.deepEqual(compared(head!), compared(get!), path)
      t.is(head!.body.length, 0, path)
    }
  t.deepEqual(await world.news(), [])
})

test('where there is nothing there is nothing, whatever the method', async (t) => {
  const { url } = await startWorld(t)
  for (const path of ['/nothing', '/todos', '/todos/a/b', '/login/', '/LOGIN', '/auth', '/oauth/'])
    for (const method of METHODS.filter((one) => one !== 'CONNECT')) {
      const { status, headers } = await send(url, path, { method })
      t.is(status, 404, `${method} ${path}`)
      t.is(headers.allow, undefined, `${method} ${path}`)
    }
})
