/** The rules of the house: which way imports run, who touches what, how long things are, and that routes are documented. */
import { readdirSync, readFileSync } from 'node:fs'
import { builtinModules } from 'node:module'
import { join, posix } from 'node:path'
import type Router from '@koa/router'
import test from 'ava'
import pino from 'pino'
import { parse } from 'yaml'
import { createApp } from '../src/http/app.ts'
import { proxyList } from '../src/http/origin.ts'
import { settings, startWorld, temporaryFolder } from './_support.ts'
import { open } from './ledger/_book.ts'

const root = join(import.meta.dirname, '..')
const read = (path: string): string => readFileSync(join(root, path), 'utf8')
const files = readdirSync(join(root, 'src'), { recursive: true, encoding: 'utf8' })
  .map((path) => posix.join('src', path.replaceAll('\\', '/')))
  .filter((path) => path.endsWith('.ts'))
  .sort()

/** The code of a file: its lines, comments left blank. */
const code = (path: string): string[] =>
  read(path)
    .split('\n')
    .map((line) => (/^\s*(\/\*|\*|\/\/)/.test(line) ? '' : line.replace(/(^|\s)\/\/ .*$/, '')))

/** Every module that a file names, by whatever kind of import. */
const importsOf = (path: string): string[] =>
  [
    ...code(path)
      .join('\n')
      .matchAll(/\b(?:from |import |import\(\s*)'([^'\s]+)'/g),
  ].map(([, name]) => name!)

/** Where the code says that, as `file:line`. */
const whereSaid = (what: RegExp, among: readonly string[] = files): string[] =>
  among.flatMap((path) => code(path).flatMap((line, i) => (what.test(line) ? [`${path}:${i + 1}`] : [])))

/** The files in which the code says that. */
const filesSaying = (what: RegExp): string[] => [...new Set(whereSaid(what).map((place) => place.split(':')[0]!))]

const FLOORS = ['src/main.ts', 'src/cli/', 'src/http/', 'src/service/', 'src/ledger/', 'src/domain/']
const floorOf = (path: string): number => FLOORS.findIndex((floor) => path.startsWith(floor))

const domain = files.filter((path) => path.startsWith('src/domain/'))

test('there is a house', (t) => {
  t.true(files.length > 30)
  for (const [i, floor] of FLOORS.entries())
    t.true(
      files.some((path) => floorOf(path) === i),
      floor,
    )
  t.deepEqual(
    files.filter((path) => floorOf(path) < 0),
    [],
  )
})

test('imports run downward: main, cli, http, service, ledger, domain; and lead nowhere else', (t) => {
  let count = 0
  for (const path of files)
    for (const name of importsOf(path).filter((name) => name.startsWith('.'))) {
      const target = posix.join(posix.dirname(path), name)
      t.true(files.includes(target), `${path} imports ${target}`)
      t.true(floorOf(target) >= floorOf(path), `${path} imports ${target}, which is above it`)
      count++
    }
  t.true(count > 100)
})

