/** The HTTP server that carries the app: its limits, and its answers to what never becomes a request. */
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http'
import { Socket } from 'node:net'
import type { Duplex } from 'node:stream'
import type Koa from 'koa'
import { newId } from '../ledger/ids.ts'
import { BoundedMessage, isOverrun } from './body.ts'

/** A server with Daybook's limits; `attach` makes it answer. */
export const createHttpServer = (): Server => {
  const server = createServer({
    IncomingMessage: BoundedMessage,
    requestTimeout: 15_000,
    headersTimeout: 10_000,
    connectionsCheckingInterval: 1000,
    maxHeaderSize: 32_768,
    // Longer than a proxy keeps idle connections (nginx: 60 s): it must not send on one that is just being closed.
    keepAliveTimeout: 65_000,
    // The app answers this itself, like any other refusal.
    requireHostHeader: false,
  })
  // An answer that nobody reads is not kept for ever.
  server.setTimeout(60_000)
  return server
}

type Exchange = { readonly req: IncomingMessage; readonly res: ServerResponse }

/** How many requests may wait behind another on their connection. Browsers and proxies of today send none. */
const MAX_WAITING = 10

/**
 * Makes the server answer with this app: of each connection one request after the other, so that answers that nobody
 * reads do not pile up.
 * @param now ms since 1970
 */
export function attach(server: Server, app: Koa, now: () => number): void {
  const handle = app.callback()
  /** Of each connection what is being answered, and what waits behind it. */
  const lines = new WeakMap<Duplex, Exchange[]>()
  const begin = (line: readonly Exchange[]): void => {
    const [exchange] = line
    if (exchange !== undefined && !exchange.req.socket.destroyed) void handle(exchange.req, exchange.res)
  }
  const answer = (req: IncomingMessage, res: ServerResponse): void => {
    letArrive(req)
    const line = lines.get(req.socket) ?? []
    lines.set(req.socket, line)
    if (line.length > MAX_WAITING) return void req.socket.destroy()
    res.once('close', () => {
      line.shift()
      begin(line)
    })
    if (line.push({ req, res }) === 1) begin(line)
  }
  server.on('request', answer)
  // `readBytes` sends 100 Continue once the body is wanted.
  server.on('checkContinue', answer)
  // An expectation that nobody knows may be ignored (RFC 9110 §10.1.1).
  server.on('checkExpectation', answer)
  server.on('clientError', (error: NodeJS.ErrnoException, socket) => {
    const [current, next] = lines.get(socket) ?? []
    if (!socket.writable || error.code === 'ECONNRESET') socket.destroy()
    else if (current === undefined) answerUnparsed(error.code ?? '', socket, newId(now()))
    // The rest of this very request cannot be read: it is answered, if it is not yet.
    else if (next === undefined && !current.req.complete && !current.res.headersSent) answerTorn(current.res)
    else socket.destroy()
  })
}

/** How long the rest of a body is discarded after the last answer of its connection; and how long where it stays unread. */
const [LINGER_MS, LINGER_UNREAD_MS] = [5000, 500]

/**
 * Lets an answer arrive that ends the connection while a body still comes: a connection closed with unread bytes is
 * reset, and many clients read no answer before they have sent everything (RFC 9112 §9.6).
 */
function letArrive(req: IncomingMessage): void {
  const { socket } = req
  // Node calls this once the last answer is written.
  socket.destroySoon = () => {
    if (req.complete) return void Socket.prototype.destroySoon.call(socket)
    socket.end()
    const isUnread = isOverrun(req)
    const timer = setTimeout(() => socket.destroy(), isUnread ? LINGER_UNREAD_MS : LINGER_MS)
    socket.once('close', () => clearTimeout(timer))
    if (!isUnread) req.once('end', () => socket.destroy()).resume()
  }
}

/** The body of a request is not framed as it should be (RFC 9112 §7.1). */
function answerTorn(res: ServerResponse): void {
  const request = String(res.getHeader('X-Request-Id') ?? '')
  for (const name of res.getHeaderNames()) res.removeHeader(name)
  res.writeHead(400, headersOf(request)).end(bodyOf('invalid_request', request))
}

/** @param code Node's word for what was wrong @param request the id that the answer is given */
function answerUnparsed(code: string, socket: Duplex, request: string): void {
  const [status, reason, word] = unparsed[code] ?? [400, 'Bad Request', 'invalid_request']
  const body = bodyOf(word, request)
  const headers = { ...headersOf(request), 'Content-Length': Buffer.byteLength(body) }
  const lines = Object.entries(headers).map(([name, value]) => `${name}: ${value}\r\n`)
  socket.end(`HTTP/1.1 ${status} ${reason}\r\n${lines.join('')}\r\n${body}`)
}

const bodyOf = (word: string, request: string): string =>
  JSON.stringify({ error: word, message: 'The request could not be read.', request_id: request })

const headersOf = (request: string) => ({
  'Content-Type': 'application/json; charset=utf-8',
  'Cache-Control': 'no-store',
  'X-Content-Type-Options': 'nosniff',
  'X-Request-Id': request,
  Connection: 'close',
})

const unparsed: { readonly [code: string]: readonly [number, string, string] } = {
  HPE_HEADER_OVERFLOW: [431, 'Request Header Fields Too Large', 'too_large'],
  ERR_HTTP_REQUEST_TIMEOUT: [408, 'Request Timeout', 'request_timeout'],
}
