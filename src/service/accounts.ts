/** Accounts as people use them: sign up, sign in, sign out, and who is signed in. */
import { sessionUser, signIn, signOut } from '../domain/sessions.ts'
import type { Reason } from '../domain/shape.ts'
import { findUser, isEmail, isUsername, passwordName, usernameOf } from '../domain/users.ts'
import type { Ledger } from '../ledger/ledger.ts'
import { Refused } from '../ledger/refused.ts'
import { type ListCaller, requireScope } from './authentication.ts'
import { addressOf, anonymous, type Caller, type Provenance, type SignedIn, sessionCaller } from './caller.ts'
import { keyOfName, type Limits } from './limits.ts'
import { isCommonPassword, isPassword, isTooLong, verifyPassword } from './passwords.ts'
import { isForUsers, type Policy } from './policy.ts'
import { digest, newSecret } from './secrets.ts'
import { READ } from './todos.ts'
import type { Users } from './users.ts'

/** Everything that is wrong with a sign-up, at once, so that nobody has to send the form again for each. */
export class SignUpRefused extends Refused {
  readonly reasons: readonly Reason[]

  constructor(reasons: readonly [Reason, ...Reason[]]) {
    super(reasons[0])
    this.reasons = reasons
  }
}

export type SignUp = {
  readonly username: string
  /** Empty for none. */
  readonly email: string
  readonly password: string
  /** The session that the same browser has already, if any: it ends. */
  readonly before: string | undefined
}

export type SignIn = Pick<SignUp, 'password' | 'before'> & {
  /** A username or an e-mail address. */
  readonly identifier: string
}

export type Profile = { readonly id: string; readonly nickname: string }

export class Accounts {
  readonly #ledger: Ledger
  readonly #limits: Limits
  readonly #users: Users
  readonly #policy: Policy

  constructor(ledger: Ledger, limits: Limits, users: Users, policy: Policy) {
    this.#ledger = ledger
    this.#limits = limits
    this.#users = users
    this.#policy = policy
  }

  /** Whether strangers may create accounts. Accounts are only useful where callers are users. */
  get canSignUp(): boolean {
    return this.#policy.signup === 'open' && isForUsers(this.#policy.authMode)
  }

  /** Who is signed in. @param session the digest of the cookie that a browser sent */
  async signedIn(session: string): Promise<SignedIn | undefined> {
    const user = await this.#ledger.read((state, now) => sessionUser(state, session, now))
    return user === undefined ? undefined : { session, user }
  }

  /**
   * Creates an account and signs its user in.
   * @returns the secret of the new session, for the browser's cookie
   * @throws {SignUpRefused} what is malformed
   * @throws {Refused} `signup_closed`, `rate_limited`, `username_taken`, `email_taken`
   */
  async signUp(from: Provenance, { username, email, password, before }: SignUp): Promise<string> {
    if (!this.canSignUp) throw new Refused('signup_closed')
    const [first, ...others] = await malformedIn(username, email, password)
    if (first !== undefined) throw new SignUpRefused([first, ...others])
    this.#limits.take(from.meter, 'sign_up', addressOf(from))
    this.#limits.take(from.meter, 'sign_ups', '')
    const input = { username, email: email || undefined, password, admin: false }
    const user = await this.#users.add(anonymous(from), input).catch((error: unknown) => {
      this.#limits.giveBack('sign_ups', '') // No account was made.
      throw error
    })
    return this.#begin(from, { user, passwordRight: true, passwordChanges: 0, before })
  }

  /**
   * Signs in the user with that name and password. Whether the name, the password or the account is wrong shows
   * neither in the refusal nor in the time that it takes.
   * @returns the secret of the new session, for the browser's cookie
   * @throws {Refused} `credentials_wrong`, `password_length`, `rate_limited`
   */
  async signIn(from: Provenance, { identifier, password, before }: SignIn): Promise<string> {
    // A password that is too long is not hashed. One that is too short is: the refusal must look like any other.
    if (isTooLong(password)) throw new Refused('password_length')
    const user = await this.#ledger.read((state) => findUser(state, identifier))
    const [account, address] = [user?.id ?? keyOfName(identifier.trim().toLowerCase()), addressOf(from)]
    // Counted first and refunded on success, so that tries at the same time count, too.
    this.#limits.take(from.meter, 'sign_in_address', address)
    this.#limits.take(from.meter, 'sign_in', account)
    const passwordRight = await verifyPassword(password, user && this.#ledger.secret(passwordName(user.id)))
    if (passwordRight && user?.active === true) {
      this.#limits.giveBack('sign_in_address', address)
      this.#limits.giveBack('sign_in', account)
      this.#limits.take(from.meter, 'account', account)
    }
    const passwordChanges = user?.passwordChanges ?? 0
    return this.#begin(from, { user: user?.id, passwordRight, passwordChanges, before })
  }

  /**
   * Which account or list a caller acts on: a user by immutable id, or, in modes without users, a list by its name.
   * @throws {Refused} `scope_insufficient`
   */
  async profile(caller: ListCaller): Promise<Profile> {
    requireScope(caller, READ)
    const { owner } = caller
    return this.#ledger.ask(caller, (state) =>
      'user' in owner
        ? { id: owner.user, nickname: usernameOf(state, owner.user) }
        : { id: owner.list, nickname: owner.list },
    )
  }

  /** Ends a session. One that has ended meanwhile has ended. */
  async signOut(from: Provenance, visitor: SignedIn): Promise<void> {
    const ending = this.#ledger.transact(sessionCaller(from, visitor), (state) => signOut(state, visitor.session))
    await ending.catch((error: unknown) => {
      if (!(error instanceof Refused) || error.reason !== 'session_ended') throw error
    })
  }

  /** A session is always a new one: no cookie that a browser sent becomes its secret. @throws {Refused} `credentials_wrong` */
  async #begin(from: Provenance, claim: Claim): Promise<string> {
    const secret = newSecret('dbw')
    const input = { ...claim, session: digest(secret), sessionTtlMs: this.#policy.sessionTtlMs }
    const { user, passwordRight } = claim
    const stranger = anonymous(from)
    const caller: Caller =
      passwordRight && user !== undefined ? { ...stranger, actor: { kind: 'user', id: user } } : stranger
    await this.#ledger.transact(caller, (state, now) => signIn(state, input, now))
    return secret
  }
}

/** Whom an identifier named, and whether the password was right when it was verified. */
type Claim = {
  readonly user: string | undefined
  readonly passwordRight: boolean
  readonly passwordChanges: number
  readonly before: string | undefined
}

async function malformedIn(username: string, email: string, password: string): Promise<Reason[]> {
  const reasons: Reason[] = []
  if (!isUsername(username)) reasons.push('username_invalid')
  if (email !== '' && !isEmail(email)) reasons.push('email_invalid')
  if (!isPassword(password)) reasons.push('password_length')
  if (await isCommonPassword(password, [username, email])) reasons.push('password_common')
  return reasons
}
