/** `daybook client …`: what the operator gives an app, allows it, and takes back; secrets are shown once or not at all. */
import test from 'ava'
import { bookOf, daybook, eventsOf, type Home, homeFor, newHome, rowsOf, run, serve, WAYS } from '../_serve.ts'
import { CALLBACK, CHATGPT_ID, CHATGPT_SECRET, ClientSide, person, Visitor } from '../_support.ts'

const SECRET = /^dbs_[\w-]{43}$/
/** Where nothing of the ChatGPT client is given, so that Daybook makes it up. */
const NOT_GIVEN = { OPENAI_CLIENT_ID: '', OPENAI_CLIENT_SECRET: '', OPENAI_REDIRECT_URIS: '' }
const ASKED = 'https://chatgpt.com/aip/g-0123456789/oauth/callback'

const recordOf = async (home: Home, words: string) => {
  const { code, stdout, stderr } = await daybook(home, `${words} -o json`)
  if (code !== 0) throw new Error(`${words}: ${code} ${stderr}`)
  return JSON.parse(stdout)
}

for (const way of WAYS) {
  test(`client: list, show, add, allow, rotate-secret (${way})`, async (t) => {
    const home = await homeFor(t, way)
    const added = await daybook(home, 'client add --name Other --redirect https://other.example/cb -o ndjson')
    t.like(added, { code: 0, stderr: 'The secret is shown this once; Daybook keeps only its digest.\n' })
    const { client_id: id, secret, ...more } = JSON.parse(added.stdout)
    t.deepEqual(more, {})
    t.regex(id, /^[0-9a-z]{26}$/)
    t.regex(secret, SECRET)

    t.deepEqual(await daybook(home, `client allow ${id} https://other.example/second?a=1`), {
      code: 0,
      stdout: `${id} may be answered at https://other.example/second?a=1.\n`,
      stderr: '',
    })
    t.deepEqual(await daybook(home, `client allow ${CHATGPT_ID} ${ASKED}`), {
      code: 0,
      stdout: `${CHATGPT_ID} may be answered at ${ASKED}.\n`,
      stderr: '',
    })
    const rotated = await daybook(home, `client rotate-secret ${id} -o json`)
    t.like(rotated, { code: 0, stderr: 'The old secret no longer works. Put the new one into the app.\n' })
    t.is(JSON.parse(rotated.stdout).client_id, id)
    t.regex(JSON.parse(rotated.stdout).secret, SECRET)
    t.not(JSON.parse(rotated.stdout).secret, secret)
    t.deepEqual(await eventsOf(home), [
      ...['ClientRegistered', 'RedirectUriAllowed', 'RedirectUriAllowed', 'RedirectUriAllowed'],
      'ClientSecretRotated',
    ])

    const rows = await rowsOf(home, 'client list')
    const [chatgpt, other] = rows
    t.is(rows.length, 2)
    const { since, ...row } = chatgpt!
    t.deepEqual(row, {
      id: 'chatgpt',
      name: 'ChatGPT',
      client_id: CHATGPT_ID,
      kind: 'confidential',
      registration: 'operator',
      vouched_by: 'operator',
      callbacks: [CALLBACK, ASKED],
      waiting: [],
      grant_types: ['authorization_code', 'refresh_token'],
      last_connected: null,
      expires: null,
    })
    t.regex(since, /Z$/)
    t.like(other!, { id, client_id: id, name: 'Other' })
    t.deepEqual(other!.callbacks, ['https://other.example/cb', 'https://other.example/second?a=1'])
    for (const name of ['chatgpt', CHATGPT_ID, id])
      t.is((await recordOf(home, `client show ${name}`)).secret, null, 'not kept here')
    t.regex((await daybook(home, `client show ${id}`)).stderr, /^The secret was shown when it was made/)
  })
}

test('client: tables for people', async (t) => {
  const home = await newHome(t)
  await daybook(home, 'client show chatgpt')
  const listed = await daybook(home, 'client list')
  t.deepEqual(listed.stdout.split('\n'), [
    `ID       NAME     CLIENT ID            REGISTRATION  ${'CALLBACKS'.padEnd(CALLBACK.length)}  WAITING`,
    `chatgpt  ChatGPT  ${CHATGPT_ID}  operator      ${CALLBACK}`,
    '',
  ])
  const shown = await daybook(home, 'client show chatgpt')
  t.like(shown, { code: 0, stderr: 'The secret is the one in OPENAI_CLIENT_SECRET.\n' })
  const lines = shown.stdout.trimEnd().split('\n')
  t.deepEqual(
    lines.map((line) => line.slice(0, 16).trimEnd()),
    [
      'id',
      'name',
      'client id',
      'kind',
      'registration',
      'vouched by',
      'callbacks',
      'waiting',
      'grant types',
      '',
      'since',
    ].concat(['last connected', 'expires', 'secret']),
  )
  t.true(lines.includes(`client id       ${CHATGPT_ID}`))
  const added = await daybook(home, 'client add --name Other --redirect https://a.example/ https://b.example/')
  t.regex(added.stdout, /^client id {2}[0-9a-z]{26}\nsecret {5}dbs_[\w-]{43}\n$/)
})

