/** The services, wired: what a person or a program can ask of Daybook, one file a capability. */
import type { Ledger } from '../ledger/ledger.ts'
import { Access } from './access.ts'
import { Accounts } from './accounts.ts'
import { ActivityLog } from './activity.ts'
import { Apps } from './apps.ts'
import { Audit } from './audit.ts'
import { Authentication } from './authentication.ts'
import { Authorization } from './authorization.ts'
import { Connections } from './connections.ts'
import { documentFetcher } from './documents.ts'
import { Keys } from './keys.ts'
import { Limits } from './limits.ts'
import type { Policy } from './policy.ts'
import { type Outside, Registrations } from './registrations.ts'
import { ServiceToken } from './service-token.ts'
import { Todos } from './todos.ts'
import { Users } from './users.ts'

export type Services = OperatorServices & {
  readonly limits: Limits
  /** For request bodies that take much memory. */
  readonly authentication: Authentication
  readonly accounts: Accounts
  readonly todos: Todos
  readonly activity: ActivityLog
  readonly access: Access
  readonly registrations: Registrations
  readonly authorization: Authorization
}

/** What depends on no policy. */
export type OperatorServices = {
  readonly users: Users
  readonly apps: Apps
  readonly connections: Connections
  readonly keys: Keys
  readonly serviceToken: ServiceToken
  readonly audit: Audit
}

export function createServices(
  ledger: Ledger,
  policy: Policy,
  outside: Outside = { fetchDocument: documentFetcher(), onUnreadable: () => {} },
): Services {
  const limits = new Limits(policy.limits)
  const shared = sharedServices(ledger, limits)
  const registrations = new Registrations(ledger, limits, policy, outside)
  return {
    ...shared,
    limits,
    authentication: new Authentication(ledger, limits, policy),
    accounts: new Accounts(ledger, limits, shared.users, policy),
    todos: new Todos(ledger, limits, policy),
    activity: new ActivityLog(ledger),
    access: new Access(ledger, limits, policy),
    registrations,
    authorization: new Authorization(ledger, limits, policy, registrations),
  }
}

/** For the command line, whose acts no limit counts. */
export const operatorServices = (ledger: Ledger): OperatorServices => sharedServices(ledger, new Limits(undefined))

const sharedServices = (ledger: Ledger, limits: Limits): OperatorServices => ({
  users: new Users(ledger),
  apps: new Apps(ledger),
  connections: new Connections(ledger),
  keys: new Keys(ledger, limits),
  serviceToken: new ServiceToken(ledger),
  audit: new Audit(ledger, limits),
})
