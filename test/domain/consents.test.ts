/** Consents: how an authorization request is examined, kept while its user decides, and answered once. */
import test from 'ava'
import { allowRedirect, clientByClientId } from '../../src/domain/clients.ts'
import {
  type Asked,
  denyConsent,
  type Examined,
  examineRequest,
  grantConsent,
  requestConsent,
} from '../../src/domain/consents.ts'
import type { Event } from '../../src/domain/domain.ts'
import { signOut } from '../../src/domain/sessions.ts'
import type { Reason } from '../../src/domain/shape.ts'
import { refusals } from '../../src/service/refusals.ts'
import {
  CALLBACK,
  chatgpt,
  consentRequested,
  DAY,
  History,
  keysOf,
  MINUTE,
  NOON,
  registered,
  signedIn,
  tokenIssued,
} from './_history.ts'

const MCP = 'https://todo.example.org/mcp'
const AUDIENCES = { accepted: ['https://todo.example.org', 'https://todo.example.org/', MCP], standard: MCP }
const CHALLENGE = 'E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM'
const OTHERS = 'https://other.example/cb'

/** ChatGPT, and another client with a callback of its own. */
const twoClients = (): History => {
  const { data } = chatgpt[0] as Extract<Event, { type: 'ClientRegistered' }>
  return new History().given(
    ...chatgpt,
    { type: 'ClientRegistered', data: { ...data, client: 'other', clientId: 'id-of-other', name: 'Other' } },
    { type: 'RedirectUriAllowed', data: { client: 'other', uri: OTHERS, from: 'operator' } },
  )
}

type Parameters = { [name: string]: string | string[] | undefined }
const STANDARD = { response_type: 'code', client_id: 'id-of-chatgpt', redirect_uri: CALLBACK, scope: '', state: 's1' }

const examine = (changed: Parameters) => {
  const given = Object.entries({ ...STANDARD, ...changed }).filter(([, value]) => value !== undefined)
  const parameters = new Map(given.map(([name, value]) => [name, [value].flat() as string[]]))
  const { state } = twoClients()
  return examineRequest(parameters, AUDIENCES, (id) => clientByClientId(state, id) ?? 'client_unknown')
}

const ASKED: Asked = {
  client: 'chatgpt',
  redirectUri: CALLBACK,
  scope: 'todos:read todos:write',
  challenge: null,
  resource: null,
}

const onPage: [string, Parameters, Reason][] = [
  ['3. another path', { redirect_uri: `${CALLBACK}/x` }, 'redirect_unregistered'],
  ['3. a trailing slash', { redirect_uri: `${CALLBACK}/` }, 'redirect_unregistered'],
  ['3. an extra query', { redirect_uri: `${CALLBACK}?x=1` }, 'redirect_unregistered'],
  ['3. a fragment', { redirect_uri: `${CALLBACK}#x` }, 'redirect_unregistered'],
  ['3. another case of the host', { redirect_uri: CALLBACK.replace('chat.', 'CHAT.') }, 'redirect_unregistered'],
  ['3. a port', { redirect_uri: CALLBACK.replace('.com', '.com:443') }, 'redirect_unregistered'],
  ['3. user information', { redirect_uri: CALLBACK.replace('chat.', 'x@chat.') }, 'redirect_unregistered'],
  ['3. a suffix of the host', { redirect_uri: CALLBACK.replace('.com', '.com.evil.example') }, 'redirect_unregistered'],
  ['3. another plugin', { redirect_uri: CALLBACK.replace('plugin-1', 'plugin-2') }, 'redirect_unregistered'],
  ['3. http', { redirect_uri: CALLBACK.replace('https', 'http') }, 'redirect_unregistered'],
  ['3. javascript', { redirect_uri: 'javascript:alert(1)' }, 'redirect_unregistered'],
  ['3. data', { redirect_uri: 'data:text/html,x' }, 'redirect_unregistered'],
  ['3. 8 kB', { redirect_uri: `${CALLBACK}${'x'.repeat(8192)}` }, 'redirect_unregistered'],
  ['4. no redirect_uri', { redirect_uri: undefined }, 'parameter_missing'],
  ['4. an empty redirect_uri', { redirect_uri: '' }, 'parameter_missing'],
  ['5. no client_id', { client_id: undefined }, 'parameter_missing'],
  ['5. an empty client_id', { client_id: '' }, 'parameter_missing'],
  ['5. an unknown client_id', { client_id: 'nobody' }, 'client_unknown'],
  ['5. a client by a name that is not its client_id', { client_id: 'chatgpt' }, 'client_unknown'],
  ['5. a client_id like a member of every object', { client_id: '__proto__' }, 'client_unknown'],
  ['6. another client’s callback', { redirect_uri: OTHERS }, 'redirect_unregistered'],
  ['6. with another client', { client_id: 'id-of-other' }, 'redirect_unregistered'],
  ['9. client_id twice', { client_id: ['id-of-chatgpt', 'id-of-chatgpt'] }, 'request_malformed'],
  ['9. redirect_uri twice', { redirect_uri: [CALLBACK, CALLBACK] }, 'request_malformed'],
  ['9. redirect_uri twice, one foreign', { redirect_uri: [CALLBACK, 'https://evil.example/'] }, 'request_malformed'],
  ['9. client_id twice, one empty', { client_id: ['id-of-chatgpt', ''] }, 'request_malformed'],
  ['an error elsewhere does not make a callback good', { redirect_uri: OTHERS, scope: 'x' }, 'redirect_unregistered'],
]
for (const [name, changed, page] of onPage)
  test(`${name}: told to the person`, (t) => {
    const examined = examine(changed)
    t.true('page' in examined)
    t.is('page' in examined && examined.page, page)
    // Where an operator may be asked about it, what the stranger sent comes along.
    const sent = 'redirect_uri' in changed ? changed.redirect_uri || undefined : CALLBACK
    t.is(
      (examined as { redirectUri?: string }).redirectUri,
      page === 'redirect_unregistered' ? (sent as string) : undefined,
    )
  })

