/** H. To-dos: the list by index, as the plugin guide published it. */
import { once } from 'node:events'
import { Agent, type IncomingMessage, request } from 'node:http'
import test, { type ExecutionContext } from 'ava'
import type { Settings } from '../../src/http/settings.ts'
import { ClientSide, person, startWorld, unescapeHtml, Visitor } from '../_support.ts'
import { type Answered, holdWrites, type Lines, openCopy, send, serveToo, settleTraffic } from './_elsewhere.ts'

const JSON_TYPE = { 'content-type': 'application/json' }

/** A world with alice connected, whose list holds these texts; and looks at it. */
async function begin(t: ExecutionContext, texts: readonly string[] = [], changed: Partial<Settings> = {}) {
  const world = await startWorld(t, changed)
  const chatgpt = new ClientSide(world.url)
  const visitor = new Visitor(world.url)
  const { access_token: token } = await chatgpt.connect(person('alice'), visitor)
  const api = (method: string, body?: unknown, path = '/todos/me', headers = {}) =>
    chatgpt.api(token, method, path, body, headers)
  /** Body and path as they are. */
  const raw = (method: string, body: string | Buffer | undefined, headers: Lines = JSON_TYPE, path = '/todos/me') =>
    send(world.url, method, path, body, { authorization: `Bearer ${token}`, ...headers })
  const list = async (): Promise<string[]> => (await api('GET')).json.todos
  const add = async (todo: string) => {
    const answer = await api('POST', { todo })
    t.is(answer.status, 200, answer.text)
    return answer.json
  }
  /** The exact refusal, nothing recorded, the list as it was. */
  const refused = async (answer: Answered, status: number, error: string, because: string) => {
    t.is(answer.status, status, because)
    t.deepEqual(Object.keys(answer.json), ['error', 'message', 'request_id'], because)
    t.is(answer.json.error, error, because)
    t.is(answer.json.request_id, answer.headers.get('x-request-id'), because)
    t.is(answer.headers.get('content-type'), 'application/json; charset=utf-8', because)
    t.deepEqual(await world.news(), [], because)
    t.deepEqual(await list(), texts, because)
  }
  for (const text of texts) await add(text)
  await world.news()
  return { ...world, chatgpt, visitor, token, api, raw, list, add, refused }
}

test('adding and deleting: index and order, exact answers, one event each, with who and how', async (t) => {
  const { ledger, api, list, news, events } = await begin(t)
  const conversation = { 'openai-conversation-id': '3f1c9a52-1111-4222-8333-444455556666' }
  const added = await api('POST', { todo: 'first', username: 'alice' }, '/todos/alice', conversation)
  t.is(added.status, 200)
  t.deepEqual(added.json, { id: added.json.id, todo: 'first', todo_idx: 0 })
  t.regex(added.json.id, /^[0-9A-HJKMNP-TV-Z]{26}$/)
  t.deepEqual(await news(), ['TodoAdded'])
  const event = (await events()).at(-1)!
  t.like(event, { actor: { kind: 'user' }, data: { todo: added.json.id } })
  t.deepEqual(event.via, {
    request: added.headers.get('x-request-id')!,
    client: 'chatgpt',
    conversation: conversation['openai-conversation-id'],
  })
  t.false(JSON.stringify(event).includes('first'), 'the text is sealed')
  t.deepEqual(event.sealed?.open, { text: 'first' })
  t.like(event.trace?.open, { ip: '127.0.0.1' })

  t.deepEqual((await api('POST', { todo: 'second' })).json.todo_idx, 1)
  t.deepEqual((await api('POST', { todo: 'first' })).json.todo_idx, 2, 'the same text twice is two to-dos')
  t.deepEqual(await list(), ['first', 'second', 'first'])
  const deleted = await api('DELETE', { todo_idx: 0 })
  t.is(deleted.status, 200)
  t.deepEqual(deleted.json, { id: added.json.id, todo: 'first' })
  t.deepEqual(await list(), ['second', 'first'], 'what follows moves up')
  t.deepEqual((await api('DELETE', { todo_idx: 1 })).json.todo, 'first')
  t.deepEqual((await api('POST', { todo: 'third' })).json.todo_idx, 1)
  t.deepEqual((await api('DELETE', { todo_idx: 0 })).json.todo, 'second')
  t.deepEqual((await api('GET')).text, '{"todos":["third"]}')
  t.deepEqual(await news(), ['TodoAdded', 'TodoAdded', 'TodoDeleted', 'TodoDeleted', 'TodoAdded', 'TodoDeleted'])
  t.is(await ledger.read((state) => state.todos.countBy('open', event.actor.id)), 1)
})

