/** What tests stand on: a real book in a temporary folder, a real server before it, a person's browser, and ChatGPT. */
import assert from 'node:assert/strict'
import { createHash } from 'node:crypto'
import { mkdtempSync, rmSync } from 'node:fs'
import type { AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as wait } from 'node:timers/promises'
import type { ExecutionContext } from 'ava'
import pino from 'pino'
import { registerClient, settleChatGpt } from '../src/domain/clients.ts'
import { type Event, evolve, initial, type State, tablesOf } from '../src/domain/domain.ts'
import type { Recorded } from '../src/domain/shape.ts'
import { createApp } from '../src/http/app.ts'
import { proxyList } from '../src/http/origin.ts'
import { attach, createHttpServer } from '../src/http/server.ts'
import type { Settings } from '../src/http/settings.ts'
import { Ledger } from '../src/ledger/ledger.ts'
import type { Caller } from '../src/service/caller.ts'
import type { FetchDocument } from '../src/service/documents.ts'
import { digest } from '../src/service/secrets.ts'

/** A folder that goes away with the test. */
export function temporaryFolder(t: ExecutionContext): string {
  const folder = mkdtempSync(join(tmpdir(), 'daybook-test-'))
  t.teardown(() => rmSync(folder, { recursive: true, force: true, maxRetries: 5 }))
  return folder
}

/** A clock that stands still until it is moved. ms since 1970. */
export class Clock {
  now: number
  constructor(now = Date.UTC(2026, 10, 20, 12)) {
    this.now = now
  }
  read = (): number => this.now
  pass(ms: number): void {
    this.now += ms
  }
}

export const SYSTEM: Caller = {
  actor: { kind: 'system', id: 'test' },
  via: {},
  trace: {},
  meter: [],
  holds: () => undefined,
}

/** Every row of a state, by table and key, as plain data. */
export function dump(state: State): { [table: string]: { [key: string]: unknown } } {
  const tables = tablesOf(state).map(([name, rows]) => {
    const sorted = [...rows.entries()].sort(([a], [b]) => (a < b ? -1 : 1))
    return [name, Object.fromEntries(sorted.map(([key, row]) => [key, JSON.parse(JSON.stringify(row))]))]
  })
  return Object.fromEntries(tables)
}

/**
 * What must hold after every scenario: the chain verifies; the book replayed gives the live rows; the book reopened
 * gives them too. Closes the ledger. It throws, since a teardown may not assert.
 */
export async function assertBookHolds(ledger: Ledger, folder: string, clock: Clock): Promise<void> {
  const verified = await ledger.verify()
  assert.ok(!('fault' in verified), `the chain does not hold: ${JSON.stringify(verified)}`)
  await ledger.sweep()
  const live = await ledger.read(dump)
  const size = await ledger.read(({ todos }) => todos.totalSize)
  const replayed = initial()
  for await (const event of ledger.events()) evolve(replayed, event)
  assert.deepEqual(dump(replayed), live, 'replaying the book does not give the live rows')
  const { head } = ledger
  await ledger.close()
  const reopened = await Ledger.open({ directory: folder, clock: clock.read, version: 'test' })
  assert.deepEqual(await reopened.read(dump), live, 'reopening the book does not give the live rows')
  assert.equal(await reopened.read(({ todos }) => todos.totalSize), size, 'nor what they take')
  assert.equal(replayed.todos.totalSize, size)
  assert.deepEqual(reopened.head, head)
  await reopened.close()
}

export const CHATGPT_ID = 'id_set_by_developer'
export const CHATGPT_SECRET = 'secret_set_by_developer_0123456789'
export const CALLBACK = 'https://chat.openai.com/aip/plugin-8f1c2d3e-0000-4a5b-9c6d-7e8f90a1b2c3/oauth/callback'
/** Another confidential client. */
export const OTHER = {
  id: 'other',
  secret: 'secret_of_another_client_0123456789',
  callback: 'https://other.example/cb?keep=1',
}

