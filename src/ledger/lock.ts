/** Our own lock on the data directory, held however often the book in it is closed and opened again meanwhile. */
import { readdirSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import { setTimeout as wait } from 'node:timers/promises'
import { type Database, NotOpened, openDatabase } from './database.ts'
import { BookInUse, BookUnusable, holder, LEVELDB, LOCK } from './directory.ts'

/** Directories that this process has locked: a second opener here would unlock them. */
const locked = new Set<string>()

/**
 * Locks the directory until it is released, or this process ends. The lock is that of an
 * empty database beside the book: Node has no other lock on a file that goes with its process.
 * @param directory its real path
 * @returns what releases it
 * @throws {BookInUse} when another process has it; {BookUnusable} when this one has it already, or it cannot be locked
 */
export async function lock(directory: string): Promise<() => Promise<void>> {
  if (locked.has(directory)) throw new BookUnusable(`${directory} is open in this process already`)
  locked.add(directory)
  let database: Database | undefined
  const unlock = async (): Promise<void> => {
    await database?.close()
    locked.delete(directory)
  }
  try {
    database = await take(directory)
    return unlock
  } catch (error) {
    await unlock()
    throw error
  }
}

/** What is damaged, as by a power loss when it was made, is made anew; another who does the same at once is waited for. */
const [TRIES, BETWEEN_TRIES_MS] = [10, 50]

async function take(directory: string): Promise<Database> {
  const path = join(directory, LOCK)
  for (let tries = 1; ; tries++)
    try {
      return await openDatabase(path, { createIfMissing: true })
    } catch (error) {
      if (!(error instanceof NotOpened)) throw error
      if (error.isLocked) throw new BookInUse(`${directory} is in use${holder(directory)}`)
      const isDamaged = error.code === 'LEVEL_CORRUPTION' || /No such file|ENOENT|invalid argument/i.test(error.message)
      if (!isDamaged || tries === TRIES) throw new BookUnusable(`${directory} cannot be locked: ${error.message}`)
      // It holds nothing. The file that is locked stays: somebody may have it by now.
      for (const name of readdirSync(path))
        if (name !== 'LOCK' && LEVELDB.test(name)) rmSync(join(path, name), { force: true })
      await wait(BETWEEN_TRIES_MS)
    }
}
