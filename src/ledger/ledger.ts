/** The ledger: state and `transact()`. Decides, seals, writes, and answers only what is on disk. */
import { join } from 'node:path'
import { dropExpired, type Event, evolve, initial, type State } from '../domain/domain.ts'
import type { Actor, Decision, Fact, Reason, Recorded, Trace, Via } from '../domain/shape.ts'
import { Sight } from '../domain/table.ts'
import { userKeyName } from '../domain/users.ts'
import { chainLine, checkLine, GENESIS, type Head } from './chain.ts'
import { newId } from './ids.ts'
import { BookUnusable, type Change, Log, RESTORE, type Span } from './log.ts'
import { beginBatch, endBatch, loadRows, rollBack } from './tables.ts'
import { NOBODY, newKey, SealedText, VAULT_PREFIX, Vault } from './vault.ts'
import { Witness } from './witness.ts'

/** Who asks for a change, how it came, and from where. */
export type By = { readonly actor: Actor; readonly via: Via; readonly trace?: Trace }

/** A decision said no. What it left behind is recorded by the time this is thrown. */
export class Refused extends Error {
  override name = 'Refused'
  readonly reason: Reason
  constructor(reason: Reason, detail: string = reason) {
    super(detail)
    this.reason = reason
  }
}

export type LedgerOptions = {
  /** `DATA_DIR`. Created 0700 if it is not there. */
  readonly directory: string
  /** ms since 1970. The only clock there is. */
  readonly clock: () => number
  /** Recorded with `BookOpened`. */
  readonly version: string
  /** Told when writing stopped and when it came back. */
  readonly onStatus?: (status: Status) => void
}

/** `reason` is why nothing can be written at the moment; reads go on from what is durable. */
export type Status = { readonly writable: true } | { readonly writable: false; readonly reason: string }

/** A batch in the making. Everybody in it waits for the same write. */
class Group {
  readonly changes: Change[] = []
  /** What takes the vault back to where it was. */
  readonly undo: (() => void)[] = []
  readonly #done = Promise.withResolvers<void>()
  readonly durable = this.#done.promise
  constructor() {
    this.durable.catch(() => {}) // A failed write is told to those who wait; nobody may be waiting.
  }
  succeed = (): void => this.#done.resolve()
  fail = (): void => this.#done.reject(new Refused('book_unavailable'))
}

/** What is read from disk at a start, and again after a failed write. */
type Book = {
  log: Log
  vault: Vault
  state: State
  sight: Sight
  /** Where the chain ends in memory, and where it ends on disk. */
  tip: Head
  durable: Head
  witness: Witness
}

/** What the vault keeps from the first start on: the key of what belongs to no user, and the key of form tokens. */
export const FORM_KEY = 'form-key'
const MADE_ONCE = [userKeyName(NOBODY), FORM_KEY]

const CLOSING: Status = { writable: false, reason: 'it is being closed' }
/** An event as it will stand in the book, and where the book then ends. */
type Sealed = { readonly line: string; readonly tip: Head }
type Keep = readonly [name: string, value: string | undefined]

const RETRY_MS = 1000
const SYSTEM: By = { actor: { kind: 'system', id: 'daybook' }, via: {} }

export class Ledger {
  readonly #options: LedgerOptions
  #book: Book
  #status: Status = { writable: true }
  #gathering: Group | undefined
  #writing: Group | undefined
  #writer: Promise<void> | undefined
  #recovery: Promise<void> | undefined
  #closed = false
  #isAnnounced = false

  private constructor(options: LedgerOptions, book: Book) {
    this.#options = options
    this.#book = book
  }

  /**
   * Opens the book, or begins one. Costs what is alive, not what has happened.
   * @param mustExist whether to refuse where there is no book, instead of beginning one
   * @throws {BookUnusable} with a message that says what is wrong and what to do
   */
  static async open(options: LedgerOptions, { mustExist = false } = {}): Promise<Ledger> {
    const ledger = new Ledger(options, await load(options.directory, mustExist))
    if (ledger.head.seq === 0) await ledger.announce()
    return ledger
  }

