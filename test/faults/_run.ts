/** Running the scribe, whole or under something that breaks it; and the system's tools for breaking things. */
import { type ChildProcess, execFileSync, spawn, spawnSync } from 'node:child_process'
import { once } from 'node:events'
import { join } from 'node:path'
import { setTimeout as wait } from 'node:timers/promises'
import type { Told } from './_oracle.ts'

const SCRIBE = join(import.meta.dirname, '_scribe.ts')
const CACHE = join(import.meta.dirname, '../../node_modules/.cache/compiled')
let runs = 0

export type Running = {
  readonly child: ChildProcess
  /** Its first write has been acknowledged, or it has ended. */
  readonly begun: Promise<void>
  /** What it has said so far fits, or it has ended. */
  readonly said: (fits: (stdout: string) => boolean) => Promise<void>
  /** It has told all that it knew when this was called, or it has ended. */
  readonly answers: () => Promise<void>
  readonly ended: Promise<{ code: number | null; stdout: string; stderr: string }>
}

/** `wrap`: a command that runs it; `until`: `recovered` where it ends before its time, once a fault is overcome. */
type Scribe = {
  readonly ms?: number
  readonly wrap?: readonly string[]
  readonly clock?: string
  readonly until?: 'recovered' | ''
}

/** Starts a scribe on a book. @param told takes what it says */
export function startScribe(
  directory: string,
  told: Told,
  { ms = 1000, wrap = [], clock = '', until = '' }: Scribe = {},
): Running {
  const [command = '', ...args] = [...wrap, process.execPath, SCRIBE]
  const env = {
    PATH: process.env.PATH ?? '',
    DIRECTORY: directory,
    MS: String(ms),
    NAME: `r${++runs}`,
    CLOCK: clock,
    UNTIL: until,
  }
  const child = spawn(command, args, { detached: true, env: { ...env, NODE_COMPILE_CACHE: CACHE } })
  let [stdout, stderr] = ['', '']
  let hasEnded = false
  child.stdout.setEncoding('utf8').on('data', (text: string) => {
    stdout += text
  })
  child.stderr.setEncoding('utf8').on('data', (text: string) => {
    stderr += text
  })
  const ended = once(child, 'close').then(([code]) => {
    hasEnded = true
    told.add(stdout)
    return { code: code as number | null, stdout, stderr }
  })
  async function said(fits: (stdout: string) => boolean): Promise<void> {
    while (!hasEnded && !fits(stdout)) await wait(10)
  }
  async function answers(): Promise<void> {
    const count = (): number => stdout.split('\n= here\n').length
    const before = count()
    child.stdin.write('?')
    await said(() => count() > before)
  }
  // It may have ended before it was asked.
  child.stdin.on('error', () => {})
  return { child, begun: said((stdout) => stdout.includes('\n+ ')), said, answers, ended }
}

/** Ends a scribe and whatever runs it. */
export function kill({ child }: Running): void {
  try {
    process.kill(-child.pid!, 'SIGKILL')
  } catch {
    // It is gone already.
  }
}

export const run = (command: string, ...args: string[]): void =>
  void execFileSync(command, args, { stdio: ['ignore', 'ignore', 'pipe'] })

/** Is that program there? `root` asks whether mounting is allowed. */
export function has(tool: string): boolean {
  if (tool === 'root') return process.getuid?.() === 0 && spawnSync('losetup', ['-f']).status === 0
  // It may be there and not be allowed to do anything, as in a container.
  if (tool === 'strace') return spawnSync('strace', ['-f', 'true']).status === 0
  return spawnSync('sh', ['-c', `command -v ${tool}`]).status === 0
}

/** Numbers from 0 up to 1, the same ones for the same seed (mulberry32). */
export function randomFrom(seed: number): () => number {
  let state = seed >>> 0
  return () => {
    state = (state + 0x6d2b79f5) >>> 0
    let t = state
    t = Math.imul(t ^ (t >>> 15), t | 1)
    t ^= t + Math.imul(t ^ (t >>> 7), t | 61)
    return ((t ^ (t >>> 14)) >>> 0) / 4_294_967_296
  }
}
