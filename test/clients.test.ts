/** Outside OAuth clients, oauth4webapi and openid-client, unmodified: they find, use and understand this server by themselves. */
import test, { type ExecutionContext } from 'ava'
import * as oauth from 'oauth4webapi'
import * as openid from 'openid-client'
import { registerClient } from '../src/domain/clients.ts'
import { digest } from '../src/service/secrets.ts'
import { person, SYSTEM, startWorld, Visitor, type World } from './_support.ts'

/** A client whose secret has every character that an encoding could spoil on its way. */
const CLIENT = {
  id: 'outside',
  secret: 'a+b%2B:c/d &e=f?g"h\\ü☂',
}

/** Where each library is answered. openid-client takes whatever query comes back for the answer's own. */
const CALLBACKS = {
  oauth4webapi: 'https://outside.example/cb?keep=a%20b&plus=%2B',
  'openid-client': 'https://outside.example/cb',
}

type How = {
  readonly authentication: 'client_secret_post' | 'client_secret_basic'
  readonly pkce: boolean
  readonly secret?: string
  readonly resource?: string
}
type Parameters = { readonly [name: string]: string }
type Tokens = {
  readonly access_token: string
  readonly refresh_token?: string | undefined
  readonly scope?: string | undefined
}

/** What an app does with such a library. Each throws the library's own error when it does not like an answer. */
type App = {
  readonly supportsPkce: boolean
  readonly authorizationUrl: (extra?: Parameters) => URL
  readonly exchange: (callback: URL) => Promise<Tokens>
  readonly refresh: (token: string, extra?: Parameters) => Promise<Tokens>
  readonly call: (token: string, method: string, path: string, body?: string) => Promise<Response>
}

const JSON_HEADERS = { 'content-type': 'application/json' }

async function oauth4webapiApp({ url }: World, how: How): Promise<App> {
  const http = { [oauth.allowInsecureRequests]: true }
  const issuer = new URL(url)
  const server = await oauth.processDiscoveryResponse(
    issuer,
    await oauth.discoveryRequest(issuer, { algorithm: 'oauth2', ...http }),
  )
  const client = { client_id: CLIENT.id }
  const secret = how.secret ?? CLIENT.secret
  const authenticate =
    how.authentication === 'client_secret_post' ? oauth.ClientSecretPost(secret) : oauth.ClientSecretBasic(secret)
  const state = oauth.generateRandomState()
  const verifier = oauth.generateRandomCodeVerifier()
  const challenge = await oauth.calculatePKCECodeChallenge(verifier)
  const resource: Parameters = how.resource === undefined ? {} : { resource: how.resource }
  return {
    supportsPkce: server.code_challenge_methods_supported?.includes('S256') === true,
    authorizationUrl(extra = {}) {
      const pkce: Parameters = how.pkce ? { code_challenge: challenge, code_challenge_method: 'S256' } : {}
      const standard = { client_id: CLIENT.id, redirect_uri: CALLBACKS.oauth4webapi, response_type: 'code', state }
      const target = new URL(server.authorization_endpoint!)
      target.search = `${new URLSearchParams({ ...standard, ...pkce, ...resource, ...extra })}`
      return target
    },
    async exchange(callback) {
      const parameters = oauth.validateAuthResponse(server, client, callback, state)
      const response = await oauth.authorizationCodeGrantRequest(
        server,
        client,
        authenticate,
        parameters,
        CALLBACKS.oauth4webapi,
        how.pkce ? verifier : oauth.nopkce,
        { additionalParameters: resource, ...http },
      )
      return oauth.processAuthorizationCodeResponse(server, client, response)
    },
    async refresh(token, extra = {}) {
      const options = { additionalParameters: extra, ...http }
      const response = await oauth.refreshTokenGrantRequest(server, client, authenticate, token, options)
      return oauth.processRefreshTokenResponse(server, client, response)
    },
    call: (token, method, path, body) =>
      oauth.protectedResourceRequest(token, method, new URL(path, url), new Headers(JSON_HEADERS), body ?? null, http),
  }
}

