/** C. Token: the exchange of a code (RFC 6749 §4.1.3), as the numbered cases say. */
import { createHash } from 'node:crypto'
import test, { type ExecutionContext } from 'ava'
import { registerClient } from '../../src/domain/clients.ts'
import { digest } from '../../src/service/secrets.ts'
import {
  CALLBACK,
  CHATGPT_ID,
  CHATGPT_SECRET,
  ClientSide,
  OTHER,
  person,
  SYSTEM,
  startWorld,
  Visitor,
} from '../_support.ts'
import { type Answered, type Lines, send } from './_elsewhere.ts'

/** All that is wrong with a grant looks the same from outside. */
let invalidGrant: string | undefined

/** A world in which alice is signed in; codes of hers for ChatGPT; and a look at refusals. */
async function begin(t: ExecutionContext) {
  const world = await startWorld(t)
  const chatgpt = new ClientSide(world.url)
  const visitor = new Visitor(world.url)
  await visitor.signUp(person('alice'))
  const code = async (changed = {}, client = chatgpt): Promise<string> => {
    const given = await client.codeFor(visitor, changed)
    await world.news()
    return given
  }
  /** T(error), or T401: the bare word, never cached, and nothing recorded. */
  const refused = async (
    { status, headers, text, json }: Answered,
    error: string,
    because: string,
    wanted = error === 'invalid_client' ? 401 : 400,
  ) => {
    t.is(status, wanted, because)
    t.deepEqual(Object.keys(json), ['error', 'error_description'], because)
    t.is(json.error, error, because)
    if (error === 'invalid_grant') {
      invalidGrant ??= text
      t.is(text, invalidGrant, because)
    }
    // RFC 6749 §5.2: the characters that a description may have.
    t.regex(json.error_description, /^[\x20\x21\x23-\x5b\x5d-\x7e]+$/, because)
    t.is(headers.get('content-type'), 'application/json; charset=utf-8', because)
    t.is(headers.get('cache-control'), 'no-store', because)
    t.is(headers.get('pragma'), 'no-cache', because)
    t.is(headers.get('www-authenticate'), status === 401 ? 'Basic realm="Daybook", charset="UTF-8"' : null, because)
    t.deepEqual(await world.news(), [], because)
  }
  /** The code is as good as it was: it gives a token, and the token works. */
  const stillGood = async (code: string, changed = {}, client = chatgpt) => {
    const answer = await client.exchange(code, changed)
    t.is(answer.status, 200, answer.text)
    t.deepEqual(await world.news(), ['TokenIssued'])
    t.is((await client.api(answer.json.access_token, 'GET', '/todos/me')).status, 200)
    return answer.json
  }
  const raw = (body: string | Buffer, headers: Lines, query = '') =>
    send(world.url, 'POST', `/auth/oauth_exchange${query}`, body, headers)
  return { ...world, chatgpt, visitor, code, refused, stillGood, raw }
}

const JSON_TYPE = { 'content-type': 'application/json' }
const FORM_TYPE = { 'content-type': 'application/x-www-form-urlencoded' }
const asForm = (body: object): string => `${new URLSearchParams({ ...body })}`
const parametersFor = (code: string) => ({
  grant_type: 'authorization_code',
  client_id: CHATGPT_ID,
  client_secret: CHATGPT_SECRET,
  code,
  redirect_uri: CALLBACK,
})

/** RFC 6749 §2.3.1: each part form-encoded, then Basic. */
const formEncoded = (text: string): string => `${new URLSearchParams([['', text]])}`.slice(1)
const plainBasic = (credentials: string) => ({ authorization: `Basic ${Buffer.from(credentials).toString('base64')}` })
const basic = (id: string, secret: string) => plainBasic(`${formEncoded(id)}:${formEncoded(secret)}`)
const withoutCredentials = { client_id: undefined, client_secret: undefined }

