/** The official MCP client, as an app uses it: what it remembers of its authorization, and its two generations. */
import {
  Client,
  type ClientOptions,
  type OAuthClientMetadata,
  type OAuthClientProvider,
  type OAuthDiscoveryState,
  type StoredOAuthClientInformation,
  type StoredOAuthTokens,
  StreamableHTTPClientTransport,
  UnauthorizedError,
} from '@modelcontextprotocol/client'
import type { Visitor } from '../_support.ts'
import type { Generation } from './_mcp.ts'

export const REVISIONS: { readonly [G in Generation]: string } = { '2025': '2025-11-25', '2026': '2026-07-28' }

const OPTIONS: { readonly [G in Generation]: ClientOptions } = {
  '2025': {},
  '2026': { versionNegotiation: { mode: 'auto' } },
}

/** A client of one generation, not connected yet. */
export const newClient = (generation: Generation): Client =>
  new Client({ name: 'test', version: '1' }, OPTIONS[generation])

/** What an app's owner pastes: the address, and a token that came some other way. */
export async function clientWith(url: string, token: string | undefined, generation: Generation): Promise<Client> {
  const client = newClient(generation)
  const options = token === undefined ? {} : { authProvider: { token: async () => token } }
  await client.connect(new StreamableHTTPClientTransport(new URL(`${url}/mcp`), options))
  return client
}

/** What an app keeps of its authorization. It knows nothing of the server but what it is told. */
export class Memory implements OAuthClientProvider {
  readonly redirectUrl = 'http://127.0.0.1:33418/callback'
  /** Where the app describes itself, if it brings a document. */
  clientMetadataUrl?: string
  information: StoredOAuthClientInformation | undefined
  saved: StoredOAuthTokens | undefined
  discovery: OAuthDiscoveryState | undefined
  verifier = ''
  /** The authorization request that the app opened in a browser. */
  opened: URL | undefined
  readonly forgotten: string[] = []

  get clientMetadata(): OAuthClientMetadata {
    return {
      client_name: 'Test app',
      redirect_uris: [this.redirectUrl],
      token_endpoint_auth_method: 'none',
      grant_types: ['authorization_code', 'refresh_token'],
      response_types: ['code'],
    }
  }

  state = (): string => 'state-1'
  clientInformation = (): StoredOAuthClientInformation | undefined => this.information
  saveClientInformation(information: StoredOAuthClientInformation): void {
    this.information = information
  }
  tokens = (): StoredOAuthTokens | undefined => this.saved
  saveTokens(tokens: StoredOAuthTokens): void {
    this.saved = tokens
  }
  redirectToAuthorization(url: URL): void {
    this.opened = url
  }
  saveCodeVerifier(verifier: string): void {
    this.verifier = verifier
  }
  codeVerifier = (): string => this.verifier
  saveDiscoveryState(state: OAuthDiscoveryState): void {
    this.discovery = state
  }
  discoveryState = (): OAuthDiscoveryState | undefined => this.discovery
  invalidateCredentials(scope: 'all' | 'client' | 'tokens' | 'verifier' | 'discovery'): void {
    this.forgotten.push(scope)
    if (scope === 'all' || scope === 'client') this.information = undefined
    if (scope === 'all' || scope === 'tokens') this.saved = undefined
    if (scope === 'all' || scope === 'discovery') this.discovery = undefined
  }
}

const transportFor = (url: string, memory: Memory): StreamableHTTPClientTransport =>
  new StreamableHTTPClientTransport(new URL(`${url}/mcp`), { authProvider: memory })

/** Connects with what the app remembers. @throws {UnauthorizedError} where a person has to decide */
export async function reconnect(url: string, memory: Memory, generation: Generation): Promise<Client> {
  const client = newClient(generation)
  await client.connect(transportFor(url, memory))
  return client
}

/** From the URL alone: discovery, registration, a person's decision, the exchange; and then a connection. */
export async function connectFrom(
  url: string,
  memory: Memory,
  generation: Generation,
  visitor: Visitor,
  decision: 'allow' | 'deny' = 'allow',
): Promise<Client> {
  const transport = transportFor(url, memory)
  const isRefused = await newClient(generation)
    .connect(transport)
    .then(
      () => false,
      (error: unknown) => {
        if (error instanceof UnauthorizedError) return true
        throw error
      },
    )
  if (!isRefused || memory.opened === undefined) throw new Error('the client was let in without an authorization')
  await transport.finishAuth(await answer(visitor, memory.opened, decision))
  return reconnect(url, memory, generation)
}

/** A signed-in person decides on what an app asks for; gives what the app's callback receives. */
async function answer(visitor: Visitor, asked: URL, decision: string): Promise<URLSearchParams> {
  const page = await visitor.get(asked.pathname + asked.search)
  const { status, headers, text } = await visitor.submit(page, 'decision', { decision })
  const location = headers.get('location')
  if (location === null) throw new Error(`no callback: ${status} ${text}`)
  return new URL(location).searchParams
}