  /** Records that the book was opened, once: a new book begins with that, and a server says so when it serves. */
  async announce(): Promise<void> {
    if (this.#isAnnounced) return
    this.#isAnnounced = true
    const data = { version: this.#options.version }
    await this.transact(SYSTEM, () => ({ facts: [{ type: 'BookOpened', data }], result: undefined }))
  }

  /** ms since 1970. */
  now(): number {
    return this.#options.clock()
  }

  /** Where the book ends on disk. */
  get head(): Head {
    return this.#book.durable
  }

  get status(): Status {
    return this.#closed ? CLOSING : this.#status
  }

  /** A value of the vault. */
  secret(name: string): string | undefined {
    return this.#book.vault.get(name)
  }

  /**
   * Runs `decide` on what holds now, records its facts, and answers when they, and everything it looked at, are on
   * disk. Deciding and recording are one turn of the event loop: between check and consumption there is no gap.
   * @throws {Refused} with the decision's reason; with `book_unavailable` when it cannot be written, and then it is not
   */
  async transact<T>(by: By, decide: (state: State, now: number) => Decision<Event, T>): Promise<T> {
    if (!this.status.writable) throw new Refused('book_unavailable')
    const { state, sight } = this.#book
    sight.met = 0
    const now = this.now()
    const decision = decide(state, now)
    const keeps = decision.refusal === undefined ? Object.entries(decision.keeps ?? {}) : []
    const isChange = decision.facts.length > 0 || keeps.length > 0
    if (isChange) this.#record(by, decision.facts, keeps, now)
    await this.#durable(isChange ? 2 : sight.met)
    if (decision.refusal !== undefined) throw new Refused(decision.refusal)
    return decision.result
  }

  /** Looks at what holds now, and answers when everything that was met is on disk. */
  async read<T>(look: (state: State, now: number) => T): Promise<T> {
    const { state, sight } = this.#book
    sight.met = 0
    const seen = look(state, this.now())
    if (sight.met > 0) await this.#durable(sight.met)
    return seen
  }

  /** Lets go of what has expired, some rows at a time, so that nobody waits for all of them. */
  async sweep(): Promise<void> {
    while (this.status.writable) if (!(await this.transact(SYSTEM, dropExpired))) return
  }

  /** Events as the book has them, their sealed text ready to be opened. Durable ones only. */
  async *events(span: Span = {}): AsyncGenerator<Recorded<Event>> {
    const { log, vault } = this.#book
    for await (const [, line] of log.lines(span)) yield toEvent(line, vault)
  }

  /**
   * Walks the chain from event 1 to the head.
   * @returns the head it reached, or the first event that does not fit and why
   */
  async verify(onProgress: (seq: number) => void = () => {}): Promise<Head | { seq: number; fault: string }> {
    const { log, durable: last } = this.#book
    let head: Head = { seq: 0, hash: GENESIS }
    for await (const [seq, line] of log.lines()) {
      if (seq !== head.seq + 1) return { seq: head.seq + 1, fault: 'the record is missing' }
      const checked = checkLine(line, head)
      if (typeof checked === 'string') return { seq, fault: checked }
      head = checked
      if (seq % 10_000 === 0) onProgress(seq)
    }
    return head.seq < last.seq ? { seq: head.seq + 1, fault: 'the record is missing' } : head
  }

  /** Finishes what is being written and lets go of the book. */
  async close(): Promise<void> {
    this.#closed = true
    await this.#writer
    await this.#recovery
    this.#book.witness.close()
    await this.#book.log.close()
  }

  /**
   * Seals everything first: a fact that cannot be sealed fails whoever asked for it and nobody else. New secrets are
   * kept before that, since a new user's facts are sealed under their key, and old ones deleted after it.
   */
  #record(by: By, facts: readonly Fact[], keeps: readonly Keep[], now: number): void {
    const { vault } = this.#book
    const before = keeps.map(([name]): Keep => [name, vault.get(name)])
    const undo = (): void => {
      for (const [name, value] of before) vault.put(name, value)
    }
    const sealed: Sealed[] = []
    try {
      for (const [name, value] of keeps) if (value !== undefined) vault.put(name, value)
      for (const fact of facts) sealed.push(this.#seal(by, fact, now, sealed.at(-1)?.tip ?? this.#book.tip))
    } catch (error) {
      undo()
      throw error
    }
    this.#gather((group) => {
      group.undo.push(undo)
      for (const { line, tip } of sealed) {
        // What changes the rows is what was recorded, read back: replaying the book cannot come out differently.
        evolve(this.#book.state, toEvent(line, vault))
        this.#book.tip = tip
        group.changes.push(Log.eventChange(tip.seq, line))
      }
      for (const [name, value] of keeps) group.changes.push(vault.keep(name, value))
    })
  }

  #seal({ actor, via, trace }: By, { type, data, personal }: Fact, now: number, before: Head): Sealed {
    const seq = before.seq + 1
    const text = { ...personal, ...trace }
    const isSealed = Object.keys(text).length > 0
    const sealed = isSealed ? this.#book.vault.seal(text, { seq, type, owner: ownerOf(data, actor) }) : undefined
    const at = new Date(now).toISOString()
    const { line, hash } = chainLine({ seq, id: newId(now), at, type, actor, via, data, sealed, prev: before.hash })
    return { line, tip: { seq, hash } }
  }

