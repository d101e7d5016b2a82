/** `daybook key …` and `daybook service-token …`: what programs show instead of a user, where no OAuth is used. */
import type { Command } from 'commander'
import type { Ledger } from '../ledger/ledger.ts'
import { daybook } from '../service/caller.ts'
import { operatorServices } from '../service/services.ts'
import { type Act, bySince, type Tools, textOf } from './act.ts'
import type { Config } from './config.ts'

export const acts: { readonly [name: string]: Act } = {
  async *'key add'(ledger, input, by) {
    const [username, label] = [textOf(input, 'username'), textOf(input, 'label')]
    const { id, secret } = await operatorServices(ledger).keys.issueFor(by, username, label)
    yield { row: { id, key: secret } }
    yield { say: 'The key is shown this once; Daybook keeps only its digest. It works with AUTH_MODE=user_http.' }
  },

  async *'key list'(ledger, input, by) {
    const keys = await operatorServices(ledger).keys.listFor(by, textOf(input, 'username'))
    const rows = keys.map(({ id, label, createdAt, usedAt }) => ({ id, label, since: createdAt, last_used: usedAt }))
    for (const row of rows.sort(bySince)) yield { row }
  },

  async *'key revoke'(ledger, input, by) {
    await operatorServices(ledger).keys.revoke(by, textOf(input, 'id').toUpperCase())
    yield { say: 'The key no longer works.' }
  },

  async *'service-token show'(ledger, _input, by) {
    const shown = await operatorServices(ledger).serviceToken.show(by)
    if (shown === undefined) {
      yield { fail: 'There is no service token yet: AUTH_MODE=service_http makes one, and so does rotate.' }
      return
    }
    yield { row: { service_token: shown.token } }
    if (shown.isFromSettings) yield { say: 'The service token is the one in SERVICE_TOKEN.' }
  },

  async *'service-token rotate'(ledger, _input, by) {
    const { token, hadToken } = await operatorServices(ledger).serviceToken.rotate(by)
    yield { row: { service_token: token } }
    yield {
      say: hadToken
        ? 'The old service token no longer works. Put the new one into the app.'
        : 'This is the first service token. Put it into the app.',
    }
  },
}

/** The service token as the settings say; made up where they say nothing. */
export async function settleServiceToken(ledger: Ledger, config: Config): Promise<void> {
  if (config.AUTH_MODE === 'service_http')
    await operatorServices(ledger).serviceToken.settle(daybook, config.SERVICE_TOKEN)
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
