/** The rows on disk: every table of the state, mirrored in the batch of the events that changed it. */
import { type State, tablesOf } from '../domain/domain.ts'
import { BookUnusable, type Change, Log, RESTORE } from './log.ts'
import { type SealedBlob, SealedText, type Vault } from './vault.ts'

const ROW_PREFIX = 'row/'

/** A batch begins: all rows changed since the last one. */
export function beginBatch(state: State): Change[] {
  const changes: Change[] = []
  for (const [table, rows] of tablesOf(state)) {
    if (!rows.hasChanges) continue
    for (const [key, row] of rows.beginBatch())
      changes.push(Log.checkedChange(`${ROW_PREFIX}${table}/${key}`, row && JSON.stringify(row)))
  }
  return changes
}

/** The batch that began last is on disk. */
export function endBatch(state: State): void {
  for (const [, rows] of tablesOf(state)) rows.endBatch()
}

/** What was not written has not happened: the tables are again what is on disk. */
export function rollBack(state: State): void {
  for (const [, rows] of tablesOf(state)) rows.rollBack()
}

/** Fills the tables from disk. @throws {BookUnusable} when a row is not what was written */
export async function loadRows(state: State, log: Log, vault: Vault): Promise<void> {
  const tables = new Map(tablesOf(state))
  for await (const [name, json] of log.under(ROW_PREFIX)) {
    const slash = name.indexOf('/')
    const table = tables.get(name.slice(0, slash))
    if (table === undefined) throw new BookUnusable(`the row ${name} is of no table. ${RESTORE}`)
    table.load(name.slice(slash + 1), revive(JSON.parse(json), vault))
  }
}

/** In a row, as in an event, what stands under `sealed` is sealed text. */
function revive(row: { sealed?: SealedBlob }, vault: Vault): object {
  return row.sealed === undefined ? row : { ...row, sealed: new SealedText(vault, row.sealed) }
}
