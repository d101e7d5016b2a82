/** Makes the single executable: `node scripts/binary.ts [output]`, by default `dist/daybook`. For Linux, on Linux. */
import { execFile } from 'node:child_process'
import { chmod, copyFile, mkdir, mkdtemp, readFile, rename, rm, stat, writeFile } from 'node:fs/promises'
import { createRequire } from 'node:module'
import { dirname, join, resolve } from 'node:path'
import { promisify } from 'node:util'
import { build as bundle, type Metafile, type Plugin } from 'esbuild'
import { NATIVE_ASSET } from './native-loader.ts'

const ROOT = join(import.meta.dirname, '..')
/** The module that every file shipped with Daybook is read through. */
const ASSETS_MODULE = 'src/http/assets.ts'
/** Marks the place in Node that tells whether an application lies inside; fixed by Node. */
const FUSE = 'NODE_SEA_FUSE_fce680ab2cc467b6e072b8b5df1996b2'
const BUNDLE = 'daybook.cjs'
const BLOB = 'daybook.blob'

const require = createRequire(import.meta.url)
const run = promisify(execFile)

async function makeBinary(output: string): Promise<void> {
  if (process.platform !== 'linux') throw new Error(`the executable is made on Linux only, not on ${process.platform}`)
  const work = await step('make a folder to work in', () => workingFolder(dirname(output)))
  try {
    const made = join(work, 'daybook')
    const inputs = await step('bundle the sources', () => bundleSources(join(work, BUNDLE)))
    const assets = await step('collect the assets', () => collectAssets(inputs))
    await step('pack bundle and assets', () => pack(work, assets))
    await step('copy Node', () => copyNode(made))
    await step('strip the copy of Node', () => strip(made))
    await step('put the pack into the copy of Node', () => inject(made, join(work, BLOB)))
    await step('try the executable', () => tryOut(made, work))
    await step('put the executable in its place', () => rename(made, output))
  } finally {
    await rm(work, { recursive: true, force: true })
  }
  const { size } = await stat(output)
  say(`${output}, ${Math.round(size / 2 ** 20)} MiB`)
}

const say = (text: string): boolean => process.stderr.write(`binary: ${text}\n`)

/** Whatever goes wrong in a step is told with the step's name. */
async function step<T>(name: string, work: () => Promise<T>): Promise<T> {
  try {
    return await work()
  } catch (error) {
    throw new Error(`could not ${name}: ${(error as Error).message}`, { cause: error })
  }
}

/** Beside the output, so that the finished file is put in place by one rename, even over one that runs. */
async function workingFolder(place: string): Promise<string> {
  await mkdir(place, { recursive: true })
  return mkdtemp(join(place, '.binary-'))
}

/** All code in one file. The executables of Node 24 start CommonJS only. */
async function bundleSources(outfile: string): Promise<Metafile['inputs']> {
  const { metafile, warnings } = await bundle({
    absWorkingDir: ROOT,
    entryPoints: ['src/main.ts'],
    outfile,
    bundle: true,
    platform: 'node',
    format: 'cjs',
    target: `node${process.versions.node}`,
    define: { 'import.meta.dirname': '__dirname' },
    plugins: [ownNativeLoader],
    metafile: true,
    logLevel: 'error',
  })
  // What esbuild warns of would fail later, where nobody looks: on the machine that runs the executable.
  if (warnings.length > 0)
    throw new Error(warnings.map(({ text, location }) => `${location?.file}: ${text}`).join('\n'))
  return metafile.inputs
}

/** `classic-level` calls what it requires as `node-gyp-build`, which the exports of a module of ours are not. */
const ownNativeLoader: Plugin = {
  name: 'own-native-loader',
  setup({ onResolve, onLoad }) {
    onResolve({ filter: /^node-gyp-build$/ }, ({ path }) => ({ path, namespace: 'native' }))
    onLoad({ filter: /^node-gyp-build$/, namespace: 'native' }, () => ({
      contents: `module.exports = require('./native-loader.ts').loadNative`,
      resolveDir: import.meta.dirname,
    }))
  },
}

type Assets = { [name: string]: string }

/** Where the file of each asset lies. */
async function collectAssets(inputs: Metafile['inputs']): Promise<Assets> {
  const readers = Object.keys(inputs).filter((file) => inputs[file]!.imports.some(({ path }) => path === ASSETS_MODULE))
  const assets: Assets = { [NATIVE_ASSET]: nativePart() }
  for (const file of readers)
    for (const path of assetPaths(file, await readFile(join(ROOT, file), 'utf8'))) assets[path] = join(ROOT, path)
  for (const path of Object.values(assets)) await stat(path)
  return assets
}

/** What a source reads with `asset('…')`. Any other use of `asset` could read a file that would be missing. */
function assetPaths(file: string, source: string): string[] {
  const call = /\basset\('([^'\\]+)'\)/g
  const rest = source.replace(/^import \{ asset \} from .*$/m, '').replace(call, '')
  if (/\basset\b/.test(rest))
    throw new Error(
      `${file} uses "asset" other than as asset('…') with the path as it is: which file it needs is unknown`,
    )
  return [...source.matchAll(call)].map(([, path]) => path!)
}

/** The build of `classic-level` that this Node would load: its own resolver knows platform, processor and libc. */
function nativePart(): string {
  const level = createRequire(require.resolve('level'))
  const classicLevel = level.resolve('classic-level')
  return createRequire(classicLevel)('node-gyp-build').path(dirname(classicLevel))
}

async function pack(work: string, assets: Assets): Promise<void> {
  const config = {
    // By name only: Node keeps this in the executable.
    main: BUNDLE,
    output: BLOB,
    assets,
    disableExperimentalSEAWarning: true,
    // Every argument is Daybook's, and no NODE_OPTIONS changes how it runs.
    execArgvExtension: 'none',
  }
  await writeFile(join(work, 'sea.json'), JSON.stringify(config))
  await run(process.execPath, ['--experimental-sea-config', 'sea.json'], { cwd: work })
}

async function copyNode(to: string): Promise<void> {
  await copyFile(process.execPath, to)
  await chmod(to, 0o755)
}

/** Symbols make up a seventh of Node, and nothing that runs needs them. Once the pack is in, it is too late for this. */
async function strip(file: string): Promise<void> {
  try {
    await run('strip', [file])
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ENOENT') throw error
    say('there is no "strip" here: the executable works, and is larger than it has to be')
  }
}

async function inject(file: string, blob: string): Promise<void> {
  const postject = require.resolve('postject/dist/cli.js')
  await run(process.execPath, [postject, file, 'NODE_SEA_BLOB', blob, '--sentinel-fuse', FUSE])
}

/** From a folder without the sources, with nothing in the environment. */
async function tryOut(file: string, cwd: string): Promise<void> {
  const { version } = JSON.parse(await readFile(join(ROOT, 'package.json'), 'utf8'))
  const { stdout, stderr } = await run(file, ['version'], { cwd, env: {} })
  if (!stdout.startsWith(`daybook ${version} `) || stderr !== '') throw new Error(`it says: ${stdout}${stderr}`)
}

try {
  await makeBinary(resolve(process.argv[2] ?? join(ROOT, 'dist/daybook')))
} catch (error) {
  say((error as Error).message)
  process.exitCode = 1
}
