/** Backup, restore, rebuild and erasure: what comes back, what is refused, and what is gone for good. */
import { chmodSync, cpSync, mkdirSync, readdirSync, renameSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { zstdCompressSync, zstdDecompressSync } from 'node:zlib'
import test, { type ExecutionContext } from 'ava'
import { usersOf } from '../../src/domain/search.ts'
import { accept } from '../../src/domain/shape.ts'
import { eraseUser, userKeyName } from '../../src/domain/users.ts'
import { backUp, restore } from '../../src/ledger/backup.ts'
import { BookUnusable } from '../../src/ledger/directory.ts'
import type { Ledger } from '../../src/ledger/ledger.ts'
import { Log } from '../../src/ledger/log.ts'
import { compareRows, rebuildRows } from '../../src/ledger/rebuild.ts'
import { dump, SYSTEM, temporaryFolder } from '../_support.ts'
import { add, closedBook, databaseOf, filesIn, open, register, startBook, todosOf, withDatabase } from './_book.ts'

async function backupOf(ledger: Ledger): Promise<Buffer> {
  return Buffer.concat(await Array.fromAsync((await backUp(ledger, SYSTEM, { version: 'test' })).bytes))
}

/** A ledger with two people, some to-dos, and more than one block of events. */
async function filled(t: ExecutionContext) {
  const book = await startBook(t)
  await register(book.ledger, 'bob')
  await Promise.all(Array.from({ length: 300 }, (_, i) => add(book.ledger, i % 3 === 0 ? 'bob' : 'alice', `todo ${i}`)))
  return book
}

test('109. a backup of a book that is being written to ends at its head, and comes back as it was then', async (t) => {
  const { ledger } = await filled(t)
  const { head, bytes } = await backUp(ledger, SYSTEM, { version: 'test' })
  const rows = await ledger.read(dump)
  const parts: Buffer[] = []
  for await (const part of bytes) {
    parts.push(part)
    await add(ledger, 'alice', 'written meanwhile')
  }
  const folder = join(temporaryFolder(t), 'new')
  t.deepEqual(await restore(folder, parts), head)
  const restored = await open(folder)
  t.deepEqual([restored.head, await restored.read(dump)], [head, rows])
  t.deepEqual(await todosOf(restored, 'bob'), (await todosOf(ledger, 'bob')).slice(0, 100))
  t.like(await restored.verify(), head)
  t.is(restored.scrub.status.verified, head.seq)
  await add(restored, 'alice', 'and it goes on')
  await restored.close()
  const [last] = await Array.fromAsync(ledger.events({ from: head.seq, to: head.seq }))
  t.is(last!.type, 'BookBackedUp')
})

test('a backup that was cut off or changed anywhere is refused, and leaves nothing behind', async (t) => {
  const { ledger } = await filled(t)
  const whole = await backupOf(ledger)
  const lines = zstdDecompressSync(whole).toString().trimEnd().split('\n')
  const packed = (changed: readonly string[]): Buffer => zstdCompressSync(Buffer.from(`${changed.join('\n')}\n`))
  const vaultAt = lines.findIndex((line) => line.startsWith('{"vault":"key/alice"'))
  const bad: { readonly [what: string]: Buffer } = {
    nothing: Buffer.alloc(0),
    'no backup': Buffer.from('hello'),
    'half of it': whole.subarray(0, whole.length / 2),
    'all but its last bytes': whole.subarray(0, -16),
    'a flipped bit': Buffer.from(whole.map((byte, i) => (i === whole.length >> 1 ? byte ^ 4 : byte))),
    'no end': packed(lines.slice(0, -1)),
    'no header': packed(lines.slice(1)),
    'an event less': packed(lines.toSpliced(-2, 1)),
    'an event edited': packed(lines.with(-3, lines.at(-3)!.replace('"system"', '"operator"'))),
    'a secret edited': packed(lines.with(vaultAt, lines[vaultAt]!.replace(/"value":"./, '"value":"~'))),
    'a secret less': packed(lines.toSpliced(vaultAt, 1)),
    'something behind its end': packed([...lines, lines[1]!]),
    'another end': packed(lines.with(-1, '{"end":"00"}')),
    'a newer format': packed(lines.with(0, lines[0]!.replace('"format":3', '"format":9'))),
    'an older format': packed(lines.with(0, lines[0]!.replace('"format":3', '"format":2'))),
    'an export': packed(lines.filter((line) => line.startsWith('{"hash"'))),
  }
  const folder = join(temporaryFolder(t), 'new')
  for (const [what, bytes] of Object.entries(bad)) {
    await t.throwsAsync(restore(folder, [bytes]), { instanceOf: BookUnusable, message: /backup/ }, what)
    t.deepEqual(readdirSync(folder), ['.lock'], what)
  }
  t.is((await restore(folder, [whole])).seq, ledger.head.seq)
})

test('a restore wants an empty directory, and touches no other', async (t) => {
  const { ledger } = await filled(t)
  const whole = await backupOf(ledger)
  const [book, damaged] = [await closedBook(t), await closedBook(t)]
  const [foreign, novel] = [temporaryFolder(t), temporaryFolder(t)]
  writeFileSync(join(foreign, 'letter'), 'dear')
  mkdirSync(join(novel, 'book'))
  writeFileSync(join(novel, 'book', 'chapter 1'), 'once')
  // What a restore that was cut off at its very end leaves behind makes a damaged book no free place.
  mkdirSync(join(damaged, '.restoring'))
  rmSync(join(damaged, 'book', 'CURRENT'))
  for (const folder of [book, foreign, novel, damaged]) {
    const before = filesIn(folder)
    await t.throwsAsync(restore(folder, [whole]), { instanceOf: BookUnusable, message: /is not empty/ })
    t.deepEqual(filesIn(folder), before)
  }
  const left = join(temporaryFolder(t), 'cut off')
  mkdirSync(join(left, '.restoring'), { recursive: true })
  writeFileSync(join(left, '.restoring', 'x'), 'left behind by a kill')
  t.is((await restore(left, [whole])).seq, ledger.head.seq)
  t.deepEqual(readdirSync(left).sort(), ['.lock', 'book', 'head'])
})

test('a restore that was cut off anywhere is no book until it was run again', async (t) => {
  const { ledger } = await filled(t)
  const whole = await backupOf(ledger)
  const restored = join(temporaryFolder(t), 'restored')
  await restore(restored, [whole])
  const cuts: { [what: string]: (folder: string) => void } = {
    'while it was made': (folder) => rmSync(join(folder, '.restoring', 'head')),
    'before anything was put in its place': () => {},
    'after a first start that was cut off': (folder) => rmSync(join(folder, '.restoring', 'head')),
    'between head and book': (folder) => renameSync(join(folder, '.restoring', 'head'), join(folder, 'head')),
  }
  for (const [what, cut] of Object.entries(cuts)) {
    const folder = temporaryFolder(t)
    cpSync(restored, join(folder, '.restoring'), { recursive: true })
    cut(folder)
    await t.throwsAsync(open(folder), { instanceOf: BookUnusable, message: /was cut off: run it again/ }, what)
    await t.throwsAsync(restore(folder, [whole.subarray(0, 99)]), { instanceOf: BookUnusable, message: /backup/ }, what)
    t.is((await restore(folder, [whole])).seq, ledger.head.seq, what)
    await (await open(folder)).close()
  }
  // All is in its place, and only the empty folder is left.
  mkdirSync(join(restored, '.restoring'))
  await t.throwsAsync(restore(restored, [whole]), { instanceOf: BookUnusable, message: /is not empty/ })
  await (await open(restored)).close()
})

test('a restore into a folder that others can enter, or after a first start that was cut off, is for its owner only', async (t) => {
  const { ledger } = await filled(t)
  const folder = temporaryFolder(t)
  chmodSync(folder, 0o755)
  mkdirSync(join(folder, 'book'))
  writeFileSync(join(folder, 'book', 'LOG'), '')
  await restore(folder, [await backupOf(ledger)])
  t.is(statSync(folder).mode & 0o777, 0o700)
  chmodSync(folder, 0o755)
  await (await open(folder)).close()
  t.is(statSync(folder).mode & 0o777, 0o700, 'a start closes what was opened to others')
})

test('105. rows that are hurt are made anew from the events; nothing else can be', async (t) => {
  const folder = await closedBook(t, 20)
  const whole = await databaseOf(folder)
  const rows = whole.filter(([key]) => /^(row|meta\/tally\/row)/.test(key))
  for (const hurt of [
    (): Promise<unknown> => withDatabase(folder, (db) => db.del(rows[1]![0])),
    (): Promise<unknown> => withDatabase(folder, (db) => db.put(rows.at(-1)![0], 'x')),
    (): Promise<unknown> => withDatabase(folder, (db) => db.put('row/todos/none', rows[0]![1])),
    (): Promise<unknown> => withDatabase(folder, (db) => db.put('meta/tally/row', 'being rebuilt')),
    (): Promise<unknown> => withDatabase(folder, (db) => db.batch(rows.map(([key]) => ({ type: 'del', key })))),
  ]) {
    await hurt()
    await t.throwsAsync(open(folder), { instanceOf: BookUnusable, message: /daybook rebuild/ })
    t.is((await rebuildRows(folder)).head.seq, 22)
    t.deepEqual(await databaseOf(folder), whole)
  }
  const ledger = await open(folder)
  const { view, vault, close } = ledger.snapshot()
  t.deepEqual(await compareRows(view, vault), { rows: 21, wrong: 0, first: undefined })
  await close()
  await ledger.close()
  await withDatabase(folder, (db) => db.del('log/0000000000000007'))
  await t.throwsAsync(rebuildRows(folder), { instanceOf: BookUnusable, message: /event 7 does not hold/ })
  rmSync(folder, { recursive: true })
  await t.throwsAsync(rebuildRows(folder), { instanceOf: BookUnusable, message: /no book/ })
})

test('what is erased is unreadable in the book and its exports, gone from the disk, and the chain holds', async (t) => {
  const { ledger, folder, reopen } = await filled(t)
  const key = ledger.secret(userKeyName('bob'))!
  const bytes = [key, Buffer.from(key, 'base64').toString('latin1'), 'hash of bob']
  const found = (): string[] => {
    const all = Object.values(filesIn(folder)).join('')
    return bytes.filter((word) => all.includes(word))
  }
  t.true(found().length > 0, 'it is on disk before')
  await ledger.transact(SYSTEM, (state) => eraseUser(state, 'BOB'))
  t.true(await ledger.purge())
  const check = async (now: Ledger): Promise<void> => {
    t.deepEqual(found(), [])
    let his = 0
    for await (const event of now.events())
      if (usersOf(event).includes('bob') && event.sealed !== undefined) {
        t.is(event.sealed.open, undefined)
        his++
      }
    t.true(his > 1)
    t.deepEqual(await todosOf(now, 'bob'), [])
    t.is((await todosOf(now, 'alice')).length, 200)
    t.false('fault' in (await now.verify()))
  }
  await check(ledger)
  await check(await reopen())
})

test('writes from two sides at once leave the tallies right: erasing while somebody writes', async (t) => {
  const { ledger, reopen } = await startBook(t)
  for (let i = 0; i < 20; i++) await register(ledger, `bob-${i}`)
  for (let i = 0; i < 20; i++) {
    await ledger.transact(SYSTEM, (state) => eraseUser(state, `bob-${i}`))
    const adding = add(ledger, 'alice', `todo ${i}`)
    // The batch of the one is on its way when the other begins.
    for (let turn = 0; turn < i % 5; turn++) await Promise.resolve()
    await Promise.all([ledger.purge(), adding])
  }
  await reopen()
  t.pass()
})

test('a backup of a book that does not hold fails, and says where', async (t) => {
  const folder = await closedBook(t, 10)
  const [seq, hash] = (await databaseOf(folder))
    .filter(([key]) => key.startsWith('log/'))
    .map(([, line]) => line.slice(9, 73))
    .map((one, i) => [i + 1, one] as const)
    .at(-1)!
  const [key, value] = Log.verifiedChange({ seq, hash })
  await withDatabase(folder, (db) =>
    db.batch([
      { type: 'put', key, value: value! },
      { type: 'del', key: 'log/0000000000000007' },
    ]),
  )
  const ledger = await open(folder)
  await t.throwsAsync(backupOf(ledger), { message: /event 7 does not hold/ })
  await ledger.close()
})

test('a secret of a name that was deleted before stays, whatever is purged', async (t) => {
  const { ledger, folder, reopen } = await filled(t)
  const keep = (current: typeof ledger, value: string | undefined) =>
    current.transact(SYSTEM, () => accept([], undefined, { 'client-secret/x': value }))
  await keep(ledger, 'one')
  await keep(ledger, undefined)
  const again = await reopen()
  await keep(again, 'two')
  t.true(await again.purge())
  const last = await reopen()
  t.is(last.secret('client-secret/x'), 'two')
  await keep(last, undefined)
  await Promise.all([last.purge(), keep(last, 'three')])
  t.true(await last.purge())
  t.is((await reopen()).secret('client-secret/x'), 'three')
  const again2 = await reopen()
  await keep(again2, undefined)
  await keep(again2, 'four')
  await reopen()
  t.true(await (await reopen()).purge())
  t.false(Object.values(filesIn(folder)).join().includes('three'), 'the old one is off the disk')
})

test('what purge calls done is gone from the disk, however many read meanwhile', async (t) => {
  const { ledger, folder } = await filled(t)
  let done = 0
  for (let i = 0; i < 25; i++) {
    const user = `gone-${i}`
    await register(ledger, user)
    const key = ledger.secret(userKeyName(user))!
    await ledger.transact(SYSTEM, (state) => eraseUser(state, user))
    const reading = (async () => {
      for (let turn = 0; turn < i; turn++) await Array.fromAsync(ledger.events({ from: 1, to: 200 }))
    })()
    if (await ledger.purge()) {
      done++
      t.false(Object.values(filesIn(folder)).join().includes(key), `erasure ${i}`)
    }
    await reading
  }
  t.true(done > 0)
  t.true(await ledger.purge())
})

test('who reads at length keeps erased bytes on the disk; they go when the reading has ended', async (t) => {
  const { ledger } = await filled(t)
  const { close } = ledger.snapshot()
  await ledger.transact(SYSTEM, (state) => eraseUser(state, 'bob'))
  t.false(await ledger.purge())
  await close()
  t.true(await ledger.purge())
  t.true(await ledger.purge(), 'and then there is nothing left to do')
})

test('of two restores into one directory at once one makes the book, and the other is refused', async (t) => {
  const { ledger } = await filled(t)
  const whole = await backupOf(ledger)
  const folder = join(temporaryFolder(t), 'new')
  const outcomes = await Promise.allSettled([restore(folder, [whole]), restore(folder, [whole])])
  t.deepEqual(outcomes.map(({ status }) => status).sort(), ['fulfilled', 'rejected'])
  const { reason } = outcomes.find(({ status }) => status === 'rejected') as PromiseRejectedResult
  t.true(reason instanceof BookUnusable, String(reason))
  const restored = await open(folder)
  t.like(await restored.verify(), ledger.head)
  await restored.close()
})
