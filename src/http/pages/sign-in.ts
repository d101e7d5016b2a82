/** The page to sign in. */
import { type FormErrors, field, formAlert, type Html, hidden, html, type Page } from './layout.ts'

/** Where a sign-in or sign-up leads to, and which app waits there. */
export type Destination = {
  readonly returnTo: string
  readonly clientName?: string
}

export type SignInField = 'identifier' | 'password'

export type SignInPage = Destination & {
  readonly formToken: string
  readonly identifier?: string
  readonly errors?: FormErrors<SignInField>
  readonly canSignUp: boolean
  /** Where lists have no users, only operators sign in. */
  readonly isForOperators?: boolean
}

export const signInPage = (of: SignInPage): Page => ({
  title: 'Sign in',
  leadsOn: of.returnTo !== '/',
  body: html`<h1>Sign in</h1>
    ${of.isForOperators ? html`<p class="lead">for operators, to look at the audit. Nobody else needs an account here.</p>` : purpose(of)}
    ${formAlert(of.errors ?? {})}
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
        error: of.errors?.password,
        hasFocus: (of.identifier ?? '') !== '',
      })}
      <button class="primary" type="submit">Sign in</button>
    </form>
    ${noAccount(of)}`,
})

const noAccount = ({ canSignUp, isForOperators, returnTo }: SignInPage): Html => {
  if (isForOperators) return html`<p class="aside"><a href="/">What this Daybook is for</a></p>`
  return canSignUp
    ? html`<p class="aside">New here? <a href="/signup?return_to=${encodeURIComponent(returnTo)}">Create an account</a></p>`
    : html`<p class="aside">This Daybook takes no new accounts. Ask its operator for one.</p>`
}

/** Why somebody is asked to sign in, when an app sent them. */
export const purpose = ({ clientName }: Destination): Html | '' =>
  clientName === undefined ? '' : html`<p class="lead">to connect <strong>${clientName}</strong> with your to-dos</p>`
