/** The page of one to-do, to which links in answers of `/mcp` lead. */
import test from 'ava'
import { person, unescapeHtml, Visitor } from '../_support.ts'
import { connectMcp, McpSide, startMcp } from './_mcp.ts'

test('a link of search opens: anonymous people sign in first, and come back to the to-do', async (t) => {
  const { world, tokens, alice } = await startMcp(t)
  const todo = '<b>buy</b> milk & bread'
  const given = { todo, notes: 'two\nbottles', due: '2026-12-01', priority: 2 }
  await alice.did('add_todos', { items: [given] })
  const [{ url }] = (await alice.did('search', { query: 'bottles' })).results
  await world.news()
  const path = new URL(url).pathname
  const seen = await tokens.visitor.get(path)
  t.is(seen.status, 200)
  t.is(seen.headers.get('cache-control'), 'no-store')
  for (const text of [todo, 'two\nbottles', '2026-12-01']) t.true(unescapeHtml(seen.text).includes(text), text)
  t.false(seen.text.includes('<b>buy'))
  const visitor = new Visitor(world.url)
  const asked = await visitor.get(path)
  t.is(asked.status, 200)
  t.false(asked.text.includes('milk'))
  const { identifier, password } = { identifier: 'alice', password: person('alice').password }
  const wrong = await visitor.submit(asked, 'identifier', { identifier, password: 'something else' })
  t.is(wrong.status, 400)
  const back = await visitor.submit(wrong, 'identifier', { identifier, password })
  t.deepEqual([back.status, back.headers.get('location')], [303, path])
  t.true(unescapeHtml((await visitor.get(path)).text).includes(todo))
  t.deepEqual(await world.news(), ['SignInFailed', 'SignedIn'])
})

test('another’s to-do looks like one that is not there, and so does a deleted one', async (t) => {
  const { world, tokens, alice } = await startMcp(t)
  const { visitor, access_token } = await connectMcp(world, person('bob'))
  const [hers, gone] = (await alice.did('add_todos', { items: [{ todo: 'hers' }, { todo: 'gone' }] })).items
  await alice.did('delete_todos', { ids: [gone.id] })
  await new McpSide(world.url, access_token).did('find_todos')
  await world.news()
  const page = async (who: Visitor, id: string) => {
    const { status, text } = await who.get(`/account/todos/${id}`)
    return [status, text.replace(/<p class="fine">.*<\/p>/, '')]
  }
  const nobody = await page(visitor, '01AAAAAAAAAAAAAAAAAAAAAAAA')
  t.is(nobody[0], 404)
  t.deepEqual(await page(visitor, hers.id), nobody)
  t.deepEqual(await page(tokens.visitor, gone.id), nobody)
  t.is((await page(tokens.visitor, hers.id))[0], 200)
  t.deepEqual(await world.news(), [])
})

test('a sign-in leads to no other address', async (t) => {
  const { world } = await startMcp(t)
  for (const to of [
    '//evil.example',
    '/account/todos/',
    '/account/todos/x/../../..',
    '/account/todos/x?y',
    '/account/todos/x\n',
  ]) {
    const visitor = new Visitor(world.url)
    const page = await visitor.get('/login')
    const fields = { identifier: 'alice', password: person('alice').password, return_to: to }
    t.is((await visitor.submit(page, 'identifier', fields)).headers.get('location'), '/', to)
  }
})
