/** API keys: a user makes and revokes their own; an operator does so for anybody (`AUTH_MODE=user_http`). */
import type { State } from '../domain/domain.ts'
import { issueKey, type KeyEvent, revokeKey } from '../domain/keys.ts'
import { type Decision, refuse } from '../domain/shape.ts'
import { findUser } from '../domain/users.ts'
import { newId } from '../ledger/ids.ts'
import type { Ledger } from '../ledger/ledger.ts'
import { Refused } from '../ledger/refused.ts'
import type { Caller } from './caller.ts'
import type { Limits } from './limits.ts'
import { digest, newSecret } from './secrets.ts'

/** A key that was just made. Only its digest is kept, so the secret can be shown this once. */
export type NewKey = { readonly id: string; readonly secret: string }

/** A key as its user sees it. `label` is `null` where it cannot be opened, `usedAt` where it was never used. */
export type KeySummary = {
  readonly id: string
  readonly label: string | null
  readonly createdAt: string
  readonly usedAt: string | null
}

export class Keys {
  readonly #ledger: Ledger
  readonly #limits: Limits

  constructor(ledger: Ledger, limits: Limits) {
    this.#ledger = ledger
    this.#limits = limits
  }

  /**
   * Makes a key of one's own.
   * @param user the caller's id
   * @throws {Refused} `rate_limited`, and as `issueKey`
   */
  async issueOwn(caller: Caller, user: string, label: string): Promise<NewKey> {
    this.#limits.take(caller.meter, 'account', user)
    return this.#issue(caller, label, () => user)
  }

  /** Makes a key for the user of that name or e-mail address. @throws {Refused} as `issueKey` */
  issueFor(caller: Caller, identifier: string, label: string): Promise<NewKey> {
    return this.#issue(caller, label, (state) => findUser(state, identifier)?.id)
  }

  async #issue(caller: Caller, label: string, userIn: (state: State) => string | undefined): Promise<NewKey> {
    const [id, secret] = [newId(this.#ledger.now()), newSecret('dbk')]
    await this.#ledger.transact(caller, (state): Decision<KeyEvent> => {
      const user = userIn(state)
      if (user === undefined) return refuse('user_unknown')
      return issueKey(state, { key: id, user, digest: digest(secret), label })
    })
    return { id, secret }
  }

  /** The keys of a user. @param user the caller's id */
  listOwn(caller: Caller, user: string): Promise<KeySummary[]> {
    return this.#ledger.ask(caller, (state) => keysOf(state, user))
  }

  /** The keys of the user of that name or e-mail address. @throws {Refused} `user_unknown` */
  async listFor(caller: Caller, identifier: string): Promise<KeySummary[]> {
    const keys = await this.#ledger.ask(caller, (state) => {
      const user = findUser(state, identifier)
      return user === undefined ? undefined : keysOf(state, user.id)
    })
    if (keys === undefined) throw new Refused('user_unknown')
    return keys
  }

  /** Ends a key at once, if it is that user's. @param user the caller's id @throws {Refused} `key_unknown` */
  async revokeOwn(caller: Caller, user: string, key: string): Promise<void> {
    await this.#ledger.transact(caller, (state) => revokeKey(state, key, user))
  }

  /** Ends a key of anybody's at once. @throws {Refused} `key_unknown` */
  async revoke(caller: Caller, key: string): Promise<void> {
    await this.#ledger.transact(caller, (state) => revokeKey(state, key))
  }
}

const keysOf = ({ keys }: State, user: string): KeySummary[] =>
  keys.keysBy('user', user).flatMap((id) => {
    const key = keys.get(id)
    return key === undefined
      ? []
      : [{ id, label: key.sealed.open?.label ?? null, createdAt: key.createdAt, usedAt: key.usedAt }]
  })
