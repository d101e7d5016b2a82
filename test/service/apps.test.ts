/** Apps: what an operator sees of them, gives them and takes back; and ChatGPT's own, by result and exact events. */
import test, { type ExecutionContext } from 'ava'
import type { Reason } from '../../src/domain/shape.ts'
import type { ChatGptSettings, NewApp } from '../../src/service/apps.ts'
import type { Caller } from '../../src/service/caller.ts'
import { digest } from '../../src/service/secrets.ts'
import { CALLBACK } from '../_support.ts'
import { cameFrom, type Floor, OPERATOR, refusalOf, startFloor } from './_services.ts'

const DAY_MS = 86_400_000
const NOON = Date.UTC(2026, 10, 20, 12)
const SECRET = /^dbs_[\w-]{43}$/
const ASKED = 'https://chatgpt.com/aip/g-0123456789/oauth/callback'
const HERS = 'https://a.example/cb'
const NOTHING: ChatGptSettings = { clientId: undefined, secret: undefined, redirects: [] }
const GIVEN: ChatGptSettings = { clientId: 'id-of-chatgpt', secret: 'secret-of-settings', redirects: [CALLBACK] }
const APP: NewApp = {
  name: 'Other',
  redirects: [HERS],
  grantTypes: ['authorization_code', 'refresh_token'],
  isPublic: false,
}
const by = 'operator cli'
const BY_OPERATOR = { registration: 'operator', expiresAt: null, authMethod: null, registrationToken: null }

/** ChatGPT's client is there, as the settings say. */
async function begin(t: ExecutionContext, settings: ChatGptSettings = NOTHING): Promise<Floor & Floor['services']> {
  const floor = await startFloor(t)
  await floor.services.apps.settleChatGpt(OPERATOR, settings)
  await floor.happened()
  return { ...floor, ...floor.services }
}

/** Somebody comes with a callback that nobody has allowed. */
const askFor = (registrations: Floor['services']['registrations'], uri: string, ip?: string) =>
  refusalOf(registrations.refuseCallback(cameFrom(ip), 'chatgpt', uri))

test('an app is added with its callbacks, each once, and a secret of which only the digest is kept', async (t) => {
  const { apps, happened } = await begin(t)
  const second = 'https://a.example/second'
  const redirects = [HERS, second, HERS]
  const { clientId, secret } = await apps.add(OPERATOR, { ...APP, redirects, grantTypes: ['authorization_code'] })
  t.regex(clientId, /^[0-9a-z]{26}$/)
  t.regex(secret!, SECRET)
  const entry = { clientId, name: 'Other', secret: digest(secret!), secretFrom: 'shown' }
  const data = { client: clientId, ...entry, grantTypes: ['authorization_code'], ...BY_OPERATOR }
  t.deepEqual(await happened(), [
    ['ClientRegistered', by, data],
    ['RedirectUriAllowed', by, { client: clientId, uri: HERS, from: 'operator' }],
    ['RedirectUriAllowed', by, { client: clientId, uri: second, from: 'operator' }],
  ])
  const shown = await apps.show(OPERATOR, clientId)
  t.like(shown.client, { id: clientId, ...entry, grantTypes: ['authorization_code'], usedAt: null })
  t.deepEqual(shown.client.redirects, [
    { uri: HERS, from: 'operator' },
    { uri: second, from: 'operator' },
  ])
  t.deepEqual([shown.waiting, shown.secret], [[], undefined], 'the secret was shown once')
  t.deepEqual(await happened(), [])
})

test('a public app has no secret, and may have a callback on the device', async (t) => {
  const { apps, happened } = await begin(t)
  const uri = 'com.example.desk:/cb'
  const { clientId, secret } = await apps.add(OPERATOR, { ...APP, redirects: [uri], isPublic: true })
  t.is(secret, undefined)
  const kept = { secret: null, secretFrom: 'none', grantTypes: APP.grantTypes, ...BY_OPERATOR }
  t.deepEqual(await happened(), [
    ['ClientRegistered', by, { client: clientId, clientId, name: 'Other', ...kept }],
    ['RedirectUriAllowed', by, { client: clientId, uri, from: 'operator' }],
  ])
  t.is((await apps.show(OPERATOR, clientId)).secret, undefined)
})

