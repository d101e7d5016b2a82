/** The page to create an account. */
import { field, hidden, html, type Page } from './layout.ts'
import { type Destination, purpose } from './sign-in.ts'

/** What is wrong, by the field it stands beside; `form`: with none of them. */
export type FieldErrors = { readonly [field in 'username' | 'email' | 'password' | 'form']?: string }

export type SignUpPage = Destination & {
  readonly formToken: string
  readonly username?: string
  readonly email?: string
  readonly errors?: FieldErrors
  readonly status?: number
}

export function signUpPage(of: SignUpPage): Page {
  const errors = of.errors ?? {}
  const first = (['username', 'email', 'password'] as const).find((name) => errors[name] !== undefined) ?? 'username'
  return {
    title: 'Create an account',
    status: of.status ?? 200,
    leadsOn: of.returnTo !== '/',
    body: html`<h1>Create an account</h1>
    ${purpose(of)}
    ${
      Object.keys(errors).length === 0
        ? ''
        : html`<p class="alert" role="alert">${errors.form ?? 'That did not work yet: please look at what is marked below.'}</p>`
    }
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
