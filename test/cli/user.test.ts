/** `daybook user …`: accounts, as the operator adds, lists, revokes and restores them; and passwords, never as an argument. */
import { existsSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import test from 'ava'
import { daybook, eventsOf, type Home, homeFor, newHome, rowsOf, serve, WAYS } from '../_serve.ts'
import { ClientSide, person, Visitor } from '../_support.ts'

/** A file with that password, as a path without blanks. */
function passwordFile(home: Home, text: string): string {
  const path = join(home.folder, `password-${Math.random().toString(36).slice(2)}`)
  writeFileSync(path, text)
  return path
}

const canSignIn = async (home: Home, username: string, password: string): Promise<boolean> => {
  const answer = await new Visitor(home.url).signIn({ username, email: '', password })
  return answer.status === 303
}

const PASSPHRASE = /^[a-z2-9]{5}(-[a-z2-9]{5}){3}\n$/

for (const way of WAYS) {
  test(`user: add, list, revoke, restore, passwd (${way})`, async (t) => {
    const home = await homeFor(t, way)
    const file = passwordFile(home, 'correct horse alice\n')
    t.deepEqual(await daybook(home, `user add alice --email alice@example.org --password-file ${file}`), {
      code: 0,
      stdout: 'alice can sign in.\n',
      stderr: '',
    })
    const made = await daybook(home, 'user add Bob --admin --random-password')
    t.is(made.code, 0)
    const [said, passphrase] = made.stdout.split(/(?<=\n)/)
    t.is(said, 'Bob can sign in, and is an operator.\n')
    t.regex(passphrase!, PASSPHRASE)
    t.deepEqual(await eventsOf(home), ['UserRegistered', 'UserRegistered'])

    t.deepEqual(await daybook(home, 'user revoke alice'), {
      code: 0,
      stdout:
        'alice is revoked: their sessions, consents, codes, tokens and API keys have ended, and they cannot sign in.\n',
      stderr: '',
    })
    const rows = await rowsOf(home, 'user list')
    t.deepEqual(Object.keys(rows[0]!), ['username', 'email', 'role', 'state', 'todos', 'since', 'id'])
    const { since, id, ...alice } = rows[0]!
    t.deepEqual(alice, { username: 'alice', email: 'alice@example.org', role: 'user', state: 'revoked', todos: 0 })
    t.like(rows[1]!, { username: 'Bob', email: null, role: 'operator', state: 'active', todos: 0 })
    t.regex(since, /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$/)
    t.regex(id, /^[0-9A-Z]{26}$/)

    t.deepEqual(await daybook(home, 'user restore ALICE'), {
      code: 0,
      stdout: 'ALICE can sign in again. Nothing that was ended has come back.\n',
      stderr: '',
    })
    const changed = await daybook(home, `user passwd alice@example.org --password-file ${file}`)
    t.like(changed, { code: 0, stderr: '' })
    t.regex(changed.stdout, /^alice@example\.org has a new password\. [^\n]+\n$/)
    t.deepEqual((await eventsOf(home)).slice(2), ['UserRevoked', 'UserRestored', 'PasswordChanged'])
    t.deepEqual(
      (await rowsOf(home, 'user list')).map((row) => [row.username, row.state]),
      [
        ['alice', 'active'],
        ['Bob', 'active'],
      ],
    )
  })
}

test('user list: a table, JSON, and JSON lines', async (t) => {
  const home = await homeFor(t, 'beside a server')
  t.deepEqual(await daybook(home, 'user list'), { code: 0, stdout: '', stderr: '(nothing to show)\n' })
  t.deepEqual(await daybook(home, 'user list -o json'), { code: 0, stdout: '[]\n', stderr: '' })
  t.deepEqual(await daybook(home, 'user list -o ndjson'), { code: 0, stdout: '', stderr: '' })
  await daybook(home, 'user add alice --random-password')
  await daybook(home, 'user add bob --email bob@example.org --random-password')
  const [json, lines, table] = await Promise.all(
    ['json', 'ndjson', 'table'].map((format) => daybook(home, `-o ${format} user list`)),
  )
  for (const ran of [json, lines, table]) t.like(ran, { code: 0, stderr: '' })
  const rows = JSON.parse(json!.stdout)
  t.is(rows.length, 2)
  t.is(lines!.stdout, rows.map((row: object) => `${JSON.stringify(row)}\n`).join(''))
  const [head, first, second, ...rest] = table!.stdout.split('\n')
  t.is(head, 'USERNAME  EMAIL            ROLE  STATE   TODOS  SINCE')
  t.is(first, `alice                      user  active  0      ${rows[0].since}`)
  t.is(second, `bob       bob@example.org  user  active  0      ${rows[1].since}`)
  t.deepEqual(rest, [''])
})

test('user: what is refused ends with 1, says one sentence on stderr, and changes nothing', async (t) => {
  const home = await homeFor(t, 'beside a server')
  const file = passwordFile(home, 'correct horse alice')
  await daybook(home, `user add alice --email alice@example.org --password-file ${file}`)
  await daybook(home, 'user add bob --random-password')
  await daybook(home, 'user revoke bob')
  const before = await eventsOf(home)
  const withFile = `--password-file ${file}`
  const short = `--password-file ${passwordFile(home, '1234567')}`
  const long = `--password-file ${passwordFile(home, 'x'.repeat(1025))}`
  const refusals = [
    [`user add alice ${withFile}`, 'That username is taken.'],
    [`user add ALICE ${withFile}`, 'That username is taken.'],
    [`user add me ${withFile}`, 'A username is 1 to 64'],
    [`user add a/b ${withFile}`, 'A username is 1 to 64'],
    [`user add ${'a'.repeat(65)} ${withFile}`, 'A username is 1 to 64'],
    [`user add nobody --email nonsense ${withFile}`, 'e-mail address'],
    [`user add nobody --email Alice@Example.org ${withFile}`, 'belongs to an account already'],
    [`user add nobody ${short}`, 'A password has 8 to 1,024 characters.'],
    [`user add nobody ${long}`, 'A password has 8 to 1,024 characters.'],
    ['user revoke nobody', 'There is no user of that name.'],
    ['user revoke bob', 'revoked already'],
    ['user restore alice', 'not revoked'],
    ['user restore nobody', 'There is no user of that name.'],
    [`user passwd nobody ${withFile}`, 'There is no user of that name.'],
    [`user passwd alice ${short}`, 'A password has 8 to 1,024 characters.'],
  ] as const
  for (const [words, sentence] of refusals) {
    const { code, stdout, stderr } = await daybook(home, words)
    t.is(code, 1, words)
    t.is(stdout, '', words)
    t.regex(stderr, /^daybook: [^\n]+\n$/, words)
    t.true(stderr.includes(sentence), `${words}: ${stderr}`)
  }
  t.deepEqual(await eventsOf(home), before)
  t.is((await rowsOf(home, 'user list')).length, 2)
})

test('user: what is refused without a server ends with 1, too, and leaves no more than an empty book', async (t) => {
  const home = await newHome(t)
  // Who only looks or changes begins no book: what it said of one would be said of nothing.
  for (const words of ['user list', 'user revoke alice', 'audit verify', 'audit list']) {
    const { code, stdout, stderr } = await daybook(home, words)
    t.deepEqual([code, stdout], [1, ''], words)
    t.regex(stderr, /^daybook: there is no book in [^\n]+\n$/)
    t.false(existsSync(join(home.data, 'book')))
  }
  await daybook(home, 'client show chatgpt')
  const before = await eventsOf(home)
  for (const words of ['user revoke alice', 'user restore alice', 'user passwd alice --random-password'])
    t.deepEqual(await daybook(home, words), {
      code: 1,
      stdout: '',
      stderr: 'daybook: There is no user of that name.\n',
    })
  t.deepEqual(await eventsOf(home), before)
})

test('user: a password is never an argument, and without a terminal nothing asks for one', async (t) => {
  const home = await newHome(t)
  const file = passwordFile(home, 'correct horse alice')
  const usage = [
    ['user add alice', /--password-file .*--random-password/],
    ['user passwd alice', /--password-file .*--random-password/],
    [`user add alice --random-password --password-file ${file}`, /not both/],
    [`user add alice --password-file ${file}-missing`, /--password-file: .*-missing/],
    ['user add alice --password-file /', /--password-file: /],
    ['user add alice --password secretsecret', /--password/],
    ['user add alice secretsecret', /too many arguments/],
    ['user add --random-password', /missing required argument/],
    ['user passwd', /missing required argument/],
    ['user revoke', /missing required argument/],
    ['user revoke alice bob', /too many arguments/],
    ['user erased alice', /unknown command/],
    ['user', /Usage: daybook user/],
  ] as const
  for (const [words, message] of usage) {
    const { code, stdout, stderr } = await daybook(home, words, { input: 'correct horse alice\n' })
    t.deepEqual([code, stdout], [2, ''], words)
    t.regex(stderr, message, words)
    t.notRegex(stderr, /\n {4}at /, words)
  }
  t.deepEqual(await eventsOf(home), [])
})

test('user add, passwd: what stands in the file is the password, but for the end of its line', async (t) => {
  const home = await newHome(t)
  await serve(t, home)
  const cases = [
    ['alice', ' two  spaces \n', ' two  spaces '],
    ['bob', 'ends as on Windows\r\n', 'ends as on Windows'],
    ['three', 'ünïcode ☂ — ok', 'ünïcode ☂ — ok'],
    ['four', 'two lines\nof text\n', 'two lines\nof text'],
  ] as const
  for (const [username, text, password] of cases) {
    t.is((await daybook(home, `user add ${username} --password-file ${passwordFile(home, text)}`)).code, 0)
    t.true(await canSignIn(home, username, password), username)
    t.false(await canSignIn(home, username, password.trim().slice(0, -1)), username)
  }
  t.is((await daybook(home, `user passwd alice --password-file ${passwordFile(home, 'another one')}`)).code, 0)
  t.true(await canSignIn(home, 'alice', 'another one'))
  t.false(await canSignIn(home, 'alice', ' two  spaces '))
})

test('user add, passwd --random-password: shown once, last, new each time, and it signs in', async (t) => {
  const home = await newHome(t)
  await serve(t, home)
  const passwordIn = (stdout: string): string => stdout.trimEnd().split('\n').at(-1)!
  const added = passwordIn((await daybook(home, 'user add alice --random-password')).stdout)
  t.true(await canSignIn(home, 'alice', added))
  const changed = passwordIn((await daybook(home, 'user passwd alice --random-password')).stdout)
  t.not(changed, added)
  t.true(await canSignIn(home, 'alice', changed))
  t.false(await canSignIn(home, 'alice', added))
  const refused = await daybook(home, 'user add alice --random-password')
  t.like(refused, { code: 1, stdout: '' }, 'no password is shown for an account that was not made')
})

test('user passwd: browsers are signed out, what waits for consent ends, connected apps stay', async (t) => {
  const home = await newHome(t)
  await serve(t, home)
  const chatgpt = new ClientSide(home.url)
  const browser = new Visitor(home.url)
  await browser.signUp(person('alice'))
  const consent = await browser.get(chatgpt.link())
  const { json: tokens } = await chatgpt.exchange(await chatgpt.codeFor(browser))
  t.is((await daybook(home, 'user passwd alice --random-password')).code, 0)
  t.is((await browser.submit(consent, 'decision', { decision: 'allow' })).status, 403)
  t.regex((await browser.get('/')).text, /href="\/login"/)
  t.is((await chatgpt.api(tokens.access_token, 'GET', '/todos/me')).status, 200)
  t.is((await chatgpt.refresh(tokens.refresh_token)).status, 200)
})

test('user revoke, restore without a server hold for the next one: nothing old comes back', async (t) => {
  const home = await newHome(t)
  const first = await serve(t, home)
  const chatgpt = new ClientSide(home.url)
  const [alice, bob] = [person('alice'), person('bob')]
  const browser = new Visitor(home.url)
  const hers = await chatgpt.connect(alice, browser)
  const his = await chatgpt.connect(bob)
  const code = await chatgpt.codeFor(browser)
  t.is(await first.stop(), 0)
  t.is((await daybook(home, 'user revoke alice')).code, 0)
  const second = await serve(t, home)
  const isDead = async (): Promise<void> => {
    t.is((await chatgpt.api(hers.access_token, 'GET', '/todos/me')).status, 401)
    t.is((await chatgpt.refresh(hers.refresh_token)).json.error, 'invalid_grant')
    t.is((await chatgpt.exchange(code)).json.error, 'invalid_grant')
    t.regex((await browser.get('/')).text, /href="\/login"/)
  }
  await isDead()
  t.false(await canSignIn(home, 'alice', alice.password))
  t.is((await chatgpt.api(his.access_token, 'GET', '/todos/me')).status, 200)
  t.is(await second.stop(), 0)
  t.is((await daybook(home, 'user restore alice')).code, 0)
  await serve(t, home)
  await isDead()
  t.true(await canSignIn(home, 'alice', alice.password))
})

test('a password that others try first, or one of their own names: refused, by whichever of them they are called', async (t) => {
  const home = await newHome(t)
  t.is(
    (await daybook(home, `user add alice --email alice@example.org --password-file ${passwordFile(home, 'iloveyou')}`))
      .code,
    1,
  )
  await daybook(home, 'user add alice-of-old --email alice@example.org --random-password')
  for (const word of ['trustno1', 'Alice@example.org', 'ALICE-of-old'])
    for (const name of ['alice-of-old', 'alice@example.org']) {
      const refused = await daybook(home, `user passwd ${name} --password-file ${passwordFile(home, word)}`)
      t.is(refused.code, 1, word)
      t.regex(refused.stderr, /others would try/)
    }
  t.deepEqual(await eventsOf(home), ['UserRegistered'])
})
