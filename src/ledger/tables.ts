/** The rows on disk: every table of the state, mirrored in the batch of the events that changed it. */
import { type State, tablesOf } from '../domain/domain.ts'
import { BookUnusable } from './directory.ts'
import type { CheckedChange } from './log.ts'
import { type SealedBlob, SealedText, type Vault } from './vault.ts'
import type { View } from './view.ts'

/** A batch begins: all rows changed since the last one. */
export function beginBatch(state: State): CheckedChange[] {
  const changes: CheckedChange[] = []
  for (const [table, rows] of tablesOf(state)) {
    if (!rows.hasChanges) continue
    for (const { key, row, before } of rows.beginBatch())
      changes.push({ under: 'row/', name: `${table}/${key}`, text: textOf(row), before: textOf(before) })
  }
  return changes
}

/** A row as it stands on disk. The same row always gives the same text. */
export const textOf = (row: object | undefined): string | undefined => row && JSON.stringify(row)

/** For a state that is on its way to no disk: what has changed in it need not be remembered. */
export function forgetChanges(state: State): void {
  for (const [, rows] of tablesOf(state)) {
    rows.beginBatch()
    rows.endBatch()
  }
}

/** The batch that began last is on disk. */
export function endBatch(state: State): void {
  for (const [, rows] of tablesOf(state)) rows.endBatch()
}

/** What was not written has not happened: the tables are again what is on disk. */
export function rollBack(state: State): void {
  for (const [, rows] of tablesOf(state)) rows.rollBack()
}

/** Fills the tables from disk. @throws {BookUnusable} when a row is not what was written, or is missing */
export async function loadRows(state: State, view: View, vault: Vault): Promise<void> {
  const tables = new Map(tablesOf(state))
  for await (const [name, json] of view.values('row/')) {
    const slash = name.indexOf('/')
    const table = tables.get(name.slice(0, slash))
    if (table === undefined) throw new BookUnusable(`the row ${name} is of no table: is the book of another version?`)
    table.load(name.slice(slash + 1), revive(JSON.parse(json), vault))
  }
}

type Stored = { sealed?: SealedBlob; trace?: SealedBlob; parts?: readonly { sealed: SealedBlob }[] }

/** In a row, and in each of its parts, what stands under `sealed` or `trace` is sealed text. */
function revive(row: Stored, vault: Vault): object {
  const { sealed, trace, parts } = row
  return {
    ...row,
    ...(sealed === undefined ? {} : { sealed: new SealedText(vault, sealed) }),
    ...(trace === undefined ? {} : { trace: new SealedText(vault, trace) }),
    ...(parts === undefined
      ? {}
      : { parts: parts.map((part) => ({ ...part, sealed: new SealedText(vault, part.sealed) })) }),
  }
}
