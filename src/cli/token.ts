/** `daybook token …`: what apps may do for people at the moment, and ending it. */
import type { Command } from 'commander'
import { endAccess } from '../domain/approvals.ts'
import type { State } from '../domain/domain.ts'
import { findUser, usernameOf } from '../domain/users.ts'
import { Refused } from '../ledger/refused.ts'
import { type Act, bySince, type Row, type Tools, textOf } from './act.ts'

export const acts: { readonly [name: string]: Act } = {
  async *'token list'(ledger, input) {
    const username = textOf(input, 'username')
    const rows = await ledger.read((state, now) => {
      const user = findUser(state, username)
      if (user === undefined) throw new Refused('user_unknown')
      return [...connections(state, user.id), ...approvals(state, user.id, now)]
    })
    for (const row of rows.sort(bySince)) yield { row }
  },

  async *'token revoke'(ledger, input, by) {
    const id = textOf(input, 'id').toUpperCase()
    const { kind, user, client } = await ledger.transact(by, (state) => endAccess(state, id))
    const [app, username] = await ledger.read((state) => [appOf(state, client), usernameOf(state, user)])
    yield {
      say:
        kind === 'connection'
          ? `${app} can do nothing for ${username} by that connection any more; they are asked again when they connect it.`
          : `${username} is asked again when they connect ${app}. Connections that there are stay: see token list.`,
    }
  },
}

const appOf = (state: State, client: string): string => state.clients.get(client)?.name ?? client
const timeOf = (ms: number): string => new Date(ms).toISOString()

/** What apps hold tokens for. */
const connections = (state: State, user: string): Row[] =>
  state.grants.keysBy('user', user).map((id) => {
    const { client, scope, createdAt, expiresAt } = state.grants.get(id)!
    return { id, app: appOf(state, client), kind: 'connection', scope, since: createdAt, until: timeOf(expiresAt) }
  })

/** For what the user need not be asked again. */
const approvals = (state: State, user: string, now: number): Row[] =>
  state.approvals
    .by('user', user)
    .filter(({ expiresAt }) => now < expiresAt)
    .map(({ request: id, client, scope, approvedAt, expiresAt }) => {
      return {
        id,
        app: appOf(state, client),
        kind: 'approval',
        scope,
        since: approvedAt,
        until: timeOf(expiresAt),
      }
    })

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
