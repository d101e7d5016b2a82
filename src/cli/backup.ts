/** `daybook backup`, `restore` and `rebuild`: the book as one file, and back; its rows made anew from its events. */
import {
  closeSync,
  createReadStream,
  existsSync,
  fsyncSync,
  openSync,
  renameSync,
  rmSync,
  statSync,
  writeSync,
} from 'node:fs'
import { dirname } from 'node:path'
import type { Command } from 'commander'
import { backUp, restore } from '../ledger/backup.ts'
import { compareRows, rebuildRows } from '../ledger/rebuild.ts'
import { type Act, CommandFailed, type Line, NOT_RECORDED, type Tools, whileTelling } from './act.ts'
import { type Config, UsageError } from './config.ts'
import { type Format, Printer } from './output.ts'
import { version } from './version.ts'

export const acts: { readonly [name: string]: Act } = {
  async *backup(ledger, _input, by) {
    const { head, bytes, isRecorded } = await backUp(ledger, by, { version })
    for await (const part of bytes) yield { raw: part.toString('base64') }
    yield { row: head }
    if (!isRecorded) yield NOT_RECORDED
  },

  async *'rebuild verify'(ledger, _input, _by, signal) {
    const { view, vault, close } = ledger.snapshot()
    try {
      const { seq } = ledger.head
      let done = 0
      const comparing = compareRows(view, vault, (at) => {
        signal.throwIfAborted()
        done = at
      })
      const { rows, wrong, first } = yield* whileTelling(comparing, () => ({ progress: done, of: seq }))
      if (wrong > 0) yield { fail: `${wrong} of the rows are not what the events lead to, such as ${first}.` }
      else yield { say: `${rows} rows, and each is what ${seq} events lead to.` }
    } finally {
      await close()
    }
  },
}

export const begins = []

export function addCommands(program: Command, { run, ask, settings, format }: Tools): void {
  program
    .command('backup <file>')
    .description('the whole book and its keys as one file, also while the server runs')
    .action((file: string) => writeBackup(ask('backup', {}), file))
  program
    .command('restore <file>')
    .description('a book of a backup, in an empty DATA_DIR')
    .action((file: string) => readBackup(settings(), file, format()))
  program
    .command('rebuild')
    .description('make the rows anew from the events, while no server runs')
    .option('--verify', 'only hold them against the events; change nothing')
    .action(({ verify = false }: { verify?: boolean }) =>
      verify ? run('rebuild verify', {}) : rebuild(settings(), format()),
    )
}

/** Whoever has the file can open everything in it: so it is for its owner only, and there whole or not at all. */
async function writeBackup(answer: AsyncGenerator<Line>, file: string): Promise<void> {
  if (existsSync(file)) throw new UsageError(`${file} is there already: nothing was written`)
  const partial = `${file}.${process.pid}.partial`
  let target: number
  try {
    target = openSync(partial, 'wx', 0o600)
  } catch (error) {
    throw new UsageError(`${file} cannot be written: ${(error as Error).message}`)
  }
  try {
    let head: Line | undefined
    for await (const line of answer) {
      if ('fail' in line) throw new CommandFailed(line.fail)
      if ('raw' in line) writeWhole(target, Buffer.from(line.raw, 'base64'))
      if ('row' in line) head = line
      if ('say' in line) process.stderr.write(`${line.say}\n`)
    }
    fsyncSync(target)
    if (existsSync(file)) throw new CommandFailed(`${file} is there by now: nothing was written`)
    renameSync(partial, file)
    syncDirectory(dirname(file))
    const { seq, hash } = (head as { row: { seq: number; hash: string } }).row
    process.stdout.write(`${file}: ${seq} events, ${statSync(file).size} bytes. Head ${seq}:${hash}\n`)
    process.stderr.write('It holds the keys of all users: keep it as safe as the book. Note the head elsewhere.\n')
  } catch (error) {
    rmSync(partial, { force: true })
    const { syscall, message } = error as NodeJS.ErrnoException
    throw syscall === undefined ? error : new CommandFailed(`${file} cannot be written: ${message}`)
  } finally {
    closeSync(target)
  }
}

/** Puts a name on disk as well. Not every file system lets a directory be synced, and then there is nothing to do. */
function syncDirectory(directory: string): void {
  try {
    const handle = openSync(directory, 'r')
    fsyncSync(handle)
    closeSync(handle)
  } catch {
    // See above.
  }
}

function writeWhole(file: number, bytes: Buffer): void {
  for (let at = 0; at < bytes.length; ) at += writeSync(file, bytes, at)
}

async function readBackup(config: Config, file: string, format: Format): Promise<void> {
  if (!existsSync(file)) throw new UsageError(`there is no file ${file}`)
  if (statSync(file).isDirectory()) throw new UsageError(`${file} is a directory`)
  const bytes = createReadStream(file)
  const size = statSync(file).size
  const head = await withProgress(
    format,
    () => size,
    () => bytes.bytesRead,
    restore(config.DATA_DIR, bytes),
  )
  process.stdout.write(`${config.DATA_DIR}: ${head.seq} events, and the chain holds. Head ${head.seq}:${head.hash}\n`)
}

async function rebuild(config: Config, format: Format): Promise<void> {
  let [done, of] = [0, 0]
  const rebuilding = rebuildRows(config.DATA_DIR, (seq, last) => {
    ;[done, of] = [seq, last]
  })
  const { rows, head } = await withProgress(
    format,
    () => of,
    () => done,
    rebuilding,
  )
  process.stdout.write(`${rows} rows made anew from ${head.seq} events. Head ${head.seq}:${head.hash}\n`)
}

/** Waits for long work, and shows on a terminal how far it is. */
async function withProgress<T>(format: Format, of: () => number, done: () => number, work: Promise<T>): Promise<T> {
  const printer = new Printer(format)
  const telling = whileTelling(work, () => ({ progress: done(), of: of() }))
  for (;;) {
    const told = await telling.next()
    if (told.done === true) {
      printer.end()
      return told.value
    }
    await printer.print(told.value)
  }
}
