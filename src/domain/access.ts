/** Access: what apps may do for a user at the moment, by a connection or by an approval, and how that is ended. */
import { type ApprovalEvent, type Approvals, withdrawApproval } from './approvals.ts'
import { appNameOf, type Clients } from './clients.ts'
import { type GrantEvent, type Grants, revokeGrant } from './grants.ts'
import { accept, type Decision, refuse } from './shape.ts'

/** A connection is a grant, for which an app holds tokens. By an approval it gets one without asking the user again. */
export type AccessKind = 'connection' | 'approval'

export type AccessEntry = {
  /** A grant's id, or the request that the user allowed. */
  readonly id: string
  readonly kind: AccessKind
  readonly client: string
  /** The name of the client. */
  readonly app: string
  readonly scope: string
  /** RFC 3339 */
  readonly since: string
  /** ms since 1970 */
  readonly until: number
}

/** The connections and approvals of a user, the oldest first. @param user by id */
export function accessOf(rows: Approvals & Clients & Grants, user: string, now: number): AccessEntry[] {
  const about = (client: string) => ({ client, app: appNameOf(rows, client) })
  const connections = rows.grants.keysBy('user', user).map((id): AccessEntry => {
    const { client, scope, createdAt, expiresAt } = rows.grants.get(id)!
    return { id, kind: 'connection', ...about(client), scope, since: createdAt, until: expiresAt }
  })
  const approvals = rows.approvals
    .by('user', user)
    .map(({ request: id, client, scope, approvedAt, expiresAt }): AccessEntry => {
      return { id, kind: 'approval', ...about(client), scope, since: approvedAt, until: expiresAt }
    })
  return [...connections, ...approvals]
    .filter(({ until }) => now < until)
    .sort((a, b) => (a.since < b.since ? -1 : a.since > b.since ? 1 : 0))
}

/** What `endAccess` has ended. */
export type Ended = { readonly kind: AccessKind; readonly user: string; readonly client: string }

/**
 * Ends the connection or approval of that id. Refuses `grant_unknown`.
 * @param ofUser whose it has to be; for an operator, who may end anybody's, `undefined`
 */
export function endAccess(
  rows: Approvals & Grants,
  id: string,
  ofUser: string | undefined,
): Decision<ApprovalEvent | GrantEvent, Ended> {
  const kind = rows.grants.get(id) === undefined ? 'approval' : 'connection'
  const decision = kind === 'connection' ? revokeGrant(rows, id) : withdrawApproval(rows, id)
  if (decision.refusal !== undefined) return decision
  const { user, client } = decision.result
  if (ofUser !== undefined && ofUser !== user) return refuse('grant_unknown')
  return accept<ApprovalEvent | GrantEvent, Ended>(decision.facts, { kind, user, client })
}
