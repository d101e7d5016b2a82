/** Clients: which callbacks are exactly theirs, how the settings shape ChatGPT’s, and what may wait for an operator. */
import test from 'ava'
import {
  allowRedirect,
  type Client,
  clientByClientId,
  findClient,
  isAllowedRedirect,
  MAX_WAITING,
  registerClient,
  requestRedirect,
  rotateSecret,
  settleChatGpt,
  withdrawRedirect,
} from '../../src/domain/clients.ts'
import type { Event } from '../../src/domain/domain.ts'
import { isChatGptCallback, isRedirectUri } from '../../src/domain/redirects.ts'
import { BY_OPERATOR, CALLBACK, chatgpt, DAY, History, HOUR, MINUTE, NOON } from './_history.ts'

const MADE = { clientId: 'made-id', secret: 'made-secret', digest: 'digest of made-secret' }
const NOTHING = { clientId: undefined, secret: undefined, redirects: [], made: MADE }
const GRANT_TYPES = ['authorization_code', 'refresh_token'] as const

const client = ({ state }: History, id = 'chatgpt'): Client => state.clients.get(id)!
const uris = (history: History, id = 'chatgpt'): string[] => client(history, id).redirects.map(({ uri }) => uri)
const waiting = (history: History): string[] => history.state.waiting.by('client', 'chatgpt').map(({ uri }) => uri)

test('the first start without settings makes an id and a secret, and keeps the secret to be shown', (t) => {
  const history = new History()
  const data = { client: 'chatgpt', clientId: 'made-id', name: 'ChatGPT', grantTypes: GRANT_TYPES, ...BY_OPERATOR }
  t.deepEqual(history.when(settleChatGpt(history.state, NOTHING)), {
    facts: [{ type: 'ClientRegistered', data: { ...data, secret: 'digest of made-secret', secretFrom: 'vault' } }],
    result: undefined,
    keeps: { 'client-secret/chatgpt': 'made-secret' },
  })
  const again = { ...NOTHING, made: { clientId: 'other', secret: 'other', digest: 'other' } }
  t.deepEqual(settleChatGpt(history.state, again), { facts: [], result: undefined, keeps: {} })
  t.is(client(history).clientId, 'made-id')
})

test('the first start with settings takes them, and keeps no secret', (t) => {
  const history = new History()
  const given = { clientId: 'given-id', secret: 'digest of given', redirects: [CALLBACK, CALLBACK], made: MADE }
  const data = { client: 'chatgpt', clientId: 'given-id', name: 'ChatGPT', grantTypes: GRANT_TYPES, ...BY_OPERATOR }
  t.deepEqual(history.when(settleChatGpt(history.state, given)), {
    facts: [
      { type: 'ClientRegistered', data: { ...data, secret: 'digest of given', secretFrom: 'settings' } },
      { type: 'RedirectUriAllowed', data: { client: 'chatgpt', uri: CALLBACK, from: 'settings' } },
    ],
    result: undefined,
    keeps: {},
  })
  t.deepEqual(settleChatGpt(history.state, given), { facts: [], result: undefined, keeps: {} })
})

test('a later start records what the settings changed, and only that', (t) => {
  const [a, b, c] = ['https://chatgpt.com/a', 'https://chatgpt.com/b', 'https://chatgpt.com/c'] as const
  const first = { clientId: 'id-1', secret: 'digest-1', redirects: [a, b], made: MADE }
  const rotated = (secret: string, secretFrom: string) => ({
    type: 'ClientSecretRotated',
    data: { client: 'chatgpt', secret, secretFrom },
  })
  const rows: [string, object, object[], object][] = [
    ['id', { clientId: 'id-2' }, [{ type: 'ClientIdChanged', data: { client: 'chatgpt', clientId: 'id-2' } }], {}],
    ['id no longer given', { clientId: undefined }, [], {}],
    ['secret', { secret: 'digest-2' }, [rotated('digest-2', 'settings')], { 'client-secret/chatgpt': undefined }],
    [
      'secret no longer given',
      { secret: undefined },
      [rotated('digest of made-secret', 'vault')],
      { 'client-secret/chatgpt': 'made-secret' },
    ],
    [
      'callbacks',
      { redirects: [b, c] },
      [
        { type: 'RedirectUriAllowed', data: { client: 'chatgpt', uri: c, from: 'settings' } },
        { type: 'RedirectUriWithdrawn', data: { client: 'chatgpt', uri: a } },
      ],
      {},
    ],
  ]
  for (const [name, changed, facts, keeps] of rows) {
    const history = new History()
    history.when(settleChatGpt(history.state, first))
    const decision = history.when(settleChatGpt(history.state, { ...first, ...changed }))
    t.deepEqual(decision, { facts, result: undefined, keeps } as typeof decision, name)
    t.deepEqual(settleChatGpt(history.state, { ...first, ...changed }).facts, [], `${name}, again`)
  }
})

