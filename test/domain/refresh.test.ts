/** D. Refresh: how refresh tokens follow one another, and how a stolen one shows. */
import test from 'ava'
import { authenticate, introspect, type Shown, userToRefresh } from '../../src/domain/bearers.ts'
import { evolve, tablesOf } from '../../src/domain/domain.ts'
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
  from: { digest: 'refresh-c1', grant: 'grant-c1' },
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
/** A refresh token that proves its grant: of `c1`, but for the first one of `c2`. */
const shown = (digest: string): Shown => ({ digest, grant: digest === 'refresh-c2' ? 'grant-c2' : 'grant-c1' })
/** Refreshes `from` for tokens `aN` and `rN`; gives the new refresh token, or the reason why not. */
function refresh(history: History, from: string, changed: Partial<RefreshInput> = {}): string {
  const n = ++made
  const input = { ...REFRESH, access: `a${n}`, refresh: `r${n}`, ...changed, from: shown(from) }
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
      const next = { ...REFRESH, from: shown('r2'), access: 'a3', refresh: 'r3' }
      t.is((refreshTokens(history.state, next, NOON) as unknown as { result: { scope: string } }).result.scope, granted)
    }
  }
})

const refused: [string, Partial<RefreshInput>, string][] = [
  ['45. another client’s token', { client: 'other' }, 'client_mismatch'],
  ['45. an access token', { from: { digest: 'access-c1', grant: undefined } }, 'refresh_unknown'],
  ['45. a code', { from: { digest: 'c1', grant: undefined } }, 'refresh_unknown'],
  ['an unknown token', { from: { digest: 'refresh-c9', grant: undefined } }, 'refresh_unknown'],
  ['the right token without its proof', { from: { digest: 'refresh-c1', grant: undefined } }, 'refresh_unknown'],
  ['a token with the proof of another', { from: { digest: 'refresh-c1', grant: 'grant-c2' } }, 'refresh_unknown'],
  ['an access token with a proof', { from: { digest: 'access-c1', grant: 'grant-c1' } }, 'refresh_unknown'],
  ['a used token of a grant that is gone', { from: { digest: 'r0', grant: 'grant-c9' } }, 'refresh_unknown'],
  ['an empty token', { from: { digest: '', grant: undefined } }, 'refresh_unknown'],
  ['a token like a member of every object', { from: { digest: '__proto__', grant: '__proto__' } }, 'refresh_unknown'],
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
    for (const later of [0, 59 * SECOND, DAY, 20 * DAY]) {
      history.now += later
      t.is(refresh(history, sibling), 'refresh_lost')
    }
    history.now -= 21 * DAY + 59 * SECOND
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
  const input = { ...REFRESH, from: shown(token) }
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
  const { facts } = history.when(revokeToken(history.state, { token: shown(second), client: 'chatgpt' }, history.now))
  t.like(facts, [{ type: 'TokenRevoked', data: { grant: 'grant-c1', client: 'chatgpt' } }])
  t.not((facts[0] as { data: { access: string | null } }).data.access, null)
  t.false(speaks(history, second))
  t.deepEqual(revokeToken(history.state, { token: shown(second), client: 'chatgpt' }, history.now).facts, [])
  t.true(speaks(history, heir))
  t.regex(refresh(history, heir), /^r\d/)
})

/** The refresh tokens that have a row. */
const remembered = ({ state }: History, grant = 'grant-c1'): string[] =>
  state.tokens.keysBy('grant', grant).filter((key) => state.tokens.get(key)!.kind === 'refresh')

/** The rows of the history's events, replayed. */
function replayed({ events }: History): History {
  const again = new History()
  for (const event of events) evolve(again.state, event)
  return again
}

test('42. a token from before 2,000 refreshes is a replay; until then only two of them have a row', (t) => {
  const history = start()
  let token = 'refresh-c1'
  for (let i = 0; i < 2000; i++) {
    history.now += HOUR
    token = refresh(history, token)
    if (i % 100 === 0) history.sweep(history.now)
    t.is(remembered(history).length, 2)
  }
  t.true(history.now < NOON + 90 * DAY)
  t.deepEqual([...replayed(history).state.tokens.entries()].sort(), [...history.state.tokens.entries()].sort())
  t.is(refresh(history, 'refresh-c1'), 'refresh_replayed')
  t.deepEqual(last(history), { type: 'TokenReplayed', data: { refresh: 'refresh-c1', ...IDS } })
  t.is(history.state.grants.get('grant-c1'), undefined)
  t.is(history.state.tokens.countBy('grant', 'grant-c1'), 0)
  for (const dead of ['refresh-c1', token]) t.is(refresh(history, dead), 'refresh_unknown')
  t.is(last(history).type, 'TokenReplayed')
})

test('42. a used token is a replay as long as its grant lasts, also past its own time; then it has expired', (t) => {
  for (const [at, reason] of [
    [60 * DAY, 'refresh_replayed'],
    [90 * DAY - 1, 'refresh_replayed'],
    [90 * DAY, 'refresh_expired'],
    [91 * DAY, 'refresh_unknown'],
  ] as const) {
    const history = start()
    let lineage = refresh(history, 'refresh-c1')
    for (let day = 20; day < 61; day += 20) {
      history.now = NOON + day * DAY
      lineage = refresh(history, lineage)
    }
    const { length } = history.events
    history.now = NOON + at
    history.sweep(history.now)
    const swept = history.events.length - length
    t.is(refresh(history, 'refresh-c1'), reason)
    t.is(history.events.length - length - swept, reason === 'refresh_replayed' ? 1 : 0)
  }
})

