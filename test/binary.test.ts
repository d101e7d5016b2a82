/** The single executable: the whole main job in an empty folder, with no Node, no sources and no PATH to lean on. */
import { type ChildProcessWithoutNullStreams, execFile, execSync, spawn } from 'node:child_process'
import { once } from 'node:events'
import {
  appendFileSync,
  cpSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  symlinkSync,
} from 'node:fs'
import { createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { promisify } from 'node:util'
import test, { type ExecutionContext } from 'ava'
import { CALLBACK, CHATGPT_ID, CHATGPT_SECRET, ClientSide, temporaryFolder, Visitor, wait } from './_support.ts'

const ROOT = join(import.meta.dirname, '..')
const SCRIPT = join(ROOT, 'scripts/binary.ts')
const run = promisify(execFile)

const built = mkdtempSync(join(tmpdir(), 'daybook-binary-'))
const binary = join(built, 'daybook')
test.before('build', () => run(process.execPath, [SCRIPT, binary]))
test.after.always('remove', () => rmSync(built, { recursive: true, force: true }))

type Env = { readonly [name: string]: string }
/** Where the executable runs: a folder with nothing in it, and an environment that holds nothing but settings. */
type Place = { readonly folder: string; readonly temporary: string; readonly env: Env }

function place(t: ExecutionContext, settings: Env = {}): Place {
  const top = temporaryFolder(t)
  const [folder, temporary] = [join(top, 'empty'), join(top, 'tmp')]
  mkdirSync(folder)
  mkdirSync(temporary)
  return { folder, temporary, env: { PATH: '', TMPDIR: temporary, DATA_DIR: join(top, 'data'), ...settings } }
}

/** Runs one command; whatever it says beside its answer, or a failure, fails the test. */
async function command(t: ExecutionContext, { folder: cwd, env }: Place, ...args: string[]): Promise<string> {
  const { stdout, stderr } = await run(binary, args, { cwd, env })
  t.is(stderr, '')
  return stdout
}

type Running = { readonly child: ChildProcessWithoutNullStreams; readonly said: { stdout: string; stderr: string } }

/** Starts `serve` and waits until it can be used, and stopped. */
async function serve(t: ExecutionContext, { folder: cwd, env }: Place): Promise<Running> {
  return untilUp(t, spawn(binary, ['serve'], { cwd, env }), env.PUBLIC_URL!)
}

async function untilUp(t: ExecutionContext, child: ChildProcessWithoutNullStreams, url: string): Promise<Running> {
  t.teardown(() => child.kill('SIGKILL'))
  const said = { stdout: '', stderr: '' }
  for (const name of ['stdout', 'stderr'] as const)
    child[name].setEncoding('utf8').on('data', (text: string) => {
      said[name] += text
    })
  // An answer after the last thing it says on its start: by then it heeds signals.
  while (!(`${said.stdout}${said.stderr}`.includes('Sign in') && (await isUp(url)))) {
    if (child.exitCode !== null || child.signalCode !== null)
      throw new Error(`serve ended with ${child.exitCode ?? child.signalCode}: ${said.stdout}${said.stderr}`)
    await wait(20)
  }
  return { child, said }
}

const isUp = (url: string): Promise<boolean> =>
  fetch(`${url}/healthz`).then(
    (response) => response.ok,
    () => false,
  )

/** Stops it as a service manager does. Neither Node nor a dependency may have warned of anything meanwhile. */
async function stop(t: ExecutionContext, { child, said }: Running): Promise<void> {
  const closed = once(child, 'close')
  child.kill('SIGTERM')
  t.deepEqual(await closed, [0, null], said.stderr)
  t.notRegex(said.stderr, /warning|deprecat/i)
  for (const line of said.stdout.trim().split('\n')) t.is(JSON.parse(line).level, 30, line)
}

/** A port below those that outgoing connections take, so that it stays free while a server restarts. */
async function freePort(): Promise<number> {
  const port = 20_000 + Math.floor(Math.random() * 12_000)
  const probe = createServer().listen(port, '127.0.0.1')
  const isFree = await Promise.race([once(probe, 'listening').then(() => true), once(probe, 'error').then(() => false)])
  probe.close()
  return isFree ? port : freePort()
}

async function servedPlace(t: ExecutionContext): Promise<Place> {
  const port = await freePort()
  return place(t, {
    APP_PORT: `${port}`,
    HOST: '127.0.0.1',
    PUBLIC_URL: `http://127.0.0.1:${port}`,
    OPENAI_CLIENT_ID: CHATGPT_ID,
    OPENAI_CLIENT_SECRET: CHATGPT_SECRET,
    OPENAI_REDIRECT_URIS: CALLBACK,
  })
}

async function expectDocuments(t: ExecutionContext, url: string): Promise<void> {
  const get = async (path: string): Promise<Buffer> => {
    const response = await fetch(url + path)
    t.is(response.status, 200, path)
    return Buffer.from(await response.arrayBuffer())
  }
  const json = async (path: string) => JSON.parse((await get(path)).toString())
  t.deepEqual(await json('/healthz'), { status: 'up' })
  t.is((await json('/.well-known/ai-plugin.json')).auth.client_url, `${url}/oauth`)
  t.deepEqual((await json('/openapi.json')).servers, [{ url }])
  t.deepEqual(await get('/logo.png'), readFileSync(join(ROOT, 'openapi/logo.png')))
  t.deepEqual(await get('/style.css'), readFileSync(join(ROOT, 'src/http/pages/style.css')))
}

/** Sign-in, consent, exchange: an access token for somebody who has an account. */
async function connect(t: ExecutionContext, chatgpt: ClientSide, identifier: string, password: string) {
  const visitor = new Visitor(chatgpt.url)
  const signedIn = await visitor.submit(await visitor.get(chatgpt.link()), 'identifier', { identifier, password })
  t.is(signedIn.status, 303, signedIn.text)
  const { status, json } = await chatgpt.exchange(await chatgpt.codeFor(visitor))
  t.is(status, 200)
  return json.access_token as string
}

test('does the main job from an empty folder with an empty PATH', async (t) => {
  const here = await servedPlace(t)
  const chatgpt = new ClientSide(here.env.PUBLIC_URL!)
  const first = await serve(t, here)
  await expectDocuments(t, chatgpt.url)

  const added = await command(t, here, 'user', 'add', 'ada', '--random-password')
  const [said, password = ''] = added.trim().split('\n')
  t.is(said, 'ada can sign in.')
  t.regex(await command(t, here, 'audit', 'verify'), /^\d+ events, and the chain holds\./)

  const token = await connect(t, chatgpt, 'ada', password)
  for (const todo of ['buy milk', 'call Bob'])
    t.is((await chatgpt.api(token, 'POST', '/todos/me', { todo })).status, 200)
  t.deepEqual((await chatgpt.api(token, 'GET', '/todos/me')).json, { todos: ['buy milk', 'call Bob'] })
  t.is((await chatgpt.api(token, 'DELETE', '/todos/me', { todo_idx: 0 })).json.todo, 'buy milk')
  await stop(t, first)

  const second = await serve(t, here)
  t.deepEqual((await chatgpt.api(token, 'GET', '/todos/me')).json, { todos: ['call Bob'] })
  await stop(t, second)
  t.regex(await command(t, here, 'audit', 'verify'), /^\d+ events, and the chain holds\./)
  t.deepEqual([readdirSync(here.folder), readdirSync(here.temporary)], [[], []], 'something was left behind')
})

/** For a test that needs what not every system has: skipped, and shown as such, where that command fails. */
function testWhere(command: string): typeof test | typeof test.skip {
  try {
    execSync(command, { stdio: 'ignore' })
    return test
  } catch {
    return test.skip
  }
}

// It makes a terminal; what runs in it still has no PATH.
testWhere('script --version')('logs for people on a terminal', async (t) => {
  const { folder: cwd, env } = await servedPlace(t)
  const args = ['-qefc', `exec env PATH= '${binary}' serve`, '/dev/null']
  const terminal = spawn('script', args, { cwd, env: { ...env, PATH: process.env.PATH } })
  const { child, said } = await untilUp(t, terminal, env.PUBLIC_URL!)
  const closed = once(child, 'close')
  child.stdin.write('\x03')
  t.deepEqual(await closed, [0, null], said.stdout)
  t.regex(said.stdout, /INFO.*serving/)
  t.regex(said.stdout, /INFO.*stopped/)
})

test('loads the database without a temporary directory', async (t) => {
  const here = place(t)
  rmSync(here.temporary, { recursive: true })
  await command(t, here, 'user', 'add', 'ada', '--random-password')
  // The first time there is no data directory yet, either.
  t.deepEqual(readdirSync(join(here.folder, '..')), ['data', 'empty'])
  const kept = readdirSync(here.env.DATA_DIR!)
  await command(t, here, 'audit', 'verify')
  t.deepEqual(readdirSync(here.env.DATA_DIR!), kept)
  t.deepEqual(readdirSync(here.folder), [])
})

// Mounting takes a namespace of one's own, which not every system gives to everybody.
const canMount = 'unshare -rm mount -t tmpfs tmpfs /tmp'
testWhere(canMount)('loads the database where the temporary directory is noexec', async (t) => {
  const { folder: cwd, temporary, env } = place(t)
  const mounted = `mount -t tmpfs -o noexec tmpfs '${temporary}' && PATH= TMPDIR='${temporary}' "$0" "$@"; ls '${temporary}'`
  const args = ['-rm', 'sh', '-c', mounted, binary, 'user', 'add', 'ada', '--random-password']
  const { stdout, stderr } = await run('unshare', args, { cwd, env: { ...env, PATH: process.env.PATH } })
  t.regex(stdout, /^ada can sign in\.\n\S+\n$/)
  t.is(stderr, '')
  t.deepEqual(readdirSync(cwd), [])
})

test('takes no orders meant for Node', async (t) => {
  const here = place(t, { NODE_OPTIONS: '--no-such-option' })
  t.regex(await command(t, here, 'version'), /^daybook \d/)
  const error = await t.throwsAsync(run(binary, ['--eval', '1'], { cwd: here.folder, env: here.env }))
  t.like(error, { code: 2 })
})

test('is one file that everybody may run', (t) => {
  t.deepEqual(readdirSync(built), ['daybook'])
  t.is(statSync(binary).mode & 0o777, 0o755)
})

/** Makes an executable that must fail. @returns what it says */
async function failure(t: ExecutionContext, script: string, output: string): Promise<string> {
  const error = await t.throwsAsync(run(process.execPath, [script, output]))
  t.like(error, { code: 1 })
  return (error as Error & { stderr: string }).stderr
}

test('says why it cannot be made, and exits 1', async (t) => {
  t.regex(await failure(t, SCRIPT, join(binary, 'daybook')), /^binary: could not make a folder to work in: .+\n$/)
})

test('is not made where a file that Daybook reads would be missing', async (t) => {
  const copy = temporaryFolder(t)
  for (const name of ['package.json', 'src', 'scripts', 'openapi'])
    cpSync(join(ROOT, name), join(copy, name), { recursive: true })
  symlinkSync(join(ROOT, 'node_modules'), join(copy, 'node_modules'))
  const [script, output] = [join(copy, 'scripts/binary.ts'), join(copy, 'dist/daybook')]
  appendFileSync(join(copy, 'src/cli/version.ts'), `asset('openapi/lost.txt')\n`)
  t.regex(await failure(t, script, output), /^binary: could not collect the assets: ENOENT: .*openapi\/lost.txt/)
  appendFileSync(join(copy, 'src/cli/version.ts'), `asset(version)\n`)
  t.regex(await failure(t, script, output), /^binary: could not collect the assets: src\/cli\/version.ts uses "asset"/)
  t.deepEqual(readdirSync(join(copy, 'dist')), [])
})
