/** Search: which events somebody wants to see, in the words of the filter grammar, and what of the book may be skipped. */
import { type Event, eventTypes } from './domain.ts'
import type { Actor, Recorded } from './shape.ts'

/** The words before a colon, each with what may stand behind it. */
const KINDS = {
  type: 'an event type, as in type:TokenIssued',
  actor: 'who did it, as in actor:alice',
  user: 'a user who did it or whom it is about, as in user:alice',
  owner: 'whose list it is about, as in owner:alice',
  client: 'an app, as in client:chatgpt',
  conversation: 'a conversation of the app, as in conversation:3f1c9a52',
  tool: 'an MCP tool, as in tool:add_todos',
  ip: 'an IP address, as in ip:203.0.113.7',
  request: 'a request id, as in request:01M7XSABGXEAEZT0QGFNBQ2RAK',
  since: 'a duration (90s, 15m, 2h, 30d), a day or a time in UTC, as in since:2h or since:2026-11-01T10:30',
  until: 'a duration, a day or a time in UTC, as in until:2026-11-01',
  seq: 'a place in the book or a range, as in seq:17, seq:100..200 or seq:100..',
} as const
type Kind = keyof typeof KINDS | 'text'

/** One term of a filter. For times `from` and `to` are ms since 1970, for places a `seq`; both included. */
export type Term = {
  readonly kind: Kind
  readonly isNegated: boolean
  readonly value: string
  readonly from: number
  readonly to: number
}

/** The longest filter that is read, in characters. */
const MAX_FILTER_LENGTH = 2000

/** A filter that cannot be read; the message says why. */
export class FilterMalformed extends Error {
  override name = 'FilterMalformed'
}

/**
 * Reads a filter: terms `kind:value` and free words, parted by blanks; quotes keep blanks together, `-` negates.
 * @param now ms since 1970, from which durations count back
 * @throws {FilterMalformed}
 */
export function parseFilter(text: string, now: number): Term[] {
  if (text.length > MAX_FILTER_LENGTH)
    throw new FilterMalformed(`a filter has at most ${MAX_FILTER_LENGTH.toLocaleString('en')} characters`)
  const words = text.match(/-?(?:[a-z]+:)?"[^"]*"|[^\s"]+|"/gi) ?? []
  return words.map((word) => parseTerm(word, now))
}

function parseTerm(word: string, now: number): Term {
  const isNegated = word.startsWith('-') && word.length > 1
  const rest = isNegated ? word.slice(1) : word
  const [, kind, value = ''] = /^([a-z]+):(.*)$/is.exec(rest) ?? []
  if (kind === undefined) return term('text', isNegated, unquoted(rest, word))
  if (!Object.hasOwn(KINDS, kind))
    throw new FilterMalformed(
      `"${kind}:" is not a filter word: there are ${Object.keys(KINDS).join(', ')} (quotes make it free text: "${rest}")`,
    )
  const known = kind as keyof typeof KINDS
  const found = read[known](unquoted(value, word), now)
  if (found === undefined) throw new FilterMalformed(`${word}: behind "${kind}:" stands ${KINDS[known]}`)
  return { kind: known, isNegated, value: '', from: Number.NEGATIVE_INFINITY, to: Number.POSITIVE_INFINITY, ...found }
}

const term = (kind: Kind, isNegated: boolean, value: string): Term => ({
  kind,
  isNegated,
  value: value.toLowerCase(),
  from: Number.NEGATIVE_INFINITY,
  to: Number.POSITIVE_INFINITY,
})

function unquoted(text: string, word: string): string {
  const found = /^"([^"]*)"$/.exec(text)?.[1] ?? text
  if (found === '' || found.includes('"')) throw new FilterMalformed(`${word}: nothing stands there, or half a quote`)
  return found
}

type Read = Partial<Pick<Term, 'value' | 'from' | 'to'>>
const name = (text: string): Read => ({ value: text })
const read: { readonly [K in keyof typeof KINDS]: (text: string, now: number) => Read | undefined } = {
  type(text) {
    const type = eventTypes.find((known) => known.toLowerCase() === text.toLowerCase())
    return type === undefined ? undefined : { value: type }
  },
  actor: name,
  user: name,
  owner: name,
  client: name,
  conversation: name,
  tool: (text) => (/^\w{1,64}$/.test(text) ? { value: text.toLowerCase() } : undefined),
  ip: (text) => (/^[\da-f:.]{2,45}$/i.test(text) ? { value: text.toLowerCase() } : undefined),
  request: (text) => (/^[\dA-Z]{26}$/i.test(text) ? { value: text.toUpperCase() } : undefined),
  since(text, now) {
    const [from] = readTime(text, now) ?? []
    return from === undefined ? undefined : { from }
  },
  until(text, now) {
    const [, to] = readTime(text, now) ?? []
    return to === undefined ? undefined : { to }
  },
  seq(text) {
    const found = /^(\d{0,15})(\.\.)?(\d{0,15})$/.exec(text)
    if (found === null || /^\.*$/.test(text)) return undefined
    const [, first = '', dots, last = ''] = found
    const from = first === '' ? 1 : Number(first)
    const to = dots === undefined ? from : last === '' ? Number.MAX_SAFE_INTEGER : Number(last)
    return from < 1 || to < from ? undefined : { from, to }
  },
}

