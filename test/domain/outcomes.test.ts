/** Outcomes: a write with an idempotency key is done once, and its repeat is answered as the first was. */
import test from 'ava'
import fc from 'fast-check'
import { addTodos } from '../../src/domain/edits.ts'
import { decideOnce, type Once, OUTCOME_TTL_MS } from '../../src/domain/outcomes.ts'
import { accept, type Decision, type Reason, refuse, storedSize } from '../../src/domain/shape.ts'
import type { TodoEvent } from '../../src/domain/todos.ts'
import { AMPLE, DAY, History, keysOf, MINUTE, NOON, openTexts, SECOND, todoAdded } from './_history.ts'

const once = (key: string, more: Partial<Once> = {}): Once => ({
  ...{ key, request: 'add milk', owner: () => 'alice', size: 1e6, sizeOfAll: 1e6 },
  ...more,
})

let made = 0
/** Adds a to-do of that text, once. */
const add = (history: History, input: Once, text = 'milk') => {
  const items = [{ id: `t${++made}`, text, notes: null, due: null, priority: null }]
  const decide = () => addTodos(history.state, { owner: 'alice', items, limits: AMPLE }, history.now)
  return history.when(decideOnce(history.state, input, decide, history.now))
}
/** What keeping an outcome takes in memory. bytes */
const sizeOf = (result: unknown): number => 700 + 2 * storedSize({ outcome: JSON.stringify(result) })
/** Keeps some result under a key. */
const keep = (history: History, key: string, result: unknown, more: Partial<Once> = {}) => {
  const decide = (): Decision<TodoEvent, unknown> => accept<TodoEvent, unknown>([], result)
  return history.when(decideOnce(history.state, once(key, more), decide, history.now))
}
const kept = (decision: Decision<{ readonly type: string; readonly data: object }, unknown>) =>
  decision.facts
    .filter(({ type }) => type === 'OutcomeKept')
    .map(({ data }) => (data as { replaces: string[] }).replaces)

test('a first write is done and its outcome recorded, sealed; a repeat gives the same and changes nothing', (t) => {
  const history = new History()
  const first = add(history, once('k1'))
  t.is(first.refusal, undefined)
  if (first.refusal !== undefined) return
  t.deepEqual(first.facts.slice(1), [
    {
      type: 'OutcomeKept',
      data: { key: 'k1', request: 'add milk', owner: 'alice', expiresAt: NOON + DAY, replaces: [] },
      personal: { outcome: JSON.stringify(first.result) },
    },
  ])
  const rows = history.rows()
  history.now += DAY - 1
  for (let i = 0; i < 3; i++)
    t.deepEqual(add(history, once('k1'), 'never'), { facts: [], result: first.result, keeps: {} })
  t.deepEqual([history.rows(), openTexts(history, 'alice')], [rows, ['milk']])
  t.deepEqual(history.rows(history.replayed()), rows)
  t.is(add(history, once('k2'), 'bread').refusal, undefined)
  t.deepEqual(openTexts(history, 'alice'), ['milk', 'bread'])
})

test('another request under the same key is refused, and not done', (t) => {
  const history = new History()
  add(history, once('k1'))
  const asked = decideOnce(
    history.state,
    once('k1', { request: 'add bread' }),
    () => t.fail('it was decided') as never,
    history.now,
  )
  t.deepEqual(asked, { facts: [], refusal: 'idempotency_key_reused' })
})

test('a refusal is not kept: the same key may be tried again, with another request too', (t) => {
  const history = new History()
  const full = history.when(decideOnce(history.state, once('k1'), () => refuse<TodoEvent>('list_full'), history.now))
  t.deepEqual(full, { facts: [], refusal: 'list_full' })
  t.is(history.state.outcomes.size, 0)
  t.is(add(history, once('k1', { request: 'add bread' })).refusal, undefined)
})

test('what a refusal leaves behind is left behind', (t) => {
  const event = todoAdded('alice', 't', { text: 'x' }) as TodoEvent
  const decision = decideOnce(new History().state, once('k'), () => refuse('list_full', event), NOON)
  t.deepEqual(decision, { facts: [event], refusal: 'list_full' })
})

test('what a decision keeps in the vault is kept with its outcome; a repeat keeps nothing', (t) => {
  const history = new History()
  const decide = () => accept<TodoEvent, number>([], 7, { 'key/alice': 'new' })
  const first = history.when(decideOnce(history.state, once('k'), decide, NOON))
  t.like(first, { result: 7, keeps: { 'key/alice': 'new' } })
  t.deepEqual(decideOnce(history.state, once('k'), decide, NOON), { facts: [], result: 7, keeps: {} })
})

test('after a day the key is free again, swept or not', (t) => {
  t.is(OUTCOME_TTL_MS, DAY)
  for (const isSwept of [false, true]) {
    const history = new History()
    add(history, once('k1'))
    history.now += DAY
    if (isSwept) history.sweep(history.now + MINUTE)
    t.is(history.state.outcomes.size, isSwept ? 0 : 1)
    t.is(add(history, once('k1', { request: 'add bread' }), 'bread').refusal, undefined)
    t.deepEqual(openTexts(history, 'alice'), ['milk', 'bread'])
    t.is(history.state.outcomes.get('k1')!.expiresAt, history.now + DAY)
    t.deepEqual(history.rows(history.replayed()), history.rows())
  }
})

