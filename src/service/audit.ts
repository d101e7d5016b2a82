/** The audit: what an operator may ask the book. Each look is recorded; what takes long asks again whether they still may. */
import type { Look } from '../domain/book.ts'
import { ownerId } from '../domain/lists.ts'
import { FilterMalformed, type Search } from '../domain/search.ts'
import type { Told } from '../domain/told.ts'
import { findUser } from '../domain/users.ts'
import {
  count,
  follow,
  followFrom,
  type Listed,
  list,
  listAt,
  listedIn,
  neighbours,
  recordLook,
  searchOf,
  tell,
} from '../ledger/audit.ts'
import type { Head } from '../ledger/chain.ts'
import { type ExportFormat, exportText } from '../ledger/export.ts'
import type { Ledger } from '../ledger/ledger.ts'
import { Refused } from '../ledger/refused.ts'
import type { Caller } from './caller.ts'
import type { Limits } from './limits.ts'

/** What was found, and whether the look is in the book: while the book cannot be written, looking goes on unrecorded. */
export type Looked<T> = { readonly found: T; readonly isRecorded: boolean }

/** A look that may have to read the whole book. */
export type Reading = {
  /** As `parseFilter` reads it. */
  readonly filter: string
  /** Says that nobody waits for the answer any more: then reading ends with its error. */
  readonly signal: AbortSignal
  /** Told how far it has got. */
  readonly onRead?: (seq: number) => void
}

export type Listing = Reading & {
  /** The most events to give. */
  readonly limit: number
  /** Only events before this one. */
  readonly before?: number | undefined
  /** About how many characters of JSON the events may have together. Without it: any number. */
  readonly maxCharacters?: number
}

/** Events as told, newest first. At its end it says with which `before` the next page begins; `null`: there is none. */
export type Events = AsyncGenerator<Told, number | null>

/** An event as told, with the hashes of its neighbours in the chain. */
export type WholeEvent = NonNullable<Awaited<ReturnType<typeof neighbours>>>

export type Following = Reading & {
  /** The last event that was seen. Without it, following begins at the end of the book. */
  readonly after?: number | undefined
  /** How many of the latest events to give first, where `after` is not given. */
  readonly lines?: number
}

/** What a follower is told: an event; or that there was none for a while, and up to which `seq` that holds. */
export type Heard = { readonly event: Told } | { readonly silentUpTo: number }

export type Followed = {
  /** The event after which `news` begins. */
  readonly from: number
  /** Events up to `from`, oldest first. */
  readonly latest: readonly Told[]
  /** Ends when the caller may not follow any more, with their reason, or by `signal`, without one. */
  readonly news: AsyncGenerator<Heard>
}

export type Stats = {
  /** How many events of each type, the most first. */
  readonly counts: readonly (readonly [type: string, events: number])[]
  /** Where the book ended when counting began. */
  readonly head: Head
}

/** A list as it stood, and as it stands now. */
export type ListStates = { readonly then: readonly Listed[]; readonly now: readonly Listed[] }

export type Export = Omit<Reading, 'onRead'> & { readonly format: ExportFormat; readonly opened: boolean }

export class Audit {
  readonly #ledger: Ledger
  readonly #limits: Limits

  constructor(ledger: Ledger, limits: Limits) {
    this.#ledger = ledger
    this.#limits = limits
  }

  /** Whether the caller may look at all. Every look asks this first. @throws {Refused} their reason; `rate_limited` */
  async admit(caller: Caller): Promise<void> {
    await this.#ledger.ask(caller, () => undefined)
    // Not the budget of the apps that they have connected: none of those can keep an operator from looking.
    this.#limits.take(caller.meter, 'api', `audit ${caller.actor.id}`)
  }

