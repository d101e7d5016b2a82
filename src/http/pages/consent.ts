/** The page on which a user lets a client act for them, or not. */
import { hidden, html, inWords, type Page } from './layout.ts'

export type ConsentPage = {
  readonly clientName: string
  readonly username: string
  /** What it may do, in words. */
  readonly permissions: readonly string[]
  readonly redirectUri: string
  readonly holdsMs: number
  readonly request: string
  readonly formToken: string
  /** To sign out and come back as somebody else. */
  readonly returnTo: string
  readonly signOutToken: string
}

export function consentPage(of: ConsentPage): Page {
  const callback = new URL(of.redirectUri)
  return {
    title: `Connect ${of.clientName}`,
    formTargets: [callback.origin],
    body: html`<h1>Connect ${of.clientName}?</h1>
    <p class="lead"><strong>${of.clientName}</strong> wants to use Daybook as <strong>${of.username}</strong>.</p>
    <section class="facts" aria-label="What you would allow">
      <h2>It will be able to</h2>
      <ul class="permissions">${of.permissions.map((words) => html`<li>${words}</li>`)}</ul>
      <p>It never sees your password, and no other account than yours.</p>
      <dl>
        <div><dt>Afterwards you return to</dt><dd>${callback.host}</dd></div>
        <div><dt>Holds for</dt><dd>up to ${inWords(of.holdsMs)}, then you are asked again</dd></div>
        <div><dt>To end it</dt><dd>disconnect Daybook in ${of.clientName}, or ask whoever runs this Daybook</dd></div>
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
