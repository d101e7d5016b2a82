/**
 * A program of its own that writes into a book as fast as it can, and tells what it was told, until it is stopped: by
 * itself after `MS` (or `UNTIL` something), or by whatever fault it is put through. A line is on its way before anything else happens:
 * `? text` asked, `+ text` acknowledged, `x text` deletion acknowledged, `! reason` refused, `# seq` looked into the book meanwhile, `= ready`, `= here` when asked.
 */
import { writevSync } from 'node:fs'
import { deleteTodoAt } from '../../src/domain/deletions.ts'
import { addTodos, type ListLimits } from '../../src/domain/edits.ts'
import { registerUser } from '../../src/domain/users.ts'
import { Ledger } from '../../src/ledger/ledger.ts'
import { Refused } from '../../src/ledger/refused.ts'
import { newKey } from '../../src/ledger/vault.ts'
import { SYSTEM } from '../_support.ts'

const { DIRECTORY: directory = '', MS = '1000', NAME: name = '', CLOCK = '', UNTIL = '' } = process.env
const LANES = 6
const YEAR = 365 * 86_400_000
const LIMITS: ListLimits = { open: 1e9, size: 1e12, sizeOfAll: 1e12 }
const JUMPS = [0, -3_600_000, 10 * YEAR, -10 * YEAR]

/** Not `write`, which faults are injected into. */
const say = (line: string): void => void writevSync(1, [Buffer.from(`${line}\n`)])

const began = Date.now()
const clock = (): number => {
  const jump = CLOCK === 'jumps' ? JUMPS[Math.floor((Date.now() - began) / 70) % JUMPS.length]! : 0
  return Date.now() + jump
}

const ledger = await Ledger.open({ directory, clock, version: 'test' })
if ((await ledger.read((state) => state.users.get('alice'))) === undefined) {
  const input = { user: 'alice', username: 'alice', email: undefined, admin: false, passwordHash: '-', key: newKey() }
  await ledger.transact(SYSTEM, (state) => registerUser(state, input))
}
say('= ready')

// A turn later: what was known when it was asked has been told by then.
process.stdin.on('data', () => setImmediate(() => say('= here')))

const stop = new AbortController()
void ledger.scrub.run(stop.signal)
process.once('SIGTERM', () => stop.abort())
setTimeout(
  () => (isRefused && UNTIL === 'recovered' ? setTimeout(() => stop.abort(), PATIENCE_MS) : stop.abort()),
  Number(MS),
)

/** `UNTIL=recovered`: whoever was refused is waited for longer, and it stops some time after they were acknowledged. */
const [PATIENCE_MS, AFTERWARDS_MS] = [30_000, 400]
let isRefused = false
function acknowledged(): void {
  if (isRefused && UNTIL === 'recovered') setTimeout(() => stop.abort(), AFTERWARDS_MS)
}

async function lane(number: number): Promise<void> {
  for (let i = 0; !stop.signal.aborted; i++) {
    const text = `${name}-${number}-${i} ${'x'.repeat((i * 131 + number * 17) % 900)}`
    const todo = `${name}-${number}-${i}`
    try {
      if (i % 7 === 6) {
        const remove = { owner: 'alice', index: 0, text: undefined, limits: LIMITS }
        say(`x ${(await ledger.transact(SYSTEM, (state, now) => deleteTodoAt(state, remove, now))).id}`)
      } else {
        say(`? ${todo}`)
        const items = [{ id: todo, text, notes: null, due: null, priority: null }]
        await ledger.transact(SYSTEM, (state, now) => addTodos(state, { owner: 'alice', items, limits: LIMITS }, now))
        say(`+ ${todo}`)
        acknowledged()
      }
    } catch (error) {
      if (!(error instanceof Refused)) throw error
      say(`! ${error.reason}`)
      isRefused = true
      if (number === 0) await look()
      await new Promise((resolve) => setTimeout(resolve, 20))
    }
  }
}

/** What an operator does when nothing can be written. */
async function look(): Promise<void> {
  const { seq } = ledger.head
  try {
    for await (const event of ledger.events({ from: seq })) say(`# ${event.seq}`)
  } catch (error) {
    if (!(error instanceof Refused)) throw error // It is just being opened again.
  }
}

await Promise.all(Array.from({ length: LANES }, (_, number) => lane(number)))
await ledger.close()
say('= closed')
process.exit(0)
