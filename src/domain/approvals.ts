/** Approvals: what a user has allowed a client, for a while, so that they need not be asked the same again. */
import type { ExpiredDropped } from './book.ts'
import type { ClientEvent } from './clients.ts'
import type { ConsentEvent } from './consents.ts'
import type { GrantEvent } from './grants.ts'
import { matchesRedirect } from './redirects.ts'
import { includesScope } from './scopes.ts'
import { accept, type Decision, type On, refuse, type Says } from './shape.ts'
import { expiredKeys, minuteOf, type Sight, Table } from './table.ts'
import type { UserEvent } from './users.ts'

/** An operator took an approval back: its user is asked again. `request` is the one to which they said yes. */
export type ApprovalEvent = { type: 'ApprovalWithdrawn'; data: { request: string; user: string; client: string } }

export type Approval = {
  /** The request to which the user said yes: by this it is known to an operator. */
  readonly request: string
  readonly user: string
  readonly client: string
  readonly redirectUri: string
  readonly scope: string
  readonly approvedAt: string
  /** ms since 1970 */
  readonly expiresAt: number
}
type Index = 'user' | 'client' | 'request' | 'minute'
export type Approvals = { readonly approvals: Table<Approval, Index> }

export const tables = (sight: Sight): Approvals => ({
  approvals: new Table<Approval, Index>(sight, {
    user: (approval) => approval.user,
    client: (approval) => approval.client,
    request: (approval) => approval.request,
    minute: (approval) => minuteOf(approval.expiresAt),
  }),
})

type About = { readonly user: string; readonly client: string; readonly redirectUri: string }
const keyOf = ({ user, client, redirectUri }: About): string => `${user} ${client} ${redirectUri}`

/** Whatever ends a connection on purpose, or for suspicion, makes the user be asked again. */
type Ends =
  | Extract<ConsentEvent, { type: 'ConsentGranted' | 'ConsentDenied' }>
  | Extract<GrantEvent, { type: 'TokenRevoked' | 'CodeReplayed' | 'TokenReplayed' }>
  | Extract<UserEvent, { type: 'UserRevoked' | 'UserErased' | 'PasswordChanged' }>
  | Extract<ClientEvent, { type: 'ClientRemoved' | 'ClientSecretRotated' | 'RedirectUriWithdrawn' }>
  | ExpiredDropped
export const on: On<Approvals, ApprovalEvent | Ends> = {
  ConsentGranted({ approvals }, { at, data: { request, user, client, redirectUri, scope, approvedUntil } }) {
    if (approvedUntil === null) return
    const approval = { request, user, client, redirectUri, scope, approvedAt: at, expiresAt: approvedUntil }
    approvals.set(keyOf(approval), approval)
  },
  ConsentDenied: (rows, { data }) => forget(rows, data),
  ApprovalWithdrawn: ({ approvals }, { data }) => approvals.deleteBy('request', data.request),
  TokenRevoked(rows, { data }) {
    if (data.access === null) forget(rows, data)
  },
  CodeReplayed: (rows, { data }) => forget(rows, data),
  TokenReplayed: (rows, { data }) => forget(rows, data),
  UserRevoked: ({ approvals }, { data }) => approvals.deleteBy('user', data.user),
  UserErased: ({ approvals }, { data }) => approvals.deleteBy('user', data.user),
  PasswordChanged: ({ approvals }, { data }) => approvals.deleteBy('user', data.user),
  ClientRemoved: ({ approvals }, { data }) => approvals.deleteBy('client', data.client),
  ClientSecretRotated: ({ approvals }, { data }) => approvals.deleteBy('client', data.client),
  RedirectUriWithdrawn({ approvals }, { data }) {
    for (const key of approvals.keysBy('client', data.client))
      if (matchesRedirect(data.uri, approvals.get(key)!.redirectUri)) approvals.delete(key)
  },
  ExpiredDropped({ approvals }, { data }) {
    for (const key of expiredKeys(approvals, data.until)) approvals.delete(key)
  },
}

function forget({ approvals }: Approvals, { user, client }: { user: string; client: string }): void {
  for (const key of approvals.keysBy('user', user)) if (approvals.get(key)!.client === client) approvals.delete(key)
}

export const says: Says<ApprovalEvent> = {
  ApprovalWithdrawn: ({ data }, names) =>
    `took back the approval by which ${names.user(data.user)} let ${names.client(data.client)} in without being asked`,
}

/** Has the user allowed the client all of that scope, at that callback, and not too long ago? */
export function isApproved({ approvals }: Approvals, about: About & { readonly scope: string }, now: number): boolean {
  const found = approvals.get(keyOf(about))
  return found !== undefined && now < found.expiresAt && includesScope(found.scope, about.scope)
}

/** By an operator. @param request the one to which the user said yes. Refuses `grant_unknown`. */
export function withdrawApproval({ approvals }: Approvals, request: string): Decision<ApprovalEvent, Approval> {
  const found = approvals.by('request', request)[0]
  if (found === undefined) return refuse('grant_unknown')
  const { user, client } = found
  return accept<ApprovalEvent, Approval>([{ type: 'ApprovalWithdrawn', data: { request, user, client } }], found)
}
