/** Reading requests: bounded bodies, strict queries, exactly-one parameters. */
import { isUtf8 } from 'node:buffer'
import type { Context, Middleware } from 'koa'
import bodyParser from 'koa-bodyparser'
import { Refused } from '../ledger/refused.ts'

/** A to-do of 10,000 code points, each written as two `\uXXXX`, and some air. */
const JSON_LIMIT = '160kb'
/** A password of 1,024 characters, percent-encoded, and the state of an authorization. */
const FORM_LIMIT = '64kb'

const read = bodyParser({
  enableTypes: ['json', 'form'],
  jsonLimit: JSON_LIMIT,
  formLimit: FORM_LIMIT,
  onerror(error, ctx) {
    // While the rest of the body is on its way, this connection cannot be used for another request.
    if (!ctx.req.complete) ctx.set('Connection', 'close')
    // The error carries the raw body: it must not get into a log.
    const { status } = error as Error & { status?: number }
    throw new Refused(status === 413 ? 'request_too_large' : 'request_malformed')
  },
})

/** RFC 9110 §8.3.1: a type, and parameters that are names with values. Nothing is one that is not named. */
const MEDIA_TYPE = /^$|^[\w!#$&^.+-]+\/[\w!#$&^.+-]+(\s*;\s*[\w!#$&^.+-]+=("[^"]*"|[\w!#$&^.+-]+))*\s*;?\s*$/

/** Reads a body of JSON or form, at most so large, in UTF-8, sent as it is. */
export const parseBody: Middleware = (ctx, next) => {
  const coding = ctx.get('transfer-encoding').toLowerCase()
  // RFC 9112 §6.1, §6.3: nobody needs another coding, and of most it is not known where the body ends.
  if (!['', 'chunked'].includes(coding) || (coding !== '' && ctx.req.httpVersion === '1.0')) {
    ctx.set('Connection', 'close')
    throw new Refused('request_malformed')
  }
  const hasBody = coding !== '' || Number(ctx.get('content-length') || 0) > 0
  if (!hasBody) return next()
  const charset = ctx.request.charset.toLowerCase()
  if (!MEDIA_TYPE.test(ctx.get('content-type'))) throw new Refused('media_type_unsupported')
  if (isRepeated(ctx, 'content-type') || !['', 'utf-8', 'utf8'].includes(charset))
    throw new Refused('media_type_unsupported')
  // Nobody needs to compress a to-do, and what inflates may inflate without bound.
  if (!['', 'identity'].includes(ctx.get('content-encoding').toLowerCase())) throw new Refused('media_type_unsupported')
  const chunks: Buffer[] = []
  ctx.req.on('data', (chunk: Buffer) => chunks.push(chunk))
  return read(ctx, () => {
    // What is no UTF-8 would be kept as something that nobody wrote.
    if (!isUtf8(Buffer.concat(chunks))) throw new Refused('request_malformed', 'The body must be UTF-8.')
    return next()
  })
}

/** Does a header come more than once? Node would take the first, another server the last. */
export const isRepeated = (ctx: Context, name: string): boolean =>
  ctx.req.rawHeaders.filter((header, i) => i % 2 === 0 && header.toLowerCase() === name).length > 1

/** The JSON object of a body. @throws {Refused} `media_type_unsupported`, `request_malformed` */
export function jsonObject(ctx: Context): { readonly [member: string]: unknown } {
  if (!ctx.is('application/json')) throw new Refused('media_type_unsupported')
  const { body } = ctx.request
  if (typeof body !== 'object' || body === null || Array.isArray(body))
    throw new Refused('request_malformed', 'The body must be a JSON object.')
  const twice = repeatedMember(String(ctx.request.rawBody ?? ''))
  if (twice !== undefined) throw new Refused('parameter_repeated', `${printable(twice)} is given more than once.`)
  return body as { readonly [member: string]: unknown }
}

/** The body, if it has no member but these. @throws {Refused} `member_unknown`, with its name */
export function onlyMembers(
  body: { readonly [member: string]: unknown },
  names: readonly string[],
): { readonly [member: string]: unknown } {
  const unknown = Object.keys(body).find((name) => !names.includes(name))
  if (unknown !== undefined) throw new Refused('member_unknown', `There is no member "${printable(unknown)}" here.`)
  return body
}

/** A string, or a sign that opens, closes or parts, in JSON that is known to be well-formed. */
const JSON_PARTS = /"[^"\\]*(?:\\.[^"\\]*)*"|[{}[\]:]/g

/** The first member that a JSON object has twice: one reader would take the first, another the last (RFC 8259 §4). */
function repeatedMember(json: string): string | undefined {
  const names = new Set<string>()
  let depth = 0
  let text = ''
  for (const [part] of json.matchAll(JSON_PARTS)) {
    if (part === '{' || part === '[') depth++
    else if (part === '}' || part === ']') depth--
    else if (part !== ':') text = part
    else if (depth === 1) {
      const name: string = JSON.parse(text)
      if (names.has(name)) return name
      names.add(name)
    }
  }
  return undefined
}

/** More than anybody has a use for. */
const MAX_PARAMETERS = 100

/** Every value of every parameter of a query, decoded. @throws {Refused} `request_malformed` for what is no encoding */
export function queryParameters(query: string): Map<string, string[]> {
  const parameters = new Map<string, string[]>()
  const pairs = query.split('&')
  if (pairs.length > MAX_PARAMETERS) throw new Refused('request_malformed', 'There are too many parameters.')
  for (const pair of pairs) {
    if (pair === '') continue
    const [name, value] = splitPair(pair)
    parameters.set(name, [...(parameters.get(name) ?? []), value])
  }
  return parameters
}

function splitPair(pair: string): [string, string] {
  const equals = pair.indexOf('=')
  const parts = equals < 0 ? [pair, ''] : [pair.slice(0, equals), pair.slice(equals + 1)]
  try {
    return parts.map((part) => decodeURIComponent(part.replaceAll('+', ' '))) as [string, string]
  } catch {
    throw new Refused('request_malformed')
  }
}

/** The fields of a form, each at most once. @throws {Refused} `media_type_unsupported`, `request_malformed` */
export function formFields(ctx: Context): Map<string, string> {
  if (!ctx.is('application/x-www-form-urlencoded'))
    throw new Refused('media_type_unsupported', 'The body must be a form, as a page of Daybook sends it.')
  return exactlyOne(queryParameters(String(ctx.request.rawBody ?? '')))
}

function exactlyOne(parameters: Map<string, string[]>): Map<string, string> {
  return new Map(
    [...parameters].map(([name, values]) => {
      if (values.length > 1) throw new Refused('parameter_repeated', `${printable(name)} is given more than once.`)
      return [name, values[0]!]
    }),
  )
}

/** RFC 6749 §5.2 allows %x20-21 / %x23-5B / %x5D-7E in a description. */
const printable = (name: string): string => name.replace(/[^\x20-\x21\x23-\x5b\x5d-\x7e]/g, '?').slice(0, 40)

/**
 * The parameters of a token request, form (RFC 6749 §4.1.3) or JSON (the plugin's `authorization_content_type`): each
 * at most once, each a string. @throws {Refused} `request_malformed`
 */
export function tokenParameters(ctx: Context): Map<string, string> {
  if (ctx.is('application/x-www-form-urlencoded')) return cleaned(formFields(ctx))
  if (!ctx.is('application/json'))
    throw new Refused('request_malformed', 'The body must be a form or JSON, and say so in Content-Type.')
  const members = Object.entries(jsonObject(ctx))
  for (const [name, value] of members)
    if (typeof value !== 'string') throw new Refused('request_malformed', `${printable(name)} must be a string.`)
  return cleaned(new Map(members as [string, string][]))
}

/** RFC 6749 §3.2: "Parameters sent without a value MUST be treated as if they were omitted from the request." */
function cleaned(parameters: Map<string, string>): Map<string, string> {
  if (parameters.has('__proto__')) throw new Refused('request_malformed', '__proto__ is not a parameter.')
  return new Map([...parameters].filter(([, value]) => value !== ''))
}
