/** Refusals as a person meets them on a page. */
import type { Context } from 'koa'
import type { Reason } from '../../domain/shape.ts'
import type { Refused } from '../../ledger/refused.ts'
import { NotSentBack } from '../../service/authorization.ts'
import { sentence } from '../../service/refusals.ts'
import { COMMAND } from '../assets.ts'
import { statusOf, tellWait } from '../errors.ts'
import { addressNotice, homeOf } from './address.ts'
import { type Html, html, sendPage } from './layout.ts'
import { messagePage } from './message.ts'

const NOT_SENT_BACK = html`<p>No operator of this Daybook added this app, so you are not sent back to it. Go back
      yourself and connect again. If it fails again, tell the makers of the app.</p>`

/** What to do about it, where there is something to do. */
const advice: { readonly [R in Reason]?: Html } = {
  redirect_waiting: html`<p>It is on their list now. They can look at it and allow it with
      <code>${COMMAND} client show chatgpt</code>, which prints the command that allows it. After that, start
      connecting again.</p>`,
  redirects_waiting_too_many: html`<p>Send them the callback that ChatGPT shows in the settings of the action. They can allow it
      with <code>${COMMAND} client allow chatgpt CALLBACK</code>. After that, start connecting again.</p>`,
  redirect_unregistered: html`<p>To be safe, you are not sent there. If you set this up yourself, allow the app's
      callback with <code>${COMMAND} client allow CLIENT URL</code>.</p>`,
  client_unknown: html`<p>If you set this up yourself, compare the client ID that you gave the app with
      <code>${COMMAND} client show chatgpt</code>.</p>`,
  client_document_unreadable: html`<p>Try again in a minute. If it stays so, the makers of the app have to mend it.</p>`,
  route_unknown: html`<p>The address may be mistyped, or what was here is gone.</p>`,
  method_not_allowed: html`<p>This address takes a form that Daybook gave you. Begin again where it came from.</p>`,
  consent_unknown: html`<p>Go back to the app that sent you here and connect again.</p>`,
}

/** A heading where "This did not work" would say too little. */
const titles: { readonly [R in Reason]?: string } = {
  route_unknown: 'Nothing here',
  method_not_allowed: 'Nothing to see here',
  redirect_waiting: 'Not allowed yet',
  redirects_waiting_too_many: 'Not allowed yet',
  book_unavailable: 'Please try again shortly',
}

/** How long to wait, for a person: headers are for programs. */
export function waitInWords({ retryAfterMs = 0 }: Refused): string {
  const minutes = Math.ceil(retryAfterMs / 60_000)
  return `Too many tries. Try again in ${minutes <= 1 ? 'a minute' : `${minutes} minutes`}.`
}

/** Where to begin again with a form of another address or of long ago, unless the page says so above. */
function linkHome(ctx: Context): Html | undefined {
  const home = homeOf(ctx)
  return home === undefined || addressNotice(ctx) !== undefined
    ? undefined
    : html`<p>This Daybook is at <a href="${home}/">${home}</a>.</p>`
}

function adviceFor(ctx: Context, refused: Refused): Html | undefined {
  if (refused instanceof NotSentBack) return NOT_SENT_BACK
  return refused.reason === 'form_foreign' ? linkHome(ctx) : advice[refused.reason]
}

/** Answers with a page. */
export async function sendRefusal(ctx: Context, refused: Refused): Promise<void> {
  const { reason } = refused
  const status = statusOf(reason)
  tellWait(ctx, refused)
  const more = adviceFor(ctx, refused)
  await sendPage(
    ctx,
    messagePage({
      title: titles[reason] ?? 'This did not work',
      text: refused.detail ?? (reason === 'rate_limited' ? waitInWords(refused) : sentence(reason)),
      status,
      ...(more === undefined ? {} : { more }),
      requestId: ctx.response.get('X-Request-Id'),
    }),
  )
}
