/** Connections: what apps may do for a user at the moment, and how that is ended. */
import { type AccessEntry, accessOf, type Ended, endAccess } from '../domain/access.ts'
import { appNameOf } from '../domain/clients.ts'
import { findUser, usernameOf } from '../domain/users.ts'
import type { Caller, Ledger } from '../ledger/ledger.ts'
import { Refused } from '../ledger/refused.ts'

/** What was ended, in words that people know. */
export type EndedAccess = Ended & { readonly app: string; readonly username: string }

export class Connections {
  readonly #ledger: Ledger

  constructor(ledger: Ledger) {
    this.#ledger = ledger
  }

  /** The connections and approvals of a user, the oldest first. @param user by id */
  list(caller: Caller, user: string): Promise<AccessEntry[]> {
    return this.#ledger.ask(caller, (state, now) => accessOf(state, user, now))
  }

  /** As `list`, for an operator, who knows users by name. @throws {Refused} `user_unknown` */
  async listFor(caller: Caller, identifier: string): Promise<AccessEntry[]> {
    const found = await this.#ledger.ask(caller, (state, now) => {
      const user = findUser(state, identifier)
      return user === undefined ? undefined : accessOf(state, user.id, now)
    })
    if (found === undefined) throw new Refused('user_unknown')
    return found
  }

  /** Ends a connection or an approval of a user at once. @param user by id @throws {Refused} `grant_unknown` */
  endOwn(caller: Caller, user: string, id: string): Promise<EndedAccess> {
    return this.#end(caller, id, user)
  }

  /** As `endOwn`, for an operator, who may end anybody's. @throws {Refused} `grant_unknown` */
  end(caller: Caller, id: string): Promise<EndedAccess> {
    return this.#end(caller, id, undefined)
  }

  #end(caller: Caller, id: string, ofUser: string | undefined): Promise<EndedAccess> {
    return this.#ledger.transact(caller, (state) => {
      const decision = endAccess(state, id, ofUser)
      if (decision.refusal !== undefined) return decision
      const { user, client } = decision.result
      const names = { app: appNameOf(state, client), username: usernameOf(state, user) }
      return { ...decision, result: { ...decision.result, ...names } }
    })
  }
}
