/** D. Refresh: how refresh tokens follow one another, and how a stolen one shows. */
import test from 'ava'
import { authenticate, introspect } from '../../src/domain/bearers.ts'
import { evolve } from '../../src/domain/domain.ts'
import { type RefreshInput, refreshTokens, revokeToken } from '../../src/domain/grants.ts'
import type { Decision } from '../../src/domain/shape.ts'
import { revokeUser } from '../../src/domain/users.ts'
import {
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
  type Wanted,
} from './_history.ts'

const REFRESH: RefreshInput = {
  from: 'refresh-c1',
  client: 'chatgpt',
  scope: undefined,
  resource: undefined,
  access: 'a2',
  refresh: 'r2',
  accessTtlMs: HOUR,
  refreshIdleTtlMs: 30 * DAY,
}
const IDS = { grant: 'grant-c1', user: 'alice', client: 'chatgpt' }

/** alice has redeemed `c1` and, under another grant, `c2`. */
const start = (wanted: Wanted = {}): History =>
  new History().given(
    ...[registered('alice'), registered('bob'), ...chatgpt],
    ...[codeIssued('alice', 'c1', wanted), tokenIssued('alice', 'c1', wanted)],
    ...[codeIssued('alice', 'c2'), tokenIssued('alice', 'c2')],
  )

let made = 0
/** Refreshes `from` for tokens `aN` and `rN`; gives the new refresh token, or the reason why not. */
function refresh(history: History, from: string, changed: Partial<RefreshInput> = {}): string {
  const n = ++made
  const input = { ...REFRESH, access: `a${n}`, refresh: `r${n}`, ...changed, from }
  return history.when(refreshTokens(history.state, input, history.now)).refusal ?? `r${n}`
}
const accessOf = (refreshToken: string): string =>
  refreshToken.replace(/^r(efresh)?/, (_, long) => (long ? 'access' : 'a'))
const speaks = ({ state, now }: History, refreshToken: string): boolean =>
  typeof authenticate(state, accessOf(refreshToken), [], now) === 'object'
const last = ({ events }: History): { type: string; data: object } => {
  const { type, data } = events.at(-1)!
  return { type, data }
}

/** The family of `c1` is dead to the last token, the other one unhurt. */
const onlyOtherGrantLives = ({ state }: History): boolean =>
  keysOf(state.tokens).join() === 'access-c2,refresh-c2' && keysOf(state.grants).join() === 'grant-c2'

test('40. refreshing gives a new pair for the same grant, recorded', (t) => {
  const history = start()
  history.now += DAY
  const { now } = history
  t.deepEqual(history.when(refreshTokens(history.state, REFRESH, now)), {
    facts: [
      {
        type: 'TokenRefreshed',
        data: {
          from: 'refresh-c1',
          ...IDS,
          access: 'a2',
          accessExpiresAt: now + HOUR,
          refresh: 'r2',
          refreshExpiresAt: now + 30 * DAY,
          scope: 'todos:read todos:write',
        },
      },
    ],
    result: { scope: 'todos:read todos:write', accessExpiresAt: now + HOUR, now },
    keeps: {},
  })
  t.true(speaks(history, 'r2'))
})

test('40. the scope may be narrower, never wider; a narrower one does not narrow the grant', (t) => {
  const both = 'todos:read todos:write'
  const rows = [
    [both, undefined, both],
    [both, '', both],
    [both, 'todos:read', 'todos:read'],
    [both, 'todos:write todos:read todos:read', both],
    ['todos:read', 'todos:read', 'todos:read'],
    ['todos:read', undefined, 'todos:read'],
    ['todos:read', '', 'todos:read'],
    ['todos:read', 'todos:write', 'scope_invalid'],
    ['todos:read', both, 'scope_invalid'],
    [both, 'x', 'scope_invalid'],
    [both, ' ', 'scope_invalid'],
    [both, 'constructor', 'scope_invalid'],
  ] as const
  for (const [granted, scope, expected] of rows) {
    const history = start({ scope: granted })
    const decision = history.when(refreshTokens(history.state, { ...REFRESH, scope }, NOON)) as Decision<
      never,
      { scope: string }
    >
    t.is(decision.refusal ?? decision.result.scope, expected, `${scope} of ${granted}`)
    if (decision.refusal !== undefined) {
      t.deepEqual(decision.facts, [])
      t.regex(refresh(history, 'refresh-c1'), /^r\d/)
    } else {
      const bearer = authenticate(history.state, 'a2', [], NOON) as { scope: string }
      t.is(bearer.scope, expected)
      const next = { ...REFRESH, from: 'r2', access: 'a3', refresh: 'r3' }
      t.is((refreshTokens(history.state, next, NOON) as unknown as { result: { scope: string } }).result.scope, granted)
    }
  }
})

