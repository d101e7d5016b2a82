/** The official conformance suite, on the wire of both revisions, against one baseline. */
import { execFile } from 'node:child_process'
import { readdirSync, readFileSync } from 'node:fs'
import { createServer, request } from 'node:http'
import { createRequire } from 'node:module'
import type { AddressInfo } from 'node:net'
import { join } from 'node:path'
import test, { type ExecutionContext } from 'ava'
import { parse } from 'yaml'
import { freePort } from '../_serve.ts'
import { person, startWorld, temporaryFolder, Visitor } from '../_support.ts'
import { connectMcp } from './_mcp.ts'

const SUITE = createRequire(import.meta.url).resolve('@modelcontextprotocol/conformance/dist/index.js')
const BASELINE = join(import.meta.dirname, 'conformance.yaml')

/** The suite sends no token: this adds one. Everything else passes as it is, the Host too. */
async function startProxy(t: ExecutionContext) {
  const to = { port: 0, token: '' }
  const server = createServer((req, res) => {
    const given = to.token !== '' && req.url === '/mcp' ? { authorization: `Bearer ${to.token}` } : {}
    const { method, url: path } = req
    const options = { host: '127.0.0.1', port: to.port, path, method, headers: { ...req.headers, ...given } }
    const onward = request(options, (answer) => {
      res.writeHead(answer.statusCode!, answer.headers)
      answer.pipe(res)
    })
    onward.on('error', () => res.destroy())
    res.on('close', () => onward.destroy())
    req.pipe(onward)
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  t.teardown(() => {
    server.closeAllConnections()
    server.close()
  })
  return { to, url: `http://127.0.0.1:${(server.address() as AddressInfo).port}` }
}

type Ran = { readonly code: number; readonly said: string }

/** Runs the suite to its end. @param onText is told what it says, as it says it */
const run = (args: readonly string[], onText: (text: string) => void = () => {}): Promise<Ran> =>
  new Promise((resolve) => {
    const child = execFile(process.execPath, [SUITE, ...args], { maxBuffer: 1e8 }, (error, stdout, stderr) =>
      resolve({ code: error === null ? 0 : Number(error.code ?? 1), said: stdout + stderr }),
    )
    child.stdout!.on('data', onText)
  })

type Check = { readonly id: string; readonly status: string }

/** Every check that was made, by scenario, as the suite wrote them into a folder. */
const checksIn = (folder: string): Map<string, readonly Check[]> =>
  new Map(
    readdirSync(folder).map((name) => [
      /^(?:authorization-)?server-(.+)-\d{4}-\d\d-\d\dT/.exec(name)![1]!,
      JSON.parse(readFileSync(join(folder, name, 'checks.json'), 'utf8')) as Check[],
    ]),
  )

test('the conformance suite finds nothing but what the baseline names, and each of its lines is still true', async (t) => {
  const { to, url } = await startProxy(t)
  const world = await startWorld(t, { publicUrl: url })
  to.port = Number(new URL(world.url).port)
  to.token = (await connectMcp({ url }, person('alice'))).access_token
  await world.news()
  const failed = new Set<string>()
  let passed = 0
  for (const revision of ['2025-11-25', '2026-07-28']) {
    const folder = temporaryFolder(t)
    const what = ['--url', `${url}/mcp`, '--suite', 'all', '--spec-version', revision]
    const { code, said } = await run(['server', ...what, '--expected-failures', BASELINE, '-o', folder])
    t.is(code, 0, `${revision}: ${said.slice(-4000)}`)
    for (const [scenario, checks] of checksIn(folder))
      for (const { id, status } of checks) {
        if (status === 'SUCCESS') passed++
        if (['FAILURE', 'WARNING'].includes(status)) failed.add(`${scenario}:${id}`)
      }
  }
  // The suite does not say when a line names nothing.
  const { server } = parse(readFileSync(BASELINE, 'utf8')) as { server: string[] }
  t.deepEqual(
    server.filter((line) => !failed.has(line)),
    [],
  )
  t.deepEqual(
    [...failed].filter((line) => !server.includes(line)),
    [],
  )
  t.true(passed > 120, `${passed} checks passed`)
  t.deepEqual(await world.news(), [])
})

test('the conformance suite of authorization servers finds nothing: metadata, and the code grant with PKCE and resource', async (t) => {
  const world = await startWorld(t)
  const [visitor, port, folder] = [new Visitor(world.url), await freePort(), temporaryFolder(t)]
  await visitor.signUp(person('alice'))
  const response = await fetch(`${world.url}/auth/register`, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify({ redirect_uris: ['http://127.0.0.1/callback'], token_endpoint_auth_method: 'none' }),
  })
  const { client_id: id } = (await response.json()) as { client_id: string }
  await world.news()
  /** The person who opens the link that the suite shows. */
  async function allow(link: string): Promise<void> {
    const answer = await visitor.submit(await visitor.get(link), 'decision', { decision: 'allow' })
    await (await fetch(answer.headers.get('location')!)).text()
  }
  let allowed: Promise<void> | undefined
  const what = ['--url', world.url, '--client-id', id, '--resource', `${world.url}/mcp`, '--port', String(port)]
  const { code, said } = await run(['authorization', ...what, '--output-dir', folder], (text) => {
    const link = /^http\S+\/oauth\?\S+/m.exec(text)?.[0]
    if (link !== undefined) allowed = allow(link)
  })
  t.is(code, 0, said.slice(-4000))
  t.truthy(allowed, 'a person was asked')
  await allowed
  const checks = [...checksIn(folder).values()].flat()
  t.deepEqual(
    checks.filter(({ status }) => status !== 'SUCCESS'),
    [],
  )
  t.true(checks.length >= 3, `${checks.length} checks`)
  t.deepEqual(await world.news(), ['ConsentRequested', 'ConsentGranted', 'CodeIssued', 'TokenIssued'])
})
