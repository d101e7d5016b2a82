/** Clients that bring themselves: how many there may be, how long they stay, and what their documents change. */
import test from 'ava'
import { type Client, removeClient } from '../../src/domain/clients.ts'
import { grantConsent, isRemembered } from '../../src/domain/consents.ts'
import type { Event } from '../../src/domain/domain.ts'
import type { Description } from '../../src/domain/metadata.ts'
import {
  clientLastRead,
  clientOfDocument,
  MAX_UNUSED,
  registeredClient,
  registerItself,
  settleDocument,
  unregister,
} from '../../src/domain/registrations.ts'
import {
  codeIssued,
  consentRequested,
  DAY,
  History,
  HOUR,
  keysOf,
  MINUTE,
  NOON,
  registered,
  SECOND,
  signedIn,
  tokenIssued,
} from './_history.ts'

const URI = 'https://app.example/cb'
const BOTH = ['authorization_code', 'refresh_token'] as const
const DESCRIBED: Description = { name: 'App', redirects: [URI], grantTypes: BOTH, authMethod: 'none' }
const INPUT = { client: 'c1', described: DESCRIBED, secret: null, registrationToken: 'digest of token' }

const register = (history: History, client = 'c1', now = history.now) =>
  history.when(registerItself(history.state, { ...INPUT, client }, now))
const client = ({ state }: History, id = 'c1'): Client | undefined => state.clients.get(id)
const begin = (): History => new History().given(registered('alice'), signedIn('alice', 's1'))
/** The client is used: somebody's code is redeemed. */
const use = (history: History, code: string, id = 'c1'): History =>
  history.given(codeIssued('alice', code, { client: id }), tokenIssued('alice', code, { client: id }))

test('73. a registration is recorded with its callbacks, as digests, for a day', (t) => {
  const history = new History()
  const data = {
    ...{ client: 'c1', clientId: 'c1', name: 'App', secret: 'digest', secretFrom: 'shown', grantTypes: BOTH },
    ...{ registration: 'dynamic', expiresAt: NOON + DAY, registrationToken: 'digest of token' },
    authMethod: 'client_secret_post',
  }
  const described = { ...DESCRIBED, redirects: [URI, `${URI}2`], authMethod: 'client_secret_post' } as const
  const input = { ...INPUT, secret: 'digest', described }
  t.deepEqual(history.when(registerItself(history.state, input, NOON)), {
    facts: [
      { type: 'ClientRegistered', data },
      { type: 'RedirectUriAllowed', data: { client: 'c1', uri: URI, from: 'client' } },
      { type: 'RedirectUriAllowed', data: { client: 'c1', uri: `${URI}2`, from: 'client' } },
    ],
    result: undefined,
    keeps: {},
  } as never)
})

test('76. what nobody has used expires after a day; what somebody has used, 90 days after its last grant', (t) => {
  const history = begin()
  register(history)
  register(history, 'c2')
  use(history, 'x')
  t.is(client(history)?.expiresAt, NOON + 180 * DAY)
  t.is(client(history)?.usedAt, new Date(NOON).toISOString())
  history.sweep(NOON + DAY + MINUTE - 1)
  t.deepEqual(keysOf(history.state.clients), ['c1', 'c2'])
  history.sweep(NOON + DAY + MINUTE)
  t.deepEqual(keysOf(history.state.clients), ['c1'])
  history.now = NOON + 100 * DAY
  const issued = tokenIssued('alice', 'y', { client: 'c1' }) as Extract<Event, { type: 'TokenIssued' }>
  const later = (days: number): Event => ({ ...issued, data: { ...issued.data, grantExpiresAt: NOON + days * DAY } })
  history.given(later(190))
  t.is(client(history)?.expiresAt, NOON + 280 * DAY)
  history.given(later(10))
  t.is(client(history)?.expiresAt, NOON + 280 * DAY, 'never shortened')
  history.sweep(NOON + 280 * DAY)
  t.truthy(client(history))
  history.sweep(NOON + 280 * DAY + MINUTE)
  t.is(client(history), undefined)
})

