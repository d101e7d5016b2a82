/** The oracle in a process of its own: LevelDB may end the process that opens a damaged book (an assertion of its own). */
import { fork } from 'node:child_process'
import { once } from 'node:events'
import { judge, Told, type Verdict } from './_oracle.ts'

type Case = { readonly directory: string; readonly lines: readonly string[] }

/** Judges like `judge`, and outlives what it judges. To be closed. */
export function startJudge() {
  const start = () => fork(import.meta.filename, { stdio: ['ignore', 'inherit', 'pipe', 'ipc'] })
  let child = start()
  return {
    async judge(directory: string, { lines }: Told): Promise<Verdict> {
      if (child.exitCode !== null || child.signalCode !== null) child = start()
      let said = ''
      child.stderr!.removeAllListeners('data').on('data', (text) => {
        said += text
      })
      const ended = new AbortController()
      const { signal } = ended
      child.send({ directory, lines } satisfies Case)
      const [answer, signalCode] = await Promise.race([
        once(child, 'message', { signal }),
        once(child, 'close', { signal }).then(([code, by]) => [undefined, by ?? code]),
      ])
      ended.abort()
      if (answer !== undefined) return answer as Verdict
      if (signalCode === 'SIGABRT' && /leveldb.*Assertion/.test(said)) return { named: said }
      throw new Error(`the judge ended with ${signalCode}: ${said}`)
    },
    close: (): void => void child.kill(),
  }
}

if (process.send !== undefined && process.argv[1] === import.meta.filename)
  process.on('message', async ({ directory, lines }: Case) => {
    const told = new Told()
    told.lines.push(...lines)
    process.send!(await judge(directory, told))
  })