test('a secret that was made here gives way to one from the settings, and is forgotten', (t) => {
  const history = new History()
  history.when(settleChatGpt(history.state, NOTHING))
  // Even the very same secret: from now on it is the operator who keeps it.
  for (const secret of ['digest of given', 'digest of made-secret'])
    t.deepEqual(settleChatGpt(history.state, { ...NOTHING, secret }), {
      facts: [{ type: 'ClientSecretRotated', data: { client: 'chatgpt', secret, secretFrom: 'settings' } }],
      result: undefined,
      keeps: { 'client-secret/chatgpt': undefined },
    })
})

test('what an operator allowed stays when the settings do not name it', (t) => {
  const history = new History().given(...chatgpt)
  const uri = 'https://chatgpt.com/by-operator'
  history.when(allowRedirect(history.state, { client: 'chatgpt', uri }))
  history.when(settleChatGpt(history.state, NOTHING))
  t.deepEqual(uris(history), [uri])
})

test('3, 74. a callback is https, or http on loopback, without fragment and user information, at most 2,048 long', (t) => {
  const long = `https://a.example/${'x'.repeat(2048 - 'https://a.example/'.length)}`
  const right = [
    'https://a.example',
    'https://a.example/',
    'https://a.example:8443/cb?x=1&y=%20',
    'https://[::1]/cb',
    long,
  ]
  const loopback = ['http://localhost/cb', 'http://localhost:3000/cb', 'http://127.0.0.1/cb', 'http://[::1]:1/cb']
  const wrong = [
    ...['', '/cb', '//a.example/cb', 'a.example', 'https://', 'https:', `${long}x`],
    ...['https://a.example/#', 'https://a.example/cb#f', 'https://u@a.example/', 'https://u:p@a.example/'],
    ...['http://a.example/cb', 'http://127.0.0.2/cb', 'http://localhost.a.example/', 'http://127.0.0.1.a.example/'],
    ...['http://0.0.0.0/', 'javascript:alert(1)', 'data:text/html,x', 'file:///etc/passwd', 'ftp://a.example/'],
    ...['https://a.example/ ', ' https://a.example/', 'https://a.example/\n', 'https://ä.example/'],
  ]
  for (const uri of [...right, ...loopback])
    for (const isPublic of [false, true]) t.true(isRedirectUri(uri, isPublic), uri)
  for (const uri of wrong) for (const isPublic of [false, true]) t.false(isRedirectUri(uri, isPublic), uri)
})

test('74. a client needs a callback, every one of them good, and a name that can be read', (t) => {
  const { state } = new History()
  const input = {
    client: 'c1',
    name: 'App',
    secret: 'digest',
    redirects: ['https://a.example/'],
    grantTypes: GRANT_TYPES,
  }
  const rows = [
    [{ redirects: [] }, 'redirect_invalid'],
    [{ redirects: ['https://a.example/', 'http://a.example/'] }, 'redirect_invalid'],
    [{ redirects: ['https://*.example/#'] }, 'redirect_invalid'],
    ...['', ' ', ' App', 'App ', 'A\nB', 'A\u202eB', 'A\u0000', 'A\u200bB', '\ud800', 'x'.repeat(61)].map(
      (name) => [{ name }, 'client_name_invalid'] as const,
    ),
  ] as const
  for (const [wrong, refusal] of rows)
    t.deepEqual(registerClient(state, { ...input, ...wrong }), { facts: [], refusal }, JSON.stringify(wrong))
  for (const name of ['x', 'x'.repeat(60), '<b>App</b> & "co"', 'アプリ', '__proto__'])
    t.is(registerClient(state, { ...input, name }).refusal, undefined, name)
})

test('registering a client records it and each of its callbacks once', (t) => {
  const history = new History()
  const redirects = ['https://a.example/', 'https://b.example/?x', 'https://a.example/']
  const input = { client: 'c1', name: 'App', secret: 'digest', redirects, grantTypes: ['authorization_code'] as const }
  const { facts } = history.when(registerClient(history.state, input))
  const allowed = (uri: string): Event => ({
    type: 'RedirectUriAllowed',
    data: { client: 'c1', uri, from: 'operator' },
  })
  t.deepEqual(facts, [
    {
      type: 'ClientRegistered',
      data: {
        client: 'c1',
        clientId: 'c1',
        name: 'App',
        secret: 'digest',
        secretFrom: 'shown',
        grantTypes: ['authorization_code'],
        ...BY_OPERATOR,
      },
    },
    allowed('https://a.example/'),
    allowed('https://b.example/?x'),
  ] as Event[] as typeof facts)
  t.deepEqual(uris(history, 'c1'), ['https://a.example/', 'https://b.example/?x'])
})

