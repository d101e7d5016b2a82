/** `daybook doctor`: what is not right with this Daybook, and what to do about it. */
import { statfsSync } from 'node:fs'
import type { Command } from 'commander'
import { CHATGPT } from '../domain/clients.ts'
import { type Act, type Tools, textOf } from './act.ts'

/** Less free space than this is a warning. */
const LITTLE_BYTES = 500_000_000

type Finding = { readonly check: string; readonly state: 'good' | 'look' | 'bad'; readonly what: string }

export const acts: { readonly [name: string]: Act } = {
  async *doctor(ledger, input) {
    const { scrub, head, status } = ledger
    const { verified, at, passed, fault, trouble } = scrub.status
    const findings: Finding[] = [
      status.writable
        ? { check: 'book', state: 'good', what: `${head.seq} events; it can be written` }
        : { check: 'book', state: 'bad', what: status.reason },
      fault === undefined
        ? { check: 'chain', state: 'good', what: `read back and found to hold up to event ${verified}` }
        : { check: 'chain', state: 'bad', what: `event ${fault.seq} does not hold: ${fault.fault}. Restore a backup` },
      trouble === undefined
        ? { check: 'scrub', state: 'good', what: scrubInWords(at, passed, head.seq) }
        : { check: 'scrub', state: 'look', what: `does not get on: ${trouble}` },
      diskFinding(textOf(input, 'directory')),
    ]
    const url = textOf(input, 'publicUrl')
    findings.push(
      url.startsWith('https:')
        ? { check: 'address', state: 'good', what: url }
        : {
            check: 'address',
            state: 'look',
            what: `${url}: ChatGPT needs https: put a proxy in front and set PUBLIC_URL`,
          },
    )
    if (input.authMode === 'none')
      findings.push({
        check: 'door',
        state: 'look',
        what: 'AUTH_MODE=none: whoever reaches this address can use every list',
      })
    const [chatgpt, waiting] = await ledger.read((state) => [
      state.clients.get(CHATGPT),
      state.waiting.countBy('client', CHATGPT),
    ])
    findings.push(
      waiting > 0
        ? {
            check: 'callbacks',
            state: 'look',
            what: `${waiting} ${waiting === 1 ? 'waits' : 'wait'} to be allowed: client show chatgpt`,
          }
        : { check: 'callbacks', state: 'good', what: `${chatgpt?.redirects.length ?? 0} allowed, none waits` },
    )
    for (const row of findings) yield { row }
    const bad = findings.filter(({ state }) => state === 'bad').length
    if (bad > 0) yield { fail: `${bad} of ${findings.length} are bad` }
  },
}

function scrubInWords(at: number | undefined, passed: { at: number; seq: number } | undefined, head: number): string {
  const last =
    passed === undefined
      ? 'no pass over the whole book has ended since the start'
      : `the last pass held, up to event ${passed.seq}, at ${new Date(passed.at).toISOString()}`
  return at === undefined ? last : `reading event ${at} of ${head}; ${last}`
}

function diskFinding(directory: string): Finding {
  const { bavail, bsize } = statfsSync(directory)
  const free = bavail * bsize
  const what = `${(free / 1e9).toFixed(1)} GB free where the book is`
  return { check: 'disk', state: free < LITTLE_BYTES ? 'look' : 'good', what }
}

export const begins = []

export function addCommands(program: Command, { run, settings }: Tools): void {
  program
    .command('doctor')
    .description('what is not right, and what to do about it')
    .action(() => {
      const { DATA_DIR: directory, PUBLIC_URL: publicUrl, AUTH_MODE: authMode } = settings()
      return run('doctor', { directory, publicUrl, authMode }, ['check', 'state', 'what'])
    })
}
