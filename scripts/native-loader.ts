/** Loads the database's native part out of the executable. In the bundle it stands where `node-gyp-build` would be. */
import { existsSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join, resolve } from 'node:path'
import { getRawAsset } from 'node:sea'

/** The native part's name among the executable's assets. */
export const NATIVE_ASSET = 'classic-level.node'

/** @throws where no directory may hold code that runs: it names each one and why */
export function loadNative(): unknown {
  const failures: string[] = []
  // Second, since a temporary directory is often mounted noexec, or is not there at all.
  for (const directory of [tmpdir(), existing(resolve(process.env.DATA_DIR || 'data'))]) {
    try {
      return loadThrough(directory)
    } catch (error) {
      failures.push(`\n  ${directory}: ${(error as Error).message}`)
    }
  }
  throw new Error(
    `the database cannot be loaded: set TMPDIR to a directory that files can be written to and run from${failures.join('')}`,
  )
}

/** The system loads code from files only: one that nobody else can write to, gone as soon as it is loaded. */
function loadThrough(directory: string): unknown {
  const own = mkdtempSync(join(directory, 'daybook-native-'))
  try {
    const file = join(own, NATIVE_ASSET)
    writeFileSync(file, new Uint8Array(getRawAsset(NATIVE_ASSET)), { mode: 0o500, flag: 'wx' })
    const loaded = { exports: {} }
    process.dlopen(loaded, file)
    return loaded.exports
  } finally {
    rmSync(own, { recursive: true, force: true })
  }
}

/** The data directory or, before the first start has made it, the nearest one above it. */
const existing = (path: string): string => (existsSync(path) || path === dirname(path) ? path : existing(dirname(path)))
