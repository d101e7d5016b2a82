/** Accounts: sign up, sign in, sign out, by result and exact events. */
import test from 'ava'
import { type SignUp, SignUpRefused } from '../../src/service/accounts.ts'
import type { Meter } from '../../src/service/limits.ts'
import { digest } from '../../src/service/secrets.ts'
import { whileReadOnly } from '../http/_wire.ts'
import {
  cameFrom,
  limitsOf,
  OPERATOR,
  PASSWORD,
  refusalOf,
  registered,
  signedInAs,
  startFloor,
  visitorOf,
} from './_services.ts'

const SIGN_UP: SignUp = { username: 'alice', email: '', password: 'correct horse', before: undefined }
const EXPIRES = Date.UTC(2026, 10, 20, 12) + 14 * 86_400_000

test('a sign-up registers a user, who is signed in by a new session', async (t) => {
  const { services, happened } = await startFloor(t)
  const secret = await services.accounts.signUp(cameFrom(), { ...SIGN_UP, email: 'alice@example.org' })
  t.regex(secret, /^dbw_[\w-]{43}$/)
  const session = digest(secret)
  const visitor = await services.accounts.signedIn(session)
  const user = visitor!.user.id
  t.like(visitor, { session, user: { admin: false, active: true } })
  t.deepEqual(visitor!.user.sealed.open, { username: 'alice', email: 'alice@example.org' })
  t.deepEqual(await happened(), [
    ['UserRegistered', 'anonymous anonymous', { user, admin: false }],
    ['SignedIn', `user ${user}`, { user, session, expiresAt: EXPIRES, replaces: null }],
  ])
})

test('everything that is wrong with a sign-up is told at once; nothing is counted and nothing happens', async (t) => {
  const { services, happened } = await startFloor(t, { limits: limitsOf({ sign_up: 1 }) })
  const meter: Meter = []
  const wrong = { ...SIGN_UP, username: 'a b', email: 'nowhere', password: 'daybook' }
  const error = await t.throwsAsync(services.accounts.signUp(cameFrom('192.0.2.1', 'r', meter), wrong), {
    instanceOf: SignUpRefused,
  })
  t.deepEqual(error?.reasons, ['username_invalid', 'email_invalid', 'password_length', 'password_common'])
  t.is(error?.reason, 'username_invalid')
  t.deepEqual(meter, [])
  t.deepEqual(await happened(), [])
})

test('where sign-up is closed, or nobody has a list of their own, there is no sign-up', async (t) => {
  for (const policy of [{ signup: 'closed' }, { authMode: 'none' }, { authMode: 'service_http' }] as const) {
    const { services, happened } = await startFloor(t, policy)
    t.false(services.accounts.canSignUp)
    t.is(await refusalOf(services.accounts.signUp(cameFrom(), SIGN_UP)), 'signup_closed')
    t.deepEqual(await happened(), [])
  }
})

test('a sign-up that made no account counts for its address, and not for everybody', async (t) => {
  const { services, given, happened } = await startFloor(t, { limits: limitsOf({ sign_up: 2, sign_ups: 1 }) })
  await given(registered('alice'))
  const signUp = (ip: string, username: string) => services.accounts.signUp(cameFrom(ip), { ...SIGN_UP, username })
  for (let i = 0; i < 2; i++) t.is(await refusalOf(signUp('192.0.2.1', 'Alice')), 'username_taken')
  t.is(await refusalOf(signUp('192.0.2.1', 'bob')), 'rate_limited')
  t.deepEqual(await happened(), [])
  t.is(await refusalOf(signUp('192.0.2.2', 'bob')), undefined)
  t.is(await refusalOf(signUp('192.0.2.3', 'carol')), 'rate_limited', 'one account was made')
  t.deepEqual(
    (await happened()).map(([type]) => type),
    ['UserRegistered', 'SignedIn'],
  )
})

test('23. a wrong name, a wrong password and a revoked user are refused alike; the events tell them apart', async (t) => {
  const { services, given, happened } = await startFloor(t)
  await given(registered('alice'), registered('bob'), { type: 'UserRevoked', data: { user: 'user-bob' } })
  const cases = [
    ['nobody', PASSWORD, { cause: 'unknown_user' }],
    ['alice', 'not this one', { user: 'user-alice', cause: 'wrong_password' }],
    ['bob', PASSWORD, { user: 'user-bob', cause: 'revoked_user' }],
  ] as const
  for (const [identifier, password, data] of cases) {
    const asked = services.accounts.signIn(cameFrom(), { identifier, password, before: undefined })
    t.is(await refusalOf(asked), 'credentials_wrong')
    const actor = data.cause === 'revoked_user' ? 'user user-bob' : 'anonymous anonymous'
    t.deepEqual(await happened(), [['SignInFailed', actor, data]])
  }
})

