/** Outside OAuth clients of another age, simple-oauth2 and passport-oauth2, unmodified: each completes the flow. */
import test, { type ExecutionContext } from 'ava'
import OAuth2Strategy from 'passport-oauth2'
import { AuthorizationCode } from 'simple-oauth2'
import {
  CALLBACK,
  CHATGPT_ID,
  CHATGPT_SECRET,
  ClientSide,
  person,
  startWorld,
  Visitor,
  type World,
} from './_support.ts'

const WHOLE_FLOW = ['ConsentRequested', 'ConsentGranted', 'CodeIssued', 'TokenIssued']

async function begin(t: ExecutionContext) {
  const world = await startWorld(t)
  const alice = new Visitor(world.url)
  await alice.signUp(person('alice'))
  await world.news()
  return { world, alice, api: new ClientSide(world.url) }
}

/** What alice's browser does with the app's link, as far as the callback. */
async function walk(alice: Visitor, link: string, decision = 'allow'): Promise<URL> {
  const page = await alice.get(link)
  const answer = page.status === 303 ? page : await alice.submit(page, 'decision', { decision })
  return new URL(answer.headers.get('location')!)
}

const simple = ({ url }: World, authorizationMethod: 'body' | 'header', bodyFormat: 'form' | 'json') =>
  new AuthorizationCode({
    client: { id: CHATGPT_ID, secret: CHATGPT_SECRET },
    auth: {
      tokenHost: url,
      authorizePath: '/oauth',
      tokenPath: '/auth/oauth_exchange',
      revokePath: '/auth/revoke',
    },
    options: { authorizationMethod, bodyFormat },
  })

for (const method of ['body', 'header'] as const)
  for (const format of ['form', 'json'] as const)
    test(`simple-oauth2: consent, exchange, call, refresh, revoke (${method}, ${format})`, async (t) => {
      const { world, alice, api } = await begin(t)
      const app = simple(world, method, format)
      const link = app.authorizeURL({ redirect_uri: CALLBACK, scope: 'todos:read todos:write', state: 's+t ä' })
      const callback = await walk(alice, link)
      t.is(callback.searchParams.get('state'), 's+t ä')
      const token = await app.getToken({ code: callback.searchParams.get('code')!, redirect_uri: CALLBACK })
      t.false(token.expired())
      const { access_token } = token.token as { access_token: string }
      t.is((await api.api(access_token, 'POST', '/todos/me', { todo: 'buy milk' })).status, 200)
      const next = await token.refresh()
      t.not(next.token.refresh_token, token.token.refresh_token)
      await next.revokeAll()
      t.is((await api.api(String(next.token.access_token), 'GET', '/todos/me')).status, 401)
      await t.throwsAsync(next.refresh())
      t.deepEqual((await world.news()).slice(0, 7), [...WHOLE_FLOW, 'TodoAdded', 'TokenRefreshed', 'TokenRevoked'])
      await t.throwsAsync(app.getToken({ code: callback.searchParams.get('code')!, redirect_uri: CALLBACK }))
    })

type Session = { [name: string]: unknown }
type Outcome =
  | { readonly redirect: string }
  | { readonly user: { readonly accessToken: string; readonly refreshToken: string } }
  | { readonly failed: unknown }

/** What passport does with a strategy: a request goes in, and one of its calls comes back. */
function drive(strategy: OAuth2Strategy, session: Session, query: object): Promise<Outcome> {
  return new Promise((resolve, reject) => {
    const acting = Object.create(strategy)
    acting.redirect = (redirect: string) => resolve({ redirect })
    acting.success = (user: { accessToken: string; refreshToken: string }) => resolve({ user })
    acting.fail = (failed: unknown) => resolve({ failed })
    acting.error = reject
    acting.authenticate({ query, session, headers: {}, app: { get: () => undefined }, connection: {} } as never, {})
  })
}

const passport = ({ url }: World, pkce: boolean, secret = CHATGPT_SECRET) =>
  new OAuth2Strategy(
    {
      authorizationURL: `${url}/oauth`,
      tokenURL: `${url}/auth/oauth_exchange`,
      clientID: CHATGPT_ID,
      clientSecret: secret,
      callbackURL: CALLBACK,
      state: true,
      ...(pkce ? { pkce: true } : {}),
    } as never,
    (accessToken: string, refreshToken: string, _profile: unknown, done: (error: null, user: object) => void) =>
      done(null, { accessToken, refreshToken }),
  )

for (const pkce of [false, true])
  test(`passport-oauth2: consent, exchange, call (${pkce ? 'PKCE S256' : 'no PKCE'})`, async (t) => {
    const { world, alice, api } = await begin(t)
    const [strategy, session] = [passport(world, pkce), {}]
    const begun = await drive(strategy, session, {})
    if (!('redirect' in begun)) return t.fail('it did not send anybody anywhere')
    const callback = await walk(alice, begun.redirect)
    t.is(callback.origin + callback.pathname, CALLBACK)
    const ended = await drive(strategy, session, Object.fromEntries(callback.searchParams))
    if (!('user' in ended)) return t.fail(`nobody was signed in: ${JSON.stringify(ended)}`)
    t.is((await api.api(ended.user.accessToken, 'GET', '/todos/me')).status, 200)
    t.regex(ended.user.refreshToken, /^dbr_/)
    t.deepEqual(await world.news(), WHOLE_FLOW)
  })

test('passport-oauth2: a refusal by the user, a wrong secret and a foreign state are failures to it', async (t) => {
  const { world, alice } = await begin(t)
  const start = async (strategy: OAuth2Strategy, session: Session, decision = 'allow'): Promise<URL> => {
    const begun = await drive(strategy, session, {})
    return walk(alice, 'redirect' in begun ? begun.redirect : '', decision)
  }
  const [strategy, session] = [passport(world, false), {}]
  const denied = await start(strategy, session, 'deny')
  t.like(await drive(strategy, session, Object.fromEntries(denied.searchParams)), {
    failed: { message: 'The user said no.' },
  })
  const callback = await start(strategy, session)
  const foreign = await drive(strategy, {}, Object.fromEntries(callback.searchParams))
  t.true('failed' in foreign)
  const [wrong, own] = [passport(world, false, 'another secret'), {}]
  const answered = await start(wrong, own)
  await t.throwsAsync(drive(wrong, own, Object.fromEntries(answered.searchParams)), {
    any: true,
    message: /Client authentication/,
  })
})
