/** Clients without a secret, and whoever has said yes before. */
import test, { type ExecutionContext } from 'ava'
import { removeClient } from '../../src/domain/clients.ts'
import {
  ClientSide,
  formWith,
  OTHER,
  PKCE,
  person,
  publicClient,
  SYSTEM,
  startWorld,
  type Tokens,
  VERIFIER,
  Visitor,
} from '../_support.ts'

async function begin(t: ExecutionContext) {
  const world = await startWorld(t)
  const [side, alice] = [await publicClient(world), new Visitor(world.url)]
  await alice.signUp(person('alice'))
  await world.news()
  return { world, side, alice }
}

test('11. a public client without challenge, or with one that is plain, malformed or has no method: invalid_request', async (t) => {
  const { world, side, alice } = await begin(t)
  const { code_challenge } = PKCE
  const bad: { [name: string]: string | undefined }[] = [
    {},
    { code_challenge },
    { code_challenge, code_challenge_method: 'plain' },
    { code_challenge: VERIFIER, code_challenge_method: 'plain' },
    { code_challenge, code_challenge_method: 's256' },
    { code_challenge_method: 'S256' },
    { ...PKCE, code_challenge: `${code_challenge}x` },
    { ...PKCE, code_challenge: code_challenge.slice(1) },
    { ...PKCE, code_challenge: `${code_challenge.slice(1)}=` },
    { ...PKCE, code_challenge: `${code_challenge.slice(1)}+` },
  ]
  for (const changed of bad) {
    const { status, headers } = await alice.get(side.link(changed))
    const to = new URL(headers.get('location')!)
    t.is(status, 303)
    t.deepEqual(
      [to.origin + to.pathname, to.searchParams.get('error'), to.searchParams.get('state'), to.searchParams.get('iss')],
      [side.callback, 'invalid_request', 's1', world.url],
      JSON.stringify(changed),
    )
  }
  t.deepEqual(await world.news(), [])
})

test('38. a public client redeems with its verifier and no secret, and only so', async (t) => {
  const { world, side, alice } = await begin(t)
  const code = await side.codeFor(alice, PKCE)
  await world.news()
  const refused = async (changed: { [name: string]: unknown }, status: number, error: string): Promise<void> => {
    const answer = await side.exchange(code, changed)
    t.deepEqual([answer.status, answer.json.error], [status, error], JSON.stringify(changed))
  }
  await refused({}, 400, 'invalid_grant')
  await refused({ code_verifier: 'w'.repeat(43) }, 400, 'invalid_grant')
  await refused({ code_verifier: VERIFIER.slice(1) }, 400, 'invalid_grant')
  await refused({ code_verifier: VERIFIER, client_secret: 'anything' }, 401, 'invalid_client')
  await refused({ code_verifier: VERIFIER, client_id: undefined }, 401, 'invalid_client')
  t.deepEqual(await world.news(), [])
  const { status, json } = await side.exchange(code, { code_verifier: VERIFIER })
  t.is(status, 200)
  const next = await side.refresh(json.refresh_token)
  t.is(next.status, 200)
  t.not(next.json.refresh_token, json.refresh_token)
  t.is((await side.refresh(next.json.refresh_token)).status, 200)
  t.is((await side.refresh(json.refresh_token)).json.error, 'invalid_grant', 'its successor was used')
  t.deepEqual(await world.news(), ['TokenIssued', 'TokenRefreshed', 'TokenRefreshed', 'TokenReplayed'])
})

test('39. a used code of a public app shown again ends what it gave only when its verifier comes with it', async (t) => {
  const { world, side, alice } = await begin(t)
  const code = await side.codeFor(alice, PKCE)
  const { json: tokens } = await side.exchange(code, { code_verifier: VERIFIER })
  await world.news()
  for (const code_verifier of [undefined, 'w'.repeat(43), VERIFIER.slice(1)]) {
    const { status, json } = await side.exchange(code, { code_verifier })
    t.deepEqual([status, json.error], [400, 'invalid_grant'], code_verifier)
  }
  t.deepEqual(await world.news(), [])
  t.is((await side.api(tokens.access_token, 'GET', '/todos/me')).status, 200)
  t.is((await side.exchange(code, { code_verifier: VERIFIER })).json.error, 'invalid_grant')
  t.deepEqual(await world.news(), ['CodeReplayed'])
  t.is((await side.api(tokens.access_token, 'GET', '/todos/me')).status, 401)
})

const isQuestion = (text: string): boolean => formWith(text, 'decision') !== undefined

