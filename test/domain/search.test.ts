/** The filter grammar: what each word means, what may be skipped, and what is said of words that mean nothing. */
import test from 'ava'
import fc from 'fast-check'
import type { Event } from '../../src/domain/domain.ts'
import { FilterMalformed, parseFilter, type Search, searchFor, summarize } from '../../src/domain/search.ts'
import type { Actor, Recorded, Via } from '../../src/domain/shape.ts'
import { DAY, HOUR, MINUTE, NOON, SECOND } from './_history.ts'

const [ALICE, BOB] = ['01M7XS1RRJA80HGKBJZ7YE3V34', '01M7XS1RRJA80HGKBJZ7YE3V35']
const resolve = {
  user: (name: string) => ({ alice: ALICE, bob: BOB })[name.toLowerCase()],
  client: (name: string) => (['chatgpt', 'ChatGPT'].includes(name) ? 'chatgpt' : undefined),
}
const search = (text: string): Search => searchFor(parseFilter(text, NOON), resolve)

type Some = { seq?: number; at?: number; type?: string; actor?: Actor; via?: Via; data?: object; ip?: string }
const event = ({ seq = 7, at = NOON, type = 'TodoAdded', actor, via = {}, data = {}, ip }: Some): Recorded<Event> =>
  ({
    ...{
      seq,
      id: 'x',
      at: new Date(at).toISOString(),
      type,
      actor: actor ?? { kind: 'system', id: 'daybook' },
      via,
      data,
    },
    ...(ip !== undefined && { trace: { open: { ip }, size: 1 } }),
  }) as Recorded<Event>

const finds = (text: string, some: Some, telling = ''): boolean => search(text).matches(event(some), () => telling)

const USER: Actor = { kind: 'user', id: ALICE }
const matching: [filter: string, matches: Some[], other: Some[]][] = [
  ['', [{}], []],
  ['type:TodoAdded', [{}], [{ type: 'TodoDeleted' }]],
  ['type:todoadded', [{}], [{ type: 'TodoDeleted' }]],
  ['type:TodoAdded type:TodoDeleted', [{}, { type: 'TodoDeleted' }], [{ type: 'SignedIn' }]],
  ['-type:TodoAdded', [{ type: 'SignedIn' }], [{}]],
  ['actor:alice', [{ actor: USER }], [{}, { data: { user: ALICE } }]],
  ['actor:operator', [{ actor: { kind: 'operator', id: 'cli' } }], [{}]],
  ['actor:cli', [{ actor: { kind: 'operator', id: 'cli' } }], [{}]],
  ['actor:chatgpt', [{ actor: { kind: 'client', id: 'chatgpt' } }], [{ via: { client: 'chatgpt' } }]],
  ['user:Alice', [{ actor: USER }, { data: { user: ALICE } }], [{}, { data: { user: BOB } }]],
  ['user:alice', [{ data: { owner: ALICE } }], [{ data: { owner: BOB } }]],
  ['owner:ALICE', [{ data: { owner: ALICE } }], [{ actor: USER }, { data: { user: ALICE } }, { data: { owner: BOB } }]],
  ['-owner:alice', [{ data: { owner: BOB } }, {}], [{ data: { owner: ALICE } }]],
  ['owner:alice owner:bob', [{ data: { owner: ALICE } }, { data: { owner: BOB } }], [{}]],
  ['conversation:v1/3F_a=', [{ via: { conversation: 'v1/3F_a=' } }], [{ via: { conversation: 'v1/3f_a=' } }, {}]],
  ['conversation:"a b"', [{ via: { conversation: 'a b' } }], [{ via: { conversation: 'a' } }]],
  ['tool:Add_Todos', [{ via: { tool: 'add_todos' } }], [{ via: { tool: 'add_todo' } }, {}]],
  ['-tool:add_todos', [{ via: { tool: 'find_todos' } }, {}], [{ via: { tool: 'add_todos' } }]],
  ['tool:fetch conversation:c1', [{ via: { tool: 'fetch', conversation: 'c1' } }], [{ via: { tool: 'fetch' } }]],
  ['client:ChatGPT', [{ via: { client: 'chatgpt' } }, { data: { client: 'chatgpt' } }], [{}]],
  ['ip:203.0.113.7', [{ ip: '203.0.113.7' }], [{}, { ip: '203.0.113.70' }]],
  ['ip:2001:DB8::1', [{ ip: '2001:db8::1' }], [{}]],
  ['request:01m7xs1rrja80hgkbjz7ye3v34', [{ via: { request: ALICE } }], [{ via: { request: BOB } }, {}]],
  ['since:2h', [{ at: NOON - 2 * HOUR }, { at: NOON }], [{ at: NOON - 2 * HOUR - 1 }]],
  ['until:90s', [{ at: NOON - 90 * SECOND }], [{ at: NOON }]],
  ['since:2026-11-20', [{ at: NOON - 12 * HOUR }], [{ at: NOON - 12 * HOUR - 1 }]],
  ['until:2026-11-20', [{ at: NOON + 12 * HOUR - 1 }], [{ at: NOON + 12 * HOUR }]],
  ['until:2026-11-20T12:00', [{ at: NOON + MINUTE - 1 }], [{ at: NOON + MINUTE }]],
  ['since:2026-11-20T12:00:00.000Z', [{ at: NOON }], [{ at: NOON - 1 }]],
  ['since:3d until:1d', [{ at: NOON - 2 * DAY }], [{ at: NOON }, { at: NOON - 4 * DAY }]],
  ['-since:1h', [{ at: NOON - 2 * HOUR }], [{ at: NOON }]],
  ['seq:7', [{}], [{ seq: 8 }]],
  ['seq:5..7', [{}, { seq: 5 }], [{ seq: 4 }, { seq: 8 }]],
  ['seq:8..', [{ seq: 8 }, { seq: 1e9 }], [{}]],
  ['seq:..6', [{ seq: 1 }, { seq: 6 }], [{}]],
  ['-seq:7', [{ seq: 8 }], [{}]],
  ['type:TodoAdded user:alice since:1h', [{ actor: USER }], [{}, { actor: USER, at: NOON - DAY }]],
]
for (const [filter, matches, other] of matching)
  test(`"${filter}" finds these and no others`, (t) => {
    for (const some of matches) t.true(finds(filter, some), JSON.stringify(some))
    for (const some of other) t.false(finds(filter, some), JSON.stringify(some))
    // What is found is never passed over.
    // (A request’s events are looked for around the time that its id says.)
    const at = filter.startsWith('request') ? { at: Date.UTC(2026, 10, 21, 0, 45) } : {}
    for (const some of matches)
      t.true(search(filter).mayMatch(summarize([event({ type: 'SignedIn' }), event({ ...some, ...at })])))
  })

