/**
 * `node bench/book.ts [LIVE] [EVENTS]`: what a long book costs. Reading it back, taking it along, finding in it, and
 * starting on it, each as a ratio to something bare that is measured in the same run.
 */
import { spawnSync } from 'node:child_process'
import { hash } from 'node:crypto'
import { rmSync } from 'node:fs'
import { join } from 'node:path'
import { setTimeout as wait } from 'node:timers/promises'
import { Level } from 'level'
import type { Event } from '../src/domain/domain.ts'
import { accept } from '../src/domain/shape.ts'
import { list, searchOf } from '../src/ledger/audit.ts'
import { exportText } from '../src/ledger/export.ts'
import { type Caller, Ledger } from '../src/ledger/ledger.ts'
import { newKey } from '../src/ledger/vault.ts'
import { folderOnDisk } from './machine.ts'

const BY: Caller = {
  holds: () => undefined,
  actor: { kind: 'system', id: 'bench' },
  via: {},
  trace: { ip: '203.0.113.7' },
}
const USERS = 100
const open = (directory: string): Promise<Ledger> => Ledger.open({ directory, clock: Date.now, version: 'bench' })

if (process.argv[2] === 'start') {
  const began = performance.now()
  await open(process.argv[3]!)
  process.stdout.write(String(performance.now() - began))
  process.exit(0)
}
const [live = 100_000, events = 1_000_000] = process.argv.slice(2).map(Number)

const say = (text: string): void => void process.stdout.write(`${text}\n`)
const rate = (n: number, ms: number): string => `${Math.round(n / (ms / 1000)).toLocaleString('en')}/s`

const added = (todo: string, owner: string, text: string): Event => ({
  type: 'TodoAdded',
  data: { todo, owner, priority: null, fields: ['text'] },
  personal: { text },
})
/** Until when a deletion could be undone: long after the bench. ms since 1970 */
const FAR = Date.UTC(2100, 0)

/** Adds to-dos, `share` of a batch at a time; those past `live` are deleted again. */
async function write(ledger: Ledger, live: number, events: number): Promise<void> {
  const facts: Event[] = []
  const flush = (): Promise<unknown> => ledger.transact(BY, () => accept(facts.splice(0), undefined))
  const [began, first] = [performance.now(), ledger.head.seq]
  let made = await ledger.read((state) => state.todos.size)
  for (let seq = first; seq < events; seq++) {
    const isLive = made < live
    const owner = `user-${made % USERS}`
    const text = `to-do ${made} of these, some words long`
    if (isLive || seq % 2 === 0) facts.push(added(isLive ? `todo-${made}` : `gone-${seq}`, owner, text))
    else {
      // The deletion before can no longer be undone, so that the list does not grow.
      const data = { todo: `gone-${seq - 1}`, owner, undoUntil: FAR, replaces: [`gone-${seq - 3}`] }
      facts.push({ type: 'TodoDeleted', data, personal: { excerpt: text } })
    }
    if (isLive) made++
    if (facts.length >= 2000) await flush()
  }
  await flush()
  say(`  written: ${events - first} events, ${rate(events - first, performance.now() - began)}`)
}

/** Reads back and notes what a server would have noted by now. */
async function note(ledger: Ledger): Promise<void> {
  while (ledger.head.seq - ledger.scrub.status.verified >= 256) await ledger.scrub.step()
}

/** The fastest of some starts, each a process of its own. ms */
function startMs(directory: string): number {
  const times = Array.from({ length: 3 }, () => {
    const { stdout, stderr } = spawnSync(process.execPath, [import.meta.filename, 'start', directory], {
      encoding: 'utf8',
    })
    if (stdout === '') throw new Error(stderr)
    return Number(stdout)
  })
  return Math.min(...times)
}

const folder = folderOnDisk()
process.on('exit', () => rmSync(folder, { recursive: true, force: true }))
const directory = join(folder, 'data')
let ledger = await open(directory)
await ledger.transact(BY, () =>
  accept([], undefined, Object.fromEntries(Array.from({ length: USERS }, (_, i) => [`key/user-${i}`, newKey()]))),
)

