/** `make bench`: how fast Daybook answers, as a ratio to a bare in-memory Express server measured in the same minutes. */
import { once } from 'node:events'
import { parseArgs } from 'node:util'
import { Janitor } from './janitor.ts'
import { folderOnDisk, machineOf, pin } from './machine.ts'
import { compare, MEASURES, type Measured, type Peers, type Plan } from './measures.ts'
import { Daybook } from './peers/daybook.ts'
import { type Place, start } from './peers/server.ts'
import { type Results, report } from './report.ts'

const USAGE = `Usage: node bench/bench.ts [--quick] [--json]

  --quick  about 20 seconds instead of about 2 minutes: a look, not a figure to quote
  --json   print the results as JSON
`

const FULL: Plan = { rounds: 5, seconds: 2.4, warmUpSeconds: 1.5 }
const QUICK: Plan = { rounds: 3, seconds: 0.5, warmUpSeconds: 0.5 }
const CONNECTIONS = [1, 64]

async function main(args: string[]): Promise<number> {
  const flags = readFlags(args)
  if (flags === undefined || flags.help) {
    const stream = flags === undefined ? process.stderr : process.stdout
    stream.write(USAGE)
    return flags === undefined ? 2 : 0
  }
  const results = await run(flags.quick ? QUICK : FULL)
  process.stdout.write(flags.json ? `${JSON.stringify(results, null, 2)}\n` : report(results))
  return 0
}

function readFlags(args: string[]) {
  const flag = { type: 'boolean', default: false } as const
  try {
    return parseArgs({ args, options: { quick: flag, json: flag, help: flag } }).values
  } catch (error) {
    process.stderr.write(`bench: ${(error as Error).message}\n`)
    return undefined
  }
}

async function run(plan: Plan): Promise<Results> {
  const janitor = new Janitor()
  try {
    const directory = folderOnDisk()
    janitor.folder(directory)
    const machine = machineOf(directory)
    const pinning = pin()
    const peers = await startPeers({ janitor, pinning }, directory)
    return { plan, machine, pinning: pinning ?? null, measured: await measureAll(peers, plan) }
  } finally {
    await janitor.finish()
  }
}

async function startPeers(place: Place, directory: string): Promise<Peers> {
  const server = start(place, ['bench/peers/express.ts'], {})
  const [port] = await Promise.race([once(server.child.stdout!, 'data'), server.ended])
  const express = { server, url: `http://127.0.0.1:${String(port).trim()}` }
  return { daybook: await Daybook.start(place, `${directory}/data`), express }
}

async function measureAll(peers: Peers, plan: Plan): Promise<Measured[]> {
  const measured: Measured[] = []
  const ended = [peers.daybook.server.ended, peers.express.server.ended]
  for (const measure of MEASURES)
    for (const connections of CONNECTIONS)
      measured.push(await Promise.race([compare(measure, connections, peers, plan), ...ended]))
  return measured
}

process.exitCode = await main(process.argv.slice(2)).catch((error: Error) => {
  process.stderr.write(`bench: ${error.message}\n`)
  return 1
})
