/** What the tests of `/mcp` share: connected people, and requests to it in both generations of the protocol. */
import type { ExecutionContext } from 'ava'
import type { Settings } from '../../src/http/settings.ts'
import { ClientSide, type Person, person, startWorld, type Tokens, Visitor, type World } from '../_support.ts'

export const GENERATIONS = ['2025', '2026'] as const
export type Generation = (typeof GENERATIONS)[number]

/** The scripts that a person's app runs to connect: sign-up, consent, exchange, for MCP. */
export async function connectMcp(
  { url }: Pick<World, 'url'>,
  user: Person,
  { scope, side = new ClientSide(url) }: { scope?: string; side?: ClientSide } = {},
): Promise<Tokens & { readonly visitor: Visitor }> {
  const visitor = new Visitor(url)
  await visitor.signUp(user)
  const asked = { resource: `${url}/mcp`, ...(scope === undefined ? {} : { scope }) }
  const { status, json } = await side.exchange(await side.codeFor(visitor, asked))
  if (status !== 200) throw new Error(`exchange: ${status} ${JSON.stringify(json)}`)
  return { ...json, visitor }
}

/** An answer of `/mcp`, its JSON-RPC message read out of JSON or out of an event stream. */
export type McpAnswer = {
  readonly status: number
  readonly headers: Headers
  readonly text: string
  readonly json: any
}

const LEGACY = { accept: 'application/json, text/event-stream', 'content-type': 'application/json' }

const messageOf = (text: string): unknown => {
  if (text === '') return undefined
  return JSON.parse(/^data: (.*)$/m.exec(text)?.[1] ?? text)
}

const ENVELOPE = {
  'io.modelcontextprotocol/protocolVersion': '2026-07-28',
  'io.modelcontextprotocol/clientCapabilities': {},
  'io.modelcontextprotocol/clientInfo': { name: 'test', version: '1' },
}

type Message = { readonly method: string; readonly params?: { readonly [name: string]: any } }

/** A request in one generation: its headers and its body. */
export function requestIn(generation: Generation, { method, params = {} }: Message) {
  const message = { jsonrpc: '2.0', id: 1, method, params }
  if (generation === '2025') return { headers: { ...LEGACY }, body: JSON.stringify(message) }
  const name = params.name ?? params.uri
  const headers = {
    ...LEGACY,
    'mcp-protocol-version': '2026-07-28',
    'mcp-method': method,
    ...(typeof name === 'string' ? { 'mcp-name': name } : {}),
  }
  return {
    headers,
    body: JSON.stringify({ ...message, params: { ...params, _meta: { ...ENVELOPE, ...params._meta } } }),
  }
}

/** What a tool answered. */
export type Result = {
  readonly isError?: boolean
  readonly content: readonly { readonly type: string; readonly text: string }[]
  readonly structuredContent?: any
  readonly _meta?: any
}

/** One app's side of `/mcp`. */
export class McpSide {
  readonly url: string
  readonly token: string | undefined

  constructor(url: string, token?: string) {
    this.url = url
    this.token = token
  }

  /** Posts a body as it is. A header of `undefined` is left out. */
  async post(body: string | Buffer, headers: { [name: string]: string | undefined } = {}): Promise<McpAnswer> {
    const authorization = this.token === undefined ? {} : { authorization: `Bearer ${this.token}` }
    const given = Object.entries({ ...LEGACY, ...authorization, ...headers })
    const kept = given.filter((pair): pair is [string, string] => pair[1] !== undefined)
    const response = await fetch(`${this.url}/mcp`, { method: 'POST', headers: kept, body })
    const text = await response.text()
    return { status: response.status, headers: response.headers, text, json: messageOf(text) }
  }

  ask(message: Message, generation: Generation = '2025', headers = {}): Promise<McpAnswer> {
    const asked = requestIn(generation, message)
    return this.post(asked.body, { ...asked.headers, ...headers })
  }

  /** Calls a tool. @throws {Error} where the answer is no result of a tool */
  async call(name: string, args: object = {}, of: Called = {}): Promise<Result> {
    const { generation = '2025', meta, headers } = of
    const params = { name, arguments: args, ...(meta === undefined ? {} : { _meta: meta }) }
    const { status, json, text } = await this.ask({ method: 'tools/call', params }, generation, headers)
    if (status !== 200 || json?.result === undefined) throw new Error(`${name}: ${status} ${text}`)
    return json.result
  }

  /** The result of a call that succeeds. */
  async did(name: string, args: object = {}, of: Called = {}): Promise<any> {
    const result = await this.call(name, args, of)
    if (result.isError) throw new Error(`${name}: ${result.content[0]?.text}`)
    return result.structuredContent
  }

  /** The sentence of a call that fails. */
  async failed(name: string, args: object = {}, of: Called = {}): Promise<string> {
    const result = await this.call(name, args, of)
    if (!result.isError) throw new Error(`${name} did not fail: ${JSON.stringify(result)}`)
    return result.content[0]!.text
  }
}
type Called = { readonly generation?: Generation; readonly meta?: object; readonly headers?: object }

/** A world with alice connected to `/mcp`; the events so far are read. */
export async function startMcp(t: ExecutionContext, changed: Partial<Settings> = {}) {
  const world = await startWorld(t, changed)
  const tokens = await connectMcp(world, person('alice'))
  await world.news()
  return { world, tokens, alice: new McpSide(world.url, tokens.access_token) }
}
