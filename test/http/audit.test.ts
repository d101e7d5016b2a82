/** The audit for operators: who may look, what they find, how they follow, and that each look is recorded. */
import { once } from 'node:events'
import { type IncomingMessage, request } from 'node:http'
import { setTimeout as wait } from 'node:timers/promises'
import test, { type ExecutionContext } from 'ava'
import { accept } from '../../src/domain/shape.ts'
import { eraseUser, registerUser, restoreUser, revokeUser } from '../../src/domain/users.ts'
import { verifyExport } from '../../src/ledger/proof.ts'
import { newKey } from '../../src/ledger/vault.ts'
import { hashPassword } from '../../src/service/passwords.ts'
import { ClientSide, person, SYSTEM, startWorld, Visitor, type World } from '../_support.ts'
import { whileBroken, whileReadOnly } from './_wire.ts'

const BOSS = { username: 'boss', email: '', password: 'correct horse battery' }

/** A world with an operator, signed in, and alice, whose ChatGPT has written something down. */
async function begin(t: ExecutionContext) {
  const world = await startWorld(t)
  const passwordHash = await hashPassword(BOSS.password)
  const input = { user: 'boss-id', username: 'boss', email: undefined, admin: true, passwordHash, key: newKey() }
  await world.ledger.transact(SYSTEM, (state) => registerUser(state, input))
  const alice = new Visitor(world.url)
  const chatgpt = new ClientSide(world.url)
  const tokens = await chatgpt.connect(person('alice'), alice)
  const add = (todo: string) => chatgpt.api(tokens.access_token, 'POST', '/todos/me', { todo })
  await add('buy milk')
  const boss = new Visitor(world.url)
  await boss.signIn(BOSS)
  await world.news()
  return { world, alice, boss, add, chatgpt }
}

const get = async (visitor: Visitor, path: string) => {
  const answer = await visitor.get(path)
  return { status: answer.status, json: JSON.parse(answer.text) as any, headers: answer.headers }
}

const ROUTES = ['events', 'events/1', 'follow', 'export'].map((path) => `/admin/audit/${path}`)

test('93. who is not signed in: 401; who is no operator: 403; neither is told anything, nor recorded', async (t) => {
  const { world, alice } = await begin(t)
  for (const path of ROUTES) {
    const anonymous = await get(new Visitor(world.url), path)
    t.deepEqual([anonymous.status, anonymous.json.error], [401, 'unauthorized'], path)
    const user = await get(alice, path)
    t.deepEqual([user.status, user.json.error], [403, 'forbidden'], path)
    t.is(user.headers.get('access-control-allow-origin'), null)
  }
  t.deepEqual(await world.news(), [])
})

test('93. an operator lists, page by page, and each look is recorded with who looked', async (t) => {
  const { world, boss } = await begin(t)
  const { seq } = world.ledger.head
  const first = await get(boss, '/admin/audit/events?limit=3')
  t.is(first.status, 200)
  t.is(first.headers.get('cache-control'), 'no-store')
  t.deepEqual(
    first.json.events.map((event: any) => [event.seq, event.who, event.what]),
    [
      [seq, 'boss', 'signed in as boss'],
      [seq - 1, 'alice', 'added “buy milk”'],
      [seq - 2, 'the app ChatGPT', 'redeemed a code of alice for tokens'],
    ],
  )
  t.is(first.json.next_before, seq - 2)
  const second = await get(boss, `/admin/audit/events?limit=1000&before=${first.json.next_before}`)
  t.is(second.json.events[0].seq, seq - 3)
  t.is(second.json.events.at(-1).seq, 1)
  t.is(second.json.next_before, null)
  t.deepEqual(await world.news(), ['BookInspected', 'BookInspected'])
  const found = await get(boss, `/admin/audit/events?filter=${encodeURIComponent('user:alice type:TodoAdded milk')}`)
  t.deepEqual(
    found.json.events.map((event: any) => event.open.text),
    ['buy milk'],
  )
  const [look] = (await world.events()).slice(-1)
  t.is(look!.type, 'BookInspected')
  t.deepEqual(look!.actor, { kind: 'user', id: 'boss-id' })
  t.false(JSON.stringify(look!.data).includes('milk'))
})

