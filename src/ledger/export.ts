/** Taking events along: as the lines that prove the book, or as a table for a spreadsheet. */
import type { Search } from '../domain/search.ts'
import { openable, openedText } from '../domain/told.ts'
import { list, recorded, tell } from './audit.ts'
import { hashOf } from './chain.ts'
import type { Found } from './history.ts'
import type { Caller, Ledger } from './ledger.ts'

export const EXPORT_FORMATS = ['ndjson', 'csv'] as const
export type ExportFormat = (typeof EXPORT_FORMATS)[number]

export type Export = {
  readonly search: Search
  readonly format: ExportFormat
  /** Whether personal text goes along, as far as it can be opened. */
  readonly opened: boolean
  readonly onRead?: (seq: number) => void
}

/** So much text goes out at once, in characters. */
const CHUNK_CHARACTERS = 65_536

/**
 * The events of a search as text, oldest first, up to where the book ends now; recorded before the first of them.
 * Memory stays flat however long it is.
 * @returns the text, and whether the export could be recorded
 */
export async function exportText(
  ledger: Ledger,
  by: Caller,
  of: Export,
): Promise<{ readonly text: AsyncGenerator<string>; readonly isRecorded: boolean }> {
  const { search, opened } = of
  const [from, to] = [search.from, Math.min(search.to, ledger.head.seq)]
  const data = { from, to, filter: search.canonical, opened }
  const isRecorded = await recorded(ledger, by, { type: 'BookExported', data })
  return { text: textUpTo(ledger, to, of), isRecorded }
}

async function* textUpTo(ledger: Ledger, to: number, of: Export): AsyncGenerator<string> {
  const { search, format, opened } = of
  if (format === 'ndjson' && !opened && search.canonical === '') {
    for await (const chunk of ledger.chunks({ to })) yield `${chunk.map(([, line]) => line).join('\n')}\n`
    return
  }
  const write = format === 'csv' ? csvOf(ledger, opened) : opened ? openedLine : ({ line }: Found) => line
  let text = format === 'csv' ? `${CSV_COLUMNS.join(',')}\r\n` : ''
  const end = format === 'csv' ? '\r\n' : '\n'
  for await (const found of list(ledger, { search, to, newestFirst: false, ...(of.onRead && { onRead: of.onRead }) })) {
    text += `${write(found)}${end}`
    if (text.length < CHUNK_CHARACTERS) continue
    yield text
    text = ''
  }
  if (text !== '') yield text
}

/** A line with one member more, outside the hash: `open`, the personal text, or null where it cannot be opened. */
const openedLine = ({ event, line }: Found): string =>
  openable(event) ? `${line.slice(0, -1)},"open":${JSON.stringify(openedText(event) ?? null)}}` : line

const CSV_COLUMNS = [
  'seq',
  'at',
  'type',
  'actor',
  'who',
  'what',
  'through',
  'ip',
  'request',
  'data',
  'open',
  'hash',
] as const

/** RFC 4180. Without personal text, who and what are told by ids. */
const csvOf = (ledger: Ledger, opened: boolean) => (found: Found) => {
  const { event, line } = found
  const hash = hashOf(line)
  const { kind, id } = event.actor
  const words = opened ? tell(ledger, event) : undefined
  const cells = {
    ...{ seq: event.seq, at: event.at, type: event.type, actor: `${kind} ${id}`, request: event.via.request, hash },
    ...{ who: words?.who, what: words?.what, ip: words?.ip, open: words?.open && JSON.stringify(words.open) },
    through: words?.through ?? event.via.client,
    data: JSON.stringify(event.data),
  }
  return CSV_COLUMNS.map((column) => csvCell(String(cells[column] ?? ''))).join(',')
}

/** A spreadsheet takes what begins with one of these for a formula: a quote mark in front keeps it text (OWASP). */
const FORMULA = /^[=+\-@\t\r]/

/** What would end a line, or steer a terminal, is shown as a sign in its place. */
const csvCell = (text: string): string => {
  const safe = text.replace(/[\p{Cc}\p{Cf}\u2028\u2029]/gu, '\ufffd')
  const quoted = (FORMULA.test(text) ? `'${safe}` : safe).replaceAll('"', '""')
  return /[",\s']/.test(quoted) ? `"${quoted}"` : quoted
}
