/** `daybook key …` and `daybook service-token …`: what programs show instead of a user, where no OAuth is used. */
import type { Command } from 'commander'
import { issueKey, revokeKey } from '../domain/keys.ts'
import { rotateService, SERVICE_TOKEN_NAME, serviceOf, settleService } from '../domain/service.ts'
import { findUser } from '../domain/users.ts'
import { newId } from '../ledger/ids.ts'
import type { Ledger } from '../ledger/ledger.ts'
import { Refused } from '../ledger/refused.ts'
import { daybook } from '../service/caller.ts'
import { digest, newSecret } from '../service/secrets.ts'
import { type Act, bySince, type Tools, textOf } from './act.ts'
import type { Config } from './config.ts'

const newServiceToken = (): { token: string; digest: string } => {
  const token = newSecret('dbs')
  return { token, digest: digest(token) }
}

export const acts: { readonly [name: string]: Act } = {
  async *'key add'(ledger, input, by) {
    const [username, label] = [textOf(input, 'username'), textOf(input, 'label')]
    const [key, secret] = [newId(ledger.now()), newSecret('dbk')]
    await ledger.transact(by, (state) => issueKey(state, { key, username, digest: digest(secret), label }))
    yield { row: { id: key, key: secret } }
    yield { say: 'The key is shown this once; Daybook keeps only its digest. It works with AUTH_MODE=user_http.' }
  },

  async *'key list'(ledger, input) {
    const username = textOf(input, 'username')
    const rows = await ledger.read((state) => {
      const user = findUser(state, username)
      if (user === undefined) throw new Refused('user_unknown')
      return state.keys.keysBy('user', user.id).map((id) => {
        const { sealed, createdAt, usedAt } = state.keys.get(id)!
        return { id, label: sealed.open?.label ?? null, since: createdAt, last_used: usedAt }
      })
    })
    for (const row of rows.sort(bySince)) yield { row }
  },

  async *'key revoke'(ledger, input, by) {
    const key = textOf(input, 'id').toUpperCase()
    await ledger.transact(by, (state) => revokeKey(state, key))
    yield { say: 'The key no longer works.' }
  },

  async *'service-token show'(ledger) {
    const service = await ledger.read(serviceOf)
    if (service === undefined) {
      yield { fail: 'There is no service token yet: AUTH_MODE=service_http makes one, and so does rotate.' }
      return
    }
    yield { row: { service_token: ledger.secret(SERVICE_TOKEN_NAME) ?? null } }
    if (service.tokenFrom === 'settings') yield { say: 'The service token is the one in SERVICE_TOKEN.' }
  },

  async *'service-token rotate'(ledger, _input, by) {
    const made = newServiceToken()
    await ledger.transact(by, (state) => rotateService(state, made))
    yield { row: { service_token: made.token } }
    yield { say: 'The old service token no longer works. Put the new one into the app.' }
  },
}

/** The service token as the settings say; made up where they say nothing. */
export async function settleServiceToken(
  ledger: Ledger,
  { AUTH_MODE: mode, SERVICE_TOKEN: given }: Config,
): Promise<void> {
  if (mode !== 'service_http') return
  const made = newServiceToken()
  await ledger.transact(daybook, (state) => settleService(state, given === undefined ? undefined : digest(given), made))
}

export const begins = []

export function addCommands(program: Command, { run }: Tools): void {
  const key = program.command('key').description('API keys of users (AUTH_MODE=user_http): add, list, revoke')
  key
    .command('add <user>')
    .description('make a key and show it once')
    .requiredOption('--label <label>', 'what it is for')
    .action((username: string, { label }: { label: string }) => run('key add', { username, label }, 'record'))
  key
    .command('list <user>')
    .description('their keys, and when each was last used')
    .action((username: string) => run('key list', { username }, ['id', 'label', 'since', 'last_used']))
  key
    .command('revoke <id>')
    .description('end a key at once')
    .action((id: string) => run('key revoke', { id }))
  const service = program
    .command('service-token')
    .description('the one token of AUTH_MODE=service_http: show it, make a new one')
  service
    .command('show')
    .description('the token to give to the app')
    .action(() => run('service-token show', {}, 'record'))
  service
    .command('rotate')
    .description('make a new token and show it; the old one ends at once')
    .action(() => run('service-token rotate', {}, 'record'))
}
