/** Tables: rows by key and by index, and what a look at them has met that is not on disk yet. */
import assert from 'node:assert/strict'
import test from 'ava'
import fc from 'fast-check'
import { Sight, Table } from '../../src/domain/table.ts'

type Row = { readonly user: string; readonly mail?: string }
const people = (sight = new Sight()): Table<Row, 'user' | 'mail'> =>
  new Table<Row, 'user' | 'mail'>(sight, { user: (row) => row.user, mail: (row) => row.mail })

test('a row is found by its key and by each of its values; one without a value is not in that index', (t) => {
  const table = people()
  table.set('k1', { user: 'alice', mail: 'a' })
  table.set('k2', { user: 'alice' })
  t.deepEqual(table.get('k1'), { user: 'alice', mail: 'a' })
  t.deepEqual(table.keysBy('user', 'alice'), ['k1', 'k2'])
  t.deepEqual(table.by('mail', 'a'), [{ user: 'alice', mail: 'a' }])
  t.deepEqual([table.countBy('user', 'alice'), table.countBy('mail', 'undefined'), table.size], [2, 0, 2])
  for (const stranger of ['', 'k3', '__proto__', 'constructor']) {
    t.is(table.get(stranger), undefined)
    t.deepEqual(table.keysBy('user', stranger), [])
  }
})

test('a changed row moves in its indexes; a deleted one leaves them', (t) => {
  const table = people()
  table.set('k1', { user: 'alice', mail: 'a' })
  table.set('k1', { user: 'bob' })
  t.deepEqual([table.keysBy('user', 'alice'), table.keysBy('user', 'bob'), table.keysBy('mail', 'a')], [[], ['k1'], []])
  table.set('k2', { user: 'bob' })
  table.deleteBy('user', 'bob')
  t.deepEqual([table.size, table.keysBy('user', 'bob'), [...table.entries()]], [0, [], []])
  t.notThrows(() => table.delete('k1'))
})

test('keys come in the order in which their rows came, whatever changes in them', (t) => {
  const table = people()
  for (const key of ['k3', 'k1', 'k2']) table.set(key, { user: 'alice' })
  table.set('k3', { user: 'alice', mail: 'a' })
  t.deepEqual(table.keysBy('user', 'alice'), ['k3', 'k1', 'k2'])
})

test('a row leaves its indexes also when what it stood there for can no longer be read', (t) => {
  const sight = new Sight()
  const names = new Map([
    ['k1', 'alice'],
    ['k2', 'bob'],
  ])
  const table = new Table<{ key: string }, 'name'>(sight, { name: ({ key }) => names.get(key) })
  for (const key of ['k1', 'k2']) table.set(key, { key })
  table.beginBatch()
  table.endBatch()
  names.clear()
  table.delete('k1')
  table.set('k2', { key: 'k2' })
  sight.met = 0
  t.deepEqual([table.keysBy('name', 'alice'), table.keysBy('name', 'bob')], [[], []])
  const met: number = sight.met
  t.is(met, 2, 'and that it did is noticed')
})

test('what was given out does not change when the table does', (t) => {
  const table = people()
  table.set('k1', { user: 'alice' })
  const [keys, rows] = [table.keysBy('user', 'alice'), table.by('user', 'alice')]
  table.delete('k1')
  t.deepEqual([keys, rows], [['k1'], [{ user: 'alice' }]])
})

test('a batch carries each changed row once, as it is now, and each deleted key', (t) => {
  const table = people()
  t.false(table.hasChanges)
  table.set('k1', { user: 'alice' })
  table.set('k1', { user: 'bob' })
  table.set('k2', { user: 'alice' })
  table.delete('k2')
  table.delete('never there')
  t.true(table.hasChanges)
  t.deepEqual(table.beginBatch(), [
    { key: 'k1', row: { user: 'bob' }, before: undefined },
    { key: 'k2', row: undefined, before: undefined },
  ])
  t.false(table.hasChanges)
  table.endBatch()
  t.deepEqual(table.beginBatch(), [])
})

