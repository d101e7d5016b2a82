/** An order-free account of values that are kept with a checksum: a value that is gone, or an older one, is missed. */
import { crc32 } from 'node:zlib'

/** CRC-32 of a key and its text. */
export const checksum = (key: string, text: string): number => crc32(`${key}\0${text}`)

const MODULUS = 2 ** 48

export class Tally {
  #count = 0
  #sum = 0

  /** The tally that `toString` gave; `undefined` when it is none. */
  static parse(text: string): Tally | undefined {
    const found = /^(\d{1,15}) (\d{1,15})$/.exec(text)
    if (found === null) return undefined
    const tally = new Tally()
    ;[tally.#count, tally.#sum] = [Number(found[1]), Number(found[2])]
    return tally
  }

  add(sum: number): void {
    this.#count++
    this.#sum = (this.#sum + sum) % MODULUS
  }

  remove(sum: number): void {
    this.#count--
    this.#sum = (this.#sum - sum + MODULUS) % MODULUS
  }

  clone(): Tally {
    return Tally.parse(this.toString())!
  }

  toString(): string {
    return `${this.#count} ${this.#sum}`
  }
}
