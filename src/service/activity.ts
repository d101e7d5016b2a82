/** Activity: what was done with an account or list, as its owner may see it: each event a sentence. */
import type { State } from '../domain/domain.ts'
import { ownerId } from '../domain/lists.ts'
import { FilterMalformed, parseFilter, type Search, searchFor } from '../domain/search.ts'
import { list, tell } from '../ledger/audit.ts'
import type { Ledger } from '../ledger/ledger.ts'
import { Refused } from '../ledger/refused.ts'
import { type ListCaller, requireScope } from './authentication.ts'
import { READ } from './todos.ts'

export type Entry = {
  readonly seq: number
  readonly at: string
  readonly type: string
  readonly who: string
  readonly what: string
  readonly through: string
  readonly conversation: string | null
  readonly tool: string | null
}
export type Activity = { readonly entries: readonly Entry[]; readonly next_cursor: string | null }

type Asked = {
  /** A duration such as `2h`, or a date or time; the beginning if absent. */
  readonly since?: string | undefined
  /** 1 to 100. */
  readonly limit?: number | undefined
  /** The `seq` below which to go on. */
  readonly cursor?: string | undefined
}

/** How many events a page looks through at most: a page may hold fewer entries than asked for. */
const MAX_LOOKED_AT = 20_000

/** Newest first. @throws {Refused} `filter_invalid`, `cursor_invalid` */
export async function activityOf(ledger: Ledger, caller: ListCaller, asked: Asked): Promise<Activity> {
  requireScope(caller, READ)
  const { since, limit = 20, cursor } = asked
  if (!Number.isSafeInteger(limit) || limit < 1 || limit > 100)
    throw new Refused('filter_invalid', '"limit" must be a whole number from 1 to 100.')
  if (cursor !== undefined && !/^[1-9]\d{0,14}$/.test(cursor)) throw new Refused('cursor_invalid')
  const owner = await ledger.ask(caller, (state: State) => ownerId(state, caller.owner))
  if (owner === undefined) return { entries: [], next_cursor: null }
  const search = searchOf(owner, since, ledger.now())
  const to = cursor === undefined ? ledger.head.seq : Math.min(Number(cursor) - 1, ledger.head.seq)
  const entries: Entry[] = []
  const end = Math.max(1, to - MAX_LOOKED_AT)
  for await (const { event } of list(ledger, { search, from: end, to, newestFirst: true })) {
    entries.push(entryOf(tell(ledger, event)))
    if (entries.length === limit) break
  }
  // Reading the book took a while: who was revoked meanwhile is told nothing.
  await ledger.ask(caller, () => undefined)
  const last = entries.length === limit ? entries.at(-1)!.seq : end
  return { entries, next_cursor: last > 1 ? String(last) : null }
}

/** What concerns an owner. Names are resolved here: nobody can be called so that they are found instead. */
function searchOf(owner: string, since: string | undefined, now: number): Search {
  const wrong = () => new Refused('filter_invalid', '"since" must be a duration (2h, 7d) or a date or time in UTC.')
  if (since !== undefined && !/^[\w:.+-]{1,40}$/.test(since)) throw wrong()
  const filter = `user:me${since === undefined ? '' : ` since:${since}`} -type:OutcomeKept`
  try {
    return searchFor(parseFilter(filter, now), { user: () => owner, client: () => undefined })
  } catch (error) {
    if (error instanceof FilterMalformed) throw wrong()
    throw error
  }
}

function entryOf({ seq, at, type, who, what, through, via }: ReturnType<typeof tell>): Entry {
  return { seq, at, type, who, what, through, conversation: via.conversation ?? null, tool: via.tool ?? null }
}
