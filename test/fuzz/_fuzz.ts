/** Sends requests that nobody would send to a whole Daybook, and says what came of them that must not. */
import { connect } from 'node:net'
import type { ExecutionContext } from 'ava'
import fc from 'fast-check'
import { findUser } from '../../src/domain/users.ts'
import { ClientSide, dump, formWith, OTHER, person, startWorld, Visitor } from '../_support.ts'
import { type Known, requests } from './_requests.ts'

export type Fuzzed = {
  readonly sent: number
  readonly statuses: { readonly [status: string]: number }
  /** What must not be, each with the request that did it. */
  readonly findings: readonly string[]
}

/** So many are on their way at once, from so many addresses that no port runs out. */
const AT_ONCE = 16
const BATCH = 500
/** A request that is cut off is not waited for. ms */
const PATIENCE_MS = 1500

/** @param t whose teardown holds the book against its rules in the end */
export async function fuzz(t: ExecutionContext, count: number, seed: number): Promise<Fuzzed> {
  const world = await startWorld(t)
  const [chatgpt, alice] = [new ClientSide(world.url), new Visitor(world.url)]
  const hers = await chatgpt.connect(person('alice'), alice)
  const secret = 'a to-do that is nobody else’s'
  await chatgpt.api(hers.access_token, 'POST', '/todos/me', { todo: secret })
  const mallory = new Visitor(world.url)
  const { access_token, refresh_token } = await chatgpt.connect(person('mallory'), mallory)
  const cookie = [...mallory.cookies].map((pair) => pair.join('=')).join('; ')
  const page = await new Visitor(world.url).get('/login')
  const consent = await mallory.get(new ClientSide(world.url, OTHER).link())
  const tokens = [formWith(page.text, 'password'), formWith(consent.text, 'decision')].flatMap((form) =>
    Object.values(form!.values),
  )
  const values = [chatgpt.id, chatgpt.secret!, chatgpt.callback, 'alice', 'mallory', cookie, cookie, cookie, world.url]
  values.push(
    ...tokens,
    access_token,
    refresh_token,
    person('mallory').password,
    'same-origin',
    await chatgpt.codeFor(mallory),
  )
  const toMcp = await chatgpt.exchange(await chatgpt.codeFor(mallory, { resource: `${world.url}/mcp` }))
  const mcp = toMcp.json.access_token
  const known: Known = { values, bearers: [access_token, refresh_token, `${access_token}x`, mcp], mcp }
  const id = await world.ledger.read((state) => findUser(state, 'alice')!.id)
  const hersIn = async () => {
    const { users, sessions, grants, tokens, todos } = await world.ledger.read(dump)
    const of = (rows: object): object =>
      Object.entries(rows).filter(([key, row]) => key === id || JSON.stringify(row).includes(id))
    const grant = Object.keys(Object.fromEntries(of(grants!) as [string, unknown][]))[0]!
    const herTokens = Object.entries(tokens!).filter(([, row]) => JSON.stringify(row).includes(grant))
    return JSON.stringify([of(users!), of(sessions!), of(grants!), herTokens, of(todos!)])
  }
  const before = await hersIn()

  const findings: string[] = []
  const statuses: { [status: string]: number } = {}
  const onRejection = (error: unknown): void => void findings.push(`unhandled rejection: ${error}`)
  process.on('unhandledRejection', onRejection)
  let sent = 0
  for (let batch = 0; sent < count; batch++) {
    const some = fc.sample(requests(known), { numRuns: Math.min(BATCH, count - sent), seed: seed + batch })
    sent += some.length
    const waiting = [...some]
    const lane = async (): Promise<void> => {
      for (let bytes = waiting.pop(); bytes !== undefined; bytes = waiting.pop()) {
        const answer = await exchange(world.url, bytes, sent + waiting.length)
        const status = /^HTTP\/1\.1 (\d{3})/.exec(answer)?.[1] ?? 'none'
        statuses[status] = (statuses[status] ?? 0) + 1
        const wrong = wrongWith(answer, status, secret)
        if (wrong !== undefined) findings.push(`${wrong}: ${JSON.stringify(bytes.toString('latin1').slice(0, 2000))}`)
      }
    }
    await Promise.all(Array.from({ length: AT_ONCE }, lane))
    for (const line of world.log.splice(0))
      if (Number(JSON.parse(line).level) >= 50) findings.push(`logged: ${line.slice(0, 2000)}`)
    if (findings.length > 20) break
  }
  process.off('unhandledRejection', onRejection)
  if ((await hersIn()) !== before) findings.push('what is alice’s has changed')
  const still = await chatgpt.api(hers.access_token, 'GET', '/todos/me')
  if (still.status !== 200 || still.json.todos[0] !== secret) findings.push('alice cannot read her list any more')
  return { sent, statuses, findings }
}

/** What must not be in any answer. */
function wrongWith(answer: string, status: string, secret: string): string | undefined {
  if (status.startsWith('5')) return `answered ${status}`
  if (answer.includes(secret)) return 'told what is somebody else’s'
  if (/\n {4}at .*:\d+:\d+/.test(answer)) return 'a stack'
  if (status === 'none' || status === '100') return undefined
  const head = answer.slice(0, answer.indexOf('\r\n\r\n')).toLowerCase()
  if (!head.includes('\r\nx-request-id: ')) return 'no X-Request-Id'
  if (!head.includes('\r\nx-content-type-options: nosniff')) return 'no nosniff'
  if (/\r\n(server|x-powered-by):/.test(head)) return 'tells what it runs on'
  if (/\r\nlocation: (?!\/|https:\/\/chat\.openai\.com\/aip\/)/.test(head)) return 'leads elsewhere'
  return undefined
}

/** Sends bytes and reads whatever comes back, at most a while. */
function exchange(url: string, bytes: Buffer, nth: number): Promise<string> {
  const { port } = new URL(url)
  return new Promise((resolve) => {
    const localAddress = `127.0.${(nth >> 8) & 127}.${(nth & 127) + 2}`
    const socket = connect({ port: Number(port), host: '127.0.0.1', localAddress })
    let text = ''
    const done = (): void => {
      socket.destroy()
      resolve(text)
    }
    socket.setEncoding('latin1').on('data', (part: string) => {
      text += part
    })
    socket.once('error', done)
    socket.once('close', done)
    socket.setTimeout(PATIENCE_MS, done)
    socket.end(bytes)
  })
}
