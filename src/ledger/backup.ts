/** Backup and restore: the book and its vault as one compressed file that proves itself. */
import { createHash } from 'node:crypto'
import { mkdirSync, renameSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import { Readable } from 'node:stream'
import { pipeline } from 'node:stream/promises'
import { createZstdCompress, createZstdDecompress } from 'node:zlib'
import { evolve, initial } from '../domain/domain.ts'
import { summarize } from '../domain/search.ts'
import { recorded } from './audit.ts'
import { checkLine, GENESIS, type Head } from './chain.ts'
import { BookUnusable, isCutOff, isFreeToRestore, keepToOwner, ownDirectory, RESTORING, unusable } from './directory.ts'
import { BLOCK, blockOf, broken, toEvent } from './history.ts'
import type { Caller, Ledger } from './ledger.ts'
import { lock } from './lock.ts'
import { type Change, Log } from './log.ts'
import { linesOf } from './proof.ts'
import { type OnProgress, rowsOf } from './rebuild.ts'
import { forgetChanges } from './tables.ts'
import { Vault } from './vault.ts'
import { Witness } from './witness.ts'

/** The format of a backup. */
const FORMAT = 3

/**
 * What a backup holds, as lines: a header that states the head, the vault, the events, and the SHA-256 of all that.
 * The vault goes first: whoever reads the events needs its keys.
 */
async function* backupLines(
  { view, close }: ReturnType<Ledger['snapshot']>,
  head: Head,
  about: object,
): AsyncGenerator<string> {
  const hash = createHash('sha256')
  const hashed = (text: string): string => {
    hash.update(text)
    return text
  }
  try {
    yield hashed(`${JSON.stringify({ daybook: 'backup', format: FORMAT, head, ...about })}\n`)
    for await (const [name, value] of view.values('vault/')) yield hashed(`${JSON.stringify({ vault: name, value })}\n`)
    let at: Head = { seq: 0, hash: GENESIS }
    for await (const chunk of view.chunks()) {
      for (const [seq, line] of chunk) {
        const checked = seq === at.seq + 1 ? checkLine(line, at) : 'the record is missing'
        if (typeof checked === 'string') throw broken({ seq: at.seq + 1, fault: checked })
        at = checked
      }
      yield hashed(`${chunk.map(([, line]) => line).join('\n')}\n`)
    }
    if (at.hash !== head.hash) throw broken({ seq: at.seq + 1, fault: 'the record is missing' })
    yield `${JSON.stringify({ end: hash.digest('hex') })}\n`
  } finally {
    await close()
  }
}

export type Backup = {
  readonly head: Head
  readonly bytes: AsyncIterable<Buffer>
  /** Whether the book could say that it was made. */
  readonly isRecorded: boolean
}

/** A backup of the book as it is now, compressed with zstd, recorded first. Memory stays flat however long the book. */
export async function backUp(ledger: Ledger, by: Caller, about: { version: string }): Promise<Backup> {
  const isRecorded = await recorded(ledger, by, { type: 'BookBackedUp', data: { to: ledger.head.seq } })
  const snapshot = ledger.snapshot()
  const head = await snapshot.view.head().catch(async (error) => {
    await snapshot.close()
    throw error
  })
  const at = new Date(ledger.now()).toISOString()
  const compress = createZstdCompress()
  // A failure reaches whoever reads the compressed bytes.
  pipeline(Readable.from(backupLines(snapshot, head, { at, ...about })), compress).catch(() => {})
  return { head, bytes: compress, isRecorded }
}

/** So many events are written at once. */
const BATCH = 5000

/**
 * Makes a book of a backup, in a directory that has to be empty, verifying all of it on the way. What cannot be
 * verified leaves nothing behind. (A file that lacks no more than the last bytes of zstd's own framing holds the whole
 * backup still, which the SHA-256 over its lines proves.)
 * @returns where the restored book ends
 * @throws {BookUnusable} when the file is no backup, cut off or changed, or when the directory is not empty
 */
export async function restore(
  directory: string,
  bytes: Iterable<Buffer> | AsyncIterable<Buffer>,
  onProgress: OnProgress = () => {},
): Promise<Head> {
  const real = ownDirectory(directory, false)
  requireFree(real)
  const unlock = await lock(real)
  try {
    requireFree(real)
    return await makeBook(real, bytes, onProgress)
  } finally {
    await unlock()
  }
}

function requireFree(directory: string): void {
  if (!isFreeToRestore(directory))
    throw new BookUnusable(`${directory} is not empty: a backup is restored into an empty DATA_DIR only`)
}

/** Makes the book aside and puts it in its place when it is whole: until then nothing but a restore begins here. */
async function makeBook(
  directory: string,
  bytes: Iterable<Buffer> | AsyncIterable<Buffer>,
  onProgress: OnProgress,
): Promise<Head> {
  const making = join(directory, RESTORING)
  const discard = (path: string): void => rmSync(path, { recursive: true, force: true })
  const wasCutOff = isCutOff(directory)
  let head: Head
  try {
    discard(making) // Left behind by one that was cut off.
    keepToOwner(directory)
    mkdirSync(making, { mode: 0o700 })
    discard(join(directory, 'book')) // What a first start that was cut off had begun: there is no data in it.
    head = await restoreInto(making, bytes, onProgress)
    Witness.open(join(making, 'head'), head).close()
  } catch (error) {
    discard(making)
    if (wasCutOff) mkdirSync(making) // It still is: what is in its place is no book.
    throw unusable(directory, error)
  }
  try {
    // The book comes last: until it is in its place, nothing but a restore begins here.
    renameSync(join(making, 'head'), join(directory, 'head'))
    renameSync(join(making, 'book'), join(directory, 'book'))
    discard(making)
    // Once more in its place: that puts the directory itself on disk.
    Witness.open(join(directory, 'head'), head).close()
    return head
  } catch (error) {
    throw unusable(directory, error)
  }
}

async function restoreInto(
  directory: string,
  bytes: Iterable<Buffer> | AsyncIterable<Buffer>,
  onProgress: OnProgress,
): Promise<Head> {
  const log = await Log.open(directory)
  try {
    const reader = new BackupReader(log, onProgress)
    const text = createZstdDecompress()
    const unpacked = pipeline(Readable.from(bytes), text)
    unpacked.catch(() => {}) // It is waited for below.
    for await (const line of linesOf(text)) await reader.take(line)
    await unpacked
    return await reader.finish()
  } catch (error) {
    const { code, message } = error as NodeJS.ErrnoException
    throw code !== undefined && /^(ZSTD|Z_|ERR_STREAM)/.test(code)
      ? new BookUnusable(`this is no whole backup: ${message}. Nothing was restored`)
      : error
  } finally {
    await log.close()
  }
}

/** Takes the lines of a backup in turn, and writes what they say. */
class BackupReader {
  readonly #log: Log
  readonly #onProgress: OnProgress
  readonly #hash = createHash('sha256')
  readonly #vault = new Vault()
  readonly #state = initial()
  readonly #block: ReturnType<typeof toEvent>[] = []
  readonly #changes: Change[] = []
  #promised: Head | undefined
  #head: Head = { seq: 0, hash: GENESIS }
  #end: string | undefined

  constructor(log: Log, onProgress: OnProgress) {
    this.#log = log
    this.#onProgress = onProgress
  }

  async take(line: string | undefined): Promise<void> {
    if (line === undefined) throw damaged('it ends in the middle of a line')
    if (this.#end !== undefined) throw damaged('something follows its end')
    if (this.#promised === undefined) this.#promised = headerOf(line)
    else if (line.startsWith('{"hash":')) await this.#takeEvent(line)
    else if (line.startsWith('{"end":')) {
      this.#end = parse(line).end as string
      return
    } else await this.#takeSecret(line)
    this.#hash.update(`${line}\n`)
  }

  async #takeSecret(line: string): Promise<void> {
    const { vault: name, value } = parse(line)
    if (typeof name !== 'string' || typeof value !== 'string' || this.#head.seq > 0)
      throw damaged('it holds a line that is none of ours')
    await this.#log.write([], [this.#vault.keep(name, value)])
  }

  async #takeEvent(line: string): Promise<void> {
    const seq = this.#head.seq + 1
    const checked = checkLine(line, this.#head)
    if (typeof checked === 'string') throw damaged(`event ${seq} does not hold: ${checked}`)
    this.#head = checked
    const event = toEvent(line, this.#vault)
    try {
      evolve(this.#state, event)
    } catch (error) {
      // What Node's crypto says of a wrong key.
      if (
        !/^ERR_(CRYPTO|OSSL)|authenticate data/.test(
          `${(error as NodeJS.ErrnoException).code} ${(error as Error).message}`,
        )
      )
        throw error
      throw damaged(`event ${seq} cannot be opened with the key that it holds`)
    }
    this.#changes.push(Log.eventChange(seq, line))
    this.#block.push(event)
    if (seq % BLOCK === 0)
      this.#changes.push(Log.noteChange(blockOf(seq), JSON.stringify(summarize(this.#block.splice(0)))))
    if (seq % BATCH !== 0) return
    forgetChanges(this.#state)
    await this.#log.write(this.#changes.splice(0))
    this.#onProgress(seq, this.#promised!.seq)
  }

  async finish(): Promise<Head> {
    if (this.#end === undefined) throw damaged('its end is missing')
    if (this.#end !== this.#hash.digest('hex')) throw damaged('it was changed: its SHA-256 does not match')
    if (this.#head.hash !== this.#promised?.hash || this.#head.seq !== this.#promised.seq)
      throw damaged(`it ends at event ${this.#head.seq}, and states ${this.#promised?.seq}`)
    await this.#log.write([...this.#changes, Log.verifiedChange(this.#head)])
    await this.#log.replaceRows(rowsOf(this.#state))
    return this.#head
  }
}

const damaged = (what: string): BookUnusable =>
  new BookUnusable(`this is no whole backup: ${what}. Nothing was restored`)

function parse(line: string): { readonly [name: string]: unknown } {
  try {
    return JSON.parse(line)
  } catch {
    throw damaged('it holds a line that is no JSON')
  }
}

function headerOf(line: string): Head {
  const { daybook, format, head } = parse(line) as { daybook?: unknown; format?: unknown; head?: Partial<Head> }
  if (daybook !== 'backup') throw damaged('it does not begin as one')
  if (format !== FORMAT)
    throw new BookUnusable(`this backup has format ${String(format)}; this Daybook reads format ${FORMAT}`)
  if (typeof head?.seq !== 'number' || typeof head.hash !== 'string') throw damaged('it states no head')
  return { seq: head.seq, hash: head.hash }
}