test('26. a JSON exchange gives a pair of tokens, recorded once', async (t) => {
  const { chatgpt, code, news, events } = await begin(t)
  const { status, json, headers } = await chatgpt.exchange(await code())
  t.is(status, 200)
  t.deepEqual(Object.keys(json), ['access_token', 'token_type', 'expires_in', 'refresh_token', 'scope'])
  t.regex(json.access_token, /^dba_[\w-]{43}$/)
  t.regex(json.refresh_token, /^dbr_[0-7][\dA-HJKMNP-TV-Z]{25}[\w-]{56}$/)
  t.like(json, { token_type: 'bearer', expires_in: 3600, scope: 'todos:read todos:write' })
  t.is(headers.get('content-type'), 'application/json; charset=utf-8')
  t.is(headers.get('cache-control'), 'no-store')
  t.is(headers.get('pragma'), 'no-cache')
  t.deepEqual(await news(), ['TokenIssued'])
  const event = (await events()).at(-1)!
  t.like(event, { actor: { kind: 'client', id: 'chatgpt' }, via: { client: 'chatgpt' } })
  t.is(event.via.request, headers.get('x-request-id')!)
  t.like(event.data, { access: digest(json.access_token), refresh: digest(json.refresh_token) })
  t.is((await chatgpt.api(json.access_token, 'GET', '/todos/me')).status, 200)
})

test('27. as a form, with a charset, in other letters, or with a Basic header, the exchange is the same', async (t) => {
  const { chatgpt, code, news, raw } = await begin(t)
  const whole = async () => parametersFor(await code())
  const bare = async () => ({ grant_type: 'authorization_code', code: await code(), redirect_uri: CALLBACK })
  const header = basic(CHATGPT_ID, CHATGPT_SECRET)
  const lower = { authorization: header.authorization.replace('Basic', 'bAsIC') }
  const type = (value: string) => ({ 'content-type': value })
  const ways: [string, string, Lines][] = [
    ['form', asForm(await whole()), FORM_TYPE],
    ['form, charset', asForm(await whole()), type('application/x-www-form-urlencoded; charset=UTF-8')],
    ['JSON, charset', JSON.stringify(await whole()), type('application/json;charset="utf-8"')],
    ['JSON, other letters', JSON.stringify(await whole()), type('Application/JSON')],
    ['unknown parameters', JSON.stringify({ ...(await whole()), constructor: 'x', audience: 'y' }), JSON_TYPE],
    ['Basic, form', asForm(await bare()), { ...FORM_TYPE, ...header }],
    ['Basic, JSON', JSON.stringify(await bare()), { ...JSON_TYPE, ...header }],
    ['basic, form', asForm(await bare()), { ...FORM_TYPE, ...lower }],
    ['Basic and client_id', asForm({ ...(await bare()), client_id: CHATGPT_ID }), { ...FORM_TYPE, ...header }],
  ]
  for (const [way, body, headers] of ways) {
    const { status, json, text } = await raw(body, headers)
    t.is(status, 200, `${way}: ${text}`)
    t.deepEqual(Object.keys(json), ['access_token', 'token_type', 'expires_in', 'refresh_token', 'scope'], way)
    t.is((await chatgpt.api(json.access_token, 'GET', '/todos/me')).status, 200, way)
    t.deepEqual(await news(), ['TokenIssued'], way)
  }
})

test('27. id and secret in a Basic header are form-encoded (RFC 6749 §2.3.1)', async (t) => {
  const { url, ledger, code, refused, news } = await begin(t)
  const odd = { id: 'an odd:id+&%é', secret: 'per%cent:col on+plus&=ü', callback: 'https://odd.example/cb' }
  const client = new ClientSide(url, odd)
  const input = { client: odd.id, name: 'Odd', secret: digest(odd.secret), redirects: [odd.callback] }
  await ledger.transact(SYSTEM, (state) =>
    registerClient(state, { ...input, grantTypes: ['authorization_code', 'refresh_token'] }),
  )
  const given = await code({}, client)
  const exchange = (headers: object) =>
    client.token({ grant_type: 'authorization_code', code: given, redirect_uri: odd.callback }, 'form', headers)
  const wrong = {
    'not encoded': plainBasic(`${odd.id}:${odd.secret}`),
    'secret of another': basic(odd.id, OTHER.secret),
  }
  for (const [what, header] of Object.entries(wrong)) await refused(await exchange(header), 'invalid_client', what)
  t.is((await exchange(basic(odd.id, odd.secret))).status, 200)
  t.deepEqual(await news(), ['TokenIssued'])
})