test.serial('79. 200 only once it is durable: the book on disk at the moment of the answer holds it', async (t) => {
  const world = await begin(t, ['old'])
  const onDisk = async (): Promise<string[]> => {
    const copy = await openCopy(t, world)
    return (await new ClientSide(await serveToo(t, copy)).api(world.token, 'GET', '/todos/me')).json.todos
  }
  /** Nothing is answered while nothing can be written; and what is then answered is on disk. */
  const answered = async (
    ask: () => Promise<Answered>,
    ...meanwhile: (() => Promise<unknown>)[]
  ): Promise<Answered> => {
    const release = holdWrites(t)
    const others = meanwhile.map((other) => other())
    await settleTraffic()
    let isAnswered = false
    const answer = ask().finally(() => {
      isAnswered = true
    })
    await settleTraffic()
    t.false(isAnswered)
    await release()
    await Promise.all(others)
    return answer
  }
  t.is((await answered(() => world.api('POST', { todo: 'new' }))).status, 200)
  t.deepEqual(await onDisk(), ['old', 'new'])
  t.is((await answered(() => world.api('DELETE', { todo_idx: 0 }))).status, 200)
  t.deepEqual(await onDisk(), ['new'])
  // Neither does a read tell what is not on disk yet, nor a refusal that rests on it.
  const add = () => world.api('POST', { todo: 'newer' })
  t.deepEqual((await answered(() => world.api('GET'), add)).json, { todos: ['new', 'newer'] })
  t.deepEqual(await onDisk(), ['new', 'newer'])
  const wrong = () => world.api('DELETE', { todo_idx: 2, todo: 'another' })
  t.is((await answered(wrong, add)).status, 409)
  t.deepEqual(await onDisk(), ['new', 'newer', 'newer'])
})

test('80. usernames that mean something to a program are ordinary names', async (t) => {
  const { url } = await startWorld(t)
  const names = '__proto__ constructor toString hasOwnProperty null undefined ... - a.b_c-D'.split(' ')
  for (const name of [...names, 'x'.repeat(64)]) {
    const chatgpt = new ClientSide(url)
    const { access_token } = await chatgpt.connect({ ...person(name), email: '' })
    t.deepEqual((await chatgpt.api(access_token, 'POST', `/todos/${name}`, { todo: name })).json.todo_idx, 0, name)
    t.deepEqual((await chatgpt.api(access_token, 'GET', `/todos/${name}`)).json, { todos: [name] }, name)
    t.is((await chatgpt.api(access_token, 'DELETE', `/todos/${name}`, { todo_idx: 0 })).json.todo, name, name)
  }
})

test('81. names outside the contract: 400', async (t) => {
  const { raw, refused } = await begin(t, ['kept'])
  const climbing = '. .. %2e %2E%2e %2Fetc%2Fpasswd alice%2F %zz % %ff %c0%ae'.split(' ')
  const odd = "%20 alice%20 %20alice al%20ice alice%00 alice@example.org al+ice alice; alice: alice~ * $ne ' %22".split(
    ' ',
  )
  // KELVIN SIGN (%E2%84%AA) turns into an ASCII letter when it is written small, LATIN SMALL LETTER LONG S when large.
  const foreign = '%C3%A9 %F0%9F%98%80 %EF%BD%81lice alice%E2%80%8B %C5%BF %E2%84%AA'.split(' ')
  const names = [...climbing, ...odd, ...foreign, 'x'.repeat(65), 'x'.repeat(8000)]
  for (const name of names)
    for (const [method, body] of [['GET'], ['POST', '{"todo":"x"}'], ['DELETE', '{"todo_idx":0}']] as const)
      await refused(await raw(method, body, JSON_TYPE, `/todos/${name}`), 400, 'invalid_username', `${method} ${name}`)
  for (const path of ['/todos', '/todos/', '/todos/alice/', '/todos/alice/x/y', '/Todos/alice'])
    for (const method of ['GET', 'POST', 'DELETE'])
      await refused(await raw(method, method === 'GET' ? undefined : '{}', JSON_TYPE, path), 404, 'not_found', path)
})