test('apps are listed the oldest first, whatever they are called, each with what waits for it, the oldest first', async (t) => {
  const { apps, registrations, clock, happened } = await begin(t)
  for (const name of ['B', 'A', 'C']) {
    clock.pass(1)
    await apps.add(OPERATOR, { ...APP, name })
  }
  const asked = ['9', '1', '5'].map((n) => `https://chatgpt.com/aip/g-${n}/oauth/callback`)
  for (const uri of asked) {
    clock.pass(1)
    t.is(await askFor(registrations, uri), 'redirect_waiting')
  }
  await happened()
  const listed = await apps.list(OPERATOR)
  t.deepEqual(
    listed.map(({ client, waiting }) => [client.name, waiting.map(({ uri }) => uri)]),
    [
      ['ChatGPT', asked],
      ['B', []],
      ['A', []],
      ['C', []],
    ],
  )
  t.deepEqual(await happened(), [])
})

test('an app that is used stands where it stood', async (t) => {
  const { apps, clock, given } = await begin(t)
  clock.pass(1)
  const { clientId } = await apps.add(OPERATOR, APP)
  clock.pass(1)
  await given({ type: 'RedirectUriAllowed', data: { client: 'chatgpt', uri: ASKED, from: 'operator' } })
  t.deepEqual(
    (await apps.list(OPERATOR)).map(({ client }) => client.id),
    ['chatgpt', clientId],
  )
})

test('an app is shown by either of its names; its secret only where Daybook made it for ChatGPT', async (t) => {
  const { apps } = await begin(t)
  const { client, secret } = await apps.show(OPERATOR, 'chatgpt')
  t.regex(client.clientId, /^chatgpt-[\w-]{8}$/)
  t.regex(secret!, SECRET)
  t.like(client, { name: 'ChatGPT', secret: digest(secret!), secretFrom: 'vault' })
  t.deepEqual(await apps.show(OPERATOR, client.clientId), { client, waiting: [], secret })

  const { apps: given } = await begin(t, GIVEN)
  const shown = await given.show(OPERATOR, 'id-of-chatgpt')
  t.is(shown.secret, undefined)
  t.like(shown.client, { id: 'chatgpt', secret: digest('secret-of-settings'), secretFrom: 'settings' })
})

test('a callback that waits is shown with when and from where it was asked for, allowed, and taken back', async (t) => {
  const { apps, registrations, happened } = await begin(t)
  t.is(await askFor(registrations, ASKED, '192.0.2.7'), 'redirect_waiting')
  t.is(await askFor(registrations, ASKED, '192.0.2.8'), 'redirect_waiting')
  const expiresAt = NOON + DAY_MS
  t.deepEqual(await happened(), [
    ['RedirectUriRequested', 'anonymous anonymous', { client: 'chatgpt', uri: ASKED, expiresAt }],
  ])
  const { waiting } = await apps.show(OPERATOR, 'chatgpt')
  t.is(waiting.length, 1)
  t.like(waiting[0], { client: 'chatgpt', uri: ASKED, askedAt: '2026-11-20T12:00:00.000Z', expiresAt })
  t.like(waiting[0]!.trace?.open, { ip: '192.0.2.7' })

  await apps.allowCallback(OPERATOR, 'chatgpt', ASKED)
  const allowed = await apps.show(OPERATOR, 'chatgpt')
  t.deepEqual([allowed.client.redirects, allowed.waiting], [[{ uri: ASKED, from: 'operator' }], []])
  t.is(await refusalOf(apps.allowCallback(OPERATOR, 'chatgpt', ASKED)), 'redirect_already_allowed')
  t.is(await apps.withdrawCallback(OPERATOR, 'chatgpt', ASKED), 'allowed')
  t.is(await refusalOf(apps.withdrawCallback(OPERATOR, 'chatgpt', ASKED)), 'redirect_unknown')
  const named = { client: 'chatgpt', uri: ASKED }
  t.deepEqual(await happened(), [
    ['RedirectUriAllowed', by, { ...named, from: 'operator' }],
    ['RedirectUriWithdrawn', by, named],
  ])

  await askFor(registrations, ASKED)
  await happened()
  t.is(await apps.withdrawCallback(OPERATOR, 'chatgpt', ASKED), 'waiting')
  t.deepEqual(await happened(), [['RedirectUriWithdrawn', by, named]])
  const after = await apps.show(OPERATOR, 'chatgpt')
  t.deepEqual([after.client.redirects, after.waiting], [[], []])
})