test('27. a secret in a Basic header that was not form-encoded, as curl -u sends it, holds too', async (t) => {
  const { url, ledger, refused, news } = await begin(t)
  const secrets = ['a+b/c=d%', '%41+%zz', 'a%2Bb', '100%', 'plain', 'a:b:c', 'é ü']
  const body = { grant_type: 'refresh_token', refresh_token: 'unknown' }
  for (const [i, secret] of secrets.entries()) {
    const odd = { id: `odd ${i}`, secret, callback: 'https://odd.example/cb' }
    const input = { client: odd.id, name: 'Odd', secret: digest(secret), redirects: [odd.callback] }
    await ledger.transact(SYSTEM, (state) => registerClient(state, { ...input, grantTypes: ['refresh_token'] }))
    await news()
    const client = new ClientSide(url, odd)
    // Who is authenticated is told what is wrong with the token.
    for (const header of [basic(odd.id, secret), plainBasic(`${odd.id}:${secret}`)])
      for (const named of [{}, { client_id: odd.id }])
        t.is((await client.token({ ...body, ...named }, 'form', header)).json.error, 'invalid_grant', secret)
    for (const wrong of [`${secret}x`, secret.slice(1), encodeURIComponent(encodeURIComponent(`${secret}%`))])
      await refused(await client.token(body, 'form', plainBasic(`${odd.id}:${wrong}`)), 'invalid_client', wrong)
    const other = await client.token({ ...body, client_id: OTHER.id }, 'form', plainBasic(`${odd.id}:${secret}`))
    await refused(other, 'invalid_request', 'another id')
  }
})

test('28. broken JSON is told with where it breaks, and without what stands there', async (t) => {
  const { raw, refused, news } = await begin(t)
  await news()
  const answer = await raw('{"client_id":"a",\n"client_secret" "secret"}', JSON_TYPE)
  await refused(answer, 'invalid_request', 'broken')
  t.is(answer.json.error_description, 'The body is not JSON: it breaks at line 2, column 17.')
})

test('27. two ways of authenticating at once, or ids that differ: invalid_request (RFC 6749 §2.3)', async (t) => {
  const { chatgpt, code, refused, stillGood } = await begin(t)
  const given = await code()
  const header = basic(CHATGPT_ID, CHATGPT_SECRET)
  const both: { [what: string]: object } = {
    'both right': { client_id: CHATGPT_ID, client_secret: CHATGPT_SECRET },
    'the other one wrong': { client_id: CHATGPT_ID, client_secret: 'wrong' },
    'secret only': { client_secret: CHATGPT_SECRET },
    'another id': { client_id: OTHER.id },
  }
  const body = { ...parametersFor(given), ...withoutCredentials }
  for (const as of ['json', 'form'] as const)
    for (const [what, changed] of Object.entries(both))
      await refused(await chatgpt.token({ ...body, ...changed }, as, header), 'invalid_request', `${what}, ${as}`)
  await stillGood(given)
})

