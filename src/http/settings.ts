/** What the wire side needs to know of the settings, and what every router is given. */
import type { Logger } from 'pino'
import type { Ledger } from '../ledger/ledger.ts'
import type { Policy } from '../service/policy.ts'
import type { Services } from '../service/services.ts'
import type { FairUse } from './fair-use.ts'
import type { LargeBodySlots } from './large-bodies.ts'

export type Settings = Policy & {
  readonly version: string
  readonly contactEmail: string
  readonly verificationToken: string | undefined
  readonly corsOrigins: readonly string[]
  /** After this time a request is answered, even when its work is still under way. */
  readonly deadlineMs: number
}

export type Deps = {
  readonly ledger: Ledger
  readonly services: Services
  readonly settings: Settings
  readonly largeBodies: LargeBodySlots
  readonly fairUse: FairUse
  readonly log: Logger
  /** Says that the server is about to stop, to answers without an end. */
  readonly stopping?: AbortSignal
}
