/** Proving an export to somebody who has nothing but the file: lines, SHA-256, and the rules of the chain. */
import { canonical, checkLine, GENESIS, type Head } from './chain.ts'
import type { Fault } from './history.ts'

/** Where a whole export ends; `at` is the hash of the event that was asked about, if it is there. */
export type Proved = Head & { readonly at: string | undefined }

/**
 * Verifies a whole export, from event 1 to its end.
 * @param bytes the file
 * @param about the event whose hash to tell
 * @returns the head, or the first event that does not hold
 */
export async function verifyExport(
  bytes: Iterable<Buffer | string> | AsyncIterable<Buffer | string>,
  about?: number,
): Promise<Proved | Fault> {
  let head: Head = { seq: 0, hash: GENESIS }
  let at: string | undefined
  for await (const line of linesOf(bytes)) {
    const seq = head.seq + 1
    if (line === undefined) return { seq, fault: 'the file ends in the middle of its record' }
    const checked = checkLine(plainLine(line), head)
    if (typeof checked === 'string') return { seq, fault: checked }
    head = checked
    if (seq === about) at = head.hash
  }
  if (head.seq === 0) return { seq: 1, fault: 'the file holds no event' }
  return { ...head, at }
}

/** Longer than any line that Daybook writes, in characters. */
const MAX_LINE_LENGTH = 4_000_000

/** Lines end with a line feed and nothing else. A last one without it is `undefined`: the file was cut off. */
export async function* linesOf(
  bytes: Iterable<Buffer | string> | AsyncIterable<Buffer | string>,
): AsyncGenerator<string | undefined> {
  const decoder = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true })
  // The beginning of a line, in parts: joined once, or a long line would take quadratic time.
  let parts: string[] = []
  let length = 0
  for await (const bytesOfPart of bytes) {
    const text = decoded(decoder, Buffer.from(bytesOfPart))
    if (text === undefined) return yield 'what is no UTF-8'
    const [first = '', ...lines] = text.split('\n')
    const last = lines.pop()
    parts.push(first)
    length += first.length
    if (length > MAX_LINE_LENGTH) return yield 'what is no line of a book'
    if (last === undefined) continue
    yield parts.join('')
    yield* lines
    ;[parts, length] = [[last], last.length]
  }
  if (length > 0) yield undefined
}

function decoded(decoder: InstanceType<typeof TextDecoder>, bytes: Buffer): string | undefined {
  try {
    return decoder.decode(bytes, { stream: true })
  } catch {
    return undefined
  }
}

/** A line of ours as it stands in the book: without `open`, and in canonical order whatever program has rewritten it. */
function plainLine(line: string): string {
  if (line.startsWith('{"hash":"') && !line.includes('"open":')) return line
  try {
    const { hash, open: _, ...event } = JSON.parse(line)
    const body = canonical(event)
    return typeof hash === 'string' && hash.length === 64 ? `{"hash":"${hash}",${body.slice(1)}` : line
  } catch {
    return line // What is wrong with it is said by whoever checks it.
  }
}
