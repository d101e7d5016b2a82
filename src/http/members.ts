/** Members of JSON bodies and parameters of queries, read for the to-do routes. */
import type { Context } from 'koa'
import type { Reason } from '../domain/shape.ts'
import { Refused } from '../ledger/refused.ts'
import type { Change, Draft, Safely } from '../service/todos.ts'
import { printable, queryParameters } from './parse.ts'

export type Body = { readonly [member: string]: unknown }

/** @throws {Refused} `reason` where the value is neither a text nor, where that is allowed, null or absent */
export function optionalText(value: unknown, reason: Reason): string | null | undefined {
  if (value === undefined || value === null || typeof value === 'string') return value
  throw new Refused(reason)
}

/** A text. @throws {Refused} */
export function requiredText(value: unknown, reason: Reason): string {
  if (typeof value !== 'string') throw new Refused(reason)
  return value
}

/** What a body says of notes, due date and priority. */
function detailsOf({ notes, due, priority }: Body): Pick<Change, 'notes' | 'due' | 'priority'> {
  if (priority !== undefined && priority !== null && typeof priority !== 'number') throw new Refused('priority_invalid')
  const texts = { notes: optionalText(notes, 'notes_invalid'), due: optionalText(due, 'due_invalid') }
  return {
    ...(texts.notes === undefined ? {} : { notes: texts.notes }),
    ...(texts.due === undefined ? {} : { due: texts.due }),
    ...(priority === undefined ? {} : { priority }),
  }
}

/** A new to-do. @throws {Refused} that names the first member that is not right */
export const draftOf = (body: Body): Draft => ({
  text: requiredText(body.todo, 'todo_text_invalid'),
  ...detailsOf(body),
})

/** A merge patch of a to-do (RFC 7396). @throws {Refused} that names the first member that is not right */
export function changeOf(body: Body): Change {
  const { todo, done } = body
  if (done !== undefined && typeof done !== 'boolean') throw new Refused('done_invalid')
  return {
    ...(todo === undefined ? {} : { text: requiredText(todo, 'todo_text_invalid') }),
    ...detailsOf(body),
    ...(done === undefined ? {} : { done }),
  }
}

/** The ids that a body names. @throws {Refused} `batch_invalid` */
export function idsOf(value: unknown): string[] {
  if (!Array.isArray(value) || !value.every((id) => typeof id === 'string')) throw new Refused('batch_invalid')
  return value
}

/** Each parameter of the query at most once, and none but these. @throws {Refused} that names the parameter */
export function queryOf(ctx: Context, names: readonly string[]): Map<string, string> {
  const found = new Map<string, string>()
  for (const [name, values] of queryParameters(ctx.querystring)) {
    if (!names.includes(name))
      throw new Refused('request_malformed', `There is no parameter "${printable(name)}" here.`)
    if (values.length > 1) throw new Refused('parameter_repeated', `${printable(name)} is given more than once.`)
    found.set(name, values[0]!)
  }
  return found
}

/** How a write is to be made safe: `Idempotency-Key` (draft-ietf-httpapi-idempotency-key-header). */
export function keyOf(ctx: Context): Safely {
  const key = ctx.get('idempotency-key')
  // The draft has the key as a string in quotes; most clients leave them out.
  return ctx.req.headers['idempotency-key'] === undefined ? {} : { key: /^"([^"]*)"$/.exec(key)?.[1] ?? key }
}