  /** The latest events of a search. @throws {Refused} as `admit`; `request_malformed` for a filter that cannot be read */
  async list(caller: Caller, of: Listing): Promise<Looked<Events>> {
    const to = Math.min(this.#ledger.head.seq, (of.before ?? Number.MAX_SAFE_INTEGER) - 1)
    const { search, isRecorded } = await this.#begin(caller, 'list', of.filter)
    return { found: this.#latest(search, to, of, this.#check(caller, of)), isRecorded }
  }

  /** As `list`, read to its end. */
  async page(caller: Caller, of: Listing): Promise<Looked<{ events: readonly Told[]; nextBefore: number | null }>> {
    const { found, isRecorded } = await this.list(caller, of)
    const events: Told[] = []
    for (;;) {
      const next = await found.next()
      if (next.done === true) return { found: { events, nextBefore: next.value }, isRecorded }
      events.push(next.value)
    }
  }

  /** One event, and the hashes of its neighbours in the chain; `undefined`, and no record, where there is none. */
  async show(caller: Caller, seq: number): Promise<Looked<WholeEvent> | undefined> {
    await this.admit(caller)
    const found = await neighbours(this.#ledger, seq)
    if (found === undefined) return undefined
    return { found, isRecorded: await recordLook(this.#ledger, caller, 'show', `seq:${seq}`) }
  }

  /** Everything that one request did, oldest first. */
  async trace(
    caller: Caller,
    of: Omit<Reading, 'filter'> & { readonly request: string },
  ): Promise<Looked<AsyncGenerator<Told>>> {
    const { search, isRecorded } = await this.#begin(caller, 'trace', `request:${of.request}`)
    return { found: this.#oldestFirst(search, this.#check(caller, of)), isRecorded }
  }

  /** Events as they happen. */
  async follow(caller: Caller, of: Following): Promise<Looked<Followed>> {
    const ledger = this.#ledger
    const { search, isRecorded } = await this.#begin(caller, 'tail', of.filter)
    const from = followFrom(ledger, of.after ?? ledger.head.seq)
    const check = this.#check(caller, of)
    const latest: Told[] = []
    const limit = of.after === undefined ? (of.lines ?? 0) : 0
    if (limit > 0)
      for await (const event of this.#latest(search, from, { limit: limit + 1 }, check))
        if (!isOwn(event, caller) && latest.length < limit) latest.unshift(event)
    return { found: { from, latest, news: this.#news(search, from, of.signal, check) }, isRecorded }
  }

  /** How many events of each type a search is for. */
  async stats(caller: Caller, of: Reading): Promise<Looked<Stats>> {
    const { head } = this.#ledger
    const { search, isRecorded } = await this.#begin(caller, 'stats', of.filter)
    const counts = await count(this.#ledger, search, head.seq, this.#check(caller, of))
    return { found: { counts: [...counts].sort(([, a], [, b]) => b - a), head }, isRecorded }
  }

  /**
   * A list as it stood after event `at`, and as it stands now.
   * @throws {Refused} as `admit`; `user_unknown` where neither a user nor a list has that name
   */
  async state(
    caller: Caller,
    { name, at, signal }: { readonly name: string; readonly at: number; readonly signal: AbortSignal },
  ): Promise<Looked<ListStates>> {
    await this.admit(caller)
    const ledger = this.#ledger
    const owner = await ledger.read((state) => findUser(state, name)?.id ?? ownerId(state, { list: name }))
    if (owner === undefined) throw new Refused('user_unknown')
    const isRecorded = await recordLook(ledger, caller, 'state', `owner:${owner} seq:..${at}`)
    const then = await listAt(ledger, owner, at, this.#check(caller, { signal }))
    return { found: { then, now: await ledger.ask(caller, (state) => listedIn(state, owner)) }, isRecorded }
  }

  /**
   * The events of a search as text to take along. It ends short, with the caller's reason, once they may not read on:
   * a surface that sends it on must not let that look like its end.
   */
  async export(caller: Caller, of: Export): Promise<Looked<AsyncGenerator<string>>> {
    await this.admit(caller)
    const { format, opened } = of
    const check = this.#check(caller, of)
    const search = this.#searchFor(of.filter)
    const { text, isRecorded } = await exportText(this.#ledger, caller, { search, format, opened, onRead: check })
    return { found: checked(text, check), isRecorded }
  }

  /** Admits the caller, reads the filter, and records the look, in this order. */
  async #begin(caller: Caller, how: Look, filter: string): Promise<{ search: Search; isRecorded: boolean }> {
    await this.admit(caller)
    const search = this.#searchFor(filter)
    return { search, isRecorded: await recordLook(this.#ledger, caller, how, search.canonical) }
  }

  #searchFor(filter: string): Search {
    try {
      return searchOf(this.#ledger, filter)
    } catch (error) {
      if (error instanceof FilterMalformed) throw new Refused('request_malformed', error.message)
      throw error
    }
  }

  /**
   * To be called once a block that is read and once a chunk that is sent. It does not wait: a revocation that is not on
   * disk yet ends a look already.
   */
  #check(caller: Caller, { signal, onRead }: Pick<Reading, 'signal' | 'onRead'>): (seq?: number) => void {
    return (seq) => {
      signal.throwIfAborted()
      const ended = this.#ledger.peek((state) => caller.holds(state, this.#ledger.now()))
      if (ended !== undefined) throw new Refused(ended)
      if (seq !== undefined) onRead?.(seq)
    }
  }

  async *#latest(
    search: Search,
    to: number,
    { limit, maxCharacters }: Pick<Listing, 'limit' | 'maxCharacters'>,
    check: (seq?: number) => void,
  ): Events {
    let [events, characters] = [0, 0]
    for await (const { event } of list(this.#ledger, { search, to, newestFirst: true, onRead: check })) {
      const told = tell(this.#ledger, event)
      yield told
      if (maxCharacters !== undefined) characters += JSON.stringify(told).length
      if (++events < limit && characters <= (maxCharacters ?? characters)) continue
      check()
      return event.seq > 1 ? event.seq : null
    }
    check()
    return null
  }

  async *#oldestFirst(search: Search, check: (seq?: number) => void): AsyncGenerator<Told> {
    for await (const { event } of list(this.#ledger, { search, newestFirst: false, onRead: check }))
      yield tell(this.#ledger, event)
  }

  async *#news(search: Search, from: number, signal: AbortSignal, check: () => void): AsyncGenerator<Heard> {
    try {
      for await (const heard of follow(this.#ledger, search, from, signal, check)) {
        check()
        yield 'event' in heard ? { event: tell(this.#ledger, heard.event) } : heard
      }
    } catch (error) {
      if (!signal.aborted) throw error
    }
  }
}

/** Whether an event is the record of this look itself, which its reader need not be told. */
const isOwn = ({ via }: Told, caller: Caller): boolean =>
  via.request !== undefined && via.request === caller.via.request

async function* checked<T>(parts: AsyncGenerator<T>, check: () => void): AsyncGenerator<T> {
  for await (const part of parts) {
    check()
    yield part
  }
}
