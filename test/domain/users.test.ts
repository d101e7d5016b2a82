/** People: who may have which name, and what revoking, restoring and a new password do to everything they hold. */
import test from 'ava'
import { authenticate } from '../../src/domain/bearers.ts'
import { grantConsent } from '../../src/domain/consents.ts'
import { redeemCode, refreshTokens } from '../../src/domain/grants.ts'
import { sessionUser } from '../../src/domain/sessions.ts'
import {
  changePassword,
  findUser,
  isEmail,
  isUsername,
  registerUser,
  restoreUser,
  revokeUser,
  usernameOf,
} from '../../src/domain/users.ts'
import {
  CALLBACK,
  chatgpt,
  codeIssued,
  consentRequested,
  History,
  HOUR,
  keysOf,
  openTexts,
  registered,
  signedIn,
  todoAdded,
  tokenIssued,
} from './_history.ts'

const NEW = { user: 'u1', username: 'alice', email: 'alice@example.org', admin: false, passwordHash: 'h1', key: 'k1' }

test('registering records the name as personal text, and keeps key and password hash in the vault', (t) => {
  const { state } = new History()
  t.deepEqual(registerUser(state, { ...NEW, admin: true }), {
    facts: [
      {
        type: 'UserRegistered',
        data: { user: 'u1', admin: true },
        personal: { username: 'alice', email: 'alice@example.org' },
      },
    ],
    result: undefined,
    keeps: { 'key/u1': 'k1', 'password/u1': 'h1' },
  })
  const nameless = registerUser(state, { ...NEW, email: undefined })
  t.deepEqual(nameless.facts[0], {
    type: 'UserRegistered',
    data: { user: 'u1', admin: false },
    personal: { username: 'alice' },
  })
})

test('a registered user is found by name and e-mail, in any case and with blanks around', (t) => {
  const { state } = new History().given(registered('u1', 'Alice', 'Alice@Example.org'), registered('u2', 'bob'))
  for (const identifier of ['Alice', 'alice', ' ALICE\t', 'alice@example.org', 'ALICE@EXAMPLE.ORG '])
    t.is(findUser(state, identifier)?.id, 'u1', identifier)
  for (const identifier of ['', '@', 'alic', 'alice@', 'u1', 'alice\0', '__proto__', 'constructor', 'undefined'])
    t.is(findUser(state, identifier), undefined, identifier)
  t.is(usernameOf(state, 'u1'), 'Alice')
  t.is(usernameOf(state, 'nobody'), 'the erased nobody', 'with a blank: nobody can be called so')
})

test('80, 81. a username is 1 to 64 letters, digits, dots, hyphens or underscores, and no word of the paths', (t) => {
  const right = [
    'a',
    'A.b-c_9',
    'x'.repeat(64),
    '__proto__',
    'constructor',
    'toString',
    '...',
    '-',
    '0',
    'mee',
    'Global1',
  ]
  const wrong = ['', 'x'.repeat(65), 'a b', ' a', 'a\n', 'a/b', 'a%2e', 'ä', 'a@b', 'а', '＠', 'a\0', '💥']
  const taken = ['me', 'ME', 'Me', 'global', 'GLOBAL', '.', '..']
  for (const username of right) t.true(isUsername(username), username)
  for (const username of [...wrong, ...taken]) {
    t.false(isUsername(username), username)
    t.deepEqual(registerUser(new History().state, { ...NEW, username }), { facts: [], refusal: 'username_invalid' })
  }
})

test('80. a user may be called like a member of every object', (t) => {
  const history = new History()
  for (const username of ['__proto__', 'constructor', 'hasOwnProperty'])
    t.is(
      history.when(registerUser(history.state, { ...NEW, user: username, username, email: undefined })).refusal,
      undefined,
    )
  for (const username of ['__proto__', 'constructor', 'hasOwnProperty'])
    t.is(findUser(history.state, username)?.id, username)
})

test('an e-mail address is something at somewhere, at most 254 characters', (t) => {
  const right = ['a@b', 'alice+tag@example.org', 'ü@ö.example', `${'x'.repeat(242)}@example.org`]
  const wrong = [
    '',
    'a',
    '@',
    'a@',
    '@b',
    'a@b@c',
    'a b@c',
    'a@b\n',
    'a@b\u202e',
    '\ud800@b',
    `${'x'.repeat(243)}@example.org`,
  ]
  for (const email of right) t.true(isEmail(email), email)
  for (const email of wrong) {
    t.false(isEmail(email), JSON.stringify(email))
    t.deepEqual(registerUser(new History().state, { ...NEW, email }), { facts: [], refusal: 'email_invalid' })
  }
})

