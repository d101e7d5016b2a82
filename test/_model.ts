/** A second opinion: what Daybook must do, in as few words as possible and sharing no line with it. Times in ms. */
import { done, List, no, type Outcome } from './_list.ts'

const [SECOND, MINUTE, HOUR] = [1000, 60_000, 3_600_000]
/** Short and close together, so that a life of some minutes and hours meets every end. */
export const TTL = {
  session: 2 * HOUR,
  consent: 30 * MINUTE,
  code: MINUTE,
  access: 30 * MINUTE,
  idle: HOUR,
  max: 100 * MINUTE,
  approval: 45 * MINUTE,
}
const GRACE = 60 * SECOND
const [MAX_CONSENTS, MAX_CONSENTS_OF_USER] = [10, 20]

/** `approved`: until when they need not be asked again, since they let the app in; 0 where they are asked. */
type User = { name: string; active: boolean; changes: number; list: List; approved: number; saidYesTo?: string }
type Session = { id: string; user: User; until: number; ended: boolean }
/** `said`: the user's answer, once there is one. `code`: the last code that an approval gave. */
type Consent = { id: string; session: Session; until: number; ended: boolean; said?: boolean; code?: Code }
type Family = { user: User; code: string; until: number; ended: boolean }
/** `first`: the first code that the same yes gave. */
type Code = { id: string; first: string; user: User; until: number; ended: boolean; family?: Family }
type Access = { id: string; family: Family; until: number; ended: boolean }
type Refresh = Access & { parent?: Refresh; usedAt?: number; spent: boolean; lost: boolean; reported: boolean }

/** Who asks, and how well. */
export type Wrong = 'right' | 'foreign client' | 'wrong details'

export class Model {
  now: number
  readonly users: User[] = []
  readonly erased = new Set<string>()
  readonly sessions: Session[] = []
  readonly consents: Consent[] = []
  readonly codes: Code[] = []
  readonly accesses: Access[] = []
  readonly refreshes: Refresh[] = []

  constructor(now: number) {
    this.now = now
  }

  signUp(name: string): Outcome {
    if (this.users.some((user) => user.name === name)) return no()
    this.users.push({ name, active: true, changes: 0, list: new List(), approved: 0 })
    return done('UserRegistered')
  }

  /** @param before the session that the same browser had */
  signIn(user: User, id: string, password: 'right' | 'wrong' | 'outdated', before?: Session): Outcome {
    const isRight = password === 'right' || (password === 'outdated' && user.changes === 0)
    if (!isRight || !user.active) return no('SignInFailed')
    const ended = before === undefined ? [] : this.signOut(before).events
    this.sessions.push({ id, user, until: this.now + TTL.session, ended: false })
    return done(...ended, 'SignedIn')
  }

  signOut(session: Session): Outcome {
    // One that was swept or ended is not there any more, so there is nothing to record.
    if (session.ended) return done()
    session.ended = true
    for (const consent of this.consents) if (consent.session === session) consent.ended = true
    return done('SignedOut')
  }

  ask(session: Session, id: string): Outcome {
    const open = this.consents.filter((consent) => consent.session === session && !consent.ended)
    const ofUser = this.consents.filter((consent) => consent.session.user === session.user && !consent.ended)
    if (open.length >= MAX_CONSENTS) open[0]!.ended = true
    else if (ofUser.length >= MAX_CONSENTS_OF_USER) ofUser[0]!.ended = true
    this.consents.push({ id, session, until: this.now + TTL.consent, ended: false })
    return done('ConsentRequested')
  }

  answer(consent: Consent, from: Session, code: string, allow: boolean): Outcome {
    if (!this.isOpen(consent) || consent.session !== from) return no()
    if (consent.said !== undefined && consent.said !== allow) return no()
    if (consent.said === false) return done()
    if (consent.said && !this.couldAllow(consent)) return no()
    if (consent.code !== undefined) consent.code.ended = true
    const first = consent.code?.first ?? code
    const given: Code = { id: code, first, user: from.user, until: this.now + TTL.code, ended: false }
    if (consent.said) {
      this.codes.push(given)
      consent.code = given
      return done('CodeIssued')
    }
    consent.said = allow
    from.user.approved = allow ? this.now + TTL.approval : 0
    if (!allow) {
      this.#endCodes(from.user)
      return done('ConsentDenied')
    }
    from.user.saidYesTo = consent.id
    consent.code = given
    this.codes.push(given)
    return done('ConsentGranted', 'CodeIssued')
  }

  /** As `ask`, where whoever has said yes is not asked the same again. */
  askAgain(session: Session, id: string, code: string): Outcome {
    if (this.now >= session.user.approved) return this.ask(session, id)
    this.codes.push({ id: code, first: code, user: session.user, until: this.now + TTL.code, ended: false })
    return done('CodeIssued')
  }

  /** An operator takes back the last yes that is remembered. */
  withdraw(user: User): Outcome {
    if (user.approved === 0) return no()
    user.approved = 0
    this.#endCodes(user)
    return done('ApprovalWithdrawn')
  }

  /** The app gives a token back. */
  giveBack(token: Access | Refresh, kind: 'access' | 'refresh', isOwn: boolean): Outcome {
    const { family } = token
    if (family.ended || token.ended || !isOwn) return done()
    if ('lost' in token && token.lost) {
      const given = this.accesses.find(({ id }) => id === token.id.replace('refresh-', 'access-'))
      if (given === undefined || given.ended) return done()
      given.ended = true
      return done('TokenRevoked')
    }
    if (kind === 'access') token.ended = true
    else this.#end(family)
    return done('TokenRevoked')
  }