const UNIT_MS: { readonly [unit: string]: number } = { s: 1000, m: 60_000, h: 3_600_000, d: 86_400_000 }
const DAY_MS = 86_400_000

/** The first and the last millisecond of what is named: a moment, a second, a minute or a day (in UTC). */
function readTime(text: string, now: number): readonly [number, number] | undefined {
  const ago = /^(\d{1,6})([smhd])$/i.exec(text)
  if (ago !== null) {
    const at = now - Number(ago[1]) * UNIT_MS[ago[2]!.toLowerCase()]!
    return [at, at]
  }
  const found = /^(\d{4}-\d\d-\d\d)(?:T(\d\d:\d\d)(:\d\d)?(\.\d{3})?Z?)?$/i.exec(text)
  if (found === null) return undefined
  const [, day, minute = '00:00', second, ms] = found
  const at = Date.parse(`${day}T${minute}${second ?? ':00'}${ms ?? ''}Z`)
  // What is no day of the calendar comes out as another one, or as none.
  if (Number.isNaN(at) || new Date(at).toISOString().slice(0, 10) !== day) return undefined
  const lasts = ms !== undefined ? 1 : second !== undefined ? 1000 : found[2] !== undefined ? 60_000 : DAY_MS
  return [at, at + lasts - 1]
}

/** What a run of events holds, so that a search may skip it. Times are ms since 1970. */
export type Summary = {
  readonly from: number
  readonly to: number
  readonly types: { readonly [type: string]: number }
  /** `kind id` of the actors. */
  readonly actors: readonly string[]
  readonly users: readonly string[]
  readonly clients: readonly string[]
  readonly conversations: readonly string[]
  readonly tools: readonly string[]
}

export function summarize(events: Iterable<Recorded<Event>>): Summary {
  let [from, to] = [Number.POSITIVE_INFINITY, Number.NEGATIVE_INFINITY]
  const types: { [type: string]: number } = {}
  const [actors, users, clients] = [new Set<string>(), new Set<string>(), new Set<string>()]
  const [conversations, tools] = [new Set<string>(), new Set<string>()]
  for (const event of events) {
    const at = Date.parse(event.at)
    ;[from, to] = [Math.min(from, at), Math.max(to, at)]
    types[event.type] = (types[event.type] ?? 0) + 1
    actors.add(actorKey(event.actor))
    for (const user of usersOf(event)) users.add(user)
    for (const client of clientsOf(event)) clients.add(client)
    if (event.via.conversation !== undefined) conversations.add(event.via.conversation)
    if (event.via.tool !== undefined) tools.add(event.via.tool)
  }
  const who = { actors: [...actors], users: [...users], clients: [...clients] }
  return { from, to, types, ...who, conversations: [...conversations], tools: [...tools] }
}

const actorKey = ({ kind, id }: Actor): string => `${kind} ${id}`
/** The users who did it or whom it is about, and the owner of the list. */
export const usersOf = ({ actor, data }: Recorded<Event>): string[] => [
  ...('user' in data && typeof data.user === 'string' ? [data.user] : []),
  ...('owner' in data ? [data.owner] : []),
  ...(actor.kind === 'user' ? [actor.id] : []),
]
const clientsOf = ({ actor, via, data }: Recorded<Event>): string[] => [
  ...('client' in data ? [data.client] : []),
  ...(via.client === undefined ? [] : [via.client]),
  ...(actor.kind === 'client' ? [actor.id] : []),
]

/** Ids for the names in a filter; `undefined` for a name that nobody has. */
export type Resolve = { user(name: string): string | undefined; client(name: string): string | undefined }

/** What a search needs to know of an event beyond the event: its sentence and whatever else is told of it. */
export type Tell = (event: Recorded<Event>) => string

export type Search = {
  /** The places of the book that can matter. */
  readonly from: number
  readonly to: number
  /** The filter with ids for names, and without words and addresses, which are personal: so it may be recorded. */
  readonly canonical: string
  readonly mayMatch: (summary: Summary) => boolean
  readonly matches: (event: Recorded<Event>, tell: Tell) => boolean
}

/** A request's events stand at most so long after its id was made: as long as a command may take. */
const LONGEST_REQUEST_MS = 3_600_000

type Check = {
  readonly ofEvent: (event: Recorded<Event>, tell: Tell) => boolean
  readonly ofSummary?: (summary: Summary) => boolean
}

/**
 * What a filter means: terms of one kind are alternatives, kinds are combined, what is negated is taken away.
 * @throws {FilterMalformed} for a name that nobody has
 */
