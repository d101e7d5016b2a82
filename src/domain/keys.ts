/** API keys: what lets a program act for the user it was made by, until it is revoked (`AUTH_MODE=user_http`). */
import { MISLEADING } from './clients.ts'
import { accept, type Decision, type On, type Reason, refuse, type Says, type Sealed } from './shape.ts'
import { type Sight, Table } from './table.ts'
import type { User, UserEvent, Users } from './users.ts'

/** A key stands in events and rows as its SHA-256 digest; what it is for is personal. */
export type KeyEvent =
  | { type: 'KeyIssued'; data: { key: string; user: string; digest: string }; personal: { label: string } }
  | { type: 'KeyUsed'; data: { key: string; user: string } }
  | { type: 'KeyRevoked'; data: { key: string; user: string } }

export type Key = {
  readonly user: string
  readonly digest: string
  readonly sealed: Sealed<{ label: string }>
  readonly createdAt: string
  /** Within `USE_RECORDED_MS`; `null` where it was never used. */
  readonly usedAt: string | null
}
export type Keys = { readonly keys: Table<Key, 'user' | 'digest'> }

export const tables = (sight: Sight): Keys => ({
  keys: new Table<Key, 'user' | 'digest'>(sight, { user: (key) => key.user, digest: (key) => key.digest }),
})

type Ends = Extract<UserEvent, { type: 'UserRevoked' | 'UserErased' }>
export const on: On<Keys, KeyEvent | Ends> = {
  KeyIssued: ({ keys }, { at, sealed, data: { key, user, digest } }) =>
    keys.set(key, { user, digest, sealed, createdAt: at, usedAt: null }),
  KeyUsed({ keys }, { at, data }) {
    const key = keys.get(data.key)
    if (key !== undefined) keys.set(data.key, { ...key, usedAt: at })
  },
  KeyRevoked: ({ keys }, { data }) => keys.delete(data.key),
  UserRevoked: ({ keys }, { data }) => keys.deleteBy('user', data.user),
  UserErased: ({ keys }, { data }) => keys.deleteBy('user', data.user),
}

export const says: Says<KeyEvent> = {
  KeyIssued: ({ data, sealed }, names) =>
    `made an API key for ${names.user(data.user)}${sealed.open === undefined ? '' : `: “${sealed.open.label}”`}`,
  KeyUsed: ({ data }) => `used the API key ${data.key}`,
  KeyRevoked: ({ data }, names) => `revoked the API key ${data.key} of ${names.user(data.user)}`,
}

/** A use is recorded at most so often: often enough to see that a key is not needed any more. */
const USE_RECORDED_MS = 3_600_000
/** How many keys a user may have. */
const MAX_KEYS = 50
const MAX_LABEL_LENGTH = 60

const isLabel = (label: string): boolean =>
  label.trim() === label &&
  label !== '' &&
  label.length <= MAX_LABEL_LENGTH &&
  label.isWellFormed() &&
  !MISLEADING.test(label)

/** `user`: the id of whom the key will speak for. */
type Issue = { key: string; user: string; digest: string; label: string }

/** Refuses `user_unknown`, `user_already_revoked`, `key_label_invalid`, `keys_too_many`. */
export function issueKey(rows: Keys & Users, { key, user: id, digest, label }: Issue): Decision<KeyEvent> {
  const user = rows.users.get(id)
  if (user === undefined) return refuse('user_unknown')
  if (!user.active) return refuse('user_already_revoked')
  if (!isLabel(label)) return refuse('key_label_invalid')
  if (rows.keys.countBy('user', user.id) >= MAX_KEYS) return refuse('keys_too_many')
  return accept([{ type: 'KeyIssued', data: { key, user: user.id, digest }, personal: { label } }], undefined)
}

/** @param user whose it has to be, where it is not an operator who revokes it. Refuses `key_unknown`. */
export function revokeKey({ keys }: Keys, key: string, user?: string): Decision<KeyEvent> {
  const found = keys.get(key)
  if (found === undefined || (user !== undefined && found.user !== user)) return refuse('key_unknown')
  return accept([{ type: 'KeyRevoked', data: { key, user: found.user } }], undefined)
}

export type KeyHolder = { readonly user: User; readonly key: string; readonly usedAt: string | null }

/** Whom a key speaks for. @param digest of the key that came */
export function authenticateKey(rows: Keys & Users, digest: string): KeyHolder | Reason {
  const key = rows.keys.keysBy('digest', digest)[0]
  const found = key === undefined ? undefined : rows.keys.get(key)
  const user = found === undefined ? undefined : rows.users.get(found.user)
  if (key === undefined || found === undefined || !user?.active) return 'token_unknown'
  return { user, key, usedAt: found.usedAt }
}

/** Is this use to be recorded? @param now ms since 1970 */
export const isNewUse = ({ usedAt }: Pick<Key, 'usedAt'>, now: number): boolean =>
  usedAt === null || Math.abs(now - Date.parse(usedAt)) >= USE_RECORDED_MS

/** Records that a key is used, once in a while. */
export function useKey({ keys }: Keys, key: string, now: number): Decision<KeyEvent> {
  const found = keys.get(key)
  if (found === undefined || !isNewUse(found, now)) return accept([], undefined)
  return accept<KeyEvent, undefined>([{ type: 'KeyUsed', data: { key, user: found.user } }], undefined)
}
