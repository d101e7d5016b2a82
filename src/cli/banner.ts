/** What a person sees when the server starts: where things are, and what is missing next. */
import { resolve } from 'node:path'
import { styleText } from 'node:util'
import { COMMAND } from '../http/assets.ts'
import { isLoopbackHost } from '../http/origin.ts'
import { type AuthMode, isForUsers } from '../service/policy.ts'
import type { Config } from './config.ts'
import { version } from './version.ts'

/** Wrong secrets do not hold up right ones, which may come from the same address: so a secret has to be long. */
const SHORT_SECRET = 24

const isOpen = (host: string): boolean => /^(0\.0\.0\.0|::|\[::\])$/.test(host)

const listensOn = ({ HOST: host, APP_PORT: port }: Config): string =>
  isOpen(host) ? `on every address, port ${port}` : `${host}:${port}`

/** What is wrong where Daybook can be opened from other machines, but says that it is at this one's own name. */
export const addressTrouble = ({ HOST: host, PUBLIC_URL: url }: Config): string | undefined =>
  isOpen(host) && isLoopbackHost(new URL(url).hostname)
    ? `Other machines can reach Daybook, but PUBLIC_URL is ${url}, which leads to this one only: set PUBLIC_URL to the address that people open`
    : undefined

/** What the banner tells of the book: how many apps are connected, how many callbacks wait, how many people have an account. */
export type Known = { readonly connections: number; readonly waiting: number; readonly people: number }

export function banner(config: Config, known: Known): string {
  const url = config.PUBLIC_URL
  const bold = (text: string): string => styleText('bold', text, { stream: process.stderr })
  const facts = [
    ['Book', config.DATA_DIR],
    ['Listens', listensOn(config)],
    ['Open', `${url}/`],
    ['Sign in', `${url}/login`],
    ['MCP', `${url}/mcp`],
    ['Manifest', `${url}/.well-known/ai-plugin.json`],
    ['OpenAPI', `${url}/openapi.yaml`],
  ] as const
  const lines = ['', bold(`Daybook ${version}`), ...facts.map(([name, value]) => `  ${name.padEnd(10)}${value}`)]
  const missing = missingNext(config, known)
  if (missing.length > 0) lines.push('', bold('Next'), ...missing.map((text) => `  ${text}`))
  return `${lines.join('\n')}\n\n`
}

/** A command as it reaches this very book, whoever pastes it where. */
const commandFor = ({ DATA_DIR: directory }: Config): string =>
  directory === resolve('data') ? COMMAND : `DATA_DIR='${directory.replaceAll("'", `'\\''`)}' ${COMMAND}`

function missingNext(config: Config, known: Known): string[] {
  const missing: string[] = []
  const command = commandFor(config)
  if (known.people === 0 && config.SIGNUP === 'closed' && isForUsers(config.AUTH_MODE))
    missing.push(`Nobody has an account, and sign-up is closed: ${command} user add NAME --admin`)
  const trouble = addressTrouble(config)
  if (trouble !== undefined) missing.push(trouble)
  if (config.PUBLIC_URL.startsWith('http:') && config.AUTH_MODE !== 'none')
    missing.push(
      `Assistants in a cloud, such as ChatGPT, need https: put a proxy in front and set PUBLIC_URL (now ${config.PUBLIC_URL})`,
    )
  missing.push(...missingFor[config.AUTH_MODE](known, command, config.PUBLIC_URL))
  if ((config.OPENAI_CLIENT_SECRET?.length ?? SHORT_SECRET) < SHORT_SECRET)
    missing.push('OPENAI_CLIENT_SECRET is short: it can be guessed. Use 32 random characters, or let Daybook make one')
  return missing
}

const missingFor: { readonly [M in AuthMode]: (known: Known, command: string, url: string) => string[] } = {
  oauth: ({ connections, waiting }, command, url) => [
    ...(connections === 0 ? [`Connect an assistant: give it ${url}/mcp (docs/connect says how)`] : []),
    ...(waiting === 0
      ? []
      : [
          `${waiting === 1 ? 'A callback waits' : `${waiting} callbacks wait`} to be allowed: ${command} client show chatgpt`,
        ]),
  ],
  user_http: (_, command) => [
    `Give your assistant an API key of yours: ${command} key add NAME --label L, or sign in and make one`,
  ],
  service_http: (_, command) => [`Give your assistant the service token: ${command} service-token show`],
  none: () => ['AUTH_MODE=none: ANYBODY WHO REACHES THIS ADDRESS CAN READ AND CHANGE EVERY LIST'],
}