test('47. a token that nobody used in time has expired, before a sweep and after it, and is no replay', (t) => {
  const history = start()
  const unused = refresh(history, 'refresh-c1')
  history.now += 30 * DAY
  t.is(refresh(history, unused), 'refresh_expired')
  history.sweep(history.now + MINUTE)
  t.is(refresh(history, unused), 'refresh_expired')
  t.is(last(history).type, 'ExpiredDropped')
  t.truthy(history.state.grants.get('grant-c1'))
})

test('41. in its grace a token gives a hundred pairs and no more, until one of them is used', (t) => {
  const history = start()
  const siblings = Array.from({ length: 100 }, () => refresh(history, 'refresh-c1'))
  for (const sibling of siblings) t.true(speaks(history, sibling))
  const { length } = history.events
  t.is(refresh(history, 'refresh-c1'), 'successors_too_many')
  t.is(history.events.length, length)
  t.is(remembered(history).length, 101)
  const lineage = refresh(history, siblings[50]!)
  t.regex(lineage, /^r\d/)
  t.is(remembered(history).length, 101, 'the lineage, its successor, and 99 that lost')
  for (const sibling of siblings.toSpliced(50, 1)) t.is(refresh(history, sibling), 'refresh_lost')
  t.regex(refresh(history, lineage), /^r\d/)
})

test('42. refreshing a stolen token a hundred times within its grace does not make it forgotten', (t) => {
  const history = start()
  const successors = Array.from({ length: 100 }, () => refresh(history, 'refresh-c1'))
  t.regex(refresh(history, successors.at(-1)!), /^r\d/)
  t.is(refresh(history, 'refresh-c1'), 'refresh_replayed')
})

test('41. a grant remembers the last thousand that lost; one that is forgotten is taken for a used one', (t) => {
  const history = start()
  const lost: string[] = []
  let token = 'refresh-c1'
  const loseOne = (): void => {
    lost.push(refresh(history, token))
    token = refresh(history, refresh(history, token))
  }
  for (let i = 0; i < 1000; i++) loseOne()
  t.is(remembered(history).length, 1002)
  for (const sibling of lost) t.is(refresh(history, sibling), 'refresh_lost')
  loseOne()
  t.is(remembered(history).length, 1002)
  t.deepEqual([...replayed(history).state.tokens.entries()].sort(), [...history.state.tokens.entries()].sort())
  for (const sibling of lost.slice(1)) t.is(refresh(history, sibling), 'refresh_lost')
  t.regex(refresh(history, token), /^r\d/)
  t.is(refresh(history, lost[0]!), 'refresh_replayed')
})

test('41, 44. which siblings lost first does not depend on the order in which rows were loaded', (t) => {
  const history = start()
  const siblings = Array.from({ length: 5 }, () => refresh(history, 'refresh-c1'))
  const reloaded = new History()
  const tables = new Map(tablesOf(reloaded.state))
  for (const [name, rows] of tablesOf(history.state))
    for (const [key, row] of [...rows.entries()].reverse()) tables.get(name)!.load(key, row)
  refresh(history, siblings[2]!)
  evolve(reloaded.state, history.events.at(-1)!)
  t.is(remembered(history).length, 6)
  t.deepEqual([...reloaded.state.tokens.entries()].sort(), [...history.state.tokens.entries()].sort())
})

test('48. a used refresh token that is given back ends its grant, also without a row; another app’s does not', (t) => {
  const history = start()
  const lineage = refresh(history, refresh(history, 'refresh-c1'))
  const giveBack = (client: string) =>
    history.when(revokeToken(history.state, { token: shown('refresh-c1'), client }, history.now)).facts
  t.deepEqual(giveBack('other'), [])
  t.true(speaks(history, lineage))
  t.deepEqual(giveBack('chatgpt'), [{ type: 'TokenRevoked', data: { access: null, ...IDS } }])
  t.true(onlyOtherGrantLives(history))
  t.deepEqual(giveBack('chatgpt'), [])
})

test('54, 55. only a live token is told of, and only a live one counts as a refresh', (t) => {
  const history = start()
  const [first, second] = [refresh(history, 'refresh-c1'), refresh(history, 'refresh-c1')]
  const isLive = (token: string, client = 'chatgpt'): boolean[] => [
    introspect(history.state, { token: shown(token), client }, history.now) !== undefined,
    userToRefresh(history.state, { from: shown(token), client }, history.now) !== undefined,
  ]
  for (const token of ['refresh-c1', first, second]) t.deepEqual(isLive(token), [true, true], token)
  t.deepEqual(isLive(first, 'other'), [false, false])
  const lineage = refresh(history, first)
  for (const token of ['refresh-c1', second, 'r0']) t.deepEqual(isLive(token), [false, false], token)
  for (const token of [first, lineage]) t.deepEqual(isLive(token), [true, true], token)
  history.now += MINUTE
  t.deepEqual(isLive(first), [false, false])
  t.deepEqual(isLive(lineage), [true, true])
  history.now += 30 * DAY
  t.deepEqual(isLive(lineage), [false, false])
  t.false(speaks(history, lineage))
})

test('55. a sibling that lost is not live', (t) => {
  const history = start()
  const [first, second] = [refresh(history, 'refresh-c1'), refresh(history, 'refresh-c1')]
  refresh(history, second)
  t.is(introspect(history.state, { token: shown(first), client: 'chatgpt' }, history.now), undefined)
  t.truthy(introspect(history.state, { token: shown(second), client: 'chatgpt' }, history.now))
})