test('3. a callback is the registered one byte for byte, or it is not', (t) => {
  const uri = 'https://app.example/cb?keep=1'
  const history = new History().given(...chatgpt)
  history.when(allowRedirect(history.state, { client: 'chatgpt', uri }))
  t.true(isAllowedRedirect(client(history), uri))
  const near = ['https://APP.example/cb?keep=1', 'https://app.example:443/cb?keep=1', 'https://app.example/cb']
  near.push(
    `${uri}/`,
    `${uri}&x=1`,
    `${uri}#`,
    ` ${uri}`,
    'https://app.example/cb/?keep=1',
    'https://app.example/./cb?keep=1',
  )
  near.push(
    'http://app.example/cb?keep=1',
    'https://app.example.evil.example/cb?keep=1',
    'https://x@app.example/cb?keep=1',
  )
  for (const other of near) t.false(isAllowedRedirect(client(history), other), other)
})

test('3. only a callback of ChatGPT’s own, written as it is sent, may wait for the operator', (t) => {
  const right = [
    ...[
      CALLBACK,
      'https://chatgpt.com/aip/g-1/oauth/callback',
      `https://chatgpt.com/aip/g-${'x'.repeat(64)}/oauth/callback`,
    ],
    ...['https://chatgpt.com/connector/oauth/aB_3-x', 'https://chatgpt.com/connector_platform_oauth_redirect'],
    ...[`${CALLBACK}/`, `${CALLBACK}/more`, `https://chatgpt.com/${'x'.repeat(200)}`],
  ]
  const wrong = [
    ...['?a=b', '#x', '%2F', ' '].map((more) => `${CALLBACK}${more}`),
    ...['https://chatgpt.com/aip/g-1/oauth/callback\n', 'https://chatgpt.com/aip/g-a%20b/oauth/callback'],
    ...["https://chatgpt.com/aip/g-1'$(x)/oauth/callback", 'https://chatgpt.com/c/x;y', 'https://chatgpt.com/a&b'],
    ...['https://chatgpt.com/./a', 'https://chatgpt.com/a/..', `https://chatgpt.com/${'x'.repeat(201)}`],
    ...['http://chat.openai.com/aip/x', 'https://chat.openai.com:8443/x', 'https://chat.openai.com.evil.example/x'],
    ...['https://evil.example/https://chatgpt.com/', 'https://chatgpt.com@evil.example/', 'https://x@chatgpt.com/'],
    ...[
      'https://www.chatgpt.com/x',
      'https://CHATGPT.com/x',
      'https://chatgpt.com:443/x',
      'https://chatgpt.com/a/../b',
    ],
    ...[
      'https://chatgpt.com/x#y',
      'https://chatgpt.com',
      'https://evilchatgpt.com/x',
      'javascript://chatgpt.com/x',
      '',
    ],
    `https://chatgpt.com/${'x'.repeat(8192)}`,
  ]
  const history = new History().given(...chatgpt)
  for (const uri of right) t.true(isChatGptCallback(uri), uri)
  for (const uri of wrong) {
    t.false(isChatGptCallback(uri), uri)
    t.deepEqual(requestRedirect(history.state, { client: 'chatgpt', uri }, NOON), {
      facts: [],
      refusal: 'redirect_unregistered',
    })
  }
  const other: Event = { type: 'ClientRegistered', data: { ...chatgptData, client: 'other', clientId: 'other' } }
  history.given(other)
  for (const name of ['other', 'nobody', 'id-of-chatgpt'])
    t.is(requestRedirect(history.state, { client: name, uri: CALLBACK }, NOON).refusal, 'redirect_unregistered')
})
const chatgptData = (chatgpt[0] as Extract<Event, { type: 'ClientRegistered' }>).data