test('what could not be written has not happened: rows and indexes are again what is on disk', (t) => {
  const sight = new Sight()
  const table = people(sight)
  table.load('k1', { user: 'alice', mail: 'a' })
  table.load('k2', { user: 'alice' })
  table.set('k1', { user: 'bob' })
  table.delete('k2')
  table.set('k3', { user: 'bob' })
  table.beginBatch()
  table.set('k1', { user: 'bob-2' })
  table.set('k2', { user: 'bob-2' })
  table.delete('k3')
  table.set('k4', { user: 'alice' })
  table.rollBack()
  sight.met = 0
  t.deepEqual(Object.fromEntries(table.entries()), { k1: { user: 'alice', mail: 'a' }, k2: { user: 'alice' } })
  t.deepEqual(table.keysBy('user', 'alice').sort(), ['k1', 'k2'])
  t.deepEqual([table.keysBy('user', 'bob'), table.keysBy('user', 'bob-2'), table.keysBy('mail', 'a')], [[], [], ['k1']])
  t.deepEqual([sight.met, table.hasChanges, table.beginBatch()], [0, false, []])
})

test('a row that is loaded is durable, and found by its values', (t) => {
  const sight = new Sight()
  const table = people(sight)
  table.load('k1', { user: 'alice', mail: 'a' })
  t.deepEqual([table.keysBy('user', 'alice'), table.by('mail', 'a').length, table.size], [['k1'], 1, 1])
  t.deepEqual([sight.met, table.hasChanges, table.beginBatch()], [0, false, []])
})

/** What each kind of look meets. */
const looks: { readonly [name: string]: (table: Table<Row, 'user' | 'mail'>) => unknown } = {
  get: (table) => table.get('k1'),
  keysBy: (table) => table.keysBy('user', 'alice'),
  countBy: (table) => table.countBy('user', 'alice'),
  by: (table) => table.by('user', 'alice'),
  entries: (table) => table.entries(),
}
const changes: { readonly [name: string]: (table: Table<Row, 'user' | 'mail'>) => void } = {
  added: (table) => table.set('k1', { user: 'alice' }),
  deleted: (table) => table.delete('k1'),
  'moved away': (table) => table.set('k1', { user: 'bob' }),
}
for (const [how, change] of Object.entries(changes))
  for (const [name, look] of Object.entries(looks))
    test(`${name} meets a row that was ${how}: not gathered 2, being written 1, on disk 0`, (t) => {
      const sight = new Sight()
      const table = people(sight)
      if (how !== 'added') table.load('k1', { user: 'alice' })
      const met = (): number => {
        sight.met = 0
        look(table)
        return sight.met
      }
      t.is(met(), 0)
      change(table)
      t.is(met(), 2)
      table.beginBatch()
      t.is(met(), 1)
      table.set('k9', { user: 'bob-2' })
      t.is(met(), name === 'entries' ? 2 : 1, 'another row in the next batch')
      table.endBatch()
      t.is(met(), name === 'entries' ? 2 : 0, 'the first batch is on disk')
      table.beginBatch()
      table.endBatch()
      t.is(met(), 0)
    })

test('a look at other rows meets nothing', (t) => {
  const sight = new Sight()
  const table = people(sight)
  table.load('k2', { user: 'bob' })
  table.set('k1', { user: 'alice', mail: 'a' })
  for (const look of [
    () => table.get('k2'),
    () => table.get('k3'),
    () => table.by('user', 'bob'),
    () => table.keysBy('mail', 'b'),
  ]) {
    look()
    t.is(sight.met, 0)
  }
})

test('tables of one state share one sight, and it keeps the farthest that was met', (t) => {
  const sight = new Sight()
  const [one, two] = [people(sight), people(sight)]
  one.set('k1', { user: 'alice' })
  one.beginBatch()
  two.set('k1', { user: 'alice' })
  for (const [table, met] of [
    [one, 1],
    [two, 2],
    [one, 2],
  ] as const) {
    table.get('k1')
    t.is(sight.met, met)
  }
})