test('76. an operator’s client never expires, and its row does not change when it is used', (t) => {
  const history = begin().given({
    type: 'ClientRegistered',
    data: {
      ...{ client: 'c1', clientId: 'c1', name: 'App', secret: 'x', secretFrom: 'shown', grantTypes: BOTH },
      ...{ registration: 'operator', expiresAt: null, authMethod: null, registrationToken: null },
    },
  })
  const before = client(history)
  use(history, 'x')
  t.is(client(history), before)
  history.sweep(NOON + 10_000 * DAY)
  t.is(client(history), before)
})

test('76. past a thousand unused ones the oldest gives way if it has had an hour; else there is no room', (t) => {
  const history = begin()
  for (let i = 0; i < MAX_UNUSED; i++) register(history, `c${i}`, NOON + i)
  t.deepEqual(register(history, 'late', NOON + HOUR - 1), { facts: [], refusal: 'clients_too_many' })
  const { facts } = register(history, 'late', NOON + HOUR)
  t.deepEqual(facts[0], { type: 'ClientRemoved', data: { client: 'c0', cause: 'room' } })
  t.deepEqual([client(history, 'c0'), client(history, 'late')?.id], [undefined, 'late'])
  t.is(register(history, 'later', NOON + HOUR).refusal, 'clients_too_many')
  use(history, 'x', 'c5')
  t.deepEqual(register(history, 'later', NOON + HOUR).facts.length, 2, 'one that is used leaves room, and stays')
  t.is(history.state.clients.countBy('unused', 'dynamic'), MAX_UNUSED)
  const reading = { clientId: 'https://a.example/x', described: DESCRIBED }
  t.is(settleDocument(history.state, reading, 'd1', NOON).refusal, undefined, 'documents have places of their own')
})

test('73. only its own token manages a registration; taking it back ends all that it was given', (t) => {
  const history = begin()
  register(history)
  use(history, 'x').given(consentRequested('alice', 's1', 'r1', { client: 'c1', redirectUri: URI }))
  history.given(codeIssued('alice', 'y', { client: 'c1' }))
  for (const [id, token] of [
    ['c1', 'other'],
    ['c1', ''],
    ['c2', 'digest of token'],
    ['chatgpt', 'null'],
  ] as const) {
    t.is(registeredClient(history.state, id, token), undefined)
    t.deepEqual(unregister(history.state, id, token), { facts: [], refusal: 'registration_token_unknown' })
  }
  t.is(registeredClient(history.state, 'c1', 'digest of token')?.name, 'App')
  t.deepEqual(history.when(unregister(history.state, 'c1', 'digest of token')).facts, [
    { type: 'ClientRemoved', data: { client: 'c1', cause: 'client' } },
  ])
  const { clients, codes, grants, tokens, consents } = history.state
  t.deepEqual(
    [clients, codes, grants, tokens, consents].map((table) => table.size),
    [0, 0, 0, 0, 0],
  )
})

test('a yes to a client that came by itself is not remembered, with a secret neither', (t) => {
  for (const secret of [null, 'digest']) {
    const history = begin()
    history.when(registerItself(history.state, { ...INPUT, secret }, NOON))
    history.given(consentRequested('alice', 's1', 'r1', { client: 'c1', redirectUri: URI }))
    const answer = { request: 'r1', session: 's1', grant: 'g1', code: 'x', codeTtlMs: MINUTE, approvalTtlMs: DAY }
    const { facts } = history.when(grantConsent(history.state, answer, NOON))
    t.is(facts[0]?.type === 'ConsentGranted' && facts[0].data.approvedUntil, null)
    const asked = { client: 'c1', redirectUri: URI, scope: 'todos:read', challenge: null, resource: null }
    t.false(isRemembered(history.state, 'alice', asked, NOON))
    t.is(history.state.approvals.size, 0)
  }
})