test('3. a callback waits once; the operator allows it in one step', (t) => {
  const uri = 'https://chatgpt.com/aip/g-1/oauth/callback'
  const history = new History().given(...chatgpt)
  const asked = { client: 'chatgpt', uri }
  const fact = { type: 'RedirectUriRequested', data: { ...asked, expiresAt: NOON + DAY } }
  t.deepEqual(history.when(requestRedirect(history.state, asked, history.now)), {
    facts: [fact],
    refusal: 'redirect_waiting',
  } as never)
  t.deepEqual(history.when(requestRedirect(history.state, asked, history.now)), {
    facts: [],
    refusal: 'redirect_waiting',
  })
  t.like(history.state.waiting.by('client', 'chatgpt'), [
    { ...asked, askedAt: '2026-11-20T12:00:00.000Z', expiresAt: NOON + DAY },
  ])
  t.false(isAllowedRedirect(client(history), uri))
  const { facts, refusal } = history.when(allowRedirect(history.state, { client: 'id-of-chatgpt', uri }))
  t.is(refusal, undefined)
  t.deepEqual(facts, [{ type: 'RedirectUriAllowed', data: { client: 'chatgpt', uri, from: 'operator' } }])
  t.deepEqual([waiting(history), isAllowedRedirect(client(history), uri)], [[], true])
})

test('3. at most 20 callbacks wait, and nobody pushes them out; after a day they are forgotten', (t) => {
  const history = new History().given(...chatgpt)
  const uri = (n: number): string => `https://chatgpt.com/aip/g-${n}/oauth/callback`
  const ask = (n: number) =>
    history.when(requestRedirect(history.state, { client: 'chatgpt', uri: uri(n) }, history.now))
  t.is(MAX_WAITING, 20)
  for (let n = 0; n < 20; n++) {
    if (n === 19) history.now += HOUR
    t.is(ask(n).refusal, 'redirect_waiting')
  }
  t.deepEqual(ask(1), { facts: [], refusal: 'redirect_waiting' }, 'one that waits already is told so')
  t.deepEqual(ask(20), { facts: [], refusal: 'redirects_waiting_too_many' })
  t.deepEqual(
    waiting(history),
    Array.from({ length: 20 }, (_, n) => uri(n)),
  )
  history.sweep(NOON + DAY)
  t.is(waiting(history).length, 20)
  history.sweep(NOON + DAY + MINUTE)
  t.deepEqual(waiting(history), [uri(19)])
  t.is(ask(0).facts.length, 1)
  t.deepEqual(uris(history), [CALLBACK], 'what is allowed is not forgotten')
})

test('a callback is taken back by the operator, one that waits is turned away, one of the settings stays', (t) => {
  const [allowed, waits] = ['https://chatgpt.com/aip/g-1/oauth/callback', 'https://chatgpt.com/aip/g-2/oauth/callback']
  const history = new History().given(...chatgpt)
  history.when(allowRedirect(history.state, { client: 'chatgpt', uri: allowed }))
  history.when(requestRedirect(history.state, { client: 'chatgpt', uri: waits }, NOON))
  for (const uri of [allowed, waits]) {
    const { facts } = history.when(withdrawRedirect(history.state, { client: 'id-of-chatgpt', uri }))
    t.deepEqual(facts, [{ type: 'RedirectUriWithdrawn', data: { client: 'chatgpt', uri } }])
    t.is(withdrawRedirect(history.state, { client: 'chatgpt', uri }).refusal, 'redirect_unknown')
  }
  t.deepEqual([uris(history), waiting(history)], [[CALLBACK], []])
  t.is(withdrawRedirect(history.state, { client: 'chatgpt', uri: CALLBACK }).refusal, 'redirect_from_settings')
  t.is(withdrawRedirect(history.state, { client: 'nobody', uri: CALLBACK }).refusal, 'client_unknown')
})

test('allowing refuses who is unknown, what is no callback and what is allowed already', (t) => {
  const { state } = new History().given(...chatgpt)
  const rows = [
    [{ client: 'nobody', uri: CALLBACK }, 'client_unknown'],
    [{ client: 'chatgpt', uri: 'http://a.example/' }, 'redirect_invalid'],
    [{ client: 'chatgpt', uri: 'https://a.example/#x' }, 'redirect_invalid'],
    [{ client: 'chatgpt', uri: CALLBACK }, 'redirect_already_allowed'],
  ] as const
  for (const [input, refusal] of rows) t.deepEqual(allowRedirect(state, input), { facts: [], refusal })
})

test('a new secret ends the old one, and is kept only where the old one was', (t) => {
  const history = new History()
  history.when(settleChatGpt(history.state, NOTHING))
  const redirects = ['https://a.example/']
  history.when(
    registerClient(history.state, { client: 'c1', name: 'App', secret: 'd', redirects, grantTypes: GRANT_TYPES }),
  )
  const rows = [
    ['chatgpt', 'chatgpt', 'vault', { 'client-secret/chatgpt': 'new' }],
    ['made-id', 'chatgpt', 'vault', { 'client-secret/chatgpt': 'new' }],
    ['c1', 'c1', 'shown', {}],
  ] as const
  for (const [name, id, secretFrom, keeps] of rows) {
    const before = client(history, id)
    const decision = history.when(
      rotateSecret(history.state, { client: name, secret: 'new', digest: `digest for ${name}` }),
    )
    const data = { client: id, secret: `digest for ${name}`, secretFrom }
    t.deepEqual(decision, { facts: [{ type: 'ClientSecretRotated', data }], result: before, keeps } as typeof decision)
    t.is(client(history, id).secret, `digest for ${name}`)
  }
})

