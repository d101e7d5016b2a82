/** Opening a book: a new one, one's own again, and every folder that is refused instead, with nothing in it changed. */
import {
  cpSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs'
import { join } from 'node:path'
import test, { type ExecutionContext } from 'ava'
import { Level } from 'level'
import { BookUnusable } from '../../src/ledger/directory.ts'
import { Ledger } from '../../src/ledger/ledger.ts'
import { Clock, dump, SYSTEM, temporaryFolder, wait } from '../_support.ts'
import {
  add,
  closedBook,
  databaseOf,
  elsewhere,
  filesIn,
  open,
  register,
  startBook,
  todosOf,
  typesOf,
  withDatabase,
} from './_book.ts'

const refusedWith = (t: ExecutionContext, directory: string, message: RegExp): Promise<unknown> =>
  t.throwsAsync(open(directory), { instanceOf: BookUnusable, message })

/** The first book is unharmed: it still writes, and what it writes is there after a restart. */
async function unharmed(t: ExecutionContext, ledger: Ledger, folder: string): Promise<void> {
  await add(ledger, 'alice', 'still here')
  t.deepEqual(await todosOf(ledger, 'alice'), ['still here'])
  await ledger.close()
  const again = await open(folder)
  t.deepEqual(await todosOf(again, 'alice'), ['still here'])
  await again.close()
}

test('a folder that is not there becomes a book, for its owner only', async (t) => {
  const folder = join(temporaryFolder(t), 'deep', 'data')
  const ledger = await open(folder)
  t.deepEqual(await typesOf(ledger), ['BookOpened'])
  t.is(statSync(folder).mode & 0o777, 0o700)
  t.is(readFileSync(join(folder, 'lock'), 'utf8'), `${process.pid}\n`)
  for (const file of ['lock', 'head']) t.is(statSync(join(folder, file)).mode & 0o777, 0o600, file)
  await ledger.close()
  t.deepEqual(readdirSync(folder).sort(), ['.lock', 'book', 'head'])
})

test('an empty folder, or one with hidden files only, becomes a book, for its owner only', async (t) => {
  for (const file of [undefined, '.gitignore']) {
    const folder = join(temporaryFolder(t), 'data')
    mkdirSync(folder, { mode: 0o755 })
    if (file !== undefined) writeFileSync(join(folder, file), '*')
    await (await open(folder)).close()
    t.is(statSync(folder).mode & 0o777, 0o700)
    if (file !== undefined) t.is(readFileSync(join(folder, file), 'utf8'), '*')
  }
})

test('a book opens again with all its rows, and records that it was opened only when told to', async (t) => {
  const folder = await closedBook(t)
  const first = await open(folder)
  const [rows, { head }] = [await first.read(dump), first]
  await first.close()
  const second = await open(folder)
  t.deepEqual([await second.read(dump), second.head], [rows, head])
  await second.close()
  const options = { directory: folder, clock: new Clock().read, version: '9.9.9' }
  const third = await Ledger.open(options)
  await third.announce()
  await third.announce()
  t.is(third.head.seq, head.seq + 1)
  const [event] = await Array.fromAsync(third.events({ from: third.head.seq }))
  t.like(event, { type: 'BookOpened', data: { version: '9.9.9' }, actor: { kind: 'system', id: 'daybook' } })
  await third.close()
})

test('108. a second opener in the same process is refused, by every way to the folder, and the first is unharmed', async (t) => {
  const folder = temporaryFolder(t)
  const ledger = await open(folder)
  await register(ledger, 'alice')
  const link = join(temporaryFolder(t), 'link')
  symlinkSync(folder, link)
  for (const way of [folder, `${folder}/`, `${folder}/../${folder.split('/').at(-1)}`, link])
    await refusedWith(t, way, /is open in this process already/)
  // The trap: after that refusal the system's lock must still keep others out.
  const { stdout, code } = await elsewhere(folder, OPEN)
  t.deepEqual([stdout, code], [`BookInUse ${folder} is in use by process ${process.pid}\n`, 0])
  await unharmed(t, ledger, folder)
})

const OPEN = `
try {
  await Ledger.open({ directory: folder, clock: Date.now, version: 'other' })
  console.log('opened')
} catch (error) {
  console.log(error.name, error.message)
}`

test('108. a second opener in another process is refused, told who holds the book, and the first is unharmed', async (t) => {
  const folder = temporaryFolder(t)
  const ledger = await open(folder)
  await register(ledger, 'alice')
  const { head } = ledger
  for (const _ of [1, 2]) {
    const { stdout, code } = await elsewhere(folder, OPEN)
    t.deepEqual([stdout, code], [`BookInUse ${folder} is in use by process ${process.pid}\n`, 0])
  }
  t.deepEqual([ledger.head, readFileSync(join(folder, 'lock'), 'utf8')], [head, `${process.pid}\n`])
  await unharmed(t, ledger, folder)
})

test('108. a second opener is refused also while the first has its database closed, as between two tries to recover', async (t) => {
  const folder = temporaryFolder(t)
  const ledger = await open(folder)
  await register(ledger, 'alice')
  const current = join(folder, 'book', 'CURRENT')
  renameSync(current, `${current}.away`)
  const impossible = { type: 'UserRegistered', data: { user: 'none', admin: false } }
  await ledger.transact(SYSTEM, () => ({ facts: [impossible as never], result: undefined })).catch(() => {})
  // The first try to open it again fails: CURRENT is not there. The next one comes a second later.
  while (ledger.status.writable || !ledger.status.reason.includes('CURRENT')) await wait(5)
  renameSync(`${current}.away`, current)
  const { stdout, code } = await elsewhere(folder, OPEN)
  t.deepEqual([stdout, code], [`BookInUse ${folder} is in use by process ${process.pid}\n`, 0])
  while (!ledger.status.writable) await wait(20)
  await unharmed(t, ledger, folder)
})

test('108. two openers at once: one gets the book, the other is refused', async (t) => {
  const folder = temporaryFolder(t)
  const results = await Promise.allSettled([open(folder), open(folder), open(folder)])
  t.deepEqual(results.map(({ status }) => status).sort(), ['fulfilled', 'rejected', 'rejected'])
  for (const result of results) {
    if (result.status === 'fulfilled') await result.value.close()
    else t.true(result.reason instanceof BookUnusable)
  }
  await (await open(folder)).close()
})

test('a closed book is free: for this process, and for another one', async (t) => {
  const folder = await closedBook(t)
  t.is((await elsewhere(folder, OPEN)).stdout, 'opened\n')
  const ledger = await open(folder)
  await ledger.close()
  await t.notThrowsAsync(ledger.close(), 'closing twice is closing')
})

test('a lock that a kill left behind keeps nobody out', async (t) => {
  const folder = await closedBook(t)
  writeFileSync(join(folder, 'lock'), '1\n')
  const ledger = await open(folder)
  t.is(readFileSync(join(folder, 'lock'), 'utf8'), `${process.pid}\n`)
  await ledger.close()
})

test('an open that failed half-way holds nothing: it can be tried again', async (t) => {
  const folder = await closedBook(t)
  mkdirSync(join(folder, 'lock'))
  await t.throwsAsync(open(folder))
  rmSync(join(folder, 'lock'), { recursive: true })
  const ledger = await open(folder)
  t.is((await todosOf(ledger, 'alice')).length, 3)
  await ledger.close()
})

const foreign: [string, (folder: string) => void][] = [
  ['a file', (folder) => writeFileSync(join(folder, 'notes.txt'), 'mine')],
  ['another program’s folder', (folder) => mkdirSync(join(folder, 'src'))],
  ['a lock and nothing else', (folder) => writeFileSync(join(folder, 'lock'), '1\n')],
  [
    'what another program calls .lock',
    (folder) => {
      mkdirSync(join(folder, '.lock'))
      writeFileSync(join(folder, '.lock', 'owner'), 'mine')
      writeFileSync(join(folder, 'thesis.txt'), 'mine')
    },
  ],
  [
    'a folder called book that is none',
    (folder) => {
      mkdirSync(join(folder, 'book'))
      writeFileSync(join(folder, 'book', 'chapter1.txt'), 'mine')
    },
  ],
  [
    'an unfinished book and something else',
    (folder) => {
      mkdirSync(join(folder, 'book'))
      writeFileSync(join(folder, 'photos'), 'mine')
    },
  ],
]
for (const [name, fill] of foreign)
  test(`a folder with ${name} is refused, and nothing in it is changed`, async (t) => {
    const folder = join(temporaryFolder(t), 'data')
    mkdirSync(folder, { mode: 0o755 })
    fill(folder)
    const before = filesIn(folder)
    await refusedWith(t, folder, /is not empty and holds no book: choose another DATA_DIR \(found /)
    t.deepEqual(filesIn(folder), before)
    t.is(statSync(folder).mode & 0o777, 0o755)
  })

test('a file where the folder should be is refused, and is not changed', async (t) => {
  const path = join(temporaryFolder(t), 'data')
  writeFileSync(path, 'mine')
  await t.throwsAsync(open(path))
  t.is(readFileSync(path, 'utf8'), 'mine')
})

test('106. a book without CURRENT is refused as damaged, and nothing is changed', async (t) => {
  const folder = await closedBook(t)
  rmSync(join(folder, 'book', 'CURRENT'))
  const before = filesIn(folder)
  for (const what of ['at first', 'and again', 'with something beside it']) {
    if (what.startsWith('with')) writeFileSync(join(folder, 'backup.zst'), 'mine')
    await refusedWith(t, folder, /book\/CURRENT is missing\. Restore a backup; nothing was changed/)
  }
  rmSync(join(folder, 'backup.zst'))
  t.deepEqual(filesIn(folder), before)
})

test('106. a book that is not there beside its witness is damage, not a new book', async (t) => {
  const folder = await closedBook(t)
  rmSync(join(folder, 'book'), { recursive: true })
  const before = filesIn(folder)
  await refusedWith(t, folder, /is damaged/)
  t.deepEqual(filesIn(folder), before)
})

const setFormat = (folder: string, format: string | undefined): Promise<void> =>
  withDatabase(folder, (db) => (format === undefined ? db.del('meta/format') : db.put('meta/format', format)))

test('a book of another format is refused, told which, and nothing in it is changed', async (t) => {
  for (const format of ['3', '5', '', '4 ', '04']) {
    const folder = await closedBook(t)
    await setFormat(folder, format)
    const [database, head] = [await databaseOf(folder), readFileSync(join(folder, 'head'), 'utf8')]
    await refusedWith(t, folder, new RegExp(`has format ${format}[;,] .*reads format 4. Nothing was changed`))
    t.deepEqual(await databaseOf(folder), database)
    t.is(readFileSync(join(folder, 'head'), 'utf8'), head)
    await setFormat(folder, '4')
    await (await open(folder)).close()
  }
})

test('a database of somebody else’s is refused, and nothing in it is changed', async (t) => {
  const folder = temporaryFolder(t)
  const db = new Level<string, string>(join(folder, 'book'))
  await db.put('theirs', 'value')
  await db.close()
  await refusedWith(t, folder, /is damaged: its beginning is missing/)
  t.deepEqual(await databaseOf(folder), [['theirs', 'value']])
})

/** What a first start leaves behind that is killed before anything was recorded or answered. */
const unborn: [string, (folder: string) => Promise<void>][] = [
  [
    'before the database had its first file',
    async (folder) => {
      mkdirSync(join(folder, 'book'))
      writeFileSync(join(folder, 'book', 'LOCK'), '')
      writeFileSync(join(folder, 'book', 'LOG'), '')
    },
  ],
  [
    'before anything was written to the database',
    async (folder) => {
      const db = new Level(join(folder, 'book'))
      await db.open()
      await db.close()
    },
  ],
  [
    'while the witness was being made',
    async (folder) => {
      await (await open(folder)).close()
      writeFileSync(join(folder, 'head'), '')
    },
  ],
]
for (const [when, leave] of unborn)
  test(`99. a first start that was killed ${when} can be made again`, async (t) => {
    const folder = temporaryFolder(t)
    await leave(folder)
    const ledger = await open(folder)
    t.deepEqual(await typesOf(ledger), ['BookOpened'])
    await ledger.close()
  })

test('a copy of a book is a book', async (t) => {
  const { ledger, folder } = await startBook(t)
  await add(ledger, 'alice', 'copied')
  const copy = temporaryFolder(t)
  // As a kill would leave it: everything that was answered, and a lock whose holder is gone.
  cpSync(folder, copy, { recursive: true, filter: (path) => !path.endsWith('LOCK') })
  const second = await open(copy)
  t.deepEqual([await second.read(dump), second.head], [await ledger.read(dump), ledger.head])
  await second.close()
})