test('a name or an e-mail address is taken in every case; none is taken by leaving it out', (t) => {
  const history = new History().given(registered('u1', 'Alice', 'Alice@Example.org'), registered('u2', 'bob'))
  const rows = [
    [{ username: 'ALICE', email: undefined }, 'username_taken'],
    [{ username: 'alice', email: 'alice@example.org' }, 'username_taken'],
    [{ username: 'other', email: 'ALICE@example.ORG' }, 'email_taken'],
    [{ username: 'other', email: 'bob@example.org' }, undefined],
    [{ username: 'other', email: undefined }, undefined],
  ] as const
  for (const [names, refusal] of rows) {
    const decision = registerUser(history.state, { ...NEW, user: 'u3', ...names })
    t.is(decision.refusal, refusal, JSON.stringify(names))
    if (refusal !== undefined) t.deepEqual(decision.facts, [])
  }
})

test('a revoked user keeps name and e-mail address', (t) => {
  const { state } = new History().given(registered('u1', 'alice', 'a@example.org'), {
    type: 'UserRevoked',
    data: { user: 'u1' },
  })
  t.is(registerUser(state, { ...NEW, user: 'u2', email: undefined }).refusal, 'username_taken')
  t.is(registerUser(state, { ...NEW, user: 'u2', username: 'x', email: 'A@example.org' }).refusal, 'email_taken')
})

/** alice and bob, each with three sessions, an open consent, a code, a redeemed code with its tokens, and a to-do. */
function twoBusyPeople(): History {
  const history = new History().given(...chatgpt)
  for (const user of ['alice', 'bob'])
    history.given(
      registered(user, user, `${user}@example.org`),
      ...['s1', 's2', 's3'].map((session) => signedIn(user, `${user}-${session}`)),
      consentRequested(user, `${user}-s1`, `${user}-request`),
      codeIssued(user, `${user}-open-1`),
      codeIssued(user, `${user}-open-2`),
      codeIssued(user, `${user}-used-1`),
      codeIssued(user, `${user}-used-2`),
      tokenIssued(user, `${user}-used-1`),
      tokenIssued(user, `${user}-used-2`),
      todoAdded(user, `${user}-todo`, { text: `of ${user}` }),
    )
  return history
}

const MADE = { access: 'a', refresh: 'r', accessTtlMs: HOUR, refreshIdleTtlMs: HOUR, refreshMaxTtlMs: HOUR }

/** Everything of a user's that still opens a door. */
function alive({ state, now }: History, user: string): string[] {
  const ways: [string, boolean][] = []
  for (const session of ['s1', 's2', 's3'])
    ways.push([session, sessionUser(state, `${user}-${session}`, now) !== undefined])
  const answer = {
    request: `${user}-request`,
    session: `${user}-s1`,
    grant: 'g',
    code: 'c',
    codeTtlMs: 1,
    approvalTtlMs: 1,
  }
  ways.push(['consent', grantConsent(state, answer, now).refusal === undefined])
  const asked = { client: 'chatgpt', redirectUri: CALLBACK, challenge: null, resource: undefined, scope: undefined }
  for (const code of ['open-1', 'open-2'])
    ways.push([code, redeemCode(state, { ...MADE, ...asked, code: `${user}-${code}` }, now).refusal === undefined])
  for (const code of ['used-1', 'used-2']) {
    const from = { digest: `refresh-${user}-${code}`, grant: `grant-${user}-${code}` }
    ways.push([`refresh ${code}`, refreshTokens(state, { ...MADE, ...asked, from }, now).refusal === undefined])
    ways.push([`access ${code}`, typeof authenticate(state, `access-${user}-${code}`, [], now) === 'object'])
  }
  return ways.filter(([, opens]) => opens).map(([name]) => name)
}

const ALL = [
  's1',
  's2',
  's3',
  'consent',
  'open-1',
  'open-2',
  'refresh used-1',
  'access used-1',
  'refresh used-2',
  'access used-2',
]

