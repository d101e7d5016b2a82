/** `daybook token`, `key`, `service-token` and `client remove`, with and without a server. */
import test from 'ava'
import { daybook, homeFor, newHome, rowsOf, serve, WAYS } from '../_serve.ts'
import { CALLBACK, ClientSide, PKCE, person, VERIFIER, Visitor } from '../_support.ts'

const lastWord = (text: string): string => text.trimEnd().split(/\s+/).at(-1)!

for (const way of WAYS)
  test(`key: add, list, revoke (${way})`, async (t) => {
    const home = await homeFor(t, way, { AUTH_MODE: 'user_http' })
    await daybook(home, 'user add alice --random-password')
    const made = await daybook(home, 'key add alice --label work')
    t.is(made.code, 0, made.stderr)
    t.regex(made.stdout, /^id {3}[0-9A-Z]{26}\nkey {2}dbk_[\w-]{43}\n$/)
    const [key] = await rowsOf(home, 'key list alice')
    t.like(key!, { label: 'work', last_used: null })
    if (way === 'beside a server') {
      const api = new ClientSide(home.url)
      t.is((await api.api(lastWord(made.stdout), 'GET', '/todos/me')).status, 200)
      t.regex((await rowsOf(home, 'key list alice'))[0]!.last_used, /Z$/)
      t.like(await daybook(home, `key revoke ${key!.id.toLowerCase()}`), { code: 0 })
      t.is((await api.api(lastWord(made.stdout), 'GET', '/todos/me')).status, 401)
    } else t.like(await daybook(home, `key revoke ${key!.id}`), { code: 0 })
    t.deepEqual(await rowsOf(home, 'key list alice'), [])
    for (const words of ['key revoke nothing', 'key list nobody', 'key add nobody --label x'])
      t.like(await daybook(home, words), { code: 1, stdout: '' }, words)
    t.like(await daybook(home, 'key add alice'), { code: 2, stdout: '' })
  })

for (const way of WAYS)
  test(`service-token: show, rotate (${way})`, async (t) => {
    const home = await homeFor(t, way, { AUTH_MODE: 'service_http' })
    if (way === 'without a server') {
      await (await serve(t, home)).stop()
    }
    const shown = await daybook(home, 'service-token show')
    t.regex(shown.stdout, /^service token {2}dbs_[\w-]{43}\n$/)
    const rotated = await daybook(home, 'service-token rotate')
    t.not(rotated.stdout, shown.stdout)
    t.is((await daybook(home, 'service-token show')).stdout, rotated.stdout)
    if (way === 'without a server') await serve(t, home)
    const api = new ClientSide(home.url)
    t.is((await api.api(lastWord(rotated.stdout), 'GET', '/todos/global')).status, 200)
    t.is((await api.api(lastWord(shown.stdout), 'GET', '/todos/global')).status, 401)
  })

test('a service token from the settings is kept as digest, and not rotated here; without one there is none to show', async (t) => {
  const home = await newHome(t, { AUTH_MODE: 'service_http', SERVICE_TOKEN: 'a-token-of-our-own' })
  const server = await serve(t, home)
  t.is((await new ClientSide(home.url).api('a-token-of-our-own', 'GET', '/todos/global')).status, 200)
  t.like(await daybook(home, 'service-token show'), {
    code: 0,
    stderr: 'The service token is the one in SERVICE_TOKEN.\n',
  })
  const refused = await daybook(home, 'service-token rotate')
  t.like(refused, { code: 1, stdout: '' })
  t.regex(refused.stderr, /SERVICE_TOKEN/)
  await server.stop()
  const other = await homeFor(t, 'beside a server')
  t.like(await daybook(other, 'service-token show'), { code: 1, stdout: '' })
})

test('token: what apps may do for somebody; one connection ended at once', async (t) => {
  const home = await homeFor(t, 'beside a server')
  const chatgpt = new ClientSide(home.url)
  const tokens = await chatgpt.connect(person('alice'))
  const [yes, grant] = await rowsOf(home, 'token list alice')
  t.like(grant!, { app: 'ChatGPT', kind: 'connection', scope: 'todos:read todos:write' })
  t.like(yes!, { app: 'ChatGPT', kind: 'approval', scope: 'todos:read todos:write' })
  t.is(yes!.id, yes!.id.toUpperCase())
  const forgotten = await daybook(home, `token revoke ${yes!.id.toLowerCase()}`)
  t.like(forgotten, { code: 0 })
  t.regex(forgotten.stdout, /^alice is asked again when they connect ChatGPT\./)
  t.deepEqual(await rowsOf(home, 'token list alice'), [grant])
  t.is((await chatgpt.api(tokens.access_token, 'GET', '/todos/me')).status, 200)
  const ended = await daybook(home, `token revoke ${grant!.id}`)
  t.like(ended, { code: 0 })
  t.regex(ended.stdout, /^ChatGPT can do nothing for alice by that connection any more/)
  t.is((await chatgpt.api(tokens.access_token, 'GET', '/todos/me')).status, 401)
  t.is((await chatgpt.refresh(tokens.refresh_token)).json.error, 'invalid_grant')
  t.deepEqual(await rowsOf(home, 'token list alice'), [])
  t.like(await daybook(home, `token revoke ${grant!.id}`), { code: 1, stdout: '' })
  t.like(await daybook(home, 'token list nobody'), { code: 1, stdout: '' })
})

test('client add --public, client remove', async (t) => {
  const home = await homeFor(t, 'beside a server')
  const added = await daybook(home, `client add --name Desk --redirect ${CALLBACK} --public`)
  t.regex(added.stdout, /^client id {2}[0-9a-z]{26}\n$/)
  t.regex(added.stderr, /PKCE/)
  const id = lastWord(added.stdout)
  const desk = new ClientSide(home.url, { id, secret: undefined, callback: CALLBACK })
  const alice = new Visitor(home.url)
  await alice.signUp(person('alice'))
  const { json } = await desk.exchange(await desk.codeFor(alice, PKCE), { code_verifier: VERIFIER })
  t.is((await desk.api(json.access_token, 'GET', '/todos/me')).status, 200)
  t.like(await daybook(home, `client rotate-secret ${id}`), { code: 1, stdout: '' })
  t.like(await daybook(home, `client remove ${id}`), { code: 0 })
  t.is((await desk.api(json.access_token, 'GET', '/todos/me')).status, 401)
  for (const words of [`client remove ${id}`, 'client remove chatgpt'])
    t.like(await daybook(home, words), { code: 1, stdout: '' }, words)
})

test('AUTH_MODE=none warns, loudly', async (t) => {
  const home = await newHome(t, { AUTH_MODE: 'none' })
  const { said } = await serve(t, home)
  t.regex(said.stderr, /AUTH_MODE=none: ANYBODY WHO REACHES THIS ADDRESS CAN READ AND CHANGE EVERY LIST/)
  t.regex(said.stdout, /"level":40,.*AUTH_MODE=none/)
  t.is((await new ClientSide(home.url).api(undefined, 'POST', '/todos/global', { todo: 'x' })).status, 200)
  t.regex((await daybook(home, 'doctor')).stdout, /AUTH_MODE=none/)
})
