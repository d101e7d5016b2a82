/** `daybook token …`: what apps may do for people at the moment, and ending it. */
import type { Command } from 'commander'
import { operatorServices } from '../service/services.ts'
import { type Act, type Tools, textOf } from './act.ts'

export const acts: { readonly [name: string]: Act } = {
  async *'token list'(ledger, input, by) {
    const entries = await operatorServices(ledger).connections.listFor(by, textOf(input, 'username'))
    for (const { id, app, kind, scope, since, until } of entries)
      yield { row: { id, app, kind, scope, since, until: new Date(until).toISOString() } }
  },

  async *'token revoke'(ledger, input, by) {
    const id = textOf(input, 'id').toUpperCase()
    const { kind, app, username } = await operatorServices(ledger).connections.end(by, id)
    yield {
      say:
        kind === 'connection'
          ? `${app} can do nothing for ${username} by that connection any more; they are asked again when they connect it.`
          : `${username} is asked again when they connect ${app}. Connections that there are stay: see token list.`,
    }
  },
}

export const begins = []

export function addCommands(program: Command, { run }: Tools): void {
  const token = program.command('token').description('connected apps: what each may do for somebody; end it')
  token
    .command('list <user>')
    .description('the apps that may act for them, those that need not ask again, and until when')
    .action((username: string) => run('token list', { username }, ['id', 'app', 'kind', 'scope', 'since', 'until']))
  token
    .command('revoke <id>')
    .description('end one connection, its access and refresh tokens, or an approval, at once')
    .action((id: string) => run('token revoke', { id }))
}
