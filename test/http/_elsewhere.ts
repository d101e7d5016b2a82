/** A book met elsewhere than in its world: reopened from a copy of its folder, or served a second time; and writes held up. */
import { execFileSync } from 'node:child_process'
import { once } from 'node:events'
import { closeSync, cpSync, openSync } from 'node:fs'
import { open } from 'node:fs/promises'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { join } from 'node:path'
import { setImmediate as turn } from 'node:timers/promises'
import type { ExecutionContext } from 'ava'
import pino from 'pino'
import { createApp } from '../../src/http/app.ts'
import { proxyList } from '../../src/http/origin.ts'
import type { Settings } from '../../src/http/settings.ts'
import { Ledger } from '../../src/ledger/ledger.ts'
import { type Answer, assertBookHolds, settings, temporaryFolder, type World } from '../_support.ts'
import { type Asked, send as sendRaw } from './_wire.ts'

/** An answer whose text is JSON, or empty. */
export type Answered = Answer & { readonly json: any }
export type Lines = NonNullable<Asked['headers']>

/** Sends a request as it is given, and reads the JSON of the answer. */
export async function send(
  url: string,
  method: string,
  path: string,
  body?: string | Buffer,
  headers: Lines = {},
): Promise<Answered> {
  const raw = await sendRaw(url, path, { method, headers, ...(body === undefined ? {} : { body }) })
  const lines = Object.entries(raw.headers).map(([name, value]): [string, string] => [name, String(value)])
  const text = raw.body.toString()
  return { status: raw.status, headers: new Headers(lines), text, json: text === '' ? undefined : JSON.parse(text) }
}

/** The book as it is on disk at this very moment, opened from a copy. When the test ends it must hold. */
export async function openCopy(t: ExecutionContext, { folder, clock }: World): Promise<Ledger> {
  const copy = temporaryFolder(t)
  // LevelDB's LOCK is not even read: closing it would release the lock of the book that is open.
  cpSync(folder, copy, { recursive: true, filter: (path) => !path.endsWith('LOCK') })
  const ledger = await Ledger.open({ directory: copy, clock: clock.read, version: 'test' })
  t.teardown(() => assertBookHolds(ledger, copy, clock))
  return ledger
}

/** Serves a ledger, also one that is being served already, until the test ends. @returns where */
export async function serveToo(t: ExecutionContext, ledger: Ledger, changed: Partial<Settings> = {}): Promise<string> {
  const server = createServer()
  await once(server.listen(0, '127.0.0.1'), 'listening')
  const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`
  const deps = { ledger, settings: { ...settings(url), ...changed }, log: pino({ level: 'silent' }) }
  const handle = createApp(deps, proxyList([])).callback()
  server.on('request', (req, res) => void handle(req, res))
  t.teardown(() => {
    server.closeAllConnections()
    server.close()
  })
  return url
}

/** The same world after a restart. */
export async function reopen(t: ExecutionContext, world: World): Promise<Pick<World, 'url' | 'news'>> {
  const ledger = await openCopy(t, world)
  let seen = ledger.head.seq
  const news = async (): Promise<string[]> => {
    const types = (await Array.fromAsync(ledger.events({ from: seen + 1 }))).map((event) => event.type)
    seen += types.length
    return types
  }
  return { url: await serveToo(t, ledger), news }
}

/** Lets the event loop go round so often that whatever travels between client and server has arrived. */
export async function settleTraffic(): Promise<void> {
  for (let at = 0; at < 500; at++) await turn()
}

/**
 * Keeps every thread busy that LevelDB could write with, by opening a pipe that nobody writes to: the event loop goes
 * on, but nothing becomes durable. For serial tests only. @returns what ends it
 */
export function holdWrites(t: ExecutionContext): () => Promise<void> {
  const pipe = join(temporaryFolder(t), 'pipe')
  execFileSync('mkfifo', [pipe])
  const readers = Array.from({ length: Number(process.env.UV_THREADPOOL_SIZE ?? 4) }, () => open(pipe, 'r'))
  let isHeld = true
  const release = async (): Promise<void> => {
    if (!isHeld) return
    isHeld = false
    const writer = openSync(pipe, 'w')
    for (const reader of readers) await (await reader).close()
    closeSync(writer)
  }
  t.teardown(release)
  return release
}
