/** The head witness: a file beside the database that says how far the book had got, so that a shorter one is noticed. */
import { closeSync, constants, fsyncSync, openSync, readFileSync, writeSync } from 'node:fs'
import { dirname } from 'node:path'
import type { Head } from './chain.ts'
import { BookUnusable, RESTORE } from './directory.ts'

/** A line of fixed length, so that overwriting it in place leaves the old one or the new one, nothing between. */
const format = ({ seq, hash }: Head): string => `${String(seq).padStart(16, '0')} ${hash}\n`

export class Witness {
  #file: number | undefined

  private constructor(file: number) {
    this.#file = file
  }

  /**
   * What the file at `path` says; `undefined` when there is none, or an empty one, whose making was cut off.
   * @throws {BookUnusable} when it is not a witness
   */
  static read(path: string): Head | undefined {
    let text: string
    try {
      text = readFileSync(path, 'utf8')
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined
      throw error
    }
    if (text === '') return undefined
    const found = /^(\d{16}) ([0-9a-f]{64})\n$/.exec(text)
    if (found === null) throw new BookUnusable(`${path} is damaged: it should hold one line, "SEQ HASH". ${RESTORE}`)
    return { seq: Number(found[1]), hash: found[2]! }
  }

  /** Opens the file for writing and puts `head` into it, down to the disk: later writes only replace bytes. */
  static open(path: string, head: Head): Witness {
    const witness = new Witness(openSync(path, constants.O_RDWR | constants.O_CREAT, 0o600))
    try {
      witness.write(head)
      fsyncSync(witness.#file!)
      syncDirectory(dirname(path))
      return witness
    } catch (error) {
      witness.close()
      throw error
    }
  }

  /** Called after a batch is durable, never before: the witness may lag behind the book, it must not run ahead. */
  write(head: Head): void {
    writeSync(this.#file!, format(head), 0)
  }

  close(): void {
    if (this.#file !== undefined) closeSync(this.#file)
    this.#file = undefined
  }
}

/** A new file is there after power loss only when its directory is on disk too. */
function syncDirectory(path: string): void {
  const directory = openSync(path, 'r')
  try {
    fsyncSync(directory)
  } finally {
    closeSync(directory)
  }
}
