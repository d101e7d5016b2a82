/** A book that is open: what is read from disk at a start, and again after a failed write, and held against its proofs. */
import { join } from 'node:path'
import { initial, type State } from '../domain/domain.ts'
import { Sight } from '../domain/table.ts'
import { userKeyName } from '../domain/users.ts'
import { checkLine, GENESIS, type Head } from './chain.ts'
import { BookUnusable, RESTORE, unusable } from './directory.ts'
import { broken } from './history.ts'
import { Log } from './log.ts'
import { loadRows } from './tables.ts'
import { NOBODY, newKey, Vault } from './vault.ts'
import { Witness } from './witness.ts'

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

export type Book = {
  readonly log: Log
  readonly vault: Vault
  readonly state: State
  readonly sight: Sight
  /** Where the chain ends in memory, and where it ends on disk. */
  tip: Head
  durable: Head
  /** How far the chain was read back and found to hold. */
  verified: Head
  readonly witness: Witness
}

/** What the vault keeps from the first start on: the keys of what belongs to no user, of form tokens and of refresh tokens. */
export const FORM_KEY = 'form-key'
export const REFRESH_KEY = 'refresh-key'
const MADE_ONCE = [userKeyName(NOBODY), FORM_KEY, REFRESH_KEY]

/**
 * Opens the log, reads vault and rows, and holds the end of the book against witness and chain.
 * @throws {BookUnusable}
 */
export async function openBook(directory: string, mustExist: boolean): Promise<Book> {
  const vault = new Vault()
  const log = await Log.open(directory, () => MADE_ONCE.map((name) => vault.keep(name, newKey())), mustExist)
  try {
    await loadVault(vault, log)
    const sight = new Sight()
    const state = initial(sight)
    await loadRows(state, log, vault)
    const [head, path] = [await log.head(), join(directory, 'head')]
    const verified = await verifyEnd(log, head, Witness.read(path), path)
    return { log, vault, state, sight, tip: head, durable: head, verified, witness: Witness.open(path, head) }
  } catch (error) {
    await log.close()
    throw unusable(directory, error)
  }
}

/** @throws {BookUnusable} when a value is not what was written, or is missing */
export async function loadVault(vault: Vault, log: Log): Promise<void> {
  for await (const [name, value] of log.values('vault/')) vault.put(name, value)
  for (const name of MADE_ONCE)
    if (vault.get(name) === undefined) throw new BookUnusable(`the vault's ${name} is missing. ${RESTORE}`)
}

/**
 * Holds what came after the last verified event against the chain, and the book against its witness.
 * @returns the last verified event, as it was before
 */
export async function verifyEnd(log: Log, head: Head, witness: Head | undefined, path: string): Promise<Head> {
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
  let before: { seq: number; hash: string | undefined } = { seq: from - 1, hash: from === 1 ? GENESIS : undefined }
  if (from === verified.seq + 1) before = verified
  for await (const [seq, line] of log.lines({ from })) {
    const next = before.seq + 1
    const checked = seq === next ? checkLine(line, before) : 'the record is missing'
    if (typeof checked === 'string') throw broken({ seq: next, fault: checked })
    if (seq === witness?.seq && checked.hash !== witness.hash)
      throw new BookUnusable(`event ${seq} is not the one that ${path} has seen. ${RESTORE}`)
    before = checked
  }
  return verified
}
