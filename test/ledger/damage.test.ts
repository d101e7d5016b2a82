/** Damage to the files: it is refused at start, or `verify` names the first bad event; never is something silently gone. */
import assert from 'node:assert/strict'
import { cpSync, readdirSync, readFileSync, rmSync, truncateSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import test, { type ExecutionContext } from 'ava'
import { revokeUser } from '../../src/domain/users.ts'
import { BookUnusable } from '../../src/ledger/directory.ts'
import { Log } from '../../src/ledger/log.ts'
import { Refused } from '../../src/ledger/refused.ts'
import { SYSTEM, temporaryFolder } from '../_support.ts'
import { add, closedBook, databaseOf, open, todosOf, typesOf, withDatabase } from './_book.ts'

const eventKey = (seq: number): string => `log/${String(seq).padStart(16, '0')}`

/** A copy of a closed book, to be hurt. */
function copyOf(t: ExecutionContext, folder: string): string {
  const copy = temporaryFolder(t)
  cpSync(folder, copy, { recursive: true })
  return copy
}

const TODOS = Array.from({ length: 105 }, (_, i) => `todo ${i}`)

/** What came of a damaged book: it was refused, `verify` names the event, or it is whole. Anything else throws. */
async function outcome(folder: string): Promise<'refused' | 'named' | 'whole'> {
  let ledger: Awaited<ReturnType<typeof open>>
  try {
    ledger = await open(folder)
  } catch (error) {
    assert.ok(error instanceof BookUnusable, `refused without a word to the operator: ${(error as Error).message}`)
    return 'refused'
  }
  try {
    assert.deepEqual(await todosOf(ledger, 'alice'), TODOS, 'it answers something else than what was acknowledged')
    if ('fault' in (await ledger.verify())) return 'named'
    assert.equal((await typesOf(ledger)).filter((type) => type === 'TodoAdded').length, TODOS.length)
    return 'whole'
  } finally {
    await ledger.close()
  }
}

/** The newest file of the database of that kind. */
const fileOf = (folder: string, kind: RegExp): string =>
  join(
    folder,
    'book',
    readdirSync(join(folder, 'book'))
      .filter((name) => kind.test(name))
      .sort()
      .at(-1)!,
  )

/** A book as a server leaves it: its beginning in a table, several blocks of 32 kB in LevelDB's log. */
async function fresh(t: ExecutionContext): Promise<string> {
  const folder = await closedBook(t, 5)
  const ledger = await open(folder)
  for (const text of TODOS.slice(5)) await add(ledger, 'alice', text)
  await ledger.close()
  return folder
}
/** A book as the next start finds it packed: everything in tables. */
async function packed(t: ExecutionContext): Promise<string> {
  const folder = await fresh(t)
  await databaseOf(folder)
  return folder
}

/** What comes of it when every `step`-th bit of a file is flipped, one at a time. */
async function flip(t: ExecutionContext, folder: string, kind: RegExp, step: number): Promise<Set<string>> {
  const outcomes = new Set<string>()
  const wrong: string[] = []
  const bits = readFileSync(fileOf(folder, kind)).length * 8
  for (let bit = 3; bit < bits; bit += step) {
    const copy = copyOf(t, folder)
    const path = fileOf(copy, kind)
    const bytes = readFileSync(path)
    bytes[bit >> 3]! ^= 1 << (bit & 7)
    writeFileSync(path, bytes)
    try {
      outcomes.add(await outcome(copy))
    } catch (error) {
      wrong.push(`bit ${bit} of ${bits}: ${(error as Error).message.split('\n')[0]}`)
    }
    rmSync(copy, { recursive: true })
  }
  t.deepEqual(wrong, [])
  return outcomes
}

test('105. a bit flipped in LevelDB’s log: refused, or whole; no record is silently gone', async (t) => {
  const outcomes = await flip(t, await fresh(t), /log$/, 19_997)
  t.true(outcomes.has('refused'))
})

test('105. a bit flipped in the manifest: refused, or whole', async (t) => {
  t.false((await flip(t, await packed(t), /^MANIFEST/, 97)).has('named'))
})

test('103, 104. a log cut anywhere in its tail: refused, since all of it was acknowledged', async (t) => {
  const folder = await fresh(t)
  const { length } = readFileSync(fileOf(folder, /log$/))
  for (let missing = 1; missing < 3000; missing += 127) {
    const copy = copyOf(t, folder)
    truncateSync(fileOf(copy, /log$/), length - missing)
    t.is(await outcome(copy), 'refused', `${missing} bytes missing`)
    rmSync(copy, { recursive: true })
  }
})

test('106. each file of the database, deleted: refused, unless nothing is in it', async (t) => {
  for (const folder of [await fresh(t), await packed(t)])
    for (const name of readdirSync(join(folder, 'book'))) {
      const copy = copyOf(t, folder)
      const isEmpty = readFileSync(join(copy, 'book', name)).length === 0 || name.startsWith('LO')
      rmSync(join(copy, 'book', name))
      t.is(await outcome(copy), isEmpty ? 'whole' : 'refused', name)
    }
})

test('105. a row, or a value of the vault, that is not what was written is refused by name, and nothing is changed', async (t) => {
  const folder = await closedBook(t)
  const rows = (await databaseOf(folder)).filter(([key]) => /^(row|vault)\//.test(key))
  t.is(rows.length, 9)
  const damages: ((value: string) => string)[] = [
    (value) => value.replace(/.$/, (last) => (last === 'x' ? 'y' : 'x')),
    (value) => `${value} `,
    (value) => value.slice(0, -1),
    (value) => `00000000${value.slice(8)}`,
    () => '',
    () => rows[7]![1],
    (value) => value.toUpperCase(),
    (value) => value.slice(1),
  ]
  for (const [i, damage] of damages.entries()) {
    const [key, value] = rows[i % rows.length]!
    await withDatabase(folder, (db) => db.put(key, damage(value)))
    const before = await databaseOf(folder)
    const remedy = key.startsWith('row/') ? '.*"daybook rebuild".*' : 'Restore a backup; '
    const message = new RegExp(`${key} is damaged\\. ${remedy}[Nn]othing was changed`)
    await t.throwsAsync(open(folder), { instanceOf: BookUnusable, message })
    t.deepEqual(await databaseOf(folder), before)
    await withDatabase(folder, (db) => db.put(key, value))
  }
  await (await open(folder)).close()
})

test('105. a row under another’s key, or of a table that is not known, is refused', async (t) => {
  const folder = await closedBook(t)
  const [, value] = (await databaseOf(folder)).find(([key]) => key.startsWith('row/todos/'))!
  for (const key of ['row/todos/other', 'row/users/other', 'row/unknown/other', 'row/', 'row/todos']) {
    await withDatabase(folder, (db) => db.put(key, value))
    await t.throwsAsync(open(folder), { instanceOf: BookUnusable, message: /is damaged|is of no table|missing/ }, key)
    await withDatabase(folder, (db) => db.del(key))
  }
  await (await open(folder)).close()
})

/** A book whose events were read back and found to hold, so that a start does not look at them again. */
async function verifiedBook(t: ExecutionContext): Promise<string> {
  const folder = await closedBook(t)
  const [seq, hash] = readFileSync(join(folder, 'head'), 'utf8').trim().split(' ')
  const [key, value] = Log.verifiedChange({ seq: Number(seq), hash: hash! })
  await withDatabase(folder, (db) => db.put(key, value!))
  return folder
}

test('a damaged note of how far the chain holds accuses nobody: it is read from the first event on', async (t) => {
  const folder = await verifiedBook(t)
  await withDatabase(folder, async (db) => {
    const value = (await db.get('meta/verified'))!
    await db.put('meta/verified', `${value.slice(0, -1)}${value.endsWith('0') ? '1' : '0'}`)
  })
  const ledger = await open(folder)
  t.is(ledger.scrub.status.verified, 0)
  await ledger.close()
})

test('105. what came after the last start is verified by the next one', async (t) => {
  for (const [, seq, edit] of edits) {
    const folder = await closedBook(t)
    await withDatabase(folder, async (db) => {
      const line = edit((await db.get(eventKey(seq)))!)
      await (line === undefined ? db.del(eventKey(seq)) : db.put(eventKey(seq), line))
    })
    await t.throwsAsync(open(folder), { instanceOf: BookUnusable, message: new RegExp(`event ${seq} does not hold`) })
  }
})

const edits: [string, number, (line: string) => string | undefined][] = [
  ['a changed text', 3, (line) => line.replace('TodoAdded', 'TodoAddEd')],
  ['a changed time', 3, (line) => line.replace('T12:00', 'T12:01')],
  ['a changed hash', 3, (line) => line.replace(/"hash":"(.)/, (_, c) => `"hash":"${c === '0' ? '1' : '0'}`)],
  ['a blank more', 3, (line) => line.replace(':{', ': {')],
  ['half a line', 3, (line) => line.slice(0, line.length / 2)],
  ['nothing', 3, () => ''],
  ['a record that is missing', 3, () => undefined],
  ['the first record missing', 1, () => undefined],
  ['the first record changed', 1, (line) => line.replace('BookOpened', 'BookopeneD')],
]
for (const [name, seq, edit] of edits)
  test(`94. verify names the event where the book holds ${name}`, async (t) => {
    const folder = await verifiedBook(t)
    await withDatabase(folder, async (db) => {
      const line = edit((await db.get(eventKey(seq)))!)
      await (line === undefined ? db.del(eventKey(seq)) : db.put(eventKey(seq), line))
    })
    const ledger = await open(folder)
    t.like(await ledger.verify(), { seq })
    t.true('fault' in (await ledger.verify()))
    await ledger.close()
  })
for (const [name, seq, edit] of edits)
  test(`105. the scrub finds ${name}: nothing more is written, and the next start is refused and names it`, async (t) => {
    const folder = await verifiedBook(t)
    await withDatabase(folder, async (db) => {
      const line = edit((await db.get(eventKey(seq)))!)
      await (line === undefined ? db.del(eventKey(seq)) : db.put(eventKey(seq), line))
    })
    const ledger = await open(folder)
    while (ledger.scrub.status.fault === undefined && ledger.scrub.status.passed === undefined)
      await ledger.scrub.step()
    t.is(ledger.scrub.status.fault?.seq, seq)
    t.true(!ledger.status.writable && ledger.status.reason.startsWith(`event ${seq} does not hold: `))
    await t.throwsAsync(add(ledger, 'alice', 'no more'), { instanceOf: Refused })
    t.deepEqual(await todosOf(ledger, 'alice'), ['todo 0', 'todo 1', 'todo 2'], 'reading goes on')
    await ledger.close()
    for (const _ of ['at first', 'and again'])
      await t.throwsAsync(open(folder), { instanceOf: BookUnusable, message: new RegExp(`event ${seq} does not hold`) })
  })

test('105. any row or vault value that is gone, or an older one, is refused', async (t) => {
  const folder = await closedBook(t)
  const kept = (await databaseOf(folder)).filter(([key]) => /^(row|vault|meta\/tally)\//.test(key))
  t.is(kept.length, 11)
  for (const [key, value] of kept) {
    await withDatabase(folder, (db) => db.del(key))
    await t.throwsAsync(open(folder), { instanceOf: BookUnusable }, key)
    await withDatabase(folder, (db) => db.put(key, value))
  }
  const user = kept.find(([key]) => key.startsWith('row/users/'))!
  const ledger = await open(folder)
  await ledger.transact(SYSTEM, (state) => revokeUser(state, 'alice'))
  await ledger.close()
  const [[key, revoked]] = (await databaseOf(folder)).filter(([name]) => name === user[0]) as [[string, string]]
  t.not(revoked, user[1])
  await withDatabase(folder, (db) => db.put(key, user[1]))
  await t.throwsAsync(open(folder), { instanceOf: BookUnusable, message: /missing, or older.*daybook rebuild/ })
  await withDatabase(folder, (db) => db.put(key, revoked))
  await (await open(folder)).close()
})

test('94. verify names the event that was put in, swapped, or copied', async (t) => {
  const folder = await verifiedBook(t)
  const book = new Map((await databaseOf(folder)).filter(([key]) => key.startsWith('log/')))
  const line = (seq: number): string => book.get(eventKey(seq))!
  const tampered: [number, [number, string][]][] = [
    [
      3,
      [
        [3, line(4)],
        [4, line(3)],
      ],
    ],
    [4, [[4, line(2)]]],
    [2, [[2, line(1)]]],
    [
      2,
      [
        [2, line(3)],
        [3, line(4)],
      ],
    ],
  ]
  for (const [seq, changes] of tampered) {
    await withDatabase(folder, (db) =>
      db.batch(changes.map(([at, value]) => ({ type: 'put', key: eventKey(at), value }))),
    )
    const ledger = await open(folder)
    t.like(await ledger.verify(), { seq })
    await ledger.close()
    await withDatabase(folder, (db) => db.batch([...book].map(([key, value]) => ({ type: 'put', key, value }))))
  }
  const ledger = await open(folder)
  t.like(await ledger.verify(), ledger.head)
  await add(ledger, 'alice', 'goes on')
  t.is((await ledger.verify()).seq, 6)
  await ledger.close()
})

test('105. the last event, changed behind its hash: refused at start, before anything follows it', async (t) => {
  const folder = await closedBook(t)
  await withDatabase(folder, async (db) => {
    const line = (await db.get(eventKey(5)))!
    await db.put(eventKey(5), line.replace('TodoAdded', 'TodoAddEd'))
  })
  await t.throwsAsync(open(folder), { instanceOf: BookUnusable, message: /event 5/ })
})

test('105. the last event, no line at all: refused in words', async (t) => {
  const folder = await closedBook(t)
  await withDatabase(folder, (db) => db.put(eventKey(5), 'x'))
  await t.throwsAsync(open(folder), { instanceOf: BookUnusable, message: /5/ })
})

test('105. an event after the witness that does not follow the one before it: refused at start', async (t) => {
  const folder = await closedBook(t)
  await withDatabase(folder, async (db) => {
    const line = (await db.get(eventKey(3)))!
    writeFileSync(join(folder, 'head'), `${'3'.padStart(16, '0')} ${JSON.parse(line).hash}\n`)
    await db.del(eventKey(4))
  })
  await t.throwsAsync(open(folder), { instanceOf: BookUnusable, message: /event 4/ })
})
