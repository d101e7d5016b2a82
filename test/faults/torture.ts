/**
 * The long run of every fault. `SEED=n` repeats one, `ONLY=word` plays some of them, `SHARE=0.1` a tenth of the rounds, but
 * no fewer than the tests. Ends with a table.
 */
import { styleText } from 'node:util'
import { faults, type Outcome, play } from './_faults.ts'
import { has, randomFrom } from './_run.ts'

const seed = Number(process.env.SEED ?? Math.floor(Math.random() * 2 ** 31))
const share = Number(process.env.SHARE ?? 1)
const only = process.env.ONLY ?? ''
process.stdout.write(`seed ${seed}\n`)

const rows: string[][] = []
let isWhole = true
for (const fault of faults.filter(({ name }) => name.includes(only))) {
  const { name, needs, rounds } = fault
  const missing = needs.filter((tool) => !has(tool))
  if (missing.length > 0) {
    rows.push([name, 'NOT RUN', `needs ${missing.join(', ')}`, '', '', '', ''])
    continue
  }
  process.stderr.write(`${name} …\n`)
  const began = performance.now()
  const outcome = await play(fault, Math.max(rounds.short, Math.ceil(rounds.long * share)), randomFrom(seed))
  rows.push([name, ...cellsOf(outcome), `${Math.round((performance.now() - began) / 1000)} s`])
  for (const told of [...outcome.wrong, ...outcome.falseRefusals].slice(0, 5))
    process.stdout.write(`  ${name}: ${told}\n`)
  if (outcome.lost + outcome.wrong.length + outcome.falseRefusals.length > 0) isWhole = false
}

function cellsOf({ rounds, checked, lost, wrong, noticed, falseRefusals }: Outcome): string[] {
  return [rounds, checked, lost, wrong.length, noticed, falseRefusals.length].map(String)
}

const headings = [
  'fault',
  'rounds',
  'acknowledged checked',
  'lost',
  'silently wrong',
  'damage noticed',
  'false starts',
  'took',
]
const widths = headings.map((heading, i) => Math.max(heading.length, ...rows.map((row) => (row[i] ?? '').length)))
const line = (cells: readonly string[]): string =>
  cells.map((cell, i) => (i === 0 ? cell.padEnd(widths[i]!) : cell.padStart(widths[i]!))).join('  ')
process.stdout.write(`\n${styleText('bold', line(headings))}\n${rows.map((row) => `${line(row)}\n`).join('')}`)
process.stdout.write(
  isWhole ? '\nNothing acknowledged was lost, nothing was silently wrong.\n' : '\nSOMETHING IS WRONG.\n',
)
process.exit(isWhole ? 0 : 1)
