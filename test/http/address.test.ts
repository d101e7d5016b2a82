/** A page that was opened by another address than `PUBLIC_URL` says so, with a link, before anything is typed. */
import test, { type ExecutionContext } from 'ava'
import { startWorld, unescapeHtml, Visitor } from '../_support.ts'
import { send } from './_wire.ts'

type Headers = { readonly [name: string]: string }

/** Where the notice on a page leads; `undefined` for a page without one. */
async function noticeOf(url: string, path: string, headers: Headers): Promise<{ link: string } | undefined> {
  const text = (await send(url, path, { headers: { accept: 'text/html', ...headers } })).body.toString()
  const notice = /<aside class="notice"[\s\S]*?<\/aside>/.exec(text)?.[0]
  if (notice === undefined) return undefined
  const [, link] = /<a href="([^"]*)"/.exec(notice)!
  return { link: unescapeHtml(link!) }
}

const begin = (t: ExecutionContext) => startWorld(t, { publicUrl: 'https://todo.example' })

test('by its own address, however that is written, a page says nothing', async (t) => {
  const { url } = await begin(t)
  for (const host of ['todo.example', 'TODO.Example', 'todo.example:443'])
    t.is(await noticeOf(url, '/login', { host }), undefined, host)
  const plain = new Visitor((await startWorld(t)).url)
  for (const path of ['/', '/login', '/signup', '/nothing'])
    t.false((await plain.get(path)).text.includes('class="notice"'), path)
})

test('by another one, every page says so, and leads to itself at the right one', async (t) => {
  const { url } = await begin(t)
  const hosts = ['192.168.1.5:8085', '192.168.1.5', 'daybook:85', 'daybook', 'localhost:8085', '127.0.0.1:8085']
  for (const host of [...hosts, '[::1]:8085', 'other.example', 'todo.example:8085', 'todo.example.evil.example'])
    t.deepEqual(await noticeOf(url, '/login', { host }), { link: 'https://todo.example/login' }, host)
  const host = 'daybook:85'
  for (const path of ['/', '/signup?return_to=%2F&a="<b>', '/nothing//there', '//evil.example/'])
    t.is((await noticeOf(url, path, { host }))?.link, `https://todo.example${path}`, path)
})

test('a host that is none, or markup, is never shown', async (t) => {
  const { url } = await begin(t)
  for (const host of ['<b>x</b>', '"><script>', 'a b', 'a@evil.example', 'a/b', '?', '#', 'x:99999'])
    t.is(await noticeOf(url, '/login', { host }), undefined, host)
})

test('where PUBLIC_URL leads to the machine that it is opened on, who comes from another is told whose matter that is', async (t) => {
  const { url } = await startWorld(t, { publicUrl: 'http://localhost:8085' })
  const page = async (host: string) =>
    (await send(url, '/', { headers: { host, accept: 'text/html' } })).body.toString()
  t.regex(await page('192.168.1.5:8085'), /its operator\s+has to set <code>PUBLIC_URL<\/code>/)
  t.true((await page('127.0.0.1:8085')).includes('class="notice"'))
  t.notRegex(await page('127.0.0.1:8085'), /its operator\s+has to set/)
})

test('behind a proxy: what it says that people opened counts; its own name for Daybook does not', async (t) => {
  const { url } = await begin(t)
  const of = (headers: Headers) => noticeOf(url, '/login', headers)
  const link = 'https://todo.example/login'
  t.is(await of({ host: '127.0.0.1:8085', 'x-forwarded-host': 'todo.example' }), undefined)
  t.is(await of({ host: '127.0.0.1:8085', 'x-forwarded-host': 'todo.example, inner:80' }), undefined)
  t.deepEqual(await of({ host: 'todo.example', 'x-forwarded-host': 'old.example' }), { link })
  for (const host of ['127.0.0.1:8085', 'daybook:85', 'daybook', '10.0.0.2'])
    for (const sign of ['x-forwarded-for', 'x-real-ip', 'via', 'forwarded', 'x-forwarded-proto'])
      t.is(
        await of({ host, [sign]: sign === 'x-forwarded-proto' ? 'https' : '192.0.2.1' }),
        undefined,
        `${host} ${sign}`,
      )
  t.deepEqual(await of({ host: 'old.example', 'x-forwarded-for': '192.0.2.1' }), { link })
  // A browser sends this where its connection is secure, as it is to a proxy, and to the machine itself.
  t.is(await of({ host: 'daybook:85', 'sec-fetch-site': 'none' }), undefined)
  t.deepEqual(await of({ host: 'localhost:85', 'sec-fetch-site': 'none' }), { link })
  t.is(await of({ host: '127.0.0.1:8085', referer: 'https://todo.example/' }), undefined)
})

test('http for https is told where it is known: by the proxy, or by the form that was sent', async (t) => {
  const { url } = await begin(t)
  const host = 'todo.example'
  const link = 'https://todo.example/login'
  const forwarded = { host, 'x-forwarded-proto': 'http' }
  t.deepEqual(await noticeOf(url, '/login', forwarded), { link })
  t.is(await noticeOf(url, '/login', { ...forwarded, 'sec-fetch-site': 'none' }), undefined, 'an inner proxy')
  t.is(await noticeOf(url, '/login', { host, 'x-forwarded-proto': 'https' }), undefined)
  const form = { host, origin: 'http://todo.example', accept: 'text/html' }
  const type = { 'content-type': 'application/x-www-form-urlencoded' }
  const refused = await send(url, '/login', { method: 'POST', headers: { ...form, ...type }, body: 'identifier=a' })
  t.is(refused.status, 403)
  t.regex(refused.body.toString(), /class="notice"[\s\S]*<a href="https:\/\/todo\.example\/">/)
})

test('a form of another site is refused with a link to begin again, and no word about the address', async (t) => {
  const { url } = await begin(t)
  const headers = {
    ...{ host: 'todo.example', origin: 'https://evil.example', accept: 'text/html' },
    'content-type': 'application/x-www-form-urlencoded',
  }
  const refused = await send(url, '/login', { method: 'POST', headers, body: 'identifier=a' })
  t.is(refused.status, 403)
  t.false(refused.body.toString().includes('class="notice"'))
  t.true(refused.body.toString().includes('<a href="https://todo.example/">'))
})
