/** `daybook serve`: wires book, app and socket together, and drains on SIGTERM. */
import { once } from 'node:events'
import { fstatSync, writeSync } from 'node:fs'
import type { Server } from 'node:http'
import { setTimeout as wait } from 'node:timers/promises'
import pino, { type Logger } from 'pino'
import pretty from 'pino-pretty'
import { CHATGPT } from '../domain/clients.ts'
import { createApp } from '../http/app.ts'
import { loadMcp } from '../http/mcp/route.ts'
import { proxyList } from '../http/origin.ts'
import { attach, createHttpServer } from '../http/server.ts'
import type { Settings } from '../http/settings.ts'
import { Ledger } from '../ledger/ledger.ts'
import { LIMITS, type LimitName, type LimitSettings } from '../service/limits.ts'
import { addressTrouble, banner } from './banner.ts'
import { settleClient } from './client.ts'
import { type Config, type LimitSetting, UsageError } from './config.ts'
import { settleServiceToken } from './key.ts'
import { answer } from './run.ts'
import { listenForCommands } from './socket.ts'
import { version } from './version.ts'

/** How long a draining server waits for what still runs. */
const DRAIN_MS = 10_000
/** With the time that a request may take to arrive, less than the 45 s that ChatGPT waits. */
const DEADLINE_MS = 20_000
/** How often what has expired is dropped from memory. */
const SWEEP_MS = 300_000
/** How often it is tried to take erased keys off the disk that were being read by somebody. */
const PURGE_MS = 10_000
/** How often the head is logged: logs that are kept elsewhere then show a book that was rewritten. */
const HEAD_MS = 3_600_000

/** Serves until SIGTERM or SIGINT, then finishes what runs. A second signal ends it at once. */
export async function serve(config: Config): Promise<void> {
  const log = createLog(config)
  const onStatus: NonNullable<Parameters<typeof Ledger.open>[0]['onStatus']> = (status) =>
    status.writable
      ? log.warn('the book can be written again')
      : log.error(status, 'the book cannot be written: read-only')
  const directory = config.DATA_DIR
  const ledger = await Ledger.open({ directory, clock: Date.now, version, onStatus })
  try {
    await settleClient(ledger, config)
    await settleServiceToken(ledger, config)
    await ledger.purge()
    const stopping = new AbortController()
    const deps = { ledger, settings: settingsOf(config), log, stopping: stopping.signal }
    const server = createHttpServer()
    attach(server, createApp(deps, proxyList(config.TRUST_PROXY)), () => ledger.now())
    const commands = await listenForCommands(directory, (request, signal) => answer(ledger, request, signal))
    try {
      await listen(server, config)
      // Only now: a start that fails on its port opens nothing, however often it is tried.
      await ledger.announce()
      log.info(
        { version, listens: `${config.HOST}:${config.APP_PORT}`, publicUrl: config.PUBLIC_URL, head: ledger.head },
        'serving',
      )
      const trouble = addressTrouble(config)
      if (trouble !== undefined) log.warn(trouble)
      if (config.AUTH_MODE === 'none')
        log.warn('AUTH_MODE=none: whoever reaches this address can read and change every list')
      const known = await ledger.read(({ grants, waiting, users }) => ({
        connections: grants.size,
        waiting: waiting.countBy('client', CHATGPT),
        people: users.size,
      }))
      process.stderr.write(banner(config, known))
      // Now that it serves, so that no start and no other command waits for it. The first request tells of a failure.
      void loadMcp().catch(() => {})
      await untilToldToStop(log, ledger)
      stopping.abort()
      await drain(server)
    } finally {
      commands.close()
    }
    log.info({ head: ledger.head }, 'stopped')
  } finally {
    await ledger.close()
    await flushLog()
  }
}

/** What the wire side needs of the settings. */
export const settingsOf = (config: Config): Settings => ({
  authMode: config.AUTH_MODE,
  publicUrl: config.PUBLIC_URL,
  version,
  contactEmail: config.CONTACT_EMAIL,
  verificationToken: config.OPENAI_VERIFICATION_TOKEN,
  corsOrigins: config.CORS_ORIGINS,
  signup: config.SIGNUP,
  clientRegistration: config.CLIENT_REGISTRATION,
  maxOpenTodos: config.MAX_OPEN_TODOS,
  maxListSize: config.MAX_LIST_SIZE,
  maxListsSize: config.MAX_LISTS_SIZE,
  codeTtlMs: config.CODE_TTL,
  accessTtlMs: config.ACCESS_TTL,
  refreshIdleTtlMs: config.REFRESH_IDLE_TTL,
  refreshMaxTtlMs: config.REFRESH_MAX_TTL,
  sessionTtlMs: config.SESSION_TTL,
  deadlineMs: DEADLINE_MS,
  limits: config.RATE_LIMIT === 'off' ? undefined : limitsOf(config),
})

