/** Looking into the book: what an operator may ask it, each look recorded. */
import type { Look } from '../domain/book.ts'
import { type Event, evolve, initial, type State } from '../domain/domain.ts'
import { parseFilter, type Search, searchFor } from '../domain/search.ts'
import type { Recorded } from '../domain/shape.ts'
import { type Item, itemOf, keptInOrder, TODO_EVENTS } from '../domain/todos.ts'
import { resolverOf, type Told, tellingOf, told } from '../domain/told.ts'
import { hashOf } from './chain.ts'
import { BLOCK, type Found, lastOf } from './history.ts'
import type { Caller, Ledger } from './ledger.ts'
import { Refused } from './refused.ts'
import { forgetChanges } from './tables.ts'

/** What is looked for, with names resolved. @throws {FilterMalformed} */
export const searchOf = (ledger: Ledger, filter: string): Search =>
  ledger.peek((state) => searchFor(parseFilter(filter, ledger.now()), resolverOf(state)))

/** An event in words. */
export const tell = (ledger: Ledger, event: Recorded<Event>): Told => ledger.peek((state) => told(event, state))

/**
 * Records that somebody looked. Where the book cannot be written, looking is needed most, so it goes on.
 * @returns whether it could be recorded
 */
export async function recordLook(ledger: Ledger, by: Caller, how: Look, filter: string): Promise<boolean> {
  return recorded(ledger, by, { type: 'BookInspected', data: { how, filter } })
}

/** @returns whether it could be recorded */
export async function recorded(ledger: Ledger, by: Caller, fact: Event): Promise<boolean> {
  try {
    await ledger.transact(by, () => ({ facts: [fact], result: undefined }))
    return true
  } catch (error) {
    if (error instanceof Refused && error.reason === 'book_unavailable') return false
    throw error
  }
}

export type Listing = {
  readonly search: Search
  /** The places to look at, both included; all if absent. */
  readonly from?: number
  readonly to?: number
  readonly newestFirst: boolean
  /** Told how far it has got, where it has to read on and on. */
  readonly onRead?: (seq: number) => void
}

/** The events that a search is for. */
export const list = (ledger: Ledger, listing: Listing): AsyncGenerator<Found> =>
  ledger.find({ ...listing, tell: (event) => ledger.peek((state) => tellingOf(event, state)) })

/** An event in words, and the hashes of its neighbours in the chain; `undefined` where there is none. */
export async function neighbours(
  ledger: Ledger,
  seq: number,
): Promise<(Told & { hash_before: string | null; hash_after: string | null }) | undefined> {
  const span = { from: Math.max(1, seq - 1), to: seq + 1 }
  const lines = new Map((await Array.fromAsync(ledger.chunks(span))).flat())
  const hashAt = (place: number): string | null => {
    const line = lines.get(place)
    return line === undefined ? null : hashOf(line)
  }
  for await (const event of ledger.events({ from: seq, to: seq }))
    return { ...tell(ledger, event), hash_before: hashAt(seq - 1), hash_after: hashAt(seq + 1) }
  return undefined
}

/** How long a follower is told nothing before it is told that. ms */
const SILENCE_MS = 15_000
/** So many events are looked at before the next are read: nothing stays open while whoever follows takes their time. */
const AT_ONCE = 1000

/** What a follower is told: an event; or that there was none for a while, and up to which `seq` that holds. */
export type Heard = Found | { readonly silentUpTo: number }

/** From where on somebody can follow who has seen up to `after`: the book may end before, as an older one does. */
export const followFrom = (ledger: Ledger, after: number): number => Math.min(after, ledger.head.seq)

/**
 * Events as they come to be on disk, from the one after `after` on, until `signal`.
 * @param check asked whenever there is something new and while it is read: what it throws ends the following
 */
export async function* follow(
  ledger: Ledger,
  search: Search,
  after: number,
  signal: AbortSignal,
  check: () => void = () => {},
): AsyncGenerator<Heard> {
  let seen = after
  let told = performance.now()
  const onRead = (): void => {
    signal.throwIfAborted()
    check()
  }
  while (!signal.aborted && ledger.isOpen) {
    await ledger.waitBeyond(seen, signal, SILENCE_MS)
    check()
    const to = Math.min(ledger.head.seq, seen + AT_ONCE)
    const found =
      to > seen ? await Array.fromAsync(list(ledger, { search, from: seen + 1, to, newestFirst: false, onRead })) : []
    seen = Math.max(seen, to)
    yield* found
    if (found.length > 0) told = performance.now()
    else if (performance.now() - told >= SILENCE_MS) {
      told = performance.now()
      yield { silentUpTo: seen }
    }
  }
}

/**
 * How many events of each type a search is for, up to event `seq`. Where it is for all, blocks with notes are counted
 * by these.
 * @param onRead told how far it has got
 */
export async function count(
  ledger: Ledger,
  search: Search,
  seq: number,
  onRead: (seq: number) => void = () => {},
): Promise<Map<string, number>> {
  const counts = new Map<string, number>()
  const add = (type: string, n: number): void => void counts.set(type, (counts.get(type) ?? 0) + n)
  if (search.canonical !== '')
    for await (const { event } of list(ledger, { search, to: seq, newestFirst: false, onRead })) add(event.type, 1)
  else if (seq > 0)
    for await (const [block, summary] of ledger.blocks()) {
      const span = { from: block * BLOCK + 1, to: Math.min(lastOf(block), seq) }
      if (summary !== undefined && lastOf(block) <= seq)
        for (const [type, n] of Object.entries(summary.types)) add(type, n)
      else for await (const event of ledger.events(span)) add(event.type, 1)
      onRead(span.to)
    }
  return counts
}

/** A to-do of a list, and its place among the open ones; `null` where it is done. */
export type Listed = { readonly idx: number | null; readonly item: Item }

/** A list as it stands in a state, in its order: open to-dos and done ones. */
export function listedIn(state: State, owner: string): Listed[] {
  let open = 0
  return keptInOrder(state, owner).map((row) => {
    const item = itemOf(row)
    return { idx: item.done ? null : open++, item }
  })
}

/**
 * A list as it stood when event `seq` had happened.
 * @param owner the id of its user or list
 * @param onRead told how far it has got
 */
export async function listAt(
  ledger: Ledger,
  owner: string,
  seq: number,
  onRead: (seq: number) => void = () => {},
): Promise<Listed[]> {
  const search = searchOf(ledger, `owner:${owner} ${TODO_EVENTS.map((type) => `type:${type}`).join(' ')}`)
  const state = initial()
  for await (const { event } of list(ledger, { search, to: seq, newestFirst: false, onRead })) {
    evolve(state, event)
    if (event.seq % 1000 === 0) forgetChanges(state)
  }
  return listedIn(state, owner)
}
