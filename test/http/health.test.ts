/** `/metrics`: what Prometheus is told, and who may ask; `/readyz` when the scrub has found something. */
import test from 'ava'
import { ClientSide, person, startWorld, Visitor } from '../_support.ts'
import { send } from './_wire.ts'

test('metrics are told on the machine itself, and through a proxy only to operators', async (t) => {
  const { url, ledger } = await startWorld(t)
  const here = await send(url, '/metrics')
  t.is(here.status, 200)
  t.regex(here.headers['content-type']!, /^text\/plain/)
  const text = here.body.toString()
  t.true(text.includes(`\ndaybook_head_seq ${ledger.head.seq}\n`))
  t.true(text.includes('\ndaybook_writable 1\n') && text.includes('\ndaybook_rows{table="clients"} 2\n'))
  for (const name of ['x-forwarded-for', 'forwarded', 'via']) {
    const proxied = await send(url, '/metrics', { headers: { [name]: '203.0.113.9' } })
    t.is(proxied.status, 401, name)
    t.false(proxied.body.includes('daybook_head_seq'))
  }
  const visitor = new Visitor(url)
  await new ClientSide(url).connect(person('alice'), visitor)
  const cookie = [...visitor.cookies].map(([name, value]) => `${name}=${value}`).join('; ')
  t.is((await send(url, '/metrics', { headers: { cookie, via: '1.1 proxy' } })).status, 403)
})