const toClient: [string, Parameters, string][] = [
  ['8. no response_type', { response_type: undefined }, 'invalid_request'],
  ['8. an empty response_type', { response_type: '' }, 'invalid_request'],
  ['8. response_type token', { response_type: 'token' }, 'unsupported_response_type'],
  ['8. response_type id_token', { response_type: 'id_token' }, 'unsupported_response_type'],
  ['8. response_type CODE', { response_type: 'CODE' }, 'unsupported_response_type'],
  ['8. response_type code token', { response_type: 'code token' }, 'unsupported_response_type'],
  ['9. response_type twice', { response_type: ['code', 'code'] }, 'invalid_request'],
  ['9. scope twice', { scope: ['', ''] }, 'invalid_request'],
  ['9. code_challenge twice', { code_challenge: [CHALLENGE, CHALLENGE] }, 'invalid_request'],
  ['9. code_challenge_method twice', { code_challenge_method: ['S256', 'plain'] }, 'invalid_request'],
  ['9. resource twice', { resource: AUDIENCES.accepted }, 'invalid_request'],
  ['9. any other parameter twice', { nonce: ['a', 'b'] }, 'invalid_request'],
  ['2. a state of more than 4 kB', { state: 'x'.repeat(4097) }, 'invalid_request'],
  ['10. an unknown scope', { scope: 'todos:admin' }, 'invalid_scope'],
  ['10. one of them unknown', { scope: 'todos:read x' }, 'invalid_scope'],
  ['10. a scope in another case', { scope: 'TODOS:READ' }, 'invalid_scope'],
  ['10. a scope like a member of every object', { scope: 'toString' }, 'invalid_scope'],
  ['10. two blanks', { scope: 'todos:read  todos:write' }, 'invalid_scope'],
  ['10. a blank at the end', { scope: 'todos:read ' }, 'invalid_scope'],
  ['10. a tab', { scope: 'todos:read\ttodos:write' }, 'invalid_scope'],
  ['11. plain', { code_challenge: CHALLENGE, code_challenge_method: 'plain' }, 'invalid_request'],
  ['11. no method', { code_challenge: CHALLENGE }, 'invalid_request'],
  ['11. an empty method', { code_challenge: CHALLENGE, code_challenge_method: '' }, 'invalid_request'],
  ['11. the method in another case', { code_challenge: CHALLENGE, code_challenge_method: 's256' }, 'invalid_request'],
  ['11. a method without challenge', { code_challenge_method: 'S256' }, 'invalid_request'],
  ['11. too short', { code_challenge: CHALLENGE.slice(1), code_challenge_method: 'S256' }, 'invalid_request'],
  ['11. too long', { code_challenge: `${CHALLENGE}A`, code_challenge_method: 'S256' }, 'invalid_request'],
  ['11. padded', { code_challenge: `${CHALLENGE}=`, code_challenge_method: 'S256' }, 'invalid_request'],
  ['11. alphabet', { code_challenge: CHALLENGE.replace('-', '+'), code_challenge_method: 'S256' }, 'invalid_request'],
  ['11. a line end', { code_challenge: `${CHALLENGE}\n`, code_challenge_method: 'S256' }, 'invalid_request'],
  ['12. a foreign resource', { resource: 'https://other.example' }, 'invalid_target'],
  ['12. a relative resource', { resource: '/todos' }, 'invalid_target'],
  ['12. a fragment in the resource', { resource: `${AUDIENCES.accepted[0]}#x` }, 'invalid_target'],
  ['12. a path in the resource', { resource: `${AUDIENCES.accepted[0]}/todos` }, 'invalid_target'],
]
for (const [name, changed, error] of toClient)
  test(`${name}: ${error}, told to the client with its state`, (t) => {
    const { refusal, client, ...examined } = examine(changed) as Extract<Examined, { refusal: unknown }>
    t.is(client.id, 'chatgpt')
    t.deepEqual(examined, {
      redirectUri: CALLBACK,
      state: 's1',
      ...('state' in changed && { state: changed.state }),
    } as object)
    const [word, description] = refusals[refusal].redirect
    t.is(word, error)
    // RFC 6749 §4.1.2.1: error_description is %x20-21 / %x23-5B / %x5D-7E.
    t.regex(description, /^[\x20-\x21\x23-\x5b\x5d-\x7e]+$/)
  })

