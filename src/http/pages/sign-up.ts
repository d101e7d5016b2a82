/** The page to create an account. */
import { type FormErrors, field, formAlert, hidden, html, type Page } from './layout.ts'
import { type Destination, purpose } from './sign-in.ts'

const FIELDS = ['username', 'email', 'password'] as const
export type SignUpField = (typeof FIELDS)[number]

export type SignUpPage = Destination & {
  readonly formToken: string
  readonly username?: string
  readonly email?: string
  readonly errors?: FormErrors<SignUpField>
}

export function signUpPage(of: SignUpPage): Page {
  const errors = of.errors ?? {}
  const first = FIELDS.find((name) => errors[name] !== undefined) ?? 'username'
  return {
    title: 'Create an account',
    leadsOn: of.returnTo !== '/',
    body: html`<h1>Create an account</h1>
    ${purpose(of)}
    ${formAlert(errors)}
    <form method="post" action="/signup">
      ${hidden('form_token', of.formToken)}
      ${hidden('return_to', of.returnTo)}
      ${field({
        name: 'username',
        label: 'Username',
        hint: 'Letters, digits, dots, hyphens, underscores.',
        value: of.username ?? '',
        autocomplete: 'username',
        error: errors.username,
        hasFocus: first === 'username',
      })}
      ${field({
        name: 'email',
        label: 'E-mail',
        hint: 'Only to sign in with. Daybook sends no mail.',
        type: 'email',
        value: of.email ?? '',
        autocomplete: 'email',
        error: errors.email,
        isOptional: true,
        hasFocus: first === 'email',
      })}
      ${field({
        name: 'password',
        label: 'Password',
        hint: 'At least 8 characters. A few words in a row are good.',
        type: 'password',
        autocomplete: 'new-password',
        error: errors.password,
        hasFocus: first === 'password',
      })}
      <button class="primary" type="submit">Create account</button>
    </form>
    <p class="aside">Have an account? <a href="${signInHref(of.returnTo)}">Sign in</a></p>`,
  }
}

/** Inside an authorization the sign-in page is the authorization endpoint itself. */
const signInHref = (returnTo: string): string => (returnTo.startsWith('/oauth?') ? returnTo : '/login')