test('an outcome of an erased owner answers nobody, whether its row is gone or only its key', (t) => {
  const history = new History()
  add(history, once('k1'))
  history.erased.add('alice')
  const again = add(history, once('k1', { request: 'add bread' }), 'bread')
  t.is(again.refusal, undefined, 'as if it had never been')
  for (const end of [
    { type: 'UserErased', data: { user: 'alice' } },
    { type: 'ListErased', data: { owner: 'alice' } },
  ] as const) {
    const other = new History()
    keep(other, 'hers', 1)
    keep(other, 'his', 1, { owner: () => 'bob' })
    other.given(end)
    t.deepEqual(keysOf(other.state.outcomes), ['his'])
  }
})

test('a write to a list that does not begin keeps no outcome', (t) => {
  const history = new History()
  t.deepEqual(keep(history, 'k', 'result', { owner: () => undefined }), { facts: [], result: 'result', keeps: {} })
  t.is(history.state.outcomes.size, 0)
})

test('the oldest outcomes of a list give way, as many as have to; those of others stay', (t) => {
  const history = new History()
  const size = 3 * sizeOf('result')
  const room = { size, sizeOfAll: 1e6 }
  keep(history, 'his', 'result', { ...room, owner: () => 'bob' })
  for (const key of ['c', 'a', 'b']) {
    history.now += SECOND
    t.deepEqual(kept(keep(history, key, 'result', room)), [[]])
  }
  history.now += SECOND
  t.deepEqual(kept(keep(history, 'd', 'result', room)), [['c']])
  history.now += SECOND
  t.deepEqual(kept(keep(history, 'e', 'a longer result', room)), [['a', 'b']])
  t.deepEqual(keysOf(history.state.outcomes), ['d', 'e', 'his'])
  t.deepEqual(kept(keep(history, 'f', 'x'.repeat(5000), room)), [['d', 'e']], 'one that takes more is kept alone')
  t.deepEqual(keysOf(history.state.outcomes), ['f', 'his'])
})

test('where all outcomes together take too much, a write with a new key is refused before it is decided', (t) => {
  const history = new History()
  const first = keep(history, 'k1', 'result')
  const sizeOfAll = history.state.outcomes.totalSize
  const decide = (): never => t.fail('it was decided') as never
  t.deepEqual(decideOnce(history.state, once('k2', { sizeOfAll }), decide, NOON), {
    facts: [],
    refusal: 'daybook_full' satisfies Reason,
  })
  t.deepEqual(keep(history, 'k1', 'other', { sizeOfAll }), { ...first, facts: [] } as object, 'a repeat is answered')
  t.is(keep(history, 'k2', 'result', { sizeOfAll: sizeOfAll + 1 }).refusal, undefined)
})

test('whatever is asked with keys, each request is done once a day, and outcomes stay in their limits', (t) => {
  const ask = fc.record({
    key: fc.constantFrom('k1', 'k2', 'k3', 'k4'),
    request: fc.constantFrom('one', 'two'),
    owner: fc.constantFrom('alice', 'bob'),
    size: fc.constantFrom(1, 300),
    pass: fc.constantFrom(0, SECOND, DAY - SECOND),
  })
  const most = 2 * sizeOf('x'.repeat(300))
  fc.assert(
    fc.property(fc.array(ask, { maxLength: 40 }), (asks) => {
      const history = new History()
      const model = new Map<string, { request: string; owner: string; until: number; result: string }>()
      for (const [i, { key, request, owner, size, pass }] of asks.entries()) {
        history.now += pass
        const known = model.get(key)
        const isKnown = known !== undefined && history.now < known.until
        const result = `${i}`.padEnd(size, 'x')
        const decision = keep(history, key, result, { request, owner: () => owner, size: most, sizeOfAll: 1e9 })
        if (isKnown && known.request !== request && decision.refusal !== 'idempotency_key_reused') return false
        if (
          isKnown &&
          known.request === request &&
          (decision.refusal !== undefined || decision.result !== known.result)
        )
          return false
        if (isKnown && decision.facts.length > 0) return false
        if (isKnown) continue
        if (decision.refusal !== undefined || decision.result !== result) return false
        for (const gone of kept(decision).flat()) {
          if (model.get(gone)?.owner !== owner) return false
          model.delete(gone)
        }
        model.set(key, { request, owner, until: history.now + DAY, result })
        if (history.state.outcomes.sizeBy('owner', owner) > most) return false
      }
      return (
        keysOf(history.state.outcomes).join() === [...model.keys()].sort().join() &&
        JSON.stringify(history.rows(history.replayed())) === JSON.stringify(history.rows())
      )
    }),
    { numRuns: 500 },
  )
  t.pass()
})
