/** The four ways to authenticate, each with its documents and its behaviour at /todos. */
import { execFile } from 'node:child_process'
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { promisify } from 'node:util'
import test, { type ExecutionContext } from 'ava'
import type { Event } from '../../src/domain/domain.ts'
import { issueKey, revokeKey } from '../../src/domain/keys.ts'
import { rotateService, settleService } from '../../src/domain/service.ts'
import type { Decision } from '../../src/domain/shape.ts'
import { findUser, restoreUser, revokeUser } from '../../src/domain/users.ts'
import { AUTH_MODES, type AuthMode } from '../../src/service/policy.ts'
import { digest } from '../../src/service/secrets.ts'
import { Users } from '../../src/service/users.ts'
import { ClientSide, formWith, person, SYSTEM, startWorld, Visitor, type World } from '../_support.ts'
import { holdWrites, settleTraffic } from './_elsewhere.ts'
import { whileReadOnly } from './_wire.ts'

const KEY = 'dbk_a-key-that-alice-has-made-0123456789abcdef'
const SERVICE = 'dbs_a-service-token-0123456789abcdef'

/** A world in that mode, where alice and bob have accounts; `api` calls it with a bearer. */
async function begin(t: ExecutionContext, authMode: AuthMode) {
  const world = await startWorld(t, { authMode })
  for (const name of ['alice', 'bob'])
    await new Users(world.ledger).add(SYSTEM, { ...person(name), email: undefined, admin: false })
  await world.news()
  const side = new ClientSide(world.url)
  const api = (bearer: string | undefined, method: string, name: string, body?: object) =>
    side.api(bearer, method, `/todos/${name}`, body)
  return { world, api }
}

const giveKey = ({ ledger }: World, username = 'alice', secret = KEY) =>
  ledger.transact(SYSTEM, (state) =>
    issueKey(state, {
      key: `key-of-${username}`,
      user: findUser(state, username)!.id,
      digest: digest(secret),
      label: 'at work',
    }),
  )
const giveServiceToken = ({ ledger }: World, token = SERVICE) =>
  ledger.transact(SYSTEM, (state) => rotateService(state, { token, digest: digest(token) }))

const json = async (url: string, path: string): Promise<any> => (await fetch(url + path)).json()

test('69. the manifest says exactly how to authenticate, in all four modes', async (t) => {
  const auth = async (authMode: AuthMode) => {
    const { url } = await startWorld(t, { authMode, publicUrl: 'https://todo.example', verificationToken: 'a"b$&c' })
    const manifest = await json(url, '/.well-known/ai-plugin.json')
    return [manifest.auth, manifest.api.is_user_authenticated]
  }
  t.deepEqual(await auth('none'), [{ type: 'none' }, false])
  t.deepEqual(await auth('user_http'), [{ type: 'user_http', authorization_type: 'bearer' }, true])
  t.deepEqual(await auth('service_http'), [
    { type: 'service_http', authorization_type: 'bearer', verification_tokens: { openai: 'a"b$&c' } },
    false,
  ])
  t.deepEqual(await auth('oauth'), [
    {
      type: 'oauth',
      client_url: 'https://todo.example/oauth',
      scope: 'todos:read todos:write',
      authorization_url: 'https://todo.example/auth/oauth_exchange',
      authorization_content_type: 'application/json',
      verification_tokens: { openai: 'a"b$&c' },
    },
    true,
  ])
})

/** What `make check` does with the document in the repository. @throws with what is wrong */
const lint = (file: string) =>
  promisify(execFile)(process.execPath, ['node_modules/@redocly/cli/bin/cli.js', 'lint', file], {
    cwd: join(import.meta.dirname, '../..'),
  })

test('70. the OpenAPI document of every mode lints, and says how to authenticate', async (t) => {
  const schemes: { readonly [M in AuthMode]: unknown } = {
    oauth: 'oauth2',
    user_http: 'http',
    service_http: 'http',
    none: undefined,
  }
  for (const mode of AUTH_MODES) {
    const { url, folder } = await startWorld(t, { authMode: mode })
    const file = join(folder, '.openapi.yaml')
    writeFileSync(file, await (await fetch(`${url}/openapi.yaml`)).text())
    await t.notThrowsAsync(lint(file), mode)
    const document = await json(url, '/openapi.json')
    const [scheme] = Object.values<any>(document.components.securitySchemes ?? {})
    t.is(scheme?.type, schemes[mode], mode)
    t.is(document.security.length, mode === 'none' ? 0 : 1, mode)
    t.is(JSON.stringify(document).includes('oauth'), mode === 'oauth', mode)
    t.is(JSON.stringify(document).includes('signed-in'), mode === 'oauth' || mode === 'user_http', mode)
  }
})

