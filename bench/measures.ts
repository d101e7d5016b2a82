/** What is measured: the same requests to Daybook and to Express, in turn, and how the two compare. */
import { fire, type Round, type Target } from './load.ts'
import { at, type Spread, spreadOf } from './numbers.ts'
import type { Daybook } from './peers/daybook.ts'
import type { Server } from './peers/server.ts'

/** How long and how often: `rounds` times both peers, one after the other, after a warm-up of each. */
export type Plan = { readonly rounds: number; readonly seconds: number; readonly warmUpSeconds: number }

export type Peers = { readonly daybook: Daybook; readonly express: { readonly server: Server; readonly url: string } }

export type Peer = { readonly perSecond: number; readonly p99Ms: number; readonly rounds: readonly Round[] }
export type Measured = {
  readonly measure: string
  readonly connections: number
  /** Daybook's requests per second by those of Express in the round beside it. */
  readonly ratio: Spread
  readonly daybook: Peer
  readonly express: Peer
}

type Targets = { readonly daybook: Target; readonly express: Target }
/** Each round gets lists of its own: all rounds begin alike, on both sides, whatever the ones before have added. */
type Measure = { readonly name: string; readonly targets: (peers: Peers) => Promise<Targets> }

const TODOS = Array.from({ length: 10 }, (_, i) => `Take the books of week ${i + 1} back to the library`)
const LIST = JSON.stringify({ todos: TODOS })
const NEW_TODO = JSON.stringify({ todo: 'Buy bread, milk and a dozen eggs' })
const ADDED = /^\{"id":"\w{26}","todo":"Buy bread, milk and a dozen eggs","todo_idx":\d+\}$/

const READ: Measure = {
  name: 'GET, 10 to-dos',
  async targets(peers) {
    const targets = await newLists(peers)
    for (const list of Object.values(targets)) for (const todo of TODOS) await add(list, todo)
    return targets
  },
}

const WRITE: Measure = {
  name: 'POST, on disk',
  async targets(peers) {
    const { daybook, express } = await newLists(peers)
    return { daybook: adding(daybook, (body) => ADDED.test(body)), express: adding(express, (body) => body === 'OK') }
  },
}

export const MEASURES = [READ, WRITE]

let lists = 0

/** Two empty lists, to be read. */
async function newLists({ daybook, express }: Peers): Promise<Targets> {
  const read = { method: 'GET', isRight: (body: string) => body === LIST } as const
  const headers = { Authorization: `Bearer ${await daybook.connectNewUser()}` }
  const url = `${express.url}/todos/list${++lists}`
  return {
    daybook: { ...read, pid: daybook.server.pid, url: `${daybook.url}/todos/me`, headers },
    express: { ...read, pid: express.server.pid, url, headers: {} },
  }
}

const JSON_BODY = { 'Content-Type': 'application/json' }

const adding = (list: Target, isRight: Target['isRight']): Target => ({
  ...list,
  method: 'POST',
  headers: { ...list.headers, ...JSON_BODY },
  body: NEW_TODO,
  isRight,
})

async function add({ url, headers }: Target, todo: string): Promise<void> {
  const body = JSON.stringify({ todo })
  const answer = await fetch(url, { method: 'POST', headers: { ...headers, ...JSON_BODY }, body })
  await answer.text()
  if (answer.status !== 200) throw new Error(`POST ${url} was answered with ${answer.status}`)
}

export async function compare(
  { name, targets }: Measure,
  connections: number,
  peers: Peers,
  plan: Plan,
): Promise<Measured> {
  const round = async (seconds: number): Promise<[daybook: Round, express: Round]> => {
    const { daybook, express } = await targets(peers)
    return [await fireAtBook(peers.daybook, daybook, connections, seconds), await fire(express, connections, seconds)]
  }
  await round(plan.warmUpSeconds)
  const rounds: [daybook: Round, express: Round][] = []
  for (let i = 0; i < plan.rounds; i++) rounds.push(await round(plan.seconds))
  return {
    measure: name,
    connections,
    ratio: spreadOf(rounds.map(([daybook, express]) => daybook.perSecond / express.perSecond)),
    daybook: peerOf(rounds.map(([daybook]) => daybook)),
    express: peerOf(rounds.map(([, express]) => express)),
  }
}

/** @throws {Error} when something was answered that is not in the book: that would be fast, but another thing */
async function fireAtBook(daybook: Daybook, target: Target, connections: number, seconds: number): Promise<Round> {
  const before = await daybook.seq()
  const round = await fire(target, connections, seconds)
  const recorded = (await daybook.seq()) - before
  if (target.method === 'POST' && recorded < round.answered)
    throw new Error(`${round.answered} to-dos were answered, but only ${recorded} are in the book`)
  return round
}

function peerOf(rounds: readonly Round[]): Peer {
  const speeds = rounds.map(({ perSecond }) => perSecond)
  const p99s = rounds.map(({ p99Ms }) => p99Ms)
  return { perSecond: at(speeds, 0.5), p99Ms: at(p99s, 0.5), rounds }
}