say(`A book of ${live.toLocaleString('en')} events, all of them live to-dos`)
await write(ledger, live, live)
await note(ledger)
await ledger.close()
const short = startMs(directory)

say(`The same with ${events.toLocaleString('en')} events`)
ledger = await open(directory)
await write(ledger, live, events)
await note(ledger)
await ledger.close()
const long = startMs(directory)
say(
  `  start: ${Math.round(short)} ms with ${live} events, ${Math.round(long)} ms with ${events}: ${(long / short).toFixed(2)} ×`,
)

const db = new Level<string, string>(join(directory, 'book'))
await db.open()
let began = performance.now()
let read = 0
const iterator = db.iterator({ gte: 'log/', lt: 'log0' })
for (;;) {
  const some = await iterator.nextv(1000)
  if (some.length === 0) break
  for (const [, value] of some) hash('sha256', value)
  read += some.length
}
await iterator.close()
const bare = performance.now() - began
await db.close()
say(`  bare reading and SHA-256: ${rate(read, bare)}`)

ledger = await open(directory)
began = performance.now()
const verified = await ledger.verify()
const verifying = performance.now() - began
if ('fault' in verified) throw new Error(verified.fault)
say(`  verify: ${rate(verified.seq, verifying)}, ${(bare / verifying).toFixed(2)} of bare`)

const before = process.memoryUsage().rss
began = performance.now()
let [bytes, most] = [0, 0]
const exported = await exportText(ledger, BY, { search: searchOf(ledger, ''), format: 'ndjson', opened: false })
for await (const text of exported.text) {
  bytes += text.length
  most = Math.max(most, process.memoryUsage.rss())
}
const exporting = performance.now() - began
say(
  `  export: ${rate(events, exporting)}, ${(bare / exporting).toFixed(2)} of bare, ${Math.round(bytes / 1e6)} MB, memory +${Math.round((most - before) / 1e6)} MB`,
)

for (const filter of [
  '',
  'type:BookExported',
  'type:TodoDeleted',
  'type:BookOpened',
  'seq:1000..1020',
  'no-such-word',
]) {
  began = performance.now()
  let found = 0
  for await (const _ of list(ledger, { search: searchOf(ledger, filter), newestFirst: true })) if (++found === 50) break
  say(`  a page of "${filter}": ${found} found in ${Math.round(performance.now() - began)} ms`)
}

/** Writes one to-do after another, 200 a second, for a while. Gives how long each waited, ms. */
async function trickle(ms: number): Promise<number[]> {
  const waits: number[] = []
  const fact = added('trickle', 'user-0', 'one more')
  for (const until = performance.now() + ms; performance.now() < until; await wait(5)) {
    const began = performance.now()
    await ledger.transact(BY, () => accept([fact], undefined))
    waits.push(performance.now() - began)
  }
  return waits
}
const percentile = (of: number[], share: number): number => of.sort((a, b) => a - b)[Math.floor(of.length * share)]!

const [quiet, scrubbed]: [number[], number[]] = [[], []]
for (let i = 0; i < 10; i++) {
  quiet.push(...(await trickle(2000)))
  const stop = new AbortController()
  const scrubbing = ledger.scrub.run(stop.signal)
  scrubbed.push(...(await trickle(2000)))
  stop.abort()
  await scrubbing
}
for (const share of [0.5, 0.99]) {
  const [without, beside] = [percentile(quiet, share), percentile(scrubbed, share)]
  const times = `${beside.toFixed(2)} ms beside the scrub, ${without.toFixed(2)} ms without`
  say(`  a durable write, p${share * 100}: ${times}: ${(beside / without).toFixed(2)} ×`)
}
say(`  the scrub has read ${ledger.scrub.status.at} events meanwhile`)
await ledger.close()
