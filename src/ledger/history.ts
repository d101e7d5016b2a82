/** Reading the book back: its events, what a search finds among them, and whether the chain holds. */
import type { Event } from '../domain/domain.ts'
import type { Search, Summary, Tell } from '../domain/search.ts'
import type { Actor, Recorded } from '../domain/shape.ts'
import { checkLine, GENESIS, type Head } from './chain.ts'
import { BookUnusable, RESTORE } from './directory.ts'
import type { Proved } from './proof.ts'
import { NOBODY, SealedText, type Vault } from './vault.ts'
import type { Span, View } from './view.ts'

/** How many events share a note of what they hold. */
export const BLOCK = 256
export const blockOf = (seq: number): number => Math.floor((seq - 1) / BLOCK)
export const lastOf = (block: number): number => (block + 1) * BLOCK

/** The first event that does not hold, and why. */
export type Fault = { readonly seq: number; readonly fault: string }

/** Whose key seals an event: the key of its list's owner, of its user, of its actor, or nobody's. */
export function ownerOf(data: { owner?: unknown; user?: unknown }, actor: Actor): string {
  if (typeof data.owner === 'string') return data.owner
  if (typeof data.user === 'string') return data.user
  return actor.kind === 'user' ? actor.id : NOBODY
}

/** An event as the book has it, its sealed text ready to be opened. */
export function toEvent(line: string, vault: Vault): Recorded<Event> {
  const event = JSON.parse(line)
  const owner = ownerOf(event.data, event.actor)
  for (const member of ['sealed', 'trace'] as const)
    if (event[member] !== undefined)
      event[member] = new SealedText(vault, { id: event.id, member, owner, blob: event[member] })
  return event
}

/** An event and its line in the book. */
export type Found = { readonly event: Recorded<Event>; readonly line: string }

/** Events, each of which is what was written. @throws {BookUnusable} that names the first one that is not */
export async function* readEvents(view: View, vault: Vault, span: Span): AsyncGenerator<Found> {
  for await (const chunk of view.chunks(span))
    for (const [seq, line] of chunk) {
      const checked = checkLine(line, { seq: seq - 1, hash: undefined })
      if (typeof checked === 'string') throw broken({ seq, fault: checked })
      yield { event: toEvent(line, vault), line }
    }
}

export const broken = ({ seq, fault }: Fault): BookUnusable =>
  new BookUnusable(`event ${seq} does not hold: ${fault}. ${RESTORE}`)

/**
 * Walks the chain over lines in order.
 * @param before where the walk begins: the head before the first line
 * @param onLine told of each line that holds
 */
export async function walk(
  chunks: AsyncIterable<readonly (readonly [seq: number, line: string])[]>,
  before: Head = { seq: 0, hash: GENESIS },
  onLine: (head: Head, line: string) => void = () => {},
): Promise<Head | Fault> {
  let head = before
  for await (const chunk of chunks)
    for (const [seq, line] of chunk) {
      if (seq !== head.seq + 1) return { seq: head.seq + 1, fault: 'the record is missing' }
      const checked = checkLine(line, head)
      if (typeof checked === 'string') return { seq, fault: checked }
      head = checked
      onLine(head, line)
    }
  return head
}

export type Find = {
  readonly search: Search
  readonly tell: Tell
  /** The places to look at, both included. */
  readonly from: number
  readonly to: number
  readonly newestFirst: boolean
  /** Told how far it has got, once a block that had to be read. */
  readonly onRead?: (seq: number) => void
}

/**
 * The events that a search is for. Blocks whose notes say that they hold none are passed over; where there is no note,
 * as at the end of the book, the block is read.
 * @throws {BookUnusable} when an event is not what was written
 */
export async function* find(view: View, vault: Vault, of: Find): AsyncGenerator<Found> {
  const { search, tell, newestFirst: reverse } = of
  const [from, to] = [Math.max(of.from, search.from), Math.min(of.to, search.to)]
  if (from > to) return
  for await (const [block, summary] of blocks(view, blockOf(from), blockOf(to), reverse)) {
    if (summary !== undefined && !search.mayMatch(summary)) continue
    const span = { from: Math.max(from, block * BLOCK + 1), to: Math.min(to, lastOf(block)), reverse }
    for await (const found of readEvents(view, vault, span)) if (search.matches(found.event, tell)) yield found
    of.onRead?.(reverse ? span.from : span.to)
  }
}

/** Every block from `first` to `last`, with what is noted of it. */
export async function* blocks(
  view: View,
  first: number,
  last: number,
  reverse: boolean,
): AsyncGenerator<readonly [block: number, summary: Summary | undefined]> {
  const notes = view.notes(first, last, reverse)
  try {
    let note = await notes.next()
    for (let i = 0; i <= last - first; i++) {
      const block = reverse ? last - i : first + i
      if (note.done === true || note.value[0] !== block) yield [block, undefined]
      else {
        yield [block, JSON.parse(note.value[1])]
        note = await notes.next()
      }
    }
  } finally {
    await notes.return(undefined)
  }
}

/** Walks the chain from event 1 to `last`. @param about the event whose hash to tell */
export async function verifyAll(
  view: View,
  last: Head,
  about: number | undefined,
  onProgress: (seq: number) => void,
): Promise<Proved | Fault> {
  let at: string | undefined
  const found = await walk(view.chunks(), undefined, ({ seq, hash }) => {
    if (seq === about) at = hash
    onProgress(seq)
  })
  if ('fault' in found) return found
  return found.seq < last.seq ? { seq: found.seq + 1, fault: 'the record is missing' } : { ...found, at }
}
