/** The page on which a user lets a client act for them, or not. */
import type { Vouching } from '../../service/apps.ts'
import { type Html, hidden, html, inWords, type Page } from './layout.ts'

export type ConsentPage = {
  readonly clientName: string
  readonly vouching: Vouching
  readonly username: string
  /** What it may do, in words. */
  readonly permissions: readonly string[]
  /** The host of the callback; `undefined` for a program on the person's device. */
  readonly returnsTo: string | undefined
  readonly holdsMs: number
  readonly request: string
  readonly formToken: string
  /** To sign out and come back as somebody else. */
  readonly returnTo: string
  readonly signOutToken: string
}

export function consentPage(of: ConsentPage): Page {
  return {
    title: `Connect ${of.clientName}`,
    leadsOn: true,
    body: html`<h1>Connect ${of.clientName}?</h1>
    <p class="lead"><strong>${of.clientName}</strong> wants to use Daybook as <strong>${of.username}</strong>.</p>
    ${caution(of)}
    <section class="facts" aria-label="What you would allow">
      <h2>It will be able to</h2>
      <ul class="permissions">${of.permissions.map((words) => html`<li>${words}</li>`)}</ul>
      <p>It never sees your password, and no other account than yours.</p>
      <dl>
        <div><dt>Afterwards you return to</dt><dd>${of.returnsTo ?? 'an app on this device'}</dd></div>
        <div><dt>Holds for</dt><dd>up to ${inWords(of.holdsMs)}, then you are asked again</dd></div>
        <div><dt>To end it</dt><dd>disconnect Daybook in ${of.clientName}, or ask the operator of this Daybook</dd></div>
      </dl>
    </section>
    <form method="post" action="/oauth/consent" class="choice">
      ${hidden('form_token', of.formToken)}
      ${hidden('request', of.request)}
      <button class="primary" type="submit" name="decision" value="allow">Allow</button>
      <button class="secondary" type="submit" name="decision" value="deny">Deny</button>
    </form>
    <form method="post" action="/logout" class="aside">
      ${hidden('form_token', of.signOutToken)}
      ${hidden('return_to', of.returnTo)}
      Not ${of.username}? <button class="link" type="submit">Use another account</button>
    </form>`,
  }
}

/** Who vouches for an app that no operator has set up. */
function caution({ clientName, vouching }: ConsentPage): Html | '' {
  if (vouching.by === 'operator') return ''
  const who =
    vouching.by === 'document'
      ? html`Only <strong>${vouching.host}</strong> says that this is ${clientName}.`
      : html`This app registered itself, and chose its name itself.`
  return html`<p class="caution"><strong>Not verified.</strong> ${who} Allow it only if you have just begun to
      connect it yourself.</p>`
}
