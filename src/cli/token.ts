/** `daybook token …`: what apps may do for people at the moment, and ending it. */
import type { Command } from 'commander'
import { revokeGrant } from '../domain/grants.ts'
import { findUser, usernameOf } from '../domain/users.ts'
import { Refused } from '../ledger/ledger.ts'
import { type Act, bySince, type Tools, textOf } from './act.ts'

export const acts: { readonly [name: string]: Act } = {
  async *'token list'(ledger, input) {
    const username = textOf(input, 'username')
    const rows = await ledger.read((state) => {
      const user = findUser(state, username)
      if (user === undefined) throw new Refused('user_unknown')
      return state.grants.keysBy('user', user.id).map((id) => {
        const { client, scope, createdAt, expiresAt } = state.grants.get(id)!
        const app = state.clients.get(client)?.name ?? client
        return { id, app, scope, since: createdAt, until: new Date(expiresAt).toISOString() }
      })
    })
    for (const row of rows.sort(bySince)) yield { row }
  },

  async *'token revoke'(ledger, input, by) {
    const id = textOf(input, 'id').toUpperCase()
    const grant = await ledger.transact(by, (state) => revokeGrant(state, id))
    const [app, username] = await ledger.read((state) => [
      state.clients.get(grant.client)?.name ?? grant.client,
      usernameOf(state, grant.user),
    ])
    yield { say: `${app} can do nothing for ${username} any more, until they connect it again.` }
  },
}

export const begins = []

export function addCommands(program: Command, { run }: Tools): void {
  const token = program.command('token').description('connected apps: what each may do for somebody; end it')
  token
    .command('list <user>')
    .description('the apps that may act for them, and until when')
    .action((username: string) => run('token list', { username }, ['id', 'app', 'scope', 'since', 'until']))
  token
    .command('revoke <id>')
    .description('end one connection, its access and refresh tokens, at once')
    .action((id: string) => run('token revoke', { id }))
}
