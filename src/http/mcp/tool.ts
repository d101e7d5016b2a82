/** The guard around every tool: what it says of itself, and what reaches a model when it fails. */
import type { CallToolResult, McpServer, ServerContext, StandardSchemaWithJSON } from '@modelcontextprotocol/server'
import type { Reason } from '../../domain/shape.ts'
import { Refused } from '../../ledger/refused.ts'
import type { AuthMode } from '../../service/policy.ts'
import { refusals } from '../../service/refusals.ts'
import type { READ, WRITE } from '../../service/todos.ts'
import { challengeFor } from '../errors.ts'
import { type Call, requestOf, throughTool } from './call.ts'

/** One tool: how models see it, and what it does. `A` are its arguments, `R` is its result. */
export type Spec<A, R extends { readonly [member: string]: unknown }> = {
  readonly name: string
  readonly title: string
  readonly description: string
  /** What a token must allow. The service asks for it; here it is told. */
  readonly scope: typeof READ | typeof WRITE
  readonly input: StandardSchemaWithJSON<unknown, A>
  readonly output: StandardSchemaWithJSON<unknown, R>
  readonly hints: Hints
  readonly meta?: { readonly [name: string]: unknown }
  /** @throws {Refused} */
  readonly run: (call: Call, args: A) => Promise<R>
}

/** MCP `ToolAnnotations`. Nothing that a tool does reaches beyond Daybook. */
type Hints = { readonly readOnlyHint: boolean; readonly destructiveHint: boolean; readonly idempotentHint: boolean }
export const READS: Hints = { readOnlyHint: true, destructiveHint: false, idempotentHint: true }
export const CHANGES: Hints = { readOnlyHint: false, destructiveHint: false, idempotentHint: true }

export type Tool = {
  readonly name: string
  readonly register: (server: McpServer, call: Call) => void
}

export const tool = <A, R extends { readonly [member: string]: unknown }>(spec: Spec<A, R>): Tool => ({
  name: spec.name,
  register(server, call) {
    const { title, description, input: inputSchema, output: outputSchema, hints, meta } = spec
    const annotations = { ...hints, openWorldHint: false }
    const _meta = { ...securityOf(spec.scope, call.deps.settings.authMode), ...meta }
    const config = { title, description, inputSchema, outputSchema, annotations, _meta }
    server.registerTool(spec.name, config, (args, context) => guarded(spec, call, args, context))
  },
})

/** Apps of ChatGPT know two schemes; a bearer that people paste is neither. */
function securityOf(scope: string, authMode: AuthMode): { readonly securitySchemes?: readonly object[] } {
  if (authMode === 'oauth') return { securitySchemes: [{ type: 'oauth2', scopes: [scope] }] }
  return authMode === 'none' ? { securitySchemes: [{ type: 'noauth' }] } : {}
}

async function guarded<A, R extends { readonly [member: string]: unknown }>(
  spec: Spec<A, R>,
  call: Call,
  args: A,
  { mcpReq }: ServerContext,
): Promise<CallToolResult> {
  try {
    const result = await spec.run(throughTool(call, spec.name, mcpReq._meta), args)
    const checked = await spec.output['~standard'].validate(result)
    // The package would tell the model of it, and nobody else.
    if (checked.issues !== undefined) throw new Error(`the result of ${spec.name} is not what its schema says`)
    return { content: [{ type: 'text', text: JSON.stringify(checked.value) }], structuredContent: checked.value }
  } catch (error) {
    if (error instanceof Refused) return refused(spec.name, call, error)
    const request = requestOf(call)
    call.deps.log.error({ err: error, request, tool: spec.name }, 'a tool failed')
    return failure(bugTold(request))
  }
}

/** All that is told of a bug. Its change may be in the book. */
export const bugTold = (request: string): string =>
  `Something went wrong inside Daybook, and it is not known whether this was done. Check with find_todos before you try again. If it happens again, tell the user to ask the operator about request ${request}.`

/** What a refusal tells a model: what is wrong, and what to do. */
export function told({ reason, detail }: { readonly reason: Reason; readonly detail?: string | undefined }): string {
  const { mcp, sentence } = refusals[reason]
  return detail ?? mcp ?? sentence
}

function refused(tool: string, { deps, caller }: Call, error: Refused): CallToolResult {
  deps.log.info({ request: caller.via.request, tool, reason: error.reason }, 'a tool refused')
  const challenge = challengeFor(error.reason, deps.settings, 'mcp')
  // ChatGPT offers to connect again where a result says so.
  return { ...failure(told(error)), ...(challenge && { _meta: { 'mcp/www_authenticate': [challenge] } }) }
}

const failure = (text: string): CallToolResult => ({ isError: true, content: [{ type: 'text', text }] })
