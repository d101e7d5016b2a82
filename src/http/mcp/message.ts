/** JSON-RPC messages as they come in a body: one at a time, of bounded depth; and how a bad one is answered. */
import type { Context } from 'koa'
import { repeatedMember } from '../json.ts'

/** The codes of JSON-RPC 2.0 §5.1. */
const [PARSE_ERROR, INVALID_REQUEST] = [-32700, -32600]

/** How deep objects and arrays may stand in each other. Tools need 4; deeper ones exhaust the stack of readers. */
const MAX_DEPTH = 64

/**
 * How many members all objects of a message may have together. A full batch has some 150; the package that checks
 * messages takes 10 µs for each, in one go.
 */
const MAX_MEMBERS = 2000

/** What is wrong with a message, in the words of JSON-RPC. */
export type Wrong = { readonly code: number; readonly message: string }
export type Message = { readonly message: unknown } | { readonly wrong: Wrong }

/** The message that a body holds. @param text valid UTF-8 */
export function messageOf(text: string): Message {
  const tooMuch = excessOf(text)
  if (tooMuch !== undefined) return { wrong: { code: INVALID_REQUEST, message: tooMuch } }
  let message: unknown
  try {
    message = JSON.parse(text)
  } catch {
    return { wrong: { code: PARSE_ERROR, message: 'The body is not JSON.' } }
  }
  if (repeatedMember(text) !== undefined)
    return { wrong: { code: INVALID_REQUEST, message: 'An object has a member twice.' } }
  // Batches left the protocol with revision 2025-06-18.
  if (Array.isArray(message)) return { wrong: { code: INVALID_REQUEST, message: 'Send one message in a request.' } }
  const long = longNameOf(message)
  if (long !== undefined) return { wrong: { code: INVALID_REQUEST, message: `${long} is too long.` } }
  return { message }
}

/** How long what answers repeat may be, in UTF-16 units. Ids of Daybook have 26. */
const MAX_NAME_LENGTH = 1000

/** Where a message of the 2026 revision names that. */
const REVISION = 'io.modelcontextprotocol/protocolVersion'

/** What answers repeat, so that it must not be long: it would come back twice. */
function longNameOf(message: unknown): string | undefined {
  const { id, method, params } = Object(message)
  const { name, uri, _meta } = Object(params)
  const { [REVISION]: revision } = Object(_meta)
  const found = Object.entries({ id, method, name, uri, [REVISION]: revision }).find(
    ([, value]) => typeof value === 'string' && value.length > MAX_NAME_LENGTH,
  )
  return found === undefined ? undefined : `"${found[0]}"`
}

/** JSON-RPC 2.0 §5.1: the id is null where that of the request could not be read. */
export function answerWrong(ctx: Context, wrong: Wrong): void {
  ctx.status = 400
  ctx.body = { jsonrpc: '2.0', id: null, error: wrong }
}

const [QUOTE, BACKSLASH, COLON, OPENING, CLOSING] = [0x22, 0x5c, 0x3a, [0x7b, 0x5b], [0x7d, 0x5d]]

/** What a message has too much of. Counts brackets and members outside strings, in one pass and without recursion. */
function excessOf(text: string): string | undefined {
  let [depth, members, isString] = [0, 0, false]
  for (let at = 0; at < text.length; at++) {
    const code = text.charCodeAt(at)
    if (code === QUOTE) isString = !isString
    else if (isString && code === BACKSLASH) at++
    else if (!isString && OPENING.includes(code) && ++depth > MAX_DEPTH)
      return `Nested deeper than ${MAX_DEPTH} levels.`
    else if (!isString && code === COLON && ++members > MAX_MEMBERS) return `More than ${MAX_MEMBERS} members.`
    else if (!isString && CLOSING.includes(code)) depth--
  }
  return undefined
}