test('82. a todo that is missing, no string, empty or too long: 400 or 413, and the list is unchanged', async (t) => {
  const { raw, api, add, list, refused } = await begin(t, ['kept'])
  const blank = ['', ' ', '\t\r\n', '\u3000\u00a0\u2028']
  const odd: unknown[] = [undefined, null, 0, 1, true, [], ['x'], {}, { text: 'x' }, ...blank]
  for (const todo of odd)
    await refused(await api('POST', { todo }), 400, 'invalid_todo', JSON.stringify(todo) ?? 'missing')
  // Lone surrogates have no UTF-8 form, so such a text could not be proved.
  for (const text of ['"\\ud800"', '"a\\udc00b"', '"\\ude00\\ud83d"'])
    await refused(await raw('POST', `{"todo":${text}}`), 400, 'invalid_todo', text)
  for (const body of ['{"Todo":"x"}', '{"todo ":"x"}', '{"todos":["x"]}', '{"__proto__":{"todo":"x"}}', '{}'])
    t.is((await raw('POST', body)).status, 400, body)
  for (const text of ['x'.repeat(10_001), '😀'.repeat(10_001), 'é'.repeat(10_001), '\u0001'.repeat(10_001)])
    await refused(await api('POST', { todo: text }), 413, 'too_large', text.slice(0, 4))
  for (const text of ['x'.repeat(10_000), '😀'.repeat(10_000), '\u0001'.repeat(10_000)]) {
    t.is((await add(text)).todo, text)
    t.is((await api('DELETE', { todo_idx: 1 })).json.todo, text)
  }
  t.is((await raw('POST', `{"todo":"${'\\ud83d\\ude00'.repeat(10_000)}"}`)).status, 200, 'however it is written')
  t.deepEqual(await list(), ['kept', '😀'.repeat(10_000)])
})

test('82, 86. bodies that are too large, broken, or no object: 413 or 400, and the list is unchanged', async (t) => {
  const { raw, refused } = await begin(t, ['kept'])
  for (const method of ['POST', 'DELETE']) {
    const large = `{"todo":"x","todo_idx":0,"more":"${'x'.repeat(300_000)}"}`
    await refused(await raw(method, large), 413, 'too_large', method)
    const broken = ['{"todo":"x","todo_idx":0', '{"todo":"x","todo_idx":0}}', "{'todo':'x'}", '{todo:"x"}', 'x', '\0']
    const noObject = ['[]', '[{"todo":"x","todo_idx":0}]', '"x"', 'null', '0', 'true', '{"todo":"\n"}']
    for (const body of [...broken, ...noObject, '['.repeat(50_000)])
      await refused(await raw(method, body), 400, 'invalid_request', `${method} ${body.slice(0, 99)}`)
  }
})

test('82. a member that is not known is named and refused, rather than dropped', async (t) => {
  const { raw, refused } = await begin(t, ['kept'])
  const names: [string, string][] = [
    ['"due":"2026-12-01"', 'due'],
    ['"Todo":"x"', 'Todo'],
    ['"a\\u0000\\"é\\\\":1', 'a????'],
    [`"${'x'.repeat(1000)}":1`, `${'x'.repeat(40)} `],
    ['"":1', 'without a name'],
    ['"constructor":1', 'constructor'],
  ]
  for (const [method, rest] of [
    ['POST', '"todo":"x","username":"alice"'],
    ['DELETE', '"todo_idx":0,"todo":"kept","username":"alice"'],
  ] as const)
    for (const [member, named] of names) {
      const answer = await raw(method, `{${rest},${member}}`)
      await refused(answer, 400, 'invalid_request', member)
      t.true(answer.json.message.includes(`member ${named}`), answer.json.message)
      t.true(answer.json.message.length < 150)
    }
  await refused(await raw('POST', '{"todo":"x","todo_idx":0}'), 400, 'invalid_request', 'POST')
})

