/** Users, as an operator manages them, by result and exact events. */
import test from 'ava'
import { adminCaller } from '../../src/service/caller.ts'
import { cameFrom, OPERATOR, PASSWORD, refusalOf, registered, signedInAs, startFloor, visitorOf } from './_services.ts'

test('an operator adds users, and lists them', async (t) => {
  const { services, happened } = await startFloor(t)
  const { users } = services
  const alice = await users.add(OPERATOR, { username: 'alice', email: 'a@b', password: PASSWORD, admin: false })
  const boss = await users.add(OPERATOR, { username: 'Boss', password: PASSWORD, admin: true })
  t.deepEqual(await happened(), [
    ['UserRegistered', 'operator cli', { user: alice, admin: false }],
    ['UserRegistered', 'operator cli', { user: boss, admin: true }],
  ])
  const common = { active: true, openTodos: 0, createdAt: '2026-11-20T12:00:00.000Z' }
  t.deepEqual(await users.list(OPERATOR), [
    { id: alice, username: 'alice', email: 'a@b', admin: false, ...common },
    { id: boss, username: 'Boss', email: null, admin: true, ...common },
  ])
})

test('what cannot be added is refused, and nothing happens', async (t) => {
  const { services, given, happened } = await startFloor(t)
  await given(registered('alice'))
  const user = { username: 'bob', email: 'bob@example.org', password: PASSWORD, admin: false }
  const cases = [
    [{ password: 'short' }, 'password_length'],
    [{ password: 'password' }, 'password_common'],
    [{ password: 'BOB@example.org' }, 'password_common'],
    [{ username: 'a b' }, 'username_invalid'],
    [{ username: 'ALICE' }, 'username_taken'],
    [{ email: 'nowhere' }, 'email_invalid'],
    [{ email: 'Alice@example.org' }, 'email_taken'],
  ] as const
  for (const [wrong, reason] of cases)
    t.is(await refusalOf(services.users.add(OPERATOR, { ...user, ...wrong })), reason, JSON.stringify(wrong))
  t.deepEqual(await happened(), [])
})

test('revoke, restore, a new password, erase: each once, and each says what is wrong', async (t) => {
  const { services, given, happened } = await startFloor(t)
  const { users } = services
  await given(registered('alice'))
  const data = { user: 'user-alice' }
  t.is(await refusalOf(users.restore(OPERATOR, 'alice')), 'user_not_revoked')
  await users.revoke(OPERATOR, 'alice@example.org')
  t.is(await refusalOf(users.revoke(OPERATOR, 'alice')), 'user_already_revoked')
  t.false(await users.setPassword(OPERATOR, 'alice', 'another one'), 'they cannot sign in with it')
  await users.restore(OPERATOR, 'alice')
  t.true(await users.setPassword(OPERATOR, 'alice', 'a third one'))
  for (const [password, reason] of [
    ['short', 'password_length'],
    ['ALICE@example.org', 'password_common'],
  ] as const)
    t.is(await refusalOf(users.setPassword(OPERATOR, 'alice', password)), reason)
  t.true(await users.erase(OPERATOR, 'alice'))
  for (const asked of [
    users.revoke(OPERATOR, 'alice'),
    users.restore(OPERATOR, 'alice'),
    users.erase(OPERATOR, 'alice'),
    users.setPassword(OPERATOR, 'alice', 'a fourth one'),
  ])
    t.is(await refusalOf(asked), 'user_unknown')
  const types = ['UserRevoked', 'PasswordChanged', 'UserRestored', 'PasswordChanged', 'UserErased']
  t.deepEqual(
    await happened(),
    types.map((type) => [type, 'operator cli', data]),
  )
})

test('an operator of the pages who is revoked meanwhile manages nobody', async (t) => {
  const floor = await startFloor(t)
  const { services, given, happened } = floor
  await given(registered('boss', { admin: true }), signedInAs('boss'), registered('alice'), signedInAs('alice'))
  const boss = adminCaller(cameFrom(), await visitorOf(floor, 'boss'))
  t.is((await services.users.list(boss)).length, 2)
  const alice = adminCaller(cameFrom(), await visitorOf(floor, 'alice'))
  t.is(await refusalOf(services.users.list(alice)), 'operator_only')
  await services.users.revoke(OPERATOR, 'boss')
  await happened()
  for (const asked of [
    services.users.list(boss),
    services.users.revoke(boss, 'alice'),
    services.users.erase(boss, 'alice'),
    services.users.setPassword(boss, 'alice', 'another one'),
    services.users.add(boss, { username: 'carol', password: PASSWORD, admin: true }),
  ])
    t.is(await refusalOf(asked), 'session_missing')
  t.deepEqual(await happened(), [])
})