test('only the mode with an authorization server has one', async (t) => {
  const paths = ['/.well-known/oauth-authorization-server', '/.well-known/oauth-protected-resource', '/oauth']
  const posts = ['/auth/oauth_exchange', '/auth/revoke', '/auth/introspect', '/oauth/consent']
  for (const authMode of AUTH_MODES) {
    const { url } = await startWorld(t, { authMode })
    const isThere = authMode === 'oauth'
    for (const path of paths) t.is((await fetch(url + path)).status !== 404, isThere, `${authMode} ${path}`)
    for (const path of posts)
      t.is((await fetch(url + path, { method: 'POST' })).status !== 404, isThere, `${authMode} ${path}`)
    t.is((await fetch(`${url}/account/keys`, { redirect: 'manual' })).status, authMode === 'user_http' ? 303 : 404)
    const canSignUp = authMode === 'oauth' || authMode === 'user_http'
    t.is((await fetch(`${url}/signup`)).status, canSignUp ? 200 : 403, authMode)
    t.is((await fetch(`${url}/login`)).status, 200, authMode)
  }
})

test('where lists have no users, pages say what the mode is, and offer nobody an account', async (t) => {
  for (const [authMode, who] of [
    ['none', 'reaches this Daybook can read and change every list'],
    ['service_http', 'with the service token can read and change every list'],
  ] as const) {
    const { world } = await begin(t, authMode)
    await new Users(world.ledger).add(SYSTEM, { username: 'boss', password: 'correct horse', admin: true })
    const visitor = new Visitor(world.url)
    const home = (await visitor.get('/')).text
    t.true(home.includes('Nobody needs an account here') && home.includes(who), authMode)
    t.false(home.includes('/signup') || home.includes('class="button'), authMode)
    const login = (await visitor.get('/login')).text
    t.true(login.includes('for operators') && !login.includes('/signup') && !login.includes('for one'), authMode)
    t.is((await visitor.signIn({ username: 'boss', email: '', password: 'correct horse' })).status, 303)
    const signedIn = (await visitor.get('/')).text
    t.true(signedIn.includes('Signed in as <strong>boss</strong>') && signedIn.includes(who), authMode)
    t.false(signedIn.includes('Your to-dos'), authMode)
  }
})

test('60, 61, 64. who shows nothing, or what is of another mode: 401, and nothing is recorded', async (t) => {
  for (const authMode of ['oauth', 'user_http', 'service_http'] as const) {
    const { world, api } = await begin(t, authMode)
    await giveKey(world)
    await giveServiceToken(world)
    await world.news()
    const challenge = async (bearer: string | undefined): Promise<string> => {
      const { status, headers } = await api(bearer, 'GET', 'me')
      t.is(status, 401, `${authMode} ${bearer}`)
      return headers.get('www-authenticate')!
    }
    const where =
      authMode === 'oauth' ? `resource_metadata="${world.url}/.well-known/oauth-protected-resource"` : 'realm="Daybook"'
    t.is(await challenge(undefined), `Bearer ${where}`)
    const wrong = [`${KEY}x`, KEY.slice(0, -1), digest(KEY), 'x', 'key-of-alice']
    if (authMode !== 'user_http') wrong.push(KEY)
    if (authMode !== 'service_http') wrong.push(SERVICE)
    for (const bearer of wrong) t.regex(await challenge(bearer), /^Bearer error="invalid_token"/)
    t.deepEqual(await world.news(), [])
  }
})

