/** The one oracle for all faults: what a client was told, against what the book holds. */
import { cpSync, mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { deletedInOrder, openInOrder } from '../../src/domain/todos.ts'
import { BookUnusable } from '../../src/ledger/directory.ts'
import { Ledger } from '../../src/ledger/ledger.ts'
import { compareRows } from '../../src/ledger/rebuild.ts'

/** All that one book's clients were told, in order of time. */
export class Told {
  readonly lines: string[] = []

  add(output: string): void {
    // A line that was cut off was not told.
    this.lines.push(
      ...output
        .slice(0, output.lastIndexOf('\n') + 1)
        .split('\n')
        .filter((line) => line !== ''),
    )
  }

  get acknowledged(): number {
    return this.lines.filter((line) => /^[+x] /.test(line)).length
  }
}

/** What came of a book. `lost`: acknowledged and not there. `wrong`: other broken promises, in words. */
export type Verdict =
  | { readonly refused: string }
  | { readonly named: string }
  | { readonly lost: number; readonly wrong: readonly string[] }

/** Opens the book as the next start would, and holds it against what was told. */
export async function judge(directory: string, told: Told): Promise<Verdict> {
  let ledger: Ledger
  try {
    ledger = await Ledger.open({ directory, clock: Date.now, version: 'test' }, { mustExist: told.lines.length > 0 })
  } catch (error) {
    if (error instanceof BookUnusable) return { refused: error.message }
    throw error
  }
  try {
    const verified = await ledger.verify()
    if ('fault' in verified) return { named: `event ${verified.seq}: ${verified.fault}` }
    return await holdAgainst(ledger, told)
  } catch (error) {
    if (error instanceof BookUnusable) return { named: error.message }
    throw error
  } finally {
    await ledger.close()
  }
}

/** The times of a book's events, in their order. ms since 1970 */
export async function timesOf(directory: string): Promise<number[]> {
  const ledger = await Ledger.open({ directory, clock: Date.now, version: 'test' }, { mustExist: true })
  const times: number[] = []
  try {
    for await (const { at } of ledger.events()) times.push(Date.parse(at))
  } finally {
    await ledger.close()
  }
  return times
}

async function holdAgainst(ledger: Ledger, told: Told): Promise<Verdict> {
  const wrong: string[] = []
  const [added, deleted, replaced] = [new Map<string, number>(), new Set<string>(), new Set<string>()]
  for await (const { seq, type, data, sealed } of ledger.events()) {
    if (type === 'TodoAdded') {
      if (added.has(data.todo)) wrong.push(`${data.todo} was added twice`)
      if (sealed.open?.text?.startsWith(`${data.todo} `) !== true) wrong.push(`${data.todo} says something else`)
      added.set(data.todo, seq)
    } else if (type === 'TodoDeleted') {
      deleted.add(data.todo)
      for (const id of data.replaces) replaced.add(id)
    }
  }
  let [lost, last] = [0, 0]
  const asked = new Set<string>()
  for (const line of told.lines) {
    const [sign, id = ''] = line.split(' ')
    const seq = added.get(id) ?? 0
    if (sign === '?') {
      asked.add(id)
      if (seq > 0 && seq < last) wrong.push(`${id} stands before what was answered before it was asked`)
    } else if (sign === '+') {
      if (seq === 0) lost++
      last = Math.max(last, seq)
    } else if (sign === 'x' && !deleted.has(id)) lost++
  }
  for (const id of added.keys()) if (!asked.has(id)) wrong.push(`${id} was never asked for`)
  const { view, vault, close } = ledger.snapshot()
  const { wrong: rows, first } = await compareRows(view, vault).finally(close)
  if (rows > 0) wrong.push(`${rows} rows are not what the events lead to, such as ${first}`)
  const ids = (rows: readonly (readonly [id: string, todo: object])[]): string => rows.map(([id]) => id).join()
  const lists = await ledger.read((state) => [openInOrder(state, 'alice'), deletedInOrder(state, 'alice')].map(ids))
  const live = [...added.keys()].filter((id) => !deleted.has(id))
  // Nobody sweeps this book, so each deletion can still be undone unless another one replaced it.
  const undoable = [...added.keys()].filter((id) => deleted.has(id) && !replaced.has(id))
  if (lists[0] !== live.join()) wrong.push('the list is another')
  if (lists[1] !== undoable.join()) wrong.push('what can be undone is something else')
  return { lost, wrong }
}

/** Does something to a copy of a closed book. LevelDB's LOCK is not copied. */
export async function withCopy<T>(directory: string, work: (copy: string) => Promise<T>): Promise<T> {
  const copy = mkdtempSync(join(tmpdir(), 'daybook-fault-'))
  try {
    cpSync(directory, copy, { recursive: true, filter: (path) => !path.endsWith('/LOCK') })
    return await work(copy)
  } finally {
    rmSync(copy, { recursive: true, force: true })
  }
}