  /** The first write error is final for this handle: nothing more is written through it, and memory is as the disk. */
  #fail(error: Error): void {
    const waiting = [this.#gathering, this.#writing]
    this.#writing = this.#gathering = undefined
    rollBack(this.#book.state)
    for (const group of waiting) for (const undo of group?.undo.reverse() ?? []) undo()
    this.#book.tip = this.#book.durable
    this.#setStatus({ writable: false, reason: error.message })
    this.#recovery ??= this.#recover()
    for (const group of waiting) group?.fail()
  }

  #setStatus(status: Status): void {
    // An outage is told once, not once a second.
    const isNews = JSON.stringify(status) !== JSON.stringify(this.#status)
    this.#status = status
    if (isNews) this.#options.onStatus?.(status)
  }

  /** Reopens the book until a write succeeds. Meanwhile reads answer from memory, which is as the disk was. */
  async #recover(): Promise<void> {
    await this.#writer
    while (!this.#closed) {
      try {
        this.#book.witness.close()
        await this.#book.log.close()
        this.#book = await load(this.#options.directory, true)
        await this.#book.log.write([['meta/probe', String(this.now())]])
        this.#recovery = undefined
        this.#setStatus({ writable: true })
        return
      } catch (error) {
        this.#setStatus({ writable: false, reason: (error as Error).message })
        await new Promise((resolve) => setTimeout(resolve, RETRY_MS))
      }
    }
  }

  /** Adds to the group that is gathering. If that breaks half-way, memory is no longer what the book says: reload. */
  #gather(add: (group: Group) => void): void {
    this.#gathering ??= new Group()
    try {
      add(this.#gathering)
    } catch (error) {
      this.#fail(error as Error)
      throw error
    }
    this.#writer ??= this.#write()
  }