export const settings = (publicUrl: string): Settings => ({
  authMode: 'oauth',
  publicUrl,
  version: '0.0.0-test',
  contactEmail: 'contact@example.org',
  verificationToken: 'verify"me$&',
  corsOrigins: ['https://chat.openai.com', 'https://chatgpt.com'],
  signup: 'open',
  clientRegistration: 'on',
  maxOpenTodos: 1000,
  maxListSize: 4_000_000,
  maxListsSize: 256_000_000,
  codeTtlMs: 60_000,
  accessTtlMs: 3_600_000,
  refreshIdleTtlMs: 30 * 86_400_000,
  refreshMaxTtlMs: 90 * 86_400_000,
  sessionTtlMs: 14 * 86_400_000,
  limits: undefined,
  deadlineMs: 20_000,
})

/** A whole Daybook in this process: real LevelDB, real HTTP on loopback, a clock of the test's own. */
export type World = {
  readonly url: string
  readonly ledger: Ledger
  readonly clock: Clock
  readonly folder: string
  /** What the log has said so far, as JSON lines. */
  readonly log: string[]
  /** The types of the events since the last call. */
  readonly news: () => Promise<string[]>
  /** Every event, oldest first. */
  readonly events: () => Promise<Recorded<Event>[]>
}

/** Starts a world; when the test ends, checks that its book holds (`assertBookHolds`). */
/** @param proxies whose `X-Forwarded-For` is believed @param fetchDocument how client-id documents are fetched */
export async function startWorld(
  t: ExecutionContext,
  changed: Partial<Settings> = {},
  proxies: readonly string[] = [],
  fetchDocument?: FetchDocument,
): Promise<World> {
  const folder = temporaryFolder(t)
  const clock = new Clock()
  const ledger = await Ledger.open({ directory: folder, clock: clock.read, version: 'test' })
  const given = { clientId: CHATGPT_ID, secret: digest(CHATGPT_SECRET), redirects: [CALLBACK] }
  await ledger.transact(SYSTEM, (state) =>
    settleChatGpt(state, { ...given, made: { clientId: '', secret: '', digest: '' } }),
  )
  const other = { client: OTHER.id, name: 'Other <app>', secret: digest(OTHER.secret), redirects: [OTHER.callback] }
  const grantTypes = ['authorization_code', 'refresh_token'] as const
  await ledger.transact(SYSTEM, (state) => registerClient(state, { ...other, grantTypes }))

  const server = createHttpServer()
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`
  const log: string[] = []
  const app = createApp(
    {
      ledger,
      settings: { ...settings(url), ...changed },
      log: pino({ level: 'info' }, { write: (line: string) => void log.push(line) }),
    },
    proxyList(proxies),
    fetchDocument,
  )
  attach(server, app, clock.read)

  let seen = ledger.head.seq
  const events = async (): Promise<Recorded<Event>[]> => Array.fromAsync(ledger.events())
  const news = async (): Promise<string[]> => {
    const types: string[] = []
    for await (const event of ledger.events({ from: seen + 1 })) types.push(event.type)
    seen += types.length
    return types
  }
  t.teardown(async () => {
    server.closeAllConnections()
    server.close()
    await assertBookHolds(ledger, folder, clock)
  })
  return { url, ledger, clock, folder, log, news, events }
}

const entities: { readonly [name: string]: string } = { amp: '&', lt: '<', gt: '>', quot: '"', apos: "'" }
export const unescapeHtml = (text: string): string =>
  text.replace(/&(?:#(\d+)|(\w+));/g, (all, code, name) =>
    code ? String.fromCodePoint(Number(code)) : (entities[name] ?? all),
  )

const attribute = (tag: string, name: string): string | undefined => {
  const found = new RegExp(`\\b${name}="([^"]*)"`).exec(tag)?.[1]
  return found === undefined ? undefined : unescapeHtml(found)
}

/** A form of a page: where it leads, and the values that a browser would send untouched. */
export type Form = { readonly action: string; readonly values: { readonly [name: string]: string } }

/** The form with an input or button of that name. */
export function formWith(html: string, name: string): Form | undefined {
  for (const [form] of html.matchAll(/<form\b[\s\S]*?<\/form>/g)) {
    const inputs = [...form.matchAll(/<(?:input|button)\b[^>]*>/g)].map(([tag]) => tag)
    if (!inputs.some((tag) => attribute(tag, 'name') === name)) continue
    const sent = inputs.filter((tag) => tag.startsWith('<input') && attribute(tag, 'name') !== undefined)
    const values = sent.map((tag) => [attribute(tag, 'name')!, attribute(tag, 'value') ?? ''])
    return { action: attribute(form, 'action')!, values: Object.fromEntries(values) }
  }
  return undefined
}

