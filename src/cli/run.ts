/** Runs a command where the book is: in the server over its socket, or here, opening the book itself. */

import { sentence } from '../http/errors.ts'
import { newId } from '../ledger/ids.ts'
import { type By, Ledger, Refused } from '../ledger/ledger.ts'
import type { Act, Input, Line } from './act.ts'
import { auditActs } from './audit.ts'
import { clientActs, settleClient } from './client.ts'
import type { Config } from './config.ts'
import { type Columns, type Format, Printer } from './output.ts'
import { askServer, type Request } from './socket.ts'
import { userActs } from './user.ts'
import { version } from './version.ts'

const acts: { readonly [name: string]: Act } = { ...userActs, ...clientActs, ...auditActs }

/** What may begin a book. Anything else would speak of one that it has just made. */
const BEGIN = ['user add', 'client add', 'client show', 'client allow']

/** Runs an act and prints what it tells. @throws {CommandFailed} when it was refused or failed */
export type Run = (act: string, input: Input, columns?: Columns) => Promise<void>

/** The command was refused or failed, and has said so. Exit 1. */
export class CommandFailed extends Error {
  override name = 'CommandFailed'
}

/** Answers a request on a ledger. A refusal is told in its sentence. */
export async function* answer(ledger: Ledger, { act, input }: Request): AsyncGenerator<Line> {
  const run = Object.hasOwn(acts, act) ? acts[act] : undefined
  if (run === undefined) throw new Error(`this server does not know the command ${act}: is it of another version?`)
  const by: By = { actor: { kind: 'operator', id: 'cli' }, via: { request: newId(ledger.now()) } }
  try {
    yield* run(ledger, input, by)
  } catch (error) {
    if (error instanceof TypeError) yield { fail: error.message }
    else if (!(error instanceof Refused)) throw error
    else yield { fail: error.message === error.reason ? sentence(error.reason) : error.message }
  }
}

export const runner =
  (readSettings: () => Config, format: () => Format): Run =>
  async (act, input, columns) => {
    const printer = new Printer(format(), columns)
    for await (const line of linesOf(readSettings(), { act, input })) printer.print(line)
    printer.end()
    if (printer.failed !== undefined) throw new CommandFailed(printer.failed)
  }

async function* linesOf(config: Config, request: Request): AsyncGenerator<Line> {
  const fromServer = await askServer(config.DATA_DIR, request)
  if (fromServer !== undefined) {
    yield* fromServer
    return
  }
  const options = { directory: config.DATA_DIR, clock: Date.now, version }
  const ledger = await Ledger.open(options, { mustExist: !BEGIN.includes(request.act) })
  try {
    await settleClient(ledger, config, { onlyIfMissing: true })
    yield* answer(ledger, request)
  } finally {
    await ledger.close()
  }
}
