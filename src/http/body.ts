/** Request bodies: which are read, in how many bytes and pieces. What nobody parses is never read. */
import { isUtf8 } from 'node:buffer'
import { IncomingMessage } from 'node:http'
import { Readable } from 'node:stream'
import type { Context, Middleware } from 'koa'
import bodyParser from 'koa-bodyparser'
import { Refused } from '../ledger/refused.ts'
import { breakOf, lineAndColumn } from './json.ts'
import { isRepeated, requireFewParameters } from './parse.ts'
import type { Deps } from './settings.ts'

export const JSON_TYPE = 'application/json'
/** RFC 7396. */
export const MERGE_PATCH_TYPE = 'application/merge-patch+json'
export const FORM_TYPE = 'application/x-www-form-urlencoded'

/** 25 to-dos with texts and notes of 10,000 code points (2.0 MB in UTF-8), and what stands around them. */
export const MAX_BATCH_BYTES = 2 * 1024 * 1024

/**
 * The largest body that needs no slot: a text of 10,000 code points, each written as two `\uXXXX` (120 kB), and 40 kB
 * for the rest.
 */
export const SMALL_BYTES = 160 * 1024

/**
 * How many bytes are read of each type, where a route does not read its body itself: a password of 1,024 characters,
 * percent-encoded, and the state of an authorization. Anybody may send them.
 */
const LIMITS: { readonly [type: string]: number } = { [JSON_TYPE]: 64 * 1024, [FORM_TYPE]: 64 * 1024 }

/** How many pieces a body may come in, and after how many bytes it may have one more. A piece takes about 300 bytes. */
const [FREE_PIECES, BYTES_A_PIECE] = [512, 128]

/**
 * A request whose body is dropped once it comes in too many pieces for its size, whether somebody reads it or not.
 * Says so once, by the event `overrun`.
 */
export class BoundedMessage extends IncomingMessage {
  #pieces = 0
  #bytes = 0
  #isOverrun = false

  get isOverrun(): boolean {
    return this.#isOverrun
  }

  /** How many bytes of the body have come. */
  get bytes(): number {
    return this.#bytes
  }