/** What came back, its text read. */
export type Answer = { readonly status: number; readonly headers: Headers; readonly text: string }

const read = async (response: Response): Promise<Answer> => ({
  status: response.status,
  headers: response.headers,
  text: await response.text(),
})

/** A browser with a jar of cookies. It follows no redirect by itself. */
export class Visitor {
  readonly url: string
  readonly cookies = new Map<string, string>()

  constructor(url: string) {
    this.url = url
  }

  async get(path: string, headers: { [name: string]: string } = {}): Promise<Answer> {
    return this.#take(await fetch(new URL(path, this.url), { headers: this.#headers(headers), redirect: 'manual' }))
  }

  /** Posts a form as a browser does. `headers` replaces those of the same name; an empty one is left out. */
  async post(
    path: string,
    fields: { [name: string]: string },
    headers: { [name: string]: string } = {},
  ): Promise<Answer> {
    const all = { origin: this.url, 'sec-fetch-site': 'same-origin', ...headers }
    const init = { method: 'POST', body: new URLSearchParams(fields), headers: this.#headers(all) }
    return this.#take(await fetch(new URL(path, this.url), { ...init, redirect: 'manual' }))
  }

  /** Fills in the form that has an input of that name and sends it. */
  async submit(page: Answer, name: string, values: { [name: string]: string }): Promise<Answer> {
    const form = formWith(page.text, name)
    if (form === undefined) throw new Error(`no form with ${name} in: ${page.status} ${page.text.slice(0, 500)}`)
    return this.post(form.action, { ...form.values, ...values })
  }

  /** Creates an account on the sign-up page; afterwards the visitor is signed in. */
  async signUp(user: Person, returnTo = '/'): Promise<Answer> {
    const page = await this.get(`/signup?return_to=${encodeURIComponent(returnTo)}`)
    return this.submit(page, 'username', { username: user.username, email: user.email, password: user.password })
  }

  async signIn(user: Person, returnTo?: string): Promise<Answer> {
    const page = await this.get(returnTo ?? '/login')
    return this.submit(page, 'identifier', { identifier: user.username, password: user.password })
  }

  #headers(given: { [name: string]: string }): Headers {
    const headers = new Headers(Object.entries(given).filter(([, value]) => value !== ''))
    if (!headers.has('accept')) headers.set('accept', 'text/html')
    if (this.cookies.size > 0) headers.set('cookie', [...this.cookies].map((pair) => pair.join('=')).join('; '))
    return headers
  }

  async #take(response: Response): Promise<Answer> {
    for (const cookie of response.headers.getSetCookie()) {
      const [, name, value] = /^([^=]+)=([^;]*)/.exec(cookie)!
      if (value === '') this.cookies.delete(name!)
      else this.cookies.set(name!, value!)
    }
    return read(response)
  }
}

export type Person = { readonly username: string; readonly email: string; readonly password: string }
export const person = (username: string): Person => ({
  username,
  email: `${username}@example.org`,
  password: `correct horse ${username}`,
})

export type Tokens = {
  access_token: string
  refresh_token: string
  expires_in: number
  token_type: string
  scope: string
}

type Registered = { readonly id: string; readonly secret: string | undefined; readonly callback: string }

/** ChatGPT's side, or any other client's: the link it opens, the exchange it posts, the calls it makes. */
export class ClientSide {
  readonly url: string
  readonly id: string
  /** `undefined` for a public client. */
  readonly secret: string | undefined
  readonly callback: string

  constructor(url: string, client: Registered = { id: CHATGPT_ID, secret: CHATGPT_SECRET, callback: CALLBACK }) {
    this.url = url
    this.id = client.id
    this.secret = client.secret
    this.callback = client.callback
  }

  /** Path and query of the authorization request. A parameter of `undefined` is left out. */
  link(changed: { [name: string]: string | undefined } = {}): string {
    const standard = { response_type: 'code', client_id: this.id, redirect_uri: this.callback, scope: '', state: 's1' }
    const all = Object.entries({ ...standard, ...changed }).filter(
      (pair): pair is [string, string] => pair[1] !== undefined,
    )
    return `/oauth?${new URLSearchParams(all)}`
  }

