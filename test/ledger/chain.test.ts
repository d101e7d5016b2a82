/** The hash chain: its JSON is the RFC's, and no edit, drop, insertion or swap of a line goes unnoticed. */
import assert from 'node:assert/strict'
import { createHash } from 'node:crypto'
import test from 'ava'
import canonicalize from 'canonicalize'
import fc from 'fast-check'
import { canonical, chainLine, checkLine, GENESIS, type Head } from '../../src/ledger/chain.ts'

const text = fc.string({ unit: 'binary' })
/** What an event may hold: text, safe integers, true, false, null, and arrays and objects of them. */
const plain = fc.letrec((tie) => ({
  value: fc.oneof(
    { depthSize: 'small', withCrossShrink: true },
    text,
    fc.maxSafeInteger().map((n) => n + 0),
    fc.boolean(),
    fc.constant(null),
    fc.array(tie('value'), { maxLength: 5 }),
    fc.dictionary(text, tie('value'), { maxKeys: 6, noNullPrototype: true }),
  ),
}))

test('canonical JSON is what another implementation of RFC 8785 makes of it', (t) => {
  const same = fc.property(plain.value, (value) => {
    assert.equal(canonical(value), canonicalize(value))
    assert.deepEqual(JSON.parse(canonical(value)), JSON.parse(JSON.stringify(value)))
  })
  fc.assert(same, { numRuns: 2000 })
  t.pass()
})

const vectors: [string, unknown, string][] = [
  [
    'names by UTF-16 code units',
    { '\u20ac': 1, '\r': 2, '\ufb33': 3, '1': 4, '\u{1f600}': 5, '\u0080': 6, ö: 7 },
    '{"\\r":2,"1":4,"\u0080":6,"ö":7,"€":1,"\u{1f600}":5,"\ufb33":3}',
  ],
  ['numbers that are names, as text', { 10: 1, 9: 2, 1: 3 }, '{"1":3,"10":1,"9":2}'],
  ['escapes', '\u0000\b\t\n\f\r"\\/\u007f\u2028', '"\\u0000\\b\\t\\n\\f\\r\\"\\\\/\u007f\u2028"'],
  ['a member called __proto__', JSON.parse('{"b":1,"__proto__":{"x":2}}'), '{"__proto__":{"x":2},"b":1}'],
  ['absent members are left out', { a: undefined, b: { c: undefined } }, '{"b":{}}'],
  [
    'the largest integers',
    [Number.MAX_SAFE_INTEGER, Number.MIN_SAFE_INTEGER, 0],
    '[9007199254740991,-9007199254740991,0]',
  ],
  ['nothing inside', [{}, [], '', null, false], '[{},[],"",null,false]'],
]
for (const [name, value, expected] of vectors) test(`canonical JSON: ${name}`, (t) => t.is(canonical(value), expected))

test('what has no canonical form, or would not come back as it was, is refused', (t) => {
  const numbers = [0.5, -0, Number.NaN, Number.POSITIVE_INFINITY, 2 ** 53, -(2 ** 53), 1e21]
  const strings = ['\ud800', 'x\udc00y', { '\ud800': 1 }]
  const others = [undefined, 1n, Symbol('x'), () => 1, [undefined], { a: () => 1 }]
  for (const value of [...numbers, ...strings, ...others]) {
    t.throws(() => canonical(value), { instanceOf: TypeError }, String(value))
    t.throws(() => canonical({ deep: [value ?? Number.NaN] }), { instanceOf: TypeError })
  }
})

/** A book of `count` lines as the ledger makes them, each with its head. */
function bookOf(count: number): { lines: string[]; heads: Head[] } {
  const lines: string[] = []
  const heads: Head[] = [{ seq: 0, hash: GENESIS }]
  for (let seq = 1; seq <= count; seq++) {
    const event = {
      type: 'TodoAdded',
      seq,
      prev: heads.at(-1)!.hash,
      at: '2026-11-20T12:00:00.000Z',
      data: { n: seq % 3 },
    }
    const { line, hash } = chainLine(event)
    lines.push(line)
    heads.push({ seq, hash })
  }
  return { lines, heads }
}

/** The first line that does not hold, counted from 1; 0 when all of them do. */
function firstBad(lines: readonly string[]): number {
  let head: Head = { seq: 0, hash: GENESIS }
  for (const [i, line] of lines.entries()) {
    const checked = checkLine(line, head)
    if (typeof checked === 'string') return i + 1
    head = checked
  }
  return 0
}

test('a line is the event as an export carries it: whoever has a canonicaliser and SHA-256 can check it', (t) => {
  const sound = fc.property(plain.value, fc.nat(), (data, seq) => {
    const event = { seq, data, prev: GENESIS }
    const { line, hash } = chainLine(event)
    const { hash: stated, ...rest } = JSON.parse(line)
    assert.equal(stated, hash)
    assert.deepEqual(rest, JSON.parse(JSON.stringify(event)))
    assert.equal(createHash('sha256').update(canonicalize(rest)!).digest('hex'), hash)
    assert.ok(!line.includes('\n'), 'one line')
  })
  fc.assert(sound, { numRuns: 500 })
  t.pass()
})

