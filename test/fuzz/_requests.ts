/** Requests that nobody would send: structured ones over every route, with odd values everywhere; then bent as bytes. */
import fc from 'fast-check'

const PATHS = [
  ...['/', '/login', '/signup', '/logout', '/oauth', '/oauth/consent', '/style.css', '/legal', '/logo.png'],
  ...['/auth/oauth_exchange', '/auth/revoke', '/auth/introspect', '/auth/register', '/mcp', '/account/keys'],
  ...['/openapi.yaml', '/openapi.json', '/.well-known/ai-plugin.json', '/.well-known/oauth-authorization-server'],
  ...['/.well-known/oauth-protected-resource', '/healthz', '/readyz', '/metrics', '/account/keys/revoke'],
  ...['/admin/audit/events', '/admin/audit/events/1', '/admin/audit/export', '/admin/audit/nothing'],
  ...['/auth/register/x', '/.well-known/oauth-protected-resource/mcp', '/mcp/'],
  ...['/todos/me/items', '/todos/me/batch', '/todos/me/items/01M8G1Z6PVRGT42J3QV6MJMEP0', '/todos/me/items/x/move'],
  ...['/todos/me', '/todos/global', '/todos/alice', '/todos/mallory', '/todos/__proto__', '/todos/'],
]
const METHODS = ['GET', 'POST', 'DELETE', 'PUT', 'PATCH', 'HEAD', 'OPTIONS', 'TRACE', 'CONNECT', 'PROPFIND', 'get', 'X']
const NAMES = [
  ...[
    'client_id',
    'client_secret',
    'redirect_uri',
    'response_type',
    'scope',
    'state',
    'code',
    'code_challenge',
    'resource',
    'prompt',
  ],
  ...[
    'code_challenge_method',
    'code_verifier',
    'grant_type',
    'refresh_token',
    'token',
    'token_type_hint',
    'from',
    'filter',
  ],
  ...[
    'identifier',
    'username',
    'email',
    'password',
    'form_token',
    'return_to',
    'request',
    'decision',
    'limit',
    'before',
  ],
  ...[
    'due',
    'priority',
    'notes',
    'done',
    'query',
    'sort',
    'cursor',
    'due_before',
    'due_after',
    'action',
    'ids',
    'items',
  ],
  ...[
    'position',
    'redirect_uris',
    'client_name',
    'jsonrpc',
    'id',
    'method',
    'params',
    'logo_uri',
    'token_endpoint_auth_method',
  ],
  ...[
    'todo',
    'todo_idx',
    'label',
    'key',
    'format',
    'open',
    'after',
    '__proto__',
    'constructor',
    'toString',
    '',
    'a[b]',
    'ü',
  ],
]
const HEADERS = [
  ...['Cookie', 'Origin', 'Sec-Fetch-Site', 'Accept', 'Cookie'],
  ...['Sec-Fetch-Dest', 'Sec-Purpose'],
  ...['Origin', 'Sec-Fetch-Site', 'Referer', 'X-Forwarded-For', 'X-Forwarded-Host', 'Forwarded', 'Accept', 'Expect'],
  ...['If-None-Match', 'Range', 'Upgrade', 'Connection', 'Last-Event-Id', 'User-Agent', 'OpenAI-Conversation-Id'],
  ...[
    'MCP-Protocol-Version',
    'Mcp-Method',
    'Mcp-Name',
    'If-Match',
    'X-HTTP-Method-Override',
    'Idempotency-Key',
    '__proto__',
    'X-Request-Id',
    'Access-Control-Request-Method',
  ],
]

/** What frames a request, or is read before anything else: twice, most of these are the end of it. */
const FRAMING = ['Authorization', 'Content-Type', 'Content-Length', 'Content-Encoding', 'Transfer-Encoding', 'Host']

/** What the generator knows of the world: things that are right, to be mixed with what is not. */
export type Known = {
  readonly values: readonly string[]
  readonly bearers: readonly string[]
  /** A token for `/mcp`. */
  readonly mcp: string
}

