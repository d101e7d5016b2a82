/** The settings: where each may come from, which wins, and that a wrong one stops the start with one line that names it. */
import { existsSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import test from 'ava'
import { readConfig, SETTING_NAMES, type SettingName, UsageError } from '../../src/cli/config.ts'
import { settingsOf as wireSettingsOf } from '../../src/cli/serve.ts'
import { LIMITS } from '../../src/service/limits.ts'
import { daybook, type Env, type Home, newHome, run, serve } from '../_serve.ts'
import { CHATGPT_SECRET, ClientSide, person, temporaryFolder } from '../_support.ts'

const settingsOf = async (home: Home, words = 'config', env: Env = {}) => {
  const { code, stdout, stderr } = await daybook(home, `${words} -o json`, { env })
  if (code !== 0) throw new Error(`${words}: ${code} ${stderr}`)
  const rows: { name: string; value: string; source: string }[] = JSON.parse(stdout)
  return Object.fromEntries(rows.map(({ name, value, source }) => [name, [value, source]]))
}

const SECRETS: string[] = ['SERVICE_TOKEN', 'OPENAI_CLIENT_SECRET', 'OPENAI_VERIFICATION_TOKEN']

const DEFAULTS = {
  APP_PORT: '85',
  HOST: '127.0.0.1',
  PUBLIC_URL: 'http://localhost:85',
  DATA_DIR: './data',
  AUTH_MODE: 'oauth',
  SERVICE_TOKEN: null,
  OPENAI_CLIENT_ID: null,
  OPENAI_CLIENT_SECRET: null,
  OPENAI_VERIFICATION_TOKEN: null,
  OPENAI_REDIRECT_URIS: null,
  SIGNUP: 'open',
  CLIENT_REGISTRATION: 'on',
  CODE_TTL: '60s',
  ACCESS_TTL: '1h',
  REFRESH_IDLE_TTL: '30d',
  REFRESH_MAX_TTL: '90d',
  SESSION_TTL: '14d',
  RATE_LIMIT: 'on',
  LIMIT_SIGN_IN: '10/15m',
  LIMIT_SIGN_IN_ADDRESS: '100/15m',
  LIMIT_SIGN_UP: '20/1h',
  LIMIT_SIGN_UPS: '100/1d',
  LIMIT_ACCOUNT: '120/1h',
  LIMIT_CONSENT: '120/1h',
  LIMIT_AUTHORIZE: '120/1m',
  LIMIT_WAITING: '10/1d',
  LIMIT_REGISTER: '20/1h',
  LIMIT_TOKEN: '600/1m',
  LIMIT_REFRESH: '300/1h',
  LIMIT_FAILED: '60/1m',
  LIMIT_API: '600/1m',
  LIMIT_WRITE: '10000/1d',
  MAX_LIST_SIZE: '4MB',
  MAX_LISTS_SIZE: '256MB',
  MAX_OPEN_TODOS: '1000',
  TRUST_PROXY: null,
  CORS_ORIGINS: 'https://chat.openai.com,https://chatgpt.com',
  CONTACT_EMAIL: 'postmaster@localhost',
  LOG_LEVEL: 'info',
}

test('config: every setting, its value and where it came from; defaults as the contract has them', async (t) => {
  const bare = await run(['config', '-o', 'json'])
  t.like(bare, { code: 0, stderr: '' })
  t.deepEqual(
    JSON.parse(bare.stdout),
    Object.entries(DEFAULTS).map(([name, value]) => ({ name, value, source: 'default' })),
  )
  t.deepEqual(Object.keys(DEFAULTS), SETTING_NAMES)
  const table = (await run(['config'])).stdout.split('\n')
  t.regex(table[0]!, /^NAME {23}VALUE +SOURCE$/)
  t.regex(table[1]!, /^APP_PORT +85 +default$/)
  const lines = (await run(['config', '-o', 'ndjson'])).stdout.trimEnd().split('\n')
  t.deepEqual(JSON.parse(lines[0]!), { name: 'APP_PORT', value: '85', source: 'default' })
  t.is(lines.length, SETTING_NAMES.length)
})

test('config: secrets are told as set or not, never themselves', async (t) => {
  const home = await newHome(t, { OPENAI_VERIFICATION_TOKEN: 'token-of-the-manifest' })
  for (const format of ['table', 'json', 'ndjson']) {
    const { stdout } = await daybook(home, `config -o ${format}`)
    for (const secret of [CHATGPT_SECRET, 'token-of-the-manifest']) t.false(stdout.includes(secret), format)
  }
  const { OPENAI_CLIENT_SECRET, OPENAI_VERIFICATION_TOKEN } = await settingsOf(home)
  t.deepEqual(OPENAI_CLIENT_SECRET, ['(set)', 'environment'])
  t.deepEqual(OPENAI_VERIFICATION_TOKEN, ['(set)', 'environment'])
})

test('a flag wins over the environment, that over the file, that over the default; an empty one is none', async (t) => {
  const folder = temporaryFolder(t)
  const home: Home = { folder, data: join(folder, 'data'), port: 0, url: '', env: {} }
  writeFileSync(
    join(folder, 'settings'),
    `# A comment
ACCESS_TTL=1m
CODE_TTL=1m
REFRESH_IDLE_TTL="1m"
export SESSION_TTL='1m'
SIGNUP=
OPENAI_CLIENT_SECRET=secret-in-the-file-0123456789
`,
  )
  const env = { CODE_TTL: '2m', REFRESH_IDLE_TTL: '2m', REFRESH_MAX_TTL: '2m', SESSION_TTL: '', LOG_LEVEL: '' }
  const words = '--config settings --refresh-idle-ttl 3m --app-port 4000 --refresh-max-ttl= config'
  const settings = await settingsOf(home, words, env)
  t.deepEqual(settings.ACCESS_TTL, ['1m', 'file'])
  t.deepEqual(settings.CODE_TTL, ['2m', 'environment'])
  t.deepEqual(settings.REFRESH_IDLE_TTL, ['3m', 'flag'])
  t.deepEqual(settings.REFRESH_MAX_TTL, ['2m', 'environment'])
  t.deepEqual(settings.SESSION_TTL, ['1m', 'file'])
  t.deepEqual(settings.SIGNUP, ['open', 'default'])
  t.deepEqual(settings.LOG_LEVEL, ['info', 'default'])
  t.deepEqual(settings.OPENAI_CLIENT_SECRET, ['(set)', 'file'])
  t.deepEqual(settings.PUBLIC_URL, ['http://localhost:4000', 'default'], 'what follows from another setting follows it')
  t.deepEqual((await settingsOf(home, 'config --code-ttl 5m', env)).CODE_TTL, ['5m', 'flag'], 'a flag may come last')
})

test('every setting but a secret has a flag', async (t) => {
  const secrets: string[] = SECRETS
  const flags = SETTING_NAMES.filter((name) => !secrets.includes(name)).flatMap((name) => [
    `--${name.toLowerCase().replaceAll('_', '-')}`,
    MALFORMED[name].right[0]!,
  ])
  const { code, stdout } = await run([...flags, 'config', '-o', 'json'])
  t.is(code, 0)
  for (const { name, source } of JSON.parse(stdout)) t.is(source, secrets.includes(name) ? 'default' : 'flag', name)
  for (const name of secrets) {
    const flag = `--${name.toLowerCase().replaceAll('_', '-')}`
    t.like(await run([flag, 'a-secret-on-the-command-line', 'config']), { code: 2, stdout: '' }, name)
  }
})

test('every secret X can be given as X_FILE, from the environment and from the file of settings', async (t) => {
  const home = await newHome(t, { OPENAI_CLIENT_SECRET: '' })
  const [secret, token] = [join(home.folder, 'secret'), join(home.folder, 'token')]
  writeFileSync(secret, `${CHATGPT_SECRET}\n`)
  writeFileSync(token, 'verify"me$&\r\n')
  writeFileSync(join(home.folder, 'settings'), `OPENAI_VERIFICATION_TOKEN_FILE=${token}\n`)
  const env = { ...home.env, OPENAI_CLIENT_SECRET_FILE: secret }
  const settings = await settingsOf({ ...home, env }, '--config settings config')
  t.deepEqual(settings.OPENAI_CLIENT_SECRET, ['(set)', 'environment'])
  t.deepEqual(settings.OPENAI_VERIFICATION_TOKEN, ['(set)', 'file'])
  const server = await serve(t, { ...home, env }, ['--config', 'settings'])
  const manifest: any = await (await fetch(`${server.url}/.well-known/ai-plugin.json`)).json()
  t.deepEqual(manifest.auth.verification_tokens, { openai: 'verify"me$&' })
  t.truthy((await new ClientSide(server.url).connect(person('alice'))).access_token)
})

/** One line on stderr that begins so, nothing on stdout, exit 2. */
const usageError = (beginning: string) => ({
  code: 2,
  stdout: '',
  stderr: new RegExp(`^daybook: ${beginning.replaceAll(/[()[\]./]/g, '\\$&')}[^\n]*\n$`),
})

test('X and X_FILE together, an X_FILE that cannot be read, and a file of settings that cannot: 2, named', async (t) => {
  const home = await newHome(t)
  const secret = join(home.folder, 'secret')
  writeFileSync(secret, CHATGPT_SECRET)
  const file = (text: string): string => {
    const path = join(home.folder, `settings-${Math.random().toString(36).slice(2)}`)
    writeFileSync(path, text)
    return path
  }
  const cases: [words: string, env: Env, beginning: string][] = [
    [
      'serve',
      { OPENAI_CLIENT_SECRET_FILE: secret },
      'OPENAI_CLIENT_SECRET and OPENAI_CLIENT_SECRET_FILE are both given',
    ],
    ['serve', { OPENAI_VERIFICATION_TOKEN_FILE: `${secret}-missing` }, 'OPENAI_VERIFICATION_TOKEN_FILE: '],
    ['serve', { OPENAI_CLIENT_SECRET: '', OPENAI_CLIENT_SECRET_FILE: home.folder }, 'OPENAI_CLIENT_SECRET_FILE: '],
    ['serve --config missing', {}, '--config: '],
    [`serve --config ${file('APP_PROT=85')}`, {}, 'APP_PROT is not a setting (in '],
    [`serve --config ${file('PATH=/bin')}`, {}, 'PATH is not a setting (in '],
    [`serve --config ${file('DAYBOOK_SIGNUP=open')}`, {}, 'DAYBOOK_SIGNUP is not a setting: it is called SIGNUP (in '],
    [`serve --config ${file('SIGNUP_FILE=/etc/hostname')}`, {}, 'SIGNUP_FILE is not a setting (in '],
    [`serve --config ${file('# closed\n\nexport SIGNUP=open\nSIGNUP: closed\n')}`, {}, '--config: line 4 of '],
    [`serve --config ${file('SIGNUP closed')}`, {}, '--config: line 1 of '],
    [`serve --config ${file('SIGNUP=perhaps')}`, {}, 'SIGNUP: '],
    ['serve', { DAYBOOK_PORT: '85' }, 'DAYBOOK_PORT is not a setting'],
    ['serve', { DAYBOOK_APP_PORT: '85' }, 'DAYBOOK_APP_PORT is not a setting: it is called APP_PORT'],
    ['user list', { DAYBOOK_: '' }, 'DAYBOOK_ is not a setting'],
  ]
  for (const [words, env, beginning] of cases) {
    const { stderr, ...rest } = usageError(beginning)
    const ran = await daybook(home, words, { env })
    t.like(ran, rest, words)
    t.regex(ran.stderr, stderr)
  }
  t.false(existsSync(home.data), 'nothing was begun')
})

test('a name that every object has is no setting either', (t) => {
  const error = t.throws(() => readConfig({}, undefined, { DAYBOOK_constructor: '1' }), { instanceOf: UsageError })
  t.is(error.message, 'DAYBOOK_constructor is not a setting')
})

const LONG = 'x'.repeat(513)
const DURATION = {
  wrong: ['60', '0s', '-1s', '1.5h', '1w', '1H', '9999999s', '1h30m', ' 1h', 's', '٣s'],
  right: ['1s', '60s', '15m', '1h', '30d'],
}
const LIMIT = {
  wrong: ['10', '0/1m', '10/0m', '10/1w', '10/25d', '10 / 1m', '-1/1m', '1e3/1m'],
  right: ['10/15m', '1/1s', '600/1m', '1/24d'],
}
const SIZE = { wrong: ['4', '4mb', '0MB', '1.5MB', '-1MB', '4 MB', 'MB'], right: ['500kB', '4MB', '1GB'] }
/** For each setting what it does not take, and what it does. */
const MALFORMED: { readonly [N in SettingName]: { readonly wrong: string[]; readonly right: string[] } } = {
  APP_PORT: { wrong: ['0', '65536', '-1', '80.5', 'eight', '0x50', ' 85', '1e3'], right: ['1', '8085', '65535'] },
  HOST: { wrong: ['203.0.113.7'], right: ['0.0.0.0', '::1', 'localhost'] },
  PUBLIC_URL: {
    wrong: [
      ...['example.org', 'ftp://example.org', 'https://example.org/path', 'https://example.org?', 'https://'],
      ...['https://alice@example.org', 'https://example.org#', 'javascript:alert(1)', 'https://example.org//'],
      ...[
        'https://example.org\\',
        'https://exa mple.org',
        ' https://example.org',
        'https:example.org',
        'https://example.org:99999',
      ],
    ],
    right: ['https://example.org', 'https://Example.ORG:443/', 'http://localhost:8085', 'http://[::1]:85'],
  },
  DATA_DIR: { wrong: [import.meta.filename], right: ['./data', '/var/lib/daybook', 'a b'] },
  AUTH_MODE: { wrong: ['digest', 'OAUTH'], right: ['oauth', 'user_http', 'service_http', 'none'] },
  SERVICE_TOKEN: {
    wrong: ['short', 'with blanks in it all', 'ünïcödé-token-of-ours', LONG],
    right: ['a.b_c~d+e/f-g0123=='],
  },
  OPENAI_CLIENT_ID: { wrong: ['a b', 'a:b', 'ü', LONG], right: ['id_set_by_developer', 'a'] },
  OPENAI_CLIENT_SECRET: { wrong: ['short', 'with blanks in it all', 'ünïcödé-secret', LONG], right: [CHATGPT_SECRET] },
  OPENAI_VERIFICATION_TOKEN: { wrong: [LONG], right: ['a"b$&c', 'x'] },
  OPENAI_REDIRECT_URIS: {
    wrong: [
      ...['http://a.example/cb', 'https://a.example/cb#f', 'a.example', 'javascript:alert(1)', 'https://b@a.example/'],
      'https://a.example/cb,nonsense',
    ],
    right: ['https://a.example/cb', 'https://a.example/cb, https://b.example/cb?a=1', 'http://127.0.0.1:3000/cb'],
  },
  SIGNUP: { wrong: ['perhaps', 'OPEN', 'true'], right: ['open', 'closed'] },
  CLIENT_REGISTRATION: { wrong: ['yes', 'ON', '1'], right: ['on', 'off'] },
  CODE_TTL: DURATION,
  ACCESS_TTL: DURATION,
  REFRESH_IDLE_TTL: DURATION,
  REFRESH_MAX_TTL: DURATION,
  SESSION_TTL: DURATION,
  MAX_OPEN_TODOS: { wrong: ['0', '-1', '1.5', 'many', '1000000', ' 5'], right: ['1', '999999'] },
  TRUST_PROXY: {
    wrong: ['10.0.0.0/33', '10.0.0', 'proxy.example', '::1/129', '10.0.0.1,x', '10.0.0.0/8/8', '10.0.0.0/', '/8'],
    right: ['10.0.0.1', '10.0.0.0/8, ::1', 'fd00::/8'],
  },
  CORS_ORIGINS: {
    wrong: ['*', 'null', 'chatgpt.com', 'https://chatgpt.com/', 'https://chatgpt.com/x', 'ftp://a.example'],
    right: ['https://chatgpt.com', 'https://a.example,http://localhost:3000'],
  },
  CONTACT_EMAIL: { wrong: ['nobody', 'a b@example.org', '@example.org', 'a@'], right: ['contact@example.org'] },
  RATE_LIMIT: { wrong: ['no', 'ON'], right: ['on', 'off'] },
  LIMIT_SIGN_IN: LIMIT,
  LIMIT_SIGN_IN_ADDRESS: LIMIT,
  LIMIT_SIGN_UP: LIMIT,
  LIMIT_SIGN_UPS: LIMIT,
  LIMIT_ACCOUNT: LIMIT,
  LIMIT_CONSENT: LIMIT,
  LIMIT_AUTHORIZE: LIMIT,
  LIMIT_WAITING: LIMIT,
  LIMIT_REGISTER: LIMIT,
  LIMIT_TOKEN: LIMIT,
  LIMIT_REFRESH: LIMIT,
  LIMIT_FAILED: LIMIT,
  LIMIT_API: LIMIT,
  LIMIT_WRITE: LIMIT,
  MAX_LIST_SIZE: SIZE,
  MAX_LISTS_SIZE: SIZE,
  LOG_LEVEL: { wrong: ['loud', 'INFO'], right: ['info', 'silent', 'trace'] },
}

/** These only show when they are put to use. */
const ONLY_IN_USE = ['HOST', 'DATA_DIR']

test('a malformed value is refused with one line that names its setting, and shown unless it is a secret', (t) => {
  for (const name of SETTING_NAMES) {
    const { wrong, right } = MALFORMED[name]
    for (const value of ONLY_IN_USE.includes(name) ? [] : wrong) {
      const error = t.throws(() => readConfig({}, undefined, { [name]: value }), { instanceOf: UsageError }, value)
      t.regex(error?.message ?? '', new RegExp(`^${name}: [^\n]+$`))
      if (value === wrong[0]) t.is(error?.message.includes(value), !SECRETS.includes(name), value)
    }
    for (const value of right) t.notThrows(() => readConfig({}, undefined, { [name]: value }), value)
  }
})

for (const name of [...ONLY_IN_USE, 'APP_PORT', 'OPENAI_CLIENT_SECRET'] as const)
  test(`a malformed ${name} stops the start: 2, and one line on stderr`, async (t) => {
    const home = await newHome(t)
    const { wrong } = MALFORMED[name as SettingName]
    const { code, stdout, stderr } = await daybook(home, 'serve', { env: { [name]: wrong[0]! } })
    t.deepEqual([code, stdout], [2, ''], stderr)
    t.regex(stderr, new RegExp(`^daybook: ${name}: [^\n]+\n$`))
    if (!ONLY_IN_USE.includes(name)) t.false(existsSync(home.data), 'nothing was begun')
  })

test('PUBLIC_URL is one origin, however it is written', (t) => {
  const read = (url: string) => readConfig({}, undefined, { PUBLIC_URL: url }).config.PUBLIC_URL
  for (const url of [
    'https://todo.example',
    'https://todo.example:443',
    'HTTPS://Todo.Example/',
    'https://todo.example:443/',
  ])
    t.is(read(url), 'https://todo.example', url)
  t.is(read('http://TODO.example:80'), 'http://todo.example')
  t.is(read('http://todo.example:443'), 'http://todo.example:443')
  t.is(read('https://[::1]:8443'), 'https://[::1]:8443')
})

test('a malformed value is shown without what would break the line or the terminal', async (t) => {
  const { code, stderr } = await run(['config'], { env: { SIGNUP: 'two\nlines\u001b[31m' } })
  t.is(code, 2)
  t.regex(stderr, /^daybook: SIGNUP: [^\n]+\n$/)
  t.false(stderr.includes('\u001b'))
})

test('every setting that the wire side reads gets there as itself', (t) => {
  const durations = {
    CODE_TTL: '1s',
    ACCESS_TTL: '2s',
    REFRESH_IDLE_TTL: '3s',
    REFRESH_MAX_TTL: '4s',
    SESSION_TTL: '5s',
  }
  const others = {
    SIGNUP: 'closed',
    CLIENT_REGISTRATION: 'off',
    MAX_OPEN_TODOS: '6',
    MAX_LIST_SIZE: '7kB',
    MAX_LISTS_SIZE: '8MB',
    CONTACT_EMAIL: 'c@example.org',
    PUBLIC_URL: 'https://p.example',
    AUTH_MODE: 'none',
    RATE_LIMIT: 'off',
  }
  const more = { OPENAI_VERIFICATION_TOKEN: 'token', CORS_ORIGINS: 'https://o.example' }
  const { version, ...wire } = wireSettingsOf(readConfig({ ...durations, ...others, ...more }, undefined, {}).config)
  t.regex(version, /^\d+\.\d+\.\d+/)
  t.deepEqual(wire, {
    authMode: 'none',
    clientRegistration: 'off',
    limits: undefined,
    maxListSize: 7000,
    maxListsSize: 8_000_000,
    deadlineMs: 20_000,
    publicUrl: 'https://p.example',
    contactEmail: 'c@example.org',
    verificationToken: 'token',
    corsOrigins: ['https://o.example'],
    signup: 'closed',
    maxOpenTodos: 6,
    codeTtlMs: 1000,
    accessTtlMs: 2000,
    refreshIdleTtlMs: 3000,
    refreshMaxTtlMs: 4000,
    sessionTtlMs: 5000,
  })
})

test('every limit gets to the wire side as itself', (t) => {
  const { limits } = wireSettingsOf(readConfig({}, undefined, { LIMIT_SIGN_IN: '3/2h' }).config)
  t.deepEqual(limits?.sign_in, { most: 3, windowMs: 7_200_000 })
  t.deepEqual(limits?.api, { most: 600, windowMs: 60_000 })
  t.deepEqual(Object.keys(limits ?? {}).sort(), Object.keys(LIMITS).sort())
})
