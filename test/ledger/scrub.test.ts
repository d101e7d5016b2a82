/** The scrub while somebody writes: what it finds stops the writing, leaves nobody waiting, and is not forgotten. */
import { randomBytes } from 'node:crypto'
import test from 'ava'
import { BookUnusable } from '../../src/ledger/directory.ts'
import { Refused } from '../../src/ledger/refused.ts'
import { SYSTEM, temporaryFolder } from '../_support.ts'
import { add, closedBook, elsewhere, open, register, todosOf, withDatabase } from './_book.ts'

const EVENTS = 300

/** A book that was read back as far as its first block, and then hurt before that. */
async function hurtBook(t: Parameters<typeof temporaryFolder>[0]): Promise<string> {
  const folder = temporaryFolder(t)
  const ledger = await open(folder)
  await register(ledger, 'alice')
  await Promise.all(Array.from({ length: EVENTS }, (_, i) => add(ledger, 'alice', `todo ${i}`)))
  while (ledger.scrub.status.passed === undefined) await ledger.scrub.step()
  await ledger.close()
  await withDatabase(folder, async (db) => {
    const key = `log/${'5'.padStart(16, '0')}`
    await db.put(key, (await db.get(key))!.replace('TodoAdded', 'TodoAddEd'))
  })
  return folder
}

test('105. a finding under load leaves nobody waiting, and no read hangs', async (t) => {
  const folder = await hurtBook(t)
  const ledger = await open(folder)
  const outcomes: string[] = []
  const writers = Array.from({ length: 3 }, async () => {
    for (;;) {
      const outcome = await add(ledger, 'alice', 'more').then(
        () => 'done',
        (error) => (error instanceof Refused ? error.reason : String(error)),
      )
      outcomes.push(outcome)
      if (outcome !== 'done') return
    }
  })
  while (ledger.scrub.status.fault === undefined) await ledger.scrub.step()
  await Promise.all(writers)
  t.is(outcomes.filter((outcome) => outcome !== 'done').join(), Array(3).fill('book_unavailable').join())
  t.is((await todosOf(ledger, 'alice')).length, EVENTS + outcomes.filter((outcome) => outcome === 'done').length)
  t.true(!ledger.status.writable && ledger.status.reason.startsWith('event 5 does not hold'))
  await ledger.close()
  await t.throwsAsync(open(folder), { instanceOf: BookUnusable, message: /event 5 does not hold/ })
})

test('105. a finding outlives an outage: what recovers is not writable again, and the next start knows', async (t) => {
  const folder = await hurtBook(t)
  const ledger = await open(folder)
  // A registration without a name breaks what follows from it: writing stops, and is tried again.
  const impossible = { type: 'UserRegistered', data: { user: 'none', admin: false } }
  const failing = ledger.transact(SYSTEM, () => ({ facts: [impossible as never], result: undefined })).catch(() => {})
  while (ledger.scrub.status.fault === undefined) await ledger.scrub.step().catch(() => {})
  await failing
  for (let i = 0; i < 40; i++) await new Promise((resolve) => setTimeout(resolve, 50))
  t.true(
    !ledger.status.writable && ledger.status.reason.startsWith('event 5 does not hold'),
    JSON.stringify(ledger.status),
  )
  await t.throwsAsync(add(ledger, 'alice', 'more'), { instanceOf: Refused })
  t.is((await todosOf(ledger, 'alice')).length, EVENTS)
  await ledger.close()
  await t.throwsAsync(open(folder), { instanceOf: BookUnusable, message: /event 5 does not hold/ })
})

const STARVED = `
import { closeSync, openSync } from 'node:fs'
const ledger = await Ledger.open({ directory: folder, clock: Date.now, version: 'other' })
const taken = []
try { for (;;) taken.push(openSync('/dev/null')) } catch {}
let step
while (step === undefined && ledger.scrub.status.passed === undefined)
  await ledger.scrub.step().catch((error) => { step = error.message })
const { fault, trouble } = ledger.scrub.status
const { writable } = ledger.status
for (const descriptor of taken) closeSync(descriptor)
while (ledger.scrub.status.passed === undefined) await ledger.scrub.step()
console.log(JSON.stringify({ step, fault, trouble, writable, after: ledger.scrub.status }))
await ledger.close()`

test('what cannot be read for another reason than damage is no fault: it is told, and tried again', async (t) => {
  const folder = await closedBook(t, 0)
  const before = await open(folder)
  // More than LevelDB keeps in memory: the first of them are in a file that a start does not open.
  for (let i = 0; i < 10; i++)
    await Promise.all(Array.from({ length: 1000 }, () => add(before, 'alice', randomBytes(500).toString('hex'))))
  while (before.scrub.status.passed === undefined) await before.scrub.step()
  await before.close()
  const { stdout } = await elsewhere(folder, STARVED, 'ulimit -n 60')
  const { step, fault, trouble, writable, after } = JSON.parse(stdout)
  t.regex(step, /too many open files/i)
  t.deepEqual([fault, trouble, writable], [undefined, step, true])
  t.deepEqual([after.fault, after.trouble, after.passed.seq], [undefined, undefined, 10_002])
})