test('parameters without a value are as if they had been left out (RFC 6749 §3.2)', async (t) => {
  const { chatgpt, code, refused, news } = await begin(t)
  const header = basic(CHATGPT_ID, CHATGPT_SECRET)
  for (const as of ['json', 'form'] as const) {
    for (const empty of ['code_verifier', 'resource', 'scope', 'refresh_token', 'unknown'])
      t.is((await chatgpt.exchange(await code(), { [empty]: '' }, as)).status, 200, `${empty}, ${as}`)
    for (const empty of ['client_id', 'client_secret']) {
      const body = { ...parametersFor(await code()), ...withoutCredentials, [empty]: '' }
      t.is((await chatgpt.token(body, as, header)).status, 200, `${empty} with a Basic header, ${as}`)
    }
    await news()
    const given = await code()
    for (const [empty, error] of [
      ['code', 'invalid_request'],
      ['grant_type', 'invalid_request'],
      ['redirect_uri', 'invalid_grant'],
    ] as const)
      await refused(await chatgpt.exchange(given, { [empty]: '' }, as), error, `${empty}, ${as}`)
  }
})

test('28. a content type or body that cannot be read: invalid_request', async (t) => {
  const { code, refused, stillGood, raw } = await begin(t)
  const given = await code()
  const good = JSON.stringify(parametersFor(given))
  const form = asForm(parametersFor(given))
  const type = (value: string | string[]) => ({ 'content-type': value })
  const nested = (deep: number): string => `{"code":${'['.repeat(deep)}${']'.repeat(deep)}}`
  const table: [string, string | Buffer, Lines][] = [
    ['no content type', good, {}],
    ['text/plain', good, type('text/plain')],
    ['another JSON', good, type('application/vnd.api+json')],
    ['longer word', good, type('application/jsonx')],
    ['not a type', good, type('json')],
    ['multipart', form, type('multipart/form-data; boundary=x')],
    ['two in one line', good, type('application/json, application/json')],
    ['two lines', good, type(['application/json', 'application/json'])],
    ['two different lines', good, type(['application/json', 'application/x-www-form-urlencoded'])],
    ['utf-16', Buffer.from(good, 'utf16le'), type('application/json; charset=utf-16')],
    ['utf-16 unsaid', Buffer.from(good, 'utf16le'), JSON_TYPE],
    ['latin-1', good, type('application/json; charset=iso-8859-1')],
    ['utf-7 form', form, type('application/x-www-form-urlencoded; charset=utf-7')],
    ['compressed', good, { ...JSON_TYPE, 'content-encoding': 'gzip' }],
    ['empty', '', JSON_TYPE],
    ['broken', good.slice(0, -1), JSON_TYPE],
    ['two documents', good + good, JSON_TYPE],
    ['a form called JSON', form, JSON_TYPE],
    ['a type for a parameter', form, type('application/x-www-form-urlencoded;application/json')],
    ['a member twice', good.replace('{', '{"code":"other",'), JSON_TYPE],
    ['a member twice, once escaped', good.replace('{', '{"\\u0063ode":"other",'), JSON_TYPE],
    ['an array', `[${good}]`, JSON_TYPE],
    ['a string', JSON.stringify(good), JSON_TYPE],
    ['null', 'null', JSON_TYPE],
    ['nested', nested(100), JSON_TYPE],
    ['nested deeply', nested(30_000), JSON_TYPE],
    ['an array nested deeply', '['.repeat(60_000), JSON_TYPE],
    ['broken percent-encoding', `${form}&state=%zz`, FORM_TYPE],
    ['not UTF-8', `${form}&state=%ff`, FORM_TYPE],
    ['twice', `${form}&code=${given}`, FORM_TYPE],
    ['grant_type twice', `${form}&grant_type=authorization_code`, FORM_TYPE],
    ['an unknown one twice', `${form}&a=1&a=1`, FORM_TYPE],
    ['in brackets', form.replace('code=', 'code%5B%5D='), FORM_TYPE],
  ]
  for (const [what, body, headers] of table) await refused(await raw(body, headers), 'invalid_request', what)
  for (const headers of [JSON_TYPE, FORM_TYPE]) {
    const large = headers === FORM_TYPE ? `${form}&a=${'x'.repeat(200_000)}` : `{"a":"${'x'.repeat(200_000)}"}`
    await refused(await raw(large, headers), 'invalid_request', 'large', 413)
  }
  await stillGood(given)
})

