/** The settings: flag > environment > file > default. Settings are read from `process.env` here and nowhere else. */
import { readFileSync, statSync } from 'node:fs'
import { resolve } from 'node:path'
import { parseEnv } from 'node:util'
import { z } from 'zod'
import { isRedirectUri } from '../domain/redirects.ts'
import { isEmail } from '../domain/users.ts'
import { proxyList } from '../http/origin.ts'
import { LIMITS } from '../service/limits.ts'
import { AUTH_MODES } from '../service/policy.ts'

/** Something the caller has to put right before anything can be done. Exit 2. */
export class UsageError extends Error {
  override name = 'UsageError'
}

const UNITS = { s: 1000, m: 60_000, h: 3_600_000, d: 86_400_000 } as const
const duration = z
  .string()
  .regex(/^[1-9]\d{0,5}[smhd]$/, 'must be a duration such as 60s, 15m, 1h or 30d')
  .transform((text) => Number(text.slice(0, -1)) * UNITS[text.slice(-1) as keyof typeof UNITS])
const SIZES = { kB: 1000, MB: 1000_000, GB: 1000_000_000 } as const
const size = z
  .string()
  .regex(/^[1-9]\d{0,5}[kMG]B$/, 'must be a size such as 500kB, 4MB or 1GB')
  .transform((text) => Number(text.slice(0, -2)) * SIZES[text.slice(-2) as keyof typeof SIZES])
const list = z.string().transform((text) =>
  text
    .split(',')
    .map((part) => part.trim())
    .filter((part) => part !== ''),
)
const listOf = (isRight: (part: string) => boolean, wanted: string) =>
  list.superRefine((parts, context) => {
    for (const part of parts) if (!isRight(part)) context.addIssue({ code: 'custom', message: `"${part}" ${wanted}` })
  })

const isOrigin = (text: string): boolean =>
  URL.canParse(text) && /^https?:$/.test(new URL(text).protocol) && new URL(text).origin === text.replace(/\/$/, '')