test('client: what is refused ends with 1, what is no command with 2; neither changes anything', async (t) => {
  const home = await homeFor(t, 'beside a server')
  const add = 'client add --redirect https://a.example/cb --name'
  const refusals = [
    ['client show nobody', 'There is no client of that name.'],
    ['client allow nobody https://a.example/cb', 'There is no client of that name.'],
    [`client allow chatgpt ${CALLBACK}`, 'allowed already'],
    ['client allow chatgpt http://a.example/cb', 'callback'],
    ['client allow chatgpt https://a.example/cb#f', 'callback'],
    ['client allow chatgpt https://alice:secret@a.example/cb', 'callback'],
    ['client allow chatgpt javascript:alert(1)', 'callback'],
    ['client rotate-secret nobody', 'There is no client of that name.'],
    ['client rotate-secret chatgpt', 'OPENAI_CLIENT_SECRET'],
    ['client add --name Other --redirect http://a.example/cb', 'callback'],
    ['client add --name Other --redirect https://a.example/cb nonsense', 'callback'],
    [`${add} ${'x'.repeat(61)}`, 'client name'],
    [`${add} \u001b[31mred`, 'client name'],
    [`${add} right\u202eto-left`, 'client name'],
  ] as const
  const before = await bookOf(home)
  for (const [words, sentence] of refusals) {
    const { code, stdout, stderr } = await daybook(home, words)
    t.deepEqual([code, stdout], [1, ''], words)
    t.regex(stderr, /^daybook: [^\n]+\n$/, words)
    t.true(stderr.includes(sentence), `${words}: ${stderr}`)
  }
  for (const words of [
    'client',
    'client add --name Other',
    'client add --redirect https://a.example/cb',
    `${add} Other --grant-type password`,
    'client allow chatgpt',
    'client remove-all',
  ])
    t.like(await daybook(home, words), { code: 2, stdout: '' }, words)
  t.deepEqual(await bookOf(home), before)
})

for (const way of WAYS)
  test(`client list: the oldest first, whatever they are called (${way})`, async (t) => {
    const home = await homeFor(t, way)
    for (const name of ['B', 'A', 'C']) await daybook(home, `client add --name ${name} --redirect https://a.example/`)
    t.deepEqual(
      (await rowsOf(home, 'client list')).map((row) => row.name),
      ['ChatGPT', 'B', 'A', 'C'],
    )
  })

test('a command leaves the ChatGPT client as it is, whatever the command’s own environment says', async (t) => {
  const home = await newHome(t)
  const before = await recordOf(home, 'client show chatgpt')
  const env = {
    OPENAI_CLIENT_ID: 'another_id',
    OPENAI_CLIENT_SECRET: 'another_secret_0123456789012345678901',
    OPENAI_REDIRECT_URIS: ASKED,
  }
  for (const words of ['user list', 'client list', 'client show chatgpt'])
    t.is((await daybook(home, words, { env })).code, 0, words)
  t.deepEqual(await eventsOf(home), [])
  t.deepEqual(await recordOf(home, 'client show chatgpt'), before)
})

test('client: names of many words and odd signs are shown as they are', async (t) => {
  const home = await newHome(t)
  const name = `Ünï ☂ <b>"app"</b> & 'co' =1+1`
  const words = ['client', 'add', '--name', name, '--redirect', 'https://a.example/cb']
  t.is((await run(words, { env: home.env })).code, 0)
  t.deepEqual((await rowsOf(home, 'client list')).map((row) => row.name).sort(), ['ChatGPT', name])
  t.true((await daybook(home, 'client list')).stdout.includes(`  ${name}  `))
})

test('client show: a secret that Daybook made is shown, stays, and works; one from the settings is not shown', async (t) => {
  const home = await newHome(t, { ...NOT_GIVEN, OPENAI_REDIRECT_URIS: CALLBACK })
  const made = await recordOf(home, 'client show chatgpt')
  t.regex(made.client_id, /^chatgpt-[\w-]{8}$/)
  t.regex(made.secret, SECRET)
  await serve(t, home)
  t.deepEqual(await recordOf(home, 'client show chatgpt'), made)
  const client = { id: made.client_id, secret: made.secret, callback: CALLBACK }
  const tokens = await new ClientSide(home.url, client).connect(person('alice'))
  t.truthy(tokens.access_token)

  const given = await newHome(t)
  for (const format of ['table', 'json', 'ndjson']) {
    const shown = await daybook(given, `client show chatgpt -o ${format}`)
    t.false(shown.stdout.includes(CHATGPT_SECRET), format)
    t.true(shown.stderr.includes('the one in OPENAI_CLIENT_SECRET'), format)
    if (format !== 'table') t.is(JSON.parse(shown.stdout).secret, null)
  }
})