test('29. a field that is no string, or __proto__: invalid_request', async (t) => {
  const { chatgpt, code, refused, stillGood, raw } = await begin(t)
  const given = await code()
  for (const field of [...Object.keys(parametersFor(given)), 'code_verifier', 'resource'])
    for (const value of [[given], ['a', 'b'], [], {}, { $ne: null }, 1, 0, null, true, false]) {
      const answer = await chatgpt.exchange(given, { [field]: value })
      await refused(answer, 'invalid_request', `${field} ${JSON.stringify(value)}`)
    }
  const rest = JSON.stringify(parametersFor(given)).slice(1)
  for (const value of ['"x"', `{"code":"${given}"}`, 'null', '{"client":{"id":"chatgpt"}}'])
    await refused(await raw(`{"__proto__":${value},${rest}`, JSON_TYPE), 'invalid_request', value)
  await refused(await raw(`${asForm(parametersFor(given))}&__proto__=x`, FORM_TYPE), 'invalid_request', 'form')
  await stillGood(given)
})

test('30. any method but POST: 405; credentials in the query are not accepted', async (t) => {
  const { url, code, refused, stillGood, news, raw } = await begin(t)
  const given = await code()
  const query = `?${asForm(parametersFor(given))}`
  for (const method of ['GET', 'HEAD', 'PUT', 'PATCH', 'DELETE']) {
    const { status, headers } = await fetch(`${url}/auth/oauth_exchange${query}`, { method })
    t.is(status, 405, method)
    t.is(headers.get('allow'), 'POST', method)
    t.is(headers.get('cache-control'), 'no-store', method)
    t.deepEqual(await news(), [], method)
  }
  const bare = { grant_type: 'authorization_code', code: given, redirect_uri: CALLBACK }
  await refused(await raw('{}', JSON_TYPE, query), 'invalid_client', 'all, JSON')
  await refused(await raw('a=b', FORM_TYPE, query), 'invalid_client', 'all, form')
  await refused(await raw(JSON.stringify(bare), JSON_TYPE, query), 'invalid_client', 'id and secret')
  await refused(await raw('', {}, query), 'invalid_request', 'no body')
  await stillGood(given)
})

test('31, 33. wrong, empty, prefix or no secret, or an unknown client: the same 401; the code is not burnt', async (t) => {
  const { chatgpt, code, refused, stillGood } = await begin(t)
  const given = await code()
  const { id } = chatgpt
  const secret = chatgpt.secret!
  const altered = [secret.slice(0, -1), `${secret}0`, `${secret} `, secret.toUpperCase(), digest(secret)]
  const secrets = ['wrong', '', undefined, ...altered, OTHER.secret, given, id, 'x'.repeat(10_000)]
  // "chatgpt" is Daybook's own name for the client, not its client_id.
  const ids = ['nobody', 'chatgpt', id.toUpperCase(), `${id} `, '', undefined, OTHER.id, '__proto__', 'constructor']
  const pairs = [...secrets.map((wrong) => [id, wrong]), ...ids.map((wrong) => [wrong, secret]), [secret, id], []]
  const uncredited = { ...parametersFor(given), ...withoutCredentials }
  const bodies = new Set<string>()
  for (const [client_id, client_secret] of pairs) {
    const what = `${client_id}, ${client_secret?.slice(0, 99)}`
    const ways = [
      await chatgpt.exchange(given, { client_id, client_secret }),
      await chatgpt.exchange(given, { client_id, client_secret }, 'form'),
      await chatgpt.token(uncredited, 'form', basic(client_id ?? '', client_secret ?? '')),
    ]
    for (const answer of ways) {
      await refused(answer, 'invalid_client', what)
      bodies.add(answer.text)
    }
  }
  t.is(bodies.size, 1)
  await stillGood(given)
})

