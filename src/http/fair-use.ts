/** Fair use: no caller takes so much of the server that others wait, by many requests at once or by answers left unread. */
import type { ServerResponse } from 'node:http'
import type { Context, Middleware } from 'koa'
import { Refused } from '../ledger/refused.ts'
import type { Limits } from '../service/limits.ts'
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

type Turns = { running: number; readonly waiting: (() => void)[] }
type Unsent = { readonly res: ServerResponse; readonly key: string; readonly bytes: number }

export class FairUse {
  readonly #limits: Limits
  readonly #bounds: FairUseBounds
  /** Callers with requests in work. */
  readonly #turns = new Map<string, Turns>()
  /** By whose budget a request counts, once its caller is known. */
  readonly #budgets = new WeakMap<Context, string>()
  /** Answers that wait to be sent, the oldest first. */
  readonly #unsent = new Set<Unsent>()
  readonly #unsentBytes = new Map<string, number>()
  #unsentInAll = 0
  #cut = 0

  constructor(limits: Limits, bounds: FairUseBounds = BOUNDS) {
    this.#limits = limits
    this.#bounds = bounds
  }

  /** How many answers were cut off since the start, because nobody read them. */
  get cut(): number {
    return this.#cut
  }

  /**
   * Waits until it is the turn of this request, whose body has come, among those of its caller. `middleware` ends the
   * turn.
   * @param budget by what limits count the caller
   * @throws {Refused} `deadline_passed` where nobody waits for the answer any more: nothing is done then
   */
  async begin(ctx: Context, budget: string): Promise<void> {
    const brought = Math.floor(bytesRead(ctx.req) / BYTES_A_REQUEST)
    if (brought > 0) this.#limits.charge('api', budget, brought)
    const turns = this.#turns.get(budget) ?? { running: 0, waiting: [] }
    this.#turns.set(budget, turns)
    this.#budgets.set(ctx, budget)
    turns.running++
    if (turns.running <= this.#bounds.atOnce || !this.#limits.has('api')) return
    await new Promise<void>((resolve) => turns.waiting.push(resolve))
    if (ctx.res.closed || ctx.res.writableEnded) throw new Refused('deadline_passed')
  }

  /** Ends the turn of each request with its work, and looks after its answer. */
  readonly middleware: Middleware = async (ctx, next) => {
    ctx.res.once('prefinish', () => this.#sent(ctx))
    try {
      await next()
    } finally {
      const budget = this.#budgets.get(ctx)
      if (budget !== undefined) this.#end(budget)
    }
  }

  #end(budget: string): void {
    const turns = this.#turns.get(budget)!
    turns.running--
    // In a turn of the event loop of its own, so that other callers come between.
    const next = turns.waiting.shift()
    if (next !== undefined) setImmediate(next)
    if (turns.running === 0) this.#turns.delete(budget)
  }

  /** The whole answer was handed over to be sent. */
  #sent(ctx: Context): void {
    const { req, res } = ctx
    const budget = this.#budgets.get(ctx)
    const [brought, answered] = [bytesRead(req), Number(res.getHeader('content-length') ?? 0)]
    const charged = Math.floor(brought / BYTES_A_REQUEST)
    const more = Math.floor((brought + answered) / BYTES_A_REQUEST) - charged
    if (budget !== undefined && more > 0) this.#limits.charge('api', budget, more)
    if (res.writableLength > SMALL_ANSWER_BYTES) this.#keep(res, budget ?? `address ${ctx.request.ip}`)
  }

  #keep(res: ServerResponse, key: string): void {
    const unsent = { res, key, bytes: res.writableLength }
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
