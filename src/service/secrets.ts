/** Secrets and what is kept of them: made at random, remembered as digests, compared in constant time. */
import { createHash, createHmac, randomBytes, randomInt, timingSafeEqual } from 'node:crypto'

/** What a secret is for stands in front of it, so that one that leaks can be recognized. */
type Prefix = 'dbc' | 'dba' | 'dbs' | 'dbw' | 'dbk' | 'dbm'

/** 256 bits at random: a code (`dbc`), access token (`dba`), client or service secret (`dbs`), API key (`dbk`), registration access token (`dbm`) or cookie (`dbw`). */
export const newSecret = (prefix: Prefix): string => `${prefix}_${randomBytes(32).toString('base64url')}`

/**
 * A refresh token (`dbr`): the connection that it is for, 192 bits at random, and 144 bits of HMAC-SHA-256 over both.
 * @param key base64
 * @param grant a ULID
 */
export function newRefreshToken(key: string, grant: string): string {
  const text = `dbr_${grant}${randomBytes(24).toString('base64url')}`
  return text + tagOf(key, text)
}

const REFRESH_TOKEN = /^(dbr_([0-7][0-9A-HJKMNP-TV-Z]{25})[\w-]{32})([\w-]{24})$/

/** The connection that a refresh token is for; `undefined` where it was not made under that key. */
export function grantOfRefreshToken(key: string, token: string): string | undefined {
  const [, text, grant, tag] = REFRESH_TOKEN.exec(token) ?? []
  if (text === undefined || tag === undefined) return undefined
  // The text is compared: other base64url may stand for the same bytes.
  return timingSafeEqual(Buffer.from(tag), Buffer.from(tagOf(key, text))) ? grant : undefined
}

const tagOf = (key: string, text: string): string =>
  createHmac('sha256', Buffer.from(key, 'base64')).update(text).digest().subarray(0, 18).toString('base64url')

/** SHA-256 in lower-case hex: how codes, tokens, cookies and client secrets stand in the book. */
export const digest = (secret: string): string => createHash('sha256').update(secret).digest('hex')

/** Is this the secret with that digest? In a time that does not depend on where they differ. */
export const matchesDigest = (secret: string, expected: string): boolean =>
  timingSafeEqual(Buffer.from(digest(secret)), Buffer.from(expected))

/** BASE64URL(SHA256(ASCII(code_verifier))) (RFC 7636 §4.6), or `malformed` where it is no verifier (§4.1). */
export const challengeOf = (verifier: string): string =>
  /^[A-Za-z0-9._~-]{43,128}$/.test(verifier) ? createHash('sha256').update(verifier).digest('base64url') : 'malformed'

/** A form's own token: it fits one visitor and one form, and nobody else can make it. */
export const formToken = (key: string, visitor: string, form: string): string =>
  createHmac('sha256', Buffer.from(key, 'base64')).update(`${visitor}\0${form}`).digest('base64url')

export const isFormToken = (given: string, key: string, visitor: string, form: string): boolean => {
  const expected = Buffer.from(formToken(key, visitor, form))
  const found = Buffer.from(given)
  return found.length === expected.length && timingSafeEqual(found, expected)
}

/** A password for somebody to type: 100 bits, in groups, without letters that look alike. */
export function newPassphrase(): string {
  const letters = 'abcdefghjkmnpqrstuvwxyz23456789'
  const group = () => Array.from({ length: 5 }, () => letters[randomInt(letters.length)]).join('')
  return [group(), group(), group(), group()].join('-')
}