test('82. broken JSON is told with where it breaks, and without what stands there', async (t) => {
  const { raw, refused } = await begin(t, ['kept'])
  const broken: [string, string][] = [
    ['{"todo":"secret"', 'line 1, column 17'],
    ['{"todo":"secret"}}', 'line 1, column 18'],
    ['{\n  "todo": secret\n}', 'line 2, column 11'],
    ['{"todo":"sec\nret"}', 'line 1, column 13'],
    ["{'todo':'secret'}", 'line 1, column 2'],
  ]
  for (const method of ['POST', 'DELETE'])
    for (const [body, where] of broken) {
      const answer = await raw(method, body)
      await refused(answer, 400, 'invalid_request', body)
      t.true(answer.json.message.includes(where), answer.json.message)
      t.false(answer.text.includes('secret'))
    }
})

test('82. bytes that are no UTF-8: 400, rather than another text than was sent (RFC 8259 §8.1)', async (t) => {
  const { raw, refused } = await begin(t, ['kept'])
  for (const bytes of ['ff', 'c0af', 'e282', 'eda080', 'f4908080', '80'])
    for (const [method, rest] of [
      ['POST', ''],
      ['DELETE', '"todo_idx":0,'],
    ] as const) {
      const body = [Buffer.from(`{${rest}"todo":"kept`), Buffer.from(bytes, 'hex'), Buffer.from('"}')]
      await refused(await raw(method, Buffer.concat(body)), 400, 'invalid_request', `${method} ${bytes}`)
    }
})

test('82. a body too large whose length is not said: 413, and the next request on that connection is answered', async (t) => {
  const { url, token, list } = await begin(t, ['kept'])
  const agent = new Agent({ keepAlive: true, maxSockets: 1 })
  t.teardown(() => agent.destroy())
  // Said for DELETE too: Node's own client would send its body without any framing.
  const headers = { ...JSON_TYPE, authorization: `Bearer ${token}`, 'transfer-encoding': 'chunked' }
  const ask = async (method: string, ...parts: string[]): Promise<number> => {
    const asked = request(`${url}/todos/me`, { method, agent, headers })
    asked.on('error', () => {}) // Once it is answered, what becomes of the rest does not matter.
    for (const part of parts) asked.write(part)
    asked.end()
    const [response] = (await once(asked, 'response')) as [IncomingMessage]
    await response.toArray()
    return response.statusCode!
  }
  for (const method of ['POST', 'DELETE']) {
    t.is(await ask(method, '{"todo_idx":0,"todo":"', 'x'.repeat(200_000), 'x'.repeat(200_000), '"}'), 413, method)
    t.is(await ask('GET').catch((error) => error.code), 200, `after ${method}`)
  }
  t.deepEqual(await list(), ['kept'])
})

test('83. a bad index: 400 or 404; another text than stands there: 409; and the list is unchanged', async (t) => {
  const { raw, api, refused, list, news } = await begin(t, ['zero', 'one', 'ééé'])
  const odd: unknown[] = ['0', '', null, true, [], [0], {}, { valueOf: 0 }, 0.5, 1e21, -1.5, 2 ** 53, undefined]
  for (const todo_idx of odd)
    await refused(await api('DELETE', { todo_idx }), 400, 'invalid_todo_idx', JSON.stringify(todo_idx) ?? 'missing')
  for (const text of ['1e999', '0.0000001', '9007199254740993'])
    await refused(await raw('DELETE', `{"todo_idx":${text}}`), 400, 'invalid_todo_idx', text)
  for (const text of ['00', '+0', '.0', '0x0', 'NaN', 'Infinity', '0n'])
    await refused(await raw('DELETE', `{"todo_idx":${text}}`), 400, 'invalid_request', text)
  for (const todo_idx of [3, 4, -1, -3, 1000, 2 ** 31, 2 ** 32, 2 ** 53 - 1])
    await refused(await api('DELETE', { todo_idx }), 404, 'not_found', String(todo_idx))
  for (const todo of ['one', 'Zero', 'zero ', '', 'zer', 'ééé'])
    await refused(await api('DELETE', { todo_idx: 0, todo }), 409, 'todo_differs', todo)
  await refused(await api('DELETE', { todo_idx: 2, todo: 'e\u0301e\u0301e\u0301' }), 409, 'todo_differs', 'decomposed')
  for (const todo of [0, null, [], ['zero'], {}, true])
    await refused(await api('DELETE', { todo_idx: 0, todo }), 400, 'invalid_todo', JSON.stringify(todo))
  await refused(await api('DELETE', { todo_idx: 9, todo: 'zero' }), 404, 'not_found', 'a right text elsewhere')

  t.is((await api('DELETE', { todo_idx: 2, todo: 'ééé' })).json.todo, 'ééé')
  t.is((await raw('DELETE', '{"todo_idx":1.0}')).json.todo, 'one')
  t.is((await api('DELETE', { todo_idx: 0, todo: 'zero' })).status, 200)
  t.deepEqual([await list(), await news()], [[], ['TodoDeleted', 'TodoDeleted', 'TodoDeleted']])
})

