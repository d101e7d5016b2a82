/** The socket in the data directory: the command line's way to the server that holds the book. */
import { chmodSync, closeSync, existsSync, openSync, rmSync } from 'node:fs'
import { connect, createServer, type Server, type Socket } from 'node:net'
import { join } from 'node:path'
import { CommandFailed, END, type Input, type Line } from './act.ts'
import { drained } from './output.ts'

const NAME = 'daybook.sock'
/** A password, a few callbacks: nothing a command sends is longer. */
const MAX_REQUEST_CHARACTERS = 100_000
/** How long a request may take to arrive. */
const REQUEST_MS = 5000
/** `sun_path` holds 107 bytes and a zero. */
const MAX_PATH_BYTES = 107

/** The socket's path, shortened through the directory's own descriptor where it is too long for the system. */
function socketPath(directory: string): { readonly path: string; readonly close: () => void } {
  const path = join(directory, NAME)
  if (Buffer.byteLength(path) <= MAX_PATH_BYTES || process.platform !== 'linux') return { path, close: () => {} }
  const descriptor = openSync(directory, 'r')
  return { path: `/proc/self/fd/${descriptor}/${NAME}`, close: () => closeSync(descriptor) }
}

/** An answer that ends before its end: the server has gone. */
export class AnswerCut extends CommandFailed {
  override name = 'AnswerCut'
}

/** Answers a request. `signal`: whoever asked has gone. */
type Answer = (request: Request, signal: AbortSignal) => AsyncGenerator<Line>

export type Request = { readonly act: string; readonly input: Input }

/**
 * Answers commands while the server runs: one request a connection, a line of JSON; the answer is lines of JSON.
 * Whoever holds the book may take the place of a socket that somebody left behind.
 * @throws {CommandFailed} when something else is in its place
 */
export async function listenForCommands(directory: string, answer: Answer): Promise<Server> {
  try {
    rmSync(join(directory, NAME), { force: true })
  } catch (error) {
    throw new CommandFailed(`${join(directory, NAME)} is in the way: ${(error as Error).message}`)
  }
  const server = createServer((socket) => {
    socket.on('error', () => socket.destroy()) // The other side went away: there is nobody to tell.
    serveOne(socket, answer).catch((error: Error) =>
      socket.end(`${JSON.stringify({ fail: error.message })}\n${JSON.stringify(END)}\n`, () => socket.destroy()),
    )
  })
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject)
    // Its descriptor stays open: the server takes its socket away by this path when it closes.
    server.listen(socketPath(directory).path, resolve)
  })
  chmodSync(join(directory, NAME), 0o600)
  return server
}

async function serveOne(socket: Socket, answer: Answer): Promise<void> {
  const gone = new AbortController()
  socket.once('close', () => gone.abort())
  for await (const line of answer(parseRequest(await firstLine(socket)), gone.signal)) {
    if (socket.destroyed) return
    if (!socket.write(`${JSON.stringify(line)}\n`)) await drained(socket)
  }
  socket.end(`${JSON.stringify(END)}\n`)
}

/** What comes after the line is left unread. */
async function firstLine(socket: Socket): Promise<string> {
  socket.setEncoding('utf8')
  socket.setTimeout(REQUEST_MS, () => socket.destroy())
  let text = ''
  for await (const part of socket.iterator({ destroyOnReturn: false })) {
    const end = (part as string).indexOf('\n')
    text += end < 0 ? part : (part as string).slice(0, end)
    if (text.length > MAX_REQUEST_CHARACTERS) throw new Error('the request is too long')
    if (end < 0) continue
    socket.setTimeout(0)
    return text
  }
  throw new Error('the request ended early')
}

function parseRequest(text: string): Request {
  try {
    const request = JSON.parse(text)
    if (typeof request.act === 'string' && typeof request.input === 'object' && request.input !== null) return request
  } catch {
    // Falls through: what is no JSON is no request either.
  }
  throw new Error('this is not a request of the command line')
}

/** Sends a request to the server that holds the book in `directory`; `undefined` when none is there. */
export async function askServer(directory: string, request: Request): Promise<AsyncGenerator<Line> | undefined> {
  if (!existsSync(join(directory, NAME))) return undefined
  const { path, close } = socketPath(directory)
  const socket = connect(path)
  const isThere = await new Promise<boolean>((resolve, reject) => {
    socket.once('connect', () => resolve(true))
    socket.once('error', (error: NodeJS.ErrnoException) =>
      // A server that was killed leaves its socket behind, refusing; one that is about to stop resets.
      ['ECONNREFUSED', 'ENOENT', 'ECONNRESET'].includes(String(error.code)) ? resolve(false) : reject(error),
    )
  })
  close()
  if (!isThere) return undefined
  socket.write(`${JSON.stringify(request)}\n`)
  return answers(socket)
}

/**
 * Lines end with a line feed and nothing else: Unicode's other separators may stand in a text.
 * @throws {AnswerCut}
 */
async function* answers(socket: Socket): AsyncGenerator<Line> {
  socket.setEncoding('utf8')
  let rest = ''
  try {
    for await (const part of socket) {
      const lines = `${rest}${part}`.split('\n')
      rest = lines.pop()!
      for (const line of lines) {
        const said = JSON.parse(line)
        if (said.end === true) return
        yield said
      }
    }
  } catch {
    // Falls through: a connection that broke, or half a line, is an answer that was cut off.
  }
  throw new AnswerCut('the server went away before it had answered: it is not known whether this was done')
}