test('94. an untouched book holds to its head', (t) => {
  const { lines, heads } = bookOf(20)
  t.is(firstBad(lines), 0)
  for (const [i, line] of lines.entries()) t.deepEqual(checkLine(line, heads[i]!), heads[i + 1])
  t.is(JSON.parse(lines[0]!).prev, '0'.repeat(64))
})

const { lines: book } = bookOf(20)
const at = fc.nat({ max: book.length - 1 })
const character = fc.string({ unit: 'grapheme', minLength: 1, maxLength: 1 })
/** What can be done to a book, and the first line that must not hold afterwards. */
const tampering = fc.oneof(
  fc.record({ at, place: fc.nat(), by: character }).map(({ at, place, by }) => {
    const line = book[at]!
    const i = place % line.length
    const edited = `${line.slice(0, i)}${by}${line.slice(i + 1)}`
    return { how: `edit at ${i} to ${by}`, lines: book.with(at, edited), bad: edited === line ? 0 : at + 1 }
  }),
  fc.record({ at, place: fc.nat(), by: character }).map(({ at, place, by }) => {
    const i = place % (book[at]!.length + 1)
    return {
      how: `insert at ${i}`,
      lines: book.with(at, `${book[at]!.slice(0, i)}${by}${book[at]!.slice(i)}`),
      bad: at + 1,
    }
  }),
  fc.record({ at, keep: fc.nat() }).map(({ at, keep }) => {
    return { how: 'tear', lines: book.with(at, book[at]!.slice(0, keep % book[at]!.length)), bad: at + 1 }
  }),
  // The last line dropped leaves a shorter book that holds: the witness is for that.
  fc.nat({ max: book.length - 2 }).map((at) => ({ how: 'drop', lines: book.toSpliced(at, 1), bad: at + 1 })),
  fc.record({ at, from: at }).map(({ at, from }) => ({
    how: `insert a copy of ${from + 1}`,
    lines: book.toSpliced(at, 0, book[from]!),
    bad: from === at ? at + 2 : at + 1,
  })),
  fc.record({ at, other: at }).map(({ at, other }) => ({
    how: `swap ${at + 1} and ${other + 1}`,
    lines: book.with(at, book[other]!).with(other, book[at]!),
    bad: at === other ? 0 : Math.min(at, other) + 1,
  })),
  // Somebody edits a line and makes its hash right again: the next one no longer follows it.
  fc.nat({ max: book.length - 2 }).map((at) => {
    const { hash: _, ...event } = JSON.parse(book[at]!)
    return { how: 'edit and rehash', lines: book.with(at, chainLine({ ...event, data: { n: 9 } }).line), bad: at + 2 }
  }),
)

test('94. each edit, insertion, drop, tear and swap is noticed, and the first bad line named', (t) => {
  const noticed = fc.property(tampering, ({ how, lines, bad }) => assert.equal(firstBad(lines), bad, how))
  fc.assert(noticed, { numRuns: 2000 })
  t.pass()
})

test('94. a line is told what is wrong with it', (t) => {
  const { lines, heads } = bookOf(3)
  const rows: [string, Head, RegExp][] = [
    ['', heads[0]!, /begin with its hash/],
    ['{}', heads[0]!, /begin with its hash/],
    [lines[0]!.replace('hash', 'hasH'), heads[0]!, /begin with its hash/],
    [` ${lines[0]}`, heads[0]!, /begin with its hash/],
    [`${lines[0]} `, heads[0]!, /was changed/],
    [lines[0]!.replace('TodoAdded', 'TodoAddeD'), heads[0]!, /was changed/],
    [lines[0]!.toUpperCase(), heads[0]!, /begin with its hash/],
    [lines[2]!, heads[1]!, /number 3/],
    [lines[0]!, heads[1]!, /number 1/],
    [chainLine({ seq: '1', prev: GENESIS }).line, heads[0]!, /number 1/],
    [chainLine({ prev: GENESIS }).line, heads[0]!, /number undefined/],
    [chainLine({ seq: 1, prev: heads[1]!.hash }).line, heads[0]!, /does not follow/],
    [chainLine({ seq: 1 }).line, heads[0]!, /does not follow/],
    [lines[1]!, { seq: 1, hash: GENESIS }, /does not follow/],
  ]
  for (const [line, head, fault] of rows) t.regex(String(checkLine(line, head)), fault, line)
})

test('94. no line at all makes the check itself fail, not even one with a right hash over what is no JSON', (t) => {
  const forged = (rest: string): string => {
    const hash = createHash('sha256').update(`{${rest}`).digest('hex')
    return `{"hash":"${hash}",${rest}`
  }
  const head = { seq: 0, hash: GENESIS }
  const calm = fc.property(
    fc.oneof(text, text.map(forged), fc.constantFrom('', '}', '"seq":1', '"seq":1}}').map(forged)),
    (line) => {
      assert.equal(typeof checkLine(line, head), 'string')
    },
  )
  fc.assert(calm, { numRuns: 500 })
  t.pass()
})
