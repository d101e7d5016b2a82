/** The one door to `level`: opening a database, and what it means that it cannot be opened. */
import type { Level } from 'level'

/** On Node `level` is classic-level, which can compact. */
export type Database = Level<string, string> & { compactRange(start: string, end: string): Promise<void> }
export type Snapshot = ReturnType<Database['snapshot']>

/** A database that could not be opened, in its own words. */
export class NotOpened extends Error {
  override name = 'NotOpened'
  readonly code: string | undefined
  constructor(error: Error) {
    const cause = error.cause as { code?: string; message?: string } | undefined
    super(cause?.message ?? error.message)
    this.code = cause?.code
  }

  /** Another process has it. */
  get isLocked(): boolean {
    return this.code === 'LEVEL_LOCKED'
  }
}

type Options = { readonly createIfMissing: boolean; readonly errorIfExists?: boolean }

/** Opens the database in that folder. Nobody in this process may have it open: that would unlock it. @throws {NotOpened} */
export async function openDatabase(path: string, options: Options): Promise<Database> {
  // Loaded when it is needed: what does not touch the book starts without the database.
  const { Level } = await import('level')
  const database = new Level(path, options) as Database
  try {
    await database.open()
    return database
  } catch (error) {
    await database.close()
    throw new NotOpened(error as Error)
  }
}
