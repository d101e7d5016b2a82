/** Every kind of answer that Daybook gives, and what holds for all of them and for every page. */
import type { ExecutionContext } from 'ava'
import { CALLBACK, CHATGPT_SECRET, ClientSide, OTHER, person, Visitor, type World } from '../_support.ts'
import { alice } from './_pages.ts'
import type { Asked, Raw } from './_wire.ts'

export const HTML = 'text/html; charset=utf-8'
export const JSON_TYPE = 'application/json; charset=utf-8'
export const FORM = 'application/x-www-form-urlencoded'

/** Cookies of a visitor, as a header. */
export const cookies = (visitor: Visitor): { cookie: string } => ({
  cookie: [...visitor.cookies].map((pair) => pair.join('=')).join('; '),
})

/** A content security policy by directive. */
export const policyOf = (headers: Raw['headers']): { [directive: string]: string } =>
  Object.fromEntries(
    String(headers['content-security-policy'])
      .split(/; ?/)
      .map((part) => [part.slice(0, part.indexOf(' ')), part.slice(part.indexOf(' ') + 1)]),
  )

export const URL_OF = { chatgpt: 'https://chat.openai.com' }

export type Kind = readonly [
  what: string,
  path: string,
  asked: Asked,
  status: number,
  type: string | undefined,
  /** `null`: left out, since the callback may lead on anywhere. */
  formAction?: string | null,
]

