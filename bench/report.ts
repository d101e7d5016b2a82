/** The results as a table for people. */
import type { Machine, Pinning } from './machine.ts'
import type { Measured, Peer, Plan } from './measures.ts'
import { at } from './numbers.ts'

export type Results = {
  readonly plan: Plan
  readonly machine: Machine
  /** `null` when nothing was pinned. */
  readonly pinning: Pinning | null
  readonly measured: readonly Measured[]
}

const HEADINGS = ['', 'connections', 'D req/s', 'E req/s', 'D / E', 'min..max', 'D p99', 'E p99', 'D CPU', 'E CPU']

export function report({ plan, machine, pinning, measured }: Results): string {
  const lines = [
    `Daybook (D) beside a bare in-memory Express server (E): ${plan.rounds} rounds of ${plan.seconds} s each, in turn`,
    '',
    ...table([HEADINGS, ...measured.map(rowOf)]),
    '',
    'D / E: of the rounds side by side, the median. p99 in ms. CPU in µs of the server per request.',
    'Every answer was checked; every to-do that was answered is in the book.',
    machineLine(machine, pinning),
    ...measured.flatMap(doubts),
  ]
  return `${lines.join('\n')}\n`
}

function rowOf({ measure, connections, daybook, express, ratio }: Measured): string[] {
  return [
    measure,
    String(connections),
    whole(daybook.perSecond),
    whole(express.perSecond),
    ratio.median.toFixed(2),
    `${ratio.min.toFixed(2)}..${ratio.max.toFixed(2)}`,
    daybook.p99Ms.toFixed(1),
    express.p99Ms.toFixed(1),
    cost(daybook),
    cost(express),
  ]
}

const whole = (value: number): string => Math.round(value).toLocaleString('en')

function cost({ rounds }: Peer): string {
  const costs = rounds.flatMap(({ server }) => server?.usPerRequest ?? [])
  return costs.length === 0 ? '?' : whole(at(costs, 0.5))
}

/** The first column begins at the left, figures end at the right. */
function table(rows: readonly string[][]): string[] {
  const widths = rows[0]!.map((_, column) => Math.max(...rows.map((row) => row[column]!.length)))
  return rows.map((row) =>
    row
      .map((cell, column) => (column === 0 ? cell.padEnd(widths[0]!) : cell.padStart(widths[column]!)))
      .join('   ')
      .trimEnd(),
  )
}

function machineLine(
  { cores, processor, system, node, fileSystem, fsyncMs }: Machine,
  pinning: Pinning | null,
): string {
  const pinned =
    pinning === null
      ? 'not pinned: server and load may have disturbed each other'
      : `server on core ${pinning.server}, load on core ${pinning.load}`
  const fsync = `write + fsync of 4 kB ${fsyncMs.median.toFixed(2)} ms (p99 ${fsyncMs.p99.toFixed(2)} ms)`
  return `Machine: ${cores} cores (${processor}; ${pinned}), ${system}, Node ${node}, data on ${fileSystem}, ${fsync}.`
}

const ENOUGH = 0.9

/** Reasons to believe a row less. With many connections Express should be kept busy all the time, alone on its core. */
function doubts({ measure, connections, express }: Measured): string[] {
  const uses = express.rounds.flatMap(({ server }) => server ?? [])
  if (connections === 1 || uses.length === 0) return []
  const [ran, wanted] = [uses.map((use) => use.ran), uses.map((use) => use.wanted)].map((shares) => at(shares, 0.5))
  const about = `Doubt: ${measure} at ${connections} connections:`
  if (wanted! < ENOUGH) return [`${about} Express idled ${percent(1 - wanted!)} of the time; the load was its limit.`]
  if (ran! < ENOUGH) return [`${about} other programs took ${percent(1 - ran!)} of the time of Express's core.`]
  return []
}

const percent = (share: number): string => `${Math.round(share * 100)}%`
