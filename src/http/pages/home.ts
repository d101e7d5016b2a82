/** The first page: what this is, and who is signed in. */
import { type AuthMode, isForUsers } from '../../service/policy.ts'
import { type Html, hidden, html, type Page } from './layout.ts'

type Where = { readonly publicUrl: string; readonly authMode: AuthMode }

export const homePage = (of: Where & { readonly canSignUp: boolean }): Page => ({
  title: 'Your to-dos, kept by ChatGPT',
  body: html`<h1>Your to-dos, kept by ChatGPT</h1>
    <p class="lead">Tell ChatGPT what you have to do. It writes it down here, on a machine you trust.</p>
    ${
      isForUsers(of.authMode)
        ? html`<p class="buttons">
      <a class="button primary" href="/login">Sign in</a>
      ${of.canSignUp ? html`<a class="button secondary" href="/signup">Create an account</a>` : ''}
    </p>`
        : whoMay(of.authMode)
    }
    ${connect(of)}
    ${isForUsers(of.authMode) ? '' : html`<p class="aside"><a href="/login">Operators sign in here</a></p>`}`,
})

/** Who can use the lists of a Daybook where nobody has an account. */
const whoMay = (authMode: AuthMode): Html => html`<section class="facts" aria-label="Who can use it">
      <h2>Nobody needs an account here</h2>
      ${
        authMode === 'none'
          ? html`<p>Each list has a name. Whoever reaches this Daybook can read and change every list.</p>`
          : html`<p>Each list has a name. Whoever has the service token can read and change every list.</p>`
      }
    </section>`

/** Operators sign in although lists have no users: for the audit. They have no list of their own. */
export const operatorHomePage = (of: SignedInHome): Page => ({
  title: 'Signed in',
  body: html`<h1>Signed in</h1>
    <p class="lead">Lists are named here, so no to-dos are yours. Operators sign in to look at the audit.</p>
    ${whoMay(of.authMode)}
    ${connect(of)}
    ${signOut(of)}`,
})

export type SignedInHome = Where & {
  readonly username: string
  readonly signOutToken: string
  /** Those from index `from` on, of `count`; at `next` begins what does not stand here. */
  readonly todos: readonly string[]
  readonly from: number
  readonly count: number
  readonly next: number | undefined
}

export const signedInHomePage = (of: SignedInHome): Page => ({
  title: 'Your to-dos',
  body: html`<h1>Your to-dos</h1>
    ${
      of.count === 0
        ? html`<p class="lead">Nothing yet. Ask ChatGPT to write something down.</p>`
        : html`<ol class="todos" start="${of.from + 1}">${of.todos.map((text) => html`<li><bdi>${text}</bdi></li>`)}</ol>`
    }
    ${
      of.from === 0 && of.next === undefined
        ? ''
        : html`<nav class="aside" aria-label="More to-dos">
      ${of.from + 1} to ${of.from + of.todos.length} of ${of.count}.
      ${of.from === 0 ? '' : html`<a href="/">From the first</a>`}
      ${of.next === undefined ? '' : html`<a href="/?from=${of.next}">The next ones</a>`}
    </nav>`
    }
    ${connect(of)}
    ${of.authMode === 'user_http' ? html`<p class="buttons"><a class="button secondary" href="/account/keys">Your API keys</a></p>` : ''}
    ${signOut(of)}`,
})

const signOut = ({
  username,
  signOutToken,
}: SignedInHome): Html => html`<form method="post" action="/logout" class="aside">
      ${hidden('form_token', signOutToken)}
      Signed in as <strong>${username}</strong>. <button class="link" type="submit">Sign out</button>
    </form>`

/** What to do after the import, by how ChatGPT authenticates. */
const next: { readonly [M in AuthMode]: string } = {
  oauth: 'Import this address into an action of a GPT, then sign in here when it asks you to.',
  user_http: 'Import this address into an action of a GPT, and give it an API key of yours.',
  service_http: 'Import this address into an action of a GPT, and give it the service token as its API key.',
  none: 'Import this address into an action of a GPT. Nobody has to sign in: whoever reaches this Daybook can use it.',
}

const connect = ({ publicUrl, authMode }: Where) => html`<section class="facts" aria-label="Connect ChatGPT">
      <h2>Connect ChatGPT</h2>
      ${
        publicUrl.startsWith('https:')
          ? html`<p>${next[authMode]}</p>`
          : html`<p>ChatGPT will read this address, once this Daybook is reached by https (<code>PUBLIC_URL</code>).</p>`
      }
      <p><a href="/openapi.yaml"><code>${publicUrl}/openapi.yaml</code></a></p>
    </section>`
