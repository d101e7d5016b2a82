/** A scripted day: every tool once, through a client, as a model would use them. */
import type { Client } from '@modelcontextprotocol/client'
import type { ExecutionContext } from 'ava'

/** What the day leaves in the book. */
export const DAY_EVENTS = [
  'TodoAdded',
  'TodoAdded',
  'TodoAdded',
  'TodoChanged',
  'TodoChanged',
  'TodoMoved',
  'TodoCompleted',
  'TodoReopened',
  'TodoDeleted',
  'TodoUndeleted',
]

/** @param session how the app names its conversation */
export async function playDay(t: ExecutionContext, client: Client, session?: string): Promise<void> {
  const used = new Set<string>()
  const call = async (name: string, args: { [member: string]: unknown } = {}): Promise<any> => {
    used.add(name)
    const meta = session === undefined ? {} : { _meta: { 'openai/session': session } }
    const result = await client.callTool({ name, arguments: args, ...meta })
    if (result.isError) throw new Error(`${name}: ${JSON.stringify(result.content)}`)
    return result.structuredContent
  }
  const todos = [{ todo: 'buy milk', due: '2026-12-01' }, { todo: 'call mum' }, { todo: 'pay rent', priority: 1 }]
  const [milk, mum, rent] = (await call('add_todos', { items: todos })).items
  t.is((await call('find_todos', { query: 'milk' })).total, 1)
  t.is((await call('get_overview', { today: '2026-12-01' })).due_today, 1)
  t.is((await call('update_todo', { id: milk.id, notes: 'two bottles' })).item.due, '2026-12-01')
  await call('reschedule_todos', { items: [{ id: mum.id, due: '2026-12-24T18:00:00+01:00' }] })
  await call('move_todo', { id: rent.id, position: 1 })
  t.true((await call('complete_todos', { ids: [rent.id] })).items[0].done)
  t.false((await call('reopen_todos', { ids: [rent.id] })).items[0].done)
  t.regex((await call('delete_todos', { ids: [mum.id] })).undo, /undo_delete/)
  t.is((await call('undo_delete', { ids: [mum.id] })).items.length, 1)
  t.is((await call('search', { query: 'bottles' })).results[0].title, 'buy milk')
  t.regex((await call('fetch', { id: milk.id })).text, /two bottles/)
  t.is((await call('my_activity', { limit: 1 })).entries[0].tool, 'undo_delete')
  t.is((await call('get_profile')).nickname, 'alice')
  const { tools } = await client.listTools()
  t.deepEqual([...used].sort(), tools.map(({ name }) => name).sort(), 'every tool was used')
  const { contents } = await client.readResource({ uri: 'daybook://todos' })
  const [open] = contents
  const items = JSON.parse(open !== undefined && 'text' in open ? open.text : '').items
  t.deepEqual(
    items.map(({ todo }: { todo: string }) => todo),
    ['pay rent', 'buy milk', 'call mum'],
  )
}
