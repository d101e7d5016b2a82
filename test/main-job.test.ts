/** The whole story from outside, on a server that is a process of its own; and what it leaves behind gives no secret away. */
import { createHash } from 'node:crypto'
import { lstatSync, readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import test, { type ExecutionContext } from 'ava'
import { Level } from 'level'
import { daybook, type Home, newHome, serve } from './_serve.ts'
import { type Answer, CHATGPT_SECRET, ClientSide, formWith, person, type Tokens, Visitor } from './_support.ts'

const TOKEN_LIFE = ['access_token', 'token_type', 'expires_in', 'refresh_token', 'scope']

test('the guide, end to end: documents, two people, to-dos, restart, replay, refresh, revocation, proof', async (t) => {
  const home = await newHome(t, { OPENAI_VERIFICATION_TOKEN: 'verify"me$&' })
  const before = await serve(t, home)
  await documentsAreRight(t, home)

  const chatgpt = new ClientSide(home.url)
  const [alice, bob] = [person('alice'), person('bob')]
  const visitor = new Visitor(home.url)
  await visitor.signUp(alice)
  const code = await chatgpt.codeFor(visitor, { state: 's+1%2B&ü' })
  const exchanged = await chatgpt.exchange(code)
  t.is(exchanged.status, 200)
  t.deepEqual(Object.keys(exchanged.json), TOKEN_LIFE)
  const a: Tokens = exchanged.json
  const bobsBrowser = new Visitor(home.url)
  const b = await chatgpt.connect(bob, bobsBrowser)
  t.is(new Set([a.access_token, a.refresh_token, b.access_token, b.refresh_token]).size, 4)

  const list = async (token: string, who = 'me') => (await chatgpt.api(token, 'GET', `/todos/${who}`)).json
  for (const [index, todo] of ['buy milk', 'call home', 'ünï ☂'].entries()) {
    const { status, json } = await chatgpt.api(a.access_token, 'POST', '/todos/me', { todo })
    t.is(status, 200)
    t.like(json, { todo, todo_idx: index })
  }
  for (const who of ['me', 'global', 'alice', 'ALICE'])
    t.deepEqual(await list(a.access_token, who), { todos: ['buy milk', 'call home', 'ünï ☂'] }, who)
  t.deepEqual(await list(b.access_token), { todos: [] })
  t.is((await chatgpt.api(b.access_token, 'GET', '/todos/alice')).status, 403)
  t.is((await chatgpt.api(a.access_token, 'DELETE', '/todos/global', { todo_idx: 1 })).json.todo, 'call home')
  t.is((await chatgpt.api(a.access_token, 'DELETE', '/todos/me', { todo_idx: 9 })).status, 404)
  t.is((await chatgpt.api(undefined, 'GET', '/todos/me')).status, 401)

  t.is(await before.stop('SIGTERM'), 0)
  await serve(t, home)
  t.deepEqual(await list(a.access_token, 'alice'), { todos: ['buy milk', 'ünï ☂'] }, 'after a restart')
  t.is((await visitor.get('/')).text.includes('ünï ☂'), true, 'her browser is still signed in')

  const replayed = await chatgpt.exchange(code)
  t.is(replayed.status, 400)
  t.is(replayed.json.error, 'invalid_grant')
  t.is((await chatgpt.api(a.access_token, 'GET', '/todos/me')).status, 401, 'a replayed code ends what it gave')
  t.is((await chatgpt.refresh(a.refresh_token)).json.error, 'invalid_grant')

  const refreshed = await chatgpt.refresh(b.refresh_token, {}, 'form')
  t.is(refreshed.status, 200)
  const r: Tokens = refreshed.json
  t.not(r.refresh_token, b.refresh_token)
  t.deepEqual(await list(r.access_token), { todos: [] })

  // Who has an account signs in with it, from a browser that knows nothing.
  const again = new Visitor(home.url)
  t.is((await again.signIn(alice, chatgpt.link())).headers.get('location'), chatgpt.link())
  const c: Tokens = (await chatgpt.exchange(await chatgpt.codeFor(again))).json
  t.deepEqual(await list(c.access_token), { todos: ['buy milk', 'ünï ☂'] })

  t.like(await daybook(home, 'user revoke bob'), { code: 0, stderr: '' })
  t.is((await chatgpt.api(r.access_token, 'GET', '/todos/me')).status, 401)
  t.is((await chatgpt.refresh(r.refresh_token)).json.error, 'invalid_grant')
  t.is(formWith((await bobsBrowser.get(chatgpt.link())).text, 'decision'), undefined, 'his session is over')
  const back = await new Visitor(home.url).signIn(bob)
  t.is(back.status, 400)
  t.truthy(formWith(back.text, 'identifier'))
  t.is((await chatgpt.api(c.access_token, 'GET', '/todos/me')).status, 200, 'alice is unaffected')

  const verified = await daybook(home, 'audit verify')
  t.is(verified.code, 0)
  const audit = await daybook(home, 'audit list --limit 100 -o json')
  const events: { type: string; seq: number; hash: string }[] = JSON.parse(audit.stdout).reverse()
  t.deepEqual(
    events.map(({ type }) => type),
    [
      ...['BookOpened', 'ClientRegistered', 'RedirectUriAllowed'],
      ...['UserRegistered', 'SignedIn', 'ConsentRequested', 'ConsentGranted', 'CodeIssued', 'TokenIssued'],
      ...['UserRegistered', 'SignedIn', 'ConsentRequested', 'ConsentGranted', 'CodeIssued', 'TokenIssued'],
      ...['TodoAdded', 'TodoAdded', 'TodoAdded', 'TodoDeleted'],
      ...['BookOpened', 'CodeReplayed', 'TokenRefreshed'],
      ...['SignedIn', 'ConsentRequested', 'ConsentGranted', 'CodeIssued', 'TokenIssued'],
      ...['UserRevoked', 'SignInFailed'],
    ],
  )
  const last = events.at(-1)!
  t.true(verified.stdout.includes(`${last.seq}:${last.hash}`), verified.stdout)
})

async function documentsAreRight(t: ExecutionContext, { url }: Home): Promise<void> {
  const manifest: any = await (await fetch(`${url}/.well-known/ai-plugin.json`)).json()
  t.is(manifest.schema_version, 'v1')
  t.like(manifest.auth, { type: 'oauth', client_url: `${url}/oauth`, authorization_url: `${url}/auth/oauth_exchange` })
  t.deepEqual(manifest.auth.verification_tokens, { openai: 'verify"me$&' })
  t.regex(manifest.name_for_model, /^[A-Za-z0-9]{1,50}$/)
  t.true(manifest.name_for_human.length <= 20 && manifest.description_for_human.length <= 100)
  t.regex(await (await fetch(manifest.api.url)).text(), /^openapi: ["']?3\.1/m)
  const openapi: any = await (await fetch(`${url}/openapi.json`)).json()
  t.is(openapi.servers[0].url, url)
  t.truthy(openapi.paths['/todos/{username}'])
  const logo = Buffer.from(await (await fetch(manifest.logo_url)).arrayBuffer())
  t.deepEqual([logo.toString('latin1', 1, 4), logo.readUInt32BE(16), logo.readUInt32BE(20)], ['PNG', 512, 512])
  t.is((await fetch(manifest.legal_info_url)).status, 200)
}

/** Where the requests of case 91 claim to come from. */
const FROM = { 'x-forwarded-for': '203.0.113.91', 'user-agent': 'Browser-of-91/1.0' }

/** A browser that notes each secret it is given: cookies, form tokens, codes. */
class Watched extends Visitor {
  readonly secrets: Set<string>
  constructor(url: string, secrets: Set<string>) {
    super(url)
    this.secrets = secrets
  }
  override async get(path: string, headers = {}): Promise<Answer> {
    return this.#note(await super.get(path, { ...FROM, ...headers }))
  }
  override async post(path: string, fields: { [name: string]: string }, headers = {}): Promise<Answer> {
    return this.#note(await super.post(path, fields, { ...FROM, ...headers }))
  }
  #note(answer: Answer): Answer {
    for (const [, token] of answer.text.matchAll(/name="form_token" value="([^"]+)"/g)) this.secrets.add(token!)
    for (const cookie of this.cookies.values()) this.secrets.add(cookie)
    const code = new URL(answer.headers.get('location') ?? '', this.url).searchParams.get('code')
    if (code !== null) this.secrets.add(code)
    return answer
  }
}

/** Every way a secret may stand somewhere: as it is, as a form or JSON has it, in base64 at any offset, in hex. */
function shapesOf(secret: string): string[] {
  const escaped = [secret, encodeURIComponent(secret), secret.replaceAll(' ', '+'), JSON.stringify(secret).slice(1, -1)]
  const random = /^db[a-z]_([\w-]{43})$/.exec(secret)?.[1]
  const bytes = [Buffer.from(random ?? secret), ...(random === undefined ? [] : [Buffer.from(random, 'base64url')])]
  const encoded = bytes.flatMap((raw) => {
    const hex = raw.toString('hex')
    const base64 = [0, 1, 2].map((shift) => {
      const text = Buffer.concat([Buffer.alloc(shift), raw]).toString('base64')
      return text.slice(Math.ceil((shift * 8) / 6), Math.floor(((shift + raw.length) * 8) / 6))
    })
    const base64url = base64.map((text) => text.replaceAll('+', '-').replaceAll('/', '_'))
    return [raw.toString('latin1'), raw.toString('utf16le'), hex, hex.toUpperCase(), ...base64, ...base64url]
  })
  return [...new Set([...escaped.map((text) => Buffer.from(text).toString('latin1')), random ?? secret, ...encoded])]
}

/** Which of the secrets stand in a text whose characters are bytes. */
const found = (text: string, secrets: Iterable<string>): string[] =>
  [...secrets].filter((secret) => shapesOf(secret).some((shape) => text.includes(shape)))

/** The bytes and names of all files under a folder, as one text of bytes. */
function bytesUnder(folder: string): string {
  const names = readdirSync(folder, { recursive: true, encoding: 'utf8' }).map((name) => join(folder, name))
  const files = names.filter((name) => lstatSync(name).isFile())
  return [...names, ...files.map((name) => readFileSync(name, 'latin1'))].join('\n')
}

/** Every key and value of a book, as the database reads them: tables on disk may be compressed. */
async function contentsOf(folder: string): Promise<string> {
  const database = new Level<string, string>(join(folder, 'book'), { createIfMissing: false })
  let text = ''
  for await (const [key, value] of database.iterator()) text += Buffer.from(`${key}\n${value}\n`).toString('latin1')
  await database.close()
  return text
}

const sha256 = (secret: string): string => createHash('sha256').update(secret).digest('hex')

test('91. none of the issued secrets stands in the data directory, the logs or the audit; no personal text in clear', async (t) => {
  const home = await newHome(t, {
    TRUST_PROXY: '127.0.0.1',
    LOG_LEVEL: 'trace',
    OPENAI_VERIFICATION_TOKEN: 'shown to all',
  })
  const secrets = new Set([CHATGPT_SECRET])
  const [alice, bob] = [person('alice.91'), person('bob.91')]
  const todos = ['feed the cat at 91', 'water the plants at 91']
  const personal = [alice.username, alice.email, bob.username, bob.email, ...todos, ...Object.values(FROM)]
  const chatgpt = new ClientSide(home.url)
  const give = (value: string): string => {
    secrets.add(value)
    return value
  }
  const keep = ({ json }: { json: Tokens }): Tokens => {
    for (const token of [json.access_token, json.refresh_token]) give(token)
    return json
  }
  for (const { password } of [alice, bob]) give(password)

  const first = await serve(t, home)
  // What goes well.
  const stranger = (): Watched => new Watched(home.url, secrets)
  const browser = stranger()
  await browser.signUp(alice)
  const code = await chatgpt.codeFor(browser)
  const tokens = keep(await chatgpt.exchange(code))
  for (const todo of todos) await chatgpt.api(tokens.access_token, 'POST', '/todos/me', { todo }, FROM)
  await chatgpt.api(tokens.access_token, 'DELETE', '/todos/me', { todo_idx: 0 }, FROM)
  const next = keep(await chatgpt.refresh(tokens.refresh_token))
  // What goes wrong, with secrets in places where nobody expects them.
  await stranger().signIn({ ...bob, password: give('a password mistyped 91') })
  await stranger().signIn({ ...alice, password: give('another password mistyped 91') })
  await stranger().signUp({
    ...bob,
    username: 'alice.91',
    password: give('a password not taken 91'),
  })
  await chatgpt.exchange(code, { client_secret: give('a client secret mistyped 91') })
  await chatgpt.exchange(give('dbc_of_nobody_91'))
  await chatgpt.exchange(await chatgpt.codeFor(browser), {
    redirect_uri: `https://x.example/${give('in-the-redirect-91')}`,
  })
  await fetch(`${home.url}/todos/me?access_token=${next.access_token}`)
  await fetch(`${home.url}/auth/oauth_exchange?code=${code}&client_secret=${CHATGPT_SECRET}`, { method: 'POST' })
  for (const type of ['application/json', 'text/plain', 'application/x-www-form-urlencoded'])
    for (const path of ['/auth/oauth_exchange', '/login', '/oauth/consent', '/todos/me']) {
      const body = `{"code":"${code}","password":"${alice.password}","client_secret":"${CHATGPT_SECRET}"`
      const headers = { 'content-type': type, authorization: `Bearer ${next.access_token}x`, cookie: `x=${code}` }
      await fetch(home.url + path, { method: 'POST', headers, body })
    }
  // What the operator does, beside the server that runs.
  const file = join(home.folder, 'password')
  writeFileSync(file, `${give('a password from a file 91')}\n`)
  t.is((await daybook(home, `user add bob.91 --email ${bob.email} --password-file ${file}`)).code, 0)
  give((await daybook(home, 'user passwd bob.91 --random-password')).stdout.trim().split('\n').at(-1)!)
  const added = await daybook(home, 'client add --name Other --redirect https://other.example/cb -o json')
  give(JSON.parse(added.stdout).secret)
  const rotated = await daybook(home, `client rotate-secret ${JSON.parse(added.stdout).client_id} -o json`)
  give(JSON.parse(rotated.stdout).secret)
  const lists = ['audit list --limit 999', 'user list', 'client list', 'client show chatgpt', 'config']
  const listed = async () =>
    (await Promise.all(lists.map((words) => daybook(home, `${words} -o json`)))).map((ran) => ran.stdout)
  const live = { files: bytesUnder(home.data), answers: (await listed()).join('\n') }

  t.is(await first.stop('SIGKILL'), 'SIGKILL')
  const second = await serve(t, home)
  await browser.get('/')
  await chatgpt.exchange(code)
  await chatgpt.refresh(tokens.refresh_token)
  await daybook(home, 'user revoke bob.91')
  const answers = (await listed()).join('\n')
  t.is(await second.stop(), 0)
  const said = [first, second].map((server) => server.said.stdout + server.said.stderr).join('\n')
  const after = bytesUnder(home.data)
  const contents = await contentsOf(home.data)

  t.true(secrets.size > 20, 'it saw what it looks for')
  const places = { 'live files': live.files, 'live answers': live.answers, files: after, contents, said, answers }
  for (const [place, text] of Object.entries(places)) t.deepEqual(found(text, secrets), [], place)
  for (const [place, text] of Object.entries({ 'live files': live.files, files: after, contents }))
    t.deepEqual(found(text, personal), [], `in clear in ${place}`)

  // The search finds what is there: the digests of what was given, the requests, and what the operator may see.
  for (const text of [live.files, contents, answers]) t.true(text.includes(sha256(tokens.access_token)))
  for (const path of ['/auth/oauth_exchange', '/login', '/todos/:username']) t.true(said.includes(`"path":"${path}"`))
  t.deepEqual(found(answers, personal), personal)
  for (const secret of secrets)
    for (const shape of shapesOf(secret)) t.deepEqual(found(`-${shape}-`, [secret]), [secret])
})
