/** One round of load on one server: as many requests as it answers in a time, every answer checked. */
import { readFileSync } from 'node:fs'
import autocannon from 'autocannon'
import { at } from './numbers.ts'

export type Target = {
  readonly pid: number
  readonly url: string
  readonly method: 'GET' | 'POST'
  readonly headers: { readonly [name: string]: string }
  readonly body?: string
  readonly isRight: (body: string) => boolean
}

export type Round = {
  readonly answered: number
  readonly perSecond: number
  readonly p99Ms: number
  /** `null` where the system does not say. */
  readonly server: Use | null
}

/** What a server used of its core. A stalled machine changes its speed, but hardly what a request costs it. */
type Use = {
  readonly usPerRequest: number
  /** The share of the time in which it ran, all threads together. */
  readonly ran: number
  /** The share of the time in which its main thread ran or would have, had the core been free. The rest it idled. */
  readonly wanted: number
}

/** @throws {Error} when any answer was missing or not the one expected */
export async function fire(target: Target, connections: number, seconds: number): Promise<Round> {
  const began = { at: performance.now(), clocks: clocksOf(target.pid) }
  const { result, latencies, lasted } = await run(target, connections, seconds)
  const ended = { at: performance.now(), clocks: clocksOf(target.pid) }
  requireAllRight(result, latencies.length, target)
  return {
    answered: latencies.length,
    perSecond: ((latencies.length - 1) / lasted) * 1000,
    p99Ms: at(latencies, 0.99),
    server: useBetween(began, ended, latencies.length),
  }
}

type Ran = { result: autocannon.Result; latencies: number[]; lasted: number }

function run(target: Target, connections: number, seconds: number): Promise<Ran> {
  const { url, method, headers, body, isRight } = target
  const options = { url, method, headers, connections, duration: seconds, sampleInt: 50 }
  // Autocannon's own figures have whole milliseconds and whole samples: too coarse for short rounds on a fast server.
  const latencies: number[] = []
  let [first, last] = [0, 0]
  return new Promise((resolve, reject) => {
    const instance = autocannon(
      { ...options, ...(body === undefined ? {} : { body }), verifyBody: (text) => isRight(String(text)) },
      (error, result) =>
        error == null ? resolve({ result, latencies, lasted: last - first }) : reject(new Error(String(error))),
    )
    instance.on('response', (_client, _status, _bytes, ms) => {
      last = performance.now()
      if (latencies.length === 0) first = last
      latencies.push(ms)
    })
  })
}

function requireAllRight(result: autocannon.Result, answered: number, { method, url }: Target): void {
  const statuses = result.statusCodeStats as { readonly [status: string]: { readonly count: number } }
  const wrong = Object.entries(statuses).filter(([status]) => status !== '200')
  const faults = wrong.map(([status, { count }]) => `${count} answers with status ${status}`)
  if (result.mismatches > 0) faults.push(`${result.mismatches} answers with another body than expected`)
  if (result.errors > 0) faults.push(`${result.errors} errors, ${result.timeouts} of them timeouts`)
  // When time is up one request may be open on each connection. A connection that was dropped loses more than that.
  const lost = result.requests.sent - answered - result.connections
  if (lost > 0) faults.push(`${lost} requests without an answer`)
  if (answered < 2) faults.push('no answers')
  if (faults.length > 0) throw new Error(`${method} ${url}: ${faults.join('; ')}`)
}

type Moment = { readonly at: number; readonly clocks: Clocks | undefined }
/** ms of all threads on a core, and ms of the main thread on a core or in the queue for one. */
type Clocks = { readonly ran: number; readonly wanted: number }

function useBetween(began: Moment, ended: Moment, answered: number): Use | null {
  if (began.clocks === undefined || ended.clocks === undefined) return null
  const lasted = ended.at - began.at
  const ran = ended.clocks.ran - began.clocks.ran
  const wanted = ended.clocks.wanted - began.clocks.wanted
  return { usPerRequest: (ran / answered) * 1000, ran: ran / lasted, wanted: wanted / lasted }
}

/** As Linux tells it: proc_pid_stat(5), fields 14 and 15 in hundredths of a second; schedstat, in nanoseconds. */
function clocksOf(pid: number): Clocks | undefined {
  try {
    // The second field is a name in parentheses that may hold anything.
    const fields = readFileSync(`/proc/${pid}/stat`, 'utf8').split(') ').at(-1)!.split(' ')
    const [ran = 0, queued = 0] = readFileSync(`/proc/${pid}/schedstat`, 'utf8').split(' ').map(Number)
    return { ran: (Number(fields[11]) + Number(fields[12])) * 10, wanted: (ran + queued) / 1e6 }
  } catch {
    return undefined
  }
}
