/** Fair use: no caller takes so much of the server that others wait, by many requests at once or by answers left unread. */
import type { ServerResponse } from 'node:http'
import type { Context, Middleware } from 'koa'
import { Refused } from '../ledger/refused.ts'
import { type Limits, networkOf } from '../service/limits.ts'
import { bytesRead } from './body.ts'

export type FairUseBounds = {
  /** How many requests of one caller are worked on at the same time, where there are limits. Others wait for their turn. */
  readonly atOnce: number
  /** How many bytes of answers may wait to be sent: of one caller, and in all. */
  readonly unsentOfOne: number
  readonly unsentOfAll: number
}

/** The largest answer has some 3 MB. */
const BOUNDS: FairUseBounds = { atOnce: 4, unsentOfOne: 16 << 20, unsentOfAll: 128 << 20 }

/** Answers that wait with fewer bytes do not count. */
const SMALL_ANSWER_BYTES = 16 * 1024

/** A request counts once more against the limit of the API for each of these bytes that it brings or is answered with. */
const BYTES_A_REQUEST = 64 * 1024

/** Requests of one caller that are worked on or wait. */
type Turns = { count: number; readonly waiting: (() => void)[] }
/** A request whose caller is known. `charged`: how often its length has been counted so far. */
type Known = { readonly budget: string; charged: number; turn: 'none' | 'waiting' | 'working' | 'ended' }
type Unsent = { readonly res: ServerResponse; readonly key: string; readonly bytes: number }

export class FairUse {
  readonly #limits: Limits
  readonly #bounds: FairUseBounds
  /** Callers with requests in work. */
  readonly #turns = new Map<string, Turns>()
  readonly #known = new WeakMap<Context, Known>()
  /** Answers that wait to be sent, the oldest first. */
  readonly #unsent = new Set<Unsent>()
  readonly #unsentBytes = new Map<string, number>()
  #unsentInAll = 0
  #cut = 0

  constructor(limits: Limits, bounds: FairUseBounds = BOUNDS) {
    this.#limits = limits
    this.#bounds = bounds
  }

  /** How many answers were cut off since the start, because they were not read to their end. */
  get cut(): number {
    return this.#cut
  }

  /** Notes who sent a request. @param budget by what limits count them */
  belongsTo(ctx: Context, budget: string): void {
    this.#known.set(ctx, { budget, charged: 0, turn: 'none' })
  }

  /**
   * Waits until it is the turn of this request, whose body has come, among those of its caller. Once is enough.
   * `middleware` ends the turn.
   * @throws {Refused} `deadline_passed` where nobody waits for the answer any more: nothing is done then
   */
  async begin(ctx: Context): Promise<void> {
    const known = this.#known.get(ctx)
    if (known === undefined || known.turn !== 'none') return
    this.#charge(known, bytesRead(ctx.req))
    const turns = this.#turns.get(known.budget) ?? { count: 0, waiting: [] }
    this.#turns.set(known.budget, turns)
    turns.count++
    if (turns.count > this.#bounds.atOnce && this.#limits.has('api')) {
      known.turn = 'waiting'
      await new Promise<void>((resolve) => turns.waiting.push(resolve))
    }
    known.turn = 'working'
    if (ctx.res.closed || ctx.res.writableEnded) throw new Refused('deadline_passed')
  }

  /** Ends the turn of each request with its work or with its answer, and looks after the answer. */
  readonly middleware: Middleware = async (ctx, next) => {
    ctx.res.once('prefinish', () => this.#sent(ctx))
    try {
      await next()
    } finally {
      this.#end(this.#known.get(ctx))
    }
  }

  #end(known: Known | undefined): void {
    if (known?.turn !== 'working') return
    known.turn = 'ended'
    const turns = this.#turns.get(known.budget)!
    turns.count--
    // In a turn of the event loop of its own, so that other callers come between.
    const next = turns.waiting.shift()
    if (next !== undefined) setImmediate(next)
    if (turns.count === 0) this.#turns.delete(known.budget)
  }

  /** @param bytes of the body, and of the answer */
  #charge(known: Known, bytes: number): void {
    const more = Math.floor(bytes / BYTES_A_REQUEST) - known.charged
    if (more <= 0) return
    known.charged += more
    this.#limits.charge('api', known.budget, more)
  }

  /** The whole answer was handed over to be sent. */
  #sent(ctx: Context): void {
    const { req, res } = ctx
    const known = this.#known.get(ctx)
    // At the deadline, work that hangs must not keep the caller's other requests waiting.
    this.#end(known)
    const answered = req.method === 'HEAD' ? 0 : Number(res.getHeader('content-length') ?? 0)
    if (known !== undefined) this.#charge(known, bytesRead(req) + answered)
    if (res.writableLength > SMALL_ANSWER_BYTES)
      this.#keep(res, known?.budget ?? `address ${networkOf(ctx.request.ip)}`, answered)
  }

  #keep(res: ServerResponse, key: string, bytesAnswered: number): void {
    // Node counts a text in UTF-16 units.
    const unsent = { res, key, bytes: Math.max(res.writableLength, bytesAnswered) }
    this.#unsent.add(unsent)
    this.#add(key, unsent.bytes)
    res.once('close', () => this.#drop(unsent))
    while ((this.#unsentBytes.get(key) ?? 0) > this.#bounds.unsentOfOne) this.#cutOldest(key)
    while (this.#unsentInAll > this.#bounds.unsentOfAll) this.#cutOldest(this.#largest())
  }

  #drop(unsent: Unsent): void {
    if (this.#unsent.delete(unsent)) this.#add(unsent.key, -unsent.bytes)
  }

  #add(key: string, bytes: number): void {
    const left = (this.#unsentBytes.get(key) ?? 0) + bytes
    if (left === 0) this.#unsentBytes.delete(key)
    else this.#unsentBytes.set(key, left)
    this.#unsentInAll += bytes
  }

  /** Who has the most bytes waiting. */
  #largest(): string {
    return [...this.#unsentBytes].reduce((most, one) => (one[1] > most[1] ? one : most))[0]
  }

  #cutOldest(key: string): void {
    for (const unsent of this.#unsent) {
      if (unsent.key !== key) continue
      this.#drop(unsent)
      this.#cut++
      unsent.res.destroy()
      return
    }
  }
}
