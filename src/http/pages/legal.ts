/** Privacy and terms: what is kept, and who answers for it. */
import type { Settings } from '../settings.ts'
import { html, type Page } from './layout.ts'

export const legalPage = ({ publicUrl, contactEmail }: Settings): Page => ({
  title: 'Privacy and terms',
  isDocument: true,
  body: html`<h1>Privacy and terms</h1>
    <p class="lead">This is a Daybook: a to-do service that its operator runs at <strong>${new URL(publicUrl).host}</strong>.</p>
    <h2>What is kept</h2>
    <ul>
      <li>Your username, and your e-mail address if you gave one.</li>
      <li>Your password, only as an Argon2id hash.</li>
      <li>The to-dos that you or your apps write, also for up to 30 days after they are deleted, so that you can undo it.</li>
      <li>A record of what was done with your account: what, when, through which app, in which conversation,
        from which IP address, with which browser.</li>
    </ul>
    <p>Your name, address, texts, IP addresses and browsers are kept encrypted under a key of your own.</p>
    <h2>Who sees it</h2>
    <p>You, the apps that you connect and only as far as you allow, and the operator of this Daybook. It is sold to
      nobody, and no part of it is sent anywhere else. What you connect, such as ChatGPT, has terms of its own.</p>
    <h2>Cookies</h2>
    <p>One that keeps you signed in, and one that protects forms. No others.</p>
    <h2>Terms</h2>
    <p>The service is offered by its operator as it is. Ask them for your data, for its correction, or for its end:
      <a href="mailto:${contactEmail}">${contactEmail}</a>.</p>`,
})
