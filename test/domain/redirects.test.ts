/** Redirect URIs: what may be registered, and what matches it (RFC 6749 §3.1.2, RFC 8252 §7). */
import test from 'ava'
import { isOnDevice, isRedirectUri, matchesRedirect } from '../../src/domain/redirects.ts'

test('7. on loopback any port matches; another path, query, host or scheme does not', (t) => {
  for (const host of ['127.0.0.1', 'localhost', '[::1]'])
    for (const registered of [`http://${host}/cb?x=1`, `http://${host}:8787/cb?x=1`]) {
      for (const port of ['', ':80', ':1', ':8787', ':65535'])
        t.true(matchesRedirect(registered, `http://${host}${port}/cb?x=1`), `${registered} ${port}`)
      const rest = ['/cb', '/cb?x=2', '/cb?x=1&y', '/cb?x=1#', '/CB?x=1', '/cb/?x=1', '/?x=1', '?x=1', '']
      for (const other of rest) t.false(matchesRedirect(registered, `http://${host}:1${other}`), other)
      for (const port of [':0', ':65536', ':99999', ':080', ':', ':1x', ':-1', ':1@evil.example', ':1:2', ' :1'])
        t.false(matchesRedirect(registered, `http://${host}${port}/cb?x=1`), port)
      for (const other of ['127.0.0.1', 'localhost', '[::1]', '127.0.0.2', 'localhost.', 'LOCALHOST', '127.1', '[::]'])
        t.is(matchesRedirect(registered, `http://${other}:9/cb?x=1`), other === host, `${host} ${other}`)
      t.false(matchesRedirect(registered, `https://${host}:1/cb?x=1`))
      t.false(matchesRedirect(registered, `http://${host}:1/cb?x=1\n`))
      t.false(matchesRedirect(registered, `http://u@${host}:1/cb?x=1`))
    }
  t.true(matchesRedirect('http://127.0.0.1/', 'http://127.0.0.1:33418/'))
  t.false(matchesRedirect('http://127.0.0.1/', 'http://127.0.0.1:33418'))
  t.false(matchesRedirect('http://127.0.0.1/', 'http://127.0.0.1.evil.example/'))
  t.false(matchesRedirect('http://127.0.0.1', 'http://127.0.0.1:1@evil.example'))
})

test('3. elsewhere a port matches only itself', (t) => {
  t.false(matchesRedirect('https://app.example/cb', 'https://app.example:8443/cb'))
  t.false(matchesRedirect('https://localhost/cb', 'https://localhost:8443/cb'))
  t.false(matchesRedirect('http://app.example/cb', 'http://app.example:1/cb'))
  t.false(matchesRedirect('com.example.app:/cb', 'com.example.app:/cb2'))
})

const PRIVATE = [
  ...['com.example.app:/oauth', 'com.example.app://host/oauth?x=1', 'org.a-b.c9:/', 'cursor://anysphere.cursor-mcp/cb'],
  ...['vscode://vscode.example/cb', 'vscode-insiders://vscode.example/cb', 'cursor:/cb'],
]

test('7, 74. a private-use scheme is one with a dot or of a known program, for a public client only', (t) => {
  for (const uri of PRIVATE) t.deepEqual([isRedirectUri(uri, true), isRedirectUri(uri, false)], [true, false], uri)
  const never = [
    'javascript:alert(1)',
    'javascript://a.example/%0aalert(1)',
    'javascript:/x',
    'data:text/html,x',
    'data:/x',
  ]
    .concat([
      'file:///etc/passwd',
      'about:blank',
      'about:/x',
      'blob:https://a.example/x',
      'vbscript:/x',
      'ftp://a.example/',
    ])
    .concat([
      'ws://a.example/',
      'wss://a.example/',
      'mailto:/x',
      'view-source:/x',
      'filesystem:/x',
      'intent://x/',
      'chrome://x/',
    ])
    .concat([
      'com.example.app:oauth',
      'com.example.app:',
      'com.example.app:/x#y',
      'cursor:x',
      'myapp:/cb',
      '.com:/x',
      'a..b:/x',
    ])
    .concat([
      'COM.example.app:/oauth',
      'com.example.app:/o auth',
      'cursor://u@host/cb',
      'cursor://host/cb?code=1',
      '1a.b:/x',
    ])
    .concat(['com.example.app:/../x', 'java\nscript:/x', '\u0000javascript:/x'])
  for (const uri of never) for (const isPublic of [true, false]) t.false(isRedirectUri(uri, isPublic), uri)
})

test('22. what goes to a program on the device is told from what goes to a host', (t) => {
  for (const uri of [...PRIVATE, 'http://127.0.0.1:1/cb', 'http://localhost/cb', 'http://[::1]/'])
    t.true(isOnDevice(uri), uri)
  for (const uri of ['https://a.example/cb', 'https://localhost/cb', 'https://127.0.0.1.example/'])
    t.false(isOnDevice(uri), uri)
})
