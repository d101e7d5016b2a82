/** People: who may sign in, under which name, and until when. */
import { accept, type Decision, type On, type Recorded, refuse, type Says, type Sealed } from './shape.ts'
import { type Sight, Table } from './table.ts'

export type UserEvent =
  | {
      type: 'UserRegistered'
      data: { user: string; admin: boolean }
      personal: { username: string; email?: string }
    }
  | { type: 'UserRevoked'; data: { user: string } }
  | { type: 'UserRestored'; data: { user: string } }
  | { type: 'UserErased'; data: { user: string } }
  | { type: 'PasswordChanged'; data: { user: string } }

export type User = {
  readonly id: string
  readonly sealed: Sealed<{ username: string; email?: string }>
  readonly admin: boolean
  readonly active: boolean
  /** How many times the password was changed: a sign-in holds for the password it verified, not for a later one. */
  readonly passwordChanges: number
  readonly createdAt: string
}
export type Users = { readonly users: Table<User, 'username' | 'email'> }

export const tables = (sight: Sight): Users => ({
  users: new Table<User, 'username' | 'email'>(sight, {
    username: (user) => user.sealed.open?.username.toLowerCase(),
    email: (user) => user.sealed.open?.email?.toLowerCase(),
  }),
})

const change = ({ users }: Users, id: string, to: (user: User) => Partial<User>): void => {
  const user = users.get(id)
  if (user !== undefined) users.set(id, { ...user, ...to(user) })
}

export const on: On<Users, UserEvent> = {
  UserRegistered: ({ users }, { at, sealed, data: { user: id, admin } }) =>
    users.set(id, { id, sealed, admin, active: true, passwordChanges: 0, createdAt: at }),
  UserRevoked: (rows, { data }) => change(rows, data.user, () => ({ active: false })),
  UserRestored: (rows, { data }) => change(rows, data.user, () => ({ active: true })),
  UserErased: ({ users }, { data }) => users.delete(data.user),
  PasswordChanged: (rows, { data }) =>
    change(rows, data.user, (user) => ({ passwordChanges: user.passwordChanges + 1 })),
}

const registered = ({ sealed }: Recorded<Extract<UserEvent, { type: 'UserRegistered' }>>): string =>
  sealed.open === undefined ? 'an account that has been erased' : `the account ${sealed.open.username}`

export const says: Says<UserEvent> = {
  UserRegistered: (event) => `registered ${registered(event)}${event.data.admin ? ' as an operator' : ''}`,
  UserRevoked: ({ data }, names) => `revoked ${names.user(data.user)}: sessions, codes, tokens and keys ended`,
  UserRestored: ({ data }, names) => `let ${names.user(data.user)} sign in again`,
  UserErased: ({ data }) => `erased the account ${data.user}: nobody can read what was theirs any more`,
  PasswordChanged: ({ data }, names) => `changed the password of ${names.user(data.user)}`,
}

/** Where the vault keeps what belongs to a user. */
export const userKeyName = (user: string): string => `key/${user}`
export const passwordName = (user: string): string => `password/${user}`

/** A username is 1–64 of `[A-Za-z0-9._-]`, and none of the words that mean something else in a path. */
export const isUsername = (text: string): boolean =>
  /^[A-Za-z0-9._-]{1,64}$/.test(text) && !['me', 'global', '.', '..'].includes(text.toLowerCase())

/** Good enough to reach somebody by: something@somewhere, no blanks, at most 254 characters (RFC 5321 §4.5.3.1). */
export const isEmail = (text: string): boolean => text.length <= 254 && /^[^\s@\p{C}]+@[^\s@\p{C}]+$/u.test(text)

/** The user with that username or e-mail, in any case. */
export const findUser = ({ users }: Users, identifier: string): User | undefined => {
  const name = identifier.trim().toLowerCase()
  return users.by(name.includes('@') ? 'email' : 'username', name)[0]
}

/** The user's name for people to read; once it can no longer be opened, something that nobody can be called. */
export const usernameOf = ({ users }: Users, id: string): string =>
  users.get(id)?.sealed.open?.username ?? `the erased ${id}`

type Register = {
  user: string
  username: string
  email: string | undefined
  admin: boolean
  passwordHash: string
  /** The new user's sealing key, base64. */
  key: string
}

/** Refuses `username_invalid`, `username_taken`, `email_invalid`, `email_taken`. */
export function registerUser(rows: Users, input: Register): Decision<UserEvent> {
  const { user, username, email, admin } = input
  if (!isUsername(username)) return refuse('username_invalid')
  if (email !== undefined && !isEmail(email)) return refuse('email_invalid')
  if (rows.users.countBy('username', username.toLowerCase()) > 0) return refuse('username_taken')
  if (email !== undefined && rows.users.countBy('email', email.toLowerCase()) > 0) return refuse('email_taken')
  const personal = email === undefined ? { username } : { username, email }
  return accept([{ type: 'UserRegistered', data: { user, admin }, personal }], undefined, {
    [userKeyName(user)]: input.key,
    [passwordName(user)]: input.passwordHash,
  })
}

/** Ends everything of that user: each room that holds something of theirs drops it on `UserRevoked`. */
export function revokeUser(rows: Users, identifier: string): Decision<UserEvent> {
  const user = findUser(rows, identifier)
  if (user === undefined) return refuse('user_unknown')
  if (!user.active) return refuse('user_already_revoked')
  return accept([{ type: 'UserRevoked', data: { user: user.id } }], undefined)
}

/** Lets them sign in again. Nothing that was ended comes back. */
export function restoreUser(rows: Users, identifier: string): Decision<UserEvent> {
  const user = findUser(rows, identifier)
  if (user === undefined) return refuse('user_unknown')
  if (user.active) return refuse('user_not_revoked')
  return accept([{ type: 'UserRestored', data: { user: user.id } }], undefined)
}

/**
 * Revokes, and takes away the user's key and rows: their personal text is unreadable for ever, also in the book, whose
 * chain holds all the same. Refuses `user_unknown`.
 */
export function eraseUser(rows: Users, identifier: string): Decision<UserEvent> {
  const user = findUser(rows, identifier)
  if (user === undefined) return refuse('user_unknown')
  return accept([{ type: 'UserErased', data: { user: user.id } }], undefined, {
    [userKeyName(user.id)]: undefined,
    [passwordName(user.id)]: undefined,
  })
}

/** A new password ends the user's sessions and whatever was about to be consented to. */
export function changePassword(rows: Users, input: { identifier: string; passwordHash: string }): Decision<UserEvent> {
  const user = findUser(rows, input.identifier)
  if (user === undefined) return refuse('user_unknown')
  return accept([{ type: 'PasswordChanged', data: { user: user.id } }], undefined, {
    [passwordName(user.id)]: input.passwordHash,
  })
}
