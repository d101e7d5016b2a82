/** Due dates: which texts are one, which lies before which, and in which order they stand. */
import test from 'ava'
import fc from 'fast-check'
import { isBefore, isDate, isDue, sortKeyOf } from '../../src/domain/due.ts'

const two = (n: number): string => String(n).padStart(2, '0')
const between = (min: number, max: number) => fc.integer({ min, max }).map(two)
/** Dates that exist, most of them near each other. */
const dates = fc
  .oneof(
    { weight: 3, arbitrary: fc.integer({ min: 0, max: 5 }).map((days) => Date.UTC(2026, 11, 1 + days)) },
    fc.integer({ min: Date.parse('0001-01-01'), max: Date.parse('9999-12-31') }),
  )
  .map((ms) => new Date(ms).toISOString().slice(0, 10))
const offsets = fc.oneof(
  fc.constant('Z'),
  fc.tuple(fc.constantFrom('+', '-'), between(0, 14), between(0, 59)).map(([sign, h, m]) => `${sign}${h}:${m}`),
)
const seconds = fc.oneof(
  fc.constant(''),
  fc.tuple(between(0, 59), fc.constantFrom('', '.5', '.123456789')).map(([s, part]) => `:${s}${part}`),
)
const times = fc
  .tuple(dates, between(0, 23), between(0, 59), seconds, offsets)
  .map(([date, h, m, s, offset]) => `${date}T${h}:${m}${s}${offset}`)
const dues = fc.oneof(dates, times)

const GOOD = [
  ...['2026-12-01', '0001-01-01', '9999-12-31', '2024-02-29', '2000-02-29', '2026-02-28'],
  ...['2026-12-01T17:00Z', '2026-12-01T17:00:00+01:00', '2026-12-01T00:00:00-00:00', '2026-12-01T23:59:59.999Z'],
  ...['2026-12-01T17:00:00.123456789-12:00', '2026-12-01T17:00+14:00', '2026-12-01T17:00:00+05:45'],
]
for (const text of GOOD) test(`${text} is a due date`, (t) => t.true(isDue(text)))

const BAD = [
  ...['2026-02-30', '2025-02-29', '1900-02-29', '2100-02-29', '2026-04-31', '2026-00-10', '2026-13-01', '2026-12-00'],
  ...['2026-12-32', '0000-01-01', '0000-02-29', '10000-01-01', '+002026-12-01', '-2026-12-01', '26-12-01', '2026-1-1'],
  ...[
    '20261201',
    '2026-W49-2',
    '2026-335',
    '2026-12',
    '2026',
    '2026/12/01',
    '2026-12-01 ',
    ' 2026-12-01',
    '2026-12-01\n',
  ],
  ...['2026-12-01T25:00Z', '2026-12-01T24:00Z', '2026-12-01T17:60Z', '2026-12-01T17:00:60Z', '2026-12-01T17Z'],
  ...['2026-12-01T17:00', '2026-12-01T17:00:00', '2026-12-01T', '2026-12-01 17:00Z', '2026-12-01t17:00Z'],
  ...['2026-12-01T17:00+99:00', '2026-12-01T17:00+15:00', '2026-12-01T17:00+01:60', '2026-12-01T17:00+0100'],
  ...['2026-12-01T17:00+01', '2026-12-01T17:00z', '2026-12-01T17:00:00.Z', '2026-12-01T17:00:00,5Z'],
  ...['2026-12-01T17:00:00.1234567890Z', '2026-02-30T17:00Z', '2026-12-01T17:00Z\n', '2026-12-01T-1:00Z'],
  ...['', 'tomorrow', 'null', '١٢٣٤-١٢-٠١', '2026-12-01T17:00Z[Europe/Berlin]', '2026-12-01'.repeat(50)],
]
for (const text of BAD) test(`${JSON.stringify(text.slice(0, 40))} is none`, (t) => t.false(isDue(text)))