test('whoever has said yes to a confidential client is not asked the same again; a public one asks each time', async (t) => {
  const { world, side, alice } = await begin(t)
  const other = new ClientSide(world.url, OTHER)
  const link = (scope: string): string => other.link({ scope, state: 'a b' })
  t.true(isQuestion((await alice.get(link('todos:read'))).text))
  await other.codeFor(alice, { scope: 'todos:read' })
  await world.news()

  const again = await alice.get(link('todos:read'))
  t.is(again.status, 303)
  const answer = new URL(again.headers.get('location')!).searchParams
  t.deepEqual([answer.get('state'), answer.get('iss'), answer.get('keep')], ['a b', world.url, '1'])
  t.deepEqual(await world.news(), ['CodeIssued'])
  const tokens: Tokens = (await other.exchange(answer.get('code')!)).json
  t.is(tokens.scope, 'todos:read')

  t.true(isQuestion((await alice.get(link('todos:read todos:write'))).text), 'it asks for more')
  await other.codeFor(alice, { scope: '' })
  for (const scope of ['', 'todos:write', 'todos:read'])
    t.is((await alice.get(link(scope))).status, 303, `less: ${scope}`)
  t.true(isQuestion((await alice.get(new ClientSide(world.url).link())).text), 'another app')

  const bob = new Visitor(world.url)
  await bob.signUp(person('bob'))
  t.true(isQuestion((await bob.get(link('todos:read'))).text), 'another user')
  for (const _ of [1, 2]) {
    t.true(isQuestion((await alice.get(side.link(PKCE))).text), 'a public client')
    await side.codeFor(alice, PKCE)
  }
  await world.news()
  t.is((await alice.get(link(''), { accept: '*/*' })).status, 303)
  t.deepEqual(await world.news(), ['CodeIssued'])
})

test('what ends a connection makes its user be asked again', async (t) => {
  const { world, alice } = await begin(t)
  const other = new ClientSide(world.url, OTHER)
  const connect = async (): Promise<Tokens> => (await other.exchange(await other.codeFor(alice))).json
  const credentials = { client_id: OTHER.id, client_secret: OTHER.secret }
  const ends: { [what: string]: (tokens: Tokens, code: string) => Promise<unknown> } = {
    'a refresh token given back': ({ refresh_token: token }) =>
      fetch(`${world.url}/auth/revoke`, { method: 'POST', body: new URLSearchParams({ ...credentials, token }) }),
    'a code shown again': (_, code) => other.exchange(code),
    'a refresh token shown again': async ({ refresh_token }) => {
      await other.refresh((await other.refresh(refresh_token)).json.refresh_token)
      await other.refresh(refresh_token)
    },
  }
  for (const [what, end] of Object.entries(ends)) {
    const code = await other.codeFor(alice)
    const tokens: Tokens = (await other.exchange(code)).json
    t.false(isQuestion((await alice.get(other.link())).text), what)
    await end(tokens, code)
    t.true(isQuestion((await alice.get(other.link())).text), what)
  }
  const { access_token: token } = await connect()
  await fetch(`${world.url}/auth/revoke`, { method: 'POST', body: new URLSearchParams({ ...credentials, token }) })
  t.false(isQuestion((await alice.get(other.link())).text), 'an access token alone')
})

test('47. a client that is removed: unknown from then on, and all that it was given is dead', async (t) => {
  const { world, alice } = await begin(t)
  const [other, chatgpt] = [new ClientSide(world.url, OTHER), new ClientSide(world.url)]
  const page = await alice.get(other.link())
  const tokens: Tokens = (await other.exchange(await other.codeFor(alice))).json
  const code = await other.codeFor(alice)
  const own: Tokens = (await chatgpt.exchange(await chatgpt.codeFor(alice))).json
  await world.news()
  await world.ledger.transact(SYSTEM, (state) => removeClient(state, OTHER.id))
  t.is((await other.exchange(code)).status, 401)
  t.is((await other.refresh(tokens.refresh_token)).json.error, 'invalid_client')
  // Whoever else shows what was its: it is nobody's.
  t.is((await chatgpt.refresh(tokens.refresh_token)).json.error, 'invalid_grant')
  t.is((await chatgpt.exchange(code)).json.error, 'invalid_grant')
  t.is((await other.api(tokens.access_token, 'GET', '/todos/me')).status, 401)
  t.is((await alice.get(other.link())).status, 400)
  t.is((await alice.submit(page, 'decision', { decision: 'allow' })).status, 403)
  t.is((await chatgpt.api(own.access_token, 'GET', '/todos/me')).status, 200)
  t.deepEqual(await world.news(), ['ClientRemoved'])
  await t.throwsAsync(
    world.ledger.transact(SYSTEM, (state) => removeClient(state, 'chatgpt')),
    { message: 'client_built_in' },
  )
})
