/** A program of its own whose disk fills up while it writes. Plays one story on a book, and tells it as a line of JSON. */
import { execFileSync } from 'node:child_process'
import { setTimeout as wait } from 'node:timers/promises'
import { accept } from '../../src/domain/shape.ts'
import { Ledger, type Status } from '../../src/ledger/ledger.ts'
import { Refused } from '../../src/ledger/refused.ts'
import { Clock, SYSTEM } from '../_support.ts'
import { add, register, todosOf } from './_book.ts'

const [story, directory] = process.argv.slice(2) as [keyof typeof stories, string]

/** No file of this process may grow past so many bytes from now on: every write is "File too large", as if the disk was full. */
const limitFiles = (bytes: '0' | 'unlimited'): void =>
  void execFileSync('prlimit', ['--pid', String(process.pid), `--fsize=${bytes}:unlimited`])

const outcome = async (work: Promise<unknown>): Promise<unknown> => {
  try {
    return (await work) ?? 'done'
  } catch (error) {
    return error instanceof Refused ? error.reason : String(error)
  }
}

const statuses: Status[] = []
const open = (): Promise<Ledger> =>
  Ledger.open({ directory, clock: new Clock().read, version: 'test', onStatus: (status) => void statuses.push(status) })
/** Waits for what must come. Gives up after half a minute, so that a failure is one and not a standstill. */
async function until(holds: () => boolean): Promise<void> {
  for (let i = 0; !holds(); i++) {
    if (i === 6000) throw new Error(`it did not come: ${holds}`)
    await wait(5)
  }
}

const stories = {
  /** Waves of to-dos against a limit that the shell set, until the log has been full twice. */
  async waves() {
    const ledger = await open()
    await register(ledger, 'alice')
    const acknowledged: string[] = []
    const outages: unknown[] = []
    for (let wave = 0; outages.length < 4 && wave < 100; wave++) {
      const texts = Array.from({ length: 10 }, (_, i) => `todo ${wave}-${i} ${Buffer.alloc(150, `${wave}${i}`)}`)
      const outcomes = await Promise.all(texts.map((text) => outcome(add(ledger, 'alice', text))))
      acknowledged.push(...texts.filter((_, i) => typeof outcomes[i] === 'number'))
      if (ledger.status.writable) continue
      const refused = outcomes.filter((one) => typeof one !== 'number')
      const late = await outcome(add(ledger, 'alice', `late ${wave}`))
      outages.push({ refused, late, acknowledged: acknowledged.length, read: await outcome(todosOf(ledger, 'alice')) })
      await until(() => ledger.status.writable)
      outages.push({ acknowledged: acknowledged.length, read: await outcome(todosOf(ledger, 'alice')) })
    }
    await ledger.close()
    return { acknowledged, outages, statuses }
  },

  /** The disk is full for a while, and then it is not. */
  async full() {
    const ledger = await open()
    await register(ledger, 'alice')
    await add(ledger, 'alice', 'before')
    const keep = (text: string) => ledger.transact(SYSTEM, () => accept([], undefined, { 'client-secret/x': text }))
    await keep('before')
    const { head } = ledger
    limitFiles('0')
    const waiting = await Promise.all(
      [
        add(ledger, 'alice', 'lost 1'),
        add(ledger, 'alice', 'lost 2'),
        keep('lost'),
        keep('lost again'),
        todosOf(ledger, 'alice'),
      ].map(outcome),
    )
    const atOnce = [
      await outcome(add(ledger, 'alice', 'lost 3')),
      await outcome(ledger.sweep()),
      ledger.status.writable,
      await outcome(todosOf(ledger, 'alice')),
      ledger.secret('client-secret/x'),
    ]
    // Once it has found the disk still full, it has settled into answering what it can.
    await until(() => statuses.length >= 2)
    const read = await outcome(todosOf(ledger, 'alice'))
    const secret = ledger.secret('client-secret/x')
    const during = { read, secret, writable: ledger.status.writable, head: ledger.head }
    limitFiles('unlimited')
    await until(() => ledger.status.writable)
    const recovered = [await outcome(todosOf(ledger, 'alice')), ledger.secret('client-secret/x'), ledger.head]
    const after = [await outcome(add(ledger, 'alice', 'after')), await outcome(todosOf(ledger, 'alice'))]
    const verified = await ledger.verify()
    await ledger.close()
    return { head, waiting, atOnce, during, recovered, after, verified, statuses }
  },

  /** Somebody stops the program while its disk is full. */
  async stop() {
    const ledger = await open()
    await register(ledger, 'alice')
    await add(ledger, 'alice', 'before')
    limitFiles('0')
    const waiting = await outcome(add(ledger, 'alice', 'lost'))
    return { waiting, closed: await outcome(ledger.close()), late: await outcome(add(ledger, 'alice', 'late')) }
  },
}

process.stdout.write(`${JSON.stringify(await stories[story]())}\n`)