test('84. markup stays text everywhere, and every text comes back as it was sent', async (t) => {
  const tags = ['<script>alert(1)</script>', '"><img src=x onerror=alert(1)>', '</li></ul><b>&amp;', "'-alert(1)-'"]
  const signs =
    '日本語 👩‍👩‍👧‍👦 𝒳 \u202eleft \ufeffx x\u2028y \0 \uffff \\u0041 %41 \x1b[31m =1+1 {{x}} é e\u0301'.split(' ')
  const texts = [...tags, ...signs, ' kept \t blanks \n']
  const { chatgpt, token, visitor, api, events } = await begin(t, texts)
  const { headers, text, json } = await chatgpt.api(token, 'GET', '/todos/me', undefined, { accept: 'text/html' })
  t.is(headers.get('content-type'), 'application/json; charset=utf-8')
  t.is(headers.get('x-content-type-options'), 'nosniff')
  t.is(headers.get('cache-control'), 'no-store')
  t.deepEqual(json, { todos: texts })
  t.is(text, JSON.stringify({ todos: texts }))
  const page = (await visitor.get('/')).text
  for (const text of tags) {
    t.false(page.includes(text), text)
    t.true(unescapeHtml(page).includes(text), text)
  }
  for (const text of texts.toReversed()) {
    t.is((await api('DELETE', { todo_idx: texts.indexOf(text), todo: text })).json.todo, text)
    t.is(((await events()).at(-1)!.sealed!.open as { excerpt: string }).excerpt, text)
  }
})

test('85. 100 adds and 50 deletes in parallel: linear, each 200 is one event', async (t) => {
  const before = Array.from({ length: 20 }, (_, at) => `before ${at}`)
  const { api, list, events, ledger } = await begin(t, before)
  const { seq } = ledger.head
  const model: { id: string; text: string }[] = []
  for (const event of await events())
    if (event.type === 'TodoAdded') model.push({ id: event.data.todo, text: event.sealed.open!.text! })
  const ask = async (at: number) => {
    const method = at % 3 === 2 ? 'DELETE' : 'POST'
    const body = method === 'POST' ? { todo: `new ${at}` } : { todo_idx: (at * 7) % 60 }
    return { method, body, answer: await api(method, body) }
  }
  const answers = await Promise.all(Array.from({ length: 150 }, (_, at) => ask(at)))
  const byRequest = new Map(answers.map((one) => [one.answer.headers.get('x-request-id')!, one]))
  for (const event of await events()) {
    if (event.seq <= seq) continue
    const { answer, body } = byRequest.get(event.via.request!)!
    t.is(answer.status, 200)
    byRequest.delete(event.via.request!)
    if (event.type === 'TodoAdded') {
      t.deepEqual(answer.json, { id: event.data.todo, ...body, todo_idx: model.length })
      model.push({ id: event.data.todo, text: answer.json.todo })
    } else if (event.type === 'TodoDeleted') {
      const [deleted] = model.splice((body as { todo_idx: number }).todo_idx, 1)
      t.deepEqual(answer.json, { id: deleted!.id, todo: deleted!.text })
      t.like(event, { data: { todo: deleted!.id } })
    } else t.fail(event.type)
  }
  // What is left was refused, and left nothing behind.
  for (const { method, answer } of byRequest.values()) t.deepEqual([method, answer.status], ['DELETE', 404])
  t.is((await list()).join(), model.map(({ text }) => text).join())
})

