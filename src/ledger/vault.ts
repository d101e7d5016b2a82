/** The vault: what must be kept but not told, beside the log; and the sealing of personal text under its keys. */
import { createCipheriv, createDecipheriv, createSecretKey, type KeyObject, randomBytes } from 'node:crypto'
import type { Sealed } from '../domain/shape.ts'
import { userKeyName } from '../domain/users.ts'
import type { CheckedChange } from './log.ts'

/** Whose key seals what belongs to no user. */
export const NOBODY = 'anonymous'

const KEY_PREFIX = userKeyName('')
const NONCE_BYTES = 12
const TAG_BYTES = 16

/** A fresh sealing key, base64. */
export const newKey = (): string => randomBytes(32).toString('base64')

/** Where sealed text stands: the event by its id, and which of its two members. */
export type Place = { readonly id: string; readonly member: 'sealed' | 'trace'; readonly owner: string }

/** Sealed text as a row carries it: the event's own blob and what is needed to open it. */
export type SealedBlob = Place & { readonly blob: string }

export class Vault {
  readonly #values = new Map<string, string>()
  /** Sealing keys by owner, ready for use. */
  readonly #keys = new Map<string, KeyObject>()

  /** Sets or deletes a value in memory, as when it comes from disk. */
  put(name: string, value: string | undefined): void {
    this.#values.delete(name)
    if (name.startsWith(KEY_PREFIX)) this.#keys.delete(name.slice(KEY_PREFIX.length))
    if (value === undefined) return
    this.#values.set(name, value)
    if (name.startsWith(KEY_PREFIX))
      this.#keys.set(name.slice(KEY_PREFIX.length), createSecretKey(Buffer.from(value, 'base64')))
  }

  get(name: string): string | undefined {
    return this.#values.get(name)
  }

  /** Sets or deletes a value and gives the change that has to be written with it. */
  keep(name: string, value: string | undefined): CheckedChange {
    const before = this.get(name)
    this.put(name, value)
    return { under: 'vault/', name, text: value, before }
  }

  /** AES-256-GCM under the owner's key, with the event's id and member as associated data: base64url(nonce, text, tag). */
  seal(text: object, at: Place): string {
    const key = this.#keys.get(at.owner)
    if (key === undefined) throw new Error(`there is no key to seal what belongs to ${at.owner}`)
    const nonce = randomBytes(NONCE_BYTES)
    const cipher = createCipheriv('aes-256-gcm', key, nonce)
    cipher.setAAD(associated(at))
    const parts = [nonce, cipher.update(JSON.stringify(text), 'utf8'), cipher.final(), cipher.getAuthTag()]
    return Buffer.concat(parts).toString('base64url')
  }

  /** The text, or `undefined` when its key is gone. @throws {Error} when the blob was changed or moved */
  unseal(sealed: SealedBlob): object | undefined {
    const key = this.#keys.get(sealed.owner)
    if (key === undefined) return undefined
    const bytes = Buffer.from(sealed.blob, 'base64url')
    const decipher = createDecipheriv('aes-256-gcm', key, bytes.subarray(0, NONCE_BYTES), { authTagLength: TAG_BYTES })
    decipher.setAAD(associated(sealed))
    decipher.setAuthTag(bytes.subarray(-TAG_BYTES))
    const text = Buffer.concat([decipher.update(bytes.subarray(NONCE_BYTES, -TAG_BYTES)), decipher.final()])
    return JSON.parse(text.toString('utf8'))
  }

  hasKeyOf(owner: string): boolean {
    return this.#keys.has(owner)
  }
}

const associated = ({ id, member }: Place): Buffer => Buffer.from(`${id}:${member}`)

/** Sealed once, opened when first read; closed again for good when its key is erased. */
export class SealedText<T extends object> implements Sealed<T> {
  readonly #vault: Vault
  readonly sealed: SealedBlob
  #opened: T | undefined

  constructor(vault: Vault, sealed: SealedBlob) {
    this.#vault = vault
    this.sealed = sealed
  }

  get open(): T | undefined {
    if (!this.#vault.hasKeyOf(this.sealed.owner)) return undefined
    this.#opened ??= this.#vault.unseal(this.sealed) as T | undefined
    return this.#opened
  }

  get size(): number {
    return this.sealed.blob.length
  }

  toJSON(): SealedBlob {
    return this.sealed
  }
}
