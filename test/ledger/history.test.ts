/** Finding events: with notes of blocks or without, forward or back, the same events as by reading them all. */
import test from 'ava'
import fc from 'fast-check'
import { revokeUser } from '../../src/domain/users.ts'
import { list, searchOf } from '../../src/ledger/audit.ts'
import { exportText } from '../../src/ledger/export.ts'
import { BLOCK, blockOf, lastOf } from '../../src/ledger/history.ts'
import type { Ledger } from '../../src/ledger/ledger.ts'
import { verifyExport } from '../../src/ledger/proof.ts'
import { SYSTEM } from '../_support.ts'
import { add, databaseOf, register, startBook, withDatabase } from './_book.ts'

/** Reads the book back until there is nothing more to note. */
async function noted(ledger: Ledger): Promise<void> {
  while (ledger.scrub.status.passed === undefined) await ledger.scrub.step()
}

/** A book of some blocks: mostly alice's, with a little of bob's and carol's in it. */
async function fill(ledger: Ledger): Promise<void> {
  await register(ledger, 'bob')
  for (let i = 0; i < 2 * BLOCK; i++) {
    const adding = add(ledger, 'alice', `todo ${i}`)
    if (i === 300) await register(ledger, 'carol')
    if (i === 310) await add(ledger, 'bob', 'rare')
    if (i % 50 === 0) await adding
  }
  await ledger.transact(SYSTEM, (state) => revokeUser(state, 'bob'))
  await add(ledger, 'carol', 'last')
}

const seqs = async (ledger: Ledger, filter: string, newestFirst = true, onRead?: (seq: number) => void) => {
  const of = { search: searchOf(ledger, filter), newestFirst, ...(onRead && { onRead }) }
  return (await Array.fromAsync(list(ledger, of))).map(({ event }) => event.seq)
}

const FILTERS = ['', 'user:bob', 'user:carol type:TodoAdded', 'type:UserRevoked', 'rare', '-user:alice', 'seq:250..260']

test('notes of blocks make searches read less, and find the same; so does a book whose notes are damaged', async (t) => {
  const { ledger, folder, reopen } = await startBook(t)
  await fill(ledger)
  const without = await Promise.all(FILTERS.map((filter) => seqs(ledger, filter)))
  t.is(without[0]!.length, ledger.head.seq)
  t.deepEqual(without[1]!.length, 3)
  await noted(ledger)
  const blocks = blockOf(ledger.head.seq)
  t.is(blocks, 2)
  t.is(ledger.scrub.status.verified, lastOf(blocks - 1))
  for (const [i, filter] of FILTERS.entries()) {
    t.deepEqual(await seqs(ledger, filter), without[i]!, filter)
    t.deepEqual(await seqs(ledger, filter, false), without[i]!.toReversed(), filter)
  }
  let read = 0
  await seqs(ledger, 'type:UserRevoked', true, () => read++)
  t.is(read, 1, 'only the block that is not whole yet')
  const hurt = await reopen(async () => {
    const notes = (await databaseOf(folder)).filter(([key]) => key.startsWith('index/'))
    t.is(notes.length, 2)
    await withDatabase(folder, (db) => db.put(notes[0]![0], notes[0]![1].replace('TodoAdded', 'TodoAddEd')))
  })
  for (const [i, filter] of FILTERS.entries()) t.deepEqual(await seqs(hurt, filter), without[i]!, filter)
})

test('a start verifies only what came after the last note, and the scrub takes it on from there', async (t) => {
  const { ledger, reopen } = await startBook(t)
  await fill(ledger)
  await noted(ledger)
  const { verified } = ledger.scrub.status
  const again = await reopen()
  t.is(again.scrub.status.verified, verified)
  for (let i = 0; i < BLOCK; i++) await add(again, 'alice', `more ${i}`)
  await noted(again)
  t.is(again.scrub.status.verified, verified + BLOCK)
  t.is(again.scrub.status.passed?.seq, again.head.seq)
})

