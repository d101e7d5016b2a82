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
export type ActivityPage = { readonly entries: readonly Entry[]; readonly next_cursor: string | null }

type Asked = {
  /** A duration such as `2h`, or a date or time; the beginning if absent. */
  readonly since?: string | undefined
  /** 1 to 100. */
  readonly limit?: number | undefined
  /** The `seq` below which to go on. */
  readonly cursor?: string | undefined
}

/** How many events a page looks through at most: a page may hold fewer entries than asked for. */
const MAX_LOOKED_AT = 5000

export class ActivityLog {
  readonly #ledger: Ledger

  constructor(ledger: Ledger) {
    this.#ledger = ledger
  }

  /**
   * A page of it, newest first.
   * @param mostLookedAt how many events are read at most
   * @throws {Refused} `filter_invalid`, `cursor_invalid`, `scope_insufficient`
   */
  async page(caller: ListCaller, asked: Asked, mostLookedAt = MAX_LOOKED_AT): Promise<ActivityPage> {
    const ledger = this.#ledger
    requireScope(caller, READ)
    const { since, limit = 20, cursor } = asked
    if (!Number.isSafeInteger(limit) || limit < 1 || limit > 100)
      throw new Refused('filter_invalid', '"limit" must be a whole number from 1 to 100.')
    if (cursor !== undefined && !/^[1-9]\d{0,14}$/.test(cursor)) throw new Refused('cursor_invalid')
    const owner = await ledger.ask(caller, (state: State) => ownerId(state, caller.owner))
    if (owner === undefined) return { entries: [], next_cursor: null }
    const { search, start } = searchOf(owner, since, ledger.now())
    const to = cursor === undefined ? ledger.head.seq : Math.min(Number(cursor) - 1, ledger.head.seq)
    const entries: Entry[] = []
    const end = Math.max(1, to - mostLookedAt)
    for await (const { event } of list(ledger, { search, from: end, to, newestFirst: true })) {
      entries.push(entryOf(tell(ledger, event), caller))
      if (entries.length === limit) break
    }
    // Reading the book took a while: who was revoked meanwhile is told nothing.
    await ledger.ask(caller, () => undefined)
    const isFull = entries.length === limit
    const last = isFull ? entries.at(-1)!.seq : end
    const isEnd = last <= 1 || (!isFull && (await isBefore(ledger, last, start)))
    return { entries, next_cursor: isEnd ? null : String(last) }
  }
}

/** Was that event recorded before `start`? All that stand below it were, too. @param start ms since 1970 */
async function isBefore(ledger: Ledger, seq: number, start: number): Promise<boolean> {
  for await (const { at } of ledger.events({ from: seq, to: seq })) return Date.parse(at) < start
  return true
}

/** What concerns an owner, and from which time on (ms since 1970). Names are resolved here: nobody can be called so that they are found instead. */
function searchOf(owner: string, since: string | undefined, now: number): { search: Search; start: number } {
  const wrong = () => new Refused('filter_invalid', '"since" must be a duration (2h, 7d) or a date or time in UTC.')
  if (since !== undefined && !/^[\w:.+-]{1,40}$/.test(since)) throw wrong()
  const filter = `user:me${since === undefined ? '' : ` since:${since}`} -type:OutcomeKept`
  try {
    const terms = parseFilter(filter, now)
    const start = terms.find(({ kind }) => kind === 'since')?.from ?? 0
    return { search: searchFor(terms, { user: () => owner, client: () => undefined }), start }
  } catch (error) {
    if (error instanceof FilterMalformed) throw wrong()
    throw error
  }
}

/** The conversations of an app, or of an API key, are told to nobody else. */
function entryOf({ seq, at, type, who, what, through, via }: ReturnType<typeof tell>, caller: ListCaller): Entry {
  const isOwn = (via.client ?? via.key) === (caller.via.client ?? caller.via.key)
  const { conversation = null, tool = null } = via
  const route = isOwn || conversation === null ? through : through.replace(` conversation ${conversation}`, '')
  return { seq, at, type, who, what, through: route, conversation: isOwn ? conversation : null, tool }
}
