/** Client-id metadata documents: fetched over HTTPS, from public addresses only, within bounds of time and size. */
import { Resolver } from 'node:dns/promises'
import type { IncomingMessage } from 'node:http'
import { request } from 'node:https'
import { BlockList, isIP, type LookupFunction } from 'node:net'
import { isForbiddenAddress } from './addresses.ts'

// Sections are those of draft-ietf-oauth-client-id-metadata-document-02.

/** A JSON object, and for how long it may be kept. */
export type FetchedDocument = { readonly json: unknown; readonly freshMs: number }

/** @throws {DocumentUnreadable} */
export type FetchDocument = (url: URL) => Promise<FetchedDocument>

/** All addresses of a host. Must settle soon after the signal is aborted. */
export type Lookup = (hostname: string, signal: AbortSignal) => Promise<readonly string[]>

export type FetcherOptions = {
  readonly lookup: Lookup
  /** Certificates to trust instead of those that Node trusts. */
  readonly ca: string | undefined
  /** Must Daybook not connect to this address? */
  readonly isForbidden: (address: string) => boolean
  /** From the call until the last byte. */
  readonly deadlineMs: number
}

/** Why there is no document: one sentence, which may be shown to anybody and names no address. */
export class DocumentUnreadable extends Error {
  override readonly name = 'DocumentUnreadable'
  /** Was the host asked? Then it should be left alone for a while. */
  readonly wasTried: boolean

  constructor(message: string, { wasTried = true, ...options }: ErrorOptions & { readonly wasTried?: boolean } = {}) {
    super(message, options)
    this.wasTried = wasTried
  }
}

const MAX_URL_LENGTH = 2048
const DEADLINE_MS = 5000
/** §8.7 recommends a limit, and 5 kB for it. Documents with keys and translated names are larger. */
const MAX_SIZE = 65_536
const MAX_DEPTH = 16
const FETCHES_AT_ONCE = 8
const MAX_WAITING = 32

/** One sentence for both, so that nobody can ask through Daybook which names a private network has. */
const NO_PUBLIC_ADDRESS = 'No public address was found for the host of the client-id document.'

/**
 * Fetches documents, a few at once; the others wait. Those who ask for the same URL meanwhile share one fetch.
 * Any port is allowed, as the draft allows it (§3).
 */
export function documentFetcher(options: Partial<FetcherOptions> = {}): FetchDocument {
  const settled: FetcherOptions = {
    lookup: dnsLookup(),
    ca: undefined,
    isForbidden: isForbiddenAddress,
    deadlineMs: DEADLINE_MS,
    ...options,
  }
  const slots = new Slots()
  const running = new Map<string, Promise<FetchedDocument>>()
  return async (url) => {
    requireFetchable(url)
    const { href } = url
    const shared = running.get(href)
    if (shared !== undefined) return shared
    const fetching = fetchInTime(new URL(href), settled, slots).finally(() => running.delete(href))
    running.set(href, fetching)
    return fetching
  }
}

/** What can be said of the URL itself (§3). Dot segments are gone once a URL is parsed, so the caller looks for them. */
function requireFetchable({ href, protocol, username, password }: URL): void {
  if (href.length > MAX_URL_LENGTH) throw untried('The URL of a client-id document must not be that long.')
  if (protocol !== 'https:') throw untried('A client-id document must have an https URL.')
  if (username !== '' || password !== '') throw untried('The URL of a client-id document must not contain a user.')
  if (href.includes('#')) throw untried('The URL of a client-id document must not have a fragment.')
}

const untried = (message: string): DocumentUnreadable => new DocumentUnreadable(message, { wasTried: false })

/** One deadline for everything, the wait for a slot included. */
async function fetchInTime(url: URL, options: FetcherOptions, slots: Slots): Promise<FetchedDocument> {
  const deadline = new AbortController()
  const timer = setTimeout(() => deadline.abort(), options.deadlineMs)
  try {
    await slots.take(deadline.signal)
    try {
      return await fetchOnce(url, options, deadline.signal)
    } finally {
      slots.release()
    }
  } catch (error) {
    if (error instanceof DocumentUnreadable) throw error
    if (deadline.signal.aborted) throw new DocumentUnreadable('The client-id document did not arrive in time.')
    const code = codeOf(error)
    if (code === undefined) throw error
    throw new DocumentUnreadable('The client-id document could not be fetched.', { cause: error })
  } finally {
    clearTimeout(timer)
  }
}