/** A request as it goes over the wire, byte for byte. */
export const requests = (known: Known): fc.Arbitrary<Buffer> => {
  const { values, bearers } = known
  const odd = fc.oneof(
    fc.constantFrom(...values),
    fc.constantFrom(
      'code',
      'consent',
      'document',
      'prefetch',
      'authorization_code',
      'refresh_token',
      'S256',
      'plain',
      'todos:read',
      'allow',
      'deny',
      'csv',
    ),
    fc.constantFrom(
      '',
      '0',
      '-1',
      '1e999',
      'null',
      'true',
      '[]',
      '{}',
      '%',
      '%zz',
      '%00',
      '\u0000',
      '../..',
      '//',
      '\\',
    ),
    fc.constantFrom('<script>', '"', "'", '\r\nX: y', '\ud800', '😀', 'javascript:alert(1)', 'seq:1..', 'type:', '-'),
    fc.string({ unit: 'binary', maxLength: 40 }),
    fc.string({ maxLength: 12 }).map((text) => text.repeat(300)),
  )
  const pair = fc.tuple(fc.constantFrom(...NAMES), odd)
  const encode = (text: string): string => encodeURIComponent(text.toWellFormed())
  const form = fc
    .array(pair, { maxLength: 8 })
    .map((pairs) => pairs.map(([name, value]) => `${encode(name)}=${encode(value)}`).join('&'))
  const rawQuery = fc
    .array(fc.tuple(fc.constantFrom(...NAMES), odd), { maxLength: 5 })
    .map((pairs) => pairs.map(([name, value]) => `${name}=${value}`).join('&'))
  const json = fc.oneof(
    fc
      .array(fc.tuple(fc.constantFrom(...NAMES), fc.oneof(odd, fc.jsonValue())), { maxLength: 6 })
      .map(
        (pairs) => `{${pairs.map(([name, value]) => `${JSON.stringify(name)}:${JSON.stringify(value)}`).join(',')}}`,
      ),
    fc.json(),
    fc.nat({ max: 50_000 }).map((depth) => '['.repeat(depth)),
  )
  const path = fc.oneof(
    { weight: 8, arbitrary: fc.constantFrom(...PATHS) },
    {
      weight: 3,
      arbitrary: fc.constantFrom(
        ...['/todos/me', '/auth/oauth_exchange', '/oauth', '/login', '/oauth/consent'],
        ...['/todos/me/items', '/mcp', '/auth/register'],
      ),
    },
    { weight: 1, arbitrary: fc.tuple(fc.constantFrom(...PATHS), odd).map(([start, end]) => `${start}/${encode(end)}`) },
    { weight: 1, arbitrary: odd.map((text) => `/${text}`) },
    {
      weight: 1,
      arbitrary: fc.constantFrom('*', 'http://evil.example/', 'http://[', '//evil.example/x', '/%2e%2e/etc/passwd'),
    },
  )
  const bearer = fc.oneof(
    fc.constantFrom(...bearers).map((token) => `Bearer ${token}`),
    odd.map((text) => `Bearer ${text}`),
    odd.map((text) => `Basic ${Buffer.from(text).toString('base64')}`),
  )
  const content = fc.oneof(
    fc.tuple(fc.constant('application/x-www-form-urlencoded'), form),
    fc.tuple(fc.constantFrom('application/json', 'application/json; charset=utf-8'), json),
    fc.tuple(
      fc.constantFrom('text/plain', 'multipart/form-data; boundary=x', 'application/json; charset=utf-16', ';', ''),
      odd,
    ),
  )
  const name = fc.oneof({ weight: 9, arbitrary: fc.constantFrom(...HEADERS) }, fc.constantFrom(...FRAMING))
  const visible = odd.map((text) => text.replaceAll(/[^\x20-\x7e]/g, ''))
  const header = fc.tuple(name, fc.oneof({ weight: 9, arbitrary: visible }, odd))
  return fc.oneof({ weight: 1, arbitrary: nearly(known, odd) }, { weight: 2, arbitrary: wild() })

  function wild(): fc.Arbitrary<Buffer> {
    return fc
      .record({
        method: fc.oneof(
          { weight: 6, arbitrary: fc.constantFrom('GET', 'POST', 'DELETE') },
          fc.constantFrom(...METHODS),
        ),
        path,
        query: fc.option(fc.oneof(form, rawQuery), { nil: undefined }),
        authorization: fc.option(bearer, { nil: undefined }),
        headers: fc.array(header, { maxLength: 3 }),
        body: fc.option(content, { nil: undefined }),
        bends: fc.oneof({ weight: 6, arbitrary: fc.constant<Bend[]>([]) }, fc.array(bend, { maxLength: 4 })),
      })
      .map(({ method, path: target, query, authorization, headers, body, bends }) => {
        const lines = [`${method} ${target}${query === undefined ? '' : `?${query}`} HTTP/1.1`, 'Host: localhost']
        lines.push('Connection: close')
        if (authorization !== undefined) lines.push(`Authorization: ${authorization}`)
        if (body !== undefined) lines.push(`Content-Type: ${body[0]}`, `Content-Length: ${Buffer.byteLength(body[1])}`)
        for (const [name, value] of headers) lines.push(`${name}: ${value}`)
        const bytes = Buffer.from(`${lines.join('\r\n')}\r\n\r\n${body?.[1] ?? ''}`)
        return bends.reduce((bent: Buffer, how) => how(bent), bytes)
      })
  }
}

