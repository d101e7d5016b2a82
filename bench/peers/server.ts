/** A server in a process of its own, on a core of its own where that can be had. */
import { type ChildProcess, spawn } from 'node:child_process'
import type { Janitor } from '../janitor.ts'
import type { Pinning } from '../machine.ts'

export type Place = { readonly janitor: Janitor; readonly pinning: Pinning | undefined }
export type Environment = { readonly [name: string]: string | undefined }

export type Server = {
  readonly pid: number
  /** Rejects when the server ends, with what it said last. */
  readonly ended: Promise<never>
  readonly child: ChildProcess
}

/** Starts `node ...args` in the project's folder. Nothing of the caller's environment gets in but what is given. */
export function start({ janitor, pinning }: Place, args: readonly string[], env: Environment): Server {
  const node = [process.execPath, ...args]
  const [command, ...rest] = pinning === undefined ? node : ['taskset', '-c', String(pinning.server), ...node]
  const child = spawn(command!, rest, {
    cwd: `${import.meta.dirname}/../..`,
    env: { PATH: process.env.PATH, ...env },
    stdio: ['ignore', 'pipe', 'pipe'],
  })
  const { promise: ended, reject } = Promise.withResolvers<never>()
  ended.catch(() => {}) // It ends in the end; only who waits for it wants to know.
  child.once('error', reject)
  if (child.pid === undefined) return { pid: -1, ended, child }
  janitor.child(child)
  let said = ''
  for (const stream of [child.stdout, child.stderr])
    stream.setEncoding('utf8').on('data', (text: string) => {
      said = (said + text).slice(-2000)
    })
  child.once('close', (code, signal) => reject(new Error(`${args[0]} ended with ${code ?? signal}: ${said}`)))
  return { pid: child.pid, ended, child }
}