test('client rotate-secret: the old one ends at once, the new one works, tokens stay', async (t) => {
  const home = await newHome(t, { ...NOT_GIVEN, OPENAI_REDIRECT_URIS: CALLBACK })
  await serve(t, home)
  const before = await recordOf(home, 'client show chatgpt')
  const old = new ClientSide(home.url, { id: before.client_id, secret: before.secret, callback: CALLBACK })
  const tokens = await old.connect(person('alice'))
  const after = await recordOf(home, 'client rotate-secret chatgpt')
  t.is(after.client_id, before.client_id)
  t.is((await recordOf(home, 'client show chatgpt')).secret, after.secret)
  t.is((await old.refresh(tokens.refresh_token)).status, 401)
  t.is((await old.api(tokens.access_token, 'GET', '/todos/me')).status, 200)
  const renewed = new ClientSide(home.url, { id: after.client_id, secret: after.secret, callback: CALLBACK })
  t.is((await renewed.refresh(tokens.refresh_token)).status, 200)
})

test('client add: the app completes the flow with what it was shown; only with the grant types it was given', async (t) => {
  const home = await newHome(t)
  await serve(t, home)
  const callback = 'https://other.example/cb?keep=1'
  const words = `client add --name Other --redirect ${callback}`
  const first = await recordOf(home, words)
  const other = new ClientSide(home.url, { id: first.client_id, secret: first.secret, callback })
  const visitor = new Visitor(home.url)
  const tokens = await other.connect(person('alice'), visitor)
  t.is((await other.refresh(tokens.refresh_token)).status, 200)

  const second = await recordOf(home, `${words} --grant-type authorization_code`)
  const once = new ClientSide(home.url, { id: second.client_id, secret: second.secret, callback })
  const given = await once.exchange(await once.codeFor(visitor))
  t.is(given.status, 200)
  t.false('refresh_token' in given.json)
  const refused = await once.refresh('dbr_anything')
  t.is(refused.status, 400)
  t.is(refused.json.error, 'unauthorized_client')
})

test('3. a callback of ChatGPT that nobody allowed is seen waiting and allowed in one step', async (t) => {
  const home = await newHome(t)
  await serve(t, home)
  const visitor = new Visitor(home.url)
  await visitor.signUp(person('alice'))
  const chatgpt = new ClientSide(home.url, { id: CHATGPT_ID, secret: CHATGPT_SECRET, callback: ASKED })
  const refused = await visitor.get(chatgpt.link())
  t.is(refused.status, 400)
  t.regex(refused.text, /operator/)
  const before = await rowsOf(home, 'client list')
  t.deepEqual(before[0]!.waiting, [ASKED])
  const shown = await daybook(home, 'client show chatgpt')
  t.true(shown.stdout.includes(ASKED))
  // What it proposes is the command that does it.
  const proposed = /daybook -- (client allow \S+) '([^']+)'/.exec(shown.stderr)!
  t.is((await daybook(home, `${proposed[1]} ${proposed[2]}`)).code, 0)
  t.truthy((await chatgpt.exchange(await chatgpt.codeFor(visitor))).json.access_token)
  const [row] = await rowsOf(home, 'client list')
  t.deepEqual([row!.waiting, row!.callbacks], [[], [CALLBACK, ASKED]])
  t.notRegex((await daybook(home, 'client show chatgpt')).stderr, /allowed/)
})

test('client disallow: a callback that was allowed, and one that waits; one of the settings stays', async (t) => {
  const home = await newHome(t)
  await serve(t, home)
  const visitor = new Visitor(home.url)
  const chatgpt = new ClientSide(home.url, { id: CHATGPT_ID, secret: CHATGPT_SECRET, callback: ASKED })
  await visitor.get(chatgpt.link())
  t.is((await daybook(home, `client disallow chatgpt ${ASKED}`)).code, 0)
  t.deepEqual((await rowsOf(home, 'client list'))[0]!.waiting, [])
  await daybook(home, `client allow chatgpt ${ASKED}`)
  t.is((await visitor.get(chatgpt.link())).status, 200)
  t.is((await daybook(home, `client disallow chatgpt ${ASKED}`)).code, 0)
  t.is((await visitor.get(chatgpt.link())).status, 400)
  for (const [uri, why] of [
    [CALLBACK, /OPENAI_REDIRECT_URIS/],
    ['https://a.example/', /neither allowed nor waiting/],
  ] as const) {
    const refused = await daybook(home, `client disallow chatgpt ${uri}`)
    t.is(refused.code, 1)
    t.regex(refused.stderr, why)
  }
})