/** A request that is right but for one value: so that what stands behind the first checks is met, too. */
function nearly({ values, bearers, mcp }: Known, odd: fc.Arbitrary<string>): fc.Arbitrary<Buffer> {
  const [id = '', secret = '', callback = ''] = values
  const app = { client_id: id, client_secret: secret }
  const texts: [string, { [name: string]: string }][] = [
    ['/auth/oauth_exchange', { grant_type: 'refresh_token', refresh_token: 'x', ...app }],
    ['/auth/oauth_exchange', { grant_type: 'authorization_code', code: 'x', redirect_uri: callback, ...app }],
    ['/auth/revoke', { token: 'x', ...app }],
    ['/auth/introspect', { token: 'x', ...app }],
  ]
  const any = fc.oneof(odd, fc.jsonValue())
  const spoil = (fields: object): fc.Arbitrary<object> =>
    fc.tuple(fc.constantFrom(...Object.keys(fields)), any).map(([name, value]) => ({ ...fields, [name]: value }))
  const send = (start: string, body: string, token = bearers[0]): Buffer =>
    Buffer.from(
      `${start}\r\nHost: localhost\r\nConnection: close\r\nAuthorization: Bearer ${token}\r\n` +
        `Content-Type: application/json\r\nContent-Length: ${Buffer.byteLength(body)}\r\n\r\n${body}`,
    )
  const todos = fc
    .tuple(fc.constantFrom('POST', 'DELETE'), spoil({ todo: 'x', todo_idx: 0 }))
    .map(([method, body]) => send(`${method} /todos/me HTTP/1.1`, JSON.stringify(body)))
  const tokens = fc
    .constantFrom(...texts)
    .chain(([path, fields]) =>
      spoil(fields).map((body) =>
        Buffer.from(
          `POST ${path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nContent-Type: application/json\r\n` +
            `Content-Length: ${Buffer.byteLength(JSON.stringify(body))}\r\n\r\n${JSON.stringify(body)}`,
        ),
      ),
    )
  const asked = { client_id: id, redirect_uri: callback, response_type: 'code', scope: '', state: 's', resource: '' }
  const links = fc.tuple(fc.constantFrom(...Object.keys(asked)), odd).map(([name, value]) => {
    const query = new URLSearchParams({ ...asked, [name]: value.toWellFormed() })
    return Buffer.from(`GET /oauth?${query} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n`)
  })
  const item = { todo: 'x', due: '2026-12-01', priority: 1, notes: 'n', done: true }
  const items = fc
    .tuple(fc.constantFrom('POST /todos/me/items', 'PATCH /todos/me/items/x'), spoil(item))
    .map(([start, body]) => send(`${start} HTTP/1.1`, JSON.stringify(body)))
  const batches = fc
    .tuple(fc.constantFrom('add', 'complete', 'delete', 'undelete', 'reschedule'), spoil({ ids: ['x'], items: [item] }))
    .map(([action, body]) => send('POST /todos/me/batch HTTP/1.1', JSON.stringify({ action, ...body })))
  const app2 = { redirect_uris: ['http://127.0.0.1/cb'], client_name: 'x', token_endpoint_auth_method: 'none' }
  const registrations = spoil(app2).map((body) => send('POST /auth/register HTTP/1.1', JSON.stringify(body)))
  return fc.oneof(todos, tokens, links, items, batches, registrations, calls(mcp, send, any))
}

