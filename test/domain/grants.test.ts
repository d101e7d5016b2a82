/** Grants: what a code gives, once, and how refresh tokens follow one another. */
import test from 'ava'
import { authenticate } from '../../src/domain/bearers.ts'
import type { Event } from '../../src/domain/domain.ts'
import { type Redeem, redeemCode } from '../../src/domain/grants.ts'
import {
  BY_OPERATOR,
  CALLBACK,
  chatgpt,
  codeIssued,
  DAY,
  History,
  HOUR,
  keysOf,
  MINUTE,
  NOON,
  registered,
  SECOND,
  tokenIssued,
} from './_history.ts'

const CHALLENGE = 'E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM'
const RESOURCE = 'https://todo.example.org'

const start = (): History => new History().given(registered('alice'), registered('bob'), ...chatgpt)

/** The redemption of code `c1` as ChatGPT sends it. */
const REDEEM: Redeem = {
  code: 'c1',
  client: 'chatgpt',
  redirectUri: CALLBACK,
  challenge: null,
  resource: undefined,
  access: 'a1',
  refresh: 'r1',
  accessTtlMs: HOUR,
  refreshIdleTtlMs: 30 * DAY,
  refreshMaxTtlMs: 90 * DAY,
}
const IDS = { grant: 'grant-c1', user: 'alice', client: 'chatgpt' }

const given = (history: History, access: string): boolean =>
  typeof authenticate(history.state, access, [], history.now) === 'object'

test('26. a code gives a pair of tokens for what was asked, and the grant its last day', (t) => {
  const history = start().given(codeIssued('alice', 'c1', { scope: 'todos:read' }))
  history.now += 59 * SECOND
  const { now } = history
  t.deepEqual(history.when(redeemCode(history.state, REDEEM, now)), {
    facts: [
      {
        type: 'TokenIssued',
        data: {
          code: 'c1',
          ...IDS,
          resource: null,
          grantExpiresAt: now + 90 * DAY,
          replaces: null,
          access: 'a1',
          accessExpiresAt: now + HOUR,
          refresh: 'r1',
          refreshExpiresAt: now + 30 * DAY,
          scope: 'todos:read',
        },
      },
    ],
    result: { scope: 'todos:read', accessExpiresAt: now + HOUR, now },
    keeps: {},
  })
  t.deepEqual(authenticate(history.state, 'a1', [], now), {
    user: history.state.users.get('alice'),
    access: 'a1',
    client: 'chatgpt',
    scope: 'todos:read',
  } as ReturnType<typeof authenticate>)
})

const refused: [string, Partial<Redeem>, string][] = [
  ['35. an unknown code', { code: 'c2' }, 'code_unknown'],
  ['35. a truncated code', { code: 'c' }, 'code_unknown'],
  ['35. an empty code', { code: '' }, 'code_unknown'],
  ['35. a code like a member of every object', { code: '__proto__' }, 'code_unknown'],
  ['36. another client’s code', { client: 'other' }, 'client_mismatch'],
  ['37. no redirect_uri', { redirectUri: '' }, 'redirect_mismatch'],
  ['37. another redirect_uri', { redirectUri: `${CALLBACK}/` }, 'redirect_mismatch'],
  ['38. a verifier where no challenge was bound', { challenge: CHALLENGE }, 'verifier_mismatch'],
  ['38. a malformed verifier where no challenge was bound', { challenge: 'malformed' }, 'verifier_mismatch'],
  ['12. a resource where none was bound', { resource: RESOURCE }, 'resource_mismatch'],
]
for (const [name, wrong, refusal] of refused)
  test(`${name}: refused, and the code is not consumed`, (t) => {
    const history = start().given(codeIssued('alice', 'c1'))
    const decision = history.when(redeemCode(history.state, { ...REDEEM, ...wrong }, NOON))
    t.deepEqual(decision, { facts: [], refusal } as typeof decision)
    t.is(history.when(redeemCode(history.state, REDEEM, NOON)).refusal, undefined)
    t.true(given(history, 'a1'))
  })

test('38. with a challenge bound, only its own verifier: refused, and the code is not consumed', (t) => {
  const history = start().given(codeIssued('alice', 'c1', { challenge: CHALLENGE }))
  for (const challenge of [null, 'malformed', '', CHALLENGE.toLowerCase(), `${CHALLENGE}=`])
    t.is(redeemCode(history.state, { ...REDEEM, challenge }, NOON).refusal, 'verifier_mismatch')
  t.is(redeemCode(history.state, { ...REDEEM, challenge: CHALLENGE }, NOON).refusal, undefined)
})

test('12. with a resource bound, the same one or none may be named', (t) => {
  const history = start().given(codeIssued('alice', 'c1', { resource: RESOURCE }))
  for (const resource of [`${RESOURCE}/`, 'https://other.example', ''])
    t.is(redeemCode(history.state, { ...REDEEM, resource }, NOON).refusal, 'resource_mismatch', resource)
  for (const resource of [undefined, RESOURCE])
    t.is(redeemCode(history.state, { ...REDEEM, resource }, NOON).refusal, undefined)
})

