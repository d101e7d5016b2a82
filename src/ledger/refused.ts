/** Refused: the error by which every floor says no. What a refusal leaves behind is on disk by the time it is thrown. */
import type { Reason } from '../domain/shape.ts'

export class Refused extends Error {
  override name = 'Refused'
  readonly reason: Reason
  /** A sentence for the reader that says more than the reason does. */
  readonly detail: string | undefined
  /** How long to wait before another try, where that is known. ms */
  readonly retryAfterMs: number | undefined

  constructor(reason: Reason, detail?: string, retryAfterMs?: number) {
    super(detail ?? reason)
    this.reason = reason
    this.detail = detail
    this.retryAfterMs = retryAfterMs
  }
}
