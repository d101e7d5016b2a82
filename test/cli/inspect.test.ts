/** `daybook audit …` by filter, followed, taken along and proved; `backup`, `restore`, `rebuild`, `user erase`. */
import { spawn, spawnSync } from 'node:child_process'
import { readdirSync, readFileSync, statSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import test, { type ExecutionContext } from 'ava'
import { answer } from '../../src/cli/run.ts'
import { listenForCommands } from '../../src/cli/socket.ts'
import { Ledger } from '../../src/ledger/ledger.ts'
import { Log } from '../../src/ledger/log.ts'
import { daybook, eventsOf, type Home, homeFor, MAIN, newHome, rowsOf, serve, WAYS } from '../_serve.ts'
import { ClientSide, person, Visitor } from '../_support.ts'
import { withDatabase } from '../ledger/_book.ts'

/** A server, with alice connected, who has written two things down and deleted one; its address in `url`. */
async function begin(t: ExecutionContext) {
  const home = await newHome(t)
  const server = await serve(t, home)
  const chatgpt = new ClientSide(home.url)
  const tokens = await chatgpt.connect(person('alice'), new Visitor(home.url))
  const api = (method: string, body: object) => chatgpt.api(tokens.access_token, method, '/todos/me', body)
  await api('POST', { todo: 'buy milk' })
  const { headers } = await api('POST', { todo: 'buy bread' })
  await api('DELETE', { todo_idx: 0 })
  return { home, server, api, request: headers.get('x-request-id')! }
}

const whats = async (home: Home, words: string): Promise<string[]> => (await rowsOf(home, words)).map((row) => row.what)

test('audit list and trace: by filter, the same while a server runs and while it does not', async (t) => {
  const { home, server, request } = await begin(t)
  for (const way of WAYS) {
    if (way === 'without a server') await server.stop()
    const all = ['deleted “buy milk”', 'added “buy bread”', 'added “buy milk”']
    t.deepEqual(await whats(home, 'audit list user:alice type:TodoAdded type:TodoDeleted'), all, way)
    t.deepEqual(await whats(home, 'audit list bread'), ['added “buy bread”'])
    // Words that look like options, but are negated.
    t.deepEqual(await whats(home, 'audit list -outage -Vera -hello type:TodoAdded milk'), ['added “buy milk”'])
    t.deepEqual(await whats(home, 'audit list actor:alice milk -type:TodoDeleted'), ['added “buy milk”'])
    t.deepEqual(await whats(home, 'audit list type:TodoAdded --limit 1 client:chatgpt'), ['added “buy bread”'])
    t.deepEqual(await whats(home, 'audit list type:TodoAdded until:1h'), [])
    t.deepEqual(await whats(home, `audit trace ${request}`), ['added “buy bread”'])
    t.deepEqual(await whats(home, 'audit list type:TodoAdded ip:127.0.0.1 -bread'), ['added “buy milk”'])
  }
})

test('what is no filter: one line on stderr, 2, and nothing is recorded; a name that nobody has: 1', async (t) => {
  const { home } = await begin(t)
  const [{ seq: before }] = (await rowsOf(home, 'audit list --limit 1')) as [{ seq: number }]
  for (const words of [
    'list foo:bar',
    'list type:Nope',
    'tail since:yesterday',
    'export seq:0',
    'stats "half',
    'list --nope',
  ]) {
    const ran = await daybook(home, `audit ${words}`)
    t.deepEqual([ran.code, ran.stdout], [2, ''], words)
    t.regex(ran.stderr, /^(daybook|error): [^\n]+\n(\(daybook --help shows how\)\n)?$/, words)
  }
  for (const words of [
    'list user:nobody',
    'state --user nobody --at 1',
    'show 99999',
    'state --user alice --at 99999',
    'trace x',
  ]) {
    const ran = await daybook(home, `audit ${words}`)
    t.deepEqual([ran.code, ran.stdout], [1, ''], words)
    t.regex(ran.stderr, /^daybook: [^\n]+\n$/, words)
  }
  t.is((await rowsOf(home, 'audit list --limit 1'))[0]!.seq, before + 1, 'only the first look')
})

test('audit show, stats and state: an event whole, how many of each, and a list as it stood', async (t) => {
  const { home } = await begin(t)
  const rows = await rowsOf(home, 'audit list -type:BookInspected')
  const added = rows.filter((row) => row.type === 'TodoAdded')
  const shown = JSON.parse((await daybook(home, `audit show ${added[0]!.seq} -o json`)).stdout)
  t.like(shown, { ...added[0]!, hash_before: added[0]!.prev })
  t.is(shown.hash_after, rows.find((row) => row.seq === added[0]!.seq + 1)!.hash)
  const stats = await rowsOf(home, 'audit stats')
  t.like(
    stats.find((row) => row.type === 'TodoAdded'),
    { events: 2 },
  )
  t.deepEqual(await rowsOf(home, 'audit stats user:alice type:TodoAdded type:TodoDeleted'), [
    { type: 'TodoAdded', events: 2 },
    { type: 'TodoDeleted', events: 1 },
  ])
  const at = async (seq: number) =>
    (await rowsOf(home, `audit state --user alice --at ${seq}`)).map(({ idx, idx_now: now, todo }) => [idx, now, todo])
  t.deepEqual(await at(added[0]!.seq), [
    [0, null, 'buy milk'],
    [1, 0, 'buy bread'],
  ])
  t.deepEqual(await at(added[1]!.seq), [
    [0, null, 'buy milk'],
    [null, 0, 'buy bread'],
  ])
  t.deepEqual(await at(1), [[null, 0, 'buy bread']])
})

test('audit export and verify FILE: whole, proved by ours and by another language’s, and refused when it is not', async (t) => {
  const { home, server } = await begin(t)
  const file = join(home.folder, 'export.ndjson')
  const exported = await daybook(home, 'audit export')
  writeFileSync(file, exported.stdout)
  await server.stop()
  const verified = await daybook({ ...home, data: join(home.folder, 'none') }, `audit verify ${file}`)
  t.like(verified, { code: 0, stderr: '' })
  const head = /Head (\d+:[0-9a-f]{64})/.exec(verified.stdout)![1]!
  t.is((await daybook(home, `audit verify --expect ${head}`)).code, 0)
  t.is((await daybook(home, `audit verify --expect ${head} ${file}`)).code, 0)
  t.is((await daybook(home, 'audit verify -', { input: exported.stdout })).code, 0)
  const python = (path: string) =>
    spawnSync('python3', [join(import.meta.dirname, '../../docs/verify.py'), path], { encoding: 'utf8' })
  const hasPython = spawnSync('python3', ['--version']).status === 0
  if (!hasPython) t.log('NOT RUN: this machine has no python3, so docs/verify.py was not asked')
  const agree = async (text: string, isWhole: boolean): Promise<void> => {
    writeFileSync(file, text)
    const ours = await daybook(home, `audit verify ${file}`)
    t.is(ours.code, isWhole ? 0 : 1, text.slice(0, 200))
    if (!isWhole) t.regex(ours.stderr, /^daybook: event \d+ does not hold: [^\n]+\n$/)
    if (!hasPython) return
    const theirs = python(file)
    t.is(theirs.status, ours.code as number)
    if (isWhole) t.true(ours.stdout.includes(theirs.stdout.trim()))
    else t.is(/event \d+/.exec(theirs.stderr)?.[0] ?? 'event 1', /event \d+/.exec(ours.stderr)![0])
  }
  const lines = exported.stdout.trimEnd().split('\n')
  const opened = (await daybook(home, 'audit export --open')).stdout
  t.true(opened.includes('"open":{"'))
  await agree(opened, true)
  await agree(exported.stdout, true)
  await agree(`${lines.slice(1).join('\n')}\n`, false)
  await agree(`${lines.toSpliced(3, 1).join('\n')}\n`, false)
  await agree(`${lines.with(4, lines[4]!.replace('"via":{', '"via":{"x":"y",')).join('\n')}\n`, false)
  await agree(exported.stdout.slice(0, -30), false)
  await agree('', false)
  for (const words of [`--expect 2:${'0'.repeat(64)}`, `--expect 99999:${'0'.repeat(64)}`])
    t.like(await daybook(home, `audit verify ${words}`), { code: 1, stdout: '' })
  t.is((await daybook(home, 'audit verify --expect nonsense')).code, 1)
  t.is((await daybook(home, 'audit verify nowhere')).code, 2)
})

test('audit tail: what happened last, then each event as it happens, also over a restart of the server', async (t) => {
  const { home, server, api } = await begin(t)
  const env = { ...home.env }
  const child = spawn(process.execPath, [MAIN, 'audit', 'tail', 'type:TodoAdded', '--lines', '1'], {
    env,
    cwd: home.folder,
  })
  t.teardown(() => child.kill('SIGKILL'))
  const lines = createInterface({ input: child.stdout })[Symbol.asyncIterator]()
  t.regex((await lines.next()).value!, /alice added “buy bread” {2}chatgpt · 127\.0\.0\.1$/)
  await api('POST', { todo: 'one' })
  t.regex((await lines.next()).value!, /added “one”/)
  await server.stop()
  await serve(t, home)
  await api('POST', { todo: 'two' })
  t.regex((await lines.next()).value!, /added “two”/)
})

test('audit tail: an event that does not hold ends it, and is named', async (t) => {
  const { home, server } = await begin(t)
  await server.stop()
  const [seq, hash] = readFileSync(join(home.data, 'head'), 'utf8').trim().split(' ')
  const [key, verified] = Log.verifiedChange({ seq: Number(seq), hash: hash! })
  await withDatabase(home.data, async (db) => {
    const event = `log/${'5'.padStart(16, '0')}`
    await db.batch([
      { type: 'put', key, value: verified! },
      { type: 'put', key: event, value: (await db.get(event))!.replace('"type":', '"typo":') },
    ])
  })
  // What a server does for commands, without the scrub, which would find it first.
  const ledger = await Ledger.open({ directory: home.data, clock: Date.now, version: 'test' })
  const socket = await listenForCommands(home.data, (request, signal) => answer(ledger, request, signal))
  const { code, stderr } = await daybook(home, 'audit tail --lines 99')
  socket.close()
  await ledger.close()
  t.is(code, 1)
  t.regex(stderr, /event 5 does not hold/)
})

test('two backups into one file at once: whoever says that it is there is right', async (t) => {
  const { home } = await begin(t)
  const file = join(home.folder, 'backup')
  const made = await Promise.all([daybook(home, `backup ${file}`), daybook(home, `backup ${file}`)])
  t.true(made.some(({ code }) => code === 0))
  const env = { DATA_DIR: join(home.folder, 'restored') }
  t.is((await daybook(home, `restore ${file}`, { env })).code, 0)
  t.deepEqual(
    readdirSync(home.folder).filter((name) => name.includes('partial')),
    [],
  )
})

for (const way of WAYS)
  test(`backup, restore and rebuild (${way})`, async (t) => {
    const home = await homeFor(t, way)
    await daybook(home, 'user add alice --random-password')
    const file = join(home.folder, 'backup')
    const made = await daybook(home, `backup ${file}`)
    t.is(made.code, 0, made.stderr)
    t.is(statSync(file).mode & 0o777, 0o600)
    const [, head] = /Head (\d+:[0-9a-f]{64})/.exec(made.stdout)!
    t.like(await daybook(home, `backup ${file}`), { code: 2, stdout: '' }, 'nothing is written over')
    t.like(await daybook(home, `backup ${home.folder}/no/where`), { code: 2, stdout: '' })
    t.false(readdirSync(home.folder).some((name) => name.includes('partial')))
    t.like(await daybook(home, 'rebuild --verify'), { code: 0, stderr: '' })
    if (way === 'beside a server') t.like(await daybook(home, 'rebuild'), { code: 1, stdout: '' })
    else t.is((await daybook(home, 'rebuild')).code, 0)
    t.like(await daybook(home, `restore ${file}`), { code: 1, stdout: '' }, 'never over a book')

    const env = { DATA_DIR: join(home.folder, 'restored') }
    const restored = await daybook(home, `restore ${file}`, { env })
    t.true(restored.stdout.includes(head!), restored.stderr)
    t.is((await daybook(home, `audit verify --expect ${head}`, { env })).code, 0)
    t.true((await daybook(home, 'user list', { env })).stdout.includes('alice'))
    const bytes = readFileSync(file)
    writeFileSync(file, bytes.subarray(0, bytes.length / 2))
    const cut = await daybook(home, `restore ${file}`, { env: { DATA_DIR: join(home.folder, 'third') } })
    t.like(cut, { code: 1, stdout: '' })
    t.regex(cut.stderr, /^daybook: this is no whole backup: [^\n]+\n$/)
    t.is((await daybook(home, 'restore nowhere')).code, 2)
  })

for (const way of WAYS)
  test(`user erase: asks first, and what was theirs cannot be read any more (${way})`, async (t) => {
    const home = await homeFor(t, way)
    await daybook(home, 'user add zebedee --random-password')
    t.like(await daybook(home, 'user erase zebedee'), { code: 2, stdout: '' })
    t.is((await rowsOf(home, 'user list')).length, 1)
    const [before] = await rowsOf(home, 'audit list type:UserRegistered')
    t.is(before!.open.username, 'zebedee')
    t.is((await daybook(home, 'user erase zebedee --yes')).code, 0)
    t.deepEqual(await rowsOf(home, 'user list'), [])
    t.like(await daybook(home, 'user erase zebedee --yes'), { code: 1, stdout: '' })
    const [after] = await rowsOf(home, 'audit list type:UserRegistered')
    t.is(after!.open, null)
    t.false((await daybook(home, 'audit export --open')).stdout.includes('zebedee'))
    t.is((await daybook(home, 'audit verify')).code, 0)
    t.deepEqual(
      await rowsOf(home, `audit list user:${before!.data.user} type:UserErased -o json`).then((rows) => rows.length),
      1,
    )
    t.is((await daybook(home, 'user add zebedee --random-password')).code, 0, 'the name is free again')
  })

for (const way of WAYS)
  test(`doctor: what is good and what to look at (${way})`, async (t) => {
    const home = await homeFor(t, way)
    await daybook(home, 'client show chatgpt')
    const rows = await rowsOf(home, 'doctor')
    t.deepEqual(
      rows.map((row) => [row.check, row.state]),
      [
        ['book', 'good'],
        ['chain', 'good'],
        ['scrub', 'good'],
        ['disk', 'good'],
        ['address', 'look'],
        ['callbacks', 'good'],
      ],
    )
    for (const row of rows) t.regex(row.what, /^[^\n]+$/)
    t.true(rows[4]!.what.includes('https'))
  })

for (const way of WAYS)
  test(`user erase: where lists have names, a list; with an account of that name, both (${way})`, async (t) => {
    const home = await newHome(t, { AUTH_MODE: 'none' })
    const server = await serve(t, home)
    const add = (name: string, todo: string) => new ClientSide(home.url).api('', 'POST', `/todos/${name}`, { todo })
    for (const name of ['zebedee', 'global', 'dougal']) t.is((await add(name, `quagmire of ${name}`)).status, 200)
    if (way === 'without a server') await server.stop()
    t.is((await daybook(home, 'user add Dougal --random-password')).code, 0)
    t.is((await daybook(home, 'user erase ZEBEDEE --yes')).code, 0)
    t.is((await daybook(home, 'user erase dougal --yes')).code, 0)
    t.deepEqual((await eventsOf(home)).slice(-3), ['ListErased', 'UserErased', 'ListErased'])
    const { stdout } = await daybook(home, 'audit export --open')
    t.true(stdout.includes('quagmire of global'))
    for (const name of ['zebedee', 'dougal']) t.false(stdout.toLowerCase().includes(name), name)
    t.is((await daybook(home, 'audit verify')).code, 0)
    t.like(await daybook(home, 'user erase zebedee --yes'), { code: 1, stdout: '' })
  })
