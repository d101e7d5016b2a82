/** What the operator has decided: the part of the settings that use cases depend on. */
import type { Client } from '../domain/clients.ts'
import type { LimitSettings } from './limits.ts'

/** How ChatGPT authenticates (the plugin guide's four ways). */
export const AUTH_MODES = ['oauth', 'user_http', 'service_http', 'none'] as const
export type AuthMode = (typeof AUTH_MODES)[number]

/** Whether callers are users with a list of their own; otherwise they name the list they mean. */
export const isForUsers = (mode: AuthMode): boolean => mode === 'oauth' || mode === 'user_http'

export type Policy = {
  readonly authMode: AuthMode
  /** The origin of everything, without a slash at the end. Never taken from a request. */
  readonly publicUrl: string
  readonly signup: 'open' | 'closed'
  /** Whether apps may register themselves, or name themselves by a document. */
  readonly clientRegistration: 'on' | 'off'
  /** How many open to-dos a list may hold. */
  readonly maxOpenTodos: number
  /** What the to-dos of one list, and of all lists, may take in memory: bytes. */
  readonly maxListSize: number
  readonly maxListsSize: number
  readonly codeTtlMs: number
  readonly accessTtlMs: number
  readonly refreshIdleTtlMs: number
  readonly refreshMaxTtlMs: number
  readonly sessionTtlMs: number
  /** `undefined`: none. */
  readonly limits: LimitSettings | undefined
}

/** The resources that API tokens may be bound to (RFC 8707): this service, named by its origin. */
export const apiAudiences = ({ publicUrl }: Pick<Policy, 'publicUrl'>): readonly string[] => [
  publicUrl,
  `${publicUrl}/`,
]

/** The resource of MCP tokens, exactly so. */
export const mcpAudience = ({ publicUrl }: Pick<Policy, 'publicUrl'>): string => `${publicUrl}/mcp`

/** Where apps may not register themselves, those that did are not accepted any more. */
export const acceptsClient = ({ clientRegistration }: Policy, { registration }: Client): boolean =>
  registration === 'operator' || clientRegistration === 'on'
