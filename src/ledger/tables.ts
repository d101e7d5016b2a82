/** The rows on disk: every table of the state, mirrored in the batch of the events that changed it. */
import { crc32 } from 'node:zlib'
import { type State, tablesOf } from '../domain/domain.ts'
import { BookUnusable, type Change, type Log } from './log.ts'
import { type SealedBlob, SealedText, type Vault } from './vault.ts'

const ROW_PREFIX = 'row/'

/** A row is written as the CRC-32 of its key and text, eight hex digits, and its JSON. */
const checksum = (name: string, json: string): string => crc32(`${name}\0${json}`).toString(16).padStart(8, '0')

/** A batch begins: all rows changed since the last one. */
export function beginBatch(state: State): Change[] {
  const changes: Change[] = []
  for (const [table, rows] of tablesOf(state)) {
    if (!rows.hasChanges) continue
    for (const [key, row] of rows.beginBatch()) {
      const name = `${table}/${key}`
      const json = JSON.stringify(row)
      changes.push([`${ROW_PREFIX}${name}`, row === undefined ? undefined : `${checksum(name, json)}${json}`])
    }
  }
  return changes
}

/** The batch that began last is on disk. */
export function endBatch(state: State): void {
  for (const [, rows] of tablesOf(state)) rows.endBatch()
}

/** Fills the tables from disk. @throws {BookUnusable} when a row is not what was written */
export async function loadRows(state: State, log: Log, vault: Vault): Promise<void> {
  const tables = new Map(tablesOf(state))
  for await (const [name, value] of log.under(ROW_PREFIX)) {
    const slash = name.indexOf('/')
    const table = tables.get(name.slice(0, slash))
    const json = value.slice(8)
    if (table === undefined || checksum(name, json) !== value.slice(0, 8))
      throw new BookUnusable(`the row ${name} is damaged. Restore a backup; nothing was changed`)
    table.load(name.slice(slash + 1), revive(JSON.parse(json), vault))
  }
}

/** In a row, as in an event, what stands under `sealed` is sealed text. */
function revive(row: { sealed?: SealedBlob }, vault: Vault): object {
  return row.sealed === undefined ? row : { ...row, sealed: new SealedText(vault, row.sealed) }
}