export function searchFor(terms: readonly Term[], resolve: Resolve): Search {
  const resolved = terms.map((one) => resolveNames(one, resolve))
  const [wanted, unwanted] = [resolved.filter((one) => !one.isNegated), resolved.filter((one) => one.isNegated)]
  const groups = [...Map.groupBy(wanted, ({ kind }) => kind).values()].map((group) => group.map(checkOf))
  const excluded = unwanted.map(checkOf)
  const places = wanted.filter(({ kind }) => kind === 'seq')
  return {
    from: places.length === 0 ? 1 : Math.min(...places.map(({ from }) => from)),
    to: places.length === 0 ? Number.MAX_SAFE_INTEGER : Math.max(...places.map(({ to }) => to)),
    canonical: resolved.map(canonicalTerm).join(' '),
    mayMatch: (summary) =>
      groups.every((group) => group.some(({ ofSummary }) => ofSummary === undefined || ofSummary(summary))),
    matches: (event, tell) =>
      groups.every((group) => group.some(({ ofEvent }) => ofEvent(event, tell))) &&
      !excluded.some(({ ofEvent }) => ofEvent(event, tell)),
  }
}

const ACTOR_KINDS = ['user', 'client', 'operator', 'system', 'anonymous']

function resolveNames(one: Term, resolve: Resolve): Term {
  const { kind, value } = one
  if (kind !== 'user' && kind !== 'owner' && kind !== 'client' && kind !== 'actor') return one
  const isKind = kind === 'actor' && ACTOR_KINDS.includes(value.toLowerCase())
  const isHouse = kind === 'actor' && ['cli', 'daybook'].includes(value.toLowerCase())
  if (isKind || isHouse) return { ...one, value: value.toLowerCase() }
  const id =
    (kind === 'client' ? undefined : resolve.user(value)) ??
    (kind === 'user' || kind === 'owner' ? undefined : resolve.client(value))
  if (id === undefined)
    throw new FilterMalformed(
      `${kind}:${value}: there is no ${kind === 'actor' ? 'user or client' : kind} of that name`,
    )
  return { ...one, value: id }
}

function checkOf({ kind, value, from, to }: Term): Check {
  const isTime = (at: number): boolean => from <= at && at <= to
  switch (kind) {
    case 'type':
      return { ofEvent: ({ type }) => type === value, ofSummary: ({ types }) => Object.hasOwn(types, value) }
    case 'actor':
      return {
        ofEvent: ({ actor }) => actor.id === value || actor.kind === value,
        ofSummary: ({ actors }) => actors.some((key) => key.startsWith(`${value} `) || key.endsWith(` ${value}`)),
      }
    case 'user':
      return {
        ofEvent: (event) => usersOf(event).includes(value),
        ofSummary: ({ users }) => users.includes(value),
      }
    case 'owner':
      return {
        ofEvent: ({ data }) => 'owner' in data && data.owner === value,
        ofSummary: ({ users }) => users.includes(value),
      }
    case 'conversation':
      return {
        ofEvent: ({ via }) => via.conversation === value,
        ofSummary: ({ conversations }) => conversations.includes(value),
      }
    case 'tool':
      return { ofEvent: ({ via }) => via.tool === value, ofSummary: ({ tools }) => tools.includes(value) }
    case 'client':
      return {
        ofEvent: (event) => clientsOf(event).includes(value),
        ofSummary: ({ clients }) => clients.includes(value),
      }
    case 'since':
    case 'until':
      return {
        ofEvent: ({ at }) => isTime(Date.parse(at)),
        ofSummary: (summary) => summary.to >= from && summary.from <= to,
      }
    case 'seq':
      return { ofEvent: ({ seq }) => from <= seq && seq <= to }
    case 'request': {
      const made = ulidTime(value)
      return {
        ofEvent: ({ via }) => via.request === value,
        ofSummary: (summary) => summary.to >= made - LONGEST_REQUEST_MS && summary.from <= made + LONGEST_REQUEST_MS,
      }
    }
    case 'ip':
      return { ofEvent: ({ trace }) => trace?.open?.ip?.toLowerCase() === value }
    case 'text':
      return { ofEvent: (event, tell) => tell(event).toLowerCase().includes(value) }
  }
}

/** When a ULID was made: its first ten letters are the time. ms since 1970 */
const ulidTime = (id: string): number =>
  [...id.slice(0, 10)].reduce((ms, letter) => ms * 32 + '0123456789ABCDEFGHJKMNPQRSTVWXYZ'.indexOf(letter), 0)

function canonicalTerm({ kind, isNegated, value, from, to }: Term): string {
  const time = (ms: number): string => new Date(ms).toISOString()
  const said = {
    ...{ type: value, actor: value, user: value, owner: value, client: value, request: value, ip: '*', text: '*' },
    ...{ conversation: value, tool: value },
    since: kind === 'since' ? time(from) : '',
    until: kind === 'until' ? time(to) : '',
    seq: `${from}..${to === Number.MAX_SAFE_INTEGER ? '' : to}`,
  }[kind]
  return `${isNegated ? '-' : ''}${kind}:${said}`
}