/** The code of an error of Node: of DNS, of a socket, of TLS or of HTTP. */
const codeOf = (error: unknown): string | undefined =>
  error instanceof Error && 'code' in error && typeof error.code === 'string' ? error.code : undefined

async function fetchOnce(url: URL, options: FetcherOptions, signal: AbortSignal): Promise<FetchedDocument> {
  const addresses = await checkedAddresses(url, options, signal)
  const response = await get(url, addresses, options, signal)
  try {
    requireUsable(response)
    const json = parseObject(await readBody(response))
    return { json, freshMs: freshMsOf(response.headers['cache-control']) }
  } finally {
    response.destroy()
  }
}

/** §8.6: a host is not contacted if any of its addresses is a special one. */
async function checkedAddresses(url: URL, options: FetcherOptions, signal: AbortSignal): Promise<readonly string[]> {
  const host = url.hostname.replace(/^\[|\]$/g, '')
  const addresses = isIP(host) === 0 ? await lookUp(host, options.lookup, signal) : [host]
  if (addresses.length === 0 || addresses.some(options.isForbidden)) throw new DocumentUnreadable(NO_PUBLIC_ADDRESS)
  return addresses
}

async function lookUp(host: string, lookup: Lookup, signal: AbortSignal): Promise<readonly string[]> {
  try {
    return await lookup(host, signal)
  } catch (error) {
    if (signal.aborted || codeOf(error) === undefined) throw error
    throw new DocumentUnreadable(NO_PUBLIC_ADDRESS, { cause: error })
  }
}

/**
 * Asks the name servers directly. `dns.lookup` would hold a thread of Node's pool for as long as a foreign name server
 * is silent, and LevelDB needs these threads.
 */
export function dnsLookup(create: () => Resolver = () => new Resolver({ timeout: 1000, tries: 2 })): Lookup {
  return async (hostname, signal) => {
    const resolver = create()
    const cancel = (): void => resolver.cancel()
    signal.addEventListener('abort', cancel)
    try {
      const answers = await Promise.allSettled([resolver.resolve4(hostname), resolver.resolve6(hostname)])
      const addresses = answers.flatMap((answer) => (answer.status === 'fulfilled' ? answer.value : []))
      if (addresses.length === 0) for (const answer of answers) if (answer.status === 'rejected') throw answer.reason
      return addresses
    } finally {
      signal.removeEventListener('abort', cancel)
    }
  }
}

/** Options of `net.connect`, which the types of `request` do not know. */
const TRY_EACH_ADDRESS = { autoSelectFamily: true, autoSelectFamilyAttemptTimeout: 1000 }

/** Sends the request to one of the addresses that were checked, and to no other. */
function get(
  url: URL,
  addresses: readonly string[],
  { ca, isForbidden }: FetcherOptions,
  signal: AbortSignal,
): Promise<IncomingMessage> {
  return new Promise((resolve, reject) => {
    const sent = request(url, {
      // An agent of its own: no proxy, no open connection or TLS session of an earlier request.
      agent: false,
      ...(ca === undefined ? {} : { ca }),
      // Said here, so that no environment variable can turn it off.
      rejectUnauthorized: true,
      headers: { Accept: 'application/json', 'Accept-Encoding': 'identity', 'User-Agent': 'Daybook' },
      // The name is not resolved a second time: a second answer could differ from the one that was checked.
      lookup: alwaysAnswering(addresses),
      ...TRY_EACH_ADDRESS,
      maxHeaderSize: 16_384,
      signal,
    })
    sent.on('error', reject)
    sent.once('response', resolve)
    // Node ends a request without an error where the host switches protocols (101).
    sent.once('close', () => reject(new DocumentUnreadable('The client-id document was not sent.')))
    sent.once('socket', (socket) =>
      socket.once('connect', () => {
        const { remoteAddress = '' } = socket
        if (!isAmong(remoteAddress, addresses) || isForbidden(remoteAddress))
          sent.destroy(new DocumentUnreadable(NO_PUBLIC_ADDRESS))
      }),
    )
    sent.end()
  })
}

const familyOf = (address: string): 'ipv4' | 'ipv6' => (isIP(address) === 6 ? 'ipv6' : 'ipv4')

const alwaysAnswering =
  (addresses: readonly string[]): LookupFunction =>
  (_hostname, _options, callback) =>
    callback(
      null,
      addresses.map((address) => ({ address, family: isIP(address) })),
    )

/** An IPv6 address can be written in several ways, so texts are not compared. */
function isAmong(address: string, addresses: readonly string[]): boolean {
  if (isIP(address) === 0) return false // The connection is gone already.
  const list = new BlockList()
  for (const known of addresses) list.addAddress(known, familyOf(known))
  return list.check(address, familyOf(address))
}

