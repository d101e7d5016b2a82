/** The book itself: when it was opened, what it has let go of since, and who has looked into it. */
import type { On, Says } from './shape.ts'

export type BookEvent =
  | { type: 'BookOpened'; data: { version: string } }
  /** What had expired before `until` (ms since 1970, a whole minute) is in no row any more. */
  | { type: 'ExpiredDropped'; data: { until: number } }
  /** Somebody looked. `filter` has ids for names, and neither words nor addresses: those are personal. */
  | { type: 'BookInspected'; data: { how: Look; filter: string } }
  /** Somebody took events `from` to `to` along; `opened` with their personal text. */
  | { type: 'BookExported'; data: { from: number; to: number; filter: string; opened: boolean } }
  /** Somebody took everything up to event `to` along, keys included. */
  | { type: 'BookBackedUp'; data: { to: number } }

/** Ways to look into the book. */
export type Look = 'list' | 'tail' | 'show' | 'trace' | 'state' | 'stats'

/** For the rooms that hold what expires. */
export type ExpiredDropped = Extract<BookEvent, { type: 'ExpiredDropped' }>

export const tables = () => ({})
export const on: On<object, BookEvent> = {
  BookOpened: () => {},
  ExpiredDropped: () => {},
  BookInspected: () => {},
  BookExported: () => {},
  BookBackedUp: () => {},
}

const looks: { readonly [L in Look]: string } = {
  list: 'looked at events',
  tail: 'followed the book',
  show: 'looked at an event',
  trace: 'looked at what a request did',
  state: 'looked at a list as it stood',
  stats: 'looked at the statistics',
}
const narrowed = (filter: string): string => (filter === '' ? '' : ` (${filter})`)

export const says: Says<BookEvent> = {
  BookOpened: ({ data }) => `opened the book with Daybook ${data.version}`,
  ExpiredDropped: ({ data }) =>
    `let go of the sessions, requests, codes and tokens that had expired before ${new Date(data.until).toISOString()}`,
  BookInspected: ({ data }) => `${looks[data.how]}${narrowed(data.filter)}`,
  BookExported: ({ data }) =>
    `exported events ${data.from} to ${data.to}${narrowed(data.filter)}${data.opened ? ' with their personal text' : ''}`,
  BookBackedUp: ({ data }) => `backed the book up to event ${data.to}`,
}
