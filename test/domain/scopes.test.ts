/** Scopes: their order, their words, and which of them includes another. */
import test from 'ava'
import { DEFAULT_SCOPE, includesScope, narrower, normalizeScope, scopeWords } from '../../src/domain/scopes.ts'

test('a scope is put in order; one that is unknown or malformed is none', (t) => {
  t.is(DEFAULT_SCOPE, 'todos:read todos:write')
  for (const none of [undefined, '']) t.is(normalizeScope(none), DEFAULT_SCOPE)
  t.is(normalizeScope('todos:write todos:read todos:write'), DEFAULT_SCOPE)
  for (const wrong of [' ', 'x', 'todos:read,todos:write', 'todos:read ', '__proto__', 'constructor'])
    t.is(normalizeScope(wrong), undefined, wrong)
})

test('a scope in words', (t) => {
  t.deepEqual(scopeWords(DEFAULT_SCOPE), ['see your to-dos', 'add, change and delete to-dos'])
  t.deepEqual(scopeWords('todos:read'), ['see your to-dos'])
})

test('a scope includes what has no name that it lacks', (t) => {
  for (const needed of ['todos:read', 'todos:write', 'todos:write todos:read'])
    t.true(includesScope(DEFAULT_SCOPE, needed))
  t.true(includesScope('todos:read', 'todos:read'))
  for (const needed of ['todos:write', DEFAULT_SCOPE, 'todos', '']) t.false(includesScope('todos:read', needed), needed)
})

test('40. a narrower scope is what was asked for, or all that was granted (RFC 6749 §6)', (t) => {
  for (const none of [undefined, '']) t.is(narrower(none, 'todos:read'), 'todos:read')
  t.is(narrower('todos:write todos:read', DEFAULT_SCOPE), DEFAULT_SCOPE)
  t.is(narrower('todos:read', DEFAULT_SCOPE), 'todos:read')
  for (const wider of ['todos:write', DEFAULT_SCOPE, 'x']) t.is(narrower(wider, 'todos:read'), undefined)
})