const limitsOf = (config: Config): LimitSettings =>
  Object.fromEntries(
    (Object.keys(LIMITS) as LimitName[]).map((name) => [name, config[`LIMIT_${name.toUpperCase()}` as LimitSetting]]),
  ) as LimitSettings

/** JSON lines on stdout; on a terminal, lines for people. */
function createLog({ LOG_LEVEL: level }: Config): Logger {
  if (!process.stdout.isTTY) return pino({ level }, isFile(1) ? lineWriter(1) : pipeWriter())
  const options = { sync: true, singleLine: true, translateTime: 'SYS:HH:MM:ss', messageFormat: sayRequest }
  return pino({ level }, pretty({ ...options, ignore: 'pid,hostname,method,path,status,ms' }))
}

/** What a reader that does not read may keep waiting. bytes */
const MOST_WAITING = 1_000_000

/** Writes lines into a pipe or socket, in whose reader's time; what would wait too long in memory is lost, and told. */
function pipeWriter(): { write(line: string): void } {
  let lost = 0
  return {
    write(line) {
      if (process.stdout.writableLength > MOST_WAITING) lost++
      else {
        if (lost > 0) process.stdout.write(lostLines(lost))
        lost = 0
        process.stdout.write(line)
      }
    },
  }
}

const lostLines = (lost: number): string =>
  `${JSON.stringify({ level: 40, time: Date.now(), lost, msg: 'lines of the log were lost' })}\n`

/** The last lines of the log, as far as somebody reads them: a reader that does not holds no end up. */
async function flushLog(): Promise<void> {
  const until = Date.now() + 1000
  while (process.stdout.writableLength > 0 && Date.now() < until) await wait(20)
  if (process.stdout.writableLength > 0) process.stdout.destroy()
}

/** A file or device takes a line or refuses it; a pipe or socket may take its time, and Node sees to that. */
const isFile = (descriptor: number): boolean => {
  const stats = fstatSync(descriptor)
  return stats.isFile() || stats.isCharacterDevice()
}

/** Writes lines as they come. One that cannot be written, as on a full disk, is lost, and nothing else is: that is told. */
function lineWriter(descriptor: number): { write(line: string): void } {
  let lost = 0
  let isMidLine = false
  const put = (line: string): void => {
    const bytes = Buffer.from(isMidLine ? `\n${line}` : line)
    for (let at = 0; at < bytes.length; isMidLine = at < bytes.length) at += writeSync(descriptor, bytes, at)
  }
  return {
    write(line) {
      try {
        if (lost > 0) put(lostLines(lost))
        lost = 0
        put(line)
      } catch {
        lost++
      }
    },
  }
}

/** A request as one line for people. */
const sayRequest = (log: { [member: string]: unknown }): string =>
  log.msg === 'request' ? `${log.method} ${log.path} ${log.status} (${log.ms} ms)` : String(log.msg)

async function listen(server: Server, { APP_PORT: port, HOST: host }: Config): Promise<void> {
  server.listen(port, host)
  try {
    await once(server, 'listening')
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException
    if (code === 'EACCES')
      throw new UsageError(
        `APP_PORT: the system does not let this user listen on port ${port}: choose one above 1023, such as 8085`,
      )
    if (code === 'EADDRINUSE') throw new UsageError(`APP_PORT: port ${port} on ${host} is in use by another program`)
    if (code === 'EADDRNOTAVAIL' || code === 'ENOTFOUND')
      throw new UsageError(`HOST: ${host} is no address of this machine`)
    throw error
  }
}

/** Waits for a signal to stop; until then, reads the book back, and lets go of what has expired. */
async function untilToldToStop(log: Logger, ledger: Ledger): Promise<void> {
  const stopped = new AbortController()
  void ledger.scrub.run(stopped.signal)
  const sweeper = setInterval(() => {
    ledger.sweep().catch((error: Error) => log.error({ err: error }, 'the sweep failed'))
  }, SWEEP_MS)
  const purger = setInterval(() => {
    ledger.purge().catch((error: Error) => log.error({ err: error }, 'the purge failed'))
  }, PURGE_MS)
  const noter = setInterval(() => log.info({ head: ledger.head }, 'head'), HEAD_MS)
  const signal = await new Promise<string>((resolve) => {
    for (const name of ['SIGTERM', 'SIGINT'] as const) process.once(name, () => resolve(name))
  })
  // Nothing catches the next one: it ends the process as it would any other.
  process.removeAllListeners('SIGTERM')
  process.removeAllListeners('SIGINT')
  clearInterval(sweeper)
  clearInterval(purger)
  clearInterval(noter)
  stopped.abort()
  log.info({ signal }, 'finishing what runs; another signal ends it at once')
}

/** Takes no more connections, lets running requests end, and cuts what is still there after ten seconds. */
async function drain(server: Server): Promise<void> {
  const closed = new Promise<void>((resolve) => server.close(() => resolve()))
  server.closeIdleConnections()
  const late = setTimeout(() => server.closeAllConnections(), DRAIN_MS)
  await closed
  clearTimeout(late)
}