test('9. state twice: invalid_request, and neither is given back', (t) => {
  const examined = examine({ state: ['s1', 's2'] })
  t.like(examined, { refusal: 'parameter_repeated', redirectUri: CALLBACK, state: null })
})

const good: [string, Parameters, Partial<Asked>][] = [
  ['1. an empty scope is the default', {}, {}],
  ['1. no scope is the default', { scope: undefined }, {}],
  ['one scope', { scope: 'todos:read' }, { scope: 'todos:read' }],
  ['any order', { scope: 'todos:write todos:read' }, {}],
  ['a scope twice', { scope: 'todos:write todos:write' }, { scope: 'todos:write' }],
  ['10. unknown parameters', { nonce: 'a', response_mode: 'fragment', __proto__x: 'y' }, {}],
  ['11. a challenge', { code_challenge: CHALLENGE, code_challenge_method: 'S256' }, { challenge: CHALLENGE }],
  ['11. empty, so not sent', { code_challenge: '', code_challenge_method: '' }, {}],
  ['12. its own resource', { resource: AUDIENCES.accepted[0]! }, { resource: AUDIENCES.accepted[0]! }],
  ['12. the same with a slash', { resource: AUDIENCES.accepted[1]! }, { resource: AUDIENCES.accepted[1]! }],
  ['12. an empty resource', { resource: '' }, {}],
  ['another client', { client_id: 'id-of-other', redirect_uri: OTHERS }, { client: 'other', redirectUri: OTHERS }],
]
for (const [name, changed, asked] of good)
  test(`${name}: to be consented to`, (t) => {
    const examined = examine(changed)
    t.deepEqual('asked' in examined && examined.asked, { ...ASKED, ...asked })
    t.is('asked' in examined && examined.client.id, asked.client ?? 'chatgpt')
  })

test('2. state is kept byte for byte; without one there is none', (t) => {
  for (const state of ['%2B', 'ä+ \u{1f4a5}', 'x'.repeat(4096), '<script>', '"'])
    t.is((examine({ state }) as { state: string }).state, state)
  t.is((examine({ state: undefined }) as { state: string | null }).state, null)
})

const EXPIRES = NOON + 30 * MINUTE
const asked = (): History =>
  twoClients().given(registered('alice'), registered('bob'), signedIn('alice', 's1'), signedIn('bob', 's2'))