async function openidClientApp({ url }: World, how: How): Promise<App> {
  const secret = how.secret ?? CLIENT.secret
  const authenticate =
    how.authentication === 'client_secret_post' ? openid.ClientSecretPost(secret) : openid.ClientSecretBasic(secret)
  const config = await openid.discovery(new URL(url), CLIENT.id, undefined, authenticate, {
    algorithm: 'oauth2',
    execute: [openid.allowInsecureRequests],
  })
  const state = openid.randomState()
  const verifier = openid.randomPKCECodeVerifier()
  const challenge = await openid.calculatePKCECodeChallenge(verifier)
  const resource: Parameters = how.resource === undefined ? {} : { resource: how.resource }
  return {
    supportsPkce: config.serverMetadata().supportsPKCE(),
    authorizationUrl(extra = {}) {
      const pkce: Parameters = how.pkce ? { code_challenge: challenge, code_challenge_method: 'S256' } : {}
      const standard = { redirect_uri: CALLBACKS['openid-client'], state }
      return openid.buildAuthorizationUrl(config, { ...standard, ...pkce, ...resource, ...extra })
    },
    exchange(callback) {
      const checks = { expectedState: state, ...(how.pkce ? { pkceCodeVerifier: verifier } : {}) }
      return openid.authorizationCodeGrant(config, callback, checks, resource)
    },
    refresh: (token, extra = {}) => openid.refreshTokenGrant(config, token, extra),
    call: (token, method, path, body) =>
      openid.fetchProtectedResource(config, token, new URL(path, url), method, body ?? null, new Headers(JSON_HEADERS)),
  }
}

/** A world that knows the client, and alice in her browser, signed in. */
async function start(t: ExecutionContext): Promise<{ world: World; alice: Visitor }> {
  const world = await startWorld(t)
  await world.ledger.transact(SYSTEM, (state) =>
    registerClient(state, {
      client: CLIENT.id,
      name: 'Outside',
      secret: digest(CLIENT.secret),
      redirects: Object.values(CALLBACKS),
      grantTypes: ['authorization_code', 'refresh_token'],
    }),
  )
  const alice = new Visitor(world.url)
  await alice.signUp(person('alice'))
  await world.news()
  return { world, alice }
}

/** What alice's browser does with the app's link: consent, and where it is sent then. */
async function walk(alice: Visitor, link: URL, decision = 'allow'): Promise<URL> {
  const page = await alice.get(link.href)
  const answer = page.status === 303 ? page : await alice.submit(page, 'decision', { decision })
  return new URL(answer.headers.get('location')!)
}

/** The callback with its query changed, as an attacker or an accident would. */
function changed(callback: URL, change: (query: URLSearchParams) => void): URL {
  const url = new URL(callback)
  change(url.searchParams)
  return url
}

const wholeFlow = ['ConsentRequested', 'ConsentGranted', 'CodeIssued', 'TokenIssued']
const apps = { oauth4webapi: oauth4webapiApp, 'openid-client': openidClientApp }
const plain: How = { authentication: 'client_secret_post', pkce: true }