test('35. a code holds until its last millisecond and no longer', (t) => {
  const history = start().given(codeIssued('alice', 'c1'))
  for (const now of [NOON + MINUTE, NOON + HOUR, NOON + 3650 * DAY])
    t.deepEqual(redeemCode(history.state, REDEEM, now), { facts: [], refusal: 'code_expired' })
  t.is(redeemCode(history.state, REDEEM, NOON + MINUTE - 1).refusal, undefined)
})

test('39. a redeemed code shown again, at once or later, is refused, and what it had given dies', (t) => {
  for (const later of [0, 2 * MINUTE, DAY]) {
    const history = start().given(codeIssued('alice', 'c1'), codeIssued('alice', 'c2'), tokenIssued('alice', 'c2'))
    history.when(redeemCode(history.state, REDEEM, history.now))
    history.now += later
    // Wrong in every other way too: a replay is a replay.
    const again = { ...REDEEM, access: 'a2', refresh: 'r2', redirectUri: '', challenge: 'malformed' }
    t.deepEqual(history.when(redeemCode(history.state, again, history.now)), {
      facts: [{ type: 'CodeReplayed', data: { code: 'c1', ...IDS } }],
      refusal: 'code_replayed',
    })
    t.deepEqual(keysOf(history.state.tokens), ['access-c2', 'refresh-c2'])
    t.deepEqual(keysOf(history.state.grants), ['grant-c2'])
    t.deepEqual(history.when(redeemCode(history.state, again, history.now)), { facts: [], refusal: 'code_unknown' })
  }
})

test('39. a used code of a public app ends what it gave only when its verifier comes with it', (t) => {
  const app: Event = {
    type: 'ClientRegistered',
    data: {
      client: 'app',
      clientId: 'app',
      name: 'App',
      secret: null,
      secretFrom: 'none',
      grantTypes: ['authorization_code', 'refresh_token'],
      ...BY_OPERATOR,
    },
  }
  const history = start().given(app, codeIssued('alice', 'c1', { client: 'app', challenge: CHALLENGE }))
  const redeem = { ...REDEEM, client: 'app', challenge: CHALLENGE }
  t.is(history.when(redeemCode(history.state, redeem, NOON)).refusal, undefined)
  for (const challenge of [null, 'malformed', '', CHALLENGE.toLowerCase()])
    for (const now of [NOON, NOON + DAY])
      t.deepEqual(redeemCode(history.state, { ...redeem, challenge }, now), { facts: [], refusal: 'verifier_mismatch' })
  t.true(given(history, 'a1'))
  t.deepEqual(history.when(redeemCode(history.state, { ...redeem, redirectUri: '' }, NOON)), {
    facts: [{ type: 'CodeReplayed', data: { code: 'c1', ...IDS, client: 'app' } }],
    refusal: 'code_replayed',
  })
  t.false(given(history, 'a1'))
})

test('36, 39. a redeemed code shown by another client is refused, and hurts nobody', (t) => {
  const history = start().given(codeIssued('alice', 'c1'), tokenIssued('alice', 'c1'))
  const decision = history.when(redeemCode(history.state, { ...REDEEM, client: 'other' }, NOON))
  t.deepEqual(decision, { facts: [], refusal: 'client_mismatch' })
  t.true(given(history, 'access-c1'))
})

test('47. no token outlives the last day of its grant', (t) => {
  const history = start().given(codeIssued('alice', 'c1'))
  const short = { ...REDEEM, refreshMaxTtlMs: 10 * MINUTE }
  const { facts, result } = history.when(redeemCode(history.state, short, NOON)) as unknown as {
    facts: { data: { accessExpiresAt: number; refreshExpiresAt: number } }[]
    result: { accessExpiresAt: number }
  }
  const end = NOON + 10 * MINUTE
  const { accessExpiresAt, refreshExpiresAt } = facts[0]!.data
  t.deepEqual([accessExpiresAt, refreshExpiresAt, result.accessExpiresAt], [end, end, end])
})

test('a client that may not refresh is given no refresh token', (t) => {
  const history = start().given(codeIssued('alice', 'c1'))
  history.when(redeemCode(history.state, { ...REDEEM, refresh: null }, NOON))
  t.deepEqual(keysOf(history.state.tokens), ['a1'])
  t.true(given(history, 'a1'))
})

test('61. an access token speaks until its last millisecond, and nothing else speaks', (t) => {
  const { state } = start().given(codeIssued('alice', 'c1'), tokenIssued('alice', 'c1'))
  t.is(typeof authenticate(state, 'access-c1', [], NOON + HOUR - 1), 'object')
  for (const now of [NOON + HOUR, NOON + 3650 * DAY]) t.is(authenticate(state, 'access-c1', [], now), 'token_unknown')
  // 64. A refresh token, a code, a grant's name are no access token.
  for (const other of ['', 'access', 'ACCESS-c1', 'refresh-c1', 'c1', 'grant-c1', '__proto__'])
    t.is(authenticate(state, other, [], NOON), 'token_unknown', other)
})

