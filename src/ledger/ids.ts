/** Identifiers: ULIDs, which sort by the time they were made at, as far as the clock goes. */
import { randomFillSync } from 'node:crypto'
import { ulid } from 'ulid'

/** Random bytes are fetched by the pool: fetching them one by one costs more than all the rest of a request. */
const pool = new Uint8Array(4096)
let used = pool.length

/** From 0 up to 1 in steps of 1/256. A ULID takes 32 letters from it, which divides evenly. */
function random(): number {
  if (used === pool.length) {
    randomFillSync(pool)
    used = 0
  }
  return pool[used++]! / 256
}

/** A new ULID. @param now ms since 1970 */
export const newId = (now: number): string => ulid(now, random)
