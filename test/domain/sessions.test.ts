/** Sessions: who gets one, whom it speaks for, and when it ends. */
import test from 'ava'
import { sessionUser, signIn, signOut } from '../../src/domain/sessions.ts'
import { consentRequested, DAY, History, HOUR, keysOf, MINUTE, NOON, registered, SECOND, signedIn } from './_history.ts'

const EXPIRES = NOON + DAY
const GOOD = {
  user: 'alice',
  passwordRight: true,
  passwordChanges: 0,
  session: 's1',
  sessionTtlMs: DAY,
  before: undefined,
}

test('14. a good sign-in is a session of that user, recorded', (t) => {
  const history = new History().given(registered('alice'), registered('bob'))
  t.deepEqual(history.when(signIn(history.state, GOOD, NOON)), {
    facts: [{ type: 'SignedIn', data: { user: 'alice', session: 's1', expiresAt: EXPIRES, replaces: null } }],
    result: undefined,
    keeps: {},
  })
  t.is(sessionUser(history.state, 's1', history.now)?.id, 'alice')
  for (const stranger of ['', 's2', 'S1', '__proto__'])
    t.is(sessionUser(history.state, stranger, history.now), undefined)
})

test('23. a bad sign-in is refused in one word, and recorded with its cause', (t) => {
  const history = new History().given(registered('alice'), registered('bob'), registered('bob-2'))
  history.given({ type: 'UserRevoked', data: { user: 'bob' } }, { type: 'PasswordChanged', data: { user: 'bob-2' } })
  const rows = [
    [{ user: undefined }, { cause: 'unknown_user' }],
    [{ user: 'nobody' }, { cause: 'unknown_user' }],
    [{ user: undefined, passwordRight: false }, { cause: 'unknown_user' }],
    [{ passwordRight: false }, { user: 'alice', cause: 'wrong_password' }],
    [{ user: 'bob' }, { user: 'bob', cause: 'revoked_user' }],
    [
      { user: 'bob', passwordRight: false },
      { user: 'bob', cause: 'wrong_password' },
    ],
    // The password was verified before it was changed.
    [
      { user: 'bob-2', passwordChanges: 0 },
      { user: 'bob-2', cause: 'wrong_password' },
    ],
    [
      { user: 'bob-2', passwordChanges: 2 },
      { user: 'bob-2', cause: 'wrong_password' },
    ],
  ] as const
  for (const [wrong, data] of rows) {
    const decision = history.when(signIn(history.state, { ...GOOD, ...wrong }, NOON))
    t.deepEqual(decision, { facts: [{ type: 'SignInFailed', data }], refusal: 'credentials_wrong' })
    t.deepEqual(keysOf(history.state.sessions), [])
  }
  t.is(history.when(signIn(history.state, { ...GOOD, user: 'bob-2', passwordChanges: 1 }, NOON)).refusal, undefined)
  t.is(history.when(signIn(history.state, { ...GOOD, session: 's2' }, NOON)).refusal, undefined)
})

test('a session holds until its last millisecond and no longer', (t) => {
  const { state } = new History().given(registered('alice'), signedIn('alice', 's1', EXPIRES))
  t.is(sessionUser(state, 's1', EXPIRES - 1)?.id, 'alice')
  t.is(sessionUser(state, 's1', EXPIRES), undefined)
  t.is(sessionUser(state, 's1', EXPIRES + 10 * 365 * DAY), undefined)
})

test('113. a sweep drops expired sessions, and only those', (t) => {
  const history = new History().given(registered('alice'), signedIn('alice', 'now', EXPIRES))
  history.given(signedIn('alice', 'soon', EXPIRES + MINUTE), signedIn('bob', 'before', EXPIRES - 1))
  history.sweep(EXPIRES + MINUTE - 1)
  t.deepEqual(keysOf(history.state.sessions), ['now', 'soon'], 'whole minutes go together, when all of them has passed')
  history.sweep(EXPIRES + MINUTE)
  t.deepEqual(keysOf(history.state.sessions), ['soon'])
  t.deepEqual(history.state.sessions.keysBy('user', 'alice'), ['soon'])
})