const refused: [string, Partial<RefreshInput>, string][] = [
  ['45. another client’s token', { client: 'other' }, 'client_mismatch'],
  ['45. an access token', { from: 'access-c1' }, 'refresh_unknown'],
  ['45. a code', { from: 'c1' }, 'refresh_unknown'],
  ['an unknown token', { from: 'refresh-c9' }, 'refresh_unknown'],
  ['an empty token', { from: '' }, 'refresh_unknown'],
  ['a token like a member of every object', { from: '__proto__' }, 'refresh_unknown'],
  ['12. a resource that was not granted', { resource: 'https://todo.example.org' }, 'resource_mismatch'],
]
for (const [name, wrong, refusal] of refused)
  test(`${name}: refused, nothing recorded, and the token still works`, (t) => {
    const history = start()
    const decision = history.when(refreshTokens(history.state, { ...REFRESH, ...wrong }, NOON))
    t.deepEqual(decision, { facts: [], refusal } as typeof decision)
    t.true(speaks(history, 'refresh-c1'))
    t.regex(refresh(history, 'refresh-c1'), /^r\d/)
  })

test('12. a bound resource may be named again, and no other', (t) => {
  const resource = 'https://todo.example.org'
  const history = start({ resource })
  t.is(refresh(history, 'refresh-c1', { resource: `${resource}/` }), 'resource_mismatch')
  t.regex(refresh(history, 'refresh-c1', { resource }), /^r\d/)
})

test('41. the same token again within 60 s gives a pair of its own, each time', (t) => {
  const history = start()
  const siblings = [0, 1, 30 * SECOND, 28_998, 1, 999].map((ms) => {
    history.now += ms
    return refresh(history, 'refresh-c1')
  })
  t.is(history.now, NOON + 59_999)
  for (const sibling of siblings) t.true(speaks(history, sibling), sibling)
  t.true(speaks(history, 'refresh-c1'))
})

test('41, 43. the first successor to be used becomes the lineage; the others are refused and do not hurt it', (t) => {
  const history = start()
  const [first, second, third] = [1, 2, 3].map(() => refresh(history, 'refresh-c1'))
  const lineage = refresh(history, second!)
  t.regex(lineage, /^r\d/)
  for (const sibling of [first!, third!]) {
    const before = history.events.length
    t.is(refresh(history, sibling), 'refresh_lost', 'the first time it is an event: somebody may have been robbed')
    t.like(history.events.at(-1), {
      type: 'TokenRefused',
      data: { refresh: sibling, grant: 'grant-c1', user: 'alice' },
    })
    t.is(refresh(history, sibling), 'refresh_unknown')
    t.is(history.events.length, before + 1, 'and once is enough')
  }
  for (const token of [first!, second!, third!, lineage]) t.true(speaks(history, token), token)
  const heir = refresh(history, lineage)
  t.regex(heir, /^r\d/)
  history.now += 10 * DAY
  t.regex(refresh(history, heir), /^r\d/)
})

test('41. a successor may itself be retried within the grace', (t) => {
  const history = start()
  const first = refresh(history, 'refresh-c1')
  const [a, b] = [refresh(history, first), refresh(history, first)]
  t.regex(refresh(history, b), /^r\d/)
  t.is(refresh(history, a), 'refresh_lost')
})

test('42. a token whose successor was used is a replay, at once: the whole family dies, the other one does not', (t) => {
  for (const later of [0, 59 * SECOND, DAY]) {
    const history = start()
    const successor = refresh(history, 'refresh-c1')
    const lineage = refresh(history, successor)
    history.now += later
    t.is(refresh(history, 'refresh-c1'), 'refresh_replayed')
    t.deepEqual(last(history), { type: 'TokenReplayed', data: { refresh: 'refresh-c1', ...IDS } })
    t.true(onlyOtherGrantLives(history))
    for (const token of ['refresh-c1', successor, lineage]) {
      t.is(refresh(history, token), 'refresh_unknown')
      t.false(speaks(history, token))
    }
    t.regex(refresh(history, 'refresh-c2'), /^r\d/)
  }
})

test('42. a token past its grace is a replay, also when no successor was used', (t) => {
  for (const past of [60 * SECOND, 60_001, DAY]) {
    const history = start()
    const successor = refresh(history, 'refresh-c1')
    history.now += past
    t.is(refresh(history, 'refresh-c1'), 'refresh_replayed')
    t.true(onlyOtherGrantLives(history))
    t.is(refresh(history, successor), 'refresh_unknown')
  }
})

test('42. the grace begins at the first use, not at the last', (t) => {
  const history = start()
  refresh(history, 'refresh-c1')
  history.now += 40 * SECOND
  t.regex(refresh(history, 'refresh-c1'), /^r\d/)
  history.now += 20 * SECOND
  t.is(refresh(history, 'refresh-c1'), 'refresh_replayed')
})

