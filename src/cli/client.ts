/** `daybook client …`: the programs that may ask for a grant, and where they may be answered. */
import { type Command, Option } from 'commander'
import {
  allowRedirect,
  CHATGPT,
  type Client,
  clientSecretName,
  findClient,
  GRANT_TYPES,
  isPublic,
  registerClient,
  removeClient,
  rotateSecret,
  settleChatGpt,
  type Waiting,
  withdrawRedirect,
} from '../domain/clients.ts'
import type { State } from '../domain/domain.ts'
import { COMMAND } from '../http/assets.ts'
import { newId } from '../ledger/ids.ts'
import type { Ledger } from '../ledger/ledger.ts'
import { Refused } from '../ledger/refused.ts'
import { vouchingFor } from '../service/apps.ts'
import { daybook } from '../service/caller.ts'
import { digest, newSecret } from '../service/secrets.ts'
import { type Act, bySince, type Input, InputError, type Row, type Tools, textOf, textsOf } from './act.ts'
import { type Config, UsageError } from './config.ts'

export const acts: { readonly [name: string]: Act } = {
  async *'client list'(ledger) {
    const clients = await ledger.read((state) =>
      [...state.clients.entries()].map(([, client]) => summary(client, waitingOf(state, client))).sort(bySince),
    )
    for (const row of clients) yield { row }
  },

  async *'client show'(ledger, input) {
    const client = await clientOf(ledger, input)
    const { secret, where } = secretOf(ledger, client)
    const waiting = await ledger.read((state) => waitingOf(state, client))
    yield { row: { ...summary(client, waiting), secret } }
    if (where !== undefined) yield { say: where }
    for (const { uri, askedAt, trace } of waiting) {
      const from = trace?.open?.ip === undefined ? '' : ` from ${trace.open.ip}`
      const allow = `${COMMAND} client allow ${client.id} '${uri}'`
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
    const client = newId(ledger.now()).toLowerCase()
    const secret = input.isPublic === true ? null : newSecret('dbs')
    const entry = { client, name, secret: secret === null ? null : digest(secret) }
    await ledger.transact(by, (state) => registerClient(state, { ...entry, redirects, grantTypes }))
    yield { row: secret === null ? { client_id: client } : { client_id: client, secret } }
    if (secret === null) {
      yield { say: 'A public client has no secret: it proves itself with PKCE, and people are asked each time.' }
      return
    }
    yield { say: 'The secret is shown this once; Daybook keeps only its digest.' }
  },

  async *'client allow'(ledger, input, by) {
    const [client, uri] = [(await clientOf(ledger, input)).id, textOf(input, 'uri')]
    await ledger.transact(by, (state) => allowRedirect(state, { client, uri }))
    yield { say: `${textOf(input, 'id')} may be answered at ${uri}.` }
  },

  async *'client disallow'(ledger, input, by) {
    const [client, uri] = [(await clientOf(ledger, input)).id, textOf(input, 'uri')]
    const was = await ledger.transact(by, (state) => withdrawRedirect(state, { client, uri }))
    yield {
      say:
        was === 'waiting'
          ? `${uri} does not wait any more. Whoever asks for it again puts it back on the list.`
          : `${textOf(input, 'id')} may not be answered at ${uri}. Connections that it has stay: token list USER shows them.`,
    }
  },

  async *'client remove'(ledger, input, by) {
    const { name } = await ledger.transact(by, (state) => removeClient(state, textOf(input, 'id')))
    yield { say: `${name} is removed: its codes and tokens have ended, and nobody can be asked in its name.` }
  },

  async *'client rotate-secret'(ledger, input, by) {
    const [{ id: client }, secret] = [await clientOf(ledger, input), newSecret('dbs')]
    const rotated = await ledger.transact(by, (state) =>
      rotateSecret(state, { client, secret, digest: digest(secret) }),
    )
    yield { row: { client_id: rotated.clientId, secret } }
    yield { say: 'The old secret no longer works. Put the new one into the app.' }
  },
}

const waitingOf = ({ waiting }: State, { id }: Client): Waiting[] =>
  waiting.by('client', id).sort((a, b) => (a.askedAt < b.askedAt ? -1 : 1))

function summary(client: Client, waiting: readonly Waiting[]): Row {
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

/** The client that `id` names. @throws {Refused} `client_unknown` */
async function clientOf(ledger: Ledger, input: Input): Promise<Client> {
  const found = await ledger.read((state) => findClient(state, textOf(input, 'id')))
  if (found === undefined) throw new Refused('client_unknown', 'There is no client of that name.')
  return found
}

/** The secret, where it is kept, or else where to look for it. */
function secretOf(ledger: Ledger, client: Client): { secret: string | null; where?: string } {
  if (client.secretFrom === 'settings') return { secret: null, where: 'The secret is the one in OPENAI_CLIENT_SECRET.' }
  if (isPublic(client)) return { secret: null, where: 'A public client has no secret: it proves itself with PKCE.' }
  const secret = ledger.secret(clientSecretName(client.id)) ?? null
  return secret === null
    ? { secret, where: 'The secret was shown when it was made; rotate-secret makes a new one.' }
    : { secret }
}

/** The ChatGPT client as the settings say; made up where they say nothing. */
export async function settleClient(ledger: Ledger, config: Config, { onlyIfMissing = false } = {}): Promise<void> {
  const secret = newSecret('dbs')
  const made = { clientId: `chatgpt-${newSecret('dbw').slice(4, 12)}`, secret, digest: digest(secret) }
  const given = {
    clientId: config.OPENAI_CLIENT_ID,
    secret: config.OPENAI_CLIENT_SECRET === undefined ? undefined : digest(config.OPENAI_CLIENT_SECRET),
    redirects: config.OPENAI_REDIRECT_URIS,
  }
  const isThere = await ledger.read((state) => state.clients.get(CHATGPT) !== undefined)
  if (onlyIfMissing && isThere) return
  try {
    await ledger.transact(daybook, (state) => settleChatGpt(state, { ...given, made }))
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
