/** The rows made anew from the events, and held against those on disk. */
import { join } from 'node:path'
import { evolve, initial, type State, tablesOf } from '../domain/domain.ts'
import { loadVault, verifyEnd } from './book.ts'
import type { Head } from './chain.ts'
import { bookDirectory } from './directory.ts'
import { broken, toEvent, walk } from './history.ts'
import { lock } from './lock.ts'
import { Log } from './log.ts'
import { forgetChanges, textOf } from './tables.ts'
import { Vault } from './vault.ts'
import type { View } from './view.ts'
import { Witness } from './witness.ts'

/** Told how far it is, and where it ends. */
export type OnProgress = (seq: number, last: number) => void

/**
 * Replays the whole book, verifying it on the way.
 * @returns the rows that it leads to, and its head
 * @throws {BookUnusable} that names the first event that does not hold
 */
export async function replay(
  view: View,
  vault: Vault,
  onProgress: OnProgress = () => {},
): Promise<{ state: State; head: Head }> {
  const state = initial()
  const { seq: last } = await view.head()
  const head = await walk(view.chunks(), undefined, ({ seq }, line) => {
    evolve(state, toEvent(line, vault))
    if (seq % 5000 === 0) forgetChanges(state)
    onProgress(seq, last)
  })
  forgetChanges(state)
  if ('fault' in head) throw broken(head)
  return { state, head }
}

/** Every row of a state, as it stands on disk. */
export function* rowsOf(state: State): Generator<readonly [name: string, text: string]> {
  for (const [table, rows] of tablesOf(state))
    for (const [key, row] of rows.entries()) yield [`${table}/${key}`, textOf(row)!]
}

/** How rows differ from the replayed ones. `first` names one of them. */
export type Differences = { readonly rows: number; readonly wrong: number; readonly first: string | undefined }

/**
 * Holds the rows of a view against the events of the same view.
 * @throws {BookUnusable} when an event does not hold, or a row is damaged
 */
export async function compareRows(view: View, vault: Vault, onProgress?: OnProgress): Promise<Differences> {
  const { state } = await replay(view, vault, onProgress)
  const tables = new Map(tablesOf(state))
  const wrong: string[] = []
  let [rows, matched] = [0, 0]
  for await (const [name, text] of view.values('row/')) {
    rows++
    const slash = name.indexOf('/')
    const replayed = textOf(tables.get(name.slice(0, slash))?.get(name.slice(slash + 1)))
    if (replayed !== undefined) matched++
    if (replayed !== text) wrong.push(name)
  }
  const missing = tablesOf(state).reduce((sum, [, table]) => sum + table.size, 0) - matched
  const first = wrong[0] ?? (missing > 0 ? 'one that is missing' : undefined)
  return { rows, wrong: wrong.length + missing, first }
}

/**
 * Makes the rows of a closed book anew.
 * @returns how many there are, and the head that they stand for
 * @throws {BookUnusable} when an event does not hold: then nothing is changed
 */
export async function rebuildRows(directory: string, onProgress?: OnProgress): Promise<{ rows: number; head: Head }> {
  const unlock = await lock(bookDirectory(directory, true))
  let log: Log | undefined
  try {
    log = await Log.open(directory, () => [], true, true)
    const vault = new Vault()
    await loadVault(vault, log)
    const path = join(directory, 'head')
    await verifyEnd(log, await log.head(), Witness.read(path), path)
    const { state, head } = await replay(log, vault, onProgress)
    await log.replaceRows(rowsOf(state))
    return { rows: tablesOf(state).reduce((sum, [, table]) => sum + table.size, 0), head }
  } finally {
    await log?.close()
    await unlock()
  }
}
