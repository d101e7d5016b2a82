/** Passwords: argon2id by Node itself, at most two at once, since its thread pool is LevelDB's too. */
import { argon2, randomBytes, timingSafeEqual } from 'node:crypto'
import { promisify } from 'node:util'

/** A password has 8–1,024 characters (code points) and is taken as it is (OWASP ASVS 6.2). */
export const isPassword = (text: string): boolean => !isTooLong(text) && lengthOf(text) >= 8
export const isTooLong = (text: string): boolean => text.length > 2048 || lengthOf(text) > 1024
const lengthOf = (text: string): number => [...text].length

/** So many are looked at of those that are long enough (OWASP ASVS 6.2.4: "at least the top 3000"). */
const COMMON = 3000
let common: ReadonlySet<string> | undefined

/**
 * Is it among those that are tried first: the most common ones, or one of the account's own names, or
 * Daybook's? In any case.
 */
export async function isCommonPassword(text: string, names: readonly string[]): Promise<boolean> {
  if (common === undefined) {
    const { dictionary } = await import('@zxcvbn-ts/language-common')
    common = new Set(dictionary['passwords-common'].filter(isPassword).slice(0, COMMON))
  }
  const plain = text.trim().toLowerCase()
  return /^daybook\d*$/.test(plain) || common.has(plain) || names.some((name) => name.toLowerCase() === plain)
}

/** OWASP's first choice for argon2id: 19 MiB, two passes, one lane. */
const COST = { memory: 19_456, passes: 2, parallelism: 1, tagLength: 32 }
const run = promisify(argon2)

const AT_ONCE = 2
let running = 0
const waiting: (() => void)[] = []

/** A turn that frees itself is handed to the next who waits. */
async function inTurn<T>(work: () => Promise<T>): Promise<T> {
  if (running >= AT_ONCE) await new Promise<void>((resolve) => waiting.push(resolve))
  else running++
  try {
    return await work()
  } finally {
    const next = waiting.shift()
    if (next === undefined) running--
    else next()
  }
}

const derive = (message: string, nonce: Buffer, cost: typeof COST): Promise<Buffer> =>
  inTurn(() => run('argon2id', { message, nonce, ...cost }))

/** The hash to keep, as a PHC string. */
export async function hashPassword(password: string): Promise<string> {
  const nonce = randomBytes(16)
  const tag = await derive(password, nonce, COST)
  const { memory, passes, parallelism } = COST
  return `$argon2id$v=19$m=${memory},t=${passes},p=${parallelism}$${base64(nonce)}$${base64(tag)}`
}

const base64 = (bytes: Buffer): string => bytes.toString('base64').replace(/=+$/, '')

const PHC = /^\$argon2id\$v=19\$m=(\d+),t=(\d+),p=(\d+)\$([A-Za-z0-9+/]+)\$([A-Za-z0-9+/]+)$/

/** Where nobody has that name, something is verified all the same, so that the time taken does not tell. */
const NOBODYS = `$argon2id$v=19$m=${COST.memory},t=${COST.passes},p=${COST.parallelism}$${'A'.repeat(22)}$${'A'.repeat(43)}`

/** Is this the password of that hash? `undefined` stands for a user who is not there: never right, as slow. */
export async function verifyPassword(password: string, hash: string | undefined): Promise<boolean> {
  const [, memory, passes, parallelism, nonce, tag] = PHC.exec(hash ?? NOBODYS)!.map(String)
  const expected = Buffer.from(tag!, 'base64')
  const cost = { memory: Number(memory), passes: Number(passes), parallelism: Number(parallelism) }
  const found = await derive(password, Buffer.from(nonce!, 'base64'), { ...cost, tagLength: expected.length })
  return timingSafeEqual(found, expected) && hash !== undefined
}
