/** The MCP server: its tools, its resource, and what it says of itself, in both generations of the protocol. */
import { type AuthInfo, createMcpHandler, McpServer, type McpServerOptions } from '@modelcontextprotocol/server'
import { scopesOf } from '../../domain/scopes.ts'
import type { Deps } from '../settings.ts'
import type { Call } from './call.ts'
import { INSTRUCTIONS } from './instructions.ts'
import { registerResource } from './resource.ts'
import { TOOLS } from './tools.ts'

export type Handler = {
  /** @param message the JSON-RPC message that the request brought, parsed */
  readonly answer: (call: Call, request: Request, message: unknown) => Promise<Response>
  /** After this, nothing is answered any more. */
  readonly close: () => Promise<void>
}

/** Lists are the same for everybody, and change with the version only. */
const LISTS = { ttlMs: 300_000, cacheScope: 'private' } as const

const OPTIONS: McpServerOptions = {
  // Nothing is announced later: a stream that waits for news would outlive a revocation.
  capabilities: { tools: { listChanged: false }, resources: { listChanged: false } },
  instructions: INSTRUCTIONS,
  cacheHints: {
    'server/discover': LISTS,
    'tools/list': LISTS,
    'resources/list': LISTS,
    'resources/templates/list': LISTS,
    'resources/read': { ttlMs: 0, cacheScope: 'private' },
  },
  // A full batch has 150.
  maxToolInputElements: 500,
}

export function createHandler(deps: Deps): Handler {
  /** The package hands the very object on that it was given, and keeps nothing of it. */
  const calls = new WeakMap<AuthInfo, Call>()
  const { publicUrl, version } = deps.settings
  const identity = { name: 'daybook', title: 'Daybook', version, websiteUrl: publicUrl }
  const handler = createMcpHandler(
    ({ authInfo }) => {
      const call = authInfo === undefined ? undefined : calls.get(authInfo)
      if (call === undefined) throw new Error('a request to /mcp came without its caller')
      const server = new McpServer(identity, OPTIONS)
      for (const { register } of TOOLS) register(server, call)
      registerResource(server, call)
      return server
    },
    // What it says quotes the request.
    { onerror: (error) => deps.log.debug({ text: error.message.slice(0, 200) }, 'an MCP request was not taken') },
  )
  return {
    answer(call, request, message) {
      const resourceMetadataUrl = `${publicUrl}/.well-known/oauth-protected-resource/mcp`
      const authInfo: AuthInfo = { token: '', clientId: '', scopes: scopesOf(call.caller.scope), resourceMetadataUrl }
      calls.set(authInfo, call)
      return handler.fetch(request, { authInfo, parsedBody: message })
    },
    close: () => handler.close(),
  }
}
