/** Runs a command where the book is: in the server over its socket, or here, opening the book itself. */
import { setTimeout as wait } from 'node:timers/promises'
import { FilterMalformed } from '../domain/search.ts'
import { BookInUse, BookUnreadable } from '../ledger/directory.ts'
import { newId } from '../ledger/ids.ts'
import { Ledger } from '../ledger/ledger.ts'
import { Refused } from '../ledger/refused.ts'
import { operator } from '../service/caller.ts'
import { refusals, sentence } from '../service/refusals.ts'
import { CommandFailed, type Group, InputError, type Line, type Run, type Tools } from './act.ts'
import * as audit from './audit.ts'
import * as backup from './backup.ts'
import * as client from './client.ts'
import type { Config } from './config.ts'
import * as doctor from './doctor.ts'
import * as key from './key.ts'
import { type Format, Printer } from './output.ts'
import { askServer, type Request } from './socket.ts'
import * as token from './token.ts'
import * as user from './user.ts'
import { version } from './version.ts'

/** Every file of commands that do something to the book. */
export const groups: readonly Group[] = [user, client, token, key, audit, backup, doctor]

/** Answers a request on a ledger. A refusal is told in its sentence. */
export async function* answer(ledger: Ledger, { act, input }: Request, signal: AbortSignal): AsyncGenerator<Line> {
  const run = groups.map(({ acts }) => (Object.hasOwn(acts, act) ? acts[act] : undefined)).find((found) => found)
  if (run === undefined) throw new Error(`this server does not know the command ${act}: is it of another version?`)
  const by = operator(newId(ledger.now()))
  try {
    yield* run(ledger, input, by, signal)
  } catch (error) {
    if (error instanceof InputError || error instanceof FilterMalformed) yield { fail: error.message }
    else if (error instanceof BookUnreadable) yield { fail: error.message, isPassing: true }
    else if (!(error instanceof Refused)) throw error
    else {
      const fail = error.detail ?? refusals[error.reason].operator ?? sentence(error.reason)
      yield error.reason === 'book_unavailable' ? { fail, isPassing: true } : { fail }
    }
  }
}

export const runner =
  (ask: Tools['ask'], format: () => Format): Run =>
  async (act, input, columns) => {
    const printer = new Printer(format(), columns)
    for await (const line of ask(act, input)) await printer.print(line)
    printer.end()
    if (printer.failed !== undefined) throw new CommandFailed(printer.failed)
  }

/** What the act of a request tells, wherever the book is. */
export async function* linesOf(config: Config, request: Request): AsyncGenerator<Line> {
  const found = await findBook(config, request)
  if (!(found instanceof Ledger)) {
    yield* found
    return
  }
  try {
    await settleClient(found, config)
    yield* answer(found, request, new AbortController().signal)
  } finally {
    await found.close()
  }
}

const settleClient = (ledger: Ledger, config: Config): Promise<void> =>
  client.settleClient(ledger, config, { onlyIfMissing: true })

/** How long to wait for a server that is about to start or to stop, and how often to look. ms */
const PATIENCE_MS = 3000
const LOOK_MS = 50

/** The answer of the server that holds the book, or the book itself. @throws {BookUnusable} */
async function findBook(config: Config, request: Request): Promise<AsyncGenerator<Line> | Ledger> {
  const options = { directory: config.DATA_DIR, clock: Date.now, version }
  const mustExist = !groups.some(({ begins }) => begins.includes(request.act))
  for (let waited = 0; ; waited += LOOK_MS) {
    const fromServer = await askServer(config.DATA_DIR, request)
    if (fromServer !== undefined) return fromServer
    try {
      return await Ledger.open(options, { mustExist })
    } catch (error) {
      if (!(error instanceof BookInUse) || waited >= PATIENCE_MS) throw error
    }
    await wait(LOOK_MS)
  }
}
