/** The book itself: when it was opened, and by which version. */
import type { On, Says } from './shape.ts'

export type BookEvent = { type: 'BookOpened'; data: { version: string } }

export const tables = () => ({})
export const on: On<object, BookEvent> = { BookOpened: () => {} }
export const says: Says<BookEvent> = { BookOpened: ({ data }) => `opened the book with Daybook ${data.version}` }
