/** What the tests of the wire share: requests exactly as given, and a book that cannot be written for a while. */
import { mkdirSync, renameSync, rmSync } from 'node:fs'
import { type IncomingHttpHeaders, request } from 'node:http'
import { join } from 'node:path'
import type { Event } from '../../src/domain/domain.ts'
import { accept } from '../../src/domain/shape.ts'
import { SYSTEM, type World, wait } from '../_support.ts'

export type Raw = { readonly status: number; readonly headers: IncomingHttpHeaders; readonly body: Buffer }
type Book = Pick<World, 'ledger' | 'folder'>
export type Asked = {
  readonly method?: string
  readonly headers?: { readonly [name: string]: string | string[] }
  readonly body?: string | Buffer
}

/** A request whose target and headers are sent as they are: `fetch` would tidy them up. */
export function send(url: string, path: string, { method = 'GET', headers = {}, body }: Asked = {}): Promise<Raw> {
  const { hostname, port } = new URL(url)
  return new Promise((resolve, reject) => {
    const length = body === undefined ? {} : { 'content-length': String(Buffer.byteLength(body)) }
    const options = { hostname, port, path, method, headers: { ...length, ...headers }, agent: false }
    const asked = request(options, (response) => {
      const chunks: Buffer[] = []
      response.on('data', (chunk: Buffer) => chunks.push(chunk))
      response.on('end', () =>
        resolve({ status: response.statusCode!, headers: response.headers, body: Buffer.concat(chunks) }),
      )
    })
    asked.on('error', reject)
    asked.end(body)
  })
}

/** Does something while the book can be neither written nor read: after a write that failed, it cannot be opened. */
export async function whileBroken(world: World, act: () => Promise<void>): Promise<void> {
  const current = join(world.folder, 'book', 'CURRENT')
  renameSync(current, `${current}.away`)
  const actOnceClosed = async (): Promise<void> => {
    while (await canRead(world)) await wait(5)
    await act()
  }
  await afterFailedWrite(world, actOnceClosed, () => renameSync(`${current}.away`, current))
}

const canRead = ({ ledger }: World): Promise<boolean> =>
  Array.fromAsync(ledger.events({ to: 1 })).then(
    () => true,
    () => false,
  )

/** Does something while the book can be read and not written: after a write that failed, its folder takes no file. */
export async function whileReadOnly(world: Book, act: () => Promise<void>): Promise<void> {
  const probe = join(world.folder, 'probe')
  mkdirSync(join(probe, 'in the way'), { recursive: true })
  await afterFailedWrite(world, act, () => rmSync(probe, { recursive: true }))
}

async function afterFailedWrite(world: Book, act: () => Promise<void>, mend: () => void): Promise<void> {
  // A registration without a name breaks what follows from it, half-way through recording.
  const impossible = { type: 'UserRegistered', data: { user: 'none', admin: false } } as unknown as Event
  await world.ledger.transact(SYSTEM, () => accept([impossible], undefined)).catch(() => {})
  try {
    await act()
  } finally {
    mend()
    await untilReady(world)
  }
}

/** Waits until the book can be written again: it is tried once a second. */
export async function untilReady({ ledger }: Pick<World, 'ledger'>): Promise<void> {
  for (let tries = 0; tries < 600 && !ledger.status.writable; tries++) await wait(50)
}
