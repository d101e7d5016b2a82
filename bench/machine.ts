/** What a speed depends on besides the code: cores and who may use them, the file system, and how long an fsync takes. */
import { execFileSync } from 'node:child_process'
import { closeSync, fsyncSync, mkdtempSync, openSync, readFileSync, realpathSync, rmSync, writeSync } from 'node:fs'
import { availableParallelism, cpus, tmpdir } from 'node:os'
import { join } from 'node:path'
import { at } from './numbers.ts'

/** The core of the servers, and that of the load. */
export type Pinning = { readonly server: number; readonly load: number }

/** Moves this process to a core of its own, where that can be done; servers are then started on another one. */
export function pin(): Pinning | undefined {
  try {
    const [server, load] = allowedCores()
    if (server === undefined || load === undefined) return undefined
    taskset('-a', '-c', '-p', String(load), String(process.pid))
    return { server, load }
  } catch {
    return undefined // There is no taskset here, or it may not be used.
  }
}

/** `taskset` says "pid 1's current affinity list: 0-2,5". */
function allowedCores(): number[] {
  const ranges = taskset('-c', '-p', String(process.pid)).split(':')[1]!.trim().split(',')
  return ranges.flatMap((range) => {
    const [first = 0, last = first] = range.split('-').map(Number)
    return Array.from({ length: last - first + 1 }, (_, i) => first + i)
  })
}

const taskset = (...args: string[]): string =>
  execFileSync('taskset', args, { encoding: 'utf8', stdio: ['ignore', 'pipe', 'ignore'] })

const IN_MEMORY = ['tmpfs', 'ramfs']

/** An empty folder on a disk. @throws {Error} where there is none: what is durable nowhere must not be called durable */
export function folderOnDisk(): string {
  const parent = [tmpdir(), import.meta.dirname].find((path) => !IN_MEMORY.includes(fileSystemOf(path)))
  if (parent === undefined) throw new Error('no disk to measure on: set TMPDIR to a folder that is not in memory')
  return mkdtempSync(join(parent, 'daybook-bench-'))
}

/** The type of the file system that holds `path`, as Linux calls it. */
export function fileSystemOf(path: string): string {
  const real = realpathSync(path)
  let found = { point: '', type: 'unknown' }
  for (const line of readMounts()) {
    const [, escaped = '', type = ''] = line.split(' ')
    const point = escaped.replaceAll('\\040', ' ')
    const holds = real === point || real.startsWith(point.endsWith('/') ? point : `${point}/`)
    // Of two at the same place the later one hides the earlier one.
    if (holds && point.length >= found.point.length) found = { point, type }
  }
  return found.type
}

function readMounts(): string[] {
  try {
    return readFileSync('/proc/self/mounts', 'utf8').split('\n')
  } catch {
    return []
  }
}

const WRITES = 200

/** Milliseconds that appending 4 kB to a file and forcing it to the disk takes, 200 times over. */
export function fsyncLatency(directory: string): { median: number; p99: number } {
  const path = join(directory, 'fsync')
  const file = openSync(path, 'w')
  const block = Buffer.alloc(4096, 'x')
  const took = Array.from({ length: WRITES }, () => {
    const began = performance.now()
    writeSync(file, block)
    fsyncSync(file)
    return performance.now() - began
  })
  closeSync(file)
  rmSync(path)
  return { median: at(took, 0.5), p99: at(took, 0.99) }
}

export type Machine = ReturnType<typeof machineOf>

export const machineOf = (directory: string) => ({
  cores: availableParallelism(),
  processor: cpus()[0]?.model.trim() ?? 'unknown',
  system: `${process.platform} ${process.arch}`,
  node: process.versions.node,
  fileSystem: fileSystemOf(directory),
  fsyncMs: fsyncLatency(directory),
})
