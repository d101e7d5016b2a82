/** The page on which a user makes and revokes API keys. */
import type { KeySummary } from '../../service/keys.ts'
import { type FormErrors, field, formAlert, hidden, html, type Page } from './layout.ts'

/** A key that was just made: shown this once. */
export type MadeKey = { readonly label: string; readonly secret: string }

export type KeyField = 'label'

export type KeysPage = {
  readonly keys: readonly KeySummary[]
  readonly formToken: string
  readonly publicUrl: string
  readonly made?: MadeKey
  readonly errors?: FormErrors<KeyField>
  readonly label?: string
}

const day = (at: string): string => at.slice(0, 10)

export const keysPage = (of: KeysPage): Page => ({
  title: 'Your API keys',
  body: html`<h1>Your API keys</h1>
    <p class="lead">Whoever has one of these can read and change your to-dos. Make one for each program.</p>
    ${of.made === undefined ? '' : shownOnce(of.made)}
    ${
      of.keys.length === 0
        ? html`<p>There is none yet.</p>`
        : html`<ul class="keys">${of.keys.map((key) => row(key, of.formToken))}</ul>`
    }
    ${formAlert(of.errors ?? {})}
    <form method="post" action="/account/keys">
      ${hidden('form_token', of.formToken)}
      ${field({
        name: 'label',
        label: 'What it is for',
        value: of.label ?? '',
        autocomplete: 'off',
        hint: 'Such as “ChatGPT at work”.',
        error: of.errors?.label,
        hasFocus: of.errors?.label !== undefined,
      })}
      <button class="primary" type="submit">Make a key</button>
    </form>
    <section class="facts" aria-label="How to use it">
      <h2>In ChatGPT</h2>
      <p>Import <code>${of.publicUrl}/openapi.yaml</code> into an action, choose API key, then Bearer, and paste the key.</p>
    </section>
    <p class="aside"><a href="/">Back to your to-dos</a></p>`,
})

const shownOnce = ({ label, secret }: MadeKey) => html`<section class="facts" aria-label="The new key" role="status">
      <h2>${label}</h2>
      <p><code class="secret">${secret}</code></p>
      <p>Copy it now: it is not shown again.</p>
    </section>`

const row = ({ id, label, createdAt, usedAt }: KeySummary, formToken: string) => html`<li>
        <div><strong>${label}</strong>
        <span class="hint">made ${day(createdAt)}, ${usedAt === null ? 'never used' : `last used ${day(usedAt)}`}</span></div>
        <form method="post" action="/account/keys/revoke">
          ${hidden('form_token', formToken)}
          ${hidden('key', id)}
          <button class="link" type="submit" aria-label="Revoke ${label}">Revoke</button>
        </form>
      </li>`