test('25. a password that is too long is refused before it is counted', async (t) => {
  const { services, happened } = await startFloor(t, { limits: limitsOf({}) })
  const meter: Meter = []
  const input = { identifier: 'alice', password: 'x'.repeat(1025), before: undefined }
  t.is(await refusalOf(services.accounts.signIn(cameFrom('192.0.2.1', 'r', meter), input)), 'password_length')
  t.deepEqual([meter, await happened()], [[], []])
})

test('24. wrong passwords count for the account and the address; right ones only as sign-ins of the account', async (t) => {
  const floor = await startFloor(t, { limits: limitsOf({ sign_in: 2, account: 3 }) })
  await floor.given(registered('alice'))
  const signIn = (password: string) =>
    refusalOf(
      floor.services.accounts.signIn(cameFrom(), { identifier: 'ALICE@example.org', password, before: undefined }),
    )
  for (let i = 0; i < 3; i++) t.is(await signIn(PASSWORD), undefined)
  t.is(await signIn(PASSWORD), 'rate_limited', 'three sign-ins')
  t.is((await floor.happened()).length, 3)
  t.is(await signIn('wrong'), 'credentials_wrong')
  t.is(await signIn('wrong'), 'credentials_wrong')
  t.is(await signIn('wrong'), 'rate_limited')
  t.deepEqual(
    (await floor.happened()).map(([type]) => type),
    ['SignInFailed', 'SignInFailed'],
  )
})

test('a sign-in ends the session that the browser had; a sign-out ends its own, once', async (t) => {
  const floor = await startFloor(t)
  const { services, given, happened } = floor
  await given(registered('alice'), signedInAs('alice'))
  const input = { identifier: 'alice', password: PASSWORD, before: 'session-alice' }
  const session = digest(await services.accounts.signIn(cameFrom(), input))
  const data = { user: 'user-alice', session, expiresAt: EXPIRES, replaces: null }
  t.deepEqual(await happened(), [
    ['SignedOut', 'user user-alice', { user: 'user-alice', session: 'session-alice' }],
    ['SignedIn', 'user user-alice', data],
  ])
  t.is(await services.accounts.signedIn('session-alice'), undefined)
  const visitor = (await services.accounts.signedIn(session))!
  await services.accounts.signOut(cameFrom(), visitor)
  await services.accounts.signOut(cameFrom(), visitor)
  t.deepEqual(await happened(), [['SignedOut', 'user user-alice', { user: 'user-alice', session }]])
  t.is(await services.accounts.signedIn(session), undefined)
})

test('a sign-out that cannot be recorded is refused, and the session goes on', async (t) => {
  const floor = await startFloor(t)
  const { accounts } = floor.services
  await floor.given(registered('alice'), signedInAs('alice'))
  const visitor = await visitorOf(floor, 'alice')
  await whileReadOnly(floor, async () => {
    t.is(await refusalOf(accounts.signOut(cameFrom(), visitor)), 'book_unavailable')
    t.is((await accounts.signedIn('session-alice'))?.session, 'session-alice')
  })
  t.deepEqual(await floor.happened(), [])
  await accounts.signOut(cameFrom(), visitor)
  t.deepEqual(await floor.happened(), [
    ['SignedOut', 'user user-alice', { user: 'user-alice', session: 'session-alice' }],
  ])
})

test('the session of a revoked user is none, nor is one that has expired', async (t) => {
  const floor = await startFloor(t)
  await floor.given(registered('alice'), signedInAs('alice'), registered('bob'), signedInAs('bob'))
  await visitorOf(floor, 'alice')
  await floor.services.users.revoke(OPERATOR, 'alice')
  t.is(await floor.services.accounts.signedIn('session-alice'), undefined)
  floor.clock.now = Date.UTC(2027, 0, 1) - 1
  await visitorOf(floor, 'bob')
  floor.clock.pass(1)
  t.is(await floor.services.accounts.signedIn('session-bob'), undefined)
})
