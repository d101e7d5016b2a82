/** The MCP server: its tools, its resource, and what it says of itself, in both generations of the protocol. */
import { type AuthInfo, createMcpHandler, McpServer, type McpServerOptions } from '@modelcontextprotocol/server'
import { z } from 'zod'
import { scopesOf } from '../../domain/scopes.ts'
import type { Deps } from '../settings.ts'
import type { Call } from './call.ts'
import { INSTRUCTIONS } from './instructions.ts'
import { registerResource } from './resource.ts'
import type { Tool } from './tool.ts'
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

const TOOL_CALL = z.object({ method: z.literal('tools/call'), params: z.object({ name: z.string() }) })

/** The tools that a message needs: most messages call one, and to register the others would take most of the time. */
function toolsFor(message: unknown): readonly Tool[] {
  const { data } = TOOL_CALL.safeParse(message)
  const called = TOOLS.find(({ name }) => name === data?.params.name)
  return called === undefined ? TOOLS : [called]
}

export function createHandler(deps: Deps): Handler {
  /** The package hands the very object on that it was given, and keeps nothing of it. */
  const requests = new WeakMap<AuthInfo, { readonly call: Call; readonly tools: readonly Tool[] }>()
  const { publicUrl, version } = deps.settings
  const identity = { name: 'daybook', title: 'Daybook', version, websiteUrl: publicUrl }
  const handler = createMcpHandler(
    ({ authInfo }) => {
      const request = authInfo === undefined ? undefined : requests.get(authInfo)
      if (request === undefined) throw new Error('a request to /mcp came without its caller')
      const server = new McpServer(identity, OPTIONS)
      for (const { register } of request.tools) register(server, request.call)
      registerResource(server, request.call)
      return server
    },
    // Its message may quote the request, and no log may have a body.
    { onerror: ({ name }) => deps.log.debug({ name }, 'an MCP request was not taken') },
  )
  return {
    answer(call, request, message) {
      const resourceMetadataUrl = `${publicUrl}/.well-known/oauth-protected-resource/mcp`
      const authInfo: AuthInfo = { token: '', clientId: '', scopes: scopesOf(call.caller.scope), resourceMetadataUrl }
      requests.set(authInfo, { call, tools: toolsFor(message) })
      return handler.fetch(request, { authInfo, parsedBody: message })
    },
    close: () => handler.close(),
  }
}