test('free words are looked for in what is told, in any case; quotes keep blanks', (t) => {
  t.true(finds('MILK', {}, 'added “buy milk”'))
  t.true(finds('"buy milk"', {}, 'added “buy milk”'))
  t.false(finds('"milk buy"', {}, 'added “buy milk”'))
  t.true(finds('bread milk', {}, 'added “buy milk”'), 'words are alternatives')
  t.false(finds('-milk', {}, 'added “buy milk”'))
  t.true(finds('-"no such"', {}, 'added “buy milk”'))
  t.true(finds('"https://x"', {}, 'see https://x'))
  t.true(finds('-', {}, 'a - b'))
})

for (const filter of [
  ...['foo:bar', 'type:Nope', 'type:', 'user:nobody', 'client:nobody', 'actor:nobody', 'ip:x y', 'ip:example.org'],
  ...['request:1', 'since:yesterday', 'since:2026-13-01', 'since:2026-02-30', 'since:2026-11-20T25:00', 'since:1w'],
  ...['owner:nobody', 'owner:chatgpt', 'owner:', 'conversation:', 'tool:', 'tool:add-todos', 'tool:"a b"'],
  ...['until:', 'seq:0', 'seq:x', 'seq:7..5', 'seq:..', 'seq:-1', '"half', '""', 'user:""', 'since:9999999h'],
])
  test(`"${filter}" is refused, in one line that says what it should be`, (t) => {
    const error = t.throws(() => search(filter), { instanceOf: FilterMalformed })
    t.notRegex(error.message, /\n|undefined|NaN/)
    t.true(error.message.length > 20, error.message)
  })

test('what may be recorded of a filter names nobody and nothing personal', (t) => {
  const { canonical } = search(
    'user:alice -ip:203.0.113.7 "buy milk" type:todoadded seq:5.. since:2h actor:operator owner:bob -tool:Fetch conversation:c1',
  )
  t.is(
    canonical,
    `user:${ALICE} -ip:* text:* type:TodoAdded seq:5.. since:${new Date(NOON - 2 * HOUR).toISOString()} actor:operator ` +
      `owner:${BOB} -tool:fetch conversation:c1`,
  )
})

test('whatever is in a block that a search finds something in, the block is not passed over', (t) => {
  const actors: Actor[] = [USER, { kind: 'client', id: 'chatgpt' }, { kind: 'operator', id: 'cli' }]
  const some = fc.record({
    seq: fc.nat({ max: 600 }).map((n) => n + 1),
    at: fc.integer({ min: -50, max: 5 }).map((hours) => NOON + hours * HOUR),
    type: fc.constantFrom('TodoAdded', 'SignedIn', 'TokenIssued'),
    actor: fc.constantFrom(...actors),
    data: fc.constantFrom({}, { user: BOB }, { owner: ALICE }, { client: 'chatgpt' }),
    via: fc.constantFrom({}, { tool: 'add_todos' }, { conversation: 'a b' }, { tool: 'fetch', conversation: 'c1' }),
  })
  const words = matching.map(([filter]) => filter).filter((filter) => filter !== '')
  const filters = fc.array(fc.constantFrom(...words), { minLength: 1, maxLength: 3 }).map((few) => few.join(' '))
  fc.assert(
    fc.property(filters, fc.array(some, { minLength: 1, maxLength: 8 }), (filter, many) => {
      const events = many.map(event)
      const isThere = events.some((one) => search(filter).matches(one, () => ''))
      return !isThere || search(filter).mayMatch(summarize(events))
    }),
    { numRuns: 2000 },
  )
  t.pass()
})
