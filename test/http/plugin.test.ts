/** G. Documents: what ChatGPT reads first, from where, and how long it may keep it. */
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import test from 'ava'
import { ClientSide, startWorld, type World } from '../_support.ts'
import { type Raw, send } from './_wire.ts'

const DOCUMENTS = {
  '/.well-known/ai-plugin.json': 'application/json; charset=utf-8',
  '/openapi.yaml': 'application/yaml; charset=utf-8',
  '/openapi.json': 'application/json; charset=utf-8',
  '/logo.png': 'image/png',
}
const METADATA = [
  '/.well-known/oauth-authorization-server',
  '/.well-known/oauth-protected-resource',
  '/.well-known/oauth-protected-resource/mcp',
]
const PUBLIC = [...Object.keys(DOCUMENTS), ...METADATA, '/legal']

const json = async (world: World, path: string): Promise<any> => (await fetch(world.url + path)).json()

test('67. whatever Host, X-Forwarded-* or Forwarded say, the documents are the same, from PUBLIC_URL', async (t) => {
  const { url, news } = await startWorld(t, { publicUrl: 'https://todo.example' })
  const forged: { [name: string]: string }[] = [
    { host: 'evil.example' },
    { host: 'evil.example:1' },
    { host: 'evil.example"><script>' },
    { host: 'chat.openai.com' },
    { 'x-forwarded-host': 'evil.example' },
    { 'x-forwarded-proto': 'evil', 'x-forwarded-ssl': 'on', 'x-forwarded-port': '1', 'x-forwarded-prefix': '/evil' },
    { 'x-forwarded-server': 'evil.example', 'x-forwarded-for': 'evil.example, 10.0.0.1', 'x-real-ip': 'evil' },
    { forwarded: 'for=evil;host=evil.example;proto=evil' },
    {
      'x-original-url': '/evil',
      'x-rewrite-url': '/evil',
      'x-original-host': 'evil.example',
      'x-host': 'evil.example',
    },
    { origin: 'https://evil.example', referer: 'https://evil.example/' },
  ]
  const plain = ({ status, headers, body }: Raw) => {
    const { date: _, 'x-request-id': __, ...rest } = headers
    return { status, headers: rest, body: body.toString('latin1') }
  }
  for (const path of PUBLIC) {
    const found = plain(await send(url, path))
    t.is(found.status, 200, path)
    t.false(found.body.includes('127.0.0.1'), path)
    t.is(found.body.includes('todo.example'), path !== '/logo.png', path)
    for (const headers of forged)
      t.deepEqual(plain(await send(url, path, { headers })), found, `${path} ${JSON.stringify(headers)}`)
    t.deepEqual(plain(await send(url, `http://evil.example${path}`)), found, path)
  }
  // Nor does any other answer name another origin.
  for (const headers of forged)
    for (const path of [
      '/',
      '/login',
      '/todos/me',
      '/oauth',
      '/logout',
      '/nothing',
      new ClientSide(url).link({ scope: 'x' }),
    ]) {
      const answer = await send(url, path, { headers })
      const { 'access-control-allow-origin': none, ...rest } = answer.headers
      t.is(none, undefined)
      t.false(`${JSON.stringify(rest)}${answer.body}`.includes('evil'), `${path} ${JSON.stringify(headers)}`)
    }
  t.deepEqual(await news(), [])
})

test('68. a verification token of any characters stands in the manifest as it is', async (t) => {
  for (const token of ['a"b$&c', "$$ $1 $` $' $<x>", '\\', '"},"x":{"', '</script>', 'ü😀', '{{x}} %s', 'null']) {
    const world = await startWorld(t, { verificationToken: token })
    const { auth } = await json(world, '/.well-known/ai-plugin.json')
    t.deepEqual(auth.verification_tokens, { openai: token })
  }
  const world = await startWorld(t, { verificationToken: undefined })
  const { auth } = await json(world, '/.well-known/ai-plugin.json')
  t.deepEqual(auth.verification_tokens, {}, 'not issued yet')
})

