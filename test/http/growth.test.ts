/** How much one account can make the log grow in a day by its to-dos, against the number that docs/security.md names. */
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import test, { type ExecutionContext } from 'ava'
import { LIMITS, type LimitSettings } from '../../src/service/limits.ts'
import type { World } from '../_support.ts'
import { type Ask, BATCH, begin, ITEMS } from './_items.ts'

/** `LIMIT_WRITE` as it is by default, and the part of it that is used up here. */
const [A_DAY, MOST] = [10_000, 400]
const UNLIMITED = { most: 1_000_000_000, windowMs: 86_400_000 }
const limits = {
  ...(Object.fromEntries(Object.keys(LIMITS).map((name) => [name, UNLIMITED])) as LimitSettings),
  write: { most: MOST, windowMs: 86_400_000 },
}

/** What a caller chooses about a request, in the form that takes the most room. */
const HEADERS = { 'openai-conversation-id': 'x'.repeat(256), 'user-agent': '"'.repeat(256) }

async function sizeOf({ ledger }: World): Promise<number> {
  let bytes = 0
  for await (const chunk of ledger.chunks()) for (const [, line] of chunk) bytes += Buffer.byteLength(line) + 1
  return bytes
}

/** Writes until the limit says no. */
type Spend = (ask: Ask) => Promise<void>
const untilLimited = async (act: (i: number) => Promise<{ status: number; text: string }>): Promise<void> => {
  for (let i = 0; ; i++) {
    const { status, text } = await act(i)
    if (status === 429) return
    if (status >= 300) throw new Error(`${status} ${text}`)
  }
}
const key = (i: number) => ({ 'idempotency-key': `k${i}`.padEnd(255, '"') })
const LONG = '\u0001'.repeat(10_000)

const ways: { readonly [way: string]: Spend } = {
  'short to-dos': (ask) => untilLimited(() => ask('POST', '/todos/me', { todo: 'x' })),
  'to-dos that just fill what one change may': (ask) =>
    untilLimited(() => ask('POST', ITEMS, { todo: '\u0001'.repeat(57), priority: 4 })),
  'to-dos of the longest kind': (ask) => untilLimited((i) => ask('POST', ITEMS, { todo: i % 2 === 0 ? LONG : 'x' })),
  'short ones with a key': (ask) => untilLimited((i) => ask('POST', ITEMS, { todo: 'x' }, key(i))),
  'what is done and opened again': async (ask) => {
    const { id } = (await ask('POST', ITEMS, { todo: '\u0001'.repeat(80) })).json
    await untilLimited((i) => ask('PATCH', `${ITEMS}/${id}`, { done: i % 2 === 0 }))
  },
  'a long one that is not changed, with a key': async (ask) => {
    const { id } = (await ask('POST', ITEMS, { todo: '\u0001'.repeat(300) })).json
    await untilLimited((i) => ask('PATCH', `${ITEMS}/${id}`, {}, key(i)))
  },
  'moves, with a key': async (ask) => {
    const add = async () => (await ask('POST', ITEMS, { todo: '\u0001'.repeat(80) })).json.id
    const [a, b] = [await add(), await add()]
    await untilLimited((i) => ask('POST', `${ITEMS}/${i % 2 ? a : b}/move`, { before: i % 2 ? b : a }, key(i)))
  },
  'batches that are deleted, taken back and deleted': async (ask) => {
    const items = Array.from({ length: 25 }, () => ({ todo: '\u0001'.repeat(57) }))
    const ids = (await ask('POST', BATCH, { action: 'add', items })).json.items.map((one: { id: string }) => one.id)
    await untilLimited((i) => ask('POST', BATCH, { action: i % 2 ? 'undelete' : 'delete', ids }, i % 3 ? {} : key(i)))
  },
  'short ones that push others out of what can be undone': async (ask) => {
    await untilLimited(async () => {
      const added = await ask('POST', '/todos/me', { todo: 'x' })
      return added.status === 429 ? added : ask('DELETE', '/todos/me?todo_idx=0')
    })
  },
}

/** MB a day, as the docs have it. */
function documented(t: ExecutionContext): number {
  const docs = readFileSync(join(import.meta.dirname, '../../docs/security.md'), 'utf8').replace(/\s+/g, ' ')
  const found = /By its to-dos an account can add at most (\d+) MB a day/.exec(docs)
  t.truthy(found)
  return Number(found![1])
}

for (const [way, spend] of Object.entries(ways))
  test(`31. one account makes the log grow by no more a day than the docs say: ${way}`, async (t) => {
    const { world, ask } = await begin(t, { limits, maxOpenTodos: way.includes('push') ? 20 : 100_000 })
    const before = await sizeOf(world)
    await spend((method, path, body, headers) => ask(method, path, body, { ...HEADERS, ...headers }))
    const perDay = (((await sizeOf(world)) - before) / MOST) * A_DAY
    t.log(`${(perDay / 1e6).toFixed(1)} MB a day`)
    t.true(perDay <= documented(t) * 1e6, `${way}: ${perDay}`)
  })
