/** The register: one real event of every type ever shipped still replays, and still says something to a person. */
import { createHash } from 'node:crypto'
import { readFileSync } from 'node:fs'
import test from 'ava'
import canonicalize from 'canonicalize'
import {
  describe,
  dropExpired,
  type Event,
  eventTypes,
  evolve,
  initial,
  type State,
  tablesOf,
} from '../../src/domain/domain.ts'
import type { Recorded } from '../../src/domain/shape.ts'
import type { Table } from '../../src/domain/table.ts'
import { toEvent } from '../../src/ledger/history.ts'
import { Vault } from '../../src/ledger/vault.ts'
import {
  codeIssued,
  consentRequested,
  DAY,
  History,
  MINUTE,
  NOON,
  registered,
  signedIn,
  tokenIssued,
} from './_history.ts'

const ALICE = '01M7XS1RRJA80HGKBJZ7YE3V34'
/** The keys of the book that the fixture was taken from. Nothing else was ever sealed with them. */
const KEYS: { readonly [owner: string]: string } = {
  [ALICE]: 'iznpbDi7ER3ggnRIhsPGtkKL2tn4nu4maRqkytjpp6c=',
  anonymous: 'tTgYiEnlQIpRLGK4B+Ah4gqtFo1MbN+8NaHnWB5x/r0=',
  '01M7XS1WVHL1ST0000000000AA': 'Zm9yIHRoZSBmaXh0dXJlIG9mIGEgbGlzdCBvbmx5ISE=',
}

const lines = readFileSync(new URL('../fixtures/events.ndjson', import.meta.url), 'utf8')
  .trimEnd()
  .split('\n')

/** The fixture's events, as the ledger would give them to whoever holds these keys. */
function fixture(keys: typeof KEYS): Recorded<Event>[] {
  const vault = new Vault()
  for (const [owner, key] of Object.entries(keys)) vault.put(`key/${owner}`, key)
  return lines.map((line) => toEvent(line, vault))
}

const CALLBACK = 'https://chat.openai.com/aip/plugin-8f1c2d3e-0000-4a5b-9c6d-7e8f90a1b2c3/oauth/callback'
/** What each event's sentence must tell, in this order. */
const tells: { readonly [T in Event['type']]: readonly string[] } = {
  BookOpened: ['opened', '0.1.0'],
  BookInspected: ['looked at', 'user:'],
  BookExported: ['exported', '1', '35', 'personal text'],
  BookBackedUp: ['backed', '35'],
  UserErased: ['erased'],
  ExpiredDropped: ['let go', 'expired', '2026-11-20T'],
  ClientRegistered: ['registered', 'ChatGPT', 'first_id'],
  ClientDocumentRead: ['read', 'document', 'Editor'],
  ClientIdChanged: ['client id', 'ChatGPT', 'id_set_by_developer'],
  ClientSecretRotated: ['ChatGPT', 'new secret', 'settings'],
  ClientRemoved: ['removed', 'other', 'ended'],
  KeyIssued: ['made', 'API key', 'alice'],
  KeyUsed: ['used', 'API key'],
  KeyRevoked: ['revoked', 'API key', 'alice'],
  ServiceTokenRotated: ['new service token'],
  ListOpened: ['began', 'list'],
  ListErased: ['erased', 'list'],
  TokenRefused: ['refresh token', 'alice', 'refused'],
  ApprovalWithdrawn: ['took back', 'approval', 'alice', 'ChatGPT'],
  TokenRevoked: ['ended', 'ChatGPT', 'alice'],
  RedirectUriWithdrawn: ['withdrew', 'ChatGPT', 'https://chatgpt.com/aip/old/oauth/callback'],
  UserRegistered: ['registered', 'alice'],
  SignedIn: ['signed in', 'alice'],
  RedirectUriRequested: ['asked', 'ChatGPT', CALLBACK],
  RedirectUriAllowed: ['allowed', 'ChatGPT', CALLBACK],
  ConsentDenied: ['not', 'ChatGPT'],
  ConsentRequested: ['asked', 'ChatGPT'],
  ConsentGranted: ['let', 'ChatGPT'],
  CodeIssued: ['code', 'ChatGPT'],
  TokenIssued: ['redeemed', 'code', 'alice'],
  TokenRefreshed: ['refreshed', 'alice'],
  TodoAdded: ['added', 'buy milk'],
  TodoChanged: ['changed', 'buy milk', 'buy oat milk', '2026-12-01', 'priority', '2', 'notes', 'nothing'],
  TodoCompleted: ['completed', 'buy oat milk'],
  TodoReopened: ['reopened', 'buy oat milk'],
  TodoMoved: ['moved', 'buy oat milk'],
  TodoDeleted: ['deleted', 'buy milk'],
  TodoUndeleted: ['undid', 'deletion', 'buy milk'],
  OutcomeKept: ['outcome', 'kept', 'idempotency key'],
  TokenReplayed: ['used refresh token', 'alice', 'again', 'ended'],
  CodeReplayed: ['used code', 'alice', 'again', 'ended'],
  SignedOut: ['signed out'],
  SignInFailed: ['failed', 'alice', 'wrong password'],
  PasswordChanged: ['changed', 'password', 'alice'],
  UserRevoked: ['revoked', 'alice'],
  UserRestored: ['alice', 'again'],
}

