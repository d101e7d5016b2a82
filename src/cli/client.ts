/** `daybook client …`: the programs that may ask for a grant, and where they may be answered. */
import { type Command, Option } from 'commander'
import { type Client, GRANT_TYPES, isPublic } from '../domain/clients.ts'
import { COMMAND } from '../http/assets.ts'
import type { Ledger } from '../ledger/ledger.ts'
import { Refused } from '../ledger/refused.ts'
import { type App, type Apps, vouchingFor } from '../service/apps.ts'
import { daybook } from '../service/caller.ts'
import { operatorServices } from '../service/services.ts'
import { type Act, InputError, type Row, type Tools, textOf, textsOf } from './act.ts'
import { type Config, UsageError } from './config.ts'

const appsOf = (ledger: Ledger): Apps => operatorServices(ledger).apps

export const acts: { readonly [name: string]: Act } = {
  async *'client list'(ledger, _input, by) {
    for (const app of await appsOf(ledger).list(by)) yield { row: rowOf(app) }
  },

  async *'client show'(ledger, input, by) {
    const { secret, ...app } = await appsOf(ledger).show(by, textOf(input, 'id'))
    yield { row: { ...rowOf(app), secret: secret ?? null } }
    if (secret === undefined) yield { say: whereSecretIs(app.client) }
    for (const { uri, askedAt, trace } of app.waiting) {
      const from = trace?.open?.ip === undefined ? '' : ` from ${trace.open.ip}`
      const allow = `${COMMAND} client allow ${app.client.id} '${uri}'`
      yield {
        say: `Asked for at ${askedAt}${from}. Anybody can ask: allow it if ChatGPT shows you just this:\n  ${allow}`,
      }
    }
  },

  async *'client add'(ledger, input, by) {
    const [name, redirects] = [textOf(input, 'name'), textsOf(input, 'redirects')]
    const asked = textsOf(input, 'grantTypes')
    const grantTypes = GRANT_TYPES.filter((type) => asked.includes(type))
    if (grantTypes.length === 0 || asked.length !== grantTypes.length)
      throw new InputError(`grantTypes may be any of: ${GRANT_TYPES.join(', ')}`)
    const added = { name, redirects, grantTypes, isPublic: input.isPublic === true }
    const { clientId, secret } = await appsOf(ledger).add(by, added)
    yield { row: secret === undefined ? { client_id: clientId } : { client_id: clientId, secret } }
    yield {
      say:
        secret === undefined
          ? 'A public client has no secret: it proves itself with PKCE, and people are asked each time.'
          : 'The secret is shown this once; Daybook keeps only its digest.',
    }
  },

  async *'client allow'(ledger, input, by) {
    const [id, uri] = [textOf(input, 'id'), textOf(input, 'uri')]
    await appsOf(ledger).allowCallback(by, id, uri)
    yield { say: `${id} may be answered at ${uri}.` }
  },

  async *'client disallow'(ledger, input, by) {
    const [id, uri] = [textOf(input, 'id'), textOf(input, 'uri')]
    const was = await appsOf(ledger).withdrawCallback(by, id, uri)
    yield {
      say:
        was === 'waiting'
          ? `${uri} does not wait any more. If it is asked for again, it is back on the list.`
          : `${id} may not be answered at ${uri}. Connections that it has stay: token list USER shows them.`,
    }
  },

  async *'client remove'(ledger, input, by) {
    const { name } = await appsOf(ledger).remove(by, textOf(input, 'id'))
    yield { say: `${name} is removed: its codes and tokens have ended, and nobody can be asked in its name.` }
  },

  async *'client rotate-secret'(ledger, input, by) {
    const { clientId, secret } = await appsOf(ledger).rotateSecret(by, textOf(input, 'id'))
    yield { row: { client_id: clientId, secret } }
    yield { say: 'The old secret no longer works. Put the new one into the app.' }
  },
}

function rowOf({ client, waiting }: App): Row {
  const { id, clientId, name, redirects, grantTypes, registration, createdAt, usedAt, expiresAt } = client
  const vouching = vouchingFor(client)
  return {
    id,
    name,
    client_id: clientId,
    kind: isPublic(client) ? 'public' : 'confidential',
    registration,
    vouched_by: vouching.by === 'document' ? vouching.host : vouching.by,
    callbacks: redirects.map((redirect) => redirect.uri),
    waiting: waiting.map((asked) => asked.uri),
    grant_types: grantTypes,
    since: createdAt,
    last_connected: usedAt,
    expires: expiresAt === null ? null : new Date(expiresAt).toISOString(),
  }
}

/** Where to look for a secret that Daybook does not keep in plain text. */
function whereSecretIs(client: Client): string {
  if (client.secretFrom === 'settings') return 'The secret is the one in OPENAI_CLIENT_SECRET.'
  if (isPublic(client)) return 'A public client has no secret: it proves itself with PKCE.'
  return 'The secret was shown when it was made; rotate-secret makes a new one.'
}

/** The ChatGPT client as the settings say; made up where they say nothing. */
export async function settleClient(
  ledger: Ledger,
  config: Config,
  options?: { onlyIfMissing: boolean },
): Promise<void> {
  const given = {
    clientId: config.OPENAI_CLIENT_ID,
    secret: config.OPENAI_CLIENT_SECRET,
    redirects: config.OPENAI_REDIRECT_URIS,
  }
  try {
    await appsOf(ledger).settleChatGpt(daybook, given, options)
  } catch (error) {
    if (!(error instanceof Refused) || error.reason !== 'client_id_taken') throw error
    throw new UsageError(`OPENAI_CLIENT_ID: another client is called ${config.OPENAI_CLIENT_ID} already`)
  }
}

/** What may begin a book. */
export const begins = ['client add', 'client show', 'client allow']

export function addCommands(program: Command, { run }: Tools): void {
  const client = program
    .command('client')
    .description('apps: list, show, add, allow or disallow a callback, rotate the secret, remove')
  client
    .command('list')
    .description('every app that may ask people for access')
    .action(() => run('client list', {}, ['id', 'name', 'client_id', 'registration', 'callbacks', 'waiting']))
  client
    .command('show <id>')
    .description('what to give the app: client ID and secret; and callbacks that wait to be allowed')
    .action((id: string) => run('client show', { id }, 'record'))
  client
    .command('add')
    .description('register another app; shows its client ID and secret')
    .requiredOption('--name <name>', 'what people read on the consent page')
    .requiredOption('--redirect <uri...>', 'its callbacks, exactly')
    .addOption(
      new Option('--grant-type <type...>', 'what it may send to the token endpoint')
        .choices(GRANT_TYPES)
        .default([...GRANT_TYPES]),
    )
    .option('--public', 'it cannot keep a secret, as a program on a desktop cannot')
    .action((options: { name: string; redirect: string[]; grantType: string[]; public?: true }) => {
      const { name, redirect: redirects, grantType: grantTypes } = options
      return run('client add', { name, redirects, grantTypes, isPublic: options.public === true }, 'record')
    })
  client
    .command('remove <id>')
    .description('end all that it was given, and forget it')
    .action((id: string) => run('client remove', { id }))
  client
    .command('allow <id> <uri>')
    .description('let the app be answered at this exact callback')
    .action((id: string, uri: string) => run('client allow', { id, uri }))
  client
    .command('disallow <id> <uri>')
    .description('take back a callback that was allowed, or turn away one that waits')
    .action((id: string, uri: string) => run('client disallow', { id, uri }))
  client
    .command('rotate-secret <id>')
    .description('make a new secret and show it; the old one ends at once')
    .action((id: string) => run('client rotate-secret', { id }, 'record'))
}