/** One request for every kind of answer there is, on a world where alice is connected. */
export async function everyKind(world: World) {
  const { url } = world
  const chatgpt = new ClientSide(url)
  const visitor = new Visitor(url)
  const { access_token: token } = await chatgpt.connect(alice, visitor)
  const undecided = new Visitor(url)
  await undecided.signUp(person('undecided'))
  const bearer = { authorization: `Bearer ${token}` }
  const asJson = { 'content-type': 'application/json' }
  const asForm = { 'content-type': FORM, ...cookies(visitor) }
  const html = { accept: 'text/html' }
  const huge = 'x'.repeat(200_000)
  const post = (body: string, headers: { [name: string]: string }): Asked => ({ method: 'POST', body, headers })
  const link = chatgpt.link()
  const otherLink = new ClientSide(url, OTHER).link()
  const pages: Kind[] = [
    ['home', '/', {}, 200, HTML],
    ['home, signed in', '/', { headers: cookies(visitor) }, 200, HTML],
    ['sign-in', '/login', {}, 200, HTML],
    ['sign-up', '/signup', {}, 200, HTML],
    ['legal', '/legal', {}, 200, HTML],
    ['sign-in for an app', link, {}, 200, HTML, null],
    ['sign-up for an app', `/signup?return_to=${encodeURIComponent(link)}`, {}, 200, HTML, null],
    ['sign-in for another app', otherLink, {}, 200, HTML, null],
    ['consent', link, { headers: cookies(undecided) }, 200, HTML, null],
    ['consent to another app', otherLink, { headers: cookies(visitor) }, 200, HTML, null],
    ['a foreign callback', chatgpt.link({ redirect_uri: 'https://evil.example/cb' }), {}, 400, HTML],
    ['a callback that waits', chatgpt.link({ redirect_uri: CALLBACK.replace('8f1c2d3e', '2') }), {}, 400, HTML],
    ['a bad query', '/oauth?%zz', {}, 400, HTML],
    ['a foreign form', '/login', post('identifier=alice', asForm), 403, HTML],
    ['a foreign consent', '/oauth/consent', post('decision=allow', asForm), 403, HTML],
    ['nothing there', '/nothing', { headers: html }, 404, HTML],
    ['a wrong method', '/login', { method: 'DELETE' }, 405, HTML],
    ['a form too large', '/login', post(`identifier=${huge}`, asForm), 413, HTML],
    ['a form of another kind', '/signup', post('{}', asJson), 415, HTML],
    ['a compressed form', '/signup', post('x', { ...asForm, 'content-encoding': 'gzip' }), 415, HTML],
  ]
  const others: Kind[] = [
    ['manifest', '/.well-known/ai-plugin.json', {}, 200, JSON_TYPE],
    ['spec', '/openapi.yaml', {}, 200, 'application/yaml; charset=utf-8'],
    ['its twin', '/openapi.json', {}, 200, JSON_TYPE],
    ['logo', '/logo.png', {}, 200, 'image/png'],
    ['style', '/style.css', {}, 200, 'text/css; charset=utf-8'],
    ['metadata', '/.well-known/oauth-authorization-server', {}, 200, JSON_TYPE],
    ['resource metadata', '/.well-known/oauth-protected-resource', {}, 200, JSON_TYPE],
    ['up', '/healthz', {}, 200, JSON_TYPE],
    ['ready', '/readyz', {}, 200, JSON_TYPE],
    ['HEAD', '/login', { method: 'HEAD' }, 200, HTML],
    ['OPTIONS', '/login', { method: 'OPTIONS' }, 200, 'text/plain; charset=utf-8'],
    [
      'preflight',
      '/todos/me',
      { method: 'OPTIONS', headers: { origin: URL_OF.chatgpt, 'access-control-request-method': 'POST' } },
      204,
      undefined,
    ],
    ['list', '/todos/me', { headers: bearer }, 200, JSON_TYPE],
    ['add', '/todos/me', post('{"todo":"x"}', { ...bearer, ...asJson }), 200, JSON_TYPE],
    ['redirect home', '/logout', {}, 303, 'text/plain; charset=utf-8'],
    ['redirect back', chatgpt.link({ scope: 'other' }), {}, 303, 'text/plain; charset=utf-8'],
    ['not modified', '/openapi.yaml', { headers: { 'if-none-match': '*' } }, 304, undefined],
    ['a bad to-do', '/todos/me', post('{}', { ...bearer, ...asJson }), 400, JSON_TYPE],
    ['broken JSON', '/todos/me', post('{', { ...bearer, ...asJson }), 400, JSON_TYPE],
    ['no token', '/todos/me', { headers: html }, 401, JSON_TYPE],
    ['a wrong token', '/todos/me', { headers: { authorization: 'Bearer x' } }, 401, JSON_TYPE],
    ["somebody else's list", '/todos/bob', { headers: bearer }, 403, JSON_TYPE],
    ['nothing there, for a program', '/nothing', {}, 404, JSON_TYPE],
    ['nothing there, under the API', '/todos/a/b', { headers: html }, 404, JSON_TYPE],
    ['nothing there, under a document', '/.well-known/x', { headers: html }, 404, JSON_TYPE],
    ['a wrong method of the API', '/todos/me', { method: 'PUT' }, 405, JSON_TYPE],
    [
      'another to-do',
      '/todos/me',
      { method: 'DELETE', body: '{"todo_idx":0,"todo":"y"}', headers: { ...bearer, ...asJson } },
      409,
      JSON_TYPE,
    ],
    ['a to-do too large', '/todos/me', post(`{"todo":"${huge}"}`, { ...bearer, ...asJson }), 413, JSON_TYPE],
    ['a to-do of another kind', '/todos/me', post('x', { ...bearer, 'content-type': 'text/plain' }), 415, JSON_TYPE],
    [
      'a to-do in another charset',
      '/todos/me',
      post('{}', { ...bearer, 'content-type': 'application/json; charset=utf-16' }),
      415,
      JSON_TYPE,
    ],
  ]
  const oauth: Kind[] = [
    ['a bad exchange', '/auth/oauth_exchange', post('{}', asJson), 401, JSON_TYPE],
    [
      'a bad grant',
      '/auth/oauth_exchange',
      post(JSON.stringify({ client_id: chatgpt.id, client_secret: CHATGPT_SECRET, grant_type: 'x' }), asJson),
      400,
      JSON_TYPE,
    ],
    ['a bad registration', '/auth/register', post('{}', asJson), 400, JSON_TYPE],
    ['a broken registration', '/auth/register', post('{', asJson), 400, JSON_TYPE],
    ['a registration token that is none', '/auth/register/:id', { headers: bearer }, 401, JSON_TYPE],
    ['a broken exchange', '/auth/oauth_exchange', post('{', asJson), 400, JSON_TYPE],
    [
      'an exchange of another kind',
      '/auth/oauth_exchange',
      post('x', { 'content-type': 'text/plain' }),
      400,
      JSON_TYPE,
    ],
    [
      'a compressed exchange',
      '/auth/oauth_exchange',
      post('x', { ...asJson, 'content-encoding': 'gzip' }),
      400,
      JSON_TYPE,
    ],
    ['an exchange too large', '/auth/oauth_exchange', post(`{"code":"${huge}"}`, asJson), 413, JSON_TYPE],
    ['a wrong method of the token endpoint', '/auth/oauth_exchange', { headers: html }, 405, JSON_TYPE],
    ['nothing there, under /auth', '/auth/nothing', { headers: html }, 404, JSON_TYPE],
  ]
  /** What is answered while the book is broken, and what to somebody whom a bug meets. */
  const failing = (status: number): { [surface: string]: Kind } => ({
    page: [`page ${status}`, link, { headers: cookies(visitor) }, status, HTML],
    api: [`API ${status}`, '/todos/me', post('{"todo":"x"}', { ...bearer, ...asJson }), status, JSON_TYPE],
  })
  return { pages, others, oauth, failing, chatgpt, visitor, token }
}

