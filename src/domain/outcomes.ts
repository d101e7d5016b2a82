/** Outcomes: what a write with an idempotency key answered, kept for a day, so that a repeat answers the same. */
import type { ExpiredDropped } from './book.ts'
import type { ListEvent } from './lists.ts'
import { accept, type Decision, type Fact, type On, refuse, type Says, type Sealed, storedSize } from './shape.ts'
import { expiredKeys, minuteOf, type Sight, Table } from './table.ts'
import type { UserEvent } from './users.ts'

/**
 * `key` is a digest of the caller and their idempotency key, `request` one of what was asked. The outcome may hold
 * personal text, so it is sealed. `replaces`: outcomes of the same list that were forgotten early to make room.
 */
export type OutcomeEvent = {
  type: 'OutcomeKept'
  data: { key: string; request: string; owner: string; expiresAt: number; replaces: readonly string[] }
  personal: { outcome: string }
}

type Kept = {
  readonly owner: string
  readonly request: string
  /** ms since 1970 */
  readonly expiresAt: number
  readonly sealed: Sealed<{ outcome: string }>
}
export type Outcomes = { readonly outcomes: Table<Kept, 'owner' | 'minute'> }

/** About what an outcome takes in memory, sealed and opened. @param size what it takes as it is stored @returns bytes */
const memorySize = (size: number): number => 700 + 2 * size
const sizeOf = ({ sealed }: Kept): number => memorySize(sealed.size)

export const tables = (sight: Sight): Outcomes => ({
  outcomes: new Table<Kept, 'owner' | 'minute'>(
    sight,
    { owner: (kept) => kept.owner, minute: (kept) => minuteOf(kept.expiresAt) },
    sizeOf,
  ),
})

type Ends = Extract<UserEvent, { type: 'UserErased' }> | Extract<ListEvent, { type: 'ListErased' }> | ExpiredDropped
export const on: On<Outcomes, OutcomeEvent | Ends> = {
  OutcomeKept({ outcomes }, { sealed, data: { key, request, owner, expiresAt, replaces } }) {
    for (const old of replaces) outcomes.delete(old)
    outcomes.set(key, { owner, request, expiresAt, sealed })
  },
  UserErased: ({ outcomes }, { data }) => outcomes.deleteBy('owner', data.user),
  ListErased: ({ outcomes }, { data }) => outcomes.deleteBy('owner', data.owner),
  ExpiredDropped({ outcomes }, { data }) {
    for (const key of expiredKeys(outcomes, data.until)) outcomes.delete(key)
  },
}

export const says: Says<OutcomeEvent> = {
  OutcomeKept: () => 'had the outcome of a change kept, for a repeat with the same idempotency key',
}

/** For how long a repeat is answered as the first was. ms */
export const OUTCOME_TTL_MS = 86_400_000

export type Once = {
  readonly key: string
  readonly request: string
  /** The list whose key seals the outcome; it may begin with this very decision. */
  readonly owner: () => string | undefined
  /** What the outcomes of one list, and of all, may take in memory: bytes. */
  readonly size: number
  readonly sizeOfAll: number
}

/**
 * Decides once: a repeat of the same request gives the result of the first and changes nothing. A refusal is not kept,
 * since nothing was done. Refuses `idempotency_key_reused` for another request under the same key, and `daybook_full`.
 */
export function decideOnce<F extends Fact, T>(
  rows: Outcomes,
  input: Once,
  decide: () => Decision<F, T>,
  now: number,
): Decision<F | OutcomeEvent, T> {
  const { key, request, owner: ownerOf, size, sizeOfAll } = input
  const known = rows.outcomes.get(key)
  const outcome = known !== undefined && now < known.expiresAt ? known.sealed.open?.outcome : undefined
  if (known !== undefined && outcome !== undefined)
    return known.request === request ? accept<F, T>([], JSON.parse(outcome)) : refuse('idempotency_key_reused')
  if (rows.outcomes.totalSize >= sizeOfAll) return refuse('daybook_full')
  const decision = decide()
  const owner = ownerOf()
  if (decision.refusal !== undefined || owner === undefined) return decision
  const personal = { outcome: JSON.stringify(decision.result) }
  const replaces = oldestBeyond(rows, owner, size - memorySize(storedSize(personal)))
  const data = { key, request, owner, expiresAt: now + OUTCOME_TTL_MS, replaces }
  const kept: OutcomeEvent = { type: 'OutcomeKept', data, personal }
  return accept<F | OutcomeEvent, T>([...decision.facts, kept], decision.result, decision.keeps)
}

/** The oldest outcomes of a list that have to go, so that the others take at most `size` bytes. */
function oldestBeyond({ outcomes }: Outcomes, owner: string, size: number): string[] {
  let excess = outcomes.sizeBy('owner', owner) - size
  if (excess <= 0) return []
  const gone: string[] = []
  const until = (key: string): number => outcomes.get(key)!.expiresAt
  for (const key of outcomes.keysBy('owner', owner).sort((a, b) => until(a) - until(b))) {
    if (excess <= 0) break
    excess -= outcomes.sizeOf(key)
    gone.push(key)
  }
  return gone
}
