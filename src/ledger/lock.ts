/** Our own lock on the data directory, held however often the book in it is closed and opened again meanwhile. */
import { rmSync } from 'node:fs'
import { join } from 'node:path'
import { type Database, NotOpened, openDatabase } from './database.ts'
import { BookInUse, BookUnusable, holder, keepToOwner } from './directory.ts'

/** Directories that this process has locked: a second opener here would unlock them. */
const locked = new Set<string>()

/**
 * Locks the directory until it is released, or this process ends, and keeps it to its owner. The lock is that of an
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
    keepToOwner(directory)
    return unlock
  } catch (error) {
    await unlock()
    throw error
  }
}

async function take(directory: string): Promise<Database> {
  const path = join(directory, '.lock')
  for (let isSecondTry = false; ; isSecondTry = true)
    try {
      return await openDatabase(path, { createIfMissing: true })
    } catch (error) {
      if (!(error instanceof NotOpened)) throw error
      if (error.isLocked) throw new BookInUse(`${directory} is in use${holder(directory)}`)
      const isDamaged = error.code === 'LEVEL_CORRUPTION' || /No such file|invalid argument/i.test(error.message)
      if (!isDamaged || isSecondTry) throw new BookUnusable(`${directory} cannot be locked: ${error.message}`)
      rmSync(path, { recursive: true, force: true }) // It holds nothing, and nobody holds it.
    }
}
