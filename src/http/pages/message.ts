/** A page that says one thing: what went wrong and what to do now. */
import { type Html, html, type Page } from './layout.ts'

export type Message = {
  readonly title: string
  readonly text: string
  readonly status: number
  readonly more?: Html
  /** What to name when asking the operator about it. */
  readonly requestId?: string
}

export const messagePage = ({ title, text, status, more, requestId }: Message): Page => ({
  title,
  status,
  body: html`<h1>${title}</h1>
    <p class="lead">${text}</p>
    ${more ?? ''}
    <p><a href="/">To the first page</a></p>
    ${
      requestId === undefined || requestId === ''
        ? ''
        : html`<p class="fine">If you ask the operator of this Daybook, name this request: <code>${requestId}</code></p>`
    }`,
})