  redeem(code: Code, how: Wrong, id: string): Outcome {
    if (code.ended || how === 'foreign client') return no()
    if (code.family !== undefined) {
      this.#end(code.family)
      return no('CodeReplayed')
    }
    if (this.now >= code.until || how === 'wrong details') return no()
    code.family = { user: code.user, code: code.first, until: this.now + TTL.max, ended: false }
    this.#give(code.family, id)
    return done('TokenIssued')
  }

  refresh(token: Refresh, how: Wrong, id: string): Outcome {
    const { family } = token
    if (family.ended || how === 'foreign client' || this.now >= family.until) return no()
    if (token.spent || (token.usedAt !== undefined && this.now >= token.usedAt + GRACE)) {
      this.#end(family)
      return no('TokenReplayed')
    }
    if (token.lost) {
      const isNews = !token.reported
      token.reported = true
      return isNews ? no('TokenRefused') : no()
    }
    if (this.now >= token.until || how === 'wrong details') return no()
    token.usedAt ??= this.now
    if (token.parent !== undefined) {
      token.parent.spent = true
      for (const other of this.refreshes) if (other.parent === token.parent && other !== token) other.lost = true
    }
    this.#give(family, id, token)
    return done('TokenRefreshed')
  }

  #give(family: Family, id: string, parent?: Refresh): void {
    this.accesses.push({
      id: `access-${id}`,
      family,
      until: Math.min(this.now + TTL.access, family.until),
      ended: false,
    })
    const token = { id: `refresh-${id}`, family, until: Math.min(this.now + TTL.idle, family.until) }
    this.refreshes.push({
      ...token,
      ...(parent === undefined ? {} : { parent }),
      spent: false,
      lost: false,
      reported: false,
      ended: false,
    })
  }

  /** What was about to be given. */
  #endCodes(user: User): void {
    for (const code of this.codes) if (code.user === user && code.family === undefined) code.ended = true
  }

  #end(family: Family): void {
    family.ended = true
    family.user.approved = 0
    this.#endCodes(family.user)
    for (const code of this.codes) if (code.family === family) code.ended = true
  }

  revoke(user: User): Outcome {
    if (!user.active) return no()
    user.active = false
    this.#endPending(user)
    for (const code of this.codes) if (code.user === user) code.ended = true
    for (const { family } of this.accesses) if (family.user === user) family.ended = true
    return done('UserRevoked')
  }

  erase(user: User): Outcome {
    user.active = true
    this.revoke(user)
    this.users.splice(this.users.indexOf(user), 1)
    this.erased.add(user.name)
    return done('UserErased')
  }

  restore(user: User): Outcome {
    if (user.active) return no()
    user.active = true
    return done('UserRestored')
  }

  changePassword(user: User): Outcome {
    user.changes++
    this.#endPending(user)
    return done('PasswordChanged')
  }

  /** Sessions, and what was about to be given. */
  #endPending(user: User): void {
    user.approved = 0
    for (const session of this.sessions) if (session.user === user) session.ended = true
    for (const consent of this.consents) if (consent.session.user === user) consent.ended = true
    for (const code of this.codes) if (code.user === user && code.family === undefined) code.ended = true
  }

  /** What expired before this minute is forgotten: a replay of it is just unknown. Gives whether anything was. */
  sweep(): boolean {
    const until = Math.floor(this.now / MINUTE) * MINUTE
    const unused = this.codes.filter((code) => code.family === undefined)
    const due = [...this.sessions, ...this.consents, ...unused].filter((one) => !one.ended && one.until < until)
    for (const one of due) one.ended = true
    const over = this.accesses.map(({ family }) => family).filter((family) => !family.ended && family.until < until)
    for (const family of over) {
      family.ended = true
      for (const code of this.codes) if (code.family === family) code.ended = true
    }
    // A refresh token is known for what it is as long as its family lasts.
    for (const token of this.accesses) if (token.until < until) token.ended = true
    const forgotten = this.users.filter(({ approved }) => approved > 0 && approved < until)
    for (const user of forgotten) user.approved = 0
    const lists = this.users.filter(({ list }) => list.sweep(this.now))
    return due.length + over.length + forgotten.length + lists.length > 0
  }

  isSignedIn(session: Session): boolean {
    return !session.ended && this.now < session.until && session.user.active
  }

  isOpen(consent: Consent): boolean {
    return !consent.ended && this.now < consent.until
  }

  /** Not answered, or allowed with a code that nobody has used. */
  couldAllow(consent: Consent): boolean {
    if (!this.isOpen(consent) || consent.said === false) return false
    const { said, code } = consent
    return (
      said === undefined || (code !== undefined && !code.ended && code.family === undefined && this.now < code.until)
    )
  }

  speaks({ family, until, ended }: Access): boolean {
    return !ended && !family.ended && this.now < until && this.now < family.until
  }

  /** Everything that opens a door at this moment, by name. */
  alive(): string[] {
    const tokens = this.refreshes.filter((token) => this.#isUsable(token))
    const codes = this.codes.filter((code) => !code.ended && code.family === undefined && this.now < code.until)
    return [
      ...this.sessions.filter((session) => this.isSignedIn(session)),
      ...this.consents.filter((consent) => this.couldAllow(consent)),
      ...codes,
      ...this.accesses.filter((access) => this.speaks(access)),
      ...tokens,
    ].map(({ id }) => id)
  }

  #isUsable(token: Refresh): boolean {
    if (token.ended || token.spent || token.lost || !this.speaks(token)) return false
    return token.usedAt === undefined || this.now < token.usedAt + GRACE
  }
}
