/** The HTTP server that carries the app: its limits, and its answers to what never becomes a request. */
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http'
import type { Duplex } from 'node:stream'
import type Koa from 'koa'
import { newId } from '../ledger/ids.ts'

/** A server with Daybook's limits; `attach` makes it answer. */
export const createHttpServer = (): Server =>
  createServer({
    requestTimeout: 15_000,
    headersTimeout: 10_000,
    connectionsCheckingInterval: 1000,
    maxHeaderSize: 32_768,
    // Longer than a proxy keeps idle connections (nginx: 60 s): it must not send on one that is just being closed.
    keepAliveTimeout: 65_000,
    // The app answers this itself, like any other refusal.
    requireHostHeader: false,
  })

/**
 * Makes the server answer with this app.
 * @param now ms since 1970
 */
export function attach(server: Server, app: Koa, now: () => number): void {
  const handle = app.callback()
  /** Connections in the middle of an answer. */
  const answering = new WeakSet<Duplex>()
  const answer = (req: IncomingMessage, res: ServerResponse): void => {
    answering.add(req.socket)
    res.once('close', () => answering.delete(req.socket))
    void handle(req, res)
  }
  server.on('request', answer)
  // An expectation that nobody knows may be ignored (RFC 9110 §10.1.1).
  server.on('checkExpectation', answer)
  server.on('clientError', (error: NodeJS.ErrnoException, socket) => {
    if (!socket.writable || error.code === 'ECONNRESET' || answering.has(socket)) socket.destroy()
    else answerUnparsed(error.code ?? '', socket, newId(now()))
  })
}

/** @param code Node's word for what was wrong @param request the id that the answer is given */
function answerUnparsed(code: string, socket: Duplex, request: string): void {
  const [status, reason, word] = unparsed[code] ?? [400, 'Bad Request', 'invalid_request']
  const body = JSON.stringify({ error: word, message: 'The request could not be read.', request_id: request })
  const headers = {
    'Content-Type': 'application/json; charset=utf-8',
    'Content-Length': Buffer.byteLength(body),
    'Cache-Control': 'no-store',
    'X-Content-Type-Options': 'nosniff',
    'X-Request-Id': request,
    Connection: 'close',
  }
  const lines = Object.entries(headers).map(([name, value]) => `${name}: ${value}\r\n`)
  socket.end(`HTTP/1.1 ${status} ${reason}\r\n${lines.join('')}\r\n${body}`)
}

const unparsed: { readonly [code: string]: readonly [number, string, string] } = {
  HPE_HEADER_OVERFLOW: [431, 'Request Header Fields Too Large', 'too_large'],
  ERR_HTTP_REQUEST_TIMEOUT: [408, 'Request Timeout', 'request_timeout'],
}
