/** Ends the processes and removes the folders it was told of once its input closes, however the benchmark ended. */
import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { rmSync } from 'node:fs'
import { createInterface } from 'node:readline'
import { fileURLToPath } from 'node:url'

/** The benchmark's side. A pipe closes even when its owner is killed, so no signal has to be caught for this. */
export class Janitor {
  readonly #process = spawn(process.execPath, [fileURLToPath(import.meta.url)], {
    detached: true, // Ctrl-C ends the benchmark, not this.
    stdio: ['pipe', 'ignore', 'inherit'],
  })

  /** Ends this process with the benchmark; once it is gone, its id may be somebody else's. */
  child(child: ChildProcess): void {
    this.#tell(`child ${child.pid}`)
    child.once('exit', () => this.#tell(`gone ${child.pid}`))
  }

  folder(path: string): void {
    this.#tell(`folder ${path}`)
  }

  /** Cleans up now, and answers when that is done. */
  async finish(): Promise<void> {
    this.#process.stdin.end()
    await once(this.#process, 'exit')
  }

  #tell(line: string): void {
    if (this.#process.stdin.writable) this.#process.stdin.write(`${line}\n`)
  }
}

async function cleanUpAtTheEnd(): Promise<void> {
  const children = new Set<number>()
  const folders: string[] = []
  for await (const line of createInterface({ input: process.stdin })) {
    const [word, ...rest] = line.split(' ')
    if (word === 'child') children.add(Number(rest[0]))
    else if (word === 'gone') children.delete(Number(rest[0]))
    else folders.push(rest.join(' '))
  }
  for (const pid of children) end(pid)
  // A process that was just killed may still be writing for a moment.
  for (const path of folders) rmSync(path, { recursive: true, force: true, maxRetries: 20, retryDelay: 50 })
}

function end(pid: number): void {
  try {
    process.kill(pid, 'SIGKILL')
  } catch {
    // It has ended by itself.
  }
}

if (import.meta.main) await cleanUpAtTheEnd()