/** One line of words without what a program leaves behind where it knew nothing. */
const isSentence = (text: string): boolean => /^\S.*\S$/u.test(text) && !/undefined|null|\[object|NaN/.test(text)

/** Do those words stand in it, in that order? */
function hasInOrder(sentence: string, words: readonly string[]): boolean {
  let from = 0
  for (const word of words) {
    const at = sentence.indexOf(word, from)
    if (at < 0) return false
    from = at + word.length
  }
  return true
}

test('90. the fixture holds one event of every type there is', (t) => {
  t.deepEqual(
    fixture(KEYS)
      .map((event) => event.type)
      .sort(),
    [...eventTypes].sort(),
  )
})

test('each line is an event as the contract says, under its own hash', (t) => {
  for (const line of lines) {
    const { hash, ...event } = JSON.parse(line)
    t.is(createHash('sha256').update(canonicalize(event)!).digest('hex'), hash, line)
    const members = ['actor', 'at', 'data', 'id', 'prev', 'sealed', 'seq', 'trace', 'type', 'via']
    t.deepEqual(
      Object.keys(event),
      members.filter((name) => (name !== 'sealed' && name !== 'trace') || event[name] !== undefined),
    )
    t.regex(event.at, /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$/)
    t.regex(event.id, /^[0-9A-HJKMNP-TV-Z]{26}$/)
    t.regex(event.prev, /^[0-9a-f]{64}$/)
    t.true(Number.isSafeInteger(event.seq))
  }
})

test('each event replays, in its place and alone', (t) => {
  const state = initial()
  const filled = new Set<string>()
  for (const event of fixture(KEYS)) {
    if (event.type === 'UserErased') {
      const { passwordChanges, active, sealed } = state.users.get(ALICE)!
      t.deepEqual([passwordChanges, active], [1, true])
      t.like(sealed.open, { username: 'alice', email: 'alice@example.org' })
    }
    t.notThrows(() => evolve(state, event), event.type)
    t.notThrows(() => evolve(initial(), event), `${event.type} alone`)
    for (const [name, rows] of tablesOf(state)) if (rows.size > 0) filled.add(name)
  }
  t.deepEqual(state.clients.get('chatgpt')?.redirects, [{ uri: CALLBACK, from: 'operator' }])
  t.deepEqual(
    [...filled].sort(),
    tablesOf(state)
      .map(([name]) => name)
      .sort(),
    'every table had rows',
  )
  const left = tablesOf(state).map(([name, rows]) => [name, rows.size])
  t.deepEqual(Object.fromEntries(left), {
    users: 0,
    waiting: 0,
    clients: 1,
    sessions: 0,
    consents: 0,
    codes: 0,
    grants: 0,
    tokens: 0,
    todos: 0,
    approvals: 0,
    keys: 0,
    lists: 0,
    services: 1,
    outcomes: 0,
  })
})

test('each event says a sentence that tells what happened, to whom', (t) => {
  const state = initial()
  for (const event of fixture(KEYS)) {
    evolve(state, event)
    const sentence = describe(event, state)
    t.true(isSentence(sentence), sentence)
    t.true(hasInOrder(sentence, tells[event.type]), sentence)
  }
  t.is(new Set(fixture(KEYS).map((event) => describe(event, state))).size, eventTypes.length, 'no two say the same')
})

test('an event of somebody who was erased replays too, and says what is left without their name', (t) => {
  const state = initial()
  for (const event of fixture({})) {
    t.notThrows(() => evolve(state, event), event.type)
    const sentence = describe(event, state)
    t.true(isSentence(sentence), sentence)
    t.notRegex(sentence, /alice|milk|2026-12-01/)
    const { type } = event
    if (type === 'UserRegistered' || type === 'ListOpened' || type.startsWith('Todo')) t.regex(sentence, /erased/)
    else
      t.true(
        hasInOrder(
          sentence,
          tells[type].map((word) => (word === 'alice' ? ALICE : word)),
        ),
        sentence,
      )
  }
})

test('where nobody is known any more, a sentence calls users and clients by their ids', (t) => {
  for (const event of fixture({})) {
    const sentence = describe(event, initial())
    t.true(isSentence(sentence), sentence)
    if (tells[event.type].includes('ChatGPT') && event.type !== 'ClientRegistered') t.regex(sentence, /chatgpt/)
  }
})

test('nothing has happened at first', (t) => {
  for (const [name, rows] of tablesOf(initial())) t.is(rows.size, 0, name)
})

test('113. one sweep drops what has expired in every room', (t) => {
  const history = new History().given(
    ...[registered('alice'), signedIn('alice', 's1'), consentRequested('alice', 's1', 'r1')],
    ...[codeIssued('alice', 'c1'), codeIssued('alice', 'c2'), tokenIssued('alice', 'c2')],
  )
  const { state } = history
  history.sweep(NOON)
  const sizes = (): object =>
    Object.fromEntries(tablesOf(state).flatMap(([name, rows]) => (rows.size === 0 ? [] : [[name, rows.size]])))
  t.deepEqual(sizes(), { users: 1, sessions: 1, consents: 1, codes: 2, grants: 1, tokens: 2 })
  history.sweep(NOON + 90 * DAY + MINUTE)
  t.deepEqual(sizes(), { users: 1 })
})

test('113. what expires at once goes some ten thousand rows at a time, whole minutes together', (t) => {
  const state = initial()
  for (let i = 0; i <= 10_002; i++) {
    const expiresAt = i <= 10_000 ? MINUTE : 2 * MINUTE
    state.sessions.set(`s${i}`, { user: 'u', expiresAt, createdAt: '', seq: i, trace: undefined })
  }
  const history = (until: number): Event => ({ type: 'ExpiredDropped', data: { until } })
  for (const [until, more, left] of [
    [2 * MINUTE, true, 2],
    [3 * MINUTE, false, 0],
  ] as const) {
    const decision = dropExpired(state, 600_000)
    t.deepEqual(decision, { facts: [history(until)], result: more, keeps: {} })
    const event = { seq: 1, id: '', at: '', actor: { kind: 'system', id: '' }, via: {}, ...history(until) }
    evolve(state, event as Recorded<Event>)
    t.is(state.sessions.size, left)
  }
  t.deepEqual(dropExpired(state, 600_000), { facts: [], result: false, keeps: {} })
})

/** The state that the first events of the fixture make. */
function stateAfter(count: number): State {
  const state = initial()
  for (const event of fixture(KEYS).slice(0, count)) evolve(state, event)
  return state
}
const recorded = (fact: Event): Recorded<Event> =>
  ({ seq: 1000, id: '', at: '', actor: { kind: 'system', id: '' }, via: {}, ...fact }) as Recorded<Event>

/** The minutes by which the rows of a table expire. */
const minutesOf = (table: Table<object, string>): string[] =>
  table.hasIndex('minute') ? [...table.valuesOf('minute')] : []
/** A client that registered itself, which expires where nobody uses it. The fixture has one of an operator's. */
const newcomer: Event = {
  type: 'ClientRegistered',
  data: {
    ...{ client: 'newcomer', clientId: 'newcomer', name: 'Newcomer', secret: null, secretFrom: 'none' },
    ...{ grantTypes: [], registration: 'dynamic', expiresAt: NOON, authMethod: 'none', registrationToken: null },
  },
}

test('113. every table whose rows expire is swept: alone, too', (t) => {
  const met = new Set<string>()
  for (let count = 1; count <= lines.length; count++)
    for (const [name] of tablesOf(initial())) {
      const state = stateAfter(count)
      evolve(state, recorded(newcomer))
      if (minutesOf(state[name as keyof State] as Table<object, string>).length === 0) continue
      met.add(name)
      for (const [other, table] of tablesOf(state))
        if (other !== name) for (const [key] of [...table.entries()]) table.delete(key)
      const decision = dropExpired(state, Date.UTC(2100, 0))
      t.deepEqual(
        decision.facts.map(({ type }) => type),
        ['ExpiredDropped'],
        name,
      )
      for (const fact of decision.facts) evolve(state, recorded(fact))
      t.deepEqual(minutesOf(state[name as keyof State] as Table<object, string>), [], name)
    }
  const expiring = tablesOf(initial()).filter(([, rows]) => rows.hasIndex('minute'))
  t.deepEqual([...met].sort(), expiring.map(([name]) => name).sort(), 'each of them had such rows')
  t.true(expiring.length > 7)
})

test('once a user is erased, no row names them', (t) => {
  const naming = (state: State): string[] =>
    tablesOf(state).flatMap(([name, rows]) =>
      [...rows.entries()].some((row) => JSON.stringify(row).includes(ALICE)) ? [name] : [],
    )
  const met = new Set<string>()
  for (let count = 1; count < lines.length; count++) {
    const state = stateAfter(count)
    for (const name of naming(state)) met.add(name)
    evolve(state, recorded({ type: 'UserErased', data: { user: ALICE } }))
    t.deepEqual([naming(state), state.tokens.size], [[], 0], `after ${count} events`)
  }
  // A token names its grant. A named list is of no user, and a callback is asked for before anybody has signed in.
  const nameless = ['clients', 'lists', 'services', 'tokens', 'waiting']
  t.deepEqual(
    [...met].sort(),
    tablesOf(initial())
      .map(([name]) => name)
      .filter((name) => !nameless.includes(name))
      .sort(),
  )
})
