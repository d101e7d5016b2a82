/**
 * Does the time of an answer tell what was wrong with the credentials? Asks a running Daybook in random order and holds
 * the samples against each other by Welch's t-test. `SAMPLES=n` for more of each. Ends with 1 where some tell.
 */
import { spawn } from 'node:child_process'
import { mkdtempSync, rmSync } from 'node:fs'
import { Agent, request } from 'node:http'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as wait } from 'node:timers/promises'
import { freePort, MAIN } from '../_serve.ts'
import { CALLBACK, CHATGPT_ID, CHATGPT_SECRET, formWith, person, Visitor } from '../_support.ts'

const SAMPLES = Number(process.env.SAMPLES ?? 300)
/** What dudect calls a leak: |t| past this, however many samples there are. */
const LEAK = 4.5

type Ask = () => Promise<{ status: number; ms: number }>

const folder = mkdtempSync(join(tmpdir(), 'daybook-timing-'))
const port = await freePort()
const url = `http://127.0.0.1:${port}`
const env = {
  PATH: process.env.PATH ?? '',
  ...{ APP_PORT: String(port), PUBLIC_URL: url, DATA_DIR: join(folder, 'data'), RATE_LIMIT: 'off', LOG_LEVEL: 'error' },
  ...{ OPENAI_CLIENT_ID: CHATGPT_ID, OPENAI_CLIENT_SECRET: CHATGPT_SECRET, OPENAI_REDIRECT_URIS: CALLBACK },
}
const server = spawn(process.execPath, [MAIN, 'serve'], { env, stdio: 'ignore' })
process.on('exit', () => {
  server.kill('SIGKILL')
  rmSync(folder, { recursive: true, force: true })
})
while (
  !(await fetch(`${url}/readyz`).then(
    (answer) => answer.ok,
    () => false,
  ))
)
  await wait(50)

const agent = new Agent({ keepAlive: true, maxSockets: 1 })

/** Posts, and takes the time until the answer is whole. ms */
function post(path: string, fields: { [name: string]: string }, headers: { [name: string]: string }) {
  const body = `${new URLSearchParams(fields)}`
  const all = { 'content-type': 'application/x-www-form-urlencoded', 'content-length': body.length, ...headers }
  return new Promise<{ status: number; ms: number }>((resolve, reject) => {
    const began = performance.now()
    const asked = request(url + path, { method: 'POST', agent, headers: all }, (answer) => {
      answer.resume().once('end', () => resolve({ status: answer.statusCode!, ms: performance.now() - began }))
    })
    asked.once('error', reject).end(body)
  })
}

async function signIns(): Promise<{ [what: string]: Ask }> {
  for (const name of ['alice', 'revoked']) await new Visitor(url).signUp(person(name))
  const ended = spawn(process.execPath, [MAIN, 'user', 'revoke', 'revoked'], { env, stdio: 'ignore' })
  await new Promise((resolve) => ended.once('close', resolve))
  const visitor = new Visitor(url)
  const { values } = formWith((await visitor.get('/login')).text, 'identifier')!
  const cookie = [...visitor.cookies].map((pair) => pair.join('=')).join('; ')
  const ask =
    (identifier: string, password: string): Ask =>
    () =>
      post('/login', { ...values, identifier, password }, { cookie, origin: url })
  return {
    'a user who is not there': ask('nobody', 'correct horse alice'),
    'a wrong password': ask('alice', 'correct horse nobody'),
    'a revoked user, right password': ask('revoked', person('revoked').password),
  }
}

function secrets(): { [what: string]: Ask } {
  const ask =
    (client_id: string, client_secret: string): Ask =>
    () =>
      post('/auth/oauth_exchange', { grant_type: 'refresh_token', refresh_token: 'x', client_id, client_secret }, {})
  const half = CHATGPT_SECRET.slice(0, 17)
  return {
    'a client that is not there': ask('id_that_nobody_has_', CHATGPT_SECRET),
    'a secret wrong from its first letter': ask(CHATGPT_ID, 'x'.repeat(CHATGPT_SECRET.length)),
    'a secret right up to its last letter': ask(CHATGPT_ID, `${CHATGPT_SECRET.slice(0, -1)}x`),
    'half of the secret': ask(CHATGPT_ID, half.padEnd(CHATGPT_SECRET.length, 'x')),
  }
}

/** Mean and variance without the slowest tenth, which the machine made, not Daybook. */
function stats(samples: readonly number[]): { n: number; mean: number; variance: number } {
  const kept = [...samples].sort((a, b) => a - b).slice(0, Math.ceil(samples.length * 0.9))
  const mean = kept.reduce((sum, one) => sum + one, 0) / kept.length
  const variance = kept.reduce((sum, one) => sum + (one - mean) ** 2, 0) / (kept.length - 1)
  return { n: kept.length, mean, variance }
}

/** Welch's t: the difference of two means in units of its own spread. */
function welch(one: ReturnType<typeof stats>, other: ReturnType<typeof stats>): number {
  return (one.mean - other.mean) / Math.sqrt(one.variance / one.n + other.variance / other.n)
}

async function compare(title: string, asks: { [what: string]: Ask }, rounds: number): Promise<boolean> {
  const samples = new Map(Object.keys(asks).map((what) => [what, [] as number[]]))
  const statuses = new Set<number>()
  for (let round = -5; round < rounds; round++)
    for (const what of Object.keys(asks).sort(() => Math.random() - 0.5)) {
      const { status, ms } = await asks[what]!()
      statuses.add(status)
      if (round >= 0) samples.get(what)!.push(ms)
    }
  process.stdout.write(`\n${title}: ${rounds} of each, all answered ${[...statuses].join(', ')}\n`)
  const [[first, reference], ...others] = [...samples] as [[string, number[]], ...[string, number[]][]]
  process.stdout.write(`  ${first.padEnd(40)} mean ${stats(reference).mean.toFixed(4)} ms\n`)
  let isAlike = statuses.size === 1
  for (const [what, found] of others) {
    const t = welch(stats(found), stats(reference))
    if (Math.abs(t) >= LEAK) isAlike = false
    const difference = (stats(found).mean - stats(reference).mean) * 1000
    process.stdout.write(
      `  ${what.padEnd(40)} mean ${stats(found).mean.toFixed(4)} ms, ${difference.toFixed(1)} µs off, Welch t = ${t.toFixed(2)}\n`,
    )
  }
  return isAlike
}

const verdicts = [
  await compare('Sign-in', await signIns(), SAMPLES),
  await compare('Client secret', secrets(), SAMPLES * 20),
]
const isAlike = verdicts.every((verdict) => verdict)
process.stdout.write(
  `\n${isAlike ? `Indistinguishable: every |t| is below ${LEAK}.` : `SOMETHING TELLS: |t| of ${LEAK} or more.`}\n`,
)
process.exit(isAlike ? 0 : 1)