test('42. any ancestor shown again is a replay, not only the parent', (t) => {
  const history = start()
  const first = refresh(history, 'refresh-c1')
  const second = refresh(history, first)
  refresh(history, second)
  t.is(refresh(history, first), 'refresh_replayed')
  t.true(onlyOtherGrantLives(history))
})

test('45, 42. another client that shows a spent token is refused, and hurts nobody', (t) => {
  const history = start()
  const lineage = refresh(history, refresh(history, 'refresh-c1'))
  t.is(refresh(history, 'refresh-c1', { client: 'other' }), 'client_mismatch')
  t.true(speaks(history, lineage))
  t.regex(refresh(history, lineage), /^r\d/)
})

test('47. a refresh token unused too long, or a grant too old, gives nothing more', (t) => {
  const idle = start()
  t.is(refreshTokens(idle.state, REFRESH, NOON + 30 * DAY).refusal, 'refresh_expired')
  t.deepEqual(refreshTokens(idle.state, REFRESH, NOON + 30 * DAY).facts, [])
  t.is(refreshTokens(idle.state, REFRESH, NOON + 30 * DAY - 1).refusal, undefined)
  const old = start()
  let token = 'refresh-c1'
  for (let day = 25; day < 90; day += 25) {
    old.now = NOON + day * DAY
    token = refresh(old, token)
  }
  const { data } = last(old) as { data: { refreshExpiresAt: number } }
  t.is(data.refreshExpiresAt, NOON + 90 * DAY)
  const input = { ...REFRESH, from: token }
  t.is(refreshTokens(old.state, input, NOON + 90 * DAY - 1).refusal, undefined)
  t.is(refreshTokens(old.state, input, NOON + 90 * DAY).refusal, 'refresh_expired')
})

test('47. a revoked user’s tokens give nothing more, restored or not', (t) => {
  const history = start()
  history.when(revokeUser(history.state, 'alice'))
  t.is(refresh(history, 'refresh-c1'), 'refresh_unknown')
  history.given({ type: 'UserRestored', data: { user: 'alice' } })
  t.is(refresh(history, 'refresh-c1'), 'refresh_unknown')
  t.false(speaks(history, 'refresh-c1'))
})

test('48. one that lost, given back, ends what was given with it, and does not hurt the one that won', (t) => {
  const history = start()
  const [first, second] = [refresh(history, 'refresh-c1'), refresh(history, 'refresh-c1')]
  const heir = refresh(history, first)
  t.true(speaks(history, second))
  const { facts } = history.when(revokeToken(history.state, { token: second, client: 'chatgpt' }))
  t.like(facts, [{ type: 'TokenRevoked', data: { grant: 'grant-c1', client: 'chatgpt' } }])
  t.not((facts[0] as { data: { access: string | null } }).data.access, null)
  t.false(speaks(history, second))
  t.deepEqual(revokeToken(history.state, { token: second, client: 'chatgpt' }).facts, [])
  t.true(speaks(history, heir))
  t.regex(refresh(history, heir), /^r\d/)
})

test('42. a grant remembers its last thousand refresh tokens; one that is older is unknown, and hurts nobody', (t) => {
  const history = start()
  let token = 'refresh-c1'
  const all = [token]
  for (let i = 0; i < 1100; i++) {
    history.now += MINUTE
    token = refresh(history, token)
    all.push(token)
    if (i % 100 === 0) history.sweep(history.now)
  }
  const kinds = history.state.tokens.by('grant', 'grant-c1').map(({ kind }) => kind)
  t.is(kinds.filter((kind) => kind === 'refresh').length, 1000)
  t.is(refresh(history, all[0]!), 'refresh_unknown')
  const replayed = new History()
  for (const event of history.events) evolve(replayed.state, event)
  t.deepEqual(keysOf(replayed.state.tokens), keysOf(history.state.tokens))
  t.regex(refresh(history, token), /^r\d/)
  t.is(refresh(history, all.at(-100)!), 'refresh_replayed')
})

test('42. whoever refreshes a stolen token a thousand times within its grace does not make it forgotten', (t) => {
  const history = start()
  const successors = Array.from({ length: 1001 }, () => refresh(history, 'refresh-c1'))
  t.regex(refresh(history, successors.at(-1)!), /^r\d/)
  t.is(refresh(history, 'refresh-c1'), 'refresh_replayed')
})

test('55. a sibling that lost is not live', (t) => {
  const history = start()
  const [first, second] = [refresh(history, 'refresh-c1'), refresh(history, 'refresh-c1')]
  refresh(history, second)
  t.is(introspect(history.state, { token: first, client: 'chatgpt' }, history.now), undefined)
  t.truthy(introspect(history.state, { token: second, client: 'chatgpt' }, history.now))
})