test('56. revoking a user ends every session, consent, code, refresh and access token of theirs, and nobody else’s', (t) => {
  const history = twoBusyPeople()
  t.deepEqual(alive(history, 'alice'), ALL)
  t.deepEqual(history.when(revokeUser(history.state, 'alice')), {
    facts: [{ type: 'UserRevoked', data: { user: 'alice' } }],
    result: undefined,
    keeps: {},
  })
  t.deepEqual(alive(history, 'alice'), [])
  t.deepEqual(alive(history, 'bob'), ALL)
  const { sessions, consents, codes, grants, tokens, todos } = history.state
  for (const table of [sessions, consents, codes, grants])
    t.false(
      keysOf(table).some((key) => key.includes('alice')),
      keysOf(table).join(),
    )
  t.deepEqual(keysOf(tokens), ['access-bob-used-1', 'access-bob-used-2', 'refresh-bob-used-1', 'refresh-bob-used-2'])
  t.deepEqual(keysOf(todos), ['alice-todo', 'bob-todo'])
})

test('58. restoring a user lets them sign in again; nothing that was ended comes back', (t) => {
  const history = twoBusyPeople()
  history.when(revokeUser(history.state, 'ALICE@example.org'))
  t.deepEqual(history.when(restoreUser(history.state, 'Alice')), {
    facts: [{ type: 'UserRestored', data: { user: 'alice' } }],
    result: undefined,
    keeps: {},
  })
  t.deepEqual(alive(history, 'alice'), [])
  history.given(signedIn('alice', 'alice-s2'))
  t.deepEqual(alive(history, 'alice'), ['s2'])
  t.deepEqual(openTexts(history, 'alice'), ['of alice'])
})

test('116. an event that comes late, for a user who is revoked, opens no door', (t) => {
  const history = twoBusyPeople()
  history.when(revokeUser(history.state, 'alice'))
  history.given(signedIn('alice', 'alice-s1'), tokenIssued('alice', 'alice-used-1'))
  t.is(sessionUser(history.state, 'alice-s1', history.now), undefined)
  t.is(authenticate(history.state, 'access-alice-used-1', [], history.now), 'token_unknown')
})

test('revoke, restore and a new password refuse whom nobody knows, and what is so already', (t) => {
  const history = new History().given(registered('u1', 'alice'))
  for (const decide of [revokeUser, restoreUser])
    t.deepEqual(decide(history.state, 'nobody'), { facts: [], refusal: 'user_unknown' })
  t.deepEqual(restoreUser(history.state, 'alice'), { facts: [], refusal: 'user_not_revoked' })
  history.when(revokeUser(history.state, 'alice'))
  t.deepEqual(revokeUser(history.state, 'alice'), { facts: [], refusal: 'user_already_revoked' })
  t.deepEqual(changePassword(history.state, { identifier: 'nobody', passwordHash: 'h' }), {
    facts: [],
    refusal: 'user_unknown',
  })
})

test('a new password ends sessions, open consents and unredeemed codes; connected apps stay', (t) => {
  const history = twoBusyPeople()
  t.deepEqual(history.when(changePassword(history.state, { identifier: 'alice', passwordHash: 'h2' })), {
    facts: [{ type: 'PasswordChanged', data: { user: 'alice' } }],
    result: undefined,
    keeps: { 'password/alice': 'h2' },
  })
  t.deepEqual(alive(history, 'alice'), ['refresh used-1', 'access used-1', 'refresh used-2', 'access used-2'])
  t.deepEqual(alive(history, 'bob'), ALL)
  t.is(history.state.users.get('alice')?.passwordChanges, 1)
  t.is(history.state.users.get('bob')?.passwordChanges, 0)
})

test('39. after a new password a redeemed code is still known, so that its replay ends what it had given', (t) => {
  const history = twoBusyPeople()
  history.when(changePassword(history.state, { identifier: 'alice', passwordHash: 'h2' }))
  const input = {
    ...MADE,
    code: 'alice-used-1',
    client: 'chatgpt',
    redirectUri: CALLBACK,
    challenge: null,
    resource: undefined,
  }
  t.is(history.when(redeemCode(history.state, input, history.now)).refusal, 'code_replayed')
  t.deepEqual(alive(history, 'alice'), ['refresh used-2', 'access used-2'])
})

test('what happened to a user nobody knows changes nothing', (t) => {
  const history = new History().given(registered('u1', 'alice'))
  for (const type of ['UserRevoked', 'UserRestored', 'PasswordChanged'] as const)
    t.notThrows(() => history.given({ type, data: { user: 'nobody' } }))
  t.deepEqual(keysOf(history.state.users), ['u1'])
  t.is(history.state.users.get('u1')?.active, true)
})