test('an export is what stands in the book, ends where it began, and proves itself', async (t) => {
  const { ledger } = await startBook(t)
  await fill(ledger)
  const { head } = ledger
  const all = { search: searchOf(ledger, ''), format: 'ndjson', opened: false } as const
  let text = ''
  for await (const part of (await exportText(ledger, SYSTEM, all)).text) {
    text += part
    await add(ledger, 'alice', 'written meanwhile')
  }
  const lines = text.trimEnd().split('\n')
  t.is(lines.length, head.seq)
  t.deepEqual(await verifyExport([text], 3), { ...head, at: JSON.parse(lines[2]!).hash })
  t.false(/todo \d/.test(text), 'no personal text')
  const [recorded] = await Array.fromAsync(ledger.events({ from: head.seq + 1, to: head.seq + 1 }))
  t.like(recorded, { type: 'BookExported', data: { from: 1, to: head.seq, filter: '', opened: false } })

  let opened = ''
  for await (const part of (await exportText(ledger, SYSTEM, { ...all, opened: true })).text) opened += part
  t.like(await verifyExport([opened]), { seq: ledger.head.seq - 1 })
  t.true(opened.includes('"open":{"text":"todo 0"}'))
  // Cut anywhere, it is refused; changed anywhere, it is named.
  for (const cut of [0, 1, 100, text.length - 1, text.length - 200])
    t.true('fault' in (await verifyExport([text.slice(0, cut)])), `cut at ${cut}`)
  for (const [seq, changed] of [
    [2, lines.toSpliced(1, 1)],
    [2, lines.with(1, lines[2]!).with(2, lines[1]!)],
    [1, lines.slice(1)],
    [4, lines.with(3, lines[3]!.replace('"kind":"system"', '"kind":"operator"'))],
    [4, lines.with(3, '')],
    [5, lines.toSpliced(4, 0, lines[3]!)],
  ] as const)
    t.like(await verifyExport([`${changed.join('\n')}\n`]), { seq })
  // Another program may have written it anew: other order of members, blanks.
  const rewritten = lines.map((line) => JSON.stringify(JSON.parse(line), null, 1).replaceAll('\n', ''))
  t.like(await verifyExport([`${rewritten.join('\n')}\n`]), head)
})

test('94. each of 200 edits, drops, inserts and swaps anywhere in an export is caught, at the first bad event', async (t) => {
  const { ledger } = await startBook(t)
  for (let i = 0; i < 40; i++) await add(ledger, 'alice', `todo ${i}`)
  let text = ''
  const all = { search: searchOf(ledger, ''), format: 'ndjson', opened: false } as const
  for await (const part of (await exportText(ledger, SYSTEM, all)).text) text += part
  const lines = text.trimEnd().split('\n')
  const place = fc.nat({ max: lines.length - 2 })
  const tampering = fc.oneof(
    fc.tuple(place, fc.nat(), fc.constantFrom('0', 'a', '"', ' ')).map(([i, at, sign]) => {
      const line = lines[i]!
      const where = at % line.length
      const changed = `${line.slice(0, where)}${line[where] === sign ? 'z' : sign}${line.slice(where + 1)}`
      return { seq: i + 1, changed: lines.with(i, changed) }
    }),
    place.map((i) => ({ seq: i + 1, changed: lines.toSpliced(i, 1) })),
    fc
      .tuple(place, place)
      .map(([i, from]) => ({ seq: i + 1, changed: lines.toSpliced(i, 0, lines[from === i ? i + 1 : from]!) })),
    fc
      .tuple(place, place)
      .filter(([i, j]) => i !== j)
      .map(([i, j]) => ({ seq: Math.min(i, j) + 1, changed: lines.with(i, lines[j]!).with(j, lines[i]!) })),
  )
  await fc.assert(
    fc.asyncProperty(tampering, async ({ seq, changed }) => {
      const found = await verifyExport([`${changed.join('\n')}\n`])
      return 'fault' in found && found.seq === seq
    }),
    { numRuns: 200 },
  )
  t.like(await verifyExport([text]), { seq: lines.length })
})