test('a new secret takes the place of the old one, and is shown again only where the old one was', async (t) => {
  const { apps, happened } = await begin(t)
  const { clientId } = await apps.add(OPERATOR, APP)
  const { client } = await apps.show(OPERATOR, 'chatgpt')
  await happened()
  for (const [id, on, secretFrom] of [
    ['chatgpt', client.clientId, 'vault'],
    [clientId, clientId, 'shown'],
  ] as const) {
    const rotated = await apps.rotateSecret(OPERATOR, id)
    t.regex(rotated.secret!, SECRET)
    t.is(rotated.clientId, on)
    const data = { client: id, secret: digest(rotated.secret!), secretFrom }
    t.deepEqual(await happened(), [['ClientSecretRotated', by, data]])
    const shown = await apps.show(OPERATOR, id)
    t.is(shown.secret, id === 'chatgpt' ? rotated.secret : undefined)
    t.is(shown.client.secret, data.secret)
  }
})

test('an app that is removed is not there any more', async (t) => {
  const { apps, happened } = await begin(t)
  const { clientId } = await apps.add(OPERATOR, APP)
  const { client } = await apps.show(OPERATOR, clientId)
  await happened()
  t.deepEqual(await apps.remove(OPERATOR, clientId), client)
  t.deepEqual(await happened(), [['ClientRemoved', by, { client: clientId, cause: 'operator' }]])
  t.is(await refusalOf(apps.show(OPERATOR, clientId)), 'client_unknown')
  t.deepEqual(
    (await apps.list(OPERATOR)).map(({ client: { id } }) => id),
    ['chatgpt'],
  )
})

test('what is asked for no app, wrongly, or against the settings is refused, and nothing happens', async (t) => {
  const { apps, happened } = await begin(t, GIVEN)
  const { clientId: open } = await apps.add(OPERATOR, { ...APP, isPublic: true })
  await happened()
  const refusals: readonly (readonly [Reason, () => Promise<unknown>])[] = [
    ['client_unknown', () => apps.show(OPERATOR, 'nobody')],
    ['client_unknown', () => apps.remove(OPERATOR, 'nobody')],
    ['client_unknown', () => apps.allowCallback(OPERATOR, 'nobody', ASKED)],
    ['client_unknown', () => apps.withdrawCallback(OPERATOR, 'nobody', ASKED)],
    ['client_unknown', () => apps.rotateSecret(OPERATOR, '__proto__')],
    ['client_name_invalid', () => apps.add(OPERATOR, { ...APP, name: ' ' })],
    ['redirect_invalid', () => apps.add(OPERATOR, { ...APP, redirects: [] })],
    ['redirect_invalid', () => apps.add(OPERATOR, { ...APP, redirects: [HERS, 'http://a.example/cb'] })],
    ['redirect_invalid', () => apps.add(OPERATOR, { ...APP, redirects: ['com.example.desk:/cb'] })],
    ['redirect_invalid', () => apps.allowCallback(OPERATOR, 'chatgpt', 'javascript:alert(1)')],
    ['redirect_already_allowed', () => apps.allowCallback(OPERATOR, 'id-of-chatgpt', CALLBACK)],
    ['redirect_unknown', () => apps.withdrawCallback(OPERATOR, 'chatgpt', ASKED)],
    ['redirect_from_settings', () => apps.withdrawCallback(OPERATOR, 'chatgpt', CALLBACK)],
    ['secret_from_settings', () => apps.rotateSecret(OPERATOR, 'chatgpt')],
    ['client_public', () => apps.rotateSecret(OPERATOR, open)],
    ['client_built_in', () => apps.remove(OPERATOR, 'chatgpt')],
    ['client_id_taken', () => apps.settleChatGpt(OPERATOR, { ...GIVEN, clientId: open })],
  ]
  for (const [reason, ask] of refusals) t.is(await refusalOf(ask()), reason, String(ask))
  t.deepEqual(await happened(), [])
})