test('one event whole, with the hashes of its neighbours; one that is not there: 404', async (t) => {
  const { world, boss } = await begin(t)
  const all = (await world.events()) as any[]
  const { json } = await get(boss, '/admin/audit/events/3')
  t.like(json, { seq: 3, hash: all[2].hash, hash_before: all[1].hash, hash_after: all[3].hash })
  t.is((await get(boss, '/admin/audit/events/1')).json.hash_before, null)
  for (const none of ['999', '0', '-1', 'x', '1.5'])
    t.is((await get(boss, `/admin/audit/events/${none}`)).status, 404, none)
})

test('what cannot be asked: 400 in words, and nothing is recorded', async (t) => {
  const { world, boss } = await begin(t)
  for (const query of [
    'filter=foo:bar',
    'filter=user:nobody',
    'filter=a&filter=b',
    'limit=0',
    'limit=1001',
    'before=x',
  ])
    t.is((await get(boss, `/admin/audit/events?${query}`)).status, 400, query)
  for (const path of ['export?format=xml', 'export?filter=type:Nope', 'follow?after=x', 'follow?filter=seq:0'])
    t.like((await get(boss, `/admin/audit/${path}`)).json, { error: 'invalid_request' }, path)
  t.deepEqual(await world.news(), [])
})

test('an export is a file that proves itself, or a table; as text only when that is asked for', async (t) => {
  const { world, boss } = await begin(t)
  const { head } = world.ledger
  const plain = await boss.get('/admin/audit/export')
  t.is(plain.headers.get('content-disposition'), 'attachment; filename="daybook.ndjson"')
  t.like(await verifyExport([plain.text]), head)
  t.false(plain.text.includes('buy milk'))
  const opened = await boss.get('/admin/audit/export?open=1&filter=type:TodoAdded')
  t.is(JSON.parse(opened.text).open.text, 'buy milk')
  const table = await boss.get('/admin/audit/export?format=csv&open=1')
  t.is(table.headers.get('content-type'), 'text/csv; charset=utf-8')
  t.true(table.text.includes('added “buy milk”'))
  t.deepEqual(await world.news(), ['BookExported', 'BookExported', 'BookExported'])
})

test('92. CSV: what a spreadsheet takes for a formula is text, and what would end a line does not', async (t) => {
  const { boss, add } = await begin(t)
  for (const odd of ['=1+1', '+1', '-1', '@x', '\tx', 'two\nlines "quoted"']) await add(odd)
  const { text } = await boss.get('/admin/audit/export?format=csv&open=1&filter=type:TodoAdded')
  const rows = text.trimEnd().split('\r\n')
  t.is(rows.length, 8)
  t.notRegex(text.replaceAll('\r\n', ''), /\p{Cc}/u)
  t.notRegex(text, /(^|,)"?[=+@-]/m)
})

/** Reads server-sent events until there are so many; gives their ids and data. */
async function readEvents(response: Response, wanted: number): Promise<{ id: number; data: any }[]> {
  const events: { id: number; data: any }[] = []
  let text = ''
  for await (const part of response.body!.pipeThrough(new TextDecoderStream())) {
    text += part
    const blocks = text.split('\n\n')
    text = blocks.pop()!
    for (const block of blocks) {
      const found = /^id: (\d+)\ndata: (.*)$/.exec(block)
      if (found !== null) events.push({ id: Number(found[1]), data: JSON.parse(found[2]!) })
    }
    if (events.length >= wanted) break
  }
  return events
}

test('following tells each new event once, and goes on where it was left; it ends with the session', async (t) => {
  const { world, boss, add } = await begin(t)
  const cookie = [...boss.cookies].map(([name, value]) => `${name}=${value}`).join('; ')
  const follow = (query: string, headers = {}) =>
    fetch(`${world.url}/admin/audit/follow?${query}`, { headers: { cookie, ...headers } })
  const response = await follow('filter=type:TodoAdded')
  t.is(response.headers.get('content-type'), 'text/event-stream; charset=utf-8')
  await add('one')
  await add('two')
  const seen = await readEvents(response, 2)
  t.deepEqual(
    seen.map(({ data }) => data.what),
    ['added “one”', 'added “two”'],
  )
  await add('three')
  const resumed = await follow('filter=type:TodoAdded', { 'last-event-id': String(seen[0]!.id) })
  const again = await readEvents(resumed, 2)
  t.deepEqual(
    again.map(({ data }) => data.what),
    ['added “two”', 'added “three”'],
  )

  const { seq } = world.ledger.head
  const rare = await follow('filter=type:UserErased')
  const first = await rare.body!.pipeThrough(new TextDecoderStream()).getReader().read()
  t.is(first.value, `: following\nid: ${seq + 1}\n\n`, 'who is cut off before the first event comes back to here')

  const last = await follow('filter=type:TodoAdded')
  const left = last.text()
  const { form_token: token } = Object.fromEntries(
    [.../name="(form_token)" value="([^"]+)"/g[Symbol.matchAll]((await boss.get('/')).text)].map(([, name, value]) => [
      name,
      value,
    ]),
  ) as { form_token: string }
  await boss.post('/logout', { form_token: token })
  await add('after the session')
  t.false((await left).includes('after the session'))
})

