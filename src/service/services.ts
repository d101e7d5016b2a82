/** The services, wired: what a person or a program can ask of Daybook, one file a capability. */
import type { Ledger } from '../ledger/ledger.ts'
import { Access } from './access.ts'
import { Apps, type Outside } from './apps.ts'
import { Authentication } from './authentication.ts'
import { Authorization } from './authorization.ts'
import { documentFetcher } from './documents.ts'
import { Limits } from './limits.ts'
import type { Policy } from './policy.ts'

export type Services = {
  readonly limits: Limits
  readonly authentication: Authentication
  readonly access: Access
  readonly apps: Apps
  readonly authorization: Authorization
}

export function createServices(
  ledger: Ledger,
  policy: Policy,
  outside: Outside = { fetchDocument: documentFetcher(), onUnreadable: () => {} },
): Services {
  const limits = new Limits(policy.limits)
  const apps = new Apps(ledger, limits, policy, outside)
  return {
    limits,
    authentication: new Authentication(ledger, limits, policy),
    access: new Access(ledger, limits, policy),
    apps,
    authorization: new Authorization(ledger, limits, policy, apps),
  }
}