const ANSWER = { request: 'r1', session: 's1', grant: 'g1', code: 'c1', codeTtlMs: MINUTE, approvalTtlMs: DAY }

test('56. who was signed out meanwhile is not asked any more', (t) => {
  const input = { request: 'r1', user: 'alice', session: 's1', asked: ASKED, state: null, ttlMs: 30 * MINUTE }
  const ended = { facts: [], refusal: 'session_ended' } as const
  const history = twoClients().given(registered('alice'), registered('bob'))
  t.deepEqual(requestConsent(history.state, input, NOON), ended, 'no session')
  history.given({ type: 'SignedIn', data: { user: 'alice', session: 's1', expiresAt: EXPIRES, replaces: null } })
  t.deepEqual(requestConsent(history.state, { ...input, user: 'bob' }, NOON), ended, 'somebody else’s')
  t.deepEqual(requestConsent(history.state, input, EXPIRES), ended, 'expired')
  history.given({ type: 'UserRevoked', data: { user: 'alice' } })
  t.deepEqual(requestConsent(history.state, input, NOON), ended, 'revoked')
})

test('19. the request is kept as it was examined; its state only as personal text', (t) => {
  const history = asked()
  const input = {
    request: 'r1',
    user: 'alice',
    session: 's1',
    asked: { ...ASKED, challenge: CHALLENGE },
    ttlMs: 30 * MINUTE,
  }
  const data = {
    request: 'r1',
    user: 'alice',
    session: 's1',
    expiresAt: EXPIRES,
    replaces: null,
    ...ASKED,
    challenge: CHALLENGE,
  }
  t.deepEqual(history.when(requestConsent(history.state, { ...input, state: 'x%2B' }, NOON)), {
    facts: [{ type: 'ConsentRequested', data, personal: { state: 'x%2B' } }],
    result: undefined,
    keeps: {},
  })
  const { result } = grantConsent(history.state, ANSWER, NOON) as { result: unknown }
  t.deepEqual(result, { redirectUri: CALLBACK, state: 'x%2B' })
})

test('18. consent gives one code for what was asked, once', (t) => {
  const resource = AUDIENCES.accepted[0]!
  const wanted = { scope: 'todos:read', challenge: CHALLENGE, resource }
  const history = asked().given(consentRequested('alice', 's1', 'r1', wanted))
  const ids = { user: 'alice', client: 'chatgpt', grant: 'g1' }
  t.deepEqual(history.when(grantConsent(history.state, ANSWER, NOON)), {
    facts: [
      {
        type: 'ConsentGranted',
        data: { request: 'r1', redirectUri: CALLBACK, scope: 'todos:read', approvedUntil: NOON + DAY, ...ids },
      },
      { type: 'CodeIssued', data: { code: 'c1', redirectUri: CALLBACK, expiresAt: NOON + MINUTE, ...wanted, ...ids } },
    ],
    result: { redirectUri: CALLBACK, state: 'state of r1' },
    keeps: {},
  })
  t.deepEqual(denyConsent(history.state, ANSWER, NOON), { facts: [], refusal: 'consent_unknown' })
  t.deepEqual(keysOf(history.state.codes), ['c1'])
})

test('18. the same yes again gives another code in place of the first, until one is redeemed or has expired', (t) => {
  const history = asked().given(consentRequested('alice', 's1', 'r1', { challenge: CHALLENGE }))
  history.when(grantConsent(history.state, ANSWER, NOON))
  const again = (now: number, more = {}) =>
    grantConsent(history.state, { ...ANSWER, code: 'c2', grant: 'g2', ...more }, now)
  const { scope } = ASKED
  const ids = { user: 'alice', client: 'chatgpt', grant: 'g1', redirectUri: CALLBACK, scope, challenge: CHALLENGE }
  t.is(again(NOON, { session: 's2' }).refusal, 'consent_unknown', 'another session')
  t.is(again(NOON + MINUTE).refusal, 'consent_unknown', 'the first code has expired')
  t.deepEqual(history.when(again(NOON + MINUTE - 1)), {
    facts: [{ type: 'CodeIssued', data: { code: 'c2', resource: null, expiresAt: NOON + 2 * MINUTE - 1, ...ids } }],
    result: { redirectUri: CALLBACK, state: 'state of r1' },
    keeps: {},
  })
  t.deepEqual(keysOf(history.state.codes), ['c2'])
  history.given(tokenIssued('alice', 'c2'))
  t.deepEqual(again(NOON + MINUTE), { facts: [], refusal: 'consent_unknown' }, 'redeemed')
  const ended = asked().given(consentRequested('alice', 's1', 'r1'))
  ended.when(grantConsent(ended.state, ANSWER, NOON))
  ended.given({ type: 'RedirectUriWithdrawn', data: { client: 'chatgpt', uri: CALLBACK } })
  t.is(grantConsent(ended.state, { ...ANSWER, code: 'c2' }, NOON).refusal, 'consent_unknown', 'withdrawn')
})

