/** The head witness: a book that comes back shorter than it was, or as another one, is refused at start. */
import { cpSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import test, { type ExecutionContext } from 'ava'
import { BookUnusable } from '../../src/ledger/directory.ts'
import { Witness } from '../../src/ledger/witness.ts'
import { temporaryFolder } from '../_support.ts'
import { add, closedBook, databaseOf, open, register, startBook, todosOf, withDatabase } from './_book.ts'

const headOf = (folder: string): string => readFileSync(join(folder, 'head'), 'utf8')
const setHead = (folder: string, text: string): void => writeFileSync(join(folder, 'head'), text)
const lineOf = (seq: number, hash: string): string => `${String(seq).padStart(16, '0')} ${hash}\n`

/** Refused, told in these words, and nothing of the book changed. */
async function refused(t: ExecutionContext, folder: string, message: RegExp): Promise<void> {
  const [before, head] = [await databaseOf(folder), headOf(folder)]
  for (const _ of ['at first', 'and again']) await t.throwsAsync(open(folder), { instanceOf: BookUnusable, message })
  t.deepEqual(await databaseOf(folder), before)
  t.is(headOf(folder), head)
}

/** Takes the last events out of a closed book, and everything that was written with them stays. */
const cut = (folder: string, from: number, to: number): Promise<void> =>
  withDatabase(folder, async (db) => {
    for (let seq = from; seq <= to; seq++) await db.del(`log/${String(seq).padStart(16, '0')}`)
  })

test('the witness says where the book ends, each time something was written', async (t) => {
  const { ledger, folder } = await startBook(t)
  for (let i = 0; i < 3; i++) {
    await add(ledger, 'alice', `todo ${i}`)
    t.is(headOf(folder), lineOf(ledger.head.seq, ledger.head.hash))
  }
  t.is(ledger.head.seq, 5)
  t.is(statSync(join(folder, 'head')).mode & 0o777, 0o600)
})

test('95. a book whose tail is missing is refused', async (t) => {
  for (const from of [5, 4, 2]) {
    const folder = await closedBook(t)
    await cut(folder, from, 5)
    await refused(t, folder, new RegExp(`ends at event ${from - 1}, but .*head has seen 5\\. Restore a backup`))
  }
})

test('95. a book that was emptied is refused', async (t) => {
  const folder = await closedBook(t)
  await cut(folder, 1, 5)
  await refused(t, folder, /ends at event 0, but .*head has seen 5/)
})

test('95. a book rolled back to an earlier day is refused', async (t) => {
  const folder = await closedBook(t)
  const yesterday = temporaryFolder(t)
  cpSync(join(folder, 'book'), join(yesterday, 'book'), { recursive: true })
  const ledger = await open(folder)
  await add(ledger, 'alice', 'today')
  await ledger.close()
  rmSync(join(folder, 'book'), { recursive: true })
  cpSync(join(yesterday, 'book'), join(folder, 'book'), { recursive: true })
  await refused(t, folder, /ends at event 5, but .*head has seen 6/)
})

test('95. another book in its place, as long or longer, is refused', async (t) => {
  for (const todos of [3, 4]) {
    const [folder, other] = [await closedBook(t, 3), await closedBook(t, todos)]
    rmSync(join(folder, 'book'), { recursive: true })
    cpSync(join(other, 'book'), join(folder, 'book'), { recursive: true })
    await refused(t, folder, /event 5 is not the one that .*head has seen\. Restore a backup/)
  }
})

test('95. another book in its place, verified as far as our witness at an earlier start of its own, is refused', async (t) => {
  const [folder, other] = [await closedBook(t, 3), await closedBook(t, 4)]
  await (await open(other)).close()
  rmSync(join(folder, 'book'), { recursive: true })
  cpSync(join(other, 'book'), join(folder, 'book'), { recursive: true })
  await refused(t, folder, /event 5 is not the one that .*head has seen/)
})

test('95. an empty database beside a witness is no new book', async (t) => {
  const folder = await closedBook(t)
  await withDatabase(folder, (db) => db.clear())
  await refused(t, folder, /its beginning is missing/)
})

test('95. a book without its witness is refused; who has noted its head can put that there', async (t) => {
  const folder = await closedBook(t)
  const head = headOf(folder)
  rmSync(join(folder, 'head'))
  const { message } = (await t.throwsAsync(open(folder), { instanceOf: BookUnusable, message: /head is missing/ }))!
  t.true(message.includes(`5 ${head.slice(17, 81)}`))
  setHead(folder, head)
  const ledger = await open(folder)
  t.deepEqual(await todosOf(ledger, 'alice'), ['todo 0', 'todo 1', 'todo 2'])
  await ledger.close()
})

test('a witness that is none is refused, in words for who has to mend it', async (t) => {
  const folder = await closedBook(t)
  const good = headOf(folder)
  const wrong = [
    '',
    'x',
    good.trimEnd(),
    `${good}\n`,
    good.toUpperCase(),
    good.slice(1),
    ` ${good}`,
    '\0'.repeat(82),
    `${good}${good}`,
  ]
  for (const text of wrong) {
    setHead(folder, text)
    await refused(t, folder, text === '' ? /head is missing or empty/ : /head is damaged/)
  }
})

test('95. a witness that has seen more, or something else, is refused', async (t) => {
  const folder = await closedBook(t)
  const hash = headOf(folder).slice(17, 81)
  for (const [seq, other] of [
    [6, hash],
    [2 ** 50, hash],
    [5, '0'.repeat(64)],
    [4, hash],
    [1, hash],
  ] as const) {
    setHead(folder, lineOf(seq, other))
    await refused(t, folder, seq > 5 ? /ends at event 5/ : new RegExp(`event ${seq} is not the one`))
  }
})

test('96. a witness that was left behind by a kill is brought up to date', async (t) => {
  const folder = await closedBook(t)
  const [head, database] = [headOf(folder), await databaseOf(folder)]
  for (const seq of [1, 3, 4]) {
    const line = database.find(([key]) => key === `log/${String(seq).padStart(16, '0')}`)![1]
    setHead(folder, lineOf(seq, JSON.parse(line).hash))
    const ledger = await open(folder)
    t.is(headOf(folder), head)
    t.is((await todosOf(ledger, 'alice')).length, 3)
    await ledger.close()
  }
})

test('96. a kill between the first event and its witness is no damage', async (t) => {
  const folder = temporaryFolder(t)
  await (await open(folder)).close()
  rmSync(join(folder, 'head'))
  const ledger = await open(folder)
  t.is(ledger.head.seq, 1)
  await register(ledger, 'alice')
  await ledger.close()
  t.is(headOf(folder).slice(0, 16), '0000000000000002')
})

test('a witness holds what was written last, and is read as it was written', (t) => {
  const path = join(temporaryFolder(t), 'head')
  const [a, b] = ['a'.repeat(64), 'b'.repeat(64)]
  t.is(Witness.read(path), undefined)
  const witness = Witness.open(path, { seq: 0, hash: a })
  t.deepEqual(Witness.read(path), { seq: 0, hash: a })
  witness.write({ seq: 9_007_199_254_740_991, hash: b })
  t.deepEqual(Witness.read(path), { seq: 9_007_199_254_740_991, hash: b })
  t.is(readFileSync(path).length, 82)
  witness.close()
  t.notThrows(() => witness.close())
})