test('a date is one that exists in the calendar, from the year 1 to 9999', (t) => {
  fc.assert(
    fc.property(fc.nat({ max: 9999 }), fc.nat({ max: 99 }), fc.nat({ max: 99 }), (year, month, day) => {
      const text = `${String(year).padStart(4, '0')}-${two(month)}-${two(day)}`
      const ms = Date.parse(`${text}T00:00:00Z`)
      const exists = year >= 1 && !Number.isNaN(ms) && new Date(ms).toISOString().slice(0, 10) === text
      return isDate(text) === exists && isDue(text) === exists
    }),
    { numRuns: 2000 },
  )
  for (let ms = Date.UTC(2023, 11, 1); ms < Date.UTC(2028, 2, 2); ms += 86_400_000)
    t.true(isDate(new Date(ms).toISOString().slice(0, 10)))
  t.false(isDate('2026-12-01T17:00Z'), 'a time is no date')
})

test('every due date with a time is a moment', (t) => {
  fc.assert(
    fc.property(times, (text) => isDue(text) && !Number.isNaN(Date.parse(text))),
    { numRuns: 1000 },
  )
  t.pass()
})

const BEFORE: [due: string, bound: string, is: boolean][] = [
  ['2026-12-01', '2026-12-02', true],
  ['2026-12-01', '2026-12-01', false],
  ['2026-12-02', '2026-12-01', false],
  // Two times are moments, whatever the day that each one names.
  ['2026-12-01T23:00-05:00', '2026-12-02T03:00Z', false],
  ['2026-12-02T00:30+01:00', '2026-12-01T23:45Z', true],
  ['2026-12-01T17:00:00+01:00', '2026-12-01T16:00Z', false],
  ['2026-12-01T17:00:00+01:00', '2026-12-01T16:00:00.001Z', true],
  // With a date, the day counts as it is written: in UTC the first of these is on 2 December.
  ['2026-12-01T23:00-05:00', '2026-12-02', true],
  ['2026-12-02T00:30+01:00', '2026-12-02', false],
  ['2026-12-01', '2026-12-01T23:59Z', false],
  ['2026-12-01', '2026-12-02T00:00+14:00', true],
]
for (const [due, bound, is] of BEFORE)
  test(`${due} is ${is ? '' : 'not '}before ${bound}`, (t) => t.is(isBefore(due, bound), is))

test('nothing is before itself, and of two at most one is before the other', (t) => {
  fc.assert(
    fc.property(dues, dues, (a, b) => !isBefore(a, a) && !(isBefore(a, b) && isBefore(b, a))),
    { numRuns: 2000 },
  )
  t.pass()
})

test('without a time on both sides, the days as they are written decide; nothing converts between time zones', (t) => {
  fc.assert(
    fc.property(dues, dates, offsets, (due, day, offset) => {
      const moved = due.length > 10 ? due.replace(/(Z|[+-]\d\d:\d\d)$/, offset) : due
      return isBefore(due, day) === due.slice(0, 10) < day && isBefore(moved, day) === isBefore(due, day)
    }),
    { numRuns: 1000 },
  )
  t.pass()
})

test('sort keys put due dates in one order: by day as written, then by moment, a whole day last', (t) => {
  const order = (a: string, b: string): number => {
    const [x, y] = [sortKeyOf(a), sortKeyOf(b)]
    return x < y ? -1 : x === y ? 0 : 1
  }
  fc.assert(
    fc.property(dues, dues, dues, (a, b, c) => {
      const [day, other] = [a.slice(0, 10), b.slice(0, 10)]
      if (order(a, b) !== -order(b, a) || order(a, a) !== 0) return false
      if (order(a, b) <= 0 && order(b, c) <= 0 && order(a, c) > 0) return false
      if (day !== other) return order(a, b) < 0 === day < other
      if (a.length > 10 && b.length > 10) return order(a, b) < 0 === isBefore(a, b)
      return order(a, b) === Number(a.length === 10) - Number(b.length === 10)
    }),
    { numRuns: 5000 },
  )
  const sorted = [
    ...[
      '0001-01-01T00:00+14:00',
      '0001-01-01',
      '1970-01-01T00:30+01:00',
      '1970-01-01T00:00Z',
      '2026-11-30T23:59Z',
      '2026-12-01T09:00+02:00',
      '2026-12-01T08:00Z',
    ],
    ...['2026-12-01T23:00-05:00', '2026-12-01', '2026-12-02T00:00+14:00', '9999-12-31T23:59-12:00', '9999-12-31'],
  ]
  t.deepEqual([...sorted].sort(order), sorted)
  t.deepEqual([...sorted].reverse().sort(order), sorted)
})