test('21. denial is recorded, gives no code, and is final', (t) => {
  const history = asked().given(consentRequested('alice', 's1', 'r1'))
  t.deepEqual(history.when(denyConsent(history.state, ANSWER, NOON)), {
    facts: [{ type: 'ConsentDenied', data: { request: 'r1', user: 'alice', client: 'chatgpt' } }],
    result: { redirectUri: CALLBACK, state: 'state of r1' },
    keeps: {},
  })
  t.deepEqual(keysOf(history.state.codes), [])
  t.is(grantConsent(history.state, ANSWER, NOON).refusal, 'consent_unknown')
  t.deepEqual(denyConsent(history.state, ANSWER, NOON), {
    facts: [],
    result: { redirectUri: CALLBACK, state: 'state of r1' },
    keeps: {},
  })
})

test('17. an answer to another request, from another session, or too late: refused, and the right one still works', (t) => {
  const history = asked().given(consentRequested('alice', 's1', 'r1'))
  const rows = [
    [{ request: 'r2' }, NOON],
    [{ request: '' }, NOON],
    [{ request: '__proto__' }, NOON],
    [{ session: 's2' }, NOON],
    [{ session: '' }, NOON],
    [{}, EXPIRES],
    [{}, EXPIRES + 1],
  ] as const
  for (const decide of [grantConsent, denyConsent]) {
    for (const [wrong, now] of rows)
      t.deepEqual(decide(history.state, { ...ANSWER, ...wrong }, now), { facts: [], refusal: 'consent_unknown' })
    t.is(decide(history.state, ANSWER, EXPIRES - 1).refusal, undefined)
  }
})

test('what ends an open consent: its callback withdrawn, its session signed out', (t) => {
  const uri = 'https://chatgpt.com/aip/g-1/oauth/callback'
  const history = asked()
  history.when(allowRedirect(history.state, { client: 'chatgpt', uri }))
  const requested = consentRequested('alice', 's1', 'r1') as Extract<Event, { type: 'ConsentRequested' }>
  history.given({ ...requested, data: { ...requested.data, redirectUri: uri } }, consentRequested('bob', 's2', 'r2'))
  t.is(grantConsent(history.state, ANSWER, NOON).refusal, undefined)
  history.given({ type: 'RedirectUriWithdrawn', data: { client: 'chatgpt', uri } })
  t.deepEqual(grantConsent(history.state, ANSWER, NOON), { facts: [], refusal: 'consent_unknown' })
  history.when(signOut(history.state, 's2'))
  t.is(grantConsent(history.state, { ...ANSWER, request: 'r2', session: 's2' }, NOON).refusal, 'consent_unknown')
})

const ask = (history: History, session: string, request: string, now = NOON) =>
  history.when(
    requestConsent(history.state, { request, user: 'alice', session, asked: ASKED, state: null, ttlMs: MINUTE }, now),
  )

/** Requests of one session, in the order of `ids`; which of them are still open. */
const openOf = (ids: readonly string[], stepMs = 0): string[] => {
  const history = asked().given(consentRequested('bob', 's2', 'of bob'))
  for (const [i, id] of ids.entries()) ask(history, 's1', id, NOON + i * stepMs)
  return keysOf(history.state.consents)
}

test('113. a session has ten requests open; the oldest gives way, and no other session’s', (t) => {
  const ids = Array.from({ length: 12 }, (_, i) => `r${String(i).padStart(2, '0')}`)
  t.deepEqual(openOf(ids), ['of bob', ...ids.slice(2)])
})

