/** The first page: what this is, and who is signed in. */
import { type AuthMode, isForUsers } from '../../service/policy.ts'
import { type Html, hidden, html, type Page } from './layout.ts'

type Where = { readonly publicUrl: string; readonly authMode: AuthMode }

export const homePage = (of: Where & { readonly canSignUp: boolean }): Page => ({
  title: 'Your to-dos, kept by your assistant',
  body: html`<h1>Your to-dos, kept by your assistant</h1>
    <p class="lead">Tell your assistant what you have to do. It keeps the list here, on a machine that you trust.</p>
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
          ? html`<p>Each list has a name. Anybody who reaches this Daybook can read and change every list.</p>`
          : html`<p>Each list has a name. Anybody with the service token can read and change every list.</p>`
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
        ? html`<p class="lead">Nothing yet. Ask your assistant to write something down.</p>`
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

/** What to do after the address was given, by how assistants authenticate. */
const next: { readonly [M in AuthMode]: string } = {
  oauth: 'It opens a page here: sign in, and allow it.',
  user_http: 'As its credential give it an API key of yours, as a bearer token.',
  service_http: 'As its credential give it the service token, as a bearer token.',
  none: 'Nobody has to sign in.',
}

const connect = ({ publicUrl, authMode }: Where) => html`<section class="facts" aria-label="Connect an assistant">
      <h2>Connect an assistant</h2>
      <p>Give ChatGPT, Claude, Cursor or VS Code this address, as an MCP server:</p>
      <p><code>${publicUrl}/mcp</code></p>
      <p>${next[authMode]}</p>
      ${
        publicUrl.startsWith('https:')
          ? ''
          : html`<p class="hint">Programs on this machine can use it now. ChatGPT and others in a cloud need an https address
        (<code>PUBLIC_URL</code>).</p>`
      }
      <p class="hint">Others read the <a href="/openapi.yaml">OpenAPI document</a>.</p>
    </section>`
