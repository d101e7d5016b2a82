/** Forms that are refused: shown again, with what was typed, and what is wrong beside the field that mends it. */
import type { Context } from 'koa'
import type { Reason } from '../domain/shape.ts'
import { Refused } from '../ledger/refused.ts'
import { SignUpRefused } from '../service/accounts.ts'
import { sentence } from '../service/refusals.ts'
import { statusOf, tellWait } from './errors.ts'
import { type FormErrors, type Page, sendPage } from './pages/layout.ts'
import { waitInWords } from './pages/refusals.ts'

/** The field beside which a refusal is told; `form`: above all of them. Other refusals cannot be mended in the form. */
export type Places<Field extends string> = { readonly [R in Reason]?: Field | 'form' }

/**
 * Does what a form asks for. Where that is refused for something that can be mended in the form, or for a limit, answers
 * with the form again.
 * @param act what the form asks for; it has a result
 * @param again the form with what was typed
 * @returns the result; `undefined` where the form was shown again
 */
export async function submit<T extends object | string, Field extends string>(
  ctx: Context,
  places: Places<Field>,
  act: () => Promise<T>,
  again: (errors: FormErrors<Field>) => Page | Promise<Page>,
): Promise<T | undefined> {
  try {
    return await act()
  } catch (error) {
    if (!(error instanceof Refused)) throw error
    const errors = errorsOf(error, places)
    if (errors === undefined) throw error
    tellWait(ctx, error)
    await sendPage(ctx, { ...(await again(errors)), status: statusOf(error.reason) })
    return undefined
  }
}

function errorsOf<Field extends string>(error: Refused, places: Places<Field>): FormErrors<Field> | undefined {
  if (error.reason === 'rate_limited') return { form: waitInWords(error) } as FormErrors<Field>
  const reasons = error instanceof SignUpRefused ? error.reasons : [error.reason]
  const told = reasons.map((reason) => [places[reason], sentence(reason)] as const)
  // Of two errors at one field the last is told: it is about what was typed, the first about how long it is.
  return told.some(([place]) => place === undefined) ? undefined : (Object.fromEntries(told) as FormErrors<Field>)
}
