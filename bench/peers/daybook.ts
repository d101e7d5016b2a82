/** The service as it is deployed, and an app that users connect by walking its pages. */
import { randomUUID } from 'node:crypto'
import { once } from 'node:events'
import { type AddressInfo, createServer } from 'node:net'
import { Browser } from '../browser.ts'
import { type Environment, type Place, type Server, start } from './server.ts'

const CALLBACK = 'https://app.example/callback'
const CLIENT = { client_id: 'bench', client_secret: randomUUID() }
const START_MS = 20_000

export class Daybook {
  readonly url: string
  readonly server: Server
  #users = 0

  private constructor(url: string, server: Server) {
    this.url = url
    this.server = server
  }

  /** @param directory where the book is kept @param extra more settings, or variables of Node itself */
  static async start(place: Place, directory: string, extra: Environment = {}): Promise<Daybook> {
    const port = String(await freePort())
    const url = `http://127.0.0.1:${port}`
    const server = start(place, ['src/main.ts', 'serve'], {
      APP_PORT: port,
      HOST: '127.0.0.1',
      PUBLIC_URL: url,
      DATA_DIR: directory,
      LOG_LEVEL: 'warn',
      // The peer has none of these.
      RATE_LIMIT: 'off',
      MAX_OPEN_TODOS: '999999',
      MAX_LIST_SIZE: '9GB',
      MAX_LISTS_SIZE: '9GB',
      OPENAI_CLIENT_ID: CLIENT.client_id,
      OPENAI_CLIENT_SECRET: CLIENT.client_secret,
      OPENAI_REDIRECT_URIS: CALLBACK,
      ...extra,
    })
    const daybook = new Daybook(url, server)
    await Promise.race([daybook.#untilReady(), server.ended])
    return daybook
  }

  async #untilReady(): Promise<void> {
    const until = Date.now() + START_MS
    while (Date.now() < until) {
      const answer = await fetch(`${this.url}/readyz`).catch(() => undefined)
      if (answer?.ok) return
      await new Promise((resolve) => setTimeout(resolve, 50))
    }
    throw new Error(`Daybook is not ready after ${START_MS} ms`)
  }

  /** Where the book ends on disk. */
  async seq(): Promise<number> {
    const answer = await fetch(`${this.url}/readyz`)
    return ((await answer.json()) as { seq: number }).seq
  }

  /** Registers a new user who allows the app to act for them; gives the access token. */
  async connectNewUser(): Promise<string> {
    const state = randomUUID()
    const browser = new Browser(this.url)
    const asked = { response_type: 'code', client_id: CLIENT.client_id, redirect_uri: CALLBACK, state }
    await browser.open(`/oauth?${new URLSearchParams(asked)}`)
    await browser.follow('/signup')
    await browser.submit({ username: `bench${++this.#users}`, password: randomUUID() })
    await browser.submit({ decision: 'allow' })
    const back = browser.at.searchParams
    if (!browser.at.href.startsWith(CALLBACK) || back.get('state') !== state)
      throw new Error(`the authorization ended at ${browser.at}`)
    return this.#exchange(back.get('code') ?? '')
  }

  async #exchange(code: string): Promise<string> {
    const answer = await fetch(`${this.url}/auth/oauth_exchange`, {
      method: 'POST',
      headers: { 'Content-Type': 'application/json' },
      body: JSON.stringify({ ...CLIENT, grant_type: 'authorization_code', code, redirect_uri: CALLBACK }),
    })
    const { access_token: token } = (await answer.json()) as { access_token?: string }
    if (answer.status !== 200 || token === undefined) throw new Error(`the code was answered with ${answer.status}`)
    return token
  }
}

/** The public URL has the port in it, so it must be known before the server starts. */
async function freePort(): Promise<number> {
  const probe = createServer().listen(0, '127.0.0.1')
  await once(probe, 'listening')
  const { port } = probe.address() as AddressInfo
  probe.close()
  await once(probe, 'close')
  return port
}