test('86. a wrong content type: 415, and the list is unchanged', async (t) => {
  const { raw, api, refused, list } = await begin(t, ['kept'])
  const others =
    'text/plain application/x-www-form-urlencoded application/jsonx json text/json application/vnd.api+json'
  const charsets = ['utf-16', 'iso-8859-1'].map((charset) => `application/json; charset=${charset}`)
  const odd = [
    '',
    'multipart/form-data; boundary=x',
    'application/json, text/plain',
    ['application/json', 'application/json'],
  ]
  const types: Lines[] = [...others.split(' '), ...charsets, ...odd].map((type) => ({ 'content-type': type }))
  for (const encoding of ['gzip', 'br']) types.push({ ...JSON_TYPE, 'content-encoding': encoding })
  for (const type of [{}, ...types])
    for (const [method, body] of [
      ['POST', '{"todo":"x"}'],
      ['DELETE', '{"todo_idx":0}'],
    ] as const)
      await refused(await raw(method, body, type), 415, 'unsupported_media_type', `${method} ${JSON.stringify(type)}`)
  for (const method of ['POST', 'DELETE'])
    await refused(await raw(method, undefined, {}), 415, 'unsupported_media_type', `${method} without a body`)
  for (const type of ['application/json;charset=UTF-8', 'APPLICATION/JSON', 'application/json; charset="utf-8"; x=y'])
    t.is((await raw('POST', '{"todo":"x"}', { 'content-type': type })).status, 200, type)
  t.is((await api('DELETE', { todo_idx: 3 })).status, 200)
  t.deepEqual(await list(), ['kept', 'x', 'x'])
})

test('86. no cross-origin permission outside CORS_ORIGINS, whatever the call', async (t) => {
  const { raw } = await begin(t, ['kept'], { corsOrigins: ['https://own.example'] })
  const preflight = { 'access-control-request-method': 'DELETE', 'access-control-request-headers': 'authorization' }
  for (const origin of ['https://evil.example', 'https://chatgpt.com', 'null', '*', 'https://own.example'])
    for (const method of ['GET', 'POST', 'DELETE', 'OPTIONS']) {
      const { headers } = await raw(method, undefined, { origin, ...(method === 'OPTIONS' ? preflight : JSON_TYPE) })
      const allowed = origin === 'https://own.example' ? origin : null
      t.is(headers.get('access-control-allow-origin'), allowed, `${method} ${origin}`)
      t.is(headers.get('access-control-allow-credentials'), null)
    }
})

test('87. more than MAX_OPEN_TODOS open to-dos: 409, also in parallel; what is deleted makes room', async (t) => {
  const { chatgpt, api, add, refused, list, news } = await begin(t, ['one', 'two', 'three'], { maxOpenTodos: 3 })
  await refused(await api('POST', { todo: 'four' }), 409, 'list_full', 'full')
  await api('DELETE', { todo_idx: 1 })
  await news()
  const answers = await Promise.all(Array.from({ length: 10 }, (_, at) => api('POST', { todo: `new ${at}` })))
  t.deepEqual(answers.map(({ status }) => status).toSorted(), [200, ...Array(9).fill(409)])
  t.deepEqual(await news(), ['TodoAdded'])
  t.deepEqual(await list(), ['one', 'three', answers.find(({ status }) => status === 200)!.json.todo])
  const bob = await chatgpt.connect(person('bob'))
  t.is((await chatgpt.api(bob.access_token, 'POST', '/todos/me', { todo: "bob's" })).status, 200)
  await api('DELETE', { todo_idx: 0 })
  t.is((await add('again')).todo_idx, 2)
})

test('87. a long list comes in parts that give everything exactly once, none of them too long', async (t) => {
  const { api, add, news } = await begin(t)
  const kinds = ['x', '"', '😀', '\u0001', 'é']
  const texts = Array.from({ length: 40 }, (_, at) => `${at} ${kinds[at % 5]!.repeat(at * 240)}`)
  for (const text of texts) await add(text)
  await news()
  const read: string[] = []
  let parts = 0
  for (let from: number | undefined = 0; from !== undefined; parts++) {
    const { status, text, json } = await api('GET', undefined, from === 0 ? '/todos/me' : `/todos/me?from=${from}`)
    t.is(status, 200)
    t.true(text.length < 100_000, `${text.length}`)
    t.true(json.todos.length > 0)
    read.push(...json.todos)
    t.true(json.next_idx === undefined || json.next_idx === read.length)
    t.deepEqual(Object.keys(json), json.next_idx === undefined ? ['todos'] : ['todos', 'next_idx'])
    from = json.next_idx
  }
  t.true(parts > 3)
  t.deepEqual(read, texts)
  t.deepEqual(await news(), [])
  t.is((await api('DELETE', { todo_idx: 39, todo: texts[39] })).status, 200, 'an index counts from the whole list')
})