test('31. an Authorization header of another scheme, or one that cannot be read: 401', async (t) => {
  const { chatgpt, code, refused, stillGood } = await begin(t)
  const { access_token } = await stillGood(await code())
  const given = await code()
  const encoded = basic(CHATGPT_ID, CHATGPT_SECRET).authorization.slice('Basic '.length)
  const headers = [
    `Bearer ${access_token}`,
    `Bearer ${encoded}`,
    `Digest username="${CHATGPT_ID}"`,
    encoded,
    'Basic',
    `Basic${encoded}`,
    'Basic ***',
    `Basic ${encoded} ${encoded}`,
    `Basic ${CHATGPT_ID}:${CHATGPT_SECRET}`,
    plainBasic(CHATGPT_ID).authorization,
    plainBasic(`${CHATGPT_ID}:%zz`).authorization,
    plainBasic(`${CHATGPT_ID}:%ff`).authorization,
  ]
  for (const authorization of headers)
    for (const changed of [{}, withoutCredentials]) {
      const answer = await chatgpt.token({ ...parametersFor(given), ...changed }, 'json', { authorization })
      await refused(answer, 'invalid_client', authorization)
    }
  await stillGood(given)
})

test('34. grant_type absent: invalid_request; unknown: unsupported_grant_type', async (t) => {
  const { chatgpt, code, refused, stillGood } = await begin(t)
  const given = await code()
  await refused(await chatgpt.exchange(given, { grant_type: undefined }), 'invalid_request', 'absent')
  const unknown = 'password client_credentials implicit AUTHORIZATION_CODE code __proto__ toString urn:x'.split(' ')
  for (const grant_type of [...unknown, 'authorization_code '])
    await refused(await chatgpt.exchange(given, { grant_type }), 'unsupported_grant_type', grant_type)
  await stillGood(given)
})

test("34. a grant type that is not this client's: unauthorized_client", async (t) => {
  const { url, ledger, code, refused, stillGood, chatgpt } = await begin(t)
  const shared = { name: 'Half', redirects: [CALLBACK] }
  const halves = [
    { client: 'codes-only', secret: 'a secret of codes only', grantTypes: ['authorization_code'] },
    { client: 'refresh-only', secret: 'a secret of refresh only', grantTypes: ['refresh_token'] },
  ] as const
  for (const half of halves)
    await ledger.transact(SYSTEM, (state) => registerClient(state, { ...shared, ...half, secret: digest(half.secret) }))
  const [codesOnly, refreshOnly] = halves.map(
    (half) => new ClientSide(url, { ...half, id: half.client, callback: CALLBACK }),
  )
  const given = await code({}, codesOnly)
  const tokens = await stillGood(given, {}, codesOnly)
  t.deepEqual(Object.keys(tokens), ['access_token', 'token_type', 'expires_in', 'scope'], 'no refresh token')
  const ofChatGpt = await stillGood(await code())
  await refused(await codesOnly!.refresh(ofChatGpt.refresh_token), 'unauthorized_client', 'refresh')
  const another = await code()
  await refused(await refreshOnly!.exchange(another), 'unauthorized_client', 'code')
  t.is((await chatgpt.refresh(ofChatGpt.refresh_token)).status, 200)
})

test('35. a code that is unknown, altered or expired: invalid_grant', async (t) => {
  const { chatgpt, code, refused, stillGood, clock } = await begin(t)
  const given = await code()
  await refused(await chatgpt.exchange(given, { code: undefined }), 'invalid_request', 'absent')
  const altered = [given.slice(0, -1), given.slice(4), `${given}0`, `${given} `, `${given}\0`, given.toUpperCase()]
  for (const wrong of [...altered, 'x', 'x'.repeat(20_000), digest(given), '__proto__'])
    for (const as of ['json', 'form'] as const)
      await refused(await chatgpt.exchange(given, { code: wrong }, as), 'invalid_grant', `${wrong.slice(0, 99)}, ${as}`)
  clock.pass(59_999)
  const late = await code()
  await stillGood(given)
  clock.pass(60_000)
  await refused(await chatgpt.exchange(late), 'invalid_grant', 'expired')
  await stillGood(await code())
})

