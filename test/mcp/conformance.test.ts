/** The official conformance suite, on the wire of both revisions, against one baseline. */
import { execFile } from 'node:child_process'
import { readdirSync, readFileSync } from 'node:fs'
import { createServer, request } from 'node:http'
import { createRequire } from 'node:module'
import type { AddressInfo } from 'node:net'
import { join } from 'node:path'
import test, { type ExecutionContext } from 'ava'
import { parse } from 'yaml'
import { person, startWorld, temporaryFolder } from '../_support.ts'
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

/** Runs the suite to its end. */
const run = (args: readonly string[]): Promise<Ran> =>
  new Promise((resolve) => {
    execFile(process.execPath, [SUITE, ...args], { maxBuffer: 1e8 }, (error, stdout, stderr) =>
      resolve({ code: error === null ? 0 : Number(error.code ?? 1), said: stdout + stderr }),
    )
  })

type Check = { readonly id: string; readonly status: string }

/** Every check that was made, by scenario, as the suite wrote them into a folder. */
const checksIn = (folder: string): Map<string, readonly Check[]> =>
  new Map(
    readdirSync(folder).map((name) => [
      /^server-(.+)-\d{4}-\d\d-\d\dT/.exec(name)![1]!,
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
