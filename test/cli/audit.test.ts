/** `daybook audit …`: what happened, for people and for scripts, and the proof that nothing of it was changed. */
import { copyFileSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import test, { type ExecutionContext } from 'ava'
import { chainLine } from '../../src/ledger/chain.ts'
import { Log } from '../../src/ledger/log.ts'
import { daybook, type Home, homeFor, newHome, type Row, rowsOf, run, serve, WAYS } from '../_serve.ts'
import { CHATGPT_ID, ClientSide, person, Visitor } from '../_support.ts'

for (const way of WAYS) {
  test(`audit list: the latest first, as table, JSON and JSON lines (${way})`, async (t) => {
    const home = await homeFor(t, way)
    await daybook(home, 'user add alice --random-password')
    await daybook(home, 'user revoke alice')
    const rows = await rowsOf(home, 'audit list')
    t.deepEqual(
      rows.map((row) => [row.seq, row.type, row.who, row.what]),
      [
        [5, 'UserRevoked', 'the operator', 'revoked alice: sessions, codes, tokens and keys ended'],
        [4, 'UserRegistered', 'the operator', 'registered the account alice'],
        [3, 'RedirectUriAllowed', 'Daybook itself', rows[2]!.what],
        [2, 'ClientRegistered', 'Daybook itself', `registered the client ChatGPT as ${CHATGPT_ID}`],
        [1, 'BookOpened', 'Daybook itself', rows[4]!.what],
      ],
    )
    t.deepEqual(rows[0]!.actor, { kind: 'operator', id: 'cli' })
    t.regex(rows[0]!.via.request, /^[0-9A-Z]{26}$/)
    t.is(rows[0]!.prev, rows[1]!.hash)
    t.is(rows[4]!.prev, '0'.repeat(64))
    t.deepEqual(rows[1]!.open, { username: 'alice' })

    const lines = await daybook(home, 'audit list -type:BookInspected -o ndjson --limit 2')
    t.is(
      lines.stdout,
      rows
        .slice(0, 2)
        .map((row) => `${JSON.stringify(row)}\n`)
        .join(''),
    )
    const table = (await daybook(home, 'audit list -type:BookInspected --limit 2')).stdout.split('\n')
    t.regex(table[0]!, /^SEQ {2}AT {24}WHO {11}WHAT +THROUGH {2}IP$/)
    t.is(table[1], `5    ${rows[0]!.at}  the operator  revoked alice: sessions, codes, tokens and keys ended`)
    t.is(table[2], `4    ${rows[1]!.at}  the operator  registered the account alice`)
    t.deepEqual(table.slice(3), [''])
    t.is((await rowsOf(home, 'audit list -type:BookInspected --limit 1')).length, 1)
  })

  test(`94. audit verify: clean → 0, with the head to note down (${way})`, async (t) => {
    const home = await homeFor(t, way)
    await daybook(home, 'user add alice --random-password')
    const verified = await daybook(home, 'audit verify')
    const [last] = await rowsOf(home, 'audit list -type:BookInspected --limit 1')
    t.like(verified, { code: 0, stderr: '' })
    t.is(verified.stdout, `${last!.seq} events, and the chain holds. Head ${last!.seq}:${last!.hash}\n`)
  })
}

test('audit list: fifty unless told otherwise, and how many must be a number', async (t) => {
  const home = await newHome(t)
  await serve(t, home)
  const chatgpt = new ClientSide(home.url)
  const tokens = await chatgpt.connect(person('alice'))
  for (let n = 0; n < 50; n++) await chatgpt.api(tokens.access_token, 'POST', '/todos/me', { todo: `to-do ${n}` })
  const rows = await rowsOf(home, 'audit list')
  t.is(rows.length, 50)
  t.is(rows[0]!.what, 'added “to-do 49”')
  t.is((await daybook(home, 'audit list -o ndjson --limit 55')).stdout.trimEnd().split('\n').length, 55)
  for (const limit of ['0', '-1', '1.5', 'x', '', '1e3', '0x10', '9999999999999999'])
    t.like(await run(['audit', 'list', `--limit=${limit}`], { env: home.env }), { code: 2, stdout: '' }, limit)
})

test('90. audit list: who, how, when, through what, from where', async (t) => {
  const home = await newHome(t, { TRUST_PROXY: '127.0.0.1' })
  await serve(t, home)
  const conversation = '3f1c9a52-1111-4222-8333-444455556666'
  const chatgpt = new ClientSide(home.url)
  const visitor = new Visitor(home.url)
  await visitor.signUp(person('alice'))
  const { json: tokens } = await chatgpt.exchange(await chatgpt.codeFor(visitor))
  const headers = {
    'openai-conversation-id': conversation,
    'x-forwarded-for': '203.0.113.9',
    'user-agent': 'ChatGPT-User/1.0',
  }
  const answer = await chatgpt.api(tokens.access_token, 'POST', '/todos/me', { todo: 'buy milk' }, headers)
  const [row] = await rowsOf(home, 'audit list -type:BookInspected --limit 1')
  const [user] = await rowsOf(home, 'user list')
  t.like(row, {
    type: 'TodoAdded',
    who: 'alice',
    what: 'added “buy milk”',
    through: `chatgpt conversation ${conversation}`,
  })
  t.like(row, { ip: '203.0.113.9', actor: { kind: 'user', id: user!.id } })
  t.deepEqual(row!.via, { request: answer.headers.get('x-request-id'), client: 'chatgpt', conversation })
  t.deepEqual(row!.open, { text: 'buy milk', ip: '203.0.113.9', agent: 'ChatGPT-User/1.0' })
  const table = (await daybook(home, 'audit list -type:BookInspected --limit 1')).stdout.split('\n')[1]!
  t.is(table, `${row!.seq}   ${row!.at}  alice  added “buy milk”  chatgpt conversation ${conversation}  203.0.113.9`)
})

/** What nobody should be able to do to who reads the audit. */
const ODD_TEXTS = [
  '\u001b[31mred\u001b[0m \u001b]0;title\u0007 \u001b]8;;https://a.example\u0007link',
  'two\nlines\r\nand\ttabs\u0000 and \u0085 nel',
  'left \u202eto right\u202c \u200b zero \ufeff width',
  '\u009b31m C1 \u0008\u0008\u0008 backspace \u007f delete',
  '<script>alert(1)</script> &amp; "quoted"',
  '=HYPERLINK("https://a.example")',
  'tag \u{e0001} and private \u{f0000}',
  '日本語 — wide',
]

/** A home whose book ends with a to-do for each of the texts, beside a server. */
async function homeWith(t: ExecutionContext, texts: readonly string[]): Promise<Home> {
  const home = await newHome(t)
  await serve(t, home)
  const chatgpt = new ClientSide(home.url)
  const { access_token: token } = await chatgpt.connect(person('alice'))
  for (const todo of texts) t.is((await chatgpt.api(token, 'POST', '/todos/me', { todo })).status, 200, todo)
  return home
}

test('92. control characters, escape sequences, markup and formulas: one event, one harmless line each', async (t) => {
  const home = await homeWith(t, ODD_TEXTS)
  const rows = await rowsOf(home, `audit list -type:BookInspected --limit ${ODD_TEXTS.length}`)
  t.deepEqual(
    rows.map((row) => [row.type, row.open.text]),
    ODD_TEXTS.map((text) => ['TodoAdded', text]).reverse(),
  )
  const { stdout } = await daybook(home, `audit list -type:BookInspected --limit ${ODD_TEXTS.length}`)
  const lines = stdout.trimEnd().split('\n')
  t.is(lines.length, ODD_TEXTS.length + 1, stdout)
  // Nothing that a terminal obeys, and nothing that turns or hides text.
  t.notRegex(lines.join(''), /[\p{Cc}\u202a-\u202e\u2066-\u2069\u200b\ufeff]/u)
  for (const text of ODD_TEXTS.filter((one) => /^[<=日]/.test(one))) t.true(stdout.includes(text), text)
})

test('92. JSON answers carry control characters escaped, never as they are', async (t) => {
  const home = await homeWith(t, ODD_TEXTS)
  for (const format of ['json', 'ndjson']) {
    const { stdout } = await daybook(home, `audit list -type:BookInspected -o ${format} --limit ${ODD_TEXTS.length}`)
    t.notRegex(stdout.replaceAll('\n', ''), /\p{Cc}/u, format)
    const rows =
      format === 'json'
        ? JSON.parse(stdout)
        : stdout
            .trimEnd()
            .split('\n')
            .map((line) => JSON.parse(line))
    t.deepEqual(
      rows.map((row: Row) => row.open.text),
      ODD_TEXTS.toReversed(),
    )
  }
})

test('92. the line separators of Unicode end no line: neither on the socket nor in a table', async (t) => {
  const texts = ['one \u2028 line', 'one \u2029 line']
  const home = await homeWith(t, texts)
  const rows = await rowsOf(home, 'audit list --limit 2')
  t.deepEqual(
    rows.map((row) => row.open.text),
    texts.toReversed(),
  )
  const { stdout } = await daybook(home, 'audit list --limit 2')
  t.is(stdout.trimEnd().split(/[\n\u2028\u2029]/).length, 3)
})

/** A book of a few events, closed; and its lines. */
async function closedBook(home: Home): Promise<string[]> {
  await daybook(home, 'user add alice --random-password')
  await daybook(home, 'user revoke alice')
  await daybook(home, 'user restore alice')
  const log = await Log.open(home.data)
  const lines: string[] = []
  for await (const [, line] of log.lines()) lines.push(line)
  await log.close()
  return lines
}

async function overwrite(home: Home, seq: number, line: string | undefined): Promise<void> {
  const log = await Log.open(home.data)
  await log.write([[Log.eventChange(seq, '')[0], line]])
  await log.close()
}

test('94. audit verify: an event that was edited, dropped or swapped → 1 and the first bad seq', async (t) => {
  const home = await newHome(t)
  const lines = await closedBook(home)
  const line = (seq: number): string => lines[seq - 1]!
  /** The event with another hash that fits it: only the next one gives it away. */
  const rehashed = (seq: number): string => {
    const { hash: _, ...event } = JSON.parse(line(seq))
    return chainLine({ ...event, at: '2000-01-01T00:00:00.000Z' }).line
  }
  const harms: [seq: number, line: string | undefined, bad: number][] = [
    [1, line(1).replace('BookOpened', 'BookClosed'), 1],
    [4, line(4).replace('"admin":false', '"admin":true'), 4],
    [5, undefined, 5],
    [2, line(3), 2],
    [3, rehashed(3), 4],
  ]
  for (const [seq, changed, bad] of harms) {
    await overwrite(home, seq, changed)
    const { code, stdout, stderr } = await daybook(home, 'audit verify')
    t.deepEqual([code, stdout], [1, ''], `${seq}`)
    t.regex(stderr, new RegExp(`^daybook: event ${bad} does not hold: [^\\n]+\\n$`))
    await overwrite(home, seq, line(seq))
  }
  t.is((await daybook(home, 'audit verify')).code, 0)
})

test('95. a book that ends before its witness is refused with 1, and says what to do', async (t) => {
  const home = await newHome(t)
  const lines = await closedBook(home)
  const head = join(home.data, 'head')
  copyFileSync(head, join(home.folder, 'head'))
  await overwrite(home, lines.length, undefined)
  for (const words of ['audit verify', 'audit list', 'user list', 'serve']) {
    const { code, stdout, stderr } = await daybook(home, words)
    t.deepEqual([code, stdout], [1, ''], words)
    t.regex(stderr, new RegExp(`^daybook: [^\\n]*event ${lines.length - 1}[^\\n]*${lines.length}[^\\n]*\\n$`))
    t.regex(stderr, /Restore a backup/)
  }
  t.is(readFileSync(head, 'utf8'), readFileSync(join(home.folder, 'head'), 'utf8'), 'the witness is left as it was')
  await overwrite(home, lines.length, lines.at(-1))
  writeFileSync(head, 'nonsense')
  const damaged = await daybook(home, 'audit verify')
  t.is(damaged.code, 1)
  t.regex(damaged.stderr, /head/)
})
