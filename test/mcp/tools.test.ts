/** The tools, each by what it does to the list and to the book, in both generations of the protocol. */
import test from 'ava'
import { person } from '../_support.ts'
import { connectMcp, GENERATIONS, McpSide, startMcp } from './_mcp.ts'

const names = (items: readonly { readonly todo: string }[]): string[] => items.map(({ todo }) => todo)
const AT = '2026-11-20T12:00:00.000Z'
const UNKNOWN = 'No to-do of this user has that id. Call find_todos to get the ids, and use them exactly.'

for (const generation of GENERATIONS) {
  const of = { generation }

  test(`${generation}: add_todos adds all of a batch at the end, with what was given, and gives it back`, async (t) => {
    const { world, alice } = await startMcp(t)
    const items = [
      { todo: 'buy milk' },
      { todo: '<b>pay</b> rent', due: '2026-12-01', priority: 1, notes: 'by transfer\nto Ms Roe' },
      { todo: 'call', due: '2026-12-01T17:00:00+01:00', priority: null, notes: null },
    ]
    const added = await alice.did('add_todos', { items }, of)
    const unset = { done: false, due: null, priority: null, notes: null, created_at: AT, updated_at: AT, done_at: null }
    const expected = items.map((given, i) => ({ ...unset, ...given, id: added.items[i].id }))
    t.deepEqual(added, { items: expected })
    t.deepEqual(await world.news(), ['TodoAdded', 'TodoAdded', 'TodoAdded'])
    const found = await alice.did('find_todos', {}, of)
    t.deepEqual(found, { items: expected, next_cursor: null, total: 3 })
    t.deepEqual(await world.news(), [])
  })

  test(`${generation}: add_todos with an idempotency key adds nothing twice`, async (t) => {
    const { world, alice } = await startMcp(t)
    const asked = { items: [{ todo: 'buy milk' }], idempotency_key: 'k-1' }
    const first = await alice.did('add_todos', asked, of)
    t.deepEqual(await world.news(), ['TodoAdded', 'OutcomeKept'])
    t.deepEqual(await alice.did('add_todos', asked, of), first)
    const other = { ...asked, items: [{ todo: 'buy bread' }] }
    t.regex(await alice.failed('add_todos', other, of), /^That idempotency key was used for another request/)
    t.deepEqual(await world.news(), [])
    const { total } = await alice.did('find_todos', {}, of)
    t.is(total, 1)
  })

  test(`${generation}: find_todos filters by words, state and due date, and pages`, async (t) => {
    const { world, alice } = await startMcp(t)
    const items = [
      { todo: 'buy milk', due: '2026-12-01' },
      { todo: 'buy bread', notes: 'whole grain', due: '2026-12-03T09:00:00Z' },
      { todo: 'call mum' },
    ]
    const added = (await alice.did('add_todos', { items }, of)).items
    const found = async (query: object) => names((await alice.did('find_todos', query, of)).items)
    t.deepEqual(await found({ query: 'BUY grain' }), ['buy bread'])
    t.deepEqual(await found({ due_before: '2026-12-02' }), ['buy milk'])
    t.deepEqual(await found({ due_after: '2026-12-02' }), ['buy bread'])
    await alice.did('complete_todos', { ids: [added[2].id] }, of)
    await alice.did('delete_todos', { ids: [added[0].id] }, of)
    t.deepEqual(await found({ state: 'open' }), ['buy bread'])
    t.deepEqual(await found({ state: 'done' }), ['call mum'])
    t.deepEqual(await found({ state: 'all' }), ['buy bread', 'call mum'])
    t.deepEqual(await found({ state: 'deleted' }), ['buy milk'])
    const one = await alice.did('find_todos', { state: 'all', limit: 1 }, of)
    t.is(one.total, 2)
    const two = await alice.did('find_todos', { state: 'all', limit: 1, cursor: one.next_cursor }, of)
    t.deepEqual([names(two.items), two.next_cursor], [['call mum'], null])
    const stray = { state: 'open', limit: 1, cursor: one.next_cursor }
    t.is(
      await alice.failed('find_todos', stray, of),
      'That cursor belongs to another search. Repeat the call without a cursor.',
    )
    await world.news()
  })

  test(`${generation}: update_todo changes text, notes and priority, each alone, and never the due date`, async (t) => {
    const { world, alice } = await startMcp(t)
    const given = { todo: 'buy milk', due: '2026-12-01', notes: 'two', priority: 2 }
    const [item] = (await alice.did('add_todos', { items: [given] }, of)).items
    await world.news()
    const update = async (change: object) => (await alice.did('update_todo', { id: item.id, ...change }, of)).item
    t.deepEqual(await update({ todo: 'buy oat milk' }), { ...item, todo: 'buy oat milk' })
    t.deepEqual(await update({ notes: null, priority: 1 }), { ...item, todo: 'buy oat milk', notes: null, priority: 1 })
    t.deepEqual(await update({ priority: null }), { ...item, todo: 'buy oat milk', notes: null, priority: null })
    t.deepEqual(await world.news(), ['TodoChanged', 'TodoChanged', 'TodoChanged'])
    t.is((await update({ todo: 'buy oat milk' })).due, '2026-12-01')
    t.deepEqual(await world.news(), [], 'what is so already is no event')
    t.is(await alice.failed('update_todo', { id: 'nobody', todo: 'x' }, of), UNKNOWN)
    t.deepEqual(await world.news(), [])
  })

  test(`${generation}: complete_todos and reopen_todos, also twice, and with one bad id`, async (t) => {
    const { world, alice } = await startMcp(t)
    const added = (await alice.did('add_todos', { items: [{ todo: 'one' }, { todo: 'two' }] }, of)).items
    const ids: string[] = added.map((item: { id: string }) => item.id)
    await world.news()
    const done = await alice.did('complete_todos', { ids: [...ids, 'nobody'] }, of)
    t.deepEqual(
      done.items,
      added.map((item: object) => ({ ...item, done: true, done_at: AT })),
    )
    t.deepEqual(done.failures, [{ id: 'nobody', why: UNKNOWN }])
    t.deepEqual(await world.news(), ['TodoCompleted', 'TodoCompleted'])
    t.deepEqual(await alice.did('complete_todos', { ids }, of), { items: done.items, failures: [] })
    t.deepEqual(await world.news(), [])
    t.deepEqual(await alice.did('reopen_todos', { ids: [ids[0], ids[0]] }, of), { items: [added[0]], failures: [] })
    t.deepEqual(await world.news(), ['TodoReopened'])
    for (const tool of ['complete_todos', 'reopen_todos'])
      t.is(await alice.failed(tool, { ids: ['a', 'b'] }, of), `Nothing was changed. a, b: ${UNKNOWN}`)
    t.deepEqual(await world.news(), [])
  })

  test(`${generation}: reschedule_todos sets dates as they are given and takes them away`, async (t) => {
    const { world, alice } = await startMcp(t)
    const added = (await alice.did('add_todos', { items: [{ todo: 'one', due: '2026-12-01' }, { todo: 'two' }] }, of))
      .items
    await world.news()
    const items = [
      { id: added[0].id, due: null },
      { id: added[1].id, due: '2026-12-24T18:00:00-05:00' },
      { id: 'nobody', due: '2026-12-24' },
    ]
    const { items: changed, failures } = await alice.did('reschedule_todos', { items }, of)
    t.deepEqual(changed, [
      { ...added[0], due: null },
      { ...added[1], due: '2026-12-24T18:00:00-05:00' },
    ])
    t.deepEqual(failures, [{ id: 'nobody', why: UNKNOWN }])
    t.deepEqual(await world.news(), ['TodoChanged', 'TodoChanged'])
  })

  test(`${generation}: move_todo puts a to-do before or after another one, or at a place`, async (t) => {
    const { world, alice } = await startMcp(t)
    const added = (await alice.did('add_todos', { items: ['a', 'b', 'c'].map((todo) => ({ todo })) }, of)).items
    const [a, b, c] = added.map((item: { id: string }) => item.id)
    await world.news()
    const order = async () => names((await alice.did('find_todos', {}, of)).items)
    t.deepEqual((await alice.did('move_todo', { id: c, before: a }, of)).item, added[2])
    t.deepEqual(await order(), ['c', 'a', 'b'])
    await alice.did('move_todo', { id: c, after: a }, of)
    t.deepEqual(await order(), ['a', 'c', 'b'])
    await alice.did('move_todo', { id: b, position: 1 }, of)
    t.deepEqual(await order(), ['b', 'a', 'c'])
    t.deepEqual(await world.news(), ['TodoMoved', 'TodoMoved', 'TodoMoved'])
    await alice.did('move_todo', { id: b, position: 1 }, of)
    t.is(await alice.failed('move_todo', { id: a, before: 'nobody' }, of), UNKNOWN)
    t.regex(await alice.failed('move_todo', { id: a, before: a }, of), /^Give exactly one of/)
    t.deepEqual(await world.news(), [])
  })

  test(`${generation}: delete_todos says how to undo, and undo_delete brings back what was, where it was`, async (t) => {
    const { world, alice } = await startMcp(t)
    const added = (await alice.did('add_todos', { items: ['a', 'b', 'c'].map((todo) => ({ todo })) }, of)).items
    const [a, b, c] = added.map((item: { id: string }) => item.id)
    await world.news()
    t.deepEqual(await alice.did('delete_todos', { ids: [b, 'nobody'] }, of), {
      items: [added[1]],
      failures: [{ id: 'nobody', why: UNKNOWN }],
      undo: 'To undo, call undo_delete with the ids in `items` within 30 days. Later deletions can end that sooner, and the list must have room.',
    })
    t.deepEqual(await world.news(), ['TodoDeleted'])
    t.is(await alice.failed('delete_todos', { ids: [b] }, of), `Nothing was changed. ${b}: ${UNKNOWN}`)
    t.deepEqual(await alice.did('undo_delete', { ids: [b, a] }, of), {
      items: [added[1]],
      failures: [{ id: a, why: 'That to-do is not deleted, so there is nothing to undo.' }],
    })
    t.deepEqual(await world.news(), ['TodoUndeleted'])
    t.deepEqual((await alice.did('find_todos', {}, of)).items, added)
    t.is(
      await alice.failed('undo_delete', { ids: [c, 'nobody'] }, of),
      `Nothing was changed. ${c}: That to-do is not deleted, so there is nothing to undo. nobody: ${UNKNOWN}`,
    )
    t.deepEqual(await world.news(), [])
  })

  test(`${generation}: what delete_todos says can be undone can be, also more than the list may hold`, async (t) => {
    const { alice } = await startMcp(t, { maxOpenTodos: 2 })
    const all: { id: string }[] = []
    for (const todo of ['a', 'b', 'c', 'd', 'e']) {
      const [added] = (await alice.did('add_todos', { items: [{ todo }] }, of)).items
      all.push((await alice.did('complete_todos', { ids: [added.id] }, of)).items[0])
    }
    const ids = all.map(({ id }) => id)
    const deleted = await alice.did('delete_todos', { ids }, of)
    t.deepEqual([deleted.items, deleted.failures], [all, []])
    t.deepEqual(await alice.did('undo_delete', { ids }, of), { items: all, failures: [] })
  })

  test(`${generation}: get_overview counts, and names what comes next by the user’s date`, async (t) => {
    const { world, alice } = await startMcp(t)
    const items = [
      { todo: 'late', due: '2026-11-30' },
      { todo: 'today', due: '2026-12-01T09:00:00+13:00' },
      { todo: 'some day' },
      { todo: 'done' },
      { todo: 'gone' },
    ]
    const added = (await alice.did('add_todos', { items }, of)).items
    await alice.did('complete_todos', { ids: [added[3].id] }, of)
    await alice.did('delete_todos', { ids: [added[4].id] }, of)
    await world.news()
    const { next, ...counts } = await alice.did('get_overview', { today: '2026-12-01' }, of)
    t.deepEqual(counts, { today: '2026-12-01', open: 3, done: 1, deleted: 1, overdue: 1, due_today: 1 })
    t.deepEqual(names(next), ['late', 'today', 'some day'])
    t.like(await alice.did('get_overview', {}, of), { today: '2026-11-20', overdue: 0, due_today: 0 })
    t.deepEqual(await world.news(), [])
  })

  test(`${generation}: my_activity tells what was done, by whom and through what, newest first, a page at a time`, async (t) => {
    const { world, alice } = await startMcp(t)
    const meta = { 'openai/session': 'v1/abc/def' }
    const [item] = (await alice.did('add_todos', { items: [{ todo: 'buy milk' }] }, { generation, meta })).items
    world.clock.pass(60_000)
    await alice.did('complete_todos', { ids: [item.id] }, of)
    await world.news()
    const first = await alice.did('my_activity', { limit: 1, since: '1h' }, of)
    t.like(first.entries, {
      0: {
        type: 'TodoCompleted',
        who: 'alice',
        what: 'completed “buy milk”',
        tool: 'complete_todos',
        conversation: null,
      },
      length: 1,
    })
    const second = await alice.did('my_activity', { limit: 1, since: '1h', cursor: first.next_cursor }, of)
    t.like(second.entries[0], { type: 'TodoAdded', at: AT, tool: 'add_todos', conversation: 'v1/abc/def' })
    t.is(
      await alice.failed('my_activity', { since: 'yesterday' }, of),
      '"since" must be a duration (2h, 7d) or a date or time in UTC.',
    )
    t.regex(await alice.failed('my_activity', { cursor: '-1' }, of), /^That cursor belongs to another search/)
    t.deepEqual(await world.news(), [])
  })

  test(`${generation}: search and fetch answer as ChatGPT wants it, also as one JSON text`, async (t) => {
    const { world, alice } = await startMcp(t)
    const items = [
      { todo: 'buy\n\tmilk', notes: 'two bottles', due: '2026-12-01', priority: 3 },
      { todo: 'x '.repeat(60) },
    ]
    const [milk, long] = (await alice.did('add_todos', { items }, of)).items
    await alice.did('complete_todos', { ids: [milk.id] }, of)
    await world.news()
    const hit = { id: milk.id, title: 'buy milk', url: `${world.url}/account/todos/${milk.id}` }
    const found = await alice.call('search', { query: 'bottles milk' }, of)
    t.deepEqual(found.structuredContent, { results: [hit] })
    t.deepEqual(found.content, [{ type: 'text', text: JSON.stringify(found.structuredContent) }])
    t.is((await alice.did('search', { query: 'x' }, of)).results[0].title, `${'x '.repeat(40)}…`)
    t.deepEqual(await alice.did('search', { query: 'nothing like it' }, of), { results: [] })
    const fetched = await alice.call('fetch', { id: milk.id }, of)
    const text = `buy\n\tmilk\nNotes: two bottles\nDue: 2026-12-01\nPriority: 3\nDone: ${AT}\nAdded: ${AT}`
    t.deepEqual(fetched.structuredContent, { ...hit, text })
    t.deepEqual(fetched.content, [{ type: 'text', text: JSON.stringify(fetched.structuredContent) }])
    t.is((await alice.did('fetch', { id: long.id }, of)).text, `${'x '.repeat(60)}\nAdded: ${AT}`)
    t.is(await alice.failed('fetch', { id: 'nobody' }, of), UNKNOWN)
    t.deepEqual(await world.news(), [])
  })

  test(`${generation}: get_profile names the account by its immutable id`, async (t) => {
    const { world, alice } = await startMcp(t)
    const user = (await world.events()).find(({ type }) => type === 'UserRegistered')!.data as { user: string }
    t.deepEqual(await alice.did('get_profile', {}, of), { id: user.user, nickname: 'alice' })
    t.deepEqual(await world.news(), [])
  })

  test(`${generation}: an id that is another’s answers as one that is nobody’s, in every tool`, async (t) => {
    const { world, alice } = await startMcp(t)
    const bob = new McpSide(world.url, (await connectMcp(world, person('bob'))).access_token)
    const [mine, gone] = (await alice.did('add_todos', { items: [{ todo: 'hers' }, { todo: 'gone' }] }, of)).items
    await alice.did('delete_todos', { ids: [gone.id] }, of)
    const [his] = (await bob.did('add_todos', { items: [{ todo: 'his' }] }, of)).items
    await world.news()
    for (const id of [mine.id, gone.id])
      for (const [tool, argumentsFor] of Object.entries({
        update_todo: (id: string) => ({ id, todo: 'x' }),
        complete_todos: (id: string) => ({ ids: [id] }),
        reopen_todos: (id: string) => ({ ids: [id] }),
        reschedule_todos: (id: string) => ({ items: [{ id, due: null }] }),
        move_todo: (id: string) => ({ id, position: 1 }),
        delete_todos: (id: string) => ({ ids: [id] }),
        undo_delete: (id: string) => ({ ids: [id] }),
        fetch: (id: string) => ({ id }),
      })) {
        const nobody = await bob.failed(tool, argumentsFor('01AAAAAAAAAAAAAAAAAAAAAAAA'), of)
        t.is((await bob.failed(tool, argumentsFor(id), of)).replaceAll(id, '01AAAAAAAAAAAAAAAAAAAAAAAA'), nobody, tool)
      }
    for (const place of [{ before: mine.id }, { after: mine.id }])
      t.is(await bob.failed('move_todo', { id: his.id, ...place }, of), UNKNOWN)
    t.deepEqual(await bob.did('search', { query: 'hers' }, of), { results: [] })
    t.deepEqual(names((await bob.did('find_todos', { state: 'all' }, of)).items), ['his'])
    t.deepEqual(await world.news(), [])
  })

  test(`${generation}: the resource holds the open to-dos`, async (t) => {
    const { world, alice } = await startMcp(t)
    await alice.did('add_todos', { items: [{ todo: 'buy milk' }] }, of)
    await world.news()
    const { json } = await alice.ask({ method: 'resources/list' }, generation)
    t.like(json.result.resources, {
      0: { uri: 'daybook://todos', name: 'todos', mimeType: 'application/json' },
      length: 1,
    })
    const read = await alice.ask({ method: 'resources/read', params: { uri: 'daybook://todos' } }, generation)
    t.is(read.json.result.contents.length, 1)
    t.deepEqual(JSON.parse(read.json.result.contents[0].text), await alice.did('find_todos', {}, of))
    const other = await alice.ask({ method: 'resources/read', params: { uri: 'daybook://nothing' } }, generation)
    t.is(other.json.error.code, -32602)
    t.deepEqual(await world.news(), [])
  })
}
