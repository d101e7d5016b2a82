/** Results of tools that name several to-dos: what was done, and what was not. */
import type { Reason } from '../../domain/shape.ts'
import { Refused } from '../../ledger/refused.ts'
import type { BatchResult, Failure, Item } from '../../service/todos.ts'
import { told } from './tool.ts'

export type Rendered = { readonly items: Item[]; readonly failures: { readonly id: string; readonly why: string }[] }

/** @throws {Refused} with a sentence for each reason, where nothing was done at all */
export function rendered({ items, failures }: BatchResult): Rendered {
  const [first] = failures
  if (items.length === 0 && first !== undefined) throw new Refused(first.why, allFailed(failures))
  return { items: [...items], failures: failures.map(({ id, why }) => ({ id, why: told({ reason: why }) })) }
}

function allFailed(failures: readonly Failure[]): string {
  const byReason = new Map<Reason, string[]>()
  for (const { id, why } of failures) byReason.set(why, [...(byReason.get(why) ?? []), id])
  const groups = [...byReason].map(([why, ids]) => `${ids.join(', ')}: ${told({ reason: why })}`)
  return `Nothing was changed. ${groups.join(' ')}`
}