/** 118: what holds for every answer. */
export function assertSafe(
  t: ExecutionContext,
  { status, headers, body }: Raw,
  [what, , asked, wanted, type]: Kind,
): void {
  t.is(status, wanted, `${what}: ${body}`)
  t.is(headers['content-type'], type, what)
  t.is(headers['x-content-type-options'], 'nosniff', what)
  t.is(headers['referrer-policy'], 'no-referrer', what)
  t.is(headers['x-frame-options'], 'DENY', what)
  t.regex(String(headers['x-request-id']), /^[0-9A-HJKMNP-TV-Z]{26}$/, what)
  t.like(policyOf(headers), { 'default-src': "'none'", 'frame-ancestors': "'none'", 'base-uri': "'none'" }, what)
  for (const name of ['server', 'x-powered-by', 'via', 'x-runtime']) t.is(headers[name], undefined, `${what}: ${name}`)
  const told = `${JSON.stringify(headers)}${status < 400 ? '' : body}`
  t.notRegex(told, /\bkoa\b|node[ ./]?(js|\d)|\b24\.\d+\.\d+|0\.0\.0-test/i, `${what}: a version`)
  t.notRegex(told, /\n\s+at |node_modules|\.ts\b|Error\b|leveldb/, `${what}: a stack`)
  t.is(body.length > 0, ![204, 303, 304].includes(status) && !['HEAD', 'OPTIONS'].includes(asked.method ?? 'GET'), what)
  if (status >= 400) t.true([undefined, 'no-store'].includes(headers['cache-control']), `${what}: not to be kept`)
}

/** 117: what holds for every page. */
export function assertPage(
  t: ExecutionContext,
  { headers, body }: Raw,
  [what, , , , , formAction = "'self'"]: Kind,
): void {
  t.deepEqual(
    policyOf(headers),
    {
      'default-src': "'none'",
      'style-src': "'self'",
      'img-src': "'self'",
      ...(formAction === null ? {} : { 'form-action': formAction }),
      'frame-ancestors': "'none'",
      'base-uri': "'none'",
    },
    what,
  )
  t.is(headers['cache-control'], 'no-store', what)
  t.is(headers['referrer-policy'], 'no-referrer', what)
  const text = body.toString('utf8')
  t.regex(text, /^<!doctype html>\n<html lang="en">/, what)
  // The policy allows no script, no style and no image of anybody else's, so none may be needed.
  t.notRegex(text, /<script|<style|\sstyle=|\son\w+=|src="(?!\/)/, what)
}