test('69. the manifest of an OAuth plugin, within the limits of the protocol', async (t) => {
  const publicUrl = 'https://todo.example'
  const world = await startWorld(t, { publicUrl })
  const { name_for_model, name_for_human, description_for_model, description_for_human, ...rest } = await json(
    world,
    '/.well-known/ai-plugin.json',
  )
  t.deepEqual(rest, {
    schema_version: 'v1',
    auth: {
      type: 'oauth',
      client_url: `${publicUrl}/oauth`,
      scope: 'todos:read todos:write',
      authorization_url: `${publicUrl}/auth/oauth_exchange`,
      authorization_content_type: 'application/json',
      verification_tokens: { openai: 'verify"me$&' },
    },
    api: { type: 'openapi', url: `${publicUrl}/openapi.yaml`, is_user_authenticated: true },
    logo_url: `${publicUrl}/logo.png`,
    contact_email: 'contact@example.org',
    legal_info_url: `${publicUrl}/legal`,
  })
  t.regex(name_for_model, /^[A-Za-z0-9]{1,50}$/)
  t.regex(name_for_human, /^.{1,20}$/)
  t.regex(description_for_model, /^.{1,8000}$/)
  t.regex(description_for_human, /^.{1,100}$/)
  const logo = (await send(world.url, '/logo.png')).body
  t.deepEqual(logo.subarray(0, 8), Buffer.from('\x89PNG\r\n\x1a\n', 'latin1'))
  t.deepEqual([logo.readUInt32BE(16), logo.readUInt32BE(20)], [512, 512])
})

test('the documents may be kept for five minutes, then asked for again by ETag', async (t) => {
  const { url } = await startWorld(t)
  for (const [path, type] of Object.entries(DOCUMENTS)) {
    const { status, headers, body } = await send(url, path)
    t.is(status, 200, path)
    t.is(headers['content-type'], type)
    t.is(headers['cache-control'], 'public, max-age=300')
    t.is(headers.vary, 'Origin')
    const etag = headers.etag!
    t.regex(etag, /^"[\w-]+"$/)
    for (const given of [etag, `W/${etag}`, `"x", ${etag}`, '*'])
      for (const method of ['GET', 'HEAD']) {
        const again = await send(url, path, { method, headers: { 'if-none-match': given } })
        t.is(again.status, 304, `${path} ${given}`)
        t.is(again.body.length, 0)
        t.deepEqual([again.headers.etag, again.headers['cache-control']], [etag, 'public, max-age=300'])
      }
    for (const given of ['"x"', etag.replaceAll('"', ''), `${etag}x`, ''])
      t.deepEqual((await send(url, path, { headers: { 'if-none-match': given } })).body, body, `${path} ${given}`)
  }
  for (const path of METADATA) t.is((await send(url, path)).headers['cache-control'], 'public, max-age=300')
  const changed = await startWorld(t, { verificationToken: 'another' })
  const etags = await Promise.all([url, changed.url].map((at) => send(at, '/.well-known/ai-plugin.json')))
  t.not(etags[0]!.headers.etag, etags[1]!.headers.etag)
})

