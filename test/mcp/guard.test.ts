/** What reaches a model when something breaks inside: one sentence, and nothing of the error; the log has it all. */
import { McpServer } from '@modelcontextprotocol/server'
import test from 'ava'
import { z } from 'zod'
import type { Call } from '../../src/http/mcp/call.ts'
import { registerResource } from '../../src/http/mcp/resource.ts'
import { READS, tool } from '../../src/http/mcp/tool.ts'
import { whileBroken, whileReadOnly } from '../http/_wire.ts'
import { GENERATIONS, startMcp } from './_mcp.ts'

const sentenceFor = (request: string): string =>
  `Something went wrong inside Daybook, and it is not known whether this was done. Check with find_todos before you try again. If it happens again, tell the user to ask the operator about request ${request}.`

test('a book that cannot be written is told as such, and can still be read', async (t) => {
  const { world, alice } = await startMcp(t)
  await whileReadOnly(world, async () => {
    t.is(
      await alice.failed('add_todos', { items: [{ todo: 'x' }] }),
      'The book cannot be written at the moment. Nothing was changed; try again shortly.',
    )
    t.is((await alice.did('find_todos')).total, 0)
  })
})

test('a book that cannot be read is told as such', async (t) => {
  const { world, alice } = await startMcp(t)
  await whileBroken(world, async () => {
    for (const generation of GENERATIONS)
      t.is(await alice.failed('my_activity', {}, { generation }), 'The book is being opened again: try again shortly.')
  })
})

/** One tool or resource in a server of its own, as the package runs it. */
async function ask(register: (server: McpServer, call: Call) => void, message: object) {
  const log: [object, string][] = []
  const error = (fields: object, text: string) => void log.push([fields, text])
  const deps = {
    log: { error, info: error },
    settings: { authMode: 'oauth', publicUrl: 'http://localhost' },
    services: {
      get todos(): never {
        throw new Error('a secret: hunter2')
      },
    },
  }
  const call = { deps, caller: { via: { request: 'R1' }, scope: 'todos:read todos:write' } } as unknown as Call
  const { createMcpHandler } = await import('@modelcontextprotocol/server')
  const handler = createMcpHandler(() => {
    const server = new McpServer({ name: 'test', version: '1' }, { capabilities: { tools: {}, resources: {} } })
    register(server, call)
    return server
  })
  const headers = { accept: 'application/json, text/event-stream', 'content-type': 'application/json' }
  const request = new Request('http://localhost/mcp', { method: 'POST', headers })
  const authInfo = { token: '', clientId: '', scopes: ['todos:read'] }
  const response = await handler.fetch(request, { authInfo, parsedBody: { jsonrpc: '2.0', id: 1, ...message } })
  return { log, text: await response.text() }
}

const broken = (run: () => Promise<{ n: number }>) =>
  tool({
    name: 'broken',
    title: 'Broken',
    description: 'Breaks.',
    scope: 'todos:read',
    input: z.strictObject({}),
    output: z.strictObject({ n: z.number() }),
    hints: READS,
    run,
  })
const CALL = { method: 'tools/call', params: { name: 'broken', arguments: {} } }

test('119. what a tool throws is not told; the log has it, with the request’s id', async (t) => {
  const { log, text } = await ask(broken(() => Promise.reject(new Error('a secret: hunter2'))).register, CALL)
  t.true(text.includes(sentenceFor('R1')))
  t.false(text.includes('hunter2'))
  t.is(log.length, 1)
  t.like(log[0]![0], { request: 'R1', tool: 'broken', err: { message: 'a secret: hunter2' } })
})

test('a result that is not what its schema says is logged, and nothing of it is told', async (t) => {
  const wrong = { n: 'x', hunter2: 1 } as unknown as { n: number }
  const { log, text } = await ask(broken(async () => wrong).register, CALL)
  t.true(text.includes(sentenceFor('R1')))
  t.notRegex(text, /hunter2|validation/)
  t.like(log[0]![0], { request: 'R1', err: { message: 'the result of broken is not what its schema says' } })
})

test('what the resource throws is not told', async (t) => {
  const { log, text } = await ask(registerResource, { method: 'resources/read', params: { uri: 'daybook://todos' } })
  t.true(text.includes(sentenceFor('R1')))
  t.false(text.includes('hunter2'))
  t.like(log[0]![0], { request: 'R1', err: { message: 'a secret: hunter2' } })
})