test('a follower who leaves, or may not go on, keeps nothing of the book', async (t) => {
  const { world, boss, add } = await begin(t)
  for (let i = 0; i < 40; i++) await add(`to-do ${i}`)
  const cookie = [...boss.cookies].map(([name, value]) => `${name}=${value}`).join('; ')
  for (let i = 0; i < 4; i++) {
    const leave = new AbortController()
    const response = await fetch(`${world.url}/admin/audit/follow?after=1`, {
      headers: { cookie },
      signal: leave.signal,
    })
    await response.body!.getReader().read()
    leave.abort()
  }
  for (let i = 0; i < 4; i++) {
    const leave = new AbortController()
    const leaving = fetch(`${world.url}/admin/audit/export`, { headers: { cookie }, signal: leave.signal })
    setTimeout(() => leave.abort(), i)
    await leaving.then((response) => response.body?.cancel()).catch(() => {})
    await fetch(`${world.url}/admin/audit/export`, { method: 'HEAD', headers: { cookie } })
  }
  await world.ledger.transact(SYSTEM, (state) => eraseUser(state, 'alice'))
  let isDone = false
  for (let i = 0; i < 100 && !isDone; i++, await wait(20)) isDone = await world.ledger.purge()
  t.true(isDone, 'nobody reads any more')
})

/** An answer of the audit as it comes, read only as far as it is asked for. */
async function openAnswer(world: World, visitor: Visitor, path: string): Promise<IncomingMessage> {
  const cookie = [...visitor.cookies].map(([name, value]) => `${name}=${value}`).join('; ')
  const asked = request(`${world.url}${path}`, { headers: { cookie }, agent: false })
  asked.end()
  const [response] = (await once(asked, 'response')) as [IncomingMessage]
  return response
}

/** What was still to come of an answer, and whether it came to its end. */
async function rest(response: IncomingMessage): Promise<{ bytes: number; isWhole: boolean }> {
  let bytes = 0
  response.on('data', (chunk: Buffer) => {
    bytes += chunk.length
  })
  await Promise.race([once(response, 'end'), once(response, 'error')]).catch(() => {})
  return { bytes, isWhole: response.complete }
}

/** More of the book than the connection takes on its own, so that an export waits for its reader. */
async function fill({ ledger }: World): Promise<void> {
  const stranger = { ...SYSTEM, trace: { ip: '192.0.2.1', agent: 'x'.repeat(250_000) } }
  const tried = { type: 'SignInFailed', data: { cause: 'unknown_user' } } as const
  for (let i = 0; i < 9; i++) await ledger.transact(stranger, () => accept(Array(10).fill(tried), undefined))
}

test('an export whose operator is revoked meanwhile is cut off, so that nobody takes it for the whole', async (t) => {
  const { world, boss } = await begin(t)
  await fill(world)
  const whole = await rest(await openAnswer(world, boss, '/admin/audit/export'))
  t.true(whole.isWhole)
  t.true(whole.bytes > 20_000_000)
  for (const path of ['export', 'export?format=csv&open=1']) {
    const response = await openAnswer(world, boss, `/admin/audit/${path}`)
    t.is(response.statusCode, 200)
    await world.ledger.transact(SYSTEM, (state) => revokeUser(state, 'boss'))
    const { bytes, isWhole } = await rest(response)
    t.false(isWhole, path)
    t.true(bytes < whole.bytes * 0.7, `${bytes} of ${whole.bytes}`)
    await world.ledger.transact(SYSTEM, (state) => restoreUser(state, 'boss'))
    await boss.signIn(BOSS)
  }
  const cuts = world.log.filter((line) => line.includes('an answer was cut short'))
  t.deepEqual([...new Set(cuts.map((line) => JSON.parse(line).reason))], ['session_missing'])
  t.false(world.log.some((line) => JSON.parse(line).level >= 50))
})