test('user_http: a key speaks for whoever made it, on their own list only; its use is recorded once an hour', async (t) => {
  const { world, api } = await begin(t, 'user_http')
  await giveKey(world)
  await giveKey(world, 'bob', `${KEY}-bob`)
  await world.news()
  t.deepEqual((await api(KEY, 'POST', 'me', { todo: 'buy milk' })).json.todo_idx, 0)
  t.deepEqual(await world.news(), ['KeyUsed', 'TodoAdded'])
  const added = (await world.events()).at(-1)!
  t.like(added, { actor: { kind: 'user' }, via: { key: 'key-of-alice' } })
  for (const name of ['me', 'global', 'alice', 'ALICE'])
    t.deepEqual((await api(KEY, 'GET', name)).json, { todos: ['buy milk'] }, name)
  t.deepEqual((await api(`${KEY}-bob`, 'GET', 'me')).json, { todos: [] })
  for (const method of ['GET', 'POST', 'DELETE'])
    for (const name of ['bob', 'nobody']) {
      const body = method === 'GET' ? undefined : { todo: 'x', todo_idx: 0 }
      const { status, json: answer } = await api(KEY, method, name, body)
      t.deepEqual([status, answer.error], [403, 'forbidden'], `${method} ${name}`)
    }
  t.deepEqual(await world.news(), ['KeyUsed'], 'bob’s first')
  world.clock.pass(3_600_000)
  await api(KEY, 'GET', 'me')
  await api(KEY, 'GET', 'me')
  t.deepEqual(await world.news(), ['KeyUsed'])
  world.clock.pass(3_600_000)
  await whileReadOnly(world, async () => {
    t.is((await api(KEY, 'GET', 'me')).status, 200, 'reading goes on where a use cannot be recorded')
    t.is((await api(KEY, 'POST', 'me', { todo: 'x' })).status, 503)
  })
  await world.ledger.transact(SYSTEM, (state) => revokeUser(state, 'alice'))
  t.is((await api(KEY, 'GET', 'me')).status, 401)
  await world.ledger.transact(SYSTEM, (state) => restoreUser(state, 'alice'))
  t.is((await api(KEY, 'GET', 'me')).status, 401, 'nothing that was ended comes back')
  t.is((await api(`${KEY}-bob`, 'GET', 'me')).status, 200)
})

for (const authMode of ['service_http', 'none'] as const)
  test(`${authMode}: any valid name is a list of its own, in any case; global is one of them`, async (t) => {
    const { world, api } = await begin(t, authMode)
    const bearer = authMode === 'none' ? undefined : SERVICE
    if (bearer !== undefined) await giveServiceToken(world)
    await world.news()
    t.deepEqual((await api(bearer, 'GET', 'global')).json, { todos: [] })
    t.is((await api(bearer, 'DELETE', 'global', { todo_idx: 0 })).status, 404)
    t.deepEqual(await world.news(), [], 'looking begins no list')
    t.is((await api(bearer, 'POST', 'global', { todo: '' })).status, 400)
    t.deepEqual(await world.news(), [])
    t.like((await api(bearer, 'POST', 'Global', { todo: 'one' })).json, { todo: 'one', todo_idx: 0 })
    t.deepEqual(await world.news(), ['ListOpened', 'TodoAdded'])
    t.like((await api(bearer, 'POST', 'global', { todo: 'two' })).json, { todo_idx: 1 })
    t.like((await api(bearer, 'POST', 'alice', { todo: 'of the list called alice' })).json, { todo_idx: 0 })
    t.deepEqual((await api(bearer, 'GET', 'GLOBAL')).json, { todos: ['one', 'two'] })
    t.deepEqual((await api(bearer, 'DELETE', 'global', { todo_idx: 0, todo: 'one' })).json.todo, 'one')
    t.deepEqual((await api(bearer, 'GET', 'ALICE')).json, { todos: ['of the list called alice'] })
    t.deepEqual(await world.news(), ['TodoAdded', 'ListOpened', 'TodoAdded', 'TodoDeleted'])
    for (const name of ['me', '.', 'a%20b', 'x'.repeat(65), '%C3%BC'])
      t.true([400, 404].includes((await api(bearer, 'GET', name)).status), name)
    t.is((await api(bearer, 'POST', '__proto__', { todo: 'x' })).status, 200)
    const actor = authMode === 'none' ? { kind: 'anonymous' } : { kind: 'client', id: 'service' }
    t.like((await world.events()).at(-1)!, { actor })
    const many = await Promise.all(Array.from({ length: 20 }, () => api(bearer, 'POST', 'new', { todo: 'x' })))
    t.deepEqual(
      many.map((answer) => answer.json.todo_idx).sort((a, b) => a - b),
      [...Array(20).keys()],
    )
    t.is((await world.news()).filter((type) => type === 'ListOpened').length, 2, '__proto__ and new')
  })

