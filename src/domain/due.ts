/** Due dates: a date stays a date, and a time keeps its offset. Nothing here converts between time zones. */

/** RFC 3339 `full-date`. */
const DATE = /^(\d{4})-(\d{2})-(\d{2})$/
/** RFC 3339 `date-time` after the date; seconds may be left out. Offsets in use lie between -12:00 and +14:00. */
const TIME = /^T(?:[01]\d|2[0-3]):[0-5]\d(?::[0-5]\d(?:\.\d{1,9})?)?(?:Z|[+-](?:0\d|1[0-4]):[0-5]\d)$/

/** Whether a text is a date that exists (`2026-12-01`), or one with a time and offset (`2026-12-01T17:00:00+01:00`). */
export const isDue = (text: string): boolean =>
  text.length <= 40 && isDate(text.slice(0, 10)) && (text.length === 10 || TIME.test(text.slice(10)))

export function isDate(text: string): boolean {
  const found = DATE.exec(text)
  if (found === null) return false
  const [year, month, day] = found.slice(1).map(Number) as [number, number, number]
  const date = new Date(Date.UTC(2000, month - 1, day))
  date.setUTCFullYear(year, month - 1, day)
  return year >= 1 && date.getUTCMonth() === month - 1 && date.getUTCDate() === day
}

const isTimed = (due: string): boolean => due.length > 10
const dayOf = (due: string): string => due.slice(0, 10)

/**
 * Whether a due date lies before a bound. Two times are compared as moments. Where one of them is only a date, the days
 * are compared as they are written.
 */
export const isBefore = (due: string, bound: string): boolean =>
  isTimed(due) && isTimed(bound) ? Date.parse(due) < Date.parse(bound) : dayOf(due) < dayOf(bound)

/** A text by which due dates sort: by day as written, then by moment; a date without a time ends its day. */
export const sortKeyOf = (due: string): string =>
  dayOf(due) + (isTimed(due) ? String(Date.parse(due) + YEAR_ONE_MS).padStart(15, '0') : '~')
/** Makes every moment from the year 1 on positive. ms */
const YEAR_ONE_MS = 1e14
