/** The book itself: when it was opened, by which version, and what it has let go of since. */
import type { On, Says } from './shape.ts'

export type BookEvent =
  | { type: 'BookOpened'; data: { version: string } }
  /** What had expired before `until` (ms since 1970, a whole minute) is in no row any more. */
  | { type: 'ExpiredDropped'; data: { until: number } }

/** For the rooms that hold what expires. */
export type ExpiredDropped = Extract<BookEvent, { type: 'ExpiredDropped' }>

export const tables = () => ({})
export const on: On<object, BookEvent> = { BookOpened: () => {}, ExpiredDropped: () => {} }
export const says: Says<BookEvent> = {
  BookOpened: ({ data }) => `opened the book with Daybook ${data.version}`,
  ExpiredDropped: ({ data }) =>
    `let go of the sessions, requests, codes and tokens that had expired before ${new Date(data.until).toISOString()}`,
}