/** As `isOrigin`, but upper case and the default port of the scheme are allowed: the parsed URL must be an origin. */
const meansOrigin = (text: string): boolean =>
  /^https?:\/\/[^/?#@\\\s]+\/?$/i.test(text) && URL.canParse(text) && isOrigin(new URL(text).origin)

const isProxy = (range: string): boolean => {
  try {
    proxyList([range])
    return true
  } catch {
    return false
  }
}

const isDirectoryOrFree = (path: string): boolean => {
  try {
    return statSync(path, { throwIfNoEntry: false })?.isDirectory() ?? true
  } catch {
    return false
  }
}

/** So many in a while: `10/15m`. */
const limit = <T extends string>(fallback: T, what: string) => ({
  read: z
    .string()
    .regex(/^[1-9]\d{0,6}\/[1-9]\d{0,5}[smhd]$/, 'must be a number and a duration such as 10/15m')
    .transform((text) => {
      const [most = '', window = ''] = text.split('/')
      return { most: Number(most), windowMs: duration.parse(window) }
    })
    // No timer runs longer.
    .refine(({ windowMs }) => windowMs <= 24 * UNITS.d, 'must have a window of at most 24d'),
  default: fallback,
  help: `most ${what}`,
})

const LOG_LEVELS = ['trace', 'debug', 'info', 'warn', 'error', 'fatal', 'silent'] as const

const visible = z.string().regex(/^[\x21-\x7e]{1,512}$/, 'must be 1 to 512 visible ASCII characters')

/** Every setting there is: how its text is read, what holds where none is given, and what it means. */
const SETTINGS = {
  APP_PORT: {
    read: z
      .string()
      .regex(/^[1-9]\d{0,4}$/, 'must be a port from 1 to 65535')
      .transform(Number)
      .refine((port) => port <= 65_535, 'must be a port from 1 to 65535'),
    default: '85',
    help: 'the port to listen on',
  },
  HOST: { read: z.string().min(1), default: '127.0.0.1', help: 'the address to listen on' },
  PUBLIC_URL: {
    read: z
      .string()
      .refine(meansOrigin, 'must be an http or https origin without a path, such as https://todo.example.org')
      .transform((text) => new URL(text).origin),
    default: undefined,
    help: 'the origin that people and ChatGPT reach it at',
  },
  DATA_DIR: {
    read: z
      .string()
      .refine(isDirectoryOrFree, 'must be a directory')
      .transform((path) => resolve(path)),
    default: './data',
    help: 'where the book is kept',
  },
  AUTH_MODE: {
    read: z.enum(AUTH_MODES, `must be one of ${AUTH_MODES.join(', ')}`),
    default: 'oauth',
    help: 'how ChatGPT authenticates',
  },
  SERVICE_TOKEN: {
    read: z
      .string()
      .regex(/^[A-Za-z0-9._~+/-]{16,512}=*$/, 'must be 16 or more letters, digits, or any of . _ ~ + / -'),
    default: undefined,
    isSecret: true,
    help: 'the bearer of AUTH_MODE=service_http',
  },
  OPENAI_CLIENT_ID: {
    read: visible.regex(/^[^:]*$/, 'must not contain a colon'),
    default: undefined,
    help: 'the client ID of ChatGPT',
  },
  OPENAI_CLIENT_SECRET: {
    read: visible.min(8, 'must have at least 8 characters'),
    default: undefined,
    isSecret: true,
    help: 'the client secret of ChatGPT',
  },
  OPENAI_VERIFICATION_TOKEN: {
    read: z.string().min(1).max(512),
    default: undefined,
    isSecret: true,
    help: 'the token that ChatGPT wants to see in the manifest',
  },
  OPENAI_REDIRECT_URIS: {
    read: listOf((uri) => isRedirectUri(uri, false), 'is not a callback: an absolute https URL without fragment'),
    default: '',
    help: 'callbacks allowed for ChatGPT, comma-separated',
  },
  SIGNUP: {
    read: z.enum(['open', 'closed'], 'must be "open" or "closed"'),
    default: 'open',
    help: 'may strangers create accounts?',
  },
  CLIENT_REGISTRATION: {
    read: z.enum(['on', 'off'], 'must be "on" or "off"'),
    default: 'on',
    help: 'may apps register themselves, or name themselves by a document?',
  },
  CODE_TTL: { read: duration, default: '60s', help: 'how long a code holds' },
  ACCESS_TTL: { read: duration, default: '1h', help: 'how long an access token holds' },
  REFRESH_IDLE_TTL: { read: duration, default: '30d', help: 'how long an unused refresh token holds' },
  REFRESH_MAX_TTL: { read: duration, default: '90d', help: 'how long a connection holds at most' },
  SESSION_TTL: { read: duration, default: '14d', help: 'how long a browser stays signed in' },
  RATE_LIMIT: {
    read: z.enum(['on', 'off'], 'must be "on" or "off"'),
    default: 'on',
    help: 'whether the limits below hold',
  },
  LIMIT_SIGN_IN: limit('10/15m', LIMITS.sign_in),
  LIMIT_SIGN_IN_ADDRESS: limit('100/15m', LIMITS.sign_in_address),
  LIMIT_SIGN_UP: limit('20/1h', LIMITS.sign_up),
  LIMIT_SIGN_UPS: limit('100/1d', LIMITS.sign_ups),
  LIMIT_ACCOUNT: limit('120/1h', LIMITS.account),
  LIMIT_CONSENT: limit('120/1h', LIMITS.consent),
  LIMIT_AUTHORIZE: limit('120/1m', LIMITS.authorize),
  LIMIT_WAITING: limit('10/1d', LIMITS.waiting),
  LIMIT_REGISTER: limit('20/1h', LIMITS.register),
  LIMIT_TOKEN: limit('600/1m', LIMITS.token),
  LIMIT_REFRESH: limit('300/1h', LIMITS.refresh),
  LIMIT_FAILED: limit('60/1m', LIMITS.failed),
  LIMIT_API: limit('600/1m', LIMITS.api),
  LIMIT_WRITE: limit('10000/1d', LIMITS.write),
  MAX_LIST_SIZE: { read: size, default: '4MB', help: 'memory that the open and done to-dos of a list may take' },
  MAX_LISTS_SIZE: { read: size, default: '256MB', help: 'memory that all to-dos may take' },
  MAX_OPEN_TODOS: {
    read: z
      .string()
      .regex(/^[1-9]\d{0,5}$/, 'must be a whole number from 1 to 999999')
      .transform(Number),
    default: '1000',
    help: 'open to-dos that a list may hold',
  },
  TRUST_PROXY: {
    read: listOf(isProxy, 'is neither an address nor a CIDR'),
    default: '',
    help: 'proxies whose X-Forwarded-For is believed',
  },
  CORS_ORIGINS: {
    read: listOf((part) => isOrigin(part) && !part.endsWith('/'), 'is not an origin such as https://chatgpt.com'),
    default: 'https://chat.openai.com,https://chatgpt.com',
    help: 'origins that may read the documents and the API',
  },
  CONTACT_EMAIL: {
    read: z.string().refine(isEmail, 'must be an e-mail address'),
    default: undefined,
    help: 'whom the manifest and the legal page name',
  },
  LOG_LEVEL: {
    read: z.enum(LOG_LEVELS, `must be one of ${LOG_LEVELS.join(', ')}`),
    default: 'info',
    help: 'what the log shows',
  },
} as const satisfies {
  [name: string]: { read: z.ZodType; default: string | undefined; help: string; isSecret?: true }
}

export type SettingName = keyof typeof SETTINGS
export type LimitSetting = Extract<SettingName, `LIMIT_${string}`>
export const SETTING_NAMES = Object.keys(SETTINGS) as SettingName[]
type Values = { [N in SettingName]: z.output<(typeof SETTINGS)[N]['read']> }
/** Settings that need not be given stay `undefined`; `PUBLIC_URL` and `CONTACT_EMAIL` follow from others. */
type Optional = 'SERVICE_TOKEN' | 'OPENAI_CLIENT_ID' | 'OPENAI_CLIENT_SECRET' | 'OPENAI_VERIFICATION_TOKEN'
export type Config = { readonly [N in SettingName]: N extends Optional ? Values[N] | undefined : Values[N] }

export type Source = 'flag' | 'environment' | 'file' | 'default'
/** `value` is `null` where there is none, and `(set)` for a secret. */
export type Origin = { readonly name: SettingName; readonly value: string | null; readonly source: Source }

export const helpOf = (name: SettingName): string => {
  const { help, default: fallback } = SETTINGS[name]
  return fallback ? `${help} (default ${fallback})` : help
}
export const isSecret = (name: SettingName): boolean => 'isSecret' in SETTINGS[name]
/** The flag of a setting: `APP_PORT` is `--app-port`. */
export const flagOf = (name: SettingName): string => `--${name.toLowerCase().replaceAll('_', '-')}`

type Given = { readonly [name: string]: string | undefined }

/**
 * The effective settings, and where each came from.
 * @param flags by setting name @param file a `.env`-style file
 * @throws {UsageError} that names the setting
 */
export function readConfig(
  flags: Given,
  file: string | undefined,
  env: Given = process.env,
): { config: Config; origins: Origin[] } {
  const fromFile = file === undefined ? {} : readSettingsFile(file)
  for (const name of Object.keys(env)) if (name.startsWith('DAYBOOK_')) throw new UsageError(unknownSetting(name))
  const sources: [Source, Given][] = [
    ['flag', flags],
    ['environment', env],
    ['file', fromFile],
  ]
  const values: { [name: string]: unknown } = {}
  const origins: Origin[] = []
  for (const name of SETTING_NAMES) {
    const [text, source] = find(name, sources) ?? [fallback(name, values), 'default' as const]
    if (text === undefined) {
      origins.push({ name, value: null, source: 'default' })
      continue
    }
    const read = (SETTINGS[name].read as z.ZodType).safeParse(text)
    if (!read.success) {
      const { message } = read.error.issues[0]!
      const isTold = isSecret(name) || message.startsWith('"')
      throw new UsageError(`${name}: ${message}${isTold ? '' : ` (it is "${text}")`}`)
    }
    values[name] = read.data
    origins.push({ name, value: isSecret(name) ? '(set)' : text || null, source })
  }
  return { config: values as Config, origins }
}

function fallback(name: SettingName, values: { readonly [name: string]: unknown }): string | undefined {
  if (name === 'PUBLIC_URL') return `http://localhost:${values.APP_PORT}`
  if (name === 'CONTACT_EMAIL') return `postmaster@${new URL(String(values.PUBLIC_URL)).hostname}`
  return SETTINGS[name].default
}

/** Every secret `X` can be given as `X_FILE`. An empty value is no value. */
function find(name: SettingName, sources: readonly [Source, Given][]): [string, Source] | undefined {
  for (const [source, given] of sources) {
    const value = given[name] || undefined
    const path = isSecret(name) ? given[`${name}_FILE`] || undefined : undefined
    if (value !== undefined && path !== undefined)
      throw new UsageError(`${name} and ${name}_FILE are both given: give one of them`)
    if (value !== undefined) return [value, source]
    if (path !== undefined) return [readText(path, `${name}_FILE`).replace(/\r?\n$/, ''), source]
  }
  return undefined
}

function readSettingsFile(file: string): Given {
  const text = readText(file, '--config')
  // What is no setting must not be passed over: it may be the line that closes sign-up.
  for (const [i, line] of text.split('\n').entries())
    if (!/^\s*(#.*|(export\s+)?[A-Za-z_]\w*\s*=.*)?$/.test(line.trimEnd()))
      throw new UsageError(`--config: line ${i + 1} of ${file} is not of the form NAME=value`)
  const given = parseEnv(text) as Given
  const known = new Set<string>(SETTING_NAMES.flatMap((name) => (isSecret(name) ? [name, `${name}_FILE`] : [name])))
  for (const name of Object.keys(given))
    if (!known.has(name)) throw new UsageError(`${unknownSetting(name)} (in ${file})`)
  return given
}

function unknownSetting(name: string): string {
  const meant = name.replace(/^DAYBOOK_/, '')
  return meant !== name && Object.hasOwn(SETTINGS, meant)
    ? `${name} is not a setting: it is called ${meant}`
    : `${name} is not a setting`
}

/** @param named how the file was named, for the message */
export function readText(path: string, named: string): string {
  try {
    return readFileSync(path, 'utf8')
  } catch (error) {
    const { code, message } = error as NodeJS.ErrnoException
    throw new UsageError(`${named}: ${code === 'ENOENT' ? `there is no file ${path}` : message}`)
  }
}
