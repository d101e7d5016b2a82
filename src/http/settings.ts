/** What the wire side needs to know of the settings, and what every router is given. */
import type { Logger } from 'pino'
import type { Ledger } from '../ledger/ledger.ts'
import type { LimitSettings, Limits } from './limits.ts'

/** How ChatGPT authenticates (the plugin guide's four ways). */
export const AUTH_MODES = ['oauth', 'user_http', 'service_http', 'none'] as const
export type AuthMode = (typeof AUTH_MODES)[number]

/** Whether whoever speaks is a user of their own list; otherwise they name the list they mean. */
export const isForUsers = (mode: AuthMode): boolean => mode === 'oauth' || mode === 'user_http'

export type Settings = {
  readonly authMode: AuthMode
  /** The origin of everything, without a slash at the end. Never taken from a request. */
  readonly publicUrl: string
  readonly version: string
  readonly contactEmail: string
  readonly verificationToken: string | undefined
  readonly corsOrigins: readonly string[]
  readonly signup: 'open' | 'closed'
  readonly maxOpenTodos: number
  /** What the open to-dos of one list, and of all lists, may take: characters as sealed. */
  readonly maxListSize: number
  readonly maxListsSize: number
  readonly codeTtlMs: number
  readonly accessTtlMs: number
  readonly refreshIdleTtlMs: number
  readonly refreshMaxTtlMs: number
  readonly sessionTtlMs: number
  /** After so long a request is answered, whatever is still under way. */
  readonly deadlineMs: number
  /** `undefined`: none. */
  readonly limits: LimitSettings | undefined
}

export type Deps = {
  readonly ledger: Ledger
  readonly settings: Settings
  readonly log: Logger
  readonly limits: Limits
  /** Says that the server is about to stop, to answers that would go on for ever. */
  readonly stopping?: AbortSignal
}

/** The resources that tokens may be bound to (RFC 8707): this service, named by its origin. */
export const audiencesOf = ({ publicUrl }: Settings): readonly string[] => [publicUrl, `${publicUrl}/`]
