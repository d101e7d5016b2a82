/** What stands on disk: nothing personal and no secret in clear, whether it is still wanted or long deleted. */
import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import test from 'ava'
import { requestConsent } from '../../src/domain/consents.ts'
import { signIn } from '../../src/domain/sessions.ts'
import { registerUser } from '../../src/domain/users.ts'
import type { Caller } from '../../src/ledger/ledger.ts'
import { newKey } from '../../src/ledger/vault.ts'
import { ClientSide, person, startWorld, Visitor } from '../_support.ts'
import { add, databaseOf, deleteFirst, filesIn, register, startBook } from './_book.ts'

/** Where a file, or a member of the book, holds any of these, as text or in base64. */
function found(files: { [path: string]: string }, words: readonly string[]): string[] {
  const forms = words.flatMap((word) => [word, Buffer.from(word).toString('base64').replace(/=+$/, '').slice(0, -1)])
  return Object.entries(files).flatMap(([path, content]) =>
    forms.filter((form) => content.toLowerCase().includes(form.toLowerCase())).map((form) => `${path}: ${form}`),
  )
}

const PERSONAL = ['zebrafish', 'quagga@meadow.example', '203.0.113.77', 'okapi-browser', 'xylophone', 'state-of-mind']
const BY: Caller = {
  holds: () => undefined,
  actor: { kind: 'user', id: 'u1' },
  via: {},
  trace: { ip: '203.0.113.77', agent: 'okapi-browser/1' },
}

test('91. name, e-mail, address, browser, to-dos and state stand nowhere in clear: not in an event, a row or a file', async (t) => {
  const { ledger, folder, reopen } = await startBook(t)
  await register(ledger, 'u1')
  const names = { user: 'u2', username: 'zebrafish', email: 'quagga@meadow.example', admin: false }
  await ledger.transact(BY, (state) => registerUser(state, { ...names, passwordHash: 'hash', key: newKey() }))
  for (let i = 0; i < 50; i++) await add(ledger, 'u1', `xylophone ${i}`, BY)
  for (let i = 0; i < 30; i++) await deleteFirst(ledger, 'u1', undefined, BY)
  const session = {
    user: 'u1',
    passwordRight: true,
    passwordChanges: 0,
    session: 's1',
    sessionTtlMs: 1,
    before: undefined,
  }
  await ledger.transact(BY, (state, now) => signIn(state, session, now))
  await ledger.transact(BY, (state, now) => signIn(state, { ...session, passwordRight: false }, now)).catch(() => {})
  await ledger
    .transact({ ...BY, actor: { kind: 'anonymous', id: 'anonymous' } }, (state, now) =>
      signIn(state, { ...session, user: undefined }, now),
    )
    .catch(() => {})
  const asked = {
    client: 'chatgpt',
    redirectUri: 'https://a.example/',
    scope: 'todos:read',
    challenge: null,
    resource: null,
  }
  const request = { request: 'r1', user: 'u1', session: 's1', asked, state: 'state-of-mind', ttlMs: 1 }
  await ledger.transact(BY, (state, now) => requestConsent(state, request, now))

  const opened = (await Array.fromAsync(ledger.events())).map(({ sealed, trace }) =>
    JSON.stringify([sealed?.open, trace?.open]),
  )
  t.is(found({ 'what was sealed': opened.join() }, PERSONAL).length, PERSONAL.length, 'all of it is in the book')
  // LevelDB packs what it reads back at a start; before that, the log is as it was written.
  for (const _ of ['as written', 'packed once', 'packed twice']) {
    t.deepEqual(
      found(
        filesIn(folder),
        PERSONAL.filter((word) => word !== 'zebrafish'),
      ),
      [],
    )
    await reopen(async () => t.deepEqual(found(Object.fromEntries(await databaseOf(folder)), PERSONAL), []))
  }
})

test('91. after a whole story none of the secrets given out stands in the data directory or the log', async (t) => {
  const world = await startWorld(t)
  const [chatgpt, visitor, alice] = [new ClientSide(world.url), new Visitor(world.url), person('alice')]
  await visitor.signUp(alice)
  const code = await chatgpt.codeFor(visitor, { state: 'state-of-mind' })
  const { json: tokens } = await chatgpt.exchange(code)
  const { json: next } = await chatgpt.refresh(tokens.refresh_token)
  t.is((await chatgpt.api(next.access_token, 'POST', '/todos/me', { todo: 'xylophone' })).status, 200)
  const secrets = [code, tokens.access_token, tokens.refresh_token, next.access_token, next.refresh_token]
  secrets.push(chatgpt.secret, alice.password, alice.email, 'xylophone', 'state-of-mind', ...visitor.cookies.values())
  t.true(secrets.length > 10 && secrets.every((secret) => secret.length > 8))
  t.deepEqual(found({ ...filesIn(world.folder), log: world.log.join('') }, secrets), [])
  const lines = (await world.events()).map((event) => JSON.stringify(event))
  t.deepEqual(found(Object.fromEntries(lines.entries()), secrets), [])
})

test('91. the folder of a book is for its owner only, and has no other files than these', async (t) => {
  const { folder } = await startBook(t)
  t.deepEqual(readdirSync(folder).sort(), ['.lock', 'book', 'head', 'lock'])
  t.is(readFileSync(join(folder, 'head'), 'utf8').length, 82)
})