for (const [library, connect] of Object.entries(apps)) {
  for (const authentication of ['client_secret_post', 'client_secret_basic'] as const)
    for (const pkce of [true, false]) {
      const how = `${authentication}, ${pkce ? 'PKCE S256' : 'no PKCE'}`
      test(`${library}: discovery, consent, exchange, call, refresh (${how})`, async (t) => {
        const { world, alice } = await start(t)
        const app = await connect(world, { authentication, pkce })
        t.true(app.supportsPkce)
        const callback = await walk(alice, app.authorizationUrl())
        const registered = CALLBACKS[library as keyof typeof CALLBACKS]
        t.is(callback.href.slice(0, registered.length), registered, 'its own query is kept as it is')
        const tokens = await app.exchange(callback)
        t.is(tokens.scope, 'todos:read todos:write')
        t.deepEqual(await world.news(), wholeFlow)
        const added = await app.call(tokens.access_token, 'POST', '/todos/me', JSON.stringify({ todo: 'buy milk' }))
        t.is(added.status, 200)
        const refreshed = await app.refresh(tokens.refresh_token!)
        t.deepEqual(await world.news(), ['TodoAdded', 'TokenRefreshed'])
        t.not(refreshed.access_token, tokens.access_token)
        t.not(refreshed.refresh_token, tokens.refresh_token)
        const list = await app.call(refreshed.access_token, 'GET', '/todos/alice')
        t.deepEqual(await list.json(), { todos: ['buy milk'] })
        t.deepEqual(await world.news(), [])
      })
    }

  test(`${library}: a narrower scope is asked for and told`, async (t) => {
    const { world, alice } = await start(t)
    const app = await connect(world, plain)
    const tokens = await app.exchange(await walk(alice, app.authorizationUrl({ scope: 'todos:read' })))
    t.is(tokens.scope, 'todos:read')
    const refused = await t.throwsAsync(app.refresh(tokens.refresh_token!, { scope: 'todos:read todos:write' }))
    t.like(refused, { error: 'invalid_scope', status: 400 })
    t.deepEqual(await world.news(), wholeFlow)
    t.is((await app.refresh(tokens.refresh_token!)).scope, 'todos:read')
  })

  test(`${library}: a resource (RFC 8707) on both endpoints gives a token for it`, async (t) => {
    const { world, alice } = await start(t)
    const app = await connect(world, { ...plain, resource: world.url })
    const tokens = await app.exchange(await walk(alice, app.authorizationUrl()))
    t.is((await app.call(tokens.access_token, 'GET', '/todos/me')).status, 200)
    t.deepEqual(await world.news(), wholeFlow)
  })

  test(`${library}: an authorization that fails is an OAuth error to it, bound to its state and this issuer`, async (t) => {
    const { world, alice } = await start(t)
    const cases = [
      { error: 'access_denied', extra: {}, events: ['ConsentRequested', 'ConsentDenied'] },
      { error: 'invalid_scope', extra: { scope: 'everything' }, events: [] },
      { error: 'unsupported_response_type', extra: { response_type: 'token' }, events: [] },
      { error: 'invalid_request', extra: { code_challenge_method: 'plain' }, events: [] },
      { error: 'invalid_target', extra: { resource: 'https://elsewhere.example' }, events: [] },
    ]
    for (const { error, extra, events } of cases) {
      const app = await connect(world, plain)
      const callback = await walk(alice, app.authorizationUrl(extra as Parameters), 'deny')
      const refused = await t.throwsAsync(app.exchange(callback), undefined, error)
      t.like(refused, { code: 'OAUTH_AUTHORIZATION_RESPONSE_ERROR', error })
      t.deepEqual(await world.news(), events)
    }
  })

  test(`${library}: a callback without state or issuer, or with another's, is not believed`, async (t) => {
    const { world, alice } = await start(t)
    const app = await connect(world, plain)
    const callback = await walk(alice, app.authorizationUrl())
    for (const [name, forge] of Object.entries({
      'no state': (query: URLSearchParams) => query.delete('state'),
      'another state': (query: URLSearchParams) => query.set('state', 'other'),
      'no issuer': (query: URLSearchParams) => query.delete('iss'),
      'another issuer': (query: URLSearchParams) => query.set('iss', 'https://attacker.example'),
      'two issuers': (query: URLSearchParams) => query.append('iss', 'https://attacker.example'),
    })) {
      const error = await t.throwsAsync(app.exchange(changed(callback, forge)), undefined, name)
      t.like(error, { code: 'OAUTH_INVALID_RESPONSE' }, name)
    }
    t.deepEqual(await world.news(), wholeFlow.slice(0, 3))
    t.truthy((await app.exchange(callback)).access_token)
  })

  test(`${library}: what is wrong with a grant is invalid_grant to it`, async (t) => {
    const { world, alice } = await start(t)
    const app = await connect(world, plain)
    const callback = await walk(alice, app.authorizationUrl())
    const invalidGrant = { code: 'OAUTH_RESPONSE_BODY_ERROR', error: 'invalid_grant', status: 400 }
    const unknown = await t.throwsAsync(app.exchange(changed(callback, (query) => query.set('code', 'dbc_unknown'))))
    t.like(unknown, invalidGrant)
    const other = await connect(world, plain)
    const stolen = changed(callback, (query) => query.set('state', other.authorizationUrl().searchParams.get('state')!))
    t.like(await t.throwsAsync(other.exchange(stolen)), invalidGrant, 'a code injected into another session')
    t.deepEqual(await world.news(), wholeFlow.slice(0, 3))

    const tokens = await app.exchange(callback)
    t.like(await t.throwsAsync(app.refresh(tokens.access_token)), invalidGrant, 'an access token as refresh token')
    t.is((await app.call(tokens.access_token, 'GET', '/todos/me')).status, 200)
    t.like(await t.throwsAsync(app.exchange(callback)), invalidGrant, 'the code again')
    t.like(await t.throwsAsync(app.refresh(tokens.refresh_token!)), invalidGrant, 'what the code had given')
    t.deepEqual(await world.news(), ['TokenIssued', 'CodeReplayed'])
  })

  for (const authentication of ['client_secret_post', 'client_secret_basic'] as const)
    test(`${library}: a wrong secret is a challenge to it, and the code survives (${authentication})`, async (t) => {
      const { world, alice } = await start(t)
      const app = await connect(world, { authentication, pkce: false })
      const callback = await walk(alice, app.authorizationUrl())
      const impostor = await connect(world, { authentication, pkce: false, secret: 'something else' })
      const state = impostor.authorizationUrl().searchParams.get('state')!
      const error = await t.throwsAsync(impostor.exchange(changed(callback, (query) => query.set('state', state))))
      t.like(error, {
        code: 'OAUTH_WWW_AUTHENTICATE_CHALLENGE',
        status: 401,
        cause: [{ scheme: 'basic', parameters: { realm: 'Daybook' } }],
      })
      t.deepEqual(await world.news(), wholeFlow.slice(0, 3))
      t.truthy((await app.exchange(callback)).access_token)
    })

  test(`${library}: a refused access token is a Bearer challenge that leads to this server's documents`, async (t) => {
    const { world, alice } = await start(t)
    const app = await connect(world, plain)
    const tokens = await app.exchange(await walk(alice, app.authorizationUrl({ scope: 'todos:read' })))
    const metadata = `${world.url}/.well-known/oauth-protected-resource`
    const challenge = async (call: Promise<Response>, status: number, error: string): Promise<void> => {
      const parameters = { error, resource_metadata: metadata }
      t.like(await t.throwsAsync(call), {
        code: 'OAUTH_WWW_AUTHENTICATE_CHALLENGE',
        status,
        cause: [{ scheme: 'bearer', parameters }],
      })
    }
    await challenge(app.call('dba_unknown', 'GET', '/todos/me'), 401, 'invalid_token')
    await challenge(app.call(tokens.access_token, 'POST', '/todos/me', '{"todo":"x"}'), 403, 'insufficient_scope')
    world.clock.pass(3_600_000)
    await challenge(app.call(tokens.access_token, 'GET', '/todos/me'), 401, 'invalid_token')
    t.deepEqual(await world.news(), wholeFlow)
  })
}

test('oauth4webapi: the protected resource names this server as the one to ask (RFC 9728)', async (t) => {
  const { url } = await startWorld(t)
  const response = await oauth.resourceDiscoveryRequest(new URL(url), { [oauth.allowInsecureRequests]: true })
  const resource = await oauth.processResourceDiscoveryResponse(new URL(url), response)
  t.deepEqual(resource.authorization_servers, [url])
  t.deepEqual(resource.bearer_methods_supported, ['header'])
})