test('116. a session that was swept or signed out does not come back with the clock', (t) => {
  const history = new History().given(registered('alice'), signedIn('alice', 's1', EXPIRES), signedIn('alice', 's2'))
  history.when(signOut(history.state, 's2'))
  history.sweep(NOON + 3650 * DAY)
  for (const session of ['s1', 's2']) t.is(sessionUser(history.state, session, NOON - 3600 * SECOND), undefined)
})

test('signing out ends that session and what was to be consented to in it, and nothing else', (t) => {
  const history = new History().given(registered('alice'), signedIn('alice', 's1'), signedIn('alice', 's2'))
  history.given(consentRequested('alice', 's1', 'r1'), consentRequested('alice', 's2', 'r2'))
  t.deepEqual(history.when(signOut(history.state, 's1')), {
    facts: [{ type: 'SignedOut', data: { user: 'alice', session: 's1' } }],
    result: undefined,
    keeps: {},
  })
  t.is(sessionUser(history.state, 's1', history.now), undefined)
  t.is(sessionUser(history.state, 's2', history.now)?.id, 'alice')
  t.deepEqual(keysOf(history.state.consents), ['r2'])
})

test('14. signing in again ends the session that the browser had, whoever’s it was, and no other', (t) => {
  const history = new History().given(registered('alice'), registered('bob'), signedIn('bob', 's1'))
  history.given(signedIn('bob', 's0'), consentRequested('bob', 's1', 'r1'))
  const { facts } = history.when(signIn(history.state, { ...GOOD, session: 's2', before: 's1' }, NOON))
  t.deepEqual(facts, [
    { type: 'SignedOut', data: { user: 'bob', session: 's1' } },
    { type: 'SignedIn', data: { user: 'alice', session: 's2', expiresAt: EXPIRES, replaces: null } },
  ])
  t.deepEqual([keysOf(history.state.sessions), keysOf(history.state.consents)], [['s0', 's2'], []])
  const wrong = signIn(history.state, { ...GOOD, passwordRight: false, session: 's3', before: 's2' }, NOON)
  t.deepEqual(
    wrong.facts.map(({ type }) => type),
    ['SignInFailed'],
    'who fails to sign in stays signed in',
  )
  t.is(signIn(history.state, { ...GOOD, session: 's3', before: 'planted' }, NOON).facts.length, 1)
})

test('signing out twice is signing out', (t) => {
  const history = new History().given(registered('alice'), signedIn('alice', 's1'))
  history.when(signOut(history.state, 's1'))
  for (const session of ['s1', 'never there'])
    t.deepEqual(signOut(history.state, session), { facts: [], result: undefined, keeps: {} })
})

test('in fifty browsers somebody may be signed in; then the oldest gives way, with what it was about to let in', (t) => {
  const history = new History().given(registered('alice'), registered('bob'), signedIn('bob', 'bobs'))
  const name = (i: number): string => `s${String(99 - i)}`
  const enter = (i: number, before?: string) => {
    history.now -= HOUR // The book knows which is the oldest, whatever the clock did.
    return history.when(signIn(history.state, { ...GOOD, session: name(i), before }, NOON))
  }
  for (let i = 0; i < 50; i++) t.like(enter(i).facts[0], { data: { replaces: null } })
  history.given(consentRequested('alice', name(0), 'r0'), consentRequested('alice', name(1), 'r1'))
  t.deepEqual(
    enter(50).facts.map(({ type, data }) => [type, (data as { replaces: string }).replaces]),
    [['SignedIn', name(0)]],
  )
  t.is(history.state.sessions.countBy('user', 'alice'), 50)
  t.deepEqual(keysOf(history.state.consents), ['r1'])
  t.deepEqual(
    enter(51, name(7)).facts.map(({ type }) => type),
    ['SignedOut', 'SignedIn'],
    'who signs in again takes nobody’s place',
  )
  t.is(history.state.sessions.countBy('user', 'alice'), 50)
  t.is(history.state.sessions.countBy('user', 'bob'), 1)
})