  async #durable(met: 0 | 1 | 2): Promise<void> {
    if (met === 2) await this.#gathering?.durable
    else if (met === 1) await this.#writing?.durable
  }

  /** One writer, one batch at a time; what arrives meanwhile shares the next one. */
  async #write(): Promise<void> {
    await Promise.resolve()
    while (this.#gathering !== undefined) {
      const book = this.#book
      const { tip } = book
      const group = this.#gathering
      this.#writing = group
      this.#gathering = undefined
      try {
        const changes = [...group.changes, ...beginBatch(book.state)]
        if (changes.length > 0) await book.log.write(changes)
        if (!this.#status.writable) break // Something else failed meanwhile: these were told so already.
        endBatch(book.state)
        book.durable = tip
        book.witness.write(tip)
      } catch (error) {
        this.#fail(error as Error)
        break
      }
      this.#writing = undefined
      group.succeed()
    }
    this.#writer = undefined
  }
}

/** Whose key seals an event: its user's, its actor's, or nobody's. */
function ownerOf(data: { user?: unknown }, actor: Actor): string {
  if (typeof data.user === 'string') return data.user
  return actor.kind === 'user' ? actor.id : NOBODY
}

function toEvent(line: string, vault: Vault): Recorded<Event> {
  const event = JSON.parse(line)
  if (event.sealed === undefined) return event
  const { seq, type, data, actor, sealed: blob } = event
  return { ...event, sealed: new SealedText(vault, { seq, type, owner: ownerOf(data, actor), blob }) }
}

/** Opens the log, reads vault and rows, and holds the end of the book against witness and chain. */
async function load(directory: string, mustExist: boolean): Promise<Book> {
  const vault = new Vault()
  const log = await Log.open(directory, () => MADE_ONCE.map((name) => vault.keep(name, newKey())), mustExist)
  try {
    for await (const [name, value] of log.under(VAULT_PREFIX)) vault.put(name, value)
    for (const name of MADE_ONCE)
      if (vault.get(name) === undefined) throw new BookUnusable(`the vault's ${name} is missing. ${RESTORE}`)
    const sight = new Sight()
    const state = initial(sight)
    await loadRows(state, log, vault)
    const head = await log.head()
    const path = join(directory, 'head')
    await verifyEnd(log, head, Witness.read(path), path)
    return { log, vault, state, sight, tip: head, durable: head, witness: Witness.open(path, head) }
  } catch (error) {
    await log.close()
    const { syscall, message } = error as NodeJS.ErrnoException
    throw syscall === undefined ? error : new BookUnusable(`${directory} cannot be used: ${message}`)
  }
}

/** Verifies what came after the last start: the book is as long as the witness says, and its chain holds. */
async function verifyEnd(log: Log, head: Head, witness: Head | undefined, path: string): Promise<void> {
  const verified = await log.verified()
  // A first start that was cut off leaves one event, BookOpened, at most. A longer book has had its witness.
  if (witness === undefined && head.seq > 1)
    throw new BookUnusable(
      `${path} is missing or empty, so it cannot be told whether the book is whole. If ${head.seq} ${head.hash} is the head that ` +
        `you noted, write it there: printf '%016d %s\\n' ${head.seq} ${head.hash} > ${path}`,
    )
  const seen = Math.max(witness?.seq ?? 0, verified.seq)
  if (seen > head.seq)
    throw new BookUnusable(`the book ends at event ${head.seq}, but ${path} has seen ${seen}. ${RESTORE}`)
  const from = Math.max(1, Math.min(verified.seq + 1, head.seq, witness?.seq ?? 1))
  let before: { seq: number; hash: string | undefined } = { seq: from - 1, hash: undefined }
  if (from === verified.seq + 1) before = verified
  for await (const [seq, line] of log.lines({ from })) {
    const next = before.seq + 1
    const checked = seq === next ? checkLine(line, before) : 'the record is missing'
    if (typeof checked === 'string') throw new BookUnusable(`event ${next} does not hold: ${checked}. ${RESTORE}`)
    if (seq === witness?.seq && checked.hash !== witness.hash)
      throw new BookUnusable(`event ${seq} is not the one that ${path} has seen. ${RESTORE}`)
    before = checked
  }
  if (head.seq > verified.seq) await log.write([Log.verifiedChange(head)])
}
