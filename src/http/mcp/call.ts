/** What is known of a request by the time that a tool runs: who calls, and what they may use. */
import type { ListCaller } from '../../service/authentication.ts'
import { isConversation } from '../origin.ts'
import type { Deps } from '../settings.ts'

/** An authenticated request to `/mcp`. */
export type Call = { readonly deps: Deps; readonly caller: ListCaller }

export const requestOf = ({ caller }: Call): string => caller.via.request ?? ''

/**
 * The caller of a tool, as the trail is to know them.
 * @param meta `_meta` of the request, whose `openai/session` names ChatGPT's conversation where no header does
 */
export function throughTool({ deps, caller }: Call, tool: string, meta: Readonly<Record<string, unknown>> = {}): Call {
  const session = meta['openai/session']
  const named = typeof session === 'string' && isConversation(session) ? { conversation: session } : {}
  return { deps, caller: { ...caller, via: { ...named, ...caller.via, tool } } }
}
