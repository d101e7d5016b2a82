/** What a client says of itself: in a registration (RFC 7591 §2), and in the document at its client ID. */
import test from 'ava'
import { isDocumentUrl, type Metadata, readDocument, readRegistration } from '../../src/domain/metadata.ts'

const CALLBACK = 'https://claude.ai/api/mcp/auth_callback'
const GOOD = { client_name: 'App', redirect_uris: [CALLBACK] }
const BOTH = ['authorization_code', 'refresh_token'] as const
const reasonOf = (read: object): unknown => ('reason' in read ? read.reason : undefined)

test('73. what is said is read, what is not is the default of RFC 7591, what is unknown is ignored', (t) => {
  const described = { name: 'App', redirects: [CALLBACK], grantTypes: BOTH, authMethod: 'client_secret_basic' }
  t.deepEqual(readRegistration(GOOD), described as never)
  const more = {
    token_endpoint_auth_method: 'none',
    scope: 'openid x',
    client_uri: 'https://a.example',
    contacts: ['a'],
  }
  const all = { ...GOOD, ...more, jwks: { keys: [] }, software_id: 'x', __proto__: 1, application_type: 'native' }
  t.deepEqual(readRegistration(all), { ...described, authMethod: 'none' } as never)
  const narrow = { ...GOOD, grant_types: ['authorization_code', 'implicit'], response_types: ['code', 'token'] }
  t.deepEqual(readRegistration(narrow), { ...described, grantTypes: ['authorization_code'] } as never)
  const twice = { redirect_uris: [CALLBACK, CALLBACK], token_endpoint_auth_method: 'client_secret_post' }
  t.like(readRegistration(twice), {
    name: 'An app without a name',
    redirects: [CALLBACK],
    authMethod: 'client_secret_post',
  })
})

test('74. bad redirect URIs: none, too many, or one that may not be', (t) => {
  const bad: unknown[] = [undefined, null, [], {}, CALLBACK, [1], [null], [[CALLBACK]], [CALLBACK, 'x']]
  bad.push(
    Array.from({ length: 21 }, (_, i) => `${CALLBACK}/${i}`),
    [1, 2, 3].map((i) => `${CALLBACK}/${'x'.repeat(1500)}${i}`),
  )
  for (const uri of ['https://a.example/#f', 'https://*.a.example/', 'https://u@a.example/', 'http://a.example/cb'])
    bad.push([uri])
  for (const uri of ['javascript:alert(1)', 'data:text/html,x', 'urn:ietf:wg:oauth:2.0:oob', '/cb', '']) bad.push([uri])
  for (const redirect_uris of bad)
    for (const token_endpoint_auth_method of ['none', 'client_secret_post'])
      t.is(
        reasonOf(readRegistration({ ...GOOD, redirect_uris, token_endpoint_auth_method })),
        'redirect_invalid',
        `${redirect_uris}`,
      )
  const own = { ...GOOD, redirect_uris: ['com.example.app:/cb'] }
  t.is(reasonOf(readRegistration(own)), 'redirect_invalid', 'a private-use scheme with a secret')
  t.is(reasonOf(readRegistration({ ...own, token_endpoint_auth_method: 'none' })), undefined)
})

test('73. metadata that Daybook cannot go by is refused', (t) => {
  const bad: Metadata[] = [
    ...['private_key_jwt', 'client_secret_jwt', '', 'NONE', null, 1, ['none']].map((one) => ({
      token_endpoint_auth_method: one,
    })),
    ...[[], ['implicit'], ['refresh_token'], 'authorization_code', {}, 1].map((grant_types) => ({ grant_types })),
    ...[[], ['token'], 'code', {}, 1].map((response_types) => ({ response_types })),
  ]
  for (const one of bad.filter((given) => given.token_endpoint_auth_method !== null))
    t.is(reasonOf(readRegistration({ ...GOOD, ...one })), 'client_metadata_invalid', JSON.stringify(one))
  for (const client_name of [
    '',
    ' x',
    'x'.repeat(61),
    'a\nb',
    'a\u202eb',
    '\ud800',
    'a\u200bb',
    'a\u115fb',
    '\u2800',
    '“a”',
    1,
    [],
    {},
  ])
    t.is(reasonOf(readRegistration({ ...GOOD, client_name })), 'client_name_invalid', `${client_name}`)
})