test('a secret that the settings give cannot be rotated away from them', (t) => {
  const { state } = new History().given(...chatgpt)
  const input = { secret: 'new', digest: 'new' }
  t.deepEqual(rotateSecret(state, { client: 'chatgpt', ...input }), { facts: [], refusal: 'secret_from_settings' })
  t.deepEqual(rotateSecret(state, { client: 'nobody', ...input }), { facts: [], refusal: 'client_unknown' })
})

test('5. a stranger names a client by its client_id only; an operator also by its name', (t) => {
  const history = new History().given(...chatgpt)
  t.is(clientByClientId(history.state, 'id-of-chatgpt')?.id, 'chatgpt')
  for (const id of ['chatgpt', '', 'ID-of-chatgpt', 'id-of-chatgpt ', '__proto__', 'constructor'])
    t.is(clientByClientId(history.state, id), undefined, id)
  t.is(findClient(history.state, 'chatgpt')?.id, 'chatgpt')
  t.is(findClient(history.state, 'id-of-chatgpt')?.id, 'chatgpt')
  history.given({ type: 'ClientIdChanged', data: { client: 'chatgpt', clientId: 'id-2' } })
  t.is(clientByClientId(history.state, 'id-of-chatgpt'), undefined)
  t.is(clientByClientId(history.state, 'id-2')?.id, 'chatgpt')
})

test('what happened to a client nobody knows changes nothing', (t) => {
  const history = new History().given(...chatgpt)
  const before = client(history)
  history.given(
    { type: 'ClientIdChanged', data: { client: 'x', clientId: 'y' } },
    { type: 'ClientSecretRotated', data: { client: 'x', secret: 'y', secretFrom: 'shown' } },
    { type: 'RedirectUriRequested', data: { client: 'x', uri: CALLBACK, expiresAt: NOON + DAY } },
    { type: 'RedirectUriAllowed', data: { client: 'x', uri: CALLBACK, from: 'operator' } },
    { type: 'RedirectUriWithdrawn', data: { client: 'x', uri: CALLBACK } },
  )
  t.deepEqual([...history.state.clients.entries()], [['chatgpt', before]])
})

test('a callback that an operator allowed stays theirs, whatever the settings name or stop naming', (t) => {
  const history = new History().given(...chatgpt)
  const uri = 'https://b.example/cb'
  history.when(allowRedirect(history.state, { client: 'chatgpt', uri }))
  const settle = (redirects: string[]) =>
    history.when(
      settleChatGpt(history.state, {
        clientId: undefined,
        secret: 'digest-of-secret',
        redirects: [CALLBACK, ...redirects],
        made: { clientId: 'm', secret: 'm', digest: 'm' },
      }),
    )
  t.deepEqual(settle([uri]).facts, [])
  t.deepEqual(settle([]).facts, [])
  t.deepEqual(uris(history), [CALLBACK, uri])
})

test('a client ID that is another client’s is refused for ChatGPT, new or known', (t) => {
  const history = new History()
  const other = { ...chatgptData, client: 'other', clientId: 'taken' }
  history.given({ type: 'ClientRegistered', data: other })
  const made = { clientId: 'm', secret: 'm', digest: 'm' }
  const settle = () => settleChatGpt(history.state, { clientId: 'taken', secret: undefined, redirects: [], made })
  t.deepEqual(settle(), { facts: [], refusal: 'client_id_taken' })
  history.given(...chatgpt)
  t.deepEqual(settle(), { facts: [], refusal: 'client_id_taken' })
})

test('a callback brings no answer of its own, and nothing that means something in a policy', (t) => {
  for (const name of ['code', 'state', 'iss', 'error', 'error_description', 'error_uri'])
    t.false(isRedirectUri(`https://a.example/cb?${name}=x`, true), name)
  const odd = [
    'https://a;script-src.example/cb',
    "https://x'self'.example/cb",
    'https://*.example/cb',
    'https://a,b.example/',
  ]
  for (const uri of odd) for (const isPublic of [false, true]) t.false(isRedirectUri(uri, isPublic), uri)
  t.true(isRedirectUri('https://a.example/cb?keep=1', false))
})