  /** A code for somebody who is signed in already: through the consent page, where there is one. */
  async codeFor(visitor: Visitor, changed: { [name: string]: string | undefined } = {}): Promise<string> {
    const page = await visitor.get(this.link(changed))
    const answer = page.status === 303 ? page : await visitor.submit(page, 'decision', { decision: 'allow' })
    const code = new URL(answer.headers.get('location') ?? 'about:blank').searchParams.get('code')
    if (code === null) throw new Error(`no code: ${answer.status} ${answer.headers.get('location')} ${answer.text}`)
    return code
  }

  /** Posts to the token endpoint. A member of `undefined` is left out. */
  async token(
    body: { [name: string]: unknown },
    as: 'json' | 'form' = 'json',
    headers = {},
  ): Promise<Answer & { json: any }> {
    const type = as === 'json' ? 'application/json' : 'application/x-www-form-urlencoded'
    const given = Object.entries(body).filter(([, value]) => value !== undefined)
    const text =
      as === 'json' ? JSON.stringify(Object.fromEntries(given)) : `${new URLSearchParams(given as [string, string][])}`
    const init = { method: 'POST', headers: { 'content-type': type, ...headers }, body: text }
    const answer = await read(await fetch(`${this.url}/auth/oauth_exchange`, init))
    return { ...answer, json: JSON.parse(answer.text) }
  }

  /** The exchange that ChatGPT posts (RFC 6749 §4.1.3, as JSON). */
  exchange(code: string, changed: { [name: string]: unknown } = {}, as: 'json' | 'form' = 'json') {
    const standard = { grant_type: 'authorization_code', client_id: this.id, client_secret: this.secret }
    return this.token({ ...standard, code, redirect_uri: this.callback, ...changed }, as)
  }

  refresh(token: string, changed: { [name: string]: unknown } = {}, as: 'json' | 'form' = 'json') {
    const standard = { grant_type: 'refresh_token', client_id: this.id, client_secret: this.secret }
    return this.token({ ...standard, refresh_token: token, ...changed }, as)
  }

  /** Sign-up, consent, exchange: the tokens of a new user. */
  async connect(user: Person, visitor = new Visitor(this.url)): Promise<Tokens> {
    await visitor.signUp(user)
    const { status, json } = await this.exchange(await this.codeFor(visitor))
    if (status !== 200) throw new Error(`exchange: ${status} ${JSON.stringify(json)}`)
    return json
  }

  /** Calls the API as ChatGPT does. */
  async api(
    token: string | undefined,
    method: string,
    path: string,
    body?: unknown,
    headers = {},
  ): Promise<Answer & { json: any }> {
    const authorization = token === undefined ? {} : { authorization: `Bearer ${token}` }
    const content = body === undefined ? {} : { 'content-type': 'application/json' }
    const init = {
      method,
      headers: { ...authorization, ...content, ...headers },
      body: body === undefined ? null : JSON.stringify(body),
    }
    const answer = await read(await fetch(this.url + path, init))
    return { ...answer, json: answer.text === '' ? undefined : JSON.parse(answer.text) }
  }
}

export { wait }

/** A client without a secret. */
export const PUBLIC = { id: 'public', secret: undefined, callback: 'https://public.example/cb' }

/** The verifier of `PKCE`, and what a client without a secret sends with its authorization request (RFC 7636 §4). */
export const VERIFIER = 'v'.repeat(43)
export const PKCE = {
  code_challenge: createHash('sha256').update(VERIFIER).digest('base64url'),
  code_challenge_method: 'S256',
}

/** Registers `PUBLIC` in a world; gives its side. */
export async function publicClient({ ledger, url }: World): Promise<ClientSide> {
  const { id: client, secret: _, callback } = PUBLIC
  const entry = { client, name: 'Public', secret: null, redirects: [callback] }
  const grantTypes = ['authorization_code', 'refresh_token'] as const
  await ledger.transact(SYSTEM, (state) => registerClient(state, { ...entry, grantTypes }))
  return new ClientSide(url, PUBLIC)
}
