/** Approvals: what a user has allowed a client before, so that they need not be asked the same again. */
import type { ClientEvent } from './clients.ts'
import type { ConsentEvent } from './consents.ts'
import type { GrantEvent } from './grants.ts'
import type { On } from './shape.ts'
import { type Sight, Table } from './table.ts'
import type { UserEvent } from './users.ts'

type Approval = { readonly user: string; readonly client: string; readonly scope: string }
export type Approvals = { readonly approvals: Table<Approval, 'user' | 'client'> }

export const tables = (sight: Sight): Approvals => ({
  approvals: new Table<Approval, 'user' | 'client'>(sight, {
    user: (approval) => approval.user,
    client: (approval) => approval.client,
  }),
})

const keyOf = ({ user, client }: { user: string; client: string }): string => `${user} ${client}`
const namesOf = (scope: string): string[] => scope.split(' ')

/** Whatever ends a connection on purpose, or for suspicion, makes the user be asked again. */
type Ends =
  | Extract<ConsentEvent, { type: 'ConsentGranted' }>
  | Extract<GrantEvent, { type: 'TokenRevoked' | 'CodeReplayed' | 'TokenReplayed' }>
  | Extract<UserEvent, { type: 'UserRevoked' | 'UserErased' | 'PasswordChanged' }>
  | Extract<ClientEvent, { type: 'ClientRemoved' }>
export const on: On<Approvals, Ends> = {
  ConsentGranted({ approvals }, { data: { user, client, scope } }) {
    const before = approvals.get(keyOf({ user, client }))?.scope ?? ''
    const names = new Set([...namesOf(before), ...namesOf(scope)].filter((name) => name !== ''))
    approvals.set(keyOf({ user, client }), { user, client, scope: [...names].sort().join(' ') })
  },
  TokenRevoked({ approvals }, { data }) {
    if (data.access === null) approvals.delete(keyOf(data))
  },
  CodeReplayed: ({ approvals }, { data }) => approvals.delete(keyOf(data)),
  TokenReplayed: ({ approvals }, { data }) => approvals.delete(keyOf(data)),
  UserRevoked: ({ approvals }, { data }) => approvals.deleteBy('user', data.user),
  UserErased: ({ approvals }, { data }) => approvals.deleteBy('user', data.user),
  PasswordChanged: ({ approvals }, { data }) => approvals.deleteBy('user', data.user),
  ClientRemoved: ({ approvals }, { data }) => approvals.deleteBy('client', data.client),
}

/** Has the user allowed the client all of that scope before? */
export function isApproved({ approvals }: Approvals, user: string, client: string, scope: string): boolean {
  const approved = namesOf(approvals.get(keyOf({ user, client }))?.scope ?? '')
  return namesOf(scope).every((name) => approved.includes(name))
}
