/** The profile: which account or list a caller acts on, in words that its owner knows. */
import { usernameOf } from '../domain/users.ts'
import type { Ledger } from '../ledger/ledger.ts'
import { type ListCaller, requireScope } from './authentication.ts'
import { READ } from './todos.ts'

export type Profile = { readonly id: string; readonly nickname: string }

/** A user by immutable id, or, in modes without users, a list by its name. @throws {Refused} `scope_insufficient` */
export async function profileOf(ledger: Ledger, caller: ListCaller): Promise<Profile> {
  requireScope(caller, READ)
  const { owner } = caller
  return ledger.ask(caller, (state) =>
    'user' in owner
      ? { id: owner.user, nickname: usernameOf(state, owner.user) }
      : { id: owner.list, nickname: owner.list },
  )
}
