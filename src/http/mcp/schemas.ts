/** Arguments and results that several tools share. Descriptions are for models, and stand in every one's context. */
import { z } from 'zod'
import { isDue } from '../../domain/due.ts'
import type { Reason } from '../../domain/shape.ts'
import { sentence } from '../../service/refusals.ts'
import { type Change, changeWrong, MAX_BATCH } from '../../service/todos.ts'

/** The longest name of an argument that is repeated to who sent it, and how many are. characters */
const [MAX_NAME_LENGTH, MAX_NAMES] = [40, 5]

/**
 * An object that has no members but these. Others are named, with what to use instead.
 * @param instead what to tell of members that people look for here
 */
export const args = <S extends z.ZodRawShape>(shape: S, instead: { readonly [member: string]: string } = {}) =>
  z.strictObject(shape, {
    error: (issue) => {
      if (issue.code !== 'unrecognized_keys') return undefined
      const known = Object.keys(shape).join(', ')
      const names = issue.keys.slice(0, MAX_NAMES).map((name) => JSON.stringify(name.slice(0, MAX_NAME_LENGTH)))
      const hints = issue.keys.flatMap((name) => (Object.hasOwn(instead, name) ? instead[name]! : []))
      const has = known === '' ? 'It takes none.' : `It takes: ${known}.`
      return [`there is no argument ${names.join(', ')} here. ${has}`, ...hints].join(' ')
    },
  })

/** A text that is right by a rule of the service. */
const ruled = (wrong: (text: string) => Reason | undefined) =>
  z.string().superRefine((text, { addIssue }) => {
    const reason = wrong(text)
    if (reason !== undefined) addIssue({ code: 'custom', message: sentence(reason) })
  })
const partOf = (name: 'text' | 'notes' | 'due') =>
  ruled((text) => changeWrong({ [name]: text } satisfies Partial<Record<keyof Change, string>>))

export const id = z.string().min(1).max(64)
export const ids = z.array(id).min(1).max(MAX_BATCH).describe('1 to 25 ids from find_todos')
export const text = partOf('text')
export const notes = partOf('notes').nullable().describe('details; null for none')
export const due = partOf('due')
  .nullable()
  .describe('2026-12-01, or 2026-12-01T17:00:00+01:00 only if the user named a time; null for none')
export const priority = z
  .literal([1, 2, 3, 4], { error: sentence('priority_invalid') })
  .nullable()
  .describe('1 is highest; null for none')
export const bound = z.string().refine(isDue, {
  error: 'must be a date (2026-12-01) or a date and time with offset; leave it out if there is none.',
})
/**
 * How long the to-dos of a page may be as JSON. An answer holds that text twice, once as a JSON string, so it may be
 * three times as long; ChatGPT takes at most 100,000 characters.
 */
export const MAX_PAGE_LENGTH = 30_000

export const limit = z.int().min(1).max(100)
export const cursor = z.string().describe('next_cursor of the page before')

export const item = z.strictObject({
  id: z.string(),
  todo: z.string(),
  done: z.boolean(),
  due: z.string().nullable(),
  priority: z.literal([1, 2, 3, 4]).nullable(),
  notes: z.string().nullable(),
  created_at: z.string(),
  updated_at: z.string(),
  done_at: z.string().nullable(),
})
export const oneItem = z.strictObject({ item })
/** `why` says what to do. */
export const failures = z.array(z.strictObject({ id: z.string(), why: z.string() }))
export const batchResult = z.strictObject({ items: z.array(item), failures })