test('74. a script anywhere in it is refused', (t) => {
  const scripts = [
    'javascript:alert(1)',
    ' JavaScript:alert(1)',
    'java\nscript:x',
    '\u0001javascript:x',
    'vbscript:x',
    'data:text/html,x',
  ]
  for (const script of scripts.concat('file:///x', 'blob:x', 'about:blank'))
    for (const member of [
      { logo_uri: script },
      { 'client_uri#de': script },
      { contacts: ['a', script] },
      { jwks: { a: [{ b: script }] } },
    ])
      t.is(reasonOf(readRegistration({ ...GOOD, ...member })), 'client_metadata_invalid', JSON.stringify(member))
  t.is(
    reasonOf(readRegistration({ ...GOOD, client_uri: 'https://a.example/javascript:x', tos_uri: 'dataset:x' })),
    undefined,
  )
})

const URL_ = 'https://chatgpt.com/oauth/client.json'
const DOCUMENT = {
  client_id: URL_,
  client_name: 'ChatGPT',
  redirect_uris: ['https://chatgpt.com/connector_platform_oauth_redirect'],
}

test('77. a document is for its own address, and for a client without a secret', (t) => {
  const described = { name: 'ChatGPT', redirects: DOCUMENT.redirect_uris, grantTypes: BOTH, authMethod: 'none' }
  const methods: Metadata[] = [
    {},
    { token_endpoint_auth_method: 'none' },
    {
      token_endpoint_auth_method: 'private_key_jwt',
      token_endpoint_auth_methods_supported: ['private_key_jwt', 'none'],
    },
    { token_endpoint_auth_methods_supported: ['none'] },
  ]
  for (const method of methods) t.deepEqual(readDocument(URL_, { ...DOCUMENT, ...method }), described as never)
  const bad: Metadata[] = [
    ...[undefined, null, `${URL_}/`, URL_.toUpperCase(), 'https://evil.example/client.json', [URL_]].map(
      (client_id) => ({ client_id }),
    ),
    { token_endpoint_auth_method: 'private_key_jwt' },
    { token_endpoint_auth_method: 'client_secret_post', token_endpoint_auth_methods_supported: ['client_secret_post'] },
    { token_endpoint_auth_methods_supported: 'none' },
    { client_secret: 'x' },
    { client_name: undefined },
    { logo_uri: 'javascript:x' },
  ]
  for (const one of bad)
    t.is(reasonOf(readDocument(URL_, { ...DOCUMENT, ...one })), 'client_metadata_invalid', JSON.stringify(one))
  t.is(reasonOf(readDocument(URL_, { ...DOCUMENT, client_name: 1 })), 'client_name_invalid')
  t.is(reasonOf(readDocument(URL_, { ...DOCUMENT, redirect_uris: ['http://a.example/'] })), 'redirect_invalid')
})

test('77. the address of a document: https, a path, as it is written, no fragment, no user', (t) => {
  const long = `https://a.example/${'x'.repeat(2048 - 'https://a.example/'.length)}`
  for (const url of [URL_, 'https://a.example:8443/x?y=1', 'https://[::1]/x', 'https://127.0.0.1/x', long])
    t.true(isDocumentUrl(url), url)
  const bad = [
    'http://a.example/x',
    'https://a.example',
    'https://a.example/',
    'https://a.example/x#',
    'https://u@a.example/x',
  ]
    .concat([
      'https://u:p@a.example/x',
      'https://A.example/x',
      'https://a.example/../x',
      'https://a.example/x/./y',
      `${long}x`,
    ])
    .concat([
      'HTTPS://a.example/x',
      ' https://a.example/x',
      'https://a.example/x ',
      'https://',
      'https:///x',
      'ftp://a/x',
      'x',
    ])
    .concat([
      'https://a.example:443/x',
      'https://ä.example/x',
      'https://a.example/x\n',
      'https://a%2eexample/x',
      'https:a.example/x',
    ])
  for (const url of bad) t.false(isDocumentUrl(url), url)
})