test('service_http: the token that was rotated is dead at once; one from the settings is not rotated here', async (t) => {
  const { world, api } = await begin(t, 'service_http')
  const settle = (given: string | undefined, token = 'made') =>
    world.ledger.transact(SYSTEM, (state) =>
      settleService(state, given === undefined ? undefined : digest(given), { token, digest: digest(token) }),
    )
  await settle(undefined)
  await settle(undefined, 'another')
  t.is((await api('made', 'GET', 'global')).status, 200)
  await giveServiceToken(world)
  t.is((await api('made', 'GET', 'global')).status, 401)
  t.is((await api(SERVICE, 'GET', 'global')).status, 200)
  await settle('from-the-settings')
  await settle('from-the-settings')
  t.is((await api('from-the-settings', 'GET', 'global')).status, 200)
  await t.throwsAsync(giveServiceToken(world), { message: 'service_token_from_settings' })
  await settle(undefined, 'made again')
  t.is((await api('from-the-settings', 'GET', 'global')).status, 401)
  t.deepEqual(await world.news(), Array(4).fill('ServiceTokenRotated'))
})

test('keys by page: made and shown once, listed with their last use, revoked; only by forms of one’s own', async (t) => {
  const { world, api } = await begin(t, 'user_http')
  const [alice, bob] = [new Visitor(world.url), new Visitor(world.url)]
  await alice.signIn(person('alice'))
  await bob.signIn(person('bob'))
  await world.news()
  t.true((await alice.get('/')).text.includes('href="/account/keys"'))
  const page = await alice.get('/account/keys')
  t.is(page.status, 200)
  for (const label of ['', 'x'.repeat(61), 'two\nlines']) {
    const again = await alice.submit(page, 'label', { label })
    t.is(again.status, 400, label)
  }
  const made = await alice.submit(page, 'label', { label: 'at <work>' })
  t.is(made.status, 200)
  const secret = /dbk_[\w-]{43}/.exec(made.text)![0]
  t.true(made.text.includes('at &lt;work&gt;'))
  t.is((await api(secret, 'POST', 'me', { todo: 'x' })).status, 200)
  const later = await alice.get('/account/keys')
  t.false(later.text.includes(secret), 'shown once')
  t.true(later.text.includes(`last used ${new Date(world.clock.now).toISOString().slice(0, 10)}`))
  const { values } = formWith(later.text, 'key')!
  const stolen = await bob.post('/account/keys/revoke', {
    ...formWith((await bob.get('/account/keys')).text, 'label')!.values,
    key: values.key!,
  })
  t.is(stolen.status, 404, 'somebody else’s')
  t.is((await bob.post('/account/keys/revoke', values)).status, 403)
  t.is((await alice.post('/account/keys/revoke', values, { origin: 'https://evil.example' })).status, 403)
  t.is((await api(secret, 'GET', 'me')).status, 200)
  t.is((await alice.submit(later, 'key', {})).status, 303)
  t.is((await api(secret, 'GET', 'me')).status, 401)
  t.deepEqual(await world.news(), ['KeyIssued', 'KeyUsed', 'TodoAdded', 'KeyRevoked'])
  t.false(JSON.stringify(await world.events()).includes(secret))
  t.false(world.log.join('').includes(secret))
})

for (const mode of ['user_http', 'service_http'] as const)
  test.serial(`57. ${mode}: what was let in before its key or token ended is not carried out after it`, async (t) => {
    const { world, api } = await begin(t, mode)
    const release = holdWrites(t)
    // Who is let in by what is not on disk yet waits until it is.
    const given = mode === 'service_http' ? giveServiceToken(world) : giveKey(world)
    const added = api(mode === 'service_http' ? SERVICE : KEY, 'POST', 'global', { todo: 'too late' })
    await settleTraffic()
    const ended = world.ledger.transact(
      SYSTEM,
      (state): Decision<Event, unknown> =>
        mode === 'user_http'
          ? revokeKey(state, 'key-of-alice')
          : rotateService(state, { token: 'another', digest: digest('another') }),
    )
    await release()
    await Promise.all([given, ended])
    t.is((await added).status, 401)
    t.false((await world.news()).includes('TodoAdded'))
  })

test('69. the manifest tells the model which username to use, as the mode has it', async (t) => {
  for (const authMode of AUTH_MODES) {
    const { url } = await startWorld(t, { authMode })
    const { description_for_model: text } = await json(url, '/.well-known/ai-plugin.json')
    const isForUsers = ['oauth', 'user_http'].includes(authMode)
    t.is(text.includes('"me"'), isForUsers, authMode)
    t.is(text.includes('"global"'), !isForUsers, authMode)
    t.true(text.length <= 8000)
  }
})