test('a follower who is revoked is told no more, whatever they wait for; coming back, they are told why', async (t) => {
  const { world, boss } = await begin(t)
  const response = await openAnswer(world, boss, '/admin/audit/follow?filter=type:UserErased')
  await world.ledger.transact(SYSTEM, (state) => revokeUser(state, 'boss'))
  t.true((await rest(response)).isWhole)
  t.is((await get(boss, '/admin/audit/follow')).status, 401)
})

test('a search ends when its reader has gone, and no failure is logged', async (t) => {
  const { world, boss } = await begin(t)
  await fill(world)
  await world.news()
  const cookie = [...boss.cookies].map(([name, value]) => `${name}=${value}`).join('; ')
  const leave = new AbortController()
  const path = '/admin/audit/events?filter=nowhere'
  const asked = fetch(`${world.url}${path}`, { headers: { cookie }, signal: leave.signal })
  // The look is recorded before the search begins.
  while (!(await world.news()).includes('BookInspected')) await wait(1)
  leave.abort()
  await t.throwsAsync(asked)
  while (!world.log.some((line) => line.includes('/admin/audit/events'))) await wait(5)
  t.false(world.log.some((line) => JSON.parse(line).level >= 50))
})

test('whoever has seen more than there is, as of a book that an older one replaced, misses nothing that comes', async (t) => {
  const { world, boss, add } = await begin(t)
  const cookie = [...boss.cookies].map(([name, value]) => `${name}=${value}`).join('; ')
  const headers = { cookie, 'last-event-id': String(world.ledger.head.seq + 10) }
  const following = await fetch(`${world.url}/admin/audit/follow?filter=type:TodoAdded`, { headers })
  await add('one')
  await add('two')
  const seen = await readEvents(following, 2)
  t.deepEqual(
    seen.map(({ data }) => data.what),
    ['added “one”', 'added “two”'],
  )
})

test('while the book cannot be written: it is looked into and taken along, and the answer says that no record is kept', async (t) => {
  const { world, boss } = await begin(t)
  const { seq } = world.ledger.head
  await whileReadOnly(world, async () => {
    for (const path of ['events', `events/${seq}`, 'export', 'export?filter=user:alice&format=csv&open=1']) {
      const answer = await boss.get(`/admin/audit/${path}`)
      t.deepEqual([answer.status, answer.headers.get('x-daybook-recorded')], [200, 'no'], path)
      t.true(answer.text.length > 100, path)
    }
    const whole = (await boss.get('/admin/audit/export')).text
    t.like(await verifyExport([Buffer.from(whole)]), { seq })
  })
  t.deepEqual(await world.news(), [])
  t.is((await get(boss, '/admin/audit/events')).headers.get('x-daybook-recorded'), null)
  t.deepEqual(await world.news(), ['BookInspected'])
})

test('while the book is being opened again: 503, and when to come back', async (t) => {
  const { world, boss } = await begin(t)
  await whileBroken(world, async () => {
    for (const path of ['events', 'events/1', 'export', 'export?format=csv']) {
      const { status, json, headers } = await get(boss, `/admin/audit/${path}`)
      t.deepEqual([status, json.error, headers.get('retry-after')], [503, 'unavailable', '5'], path)
    }
  })
})

test('93. a page of long events ends before it is too long, and says where the next one begins', async (t) => {
  const { world, boss } = await begin(t)
  const { access_token: token } = await new ClientSide(world.url).connect(person('carol'))
  const chatgpt = new ClientSide(world.url)
  for (let i = 0; i < 130; i++) await chatgpt.api(token, 'POST', '/todos/me', { todo: `${i} ${'x'.repeat(9900)}` })
  const seqs: number[] = []
  let before = ''
  for (let pages = 1; ; pages++) {
    const { json } = await get(boss, `/admin/audit/events?limit=1000&filter=type:TodoAdded${before}`)
    t.true(JSON.stringify(json).length < 1_100_000)
    seqs.push(...json.events.map((event: any) => event.seq))
    if (json.next_before === null) break
    t.true(pages < 5)
    before = `&before=${json.next_before}`
  }
  t.is(new Set(seqs).size, seqs.length)
  t.true(seqs.length >= 130)
})
