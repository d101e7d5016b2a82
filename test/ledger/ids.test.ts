/** Identifiers: ULIDs of the time they are given, none of them twice, every letter of them as likely as any other. */
import test from 'ava'
import { newId } from '../../src/ledger/ids.ts'

const LETTERS = '0123456789ABCDEFGHJKMNPQRSTVWXYZ'

test('an id is a ULID that begins with its time, and sorts by it', (t) => {
  for (const [now, begins] of [
    [1, '0000000001'],
    [1_469_918_176_385, '01ARYZ6S41'],
    [2 ** 48 - 1, '7ZZZZZZZZZ'],
  ] as const) {
    const id = newId(now)
    t.is(id.slice(0, 10), begins)
    t.regex(id, /^[0-7][0-9A-HJKMNP-TV-Z]{25}$/)
  }
  t.true(newId(1) < newId(2))
})

test('no id comes twice in one millisecond, and all letters come as often at each of the 16 places', (t) => {
  const ids = Array.from({ length: 32_000 }, () => newId(1))
  t.is(new Set(ids).size, ids.length)
  for (let place = 10; place < 26; place++) {
    const counts = new Map([...LETTERS].map((letter) => [letter, 0]))
    for (const id of ids) counts.set(id[place]!, counts.get(id[place]!)! + 1)
    // 1,000 each is expected; one that is off by eight times its deviation (32) is no chance.
    for (const [letter, count] of counts) t.true(Math.abs(count - 1000) < 250, `${letter} at ${place}: ${count}`)
  }
})
