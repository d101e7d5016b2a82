/** Failed writes, really failed: the first error is final for the handle, what was answered is kept, and it recovers by itself. */
import { execFile, spawnSync } from 'node:child_process'
import { join } from 'node:path'
import { promisify } from 'node:util'
import test, { type ExecutionContext } from 'ava'
import type { Event } from '../../src/domain/domain.ts'
import { accept } from '../../src/domain/shape.ts'
import { eraseUser, findUser } from '../../src/domain/users.ts'
import { assertBookHolds, Clock, SYSTEM, temporaryFolder, wait } from '../_support.ts'
import { add, open, register, todosOf } from './_book.ts'

/** Plays a story of `_failing.ts` in a process of its own. @param limit a shell command that limits it */
async function play<T>(folder: string, story: string, limit = ':'): Promise<T> {
  const program = join(import.meta.dirname, '_failing.ts')
  const args = ['-c', `${limit}; exec "$0" "$@"`, process.execPath, program, story, folder]
  const { stdout } = await promisify(execFile)('sh', args, { maxBuffer: 1e8, timeout: 90_000 })
  return JSON.parse(stdout)
}

/** What the book holds afterwards, without any limit. */
async function reopened(t: ExecutionContext, folder: string): Promise<string[]> {
  const clock = new Clock()
  const ledger = await open(folder, clock)
  const todos = await todosOf(ledger, 'alice')
  await t.notThrowsAsync(assertBookHolds(ledger, folder, clock))
  return todos
}

type Outage = { refused?: string[]; late?: string; acknowledged: number; read: string[] | string }
type Waves = { acknowledged: string[]; outages: Outage[]; statuses: { writable: boolean; reason?: string }[] }

test('101. a log that cannot grow: what was answered is kept, once and in order, over one outage after another', async (t) => {
  const folder = temporaryFolder(t)
  // 128 blocks of 512 bytes: about fifty events.
  const { acknowledged, outages, statuses } = await play<Waves>(folder, 'waves', 'ulimit -S -f 128')
  t.is(outages.length, 4, 'two outages, each told while it lasted and after')
  t.true(acknowledged.length >= 50)
  const kept = await reopened(t, folder)
  t.deepEqual(
    kept.filter((text) => acknowledged.includes(text)),
    acknowledged,
  )
  t.is(new Set(kept).size, kept.length)
  t.false(
    kept.some((text) => text.startsWith('late')),
    'what came during an outage was refused and is not there',
  )
  for (const { refused, late, acknowledged: count, read } of outages) {
    for (const reason of refused ?? []) t.is(reason, 'book_unavailable')
    if (late !== undefined) t.is(late, 'book_unavailable')
    if (read === 'book_unavailable') continue
    // A read shows nothing that could still be lost, and all that was answered.
    t.deepEqual(read, kept.slice(0, read.length))
    t.true(read.length >= count)
  }
  for (const { read, late } of outages) if (late === undefined) t.true(Array.isArray(read), 'it reads again')
  t.deepEqual(
    statuses.map(({ writable }) => writable),
    statuses.map((_, i) => i % 2 === 1),
    'told once each way',
  )
  for (const { writable, reason } of statuses) if (!writable) t.regex(reason!, /file too large/i)
})

/** `prlimit` limits a process that runs already. */
const hasPrlimit = spawnSync('prlimit', ['--version']).status === 0
const testWithPrlimit = (title: string, body: (t: ExecutionContext) => Promise<void>): void =>
  hasPrlimit ? test(title, body) : test.todo(`${title} (not run: prlimit is not installed)`)

type Full = {
  head: { seq: number; hash: string }
  waiting: unknown[]
  atOnce: unknown[]
  during: { read: unknown; secret: unknown; writable: boolean; head: unknown }
  recovered: unknown[]
  after: unknown[]
  verified: unknown
  statuses: { writable: boolean; reason?: string }[]
}

testWithPrlimit(
  '102. a full disk: who waits is refused, so is who comes; when there is room again, it goes on by itself',
  async (t) => {
    const folder = temporaryFolder(t)
    const { head, waiting, atOnce, during, recovered, after, verified, statuses } = await play<Full>(folder, 'full')
    t.deepEqual(waiting, Array(5).fill('book_unavailable'), 'a read that met what was lost is refused, too')
    t.deepEqual(atOnce, ['book_unavailable', 'done', false, ['before'], 'before'], 'what was lost shows nowhere')
    t.deepEqual([during.writable, during.head], [false, head])
    t.deepEqual(recovered, [['before'], 'before', head], 'nothing of what was refused is there')
    t.deepEqual(after, [1, ['before', 'after']])
    t.like(verified, { seq: head.seq + 1 })
    t.deepEqual(statuses.at(-1), { writable: true })
    for (const { writable, reason } of statuses.slice(0, -1)) {
      t.false(writable)
      t.regex(reason!, /file too large/i)
    }
    t.deepEqual(await reopened(t, folder), ['before', 'after'])
  },
)

testWithPrlimit('102. while the disk is full, reads answer what is durable', async (t) => {
  const { during } = await play<Full>(temporaryFolder(t), 'full')
  t.deepEqual([during.read, during.secret], [['before'], 'before'])
})

testWithPrlimit('102, 115. it can be stopped while the disk is full, and starts again when it is not', async (t) => {
  const folder = temporaryFolder(t)
  t.deepEqual(await play(folder, 'stop'), { waiting: 'book_unavailable', closed: 'done', late: 'book_unavailable' })
  t.deepEqual(await reopened(t, folder), ['before'])
})

test('101. an erasure that could not be written has not happened: they are found by name at once, and open what is theirs', async (t) => {
  const folder = temporaryFolder(t)
  const ledger = await open(folder)
  await register(ledger, 'alice')
  await add(ledger, 'alice', 'buy milk')
  const broken = { type: 'UserRegistered', data: { user: 'none', admin: false } } as unknown as Event
  const erasure = ledger.transact(SYSTEM, (state) => eraseUser(state, 'alice'))
  const fault = ledger.transact(SYSTEM, () => accept([broken], undefined))
  t.deepEqual(
    (await Promise.allSettled([erasure, fault])).map(({ status }) => status),
    ['rejected', 'rejected'],
  )
  t.is(await ledger.read((state) => findUser(state, 'alice')?.id), 'alice')
  for (let i = 0; i < 600 && !ledger.status.writable; i++) await wait(50)
  t.deepEqual(await todosOf(ledger, 'alice'), ['buy milk'])
  await ledger.close()
  t.deepEqual(await reopened(t, folder), ['buy milk'])
})