test('71, 72. the metadata documents are exact, and JSON whatever is asked for (RFC 8414, RFC 9728)', async (t) => {
  const publicUrl = 'https://todo.example'
  const world = await startWorld(t, { publicUrl })
  const [server, resource, mcp] = await Promise.all(METADATA.map((path) => json(world, path)))
  t.deepEqual(server, {
    issuer: publicUrl,
    authorization_endpoint: `${publicUrl}/oauth`,
    token_endpoint: `${publicUrl}/auth/oauth_exchange`,
    scopes_supported: ['todos:read', 'todos:write'],
    response_types_supported: ['code'],
    response_modes_supported: ['query'],
    grant_types_supported: ['authorization_code', 'refresh_token'],
    token_endpoint_auth_methods_supported: ['client_secret_post', 'client_secret_basic', 'none'],
    revocation_endpoint: `${publicUrl}/auth/revoke`,
    revocation_endpoint_auth_methods_supported: ['client_secret_post', 'client_secret_basic', 'none'],
    introspection_endpoint: `${publicUrl}/auth/introspect`,
    introspection_endpoint_auth_methods_supported: ['client_secret_post', 'client_secret_basic'],
    code_challenge_methods_supported: ['S256'],
    authorization_response_iss_parameter_supported: true,
    registration_endpoint: `${publicUrl}/auth/register`,
    client_id_metadata_document_supported: true,
  })
  t.deepEqual(resource, {
    resource: publicUrl,
    resource_name: 'Daybook',
    authorization_servers: [server.issuer],
    scopes_supported: ['todos:read', 'todos:write'],
    bearer_methods_supported: ['header'],
  })
  t.deepEqual(mcp, { ...resource, resource: `${publicUrl}/mcp` })
  const { headers } = await send(world.url, '/todos/me')
  t.is(headers['www-authenticate'], `Bearer resource_metadata="${publicUrl}${METADATA[1]}"`)
  for (const path of [
    ...METADATA,
    `${METADATA[0]}/`,
    `${METADATA[0]}/x`,
    '/.well-known/openid-configuration',
    '/.well-known/',
  ]) {
    const { headers: given, status } = await send(world.url, path, { headers: { accept: 'text/html' } })
    t.is(given['content-type'], 'application/json; charset=utf-8', path)
    t.is(status, METADATA.includes(path) ? 200 : 404, path)
  }
})

const climbing = [
  '/../package.json',
  '/..%2fpackage.json',
  '/%2e%2e/package.json',
  '/..%5cpackage.json',
  '/..%252fpackage.json',
  '/%c0%ae%c0%ae/package.json',
]
  .concat([
    '/.well-known/../package.json',
    '/.well-known/..%2f..%2fpackage.json',
    '/.well-known/ai-plugin.json/../../package.json',
    '//package.json',
  ])
  .concat([
    '/../../../../../../etc/passwd',
    '/..%2f..%2f..%2f..%2f..%2fetc%2fpasswd',
    '/etc/passwd',
    '/%2fetc/passwd',
    '//etc/passwd',
    '/./etc/passwd',
  ])
  .concat([
    '/package.json',
    '/package-lock.json',
    '/src/main.ts',
    '/src/http/pages/style.css',
    '/openapi/openapi.yaml',
    '/openapi/ai-plugin.json',
    '/data/head',
    '/data/book/CURRENT',
    '/book/CURRENT',
    '/head',
  ])
  .concat([
    '/.git/config',
    '/.gitignore',
    '/.env',
    '/.well-known',
    '/.well-known/',
    '/openapi',
    '/openapi.yml',
    '/OPENAPI.YAML',
    '/openapi.yaml/',
    '/openapi.yaml.bak',
    '/openapi.yaml%00',
    '/openapi.yaml%00.png',
    '/openapi.yaml;x',
    '/logo.png/',
    '/logo.png/x',
    '/logo.png%20',
    '/Logo.png',
    '/logo.svg',
    '/style.css/',
    '/style.css%2f..',
    '/legal/',
    '/legal.html',
    '/index.html',
    '/node_modules/koa/package.json',
    '/%',
    '/%zz',
    '/%ff',
    '/favicon.ico',
  ])

test('78. paths that climb or name files: 404, and nothing of a file', async (t) => {
  const { url, news } = await startWorld(t)
  const files = ['package.json', 'src/http/pages/style.css', 'openapi/openapi.yaml', 'openapi/logo.svg', '.gitignore']
  const secret = files
    .map((file) => readFileSync(join(import.meta.dirname, '../..', file)).subarray(0, 40))
    .concat(Buffer.from('root:'))
  for (const path of climbing)
    for (const accept of ['text/html', 'application/json', '*/*']) {
      const { status, headers, body } = await send(url, path, { headers: { accept } })
      const what = `${path} as ${accept}`
      t.is(status, 404, what)
      t.is(headers.location, undefined, what)
      t.regex(headers['content-type']!, /^(text\/html|application\/json); charset=utf-8$/, what)
      for (const text of secret) t.false(body.includes(text), what)
    }
  t.deepEqual(await news(), [])
  t.is((await fetch(`${url}/openapi.yaml`)).status, 200)
})
