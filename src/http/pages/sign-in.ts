/** The page to sign in. */
import { field, type Html, hidden, html, type Page } from './layout.ts'

/** Where a sign-in or sign-up leads to, and which app waits there. */
export type Destination = {
  readonly returnTo: string
  readonly clientName?: string
}

export type SignInPage = Destination & {
  readonly formToken: string
  readonly identifier?: string
  readonly error?: string
  readonly status?: number
  readonly canSignUp: boolean
}

export const signInPage = (of: SignInPage): Page => ({
  title: 'Sign in',
  status: of.status ?? 200,
  leadsOn: of.returnTo !== '/',
  body: html`<h1>Sign in</h1>
    ${purpose(of)}
    ${of.error === undefined ? '' : html`<p class="alert" role="alert" id="form-error">${of.error}</p>`}
    <form method="post" action="/login">
      ${hidden('form_token', of.formToken)}
      ${hidden('return_to', of.returnTo)}
      ${field({
        name: 'identifier',
        label: 'Username or e-mail',
        value: of.identifier ?? '',
        autocomplete: 'username',
        hasFocus: (of.identifier ?? '') === '',
      })}
      ${field({
        name: 'password',
        label: 'Password',
        type: 'password',
        autocomplete: 'current-password',
        hasFocus: (of.identifier ?? '') !== '',
      })}
      <button class="primary" type="submit">Sign in</button>
    </form>
    ${
      of.canSignUp
        ? html`<p class="aside">New here? <a href="/signup?return_to=${encodeURIComponent(of.returnTo)}">Create an account</a></p>`
        : html`<p class="aside">This Daybook takes no new accounts. Ask whoever runs it for one.</p>`
    }`,
})

/** Why somebody is asked to sign in, when an app sent them. */
export const purpose = ({ clientName }: Destination): Html | '' =>
  clientName === undefined ? '' : html`<p class="lead">to connect <strong>${clientName}</strong> with your to-dos</p>`