const ADDRESS = 'https://chatgpt.com/oauth/client.json'
const reading = (changed: Partial<Description> = {}) => ({
  clientId: ADDRESS,
  described: { ...DESCRIBED, ...changed },
})
const settle = (history: History, changed: Partial<Description> = {}, now = NOON) =>
  history.when(settleDocument(history.state, reading(changed), 'd1', now))

test('77. a document becomes a row once, and is noted again at most once an hour', (t) => {
  const history = begin()
  t.is(clientOfDocument(history.state, reading(), 'd1').id, 'd1')
  t.is(history.state.clients.size, 0, 'who only looks leaves nothing')
  const { facts } = settle(history)
  t.deepEqual(
    facts.map(({ type }) => type),
    ['ClientRegistered', 'RedirectUriAllowed'],
  )
  t.like(client(history, 'd1'), {
    ...{ clientId: ADDRESS, registration: 'document', secret: null, expiresAt: NOON + DAY },
    redirects: [{ uri: URI, from: 'client' }],
  })
  t.deepEqual(history.when(settleDocument(history.state, reading(), 'other', NOON + HOUR - SECOND)), {
    facts: [],
    result: 'd1',
    keeps: {},
  })
  history.now = NOON + HOUR
  t.deepEqual(settle(history, {}, NOON + HOUR).facts, [
    { type: 'ClientDocumentRead', data: { client: 'd1', name: 'App', grantTypes: BOTH } },
  ])
  t.deepEqual(settle(history, {}, NOON + HOUR).facts, [])
})

test('77. a document that changes changes the row; a callback that it drops ends codes on their way there', (t) => {
  const history = begin()
  settle(history, { redirects: [URI, 'http://127.0.0.1/cb'] })
  history.given({ type: 'RedirectUriAllowed', data: { client: 'd1', uri: 'https://own.example/', from: 'operator' } })
  for (const [code, redirectUri] of [
    ['kept', URI],
    ['dropped', 'http://127.0.0.1:4711/cb'],
    ['by the operator', 'https://own.example/'],
  ] as const)
    history.given(codeIssued('alice', code, { client: 'd1', redirectUri }))
  const changed = {
    name: 'Other',
    redirects: [URI, 'https://new.example/'],
    grantTypes: ['authorization_code'] as const,
  }
  t.deepEqual(settle(history, changed).facts, [
    { type: 'ClientDocumentRead', data: { client: 'd1', name: 'Other', grantTypes: ['authorization_code'] } },
    { type: 'RedirectUriAllowed', data: { client: 'd1', uri: 'https://new.example/', from: 'client' } },
    { type: 'RedirectUriWithdrawn', data: { client: 'd1', uri: 'http://127.0.0.1/cb' } },
  ])
  t.deepEqual(keysOf(history.state.codes), ['by the operator', 'kept'])
  t.like(client(history, 'd1'), { name: 'Other', grantTypes: ['authorization_code'] })
})

test('77. while its document cannot be read, a client is what it was last read as, for a day', (t) => {
  const history = begin()
  const last = (now: number): string | undefined => clientLastRead(history.state, ADDRESS, now)?.id
  t.is(last(NOON), undefined)
  settle(history)
  use(history, 'x', 'd1')
  t.deepEqual(
    [last(NOON), last(NOON + DAY - 1), last(NOON + DAY), last(NOON - DAY)],
    ['d1', 'd1', undefined, undefined],
  )
  history.now = NOON + 2 * HOUR
  settle(history, {}, NOON + 2 * HOUR)
  t.is(last(NOON + DAY + HOUR), 'd1')
  register(history)
  t.is(clientLastRead(history.state, 'c1', NOON), undefined, 'one that registered itself has none')
})

test('an operator removes a client that came by itself', (t) => {
  const history = begin()
  settle(history)
  t.deepEqual(history.when(removeClient(history.state, ADDRESS)).facts, [
    { type: 'ClientRemoved', data: { client: 'd1', cause: 'operator' } },
  ])
  t.is(client(history, 'd1'), undefined)
})
