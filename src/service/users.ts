/** Users as an operator manages them: add, list, revoke, restore, erase, and set a password. */
import { eraseNamed } from '../domain/lists.ts'
import { changePassword, findUser, registerUser, restoreUser, revokeUser } from '../domain/users.ts'
import { newId } from '../ledger/ids.ts'
import type { Caller, Ledger } from '../ledger/ledger.ts'
import { Refused } from '../ledger/refused.ts'
import { newKey } from '../ledger/vault.ts'
import { hashPassword, isCommonPassword, isPassword } from './passwords.ts'

export type NewUser = {
  readonly username: string
  readonly email?: string | undefined
  readonly password: string
  readonly admin: boolean
}

/** A user as an operator sees them. What an erased key has closed is `null`. */
export type UserSummary = {
  readonly id: string
  readonly username: string | null
  readonly email: string | null
  readonly admin: boolean
  readonly active: boolean
  readonly openTodos: number
  readonly createdAt: string
}

export class Users {
  readonly #ledger: Ledger

  constructor(ledger: Ledger) {
    this.#ledger = ledger
  }

  /**
   * Registers a user. The password is hashed before the decision, which checks the names on what holds then.
   * @returns the user's id
   * @throws {Refused} `password_length`, `password_common`, and as `registerUser`
   */
  async add(caller: Caller, { username, email, password, admin }: NewUser): Promise<string> {
    await requirePassword(password, [username, email ?? ''])
    const user = newId(this.#ledger.now())
    const passwordHash = await hashPassword(password)
    await this.#ledger.transact(caller, (state) =>
      registerUser(state, { user, username, email, admin, passwordHash, key: newKey() }),
    )
    return user
  }

  /** Everybody who has an account, in no order. */
  list(caller: Caller): Promise<UserSummary[]> {
    return this.#ledger.ask(caller, (state) =>
      [...state.users.entries()].map(([id, { sealed, admin, active, createdAt }]) => ({
        id,
        username: sealed.open?.username ?? null,
        email: sealed.open?.email ?? null,
        admin,
        active,
        openTodos: state.todos.countBy('open', id),
        createdAt,
      })),
    )
  }

  /** Ends everything of theirs at once. @throws {Refused} `user_unknown`, `user_already_revoked` */
  async revoke(caller: Caller, identifier: string): Promise<void> {
    await this.#ledger.transact(caller, (state) => revokeUser(state, identifier))
  }

  /** Lets them sign in again. @throws {Refused} `user_unknown`, `user_not_revoked` */
  async restore(caller: Caller, identifier: string): Promise<void> {
    await this.#ledger.transact(caller, (state) => restoreUser(state, identifier))
  }

  /**
   * Erases the account and the list of that name.
   * @returns whether the bytes of the erased keys have left the disk; if not, they leave it later
   * @throws {Refused} `user_unknown`
   */
  async erase(caller: Caller, name: string): Promise<boolean> {
    await this.#ledger.transact(caller, (state) => eraseNamed(state, name))
    return this.#ledger.purge().catch(() => false)
  }

  /**
   * Sets a new password, which ends their sessions.
   * @returns whether they may sign in with it now: a revoked user may not
   * @throws {Refused} `password_length`, `password_common`, `user_unknown`
   */
  async setPassword(caller: Caller, identifier: string, password: string): Promise<boolean> {
    const known = await this.#ledger.ask(caller, (state) => findUser(state, identifier)?.sealed.open)
    await requirePassword(password, [known?.username ?? '', known?.email ?? ''])
    const passwordHash = await hashPassword(password)
    return this.#ledger.transact(caller, (state) => {
      const isActive = findUser(state, identifier)?.active === true
      const decision = changePassword(state, { identifier, passwordHash })
      return decision.refusal === undefined ? { ...decision, result: isActive } : decision
    })
  }
}

/** @param names what a password must not be, besides the common ones @throws {Refused} `password_length`, `password_common` */
async function requirePassword(password: string, names: readonly string[]): Promise<void> {
  if (!isPassword(password)) throw new Refused('password_length')
  if (await isCommonPassword(password, names)) throw new Refused('password_common')
}
