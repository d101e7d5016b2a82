/** From the URL alone: the official client finds the authorization server, registers, has a user sign in, and works. */
import { UnauthorizedError } from '@modelcontextprotocol/client'
import test from 'ava'
import { revokeUser } from '../../src/domain/users.ts'
import { person, SYSTEM, startWorld, Visitor } from '../_support.ts'
import { connectFrom, Memory, REVISIONS, reconnect } from './_client.ts'
import { DAY_EVENTS, playDay } from './_day.ts'
import { GENERATIONS } from './_mcp.ts'

const HOUR = 3_600_000

for (const generation of GENERATIONS) {
  test(`${generation}: an app that knows only the URL registers, is let in, works, and refreshes`, async (t) => {
    const world = await startWorld(t)
    const visitor = new Visitor(world.url)
    await visitor.signUp(person('alice'))
    await world.news()
    const memory = new Memory()
    const client = await connectFrom(world.url, memory, generation, visitor)
    t.is(client.getNegotiatedProtocolVersion(), REVISIONS[generation])
    t.deepEqual(await world.news(), [
      'ClientRegistered',
      'RedirectUriAllowed',
      'ConsentRequested',
      'ConsentGranted',
      'CodeIssued',
      'TokenIssued',
    ])
    const asked = Object.fromEntries(memory.opened!.searchParams)
    t.like(asked, { resource: `${world.url}/mcp`, scope: 'todos:read todos:write', code_challenge_method: 'S256' })
    t.like(memory.saved, { token_type: 'bearer', scope: 'todos:read todos:write' })
    await playDay(t, client)
    t.deepEqual(await world.news(), DAY_EVENTS)

    const before = memory.saved
    world.clock.pass(2 * HOUR)
    t.false((await client.callTool({ name: 'find_todos', arguments: {} })).isError === true)
    t.deepEqual(await world.news(), ['TokenRefreshed'])
    t.not(memory.saved?.access_token, before?.access_token)
    t.deepEqual(memory.forgotten, [])
    await client.close()

    const again = await reconnect(world.url, memory, generation)
    await again.callTool({ name: 'add_todos', arguments: { items: [{ todo: 'x' }] } })
    t.deepEqual(await world.news(), ['TodoAdded'])
    await again.close()
  })

  test(`${generation}: once the user is revoked, the next call is refused, and the app has to ask anew`, async (t) => {
    const world = await startWorld(t)
    const visitor = new Visitor(world.url)
    await visitor.signUp(person('alice'))
    const memory = new Memory()
    const client = await connectFrom(world.url, memory, generation, visitor)
    await client.callTool({ name: 'find_todos', arguments: {} })
    await world.ledger.transact(SYSTEM, (state) => revokeUser(state, 'alice'))
    await world.news()
    memory.opened = undefined
    await t.throwsAsync(client.callTool({ name: 'add_todos', arguments: { items: [{ todo: 'x' }] } }), {
      instanceOf: UnauthorizedError,
    })
    t.is(memory.saved, undefined, 'the tokens are forgotten')
    t.is(new URL(memory.opened ?? 'about:blank').pathname, '/oauth', 'and a person is asked')
    t.deepEqual(await world.news(), [])
    await client.close()
  })

  test(`${generation}: one who says no lets nobody in`, async (t) => {
    const world = await startWorld(t)
    const visitor = new Visitor(world.url)
    await visitor.signUp(person('alice'))
    const memory = new Memory()
    await t.throwsAsync(connectFrom(world.url, memory, generation, visitor, 'deny'), {
      message: /access_denied|said no/,
    })
    t.is(memory.saved, undefined)
  })
}
