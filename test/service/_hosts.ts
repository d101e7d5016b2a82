/** Hosts on the internet of a test: an HTTPS server on loopback, and a name server that knows a few names. */
import { createSocket } from 'node:dgram'
import { once } from 'node:events'
import type { RequestListener } from 'node:http'
import { createServer } from 'node:https'
import { type AddressInfo, isIP, type Socket } from 'node:net'
import { createServer as createTlsServer } from 'node:tls'
import type { ExecutionContext } from 'ava'
import { selfSigned } from './_certificate.ts'

const identity = selfSigned('client.example', 'other.example')
export const CA = identity.cert

/** An HTTPS server. `asked` lists the targets that it was asked for, `opened` counts connections. */
export type Host = { readonly port: number; readonly asked: string[]; readonly opened: () => number }

export async function startHost(t: ExecutionContext, answer: RequestListener): Promise<Host> {
  const asked: string[] = []
  const server = createServer(identity, (request, response) => {
    asked.push(request.url!)
    answer(request, response)
  })
  let opened = 0
  server.on('connection', () => opened++).listen(0, '127.0.0.1')
  await once(server, 'listening')
  t.teardown(() => {
    server.close()
    server.closeAllConnections()
  })
  return { port: (server.address() as AddressInfo).port, asked, opened: () => opened }
}

/** A host that answers every request with exactly these bytes, and keeps the connection open. */
export async function startRawHost(t: ExecutionContext, answer: string): Promise<number> {
  const sockets = new Set<Socket>()
  const server = createTlsServer(identity, (socket) => {
    sockets.add(socket)
    socket.on('error', () => {}).once('data', () => socket.write(answer))
  }).listen(0, '127.0.0.1')
  await once(server, 'listening')
  t.teardown(() => {
    server.close()
    for (const socket of sockets) socket.destroy()
  })
  return (server.address() as AddressInfo).port
}

const IPV4 = 1
const IPV6 = 28

/** A name server (RFC 1035 §4). It knows the addresses of some names, is silent for some, and denies all others. */
export async function startNameServer(
  t: ExecutionContext,
  names: { readonly [name: string]: readonly string[] | 'silence' },
): Promise<string> {
  const socket = createSocket('udp4')
  socket.on('message', (query, { port, address }) => {
    const labels: string[] = []
    let at = 12
    for (; query[at] !== 0; at += query[at]! + 1) labels.push(query.toString('latin1', at + 1, at + 1 + query[at]!))
    const type = query.readUInt16BE(at + 1)
    const known = names[labels.join('.').toLowerCase()]
    if (known === 'silence') return
    const answers = (known ?? []).filter((ip) => (isIP(ip) === 6 ? IPV6 : IPV4) === type)
    const header = Buffer.alloc(12)
    query.copy(header, 0, 0, 2)
    header.writeUInt16BE(known === undefined ? 0x8183 : 0x8180, 2)
    header.writeUInt16BE(1, 4)
    header.writeUInt16BE(answers.length, 6)
    const question = query.subarray(12, at + 5)
    socket.send(Buffer.concat([header, question, ...answers.map((ip) => record(ip))]), port, address)
  })
  socket.bind(0, '127.0.0.1')
  await once(socket, 'listening')
  t.teardown(() => socket.close())
  return `127.0.0.1:${socket.address().port}`
}

/** IPv6 addresses are given with all their eight groups. */
function record(ip: string): Buffer {
  const isV6 = isIP(ip) === 6
  const data = isV6
    ? Buffer.from(ip.replace(/[^:]+/g, (group) => group.padStart(4, '0')).replaceAll(':', ''), 'hex')
    : Buffer.from(ip.split('.').map(Number))
  const head = Buffer.from([0xc0, 12, 0, isV6 ? IPV6 : IPV4, 0, 1, 0, 0, 0, 0, 0, data.length])
  return Buffer.concat([head, data])
}
