/** The first page: what this is, and who is signed in. */
import { hidden, html, type Page } from './layout.ts'

export const homePage = (of: { readonly publicUrl: string; readonly canSignUp: boolean }): Page => ({
  title: 'Your to-dos, kept by ChatGPT',
  body: html`<h1>Your to-dos, kept by ChatGPT</h1>
    <p class="lead">Tell ChatGPT what you have to do. It writes it down here, on a machine you trust.</p>
    <p class="buttons">
      <a class="button primary" href="/login">Sign in</a>
      ${of.canSignUp ? html`<a class="button secondary" href="/signup">Create an account</a>` : ''}
    </p>
    ${connect(of.publicUrl)}`,
})

export type SignedInHome = {
  readonly publicUrl: string
  readonly username: string
  readonly signOutToken: string
  readonly todos: readonly string[]
}

export const signedInHomePage = (of: SignedInHome): Page => ({
  title: 'Your to-dos',
  body: html`<h1>Your to-dos</h1>
    ${
      of.todos.length === 0
        ? html`<p class="lead">Nothing yet. Ask ChatGPT to write something down.</p>`
        : html`<ol class="todos">${of.todos.map((text) => html`<li>${text}</li>`)}</ol>`
    }
    ${connect(of.publicUrl)}
    <form method="post" action="/logout" class="aside">
      ${hidden('form_token', of.signOutToken)}
      Signed in as <strong>${of.username}</strong>. <button class="link" type="submit">Sign out</button>
    </form>`,
})

const connect = (publicUrl: string) => html`<section class="facts" aria-label="Connect ChatGPT">
      <h2>Connect ChatGPT</h2>
      ${
        publicUrl.startsWith('https:')
          ? html`<p>Import this address into an action of a GPT, then sign in here when it asks you to.</p>`
          : html`<p>ChatGPT will read this address, once this Daybook is reached by https (<code>PUBLIC_URL</code>).</p>`
      }
      <p><a href="/openapi.yaml"><code>${publicUrl}/openapi.yaml</code></a></p>
    </section>`
