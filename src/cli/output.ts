/** Answers on stdout, as tables for people and as JSON for scripts. */
import { once } from 'node:events'
import type { Writable } from 'node:stream'
import { stripVTControlCharacters, styleText } from 'node:util'
import stringWidth from 'string-width'
import type { Line, Row } from './act.ts'

export const FORMATS = ['table', 'json', 'ndjson'] as const
export type Format = (typeof FORMATS)[number]
/** The columns of a table, or `record` for one row shown line by line. */
export type Columns = readonly string[] | 'record'

export class Printer {
  readonly #format: Format
  readonly #columns: Columns
  readonly #rows: Row[] = []
  /** Why the command failed, if it did. */
  failed: string | undefined

  constructor(format: Format, columns: Columns = []) {
    this.#format = format
    this.#columns = columns
  }

  /** Resolves when more may follow: whoever reads slowly is not buried. */
  async print(line: Line): Promise<void> {
    if ('progress' in line) return this.#progress(line.progress, line.of)
    this.#progress(0, 0)
    if ('raw' in line) {
      if (!process.stdout.write(line.raw) && process.stdout.writable) await drained(process.stdout)
    } else if ('row' in line) {
      if (this.#format === 'ndjson') process.stdout.write(`${json(line.row)}\n`)
      else this.#rows.push(line.row)
    } else if ('say' in line) {
      this.#flush()
      // Where rows are the answer, what is said about them must not get among them.
      const stream = this.#format === 'table' && this.#columns.length === 0 ? process.stdout : process.stderr
      stream.write(`${printable(line.say, true)}\n`)
    } else if ('fail' in line) this.failed = line.fail
  }

  end(): void {
    this.#progress(0, 0)
    this.#flush()
    if (this.#format === 'table' && this.#columns.length > 0 && !this.#shown && this.failed === undefined)
      process.stderr.write('(nothing to show)\n')
  }

  /** Long work shows how far it is on a terminal, and nothing in a pipe. */
  #progress(done: number, of: number): void {
    if (!process.stderr.isTTY || (of === 0 && !this.#isShowing)) return
    this.#isShowing = of > 0
    const share = of > 0 ? `${Math.floor((100 * done) / of)} %  ${done} of ${of}` : ''
    process.stderr.write(`\r\x1b[K${share}`)
  }

  #isShowing = false
  #shown = false

  #flush(): void {
    if (this.#shown || this.#format === 'ndjson') return
    if (this.#format === 'json' && this.#columns.length > 0 && this.failed === undefined)
      process.stdout.write(`${json(this.#columns === 'record' ? this.#rows[0] : this.#rows, 2)}\n`)
    else if (this.#format === 'table' && this.#rows.length > 0)
      process.stdout.write(this.#columns === 'record' ? record(this.#rows[0]!) : table(this.#rows, this.#columns))
    else return
    this.#shown = true
  }
}

/** Text as a terminal may show it: no escape sequences, no control characters. */
export const printable = (text: string, isBlock = false): string =>
  stripVTControlCharacters(isBlock ? text : text.replace(/\r?\n/g, ' ↵ ')).replace(
    isBlock ? /(?!\n)[\p{C}\u2028\u2029]/gu : /[\p{C}\u2028\u2029]/gu,
    '�',
  )

/** JSON that a terminal may show: what would steer it is written as \\uXXXX, which is the same text. */
const json = (value: unknown, indent?: number): string =>
  JSON.stringify(value, null, indent).replace(/(?!\n)[\p{C}\u2028\u2029]/gu, (sign) =>
    sign.replace(/[\s\S]/g, (unit) => `\\u${unit.charCodeAt(0).toString(16).padStart(4, '0')}`),
  )

/** Resolves when the stream takes more, or is gone; leaves nothing behind on it. */
export async function drained(stream: Writable): Promise<void> {
  const over = new AbortController()
  const { signal } = over
  await Promise.race([once(stream, 'drain', { signal }), once(stream, 'close', { signal })]).catch(() => {})
  over.abort()
}

function cell(value: unknown): string {
  if (value === null || value === undefined) return ''
  if (typeof value === 'object' && !Array.isArray(value)) return printable(JSON.stringify(value))
  return printable(Array.isArray(value) ? value.join(' ') : String(value))
}

const heading = (column: string): string => column.replaceAll('_', ' ').toUpperCase()
const dim = (text: string): string => styleText('dim', text, { stream: process.stdout })
const pad = (text: string, width: number): string => text + ' '.repeat(Math.max(0, width - stringWidth(text)))

function table(rows: readonly Row[], columns: readonly string[]): string {
  const cells = rows.map((row) => columns.map((column) => cell(row[column])))
  const headings = columns.map(heading)
  const widths = headings.map((text, i) => Math.max(text.length, ...cells.map((row) => stringWidth(row[i]!))))
  shrink(cells, widths)
  const line = (row: readonly string[]): string =>
    row
      .map((text, i) => pad(text, widths[i]!))
      .join('  ')
      .trimEnd()
  return [dim(line(headings)), ...cells.map(line)].map((text) => `${text}\n`).join('')
}

/** On a terminal, a table that is too wide gives up the end of its widest column. */
function shrink(cells: string[][], widths: number[]): void {
  if (!process.stdout.isTTY) return
  const over = widths.reduce((sum, width) => sum + width + 2, -2) - process.stdout.columns
  const widest = widths.indexOf(Math.max(...widths))
  if (over <= 0 || widths[widest]! - over < NARROWEST) return
  widths[widest]! -= over
  for (const row of cells) row[widest] = shortened(row[widest]!, widths[widest]!)
}

const NARROWEST = 20

function shortened(text: string, width: number): string {
  if (stringWidth(text) <= width) return text
  let kept = ''
  for (const { segment } of new Intl.Segmenter().segment(text)) {
    if (stringWidth(kept + segment) >= width) break
    kept += segment
  }
  return `${kept}…`
}

function record(row: Row): string {
  const names = Object.keys(row)
  const width = Math.max(...names.map((name) => name.length))
  const lines = names.flatMap((name) => {
    const values = Array.isArray(row[name]) && row[name].length > 0 ? row[name] : [row[name]]
    return values.map((value, i) => `${dim(pad(i === 0 ? name.replaceAll('_', ' ') : '', width))}  ${cell(value)}`)
  })
  return lines.map((text) => `${text.trimEnd()}\n`).join('')
}

/** Prints events as they come, a line each. */
export class Follower {
  readonly #isJson: boolean

  constructor(isJson: boolean) {
    this.#isJson = isJson
  }

  async print(line: Line): Promise<void> {
    if ('say' in line) this.say(line.say)
    if (!('row' in line)) return
    const { seq, at, who, what, through, ip } = line.row
    const details = [through, ip].filter(Boolean).map(cell).join(' · ')
    const text = `${dim(`${cell(at)}  ${cell(seq)}`)}  ${cell(who)} ${cell(what)}${details === '' ? '' : dim(`  ${details}`)}`
    if (!process.stdout.write(`${this.#isJson ? json(line.row) : text}\n`)) await drained(process.stdout)
  }

  say(text: string): void {
    process.stderr.write(`${printable(text, true)}\n`)
  }
}
