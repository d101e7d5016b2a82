/** Secrets and what is kept of them: made at random, remembered as digests, compared in constant time. */
import { createHash, createHmac, randomBytes, randomInt, timingSafeEqual } from 'node:crypto'

/** What a secret is for stands in front of it, so that one that leaks can be recognized. */
type Prefix = 'dbc' | 'dba' | 'dbr' | 'dbs' | 'dbw' | 'dbk'

/** 256 bits at random: a code (`dbc`), access token (`dba`), refresh token (`dbr`), client or service secret (`dbs`), API key (`dbk`) or cookie (`dbw`). */
export const newSecret = (prefix: Prefix): string => `${prefix}_${randomBytes(32).toString('base64url')}`

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