  /** Node's HTTP parser hands over each piece of the body here. @returns whether more is wanted now */
  override push(piece: Buffer | null, encoding?: BufferEncoding): boolean {
    if (piece === null) return super.push(piece, encoding)
    if (this.#isOverrun) return true
    this.#pieces++
    this.#bytes += piece.length
    if (this.#pieces <= FREE_PIECES + this.#bytes / BYTES_A_PIECE) return super.push(piece, encoding)
    this.#isOverrun = true
    // Each piece costs time, too.
    this.socket.pause()
    this.emit('overrun')
    return true
  }
}

const isBodyless = ({ method }: Context): boolean => ['GET', 'HEAD', 'OPTIONS'].includes(method)

/**
 * Whether a request brings a body that means something. It has one where it has one of these fields (RFC 9112 §6.3);
 * that of GET or HEAD means nothing (RFC 9110 §9.3.1, §9.3.2).
 */
export const hasBody = (ctx: Context): boolean =>
  !isBodyless(ctx) && (ctx.get('transfer-encoding') !== '' || Number(ctx.get('content-length') || 0) > 0)

/** The longest Content-Type that is read; a boundary, the longest parameter in use, has 70 characters. */
const MAX_MEDIA_TYPE_LENGTH = 256

/**
 * RFC 9110 §8.3.1: a type, and parameters that are names with values. Each group begins or ends with a character that is
 * not a blank, so blanks are matched in one way only, and the time is linear.
 */
const MEDIA_TYPE =
  /^([\w!#$&^.+-]+\/[\w!#$&^.+-]+)(?:[ \t]*;[ \t]*[\w!#$&^.+-]+=(?:"[^"]*"|[\w!#$&^.+-]+))*(?:[ \t]*;)?[ \t]*$/

/** The type of a body that is UTF-8 and sent as it is. @throws {Refused} `media_type_unsupported` */
function mediaType(ctx: Context): string {
  const header = ctx.get('content-type')
  if (header === '') return ''
  const type = header.length > MAX_MEDIA_TYPE_LENGTH ? undefined : MEDIA_TYPE.exec(header)?.[1]
  if (type === undefined || isRepeated(ctx, 'content-type')) throw new Refused('media_type_unsupported')
  if (!['', 'utf-8', 'utf8'].includes(ctx.request.charset.toLowerCase())) throw new Refused('media_type_unsupported')
  // A compressed body could inflate without bound.
  if (!['', 'identity'].includes(ctx.get('content-encoding').toLowerCase())) throw new Refused('media_type_unsupported')
  return type.toLowerCase()
}

/** @throws {Refused} `request_malformed` for a body of which it is not certain where it ends */
function requireFraming(ctx: Context): void {
  const coding = ctx.get('transfer-encoding').toLowerCase()
  // RFC 9112 §6.1, §6.3: with other codings it is not certain where the body ends.
  if (['', 'chunked'].includes(coding) && (coding === '' || ctx.req.httpVersion !== '1.0')) return
  ctx.set('Connection', 'close')
  throw new Refused('request_malformed')
}

/** While the rest of a body is on its way, its connection cannot be used for another request: so it ends. */
export const endUnread: Middleware = async (ctx, next) => {
  await next()
  if (!ctx.req.complete) ctx.set('Connection', 'close')
}

/**
 * Reads JSON and forms, where a route takes them.
 * @param takesBody is there a route for this request that does not read its body itself?
 */
export const parseBody =
  (takesBody: (ctx: Context) => boolean): Middleware =>
  async (ctx, next) => {
    requireFraming(ctx)
    requireFewParameters(ctx.querystring)
    if (!hasBody(ctx)) return next()
    const type = mediaType(ctx)
    const limit = LIMITS[type]
    if (limit !== undefined && takesBody(ctx)) await parse(ctx, type, await readBytes(ctx, limit))
    return next()
  }

/** How a route reads its body itself. */
type BodyBounds = {
  /** Bytes. */
  readonly limit: number
  /** A body of more than 160 kB has a slot until it is read. Then it is the turn of the request. */
  readonly deps: Pick<Deps, 'largeBodies' | 'fairUse'>
  /** Whose slot that is: the `budget` of the caller. */
  readonly budget: string
}

/**
 * Reads JSON where a route reads its body itself, once it is known who sent it. `jsonObject` then refuses other types.
 * @throws {Refused} `media_type_unsupported`, `request_too_large`, `request_malformed`; `rate_limited` without a slot
 */
export async function readJson(
  ctx: Context,
  { limit, deps: { largeBodies, fairUse }, budget }: BodyBounds,
): Promise<void> {
  if (!hasBody(ctx)) return
  const type = mediaType(ctx)
  if ([JSON_TYPE, MERGE_PATCH_TYPE].includes(type))
    await largeBodies.within(budget, async (enter) => parse(ctx, type, await readBytes(ctx, limit, enter)))
  await fairUse.begin(ctx)
}

/** koa-bodyparser decodes and parses JSON. Forms are kept as text: `formFields` reads them, more strictly than it does. */
const parseJson = bodyParser({
  enableTypes: ['json'],
  extendTypes: { json: [MERGE_PATCH_TYPE] },
  jsonLimit: String(MAX_BATCH_BYTES), // The bytes are bounded already.
  onerror(error) {
    // The error carries the raw body: it must not get into a log.
    throw brokenJson(String((error as Error & { body?: string }).body ?? ''))
  },
})

/** Sets `rawBody` and, for JSON, `body` of the request. */
async function parse(ctx: Context, type: string, bytes: Buffer): Promise<void> {
  if (type === FORM_TYPE) {
    ctx.request.rawBody = textOf(bytes)
    return
  }
  requireUtf8(bytes)
  // koa-bodyparser reads a stream: it is given one of what was read and bounded here.
  const read = Object.assign(Readable.from([bytes], { objectMode: false }), { headers: {} })
  await parseJson(Object.create(ctx, { req: { value: read } }), async () => {})
}

/** Says where a text breaks as JSON, and nothing of what stands there: it may be a secret. */
export function brokenJson(text: string): Refused {
  const at = breakOf(text)
  // The text is JSON, but koa-bodyparser refuses scalars and members that set a prototype.
  if (at === undefined) return new Refused('request_malformed')
  const { line, column } = lineAndColumn(text, at)
  return new Refused('request_malformed', `The body is not JSON: it breaks at line ${line}, column ${column}.`)
}

/**
 * The text of a body that its route reads itself (`readsOwnBody` in the sitemap), once it is known who sent it.
 * @param types the media types that are taken
 * @throws {Refused} `media_type_unsupported`, `request_too_large`, `request_malformed`; `rate_limited` without a slot
 */
export async function readBody(
  ctx: Context,
  {
    types = [JSON_TYPE],
    limit,
    deps: { largeBodies, fairUse },
    budget,
  }: BodyBounds & { readonly types?: readonly string[] },
): Promise<string> {
  if (!types.includes(mediaType(ctx))) throw new Refused('media_type_unsupported')
  const text = await largeBodies.within(budget, async (enter) => textOf(await readBytes(ctx, limit, enter)))
  await fairUse.begin(ctx)
  return text
}

function requireUtf8(bytes: Buffer): void {
  // Decoding would replace bytes that are not UTF-8 with U+FFFD, and that would be kept.
  if (!isUtf8(bytes)) throw new Refused('request_malformed', 'The body must be UTF-8.')
}

/** A byte order mark is left out (RFC 8259 §8.1). */
function textOf(bytes: Buffer): string {
  requireUtf8(bytes)
  const text = bytes.toString('utf8')
  return text.startsWith('\ufeff') ? text.slice(1) : text
}

const FIRST_BYTES = 4096

/**
 * The bytes of a body, in one buffer that grows with what has come: what is only announced takes no memory.
 * @param enter is called when the body is known to be larger than `SMALL_BYTES`; what it throws ends the reading
 * @throws {Refused} `request_too_large`; `request_malformed` where its sender left or was answered meanwhile
 */
async function readBytes(ctx: Context, limit: number, enter?: () => void): Promise<Buffer> {
  const { req, res } = ctx
  const announced = Number(ctx.get('content-length') || 0)
  if (announced > limit) throw new Refused('request_too_large')
  if (isOverrun(req)) throw new Refused('request_too_large')
  // The sender has left or was answered meanwhile, as at the deadline: no event would end the reading.
  if (res.closed) throw new Refused('request_malformed')
  if (announced > SMALL_BYTES) enter?.()
  // RFC 9110 §10.1.1: the client sends its body after this.
  if (ctx.get('expect').toLowerCase() === '100-continue') res.writeContinue()
  let kept: Buffer = Buffer.allocUnsafeSlow(Math.min(limit, FIRST_BYTES))
  let length = 0
  const { promise, resolve, reject } = Promise.withResolvers<void>()
  const take = (piece: Buffer): void => {
    const needed = length + piece.length
    try {
      if (needed > limit) throw new Refused('request_too_large')
      if (needed > SMALL_BYTES) enter?.()
    } catch (error) {
      stop(error)
      return
    }
    if (needed > kept.length) kept = grown(kept, length, needed, limit)
    length += piece.copy(kept, length)
  }
  /** Keeps nothing of what still comes. */
  const stop = (error: unknown): void => {
    req.off('data', take)
    reject(error)
  }
  const tooLarge = (): void => stop(new Refused('request_too_large'))
  const left = (): void => reject(new Refused('request_malformed'))
  const listeners = { data: take, overrun: tooLarge, end: resolve, error: left, close: left }
  for (const [event, listener] of Object.entries(listeners)) req.on(event, listener)
  // Node does not close a request whose connection ends after the answer.
  res.on('close', left)
  try {
    await promise
  } finally {
    for (const [event, listener] of Object.entries(listeners)) req.off(event, listener)
    res.off('close', left)
    // After the answer the rest is discarded, so that the answer arrives.
    if (!req.complete && !res.writableEnded) req.pause()
  }
  return kept.subarray(0, length)
}

export const bytesRead = (req: IncomingMessage): number => (req instanceof BoundedMessage ? req.bytes : 0)

export const isOverrun = (req: IncomingMessage): boolean => req instanceof BoundedMessage && req.isOverrun

/** Twice as large, or as large as it must be. */
function grown(kept: Buffer, length: number, needed: number, limit: number): Buffer {
  const larger = Buffer.allocUnsafeSlow(Math.min(limit, Math.max(needed, kept.length * 2)))
  kept.copy(larger, 0, 0, length)
  return larger
}
