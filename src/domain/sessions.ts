/** Sessions: a person's browser that has signed in. A session is known by the digest of its cookie. */
import type { ExpiredDropped } from './book.ts'
import { accept, type Decision, type On, refuse, type Says, type Sealed, type Trace } from './shape.ts'
import { expiredKeys, minuteOf, type Sight, Table } from './table.ts'
import type { User, UserEvent, Users } from './users.ts'

export type SessionEvent =
  /** `replaces`: the oldest session of that user, which gives way. */
  | { type: 'SignedIn'; data: { user: string; session: string; expiresAt: number; replaces: string | null } }
  | { type: 'SignInFailed'; data: { user?: string; cause: 'unknown_user' | 'wrong_password' | 'revoked_user' } }
  | { type: 'SignedOut'; data: { user: string; session: string } }

export type Session = {
  readonly user: string
  readonly expiresAt: number
  readonly createdAt: string
  /** Where it began in the book: which is the oldest, whatever the clock did. */
  readonly seq: number
  readonly trace: Sealed<Trace> | undefined
}
export type Sessions = { readonly sessions: Table<Session, 'user' | 'minute'> }

export const tables = (sight: Sight): Sessions => ({
  sessions: new Table<Session, 'user' | 'minute'>(sight, {
    user: (session) => session.user,
    minute: (session) => minuteOf(session.expiresAt),
  }),
})

type Ends = Extract<UserEvent, { type: 'UserRevoked' | 'UserErased' | 'PasswordChanged' }> | ExpiredDropped
export const on: On<Sessions, SessionEvent | Ends> = {
  SignedIn({ sessions }, { seq, at, trace, data: { user, session, expiresAt, replaces } }) {
    if (replaces !== null) sessions.delete(replaces)
    sessions.set(session, { user, expiresAt, createdAt: at, seq, trace })
  },
  SignInFailed: () => {},
  SignedOut: ({ sessions }, { data }) => sessions.delete(data.session),
  UserRevoked: ({ sessions }, { data }) => sessions.deleteBy('user', data.user),
  UserErased: ({ sessions }, { data }) => sessions.deleteBy('user', data.user),
  PasswordChanged: ({ sessions }, { data }) => sessions.deleteBy('user', data.user),
  ExpiredDropped({ sessions }, { data }) {
    for (const key of expiredKeys(sessions, data.until)) sessions.delete(key)
  },
}

const causes = { unknown_user: 'no such user', wrong_password: 'wrong password', revoked_user: 'revoked user' }
export const says: Says<SessionEvent> = {
  SignedIn: ({ data }, names) => `signed in as ${names.user(data.user)}`,
  SignInFailed: ({ data }, names) =>
    `failed to sign in${data.user === undefined ? '' : ` as ${names.user(data.user)}`}: ${causes[data.cause]}`,
  SignedOut: () => 'signed out',
}

/** The user of a live session, or nothing. */
export function sessionUser(rows: Users & Sessions, session: string, now: number): User | undefined {
  const found = rows.sessions.get(session)
  if (found === undefined || found.expiresAt <= now) return undefined
  const user = rows.users.get(found.user)
  return user?.active ? user : undefined
}

type SignIn = {
  /** Whom the identifier named, and whether the password was right; both may be wrong without the answer telling. */
  user: string | undefined
  passwordRight: boolean
  /** How many times that password had been changed when it was verified. */
  passwordChanges: number
  session: string
  sessionTtlMs: number
  /** The session that the same browser was signed in with, if any: it ends. */
  before: string | undefined
}

/** Verifying takes a while; this decides on what holds now. Refuses `credentials_wrong`, and records why. */
export function signIn(rows: Users & Sessions, input: SignIn, now: number): Decision<SessionEvent> {
  const user = input.user === undefined ? undefined : rows.users.get(input.user)
  if (user === undefined) return fail({ cause: 'unknown_user' })
  if (!input.passwordRight || user.passwordChanges !== input.passwordChanges)
    return fail({ user: user.id, cause: 'wrong_password' })
  if (!user.active) return fail({ user: user.id, cause: 'revoked_user' })
  const [expiresAt, replaces] = [now + input.sessionTtlMs, givingWay(rows, user.id, input.before)]
  const data = { user: user.id, session: input.session, expiresAt, replaces }
  return accept<SessionEvent, undefined>([...ending(rows, input.before), { type: 'SignedIn', data }], undefined)
}

/** In how many browsers somebody may be signed in at once. */
const MAX_SESSIONS = 50

/** @param before ends in any case */
function givingWay({ sessions }: Sessions, user: string, before: string | undefined): string | null {
  const held = sessions.keysBy('user', user).filter((session) => session !== before)
  const since = (session: string): number => sessions.get(session)!.seq
  return held.length < MAX_SESSIONS ? null : held.reduce((oldest, one) => (since(one) < since(oldest) ? one : oldest))
}

const fail = (data: Extract<SessionEvent, { type: 'SignInFailed' }>['data']): Decision<SessionEvent> =>
  refuse<SessionEvent>('credentials_wrong', { type: 'SignInFailed', data })

/** Signing out twice is signing out. */
export const signOut = (rows: Sessions, session: string): Decision<SessionEvent> =>
  accept(ending(rows, session), undefined)

function ending({ sessions }: Sessions, session: string | undefined): SessionEvent[] {
  const found = session === undefined ? undefined : sessions.get(session)
  return found === undefined ? [] : [{ type: 'SignedOut', data: { user: found.user, session: session! } }]
}