test('87. no answer is longer than 90,000 characters; each holds as much as fits', async (t) => {
  const texts = Array.from({ length: 8 }, (_, at) => String(at).repeat(10_000))
  const { api, add } = await begin(t, texts)
  const table = [
    { tail: [9_962], fit: 9, length: 90_000 },
    { tail: [9_963], fit: 8, length: 80_048 },
    { tail: [9_949, 100], fit: 9, length: 90_000 },
    { tail: [9_950, 100], fit: 8, length: 80_048 },
  ]
  for (const { tail, fit, length } of table) {
    const all = [...texts, ...tail.map((characters) => 'x'.repeat(characters))]
    for (const text of all.slice(8)) await add(text)
    const { text, json } = await api('GET')
    const next = fit < all.length ? { next_idx: fit } : {}
    t.deepEqual([json.todos.length, json.next_idx, text.length], [fit, next.next_idx, length])
    t.is(text, JSON.stringify({ todos: all.slice(0, fit), ...next }))
    t.is((await api('GET', undefined, `/todos/me?from=${fit}`)).text, JSON.stringify({ todos: all.slice(fit) }))
    for (const _ of tail) await api('DELETE', { todo_idx: 8 })
  }
})

test('87. from: any whole number; past the end nothing is left; anything else is 400', async (t) => {
  const { api, raw, refused } = await begin(t, ['zero', 'one', 'two'])
  const right = { '0': ['zero', 'one', 'two'], '2': ['two'], '3': [], '999999999': [], '01': ['one', 'two'] }
  for (const [from, todos] of Object.entries(right))
    t.deepEqual((await api('GET', undefined, `/todos/me?from=${from}`)).json, { todos }, from)
  t.deepEqual((await api('GET', undefined, '/todos/me?other=1')).json.todos.length, 3)
  const wrong = '-1 1.5 x 1e1 0x1 %201 NaN Infinity %00 0&from=1 1&from=1'.split(' ')
  for (const from of [...wrong, '1'.repeat(400)])
    await refused(await raw('GET', undefined, {}, `/todos/me?from=${from}`), 400, 'invalid_todo_idx', from)
})

test('83. DELETE by query, for gateways that drop its body; both at once must agree', async (t) => {
  const { raw, refused, list, news } = await begin(t, ['zero', 'one', 'a&b=ü', 'three'])
  const remove = (query: string, body?: string) =>
    raw('DELETE', body, body === undefined ? {} : JSON_TYPE, `/todos/me?${query}`)
  for (const index of ['x', '-1', '1.5', '1e0', '0x1', '', '%20', '1234567890'])
    await refused(await remove(`todo_idx=${index}`), 400, 'invalid_todo_idx', index)
  await refused(await remove('todo=zero'), 400, 'invalid_todo_idx', 'no index')
  await refused(await remove('todo_idx=4'), 404, 'not_found', 'past the end')
  await refused(await remove('todo_idx=0&todo=one'), 409, 'todo_differs', 'another text')
  await refused(await remove('todo_idx=0&todo='), 409, 'todo_differs', 'no text')
  for (const query of [
    'todo_idx=0&todo_idx=0',
    'todo_idx=0&todo=zero&todo=zero',
    'todo_idx=0&index=0',
    'todo_idx=0&todo=%ff',
  ])
    await refused(await remove(query), 400, 'invalid_request', query)
  for (const body of ['{"todo_idx":1}', '{"todo":"one"}', '{"todo_idx":"0"}', '{"todo_idx":0,"x":1}', '[]', '{'])
    await refused(await remove('todo_idx=0&todo=zero', body), 400, 'invalid_request', body)
  await refused(await raw('DELETE', undefined, {}, '/todos/me'), 415, 'unsupported_media_type', 'neither')
  t.is((await remove(`todo_idx=2&todo=${encodeURIComponent('a&b=ü')}`)).json.todo, 'a&b=ü')
  t.is((await remove('todo_idx=2')).json.todo, 'three')
  t.is((await remove('todo_idx=1&todo=one', '{"todo_idx":1,"username":"alice"}')).json.todo, 'one')
  t.is((await remove('todo_idx=0', '{}')).json.todo, 'zero')
  t.deepEqual([await list(), await news()], [[], Array(4).fill('TodoDeleted')])
})