test('113. ten requests of one session leave room for those of another one of the same user', (t) => {
  const history = asked().given(signedIn('alice', 's1b'), consentRequested('alice', 's1b', 'r0'))
  for (let i = 1; i <= 10; i++) ask(history, 's1', `r${i}`)
  t.is(history.state.consents.size, 11)
})

test('113. a user has twenty requests open in all sessions; the oldest gives way, and nobody else’s', (t) => {
  const history = asked().given(consentRequested('bob', 's2', 'of bob'))
  for (let i = 0; i < 25; i++) {
    if (i % 5 === 0) history.given(signedIn('alice', `t${i}`))
    ask(history, `t${i - (i % 5)}`, `r${String(i).padStart(2, '0')}`)
  }
  const left = Array.from({ length: 20 }, (_, i) => `r${String(i + 5).padStart(2, '0')}`)
  t.deepEqual(keysOf(history.state.consents), ['of bob', ...left])
})

test('113. all open requests together take 32 MB at most; then nobody new is asked', (t) => {
  const history = asked()
  const fill = (request: string): void => {
    const requested = consentRequested(`u ${request}`, `s ${request}`, request)
    history.given({ ...requested, personal: { state: 'x'.repeat(760_000) } } as Event)
  }
  for (let i = 0; i < 31; i++) fill(`r${i}`)
  t.is(ask(history, 's1', 'before').refusal, undefined)
  fill('r31')
  t.is(ask(history, 's1', 'after').refusal, 'consents_too_many')
  history.sweep(EXPIRES + MINUTE)
  t.is(history.state.consents.totalSize, 0)
})

test('2. a state is measured as it is kept: a control character takes six bytes, a letter of two bytes two', (t) => {
  const fits = [
    'x'.repeat(4096),
    '\u0001'.repeat(682),
    'ü'.repeat(2048),
    '€'.repeat(1365),
    '😀'.repeat(1024),
    '"'.repeat(2048),
  ]
  const isRefused = (state: string): boolean => 'refusal' in examine({ state })
  for (const state of fits)
    t.deepEqual([isRefused(state), isRefused(`${state}xxxxx`)], [false, true], state.slice(0, 2))
})

test('12. what a client that came by itself does not name is /mcp; an operator’s client names it to mean it', (t) => {
  const { data } = chatgpt[0] as Extract<Event, { type: 'ClientRegistered' }>
  for (const registration of ['operator', 'dynamic', 'document'] as const) {
    const history = new History().given({ ...chatgpt[0]!, data: { ...data, registration } } as Event, chatgpt[1]!)
    const of = (resource?: string): unknown => {
      const parameters = new Map(
        Object.entries({ ...STANDARD, ...(resource && { resource }) }).map(([n, v]) => [n, [v]]),
      )
      const examined = examineRequest(parameters, AUDIENCES, (id) => clientByClientId(history.state, id)!)
      return 'asked' in examined ? examined.asked.resource : 'refusal' in examined && examined.refusal
    }
    t.is(of(), registration === 'operator' ? null : MCP)
    for (const resource of AUDIENCES.accepted) t.is(of(resource), resource)
    for (const other of [`${MCP}/`, `${MCP}?x`, `${MCP}/x`, 'https://other.example/mcp'])
      t.is(of(other), 'resource_foreign')
  }
})

test('113, 116. the oldest is the one that stands first in the book, also when the clock went back', (t) => {
  const ids = Array.from({ length: 12 }, (_, i) => `r${String(20 - i).padStart(2, '0')}`)
  t.deepEqual(openOf(ids, -1000), ['of bob', ...ids.slice(2).sort()])
})

test('113. a sweep drops expired requests, and only those', (t) => {
  const history = asked().given(consentRequested('alice', 's1', 'r1'))
  history.sweep(EXPIRES + MINUTE - 1)
  t.deepEqual(keysOf(history.state.consents), ['r1'])
  history.sweep(EXPIRES + MINUTE)
  t.deepEqual(keysOf(history.state.consents), [])
})

test('a state that can no longer be opened is none', (t) => {
  const history = asked().given(consentRequested('alice', 's1', 'r1'))
  history.erased.add('alice')
  for (const decide of [grantConsent, denyConsent])
    t.deepEqual((decide(history.state, ANSWER, NOON) as { result: unknown }).result, {
      redirectUri: CALLBACK,
      state: null,
    })
})