test("36. C's code by D: invalid_grant; C can still redeem it, and D cannot replay it either", async (t) => {
  const { url, chatgpt, code, refused, stillGood } = await begin(t)
  const other = new ClientSide(url, OTHER)
  const given = await code()
  const tries = { 'its own callback': {}, "C's callback": { redirect_uri: CALLBACK } }
  for (const [what, changed] of Object.entries(tries))
    await refused(await other.exchange(given, changed), 'invalid_grant', what)
  const tokens = await stillGood(given)
  await refused(await other.exchange(given, { redirect_uri: CALLBACK }), 'invalid_grant', 'redeemed')
  t.is((await chatgpt.api(tokens.access_token, 'GET', '/todos/me')).status, 200)
  t.is((await chatgpt.refresh(tokens.refresh_token)).status, 200)
})

test('37. a redirect_uri that is absent or different: invalid_grant, and the code is not consumed', async (t) => {
  const { chatgpt, code, refused, stillGood } = await begin(t)
  const given = await code()
  const suffixed = ['/', '?a=1', '#a', ' ', '%20'].map((suffix) => CALLBACK + suffix)
  const spelled = [CALLBACK.replace('chat.', 'CHAT.'), CALLBACK.replace('.com', '.com:443'), CALLBACK.slice(0, -1)]
  const different = [undefined, '', OTHER.callback, '__proto__', ...suffixed, ...spelled]
  for (const redirect_uri of different)
    for (const as of ['json', 'form'] as const)
      await refused(await chatgpt.exchange(given, { redirect_uri }, as), 'invalid_grant', `${redirect_uri}, ${as}`)
  await stillGood(given)
})

test('38. a verifier that is absent, wrong or malformed, or that nobody asked for: invalid_grant (RFC 7636 §4.6)', async (t) => {
  const { chatgpt, code, refused, stillGood } = await begin(t)
  const challengeOf = (verifier: string): string => createHash('sha256').update(verifier).digest('base64url')
  for (const verifier of ['dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk', 'aZ9~._-0'.repeat(16)]) {
    const challenge = challengeOf(verifier)
    const bound = await code({ code_challenge: challenge, code_challenge_method: 'S256' })
    const altered = [verifier.slice(0, 42), `${verifier.slice(0, -1)}x`, verifier.toUpperCase(), `${verifier}=`]
    const wrong = [undefined, '', challenge, `${verifier} `, ...altered]
    for (const code_verifier of wrong)
      await refused(await chatgpt.exchange(bound, { code_verifier }), 'invalid_grant', String(code_verifier))
    await stillGood(bound, { code_verifier: verifier })
  }
  // What is no verifier by RFC 7636 §4.1 opens nothing, even where its hash is the challenge.
  for (const malformed of ['x'.repeat(42), 'x'.repeat(129), `${'x'.repeat(43)}=`, `${'x'.repeat(43)}é`]) {
    const bound = await code({ code_challenge: challengeOf(malformed), code_challenge_method: 'S256' })
    await refused(await chatgpt.exchange(bound, { code_verifier: malformed }), 'invalid_grant', malformed)
  }
  const unbound = await code()
  for (const code_verifier of ['x'.repeat(43), 'null', 'malformed', '__proto__'])
    await refused(await chatgpt.exchange(unbound, { code_verifier }), 'invalid_grant', code_verifier)
  await stillGood(unbound)
})

test('38. a resource that is not the one of the code: invalid_target, the code not consumed (RFC 8707 §2.2)', async (t) => {
  const { url, chatgpt, code, refused, stillGood } = await begin(t)
  const bound = await code({ resource: url })
  for (const resource of ['https://elsewhere.example', `${url}/mcp`, url.toUpperCase(), 'x'])
    await refused(await chatgpt.exchange(bound, { resource }), 'invalid_target', resource)
  await stillGood(bound, { resource: url })
  await stillGood(await code({ resource: url }))
})
