/** Reading requests: strict queries, exactly-one parameters, JSON objects without surprises. */
import type { Context } from 'koa'
import { Refused } from '../ledger/refused.ts'
import { repeatedMember } from './json.ts'

/** Does a header come more than once? Node would take the first, another server the last. */
export const isRepeated = (ctx: Context, name: string): boolean =>
  ctx.req.rawHeaders.filter((header, i) => i % 2 === 0 && header.toLowerCase() === name).length > 1

type JsonObject = { readonly [member: string]: unknown }

/**
 * The JSON object of a body.
 * @param types the media types that are taken
 * @throws {Refused} `media_type_unsupported`, `request_malformed`, `parameter_repeated`
 */
export function jsonObject(ctx: Context, types: readonly string[] = ['application/json']): JsonObject {
  if (!ctx.is(...types)) throw new Refused('media_type_unsupported')
  const { body } = ctx.request
  if (typeof body !== 'object' || body === null || Array.isArray(body))
    throw new Refused('request_malformed', 'The body must be a JSON object.')
  if (Object.keys(body).length > MAX_PARAMETERS)
    throw new Refused('request_malformed', 'The body has too many members.')
  const twice = repeatedMember(String(ctx.request.rawBody ?? ''))
  if (twice !== undefined) throw new Refused('parameter_repeated', `${printable(twice)} is given more than once.`)
  return body as JsonObject
}

/**
 * The object, if it has no other members: callers would believe that an ignored member was kept.
 * @throws {Refused} `member_unknown`, with the member's name
 */
export function onlyMembers(object: JsonObject, names: readonly string[]): JsonObject {
  const other = Object.keys(object).find((name) => !names.includes(name))
  if (other === undefined) return object
  const known = `The body may have ${names.join(', ')}.`
  throw new Refused('member_unknown', `There is no member ${printable(other) || 'without a name'} here. ${known}`)
}

/** More than anybody has a use for. */
const MAX_PARAMETERS = 100

/** Koa's `ctx.query` takes quadratic time. @throws {Refused} `request_malformed` */
export function requireFewParameters(query: string): void {
  if (query.split('&', MAX_PARAMETERS + 1).length > MAX_PARAMETERS)
    throw new Refused('request_malformed', 'There are too many parameters.')
}

/** Every value of every parameter of a query, decoded. @throws {Refused} `request_malformed` for what is no encoding */
export function queryParameters(query: string): Map<string, string[]> {
  requireFewParameters(query)
  const parameters = new Map<string, string[]>()
  for (const pair of query.split('&')) {
    if (pair === '') continue
    const [name, value] = splitPair(pair)
    const values = parameters.get(name)
    if (values === undefined) parameters.set(name, [value])
    else values.push(value)
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
export const printable = (name: string): string => name.slice(0, 40).replace(/[^\x20-\x21\x23-\x5b\x5d-\x7e]/g, '?')

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
