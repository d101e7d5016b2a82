/** Moves: what is recorded where a to-do is moved, and when it is refused. */
import test from 'ava'
import type { Place } from '../../src/domain/edits.ts'
import { openInOrder } from '../../src/domain/todos.ts'
import { complete, excerpt, idsOf, item, move, of, remove, start } from './_edits.ts'

test('a move is recorded by the to-do that then follows; where it is there already, not at all', (t) => {
  const history = start('a', 'b', 'c', 'd')
  const moves: [id: string, place: Place, before: string | null | undefined, order: string][] = [
    ['d', { before: 'b' }, 'b', 'adbc'],
    ['a', { after: 'd' }, 'b', 'dabc'],
    ['d', { after: 'c' }, null, 'abcd'],
    ['c', { position: 1 }, 'a', 'cabd'],
    ['c', { position: 3 }, 'd', 'abcd'],
    ['a', { position: 99 }, null, 'bcda'],
    ['a', { position: 4 }, undefined, 'bcda'],
    ['b', { position: 1 }, undefined, 'bcda'],
    ['b', { before: 'c' }, undefined, 'bcda'],
    ['c', { after: 'b' }, undefined, 'bcda'],
  ]
  for (const [id, place, before, order] of moves) {
    const at = `${id} ${JSON.stringify(place)}`
    const decision = history.when(move(history, id, place))
    const facts = [{ type: 'TodoMoved', data: { ...of(id), before }, personal: excerpt(id) }]
    t.deepEqual(decision, { facts: before === undefined ? [] : facts, result: item(id), keeps: {} } as object, at)
    t.is(idsOf(history).join(''), order, at)
  }
})

test('a move beside itself, beside what is unknown, or of what is unknown is refused', (t) => {
  const history = start('a', 'b', 'c')
  history.when(remove(history, ['c']))
  for (const place of [{ before: 'a' }, { after: 'a' }])
    t.deepEqual(move(history, 'a', place), { facts: [], refusal: 'place_invalid' })
  for (const other of ['c', 'his', 'none', ''])
    for (const place of [{ before: other }, { after: other }])
      t.deepEqual(move(history, 'a', place), { facts: [], refusal: 'todo_unknown' })
  for (const id of ['c', 'his', 'none'])
    t.deepEqual(move(history, id, { position: 1 }), { facts: [], refusal: 'todo_unknown' })
})

test('a position counts the open to-dos: done ones stay where they are', (t) => {
  const history = start('a', 'b', 'c', 'd')
  history.when(complete(history, ['b']))
  history.when(move(history, 'd', { position: 2 }))
  t.is(
    openInOrder(history.state, 'alice')
      .map(([id]) => id)
      .join(''),
    'adc',
  )
  history.when(move(history, 'b', { position: 1 }))
  t.deepEqual(idsOf(history), ['b', 'a', 'd', 'c'])
})