/** The modules that a file loads when it runs: `import type` and `export type` load nothing. */
const loadedBy = (path: string): string[] =>
  [
    ...code(path)
      .join('\n')
      .matchAll(/\b(?:import|export)\s(?!\s*type\s)[^'"()]*?from\s+'(\.[^'\s]+)'|\bimport\(?\s*'(\.[^'\s]+)'/g),
  ].map(([, from, alone]) => posix.join(posix.dirname(path), (from ?? alone)!))

/** The circles among modules, each from its first module back to it. */
function circles(loads: ReadonlyMap<string, readonly string[]>): string[] {
  const found: string[] = []
  const done = new Set<string>()
  const visit = (path: string, way: readonly string[]): void => {
    if (way.includes(path)) {
      found.push([...way.slice(way.indexOf(path)), path].join(' > '))
      return
    }
    if (done.has(path)) return
    for (const next of loads.get(path) ?? []) visit(next, [...way, path])
    done.add(path)
  }
  for (const path of loads.keys()) visit(path, [])
  return found
}

test('no modules load each other in a circle; types may point both ways', (t) => {
  const loads = new Map(files.map((path) => [path, loadedBy(path)]))
  t.true([...loads.values()].flat().length > 100)
  t.true(loads.get('src/main.ts')!.includes('src/cli/program.ts'), 'a dynamic import loads, too')
  t.true(loads.get('src/domain/domain.ts')!.includes('src/domain/grants.ts'))
  t.false(loads.get('src/domain/bearers.ts')!.includes('src/domain/grants.ts'), 'types only')
  t.deepEqual(circles(loads), [])
  const ring = { a: ['b'], b: ['c', 'd'], c: ['a'], d: [] }
  t.deepEqual(circles(new Map(Object.entries(ring))), ['a > b > c > a'])
})

test('only src/domain/scopes.ts takes a scope apart', (t) => {
  t.deepEqual(filesSaying(/\.split\(' '\)/), ['src/domain/scopes.ts'])
})

test('the only door to the database is src/ledger/database.ts', (t) => {
  t.deepEqual(
    files.filter((path) => importsOf(path).some((name) => /level/.test(name))),
    ['src/ledger/database.ts'],
  )
})

test('what is imported is Node’s own, by its full name, or a dependency that is installed with the program', (t) => {
  const { dependencies } = JSON.parse(read('package.json'))
  for (const path of files)
    for (const name of importsOf(path).filter((name) => !name.startsWith('.'))) {
      if (name.startsWith('node:')) continue
      t.false(builtinModules.includes(name), `${path} imports ${name} without node:`)
      const [, installed] = /^(@[^/]+\/[^/]+|[^/]+)/.exec(name)!
      t.true(installed! in dependencies, `${path} imports ${name}`)
    }
})

test('the domain knows no package, no Node, no clock, no chance and no process', (t) => {
  for (const path of domain)
    t.deepEqual(
      importsOf(path).filter((name) => !name.startsWith('./')),
      [],
      path,
    )
  const outside =
    /\bDate\.now\b|\bnew Date\(\)|\bMath\.random\b|\b(process|performance|crypto|globalThis|Buffer)\b\s*[.[(]/
  const waiting = /\b(async|await|setTimeout|setInterval|setImmediate|queueMicrotask|fetch|console|Temporal)\b/
  for (const what of [outside, waiting]) t.deepEqual(whereSaid(what, domain), [])
})

test('each outside thing has one place', (t) => {
  const places: [RegExp, string[]][] = [
    [/\bprocess\.env\b/, ['src/cli/config.ts']],
    [/\bprocess\.exit\b/, ['src/main.ts']],
    // What ships with the program is found beside it, and by nobody else.
    [/\bimport\.meta\b|\b__dirname\b|\b__filename\b/, ['src/http/assets.ts']],
    [/\bconsole\b/, []],
    [/\bMath\.random\b/, []],
  ]
  for (const [what, expected] of places) t.deepEqual(filesSaying(what), expected, String(what))
})

test('files are read and written by the ledger and the command line, shipped ones by src/http/assets.ts', (t) => {
  const touching = files.filter((path) => importsOf(path).some((name) => /^(node:)?fs\b/.test(name)))
  t.deepEqual(
    touching.filter((path) => !/^src\/(ledger|cli)\//.test(path)),
    ['src/http/assets.ts'],
  )
  t.deepEqual(
    filesSaying(/\breadFileSync\(join\(/).filter((path) => !path.startsWith('src/ledger/')),
    ['src/http/assets.ts'],
  )
})

test('there is one clock: only the command line reads the system’s, and hands it down', (t) => {
  const elsewhere = filesSaying(/\bDate\.now\b|\bnew Date\(\)/).filter((path) => !path.startsWith('src/cli/'))
  t.deepEqual(elsewhere, [])
})

test('only main and the command line know the process', (t) => {
  const knowing = filesSaying(/\bprocess\./).filter((path) => path !== 'src/main.ts' && !path.startsWith('src/cli/'))
  // The lock names its holder.
  t.deepEqual(knowing, ['src/ledger/directory.ts'])
  t.deepEqual(whereSaid(/\bprocess\.(?!pid\b)/, ['src/ledger/directory.ts']), [])
})

test('each file says what it is for, and is named after it', (t) => {
  for (const path of files) {
    t.true(/^\/\*\* [A-Z`]/.test(read(path)), `${path} opens with a sentence`)
    t.notRegex(path, /\b(utils?|helpers?|common|types|managers?|index|misc|shared)\.ts$/)
  }
})

const MAX_FILE_LINES = 400
const MAX_FUNCTION_LINES = 70

/** Every function of a file by its first line, with its length. The formatter puts its end where its beginning stands. */
function functionsOf(path: string): [where: string, length: number][] {
  const lines = code(path)
  return lines.flatMap((line, i): [string, number][] => {
    const isOpening = /\bfunction\b.*[({]$|=> \{$|^\s*\).*\{$|^\s+(?!if|for|while|switch|catch)[\w#* ]+\(.*\{$/.test(
      line,
    )
    if (!isOpening) return []
    const indent = /^\s*/.exec(line)![0]
    const length = lines.slice(i + 1).findIndex((later) => later.startsWith(`${indent}}`)) + 2
    return [[`${path}:${i + 1} ${line.trim()}`, length]]
  })
}

test('no file is past its size', (t) => {
  for (const path of files) t.true(read(path).split('\n').length <= MAX_FILE_LINES, path)
})

test('no function is past its size', (t) => {
  const all = files.flatMap(functionsOf)
  t.true(all.length > 200, 'functions are found')
  t.deepEqual(
    all.filter(([, length]) => length > MAX_FUNCTION_LINES),
    [],
  )
})

type Operations = { readonly [path: string]: { readonly [method: string]: unknown } }
const METHODS = ['get', 'post', 'put', 'patch', 'delete']
const documented = Object.entries((parse(read('openapi/openapi.yaml')) as { paths: Operations }).paths).flatMap(
  ([path, operations]) => METHODS.filter((method) => method in operations).map((method) => `${method} ${path}`),
)

test('70. every route under /todos is in the OpenAPI document, and every one of its is a route', async (t) => {
  const ledger = await open(temporaryFolder(t))
  t.teardown(() => ledger.close())
  const deps = { ledger, settings: settings('http://localhost'), log: pino({ level: 'silent' }) }
  const app = createApp(deps, proxyList([]))
  const routers = (app.middleware as { router?: Router }[]).flatMap(({ router }) => router ?? [])
  const routes = new Set(
    routers.flatMap(({ stack }) =>
      stack.flatMap(({ path, methods }) =>
        methods.map((method) => `${method.toLowerCase()} ${String(path).replace(/:(\w+)/g, '{$1}')}`),
      ),
    ),
  )
  const api = [...routes].filter((route) => / \/todos\b/.test(route) && !route.startsWith('head '))
  t.true(routes.size > 15)
  t.deepEqual(api.sort(), [...documented].sort())
})

test('70. each documented operation asks for a token; a method that is not documented is not allowed', async (t) => {
  const { url, news } = await startWorld(t)
  await news()
  const paths = [...new Set(documented.map((operation) => operation.split(' ')[1]!))]
  /** Whether an operation is documented, under this path or under one with a parameter that takes it in. */
  const isDocumented = (method: string, path: string): boolean =>
    documented.some((operation) => new RegExp(`^${operation.replace(/\{\w+\}/g, '[^/]+')}$`).test(`${method} ${path}`))
  for (const path of paths)
    for (const method of METHODS) {
      const { status } = await fetch(url + path.replace(/\{\w+\}/g, 'me'), { method: method.toUpperCase() })
      t.is(status, isDocumented(method, path) ? 401 : 405, `${method} ${path}`)
    }
  t.deepEqual(await news(), [])
})