const key = fc.constantFrom('k1', 'k2', 'k3')
const value = fc.constantFrom('alice', 'bob', 'bob-2')
const step = fc.oneof(
  {
    weight: 4,
    arbitrary: fc.record({
      do: fc.constant('set' as const),
      key,
      user: value,
      mail: fc.option(value, { nil: undefined }),
    }),
  },
  { weight: 2, arbitrary: fc.record({ do: fc.constant('delete' as const), key }) },
  fc.record({ do: fc.constant('deleteBy' as const), user: value }),
  { weight: 2, arbitrary: fc.record({ do: fc.constant('batch' as const) }) },
  fc.record({ do: fc.constant('rollBack' as const) }),
)

test('whatever is done: a table is a map, each index is a filter, and nothing unwritten is looked at unnoticed', (t) => {
  const holds = fc.property(fc.array(step, { maxLength: 40 }), (steps) => {
    const sight = new Sight()
    const table = people(sight)
    const rows = new Map<string, Row>()
    /** The rows when the batch being written is on disk, and the rows on disk. */
    let [writing, disk]: [Rows, Rows] = [new Map(), new Map()]
    for (const one of steps) {
      if (one.do === 'set') {
        const row = one.mail === undefined ? { user: one.user } : { user: one.user, mail: one.mail }
        rows.set(one.key, row)
        table.set(one.key, row)
      } else if (one.do === 'delete') {
        rows.delete(one.key)
        table.delete(one.key)
      } else if (one.do === 'deleteBy') {
        for (const [name, row] of [...rows]) if (row.user === one.user) rows.delete(name)
        table.deleteBy('user', one.user)
      } else if (one.do === 'rollBack') {
        table.rollBack()
        writing = disk
        rows.clear()
        for (const [name, row] of disk) rows.set(name, row)
      } else {
        table.endBatch()
        disk = writing
        const batch = table.beginBatch()
        for (const { key, before } of batch) assert.deepEqual(before, disk.get(key), 'what stood there before')
        writing = written(
          disk,
          batch.map(({ key, row }) => [key, row]),
        )
        assert.deepEqual(writing, rows, 'what a batch carries')
      }
      const needs = (now: unknown, next: unknown, durable: unknown): number =>
        now !== next ? 2 : next !== durable ? 1 : 0
      for (const name of ['k1', 'k2', 'k3']) {
        sight.met = 0
        assert.equal(table.get(name), rows.get(name))
        assert.ok(sight.met >= needs(rows.get(name), writing.get(name), disk.get(name)), `get ${name}`)
      }
      for (const index of ['user', 'mail'] as const)
        for (const wanted of ['alice', 'bob', 'bob-2']) {
          const [now, next, durable] = [rows, writing, disk].map((some) => matching(some, index, wanted))
          sight.met = 0
          assert.equal(table.keysBy(index, wanted).sort().join(), now)
          assert.ok(sight.met >= needs(now, next, durable), `keysBy ${index} ${wanted}`)
          assert.equal(table.countBy(index, wanted), now === '' ? 0 : now!.split(',').length)
        }
      assert.equal(table.size, rows.size)
    }
  })
  t.notThrows(() => fc.assert(holds, { numRuns: 300 }))
})

type Rows = ReadonlyMap<string, Row>
const matching = (rows: Rows, index: 'user' | 'mail', wanted: string): string =>
  [...rows]
    .filter(([, row]) => row[index] === wanted)
    .map(([name]) => name)
    .sort()
    .join()

function written(disk: Rows, batch: [string, Row | undefined][]): Rows {
  const rows = new Map(disk)
  for (const [name, row] of batch) {
    if (row === undefined) rows.delete(name)
    else rows.set(name, row)
  }
  return rows
}
