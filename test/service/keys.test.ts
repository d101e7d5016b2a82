/** API keys and the service token, by result and exact events. */
import test from 'ava'
import { sessionCaller } from '../../src/service/caller.ts'
import { digest } from '../../src/service/secrets.ts'
import { cameFrom, limitsOf, OPERATOR, refusalOf, registered, signedInAs, startFloor, visitorOf } from './_services.ts'

test('a user makes, sees and revokes their own keys, and nobody else’s', async (t) => {
  const floor = await startFloor(t)
  const { keys } = floor.services
  await floor.given(registered('alice'), signedInAs('alice'), registered('bob'), signedInAs('bob'))
  const alice = sessionCaller(cameFrom(), await visitorOf(floor, 'alice'))
  const bob = sessionCaller(cameFrom(), await visitorOf(floor, 'bob'))
  const { id, secret } = await keys.issueOwn(alice, 'user-alice', 'work')
  t.regex(secret, /^dbk_[\w-]{43}$/)
  t.deepEqual(await floor.happened(), [
    ['KeyIssued', 'user user-alice', { key: id, user: 'user-alice', digest: digest(secret) }],
  ])
  const listed = [{ id, label: 'work', createdAt: '2026-11-20T12:00:00.000Z', usedAt: null }]
  t.deepEqual(await keys.listOwn(alice, 'user-alice'), listed)
  t.deepEqual(await keys.listFor(OPERATOR, 'alice@example.org'), listed)
  t.is(await refusalOf(keys.revokeOwn(bob, 'user-bob', id)), 'key_unknown')
  t.deepEqual(await floor.happened(), [])
  await keys.revokeOwn(alice, 'user-alice', id)
  t.is(await refusalOf(keys.revokeOwn(alice, 'user-alice', id)), 'key_unknown')
  t.deepEqual(await floor.happened(), [['KeyRevoked', 'user user-alice', { key: id, user: 'user-alice' }]])
})

test('a key is made for the user who is signed in, also when somebody else has their name by then', async (t) => {
  const floor = await startFloor(t)
  await floor.given(registered('alice'), signedInAs('alice'))
  const visitor = await visitorOf(floor, 'alice')
  await floor.services.users.erase(OPERATOR, 'alice')
  const personal = { username: 'alice', email: 'other@example.org' }
  await floor.given({ type: 'UserRegistered', data: { user: 'another', admin: false }, personal })
  const asked = floor.services.keys.issueOwn(sessionCaller(cameFrom(), visitor), 'user-alice', 'work')
  t.is(await refusalOf(asked), 'session_ended')
  t.deepEqual(await floor.happened(), [])
})

test('whose session has ended meanwhile makes, sees and revokes no key', async (t) => {
  for (const end of ['signed out', 'revoked', 'new password'] as const) {
    const floor = await startFloor(t)
    const { keys, accounts, users } = floor.services
    await floor.given(registered('alice'), signedInAs('alice'))
    const visitor = await visitorOf(floor, 'alice')
    const { id } = await keys.issueFor(OPERATOR, 'alice', 'work')
    if (end === 'signed out') await accounts.signOut(cameFrom(), visitor)
    else if (end === 'revoked') await users.revoke(OPERATOR, 'alice')
    else await users.setPassword(OPERATOR, 'alice', 'another one')
    await floor.happened()
    const caller = sessionCaller(cameFrom(), visitor)
    t.is(await refusalOf(keys.issueOwn(caller, 'user-alice', 'x')), 'session_ended', end)
    t.is(await refusalOf(keys.listOwn(caller, 'user-alice')), 'session_ended', end)
    t.is(await refusalOf(keys.revokeOwn(caller, 'user-alice', id)), 'session_ended', end)
    t.deepEqual(await floor.happened(), [], end)
  }
})

test('new keys of one’s own are counted with the sign-ins of the account; those of the operator are not', async (t) => {
  const floor = await startFloor(t, { limits: limitsOf({ account: 1 }) })
  const { keys } = floor.services
  await floor.given(registered('alice'), signedInAs('alice'))
  const alice = sessionCaller(cameFrom(), await visitorOf(floor, 'alice'))
  t.is(await refusalOf(keys.issueOwn(alice, 'user-alice', 'one')), undefined)
  t.is(await refusalOf(keys.issueOwn(alice, 'user-alice', 'two')), 'rate_limited')
  t.is(await refusalOf(keys.issueFor(OPERATOR, 'alice', 'three')), undefined)
  t.is((await floor.happened()).length, 2)
})

test('what an operator asks for nobody, of nothing or badly is refused, and nothing happens', async (t) => {
  const { services, given, happened } = await startFloor(t)
  await given(registered('alice'), registered('bob'), { type: 'UserRevoked', data: { user: 'user-bob' } })
  const { keys } = services
  t.is(await refusalOf(keys.issueFor(OPERATOR, 'nobody', 'x')), 'user_unknown')
  t.is(await refusalOf(keys.issueFor(OPERATOR, 'bob', 'x')), 'user_already_revoked')
  for (const label of ['', 'Work” tool delete_todos “x', 'two\nlines', ' x', 'x'.repeat(61)])
    t.is(await refusalOf(keys.issueFor(OPERATOR, 'alice', label)), 'key_label_invalid', label)
  t.is(await refusalOf(keys.listFor(OPERATOR, 'nobody')), 'user_unknown')
  t.is(await refusalOf(keys.revoke(OPERATOR, 'nothing')), 'key_unknown')
  t.deepEqual(await happened(), [])
})

test('the service token: none, made, rotated; one from the settings is kept as digest and not rotated', async (t) => {
  const { services, happened } = await startFloor(t)
  const { serviceToken } = services
  t.is(await serviceToken.show(OPERATOR), undefined)
  const first = await serviceToken.rotate(OPERATOR)
  t.false(first.hadToken)
  t.deepEqual(await serviceToken.show(OPERATOR), { token: first.token, isFromSettings: false })
  await serviceToken.settle(OPERATOR, undefined)
  const second = await serviceToken.rotate(OPERATOR)
  t.true(second.hadToken)
  await serviceToken.settle(OPERATOR, 'from-the-settings')
  await serviceToken.settle(OPERATOR, 'from-the-settings')
  t.deepEqual(await serviceToken.show(OPERATOR), { token: null, isFromSettings: true })
  t.is(await refusalOf(serviceToken.rotate(OPERATOR)), 'service_token_from_settings')
  t.deepEqual(await happened(), [
    ['ServiceTokenRotated', 'operator cli', { digest: digest(first.token), tokenFrom: 'vault' }],
    ['ServiceTokenRotated', 'operator cli', { digest: digest(second.token), tokenFrom: 'vault' }],
    ['ServiceTokenRotated', 'operator cli', { digest: digest('from-the-settings'), tokenFrom: 'settings' }],
  ])
})
