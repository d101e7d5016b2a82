/** `/mcp` in a real process: what the banner says, and how it ends at SIGTERM. */
import { Agent, request } from 'node:http'
import test from 'ava'
import { newHome, serve } from '../_serve.ts'
import { requestIn } from './_mcp.ts'

/** A request over a connection that stays open. */
function over(
  agent: Agent,
  url: string,
  message: Parameters<typeof requestIn>[1],
  generation: '2025' | '2026' = '2026',
) {
  const { headers, body } = requestIn(generation, message)
  const length = { 'content-length': Buffer.byteLength(body) }
  return new Promise<{ status: number; text: string }>((resolve, reject) => {
    const asked = request(`${url}/mcp`, { method: 'POST', headers: { ...headers, ...length }, agent }, (response) => {
      let text = ''
      response.setEncoding('utf8').on('data', (piece: string) => {
        text += piece
      })
      response.on('end', () => resolve({ status: response.statusCode!, text }))
    })
    asked.on('error', reject)
    asked.end(body)
  })
}

test('a server with clients that hold connections and have subscribed ends at SIGTERM, and says where MCP is', async (t) => {
  const home = await newHome(t, { AUTH_MODE: 'none', RATE_LIMIT: 'off' })
  const server = await serve(t, home)
  await server.says(`MCP       ${home.url}/mcp`)
  const agent = new Agent({ keepAlive: true })
  t.teardown(() => agent.destroy())
  const listen = { method: 'subscriptions/listen', params: { notifications: { toolsListChanged: true } } }
  t.is((await over(agent, home.url, listen)).status, 200)
  const add = { method: 'tools/call', params: { name: 'add_todos', arguments: { items: [{ todo: 'x' }] } } }
  const calls = (['2025', '2026'] as const).flatMap((generation) =>
    Array.from({ length: 10 }, () => over(agent, home.url, add, generation)),
  )
  await Promise.race(calls)
  const ended = server.stop('SIGTERM')
  const answers = (await Promise.allSettled(calls)).flatMap((call) => (call.status === 'fulfilled' ? [call.value] : []))
  t.is(await ended, 0)
  t.true(answers.length > 0)
  // Each one was done and says so, or was not begun and says so.
  for (const { status, text } of answers)
    t.true((status === 200 && text.includes('structuredContent')) || status === 503, `${status} ${text}`)
  t.notRegex(server.said.stdout, /"level":50/)
})