/** §5: only 200 is an answer, redirects are not followed, and the type is JSON. */
function requireUsable({ statusCode = 0, headers }: IncomingMessage): void {
  if (statusCode >= 300 && statusCode < 400)
    throw new DocumentUnreadable('The client-id document is a redirect, and redirects are not followed.')
  if (statusCode !== 200)
    throw new DocumentUnreadable(`The client-id document was answered with status ${statusCode}, not with 200.`)
  if (!/^application\/([\w!#$&^.+-]+\+)?json\s*(;|$)/i.test(headers['content-type'] ?? ''))
    throw new DocumentUnreadable('The client-id document must have the type application/json.')
  if (!/^(identity)?$/i.test(headers['content-encoding'] ?? ''))
    throw new DocumentUnreadable('The client-id document must not be compressed.')
  if (Number(headers['content-length'] ?? 0) > MAX_SIZE) throw tooLarge()
}

const tooLarge = (): DocumentUnreadable => new DocumentUnreadable('The client-id document is larger than 64 kB.')

/** Leaving the loop destroys the response, so nothing is read past the limit. */
async function readBody(response: AsyncIterable<Buffer>): Promise<Buffer> {
  const chunks: Buffer[] = []
  let size = 0
  for await (const chunk of response) {
    size += chunk.length
    if (size > MAX_SIZE) throw tooLarge()
    chunks.push(chunk)
  }
  return Buffer.concat(chunks)
}

function parseObject(body: Buffer): object {
  const json = parseJson(body)
  if (typeof json !== 'object' || json === null || Array.isArray(json))
    throw new DocumentUnreadable('The client-id document must be a JSON object.')
  let level: unknown[] = [json]
  for (let depth = 0; level.length > 0; depth++) {
    if (depth > MAX_DEPTH) throw new DocumentUnreadable('The client-id document is nested too deeply.')
    level = level.flatMap((value) => (typeof value === 'object' && value !== null ? Object.values(value) : []))
  }
  return json
}

function parseJson(body: Buffer): unknown {
  try {
    return JSON.parse(new TextDecoder('utf-8', { fatal: true }).decode(body))
  } catch (error) {
    throw new DocumentUnreadable('The client-id document is not JSON in UTF-8.', { cause: error })
  }
}

const MINUTE_MS = 60_000
const HOUR_MS = 60 * MINUTE_MS
const MIN_FRESH_MS = 5 * MINUTE_MS
const MAX_FRESH_MS = 24 * HOUR_MS

/** For how long a document may be kept: as its host says (RFC 9111 §5.2.2), within bounds of our own (§5.2). */
export function freshMsOf(cacheControl = ''): number {
  const directives = cacheControl.toLowerCase().split(/\s*,\s*/)
  if (directives.some((directive) => /^\s*no-(store|cache)\b/.test(directive))) return MIN_FRESH_MS
  const ages = directives.filter((directive) => /^\s*max-age\b/.test(directive))
  if (ages.length === 0) return HOUR_MS
  // An age that cannot be read is stale, and of several the shortest counts (RFC 9111 §4.2.1).
  const seconds = ages.map((age) => Number(/=\s*"?(\d+)"?\s*$/.exec(age)?.[1] ?? 0))
  return Math.min(Math.max(Math.min(...seconds) * 1000, MIN_FRESH_MS), MAX_FRESH_MS)
}

/** How many fetches run at once. The next one enters when one leaves; those who wait leave at their deadline. */
class Slots {
  #free = FETCHES_AT_ONCE
  readonly #waiting = new Set<() => void>()

  /** @throws {DocumentUnreadable} when too many wait, or this one for too long */
  async take(signal: AbortSignal): Promise<void> {
    if (this.#free > 0) {
      this.#free--
      return
    }
    const busy = untried('Too many client-id documents are being fetched. Try again in a moment.')
    if (this.#waiting.size >= MAX_WAITING) throw busy
    await new Promise<void>((resolve, reject) => {
      const enter = (): void => {
        signal.removeEventListener('abort', leave)
        resolve()
      }
      const leave = (): void => {
        this.#waiting.delete(enter)
        reject(busy)
      }
      this.#waiting.add(enter)
      signal.addEventListener('abort', leave, { once: true })
    })
  }

  release(): void {
    const [next] = this.#waiting
    if (next === undefined) {
      this.#free++
      return
    }
    this.#waiting.delete(next)
    next()
  }
}
