/** The hash chain: how an event becomes a line of the book, and how a line is held against the one before it. */
import { hash as digest } from 'node:crypto'

/** What event 1 has as `prev`. */
export const GENESIS = '0'.repeat(64)

/** Where the book ends: the last event's `seq` and `hash`; before the first event, 0 and 64 zeros. */
export type Head = { readonly seq: number; readonly hash: string }

/**
 * RFC 8785 canonical JSON of plain data: members in the order of their UTF-16 code units, absent ones left out.
 * Narrower than the RFC: a number must be a safe integer, a string must be well-formed Unicode.
 * @throws {TypeError} on anything else
 */
export function canonical(value: unknown): string {
  if (typeof value === 'string' && value.isWellFormed()) return JSON.stringify(value)
  if (typeof value === 'boolean' || value === null) return String(value)
  if (typeof value === 'number' && Number.isSafeInteger(value) && !Object.is(value, -0)) return String(value)
  if (Array.isArray(value)) return `[${value.map(canonical).join(',')}]`
  if (typeof value === 'object') {
    const members = value as { readonly [name: string]: unknown }
    let text = ''
    // The default order of sort() is the order the RFC wants (RFC 8785 §3.2.3).
    for (const name of Object.keys(members).sort())
      if (members[name] !== undefined) text += `${text === '' ? '' : ','}${canonical(name)}:${canonical(members[name])}`
    return `{${text}}`
  }
  throw new TypeError(`no canonical form for ${typeof value} ${String(value)}`)
}

const sha256 = (text: string): string => digest('sha256', text)

/**
 * A line of the book: the canonical JSON of the event with its `hash` put in front, so that what was hashed is the
 * line without its first member, byte for byte, and the line itself is what an export carries.
 */
export function chainLine(event: object): { readonly line: string; readonly hash: string } {
  const body = canonical(event)
  const hash = sha256(body)
  return { line: `${HASH_OPENS}${hash}${HASH_CLOSES}${body.slice(1)}`, hash }
}

const HASH_OPENS = '{"hash":"'
const HASH_CLOSES = '",'
const BODY_AT = HASH_OPENS.length + 64 + HASH_CLOSES.length

/** The hash that a line says it has. */
export const hashOf = (line: string): string => line.slice(HASH_OPENS.length, HASH_OPENS.length + 64)

/**
 * Holds a line against the head before it: gives the new head, or says in words what is wrong.
 * @param before its `hash` may be `undefined` where nothing is known of the line before
 */
export function checkLine(line: string, before: { seq: number; hash: string | undefined }): Head | string {
  const hash = hashOf(line)
  if (!line.startsWith(HASH_OPENS) || line.slice(BODY_AT - HASH_CLOSES.length, BODY_AT) !== HASH_CLOSES)
    return 'the record does not begin with its hash'
  const body = `{${line.slice(BODY_AT)}`
  if (sha256(body) !== hash) return 'the record was changed: its hash does not match'
  const tail = TAIL.exec(body)?.groups
  const event = tail === undefined ? parse(body) : { seq: Number(tail.seq), prev: tail.prev }
  if (event === undefined) return 'the record is no JSON'
  if (event.seq !== before.seq + 1) return `the record says it is number ${String(event.seq)}`
  if (before.hash !== undefined && event.prev !== before.hash) return 'the record does not follow the one before it'
  return { seq: before.seq + 1, hash }
}

/**
 * How every line of ours ends, which spares parsing it: its members from `id` on, in canonical order. All of them are at
 * the top, since the last brace but one closes `via`; and none is inside a string, where a quote has a backslash before it.
 */
const TAIL =
  /"id":"[0-9A-Z]{26}","prev":"(?<prev>[0-9a-f]{64})"(?:,"sealed":"[\w-]+")?,"seq":(?<seq>\d{1,15})(?:,"trace":"[\w-]+")?,"type":"\w+","via":\{[^{}]*\}\}$/

function parse(body: string): { seq?: unknown; prev?: unknown } | undefined {
  try {
    return JSON.parse(body)
  } catch {
    return undefined
  }
}
