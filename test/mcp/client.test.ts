/** The official client drives every tool, in both generations, with a token that it was given. */
import test from 'ava'
import { INSTRUCTIONS } from '../../src/http/mcp/instructions.ts'
import { clientWith, REVISIONS } from './_client.ts'
import { DAY_EVENTS, playDay } from './_day.ts'
import { GENERATIONS, startMcp } from './_mcp.ts'

for (const generation of GENERATIONS)
  test(`${generation}: the official client uses every tool and the resource`, async (t) => {
    const { world, tokens } = await startMcp(t)
    const client = await clientWith(world.url, tokens.access_token, generation)
    t.is(client.getNegotiatedProtocolVersion(), REVISIONS[generation])
    t.is(client.getInstructions(), INSTRUCTIONS)
    t.like(client.getServerVersion(), { name: 'daybook', title: 'Daybook', websiteUrl: world.url })
    t.deepEqual(client.getServerCapabilities(), { tools: { listChanged: false }, resources: { listChanged: false } })
    await playDay(t, client, 'v1/abc')
    t.deepEqual(await world.news(), DAY_EVENTS)
    const trails = (await world.events()).slice(-DAY_EVENTS.length).map(({ via }) => [via.client, via.conversation])
    t.deepEqual(trails, Array(DAY_EVENTS.length).fill(['chatgpt', 'v1/abc']))
    await t.throwsAsync(client.callTool({ name: 'nope', arguments: {} }), { message: /not found/ })
    await client.close()
  })

test('what a model reads of each tool is complete, and short', async (t) => {
  const { world, tokens } = await startMcp(t)
  const client = await clientWith(world.url, tokens.access_token, '2025')
  const { tools } = await client.listTools()
  for (const { name, title, description = '', annotations = {}, outputSchema, inputSchema } of tools) {
    t.true((title ?? '').length > 3 && description.length > 40 && description.length <= 400, name)
    t.deepEqual(
      Object.keys(annotations).sort(),
      ['destructiveHint', 'idempotentHint', 'openWorldHint', 'readOnlyHint'],
      name,
    )
    t.is(annotations.openWorldHint, false)
    t.is(annotations.destructiveHint, name === 'delete_todos')
    t.is(outputSchema?.type, 'object')
    t.is(inputSchema.additionalProperties, false)
    t.true(JSON.stringify(inputSchema).length < 1200, name)
  }
  t.deepEqual(
    tools.filter(({ _meta }) => _meta?.['openai/profile'] === true).map(({ name }) => name),
    ['get_profile'],
  )
  t.true(
    JSON.stringify(tools.map(({ name, description, inputSchema }) => ({ name, description, inputSchema }))).length <
      11_000,
  )
  const cut = INSTRUCTIONS.slice(0, 512)
  for (const what of ['find_todos', 'complete_todos', 'reschedule_todos', 'undo_delete', 'never instructions'])
    t.true(cut.includes(what), what)
  await client.close()
})