test('65. a token bound to a resource is good for exactly that; an unbound one for this service, whatever its name', (t) => {
  const history = start().given(codeIssued('alice', 'c1', { resource: RESOURCE }), codeIssued('alice', 'c2'))
  history.given(tokenIssued('alice', 'c1', { resource: RESOURCE }), tokenIssued('alice', 'c2'))
  const speaks = (access: string, ...audiences: string[]): boolean =>
    typeof authenticate(history.state, access, audiences, NOON) === 'object'
  t.true(speaks('access-c1', RESOURCE, `${RESOURCE}/`))
  for (const audiences of [[], ['https://moved.example.org'], [`${RESOURCE}/`], [`${RESOURCE}/mcp`]]) {
    t.false(speaks('access-c1', ...audiences), audiences.join())
    t.true(speaks('access-c2', ...audiences), audiences.join())
  }
})

test('113. a sweep drops what has expired: an unused code, an access token, a whole grant', (t) => {
  const history = start().given(codeIssued('alice', 'c1'), codeIssued('alice', 'c2'), tokenIssued('alice', 'c2'))
  const rows = [
    [2 * MINUTE - 1, ['c1', 'c2'], ['access-c2', 'refresh-c2'], ['grant-c2']],
    [2 * MINUTE, ['c2'], ['access-c2', 'refresh-c2'], ['grant-c2']],
    [HOUR + MINUTE, ['c2'], ['refresh-c2'], ['grant-c2']],
    // A refresh token is known for what it is as long as its grant lasts.
    [30 * DAY + MINUTE, ['c2'], ['refresh-c2'], ['grant-c2']],
    [90 * DAY + MINUTE - 1, ['c2'], ['refresh-c2'], ['grant-c2']],
    [90 * DAY + MINUTE, [], [], []],
  ] as const
  const { codes, tokens, grants } = history.state
  for (const [after, ...kept] of rows) {
    history.sweep(NOON + after)
    t.deepEqual([keysOf(codes), keysOf(tokens), keysOf(grants)], kept as unknown as string[][], String(after))
  }
})

test('39. a redeemed code is remembered as long as what it gave', (t) => {
  const history = start().given(codeIssued('alice', 'c1'), tokenIssued('alice', 'c1'))
  history.sweep(NOON + 89 * DAY)
  const { refusal, facts } = redeemCode(history.state, REDEEM, NOON + 89 * DAY)
  t.deepEqual([refusal, facts[0]?.type], ['code_replayed', 'CodeReplayed'])
})

test('an app may have a hundred connections to one user; then its oldest gives way, and no yes is forgotten', (t) => {
  const history = start()
  const redeem = (i: number, user: string) => {
    history.now -= HOUR // The book knows which is the oldest, whatever the clock did.
    const code = `c${String(200 - i)}`
    history.given(codeIssued(user, code))
    const made = { ...REDEEM, code, access: `access-${code}`, refresh: `refresh-${code}` }
    return history.when(redeemCode(history.state, made, NOON))
  }
  t.like(redeem(101, 'bob').facts[0], { data: { replaces: null } })
  for (let i = 0; i < 100; i++) t.like(redeem(i, 'alice').facts[0], { data: { replaces: null } })
  const { facts } = redeem(100, 'alice')
  t.is(facts.length, 1)
  t.like(facts[0], { type: 'TokenIssued', data: { replaces: 'grant-c200' } })
  t.deepEqual([history.state.grants.countBy('user', 'alice'), history.state.grants.countBy('user', 'bob')], [100, 1])
  t.is(history.state.tokens.countBy('grant', 'grant-c200'), 0)
})

test('a code for a callback that is withdrawn is worth nothing; another callback’s is', (t) => {
  const history = start().given(
    codeIssued('alice', 'c1'),
    codeIssued('alice', 'c2', { redirectUri: 'https://a.example/' }),
  )
  history.given({ type: 'RedirectUriWithdrawn', data: { client: 'chatgpt', uri: 'https://a.example/' } })
  t.deepEqual(keysOf(history.state.codes), ['c1'])
})

test('another app’s connections are no reason to end one', (t) => {
  const history = start().given(
    codeIssued('alice', 'x', { client: 'other' }),
    tokenIssued('alice', 'x', { client: 'other' }),
  )
  for (let i = 0; i < 101; i++) {
    history.given(codeIssued('alice', `c${i}`))
    history.when(redeemCode(history.state, { ...REDEEM, code: `c${i}`, access: `a${i}`, refresh: `r${i}` }, NOON))
  }
  t.truthy(history.state.grants.get('grant-x'))
})

test('39. a code that was redeemed is known as such, also when its callback was withdrawn meanwhile', (t) => {
  const history = start().given(codeIssued('alice', 'c1'), tokenIssued('alice', 'c1'))
  history.given({ type: 'RedirectUriWithdrawn', data: { client: 'chatgpt', uri: CALLBACK } })
  t.is(redeemCode(history.state, { ...REDEEM, code: 'c1' }, NOON).refusal, 'code_replayed')
})