const TOOLS: { readonly [tool: string]: object } = {
  find_todos: { query: 'x', state: 'open', due_before: '2026-12-01', limit: 1, cursor: 'x' },
  add_todos: { items: [{ todo: 'x', due: null }], idempotency_key: 'k' },
  update_todo: { id: 'x', todo: 'y', notes: null, priority: 1 },
  complete_todos: { ids: ['x'] },
  reopen_todos: { ids: ['x'] },
  reschedule_todos: { items: [{ id: 'x', due: '2026-12-01' }] },
  move_todo: { id: 'x', before: 'y', position: 1 },
  delete_todos: { ids: ['x'] },
  undo_delete: { ids: ['x'] },
  get_overview: { today: '2026-12-01' },
  my_activity: { since: '2h', limit: 5, cursor: '7' },
  search: { query: 'x' },
  fetch: { id: 'x' },
  get_profile: {},
}

/** Calls of MCP tools, one value of which is another one. */
function calls(
  mcp: string,
  send: (start: string, body: string, token: string) => Buffer,
  any: fc.Arbitrary<unknown>,
): fc.Arbitrary<Buffer> {
  const methods = ['tools/call', 'tools/list', 'initialize', 'resources/read', 'server/discover', 'x']
  const start = 'POST /mcp HTTP/1.1\r\nAccept: application/json, text/event-stream'
  return fc.constantFrom(...Object.keys(TOOLS)).chain((name) =>
    fc
      .record({
        spoiled: fc.constantFrom('jsonrpc', 'id', 'method', 'params', 'name', ...Object.keys(TOOLS[name]!)),
        value: any,
        method: fc.oneof({ weight: 9, arbitrary: fc.constant('tools/call') }, fc.constantFrom(...methods)),
      })
      .map(({ spoiled, value, method }) => {
        const args = { ...TOOLS[name]!, ...(spoiled in TOOLS[name]! ? { [spoiled]: value } : {}) }
        const params = { name: spoiled === 'name' ? value : name, arguments: args, _meta: { 'openai/session': 'v1/x' } }
        const call: { [member: string]: unknown } = { jsonrpc: '2.0', id: 1, method, params }
        if (spoiled in call) call[spoiled] = value
        return send(start, JSON.stringify(call), mcp)
      }),
  )
}

type Bend = (bytes: Buffer) => Buffer

/** One way to bend bytes. */
const bend: fc.Arbitrary<Bend> = fc
  .record({
    how: fc.constantFrom('flip', 'cut', 'repeat', 'insert', 'end'),
    at: fc.nat({ max: 2 ** 20 }),
    length: fc.nat({ max: 200 }),
    byte: fc.nat({ max: 255 }),
  })
  .map(({ how, at: place, length, byte }) => (bytes) => {
    const at = place % Math.max(1, bytes.length)
    const [before, after] = [bytes.subarray(0, at), bytes.subarray(at)]
    if (how === 'flip') return Buffer.concat([before, Buffer.from([(after[0] ?? 0) ^ (byte | 1)]), after.subarray(1)])
    if (how === 'cut') return Buffer.concat([before, after.subarray(length)])
    if (how === 'repeat') return Buffer.concat([before, after.subarray(0, length), after])
    if (how === 'insert') return Buffer.concat([before, Buffer.from([byte]), after])
    return before
  })
