/** The services, wired: what a person or a program can ask of Daybook, one file a capability. */
import type { Ledger } from '../ledger/ledger.ts'
import { Access } from './access.ts'
import { Authentication } from './authentication.ts'
import { Limits } from './limits.ts'
import type { Policy } from './policy.ts'

export type Services = {
  readonly limits: Limits
  readonly authentication: Authentication
  readonly access: Access
}

export function createServices(ledger: Ledger, policy: Policy): Services {
  const limits = new Limits(policy.limits)
  return {
    limits,
    authentication: new Authentication(ledger, limits, policy),
    access: new Access(ledger, limits, policy),
  }
}