test('whose right has ended meanwhile sees and changes no app', async (t) => {
  const { apps, happened } = await begin(t)
  const ended: Caller = { ...OPERATOR, holds: () => 'session_ended' }
  const asked = [
    () => apps.list(ended),
    () => apps.show(ended, 'chatgpt'),
    () => apps.add(ended, APP),
    () => apps.remove(ended, 'chatgpt'),
    () => apps.allowCallback(ended, 'chatgpt', ASKED),
    () => apps.withdrawCallback(ended, 'chatgpt', ASKED),
    () => apps.rotateSecret(ended, 'chatgpt'),
    () => apps.settleChatGpt(ended, GIVEN),
  ]
  for (const ask of asked) t.is(await refusalOf(ask()), 'session_ended', String(ask))
  t.deepEqual(await happened(), [])
})

test('ChatGPT’s client is made as the settings say, then follows them, and records only what differs', async (t) => {
  const { services, happened } = await startFloor(t)
  const { apps } = services
  await apps.settleChatGpt(OPERATOR, GIVEN, { onlyIfMissing: true })
  const secret = digest('secret-of-settings')
  const entry = { clientId: 'id-of-chatgpt', name: 'ChatGPT', secret, secretFrom: 'settings' }
  t.deepEqual(await happened(), [
    ['ClientRegistered', by, { client: 'chatgpt', ...entry, grantTypes: APP.grantTypes, ...BY_OPERATOR }],
    ['RedirectUriAllowed', by, { client: 'chatgpt', uri: CALLBACK, from: 'settings' }],
  ])
  await apps.settleChatGpt(OPERATOR, GIVEN)
  t.deepEqual(await happened(), [])
  await apps.settleChatGpt(OPERATOR, { clientId: 'another-id', secret: 'another', redirects: [ASKED] })
  t.deepEqual(await happened(), [
    ['ClientIdChanged', by, { client: 'chatgpt', clientId: 'another-id' }],
    ['ClientSecretRotated', by, { client: 'chatgpt', secret: digest('another'), secretFrom: 'settings' }],
    ['RedirectUriAllowed', by, { client: 'chatgpt', uri: ASKED, from: 'settings' }],
    ['RedirectUriWithdrawn', by, { client: 'chatgpt', uri: CALLBACK }],
  ])
})

test('where only a missing client is made, one that is there stays as it is, whatever the settings say', async (t) => {
  for (const settings of [NOTHING, GIVEN]) {
    const { apps, happened } = await begin(t, settings)
    const before = await apps.show(OPERATOR, 'chatgpt')
    for (const other of [NOTHING, GIVEN, { clientId: 'another-id', secret: 'another', redirects: [ASKED] }])
      await apps.settleChatGpt(OPERATOR, other, { onlyIfMissing: true })
    t.deepEqual(await happened(), [])
    t.deepEqual(await apps.show(OPERATOR, 'chatgpt'), before)
  }
})
