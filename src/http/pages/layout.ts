/** The one frame of every page for people. */
import { html, raw } from 'hono/html'
import type { Context } from 'koa'
import { addressNotice } from './address.ts'

export { html }
export type Html = ReturnType<typeof html>

export type Page = {
  readonly title: string
  readonly body: Html
  readonly status?: number
  /** A public document, which is the same by whatever address it is read. */
  readonly isDocument?: true
  /** Whether a form on this page may lead on to an app: it is part of an authorization. */
  readonly leadsOn?: boolean
}

/** Answers with a page. Nothing of it is kept, framed, scripted, or told to the next site. */
export async function sendPage(ctx: Context, page: Page): Promise<void> {
  const { title, body, status = 200, leadsOn = false } = page
  ctx.status = status
  ctx.type = 'text/html; charset=utf-8'
  ctx.set('Cache-Control', 'no-store')
  ctx.set('Content-Security-Policy', contentSecurityPolicy(leadsOn))
  // A window that an app opened for an authorization must find that app again; no other page has one.
  if (!leadsOn) ctx.set('Cross-Origin-Opener-Policy', 'same-origin')
  const notice = page.isDocument ? undefined : addressNotice(ctx)
  ctx.body = String(await frame(title, body, notice ?? ''))
}

/** After a form, by GET: a reload repeats nothing (303, never 307). */
export function seeOther(ctx: Context, path: string): void {
  ctx.status = 303
  ctx.set('Cache-Control', 'no-store')
  ctx.set('Location', path)
  ctx.body = ''
}

/**
 * The policy of a page. Its forms lead to this origin only, but for a page that is part of an authorization: there
 * `form-action` is left out. Chromium holds it against every redirect that follows on the form, and the callback may
 * redirect anywhere: to another origin, to loopback, to a program's own scheme. No list could name that beforehand, and
 * the person would be left on a page that does nothing. The forms have fixed addresses on this origin, nothing of a
 * request stands in them as markup, and there is no script that could change them.
 */
export const contentSecurityPolicy = (leadsOn = false): string =>
  [
    "default-src 'none'",
    "style-src 'self'",
    "img-src 'self'",
    ...(leadsOn ? [] : ["form-action 'self'"]),
    "frame-ancestors 'none'",
    "base-uri 'none'",
  ].join('; ')

// The header says no-referrer. Within our own origin browsers may tell: otherwise they send a form's Origin as "null".
const frame = (title: string, body: Html, notice: Html | ''): Html => html`<!doctype html>
<html lang="en">
  <head>
    <meta charset="utf-8">
    <meta name="viewport" content="width=device-width, initial-scale=1">
    <meta name="color-scheme" content="light dark">
    <meta name="referrer" content="same-origin">
    <meta name="robots" content="noindex">
    <title>${title} · Daybook</title>
    <link rel="icon" type="image/png" href="/logo.png">
    <link rel="stylesheet" href="/style.css">
  </head>
  <body>
    <header class="brand"><a href="/"><img src="/logo.png" alt="" width="36" height="36"><span>Daybook</span></a></header>
    ${notice}
    <main>${body}</main>
    <footer><a href="/legal">Privacy and terms</a></footer>
  </body>
</html>
`

/** What is wrong with a form, by the field that it stands beside; `form`: with none of them. */
export type FormErrors<Field extends string> = { readonly [F in Field | 'form']?: string }

/** Says above a form that something is wrong with it, and what, where no field says it. */
export const formAlert = (errors: FormErrors<never> & object): Html | '' =>
  Object.keys(errors).length === 0
    ? ''
    : html`<p class="alert" role="alert" id="form-error">${errors.form ?? 'That did not work yet: please look at what is marked below.'}</p>`

/** A field with its label, its hint, and what is wrong with it beside it. */
export type Field = {
  readonly name: string
  readonly label: string
  readonly type?: 'text' | 'email' | 'password'
  readonly value?: string
  readonly autocomplete: string
  readonly hint?: string
  readonly error?: string | undefined
  readonly isOptional?: boolean
  readonly hasFocus?: boolean
}

export function field(of: Field): Html {
  const { name, label, type = 'text', value = '', autocomplete, hint, error, isOptional = false, hasFocus = false } = of
  const described = [hint && `${name}-hint`, error && `${name}-error`].filter(Boolean).join(' ')
  return html`<div class="field">
        <label for="${name}">${label}${isOptional ? html` <span class="optional">(optional)</span>` : ''}</label>
        ${hint === undefined ? '' : html`<p class="hint" id="${name}-hint">${hint}</p>`}
        <input id="${name}" name="${name}" type="${type}" value="${value}" autocomplete="${autocomplete}"
          ${raw(isOptional ? '' : 'required')} ${raw(hasFocus ? 'autofocus' : '')}
          ${raw(type === 'text' ? 'autocapitalize="none" spellcheck="false"' : '')}
          ${raw(described === '' ? '' : `aria-describedby="${described}"`)}
          ${raw(error === undefined ? '' : 'aria-invalid="true"')}>
        ${error === undefined ? '' : html`<p class="error" id="${name}-error">${error}</p>`}
      </div>`
}

export const hidden = (name: string, value: string): Html => html`<input type="hidden" name="${name}" value="${value}">`

/** A duration as a person says it: "90 days", "1 hour". */
export function inWords(ms: number): string {
  const units = [
    [86_400_000, 'day'],
    [3_600_000, 'hour'],
    [60_000, 'minute'],
    [1000, 'second'],
  ] as const
  const [size, name] = units.find(([unit]) => ms >= unit && ms % unit === 0) ?? [1000, 'second']
  const count = Math.round(ms / size)
  return `${count} ${name}${count === 1 ? '' : 's'}`
}
