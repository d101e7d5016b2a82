/** `daybook user …`: people, as the operator sees them. */
import { createInterface } from 'node:readline/promises'
import password from '@inquirer/password'
import type { Command } from 'commander'
import { isUsername } from '../domain/users.ts'
import { isCommonPassword, isPassword } from '../service/passwords.ts'
import { sentence } from '../service/refusals.ts'
import { newPassphrase } from '../service/secrets.ts'
import { operatorServices } from '../service/services.ts'
import { type Act, bySince, CommandFailed, optionalTextOf, type Tools, textOf } from './act.ts'
import { readText, UsageError } from './config.ts'
import { printable } from './output.ts'

export const acts: { readonly [name: string]: Act } = {
  async *'user add'(ledger, input, by) {
    const username = textOf(input, 'username')
    const email = optionalTextOf(input, 'email')
    const admin = input.admin === true
    await operatorServices(ledger).users.add(by, { username, email, password: textOf(input, 'password'), admin })
    yield { say: `${username} can sign in${admin ? ', and is an operator' : ''}.` }
  },

  async *'user list'(ledger, _input, by) {
    const users = await operatorServices(ledger).users.list(by)
    const rows = users.map(({ id, username, email, admin, active, openTodos, createdAt }) => ({
      username,
      email,
      role: admin ? 'operator' : 'user',
      state: active ? 'active' : 'revoked',
      todos: openTodos,
      since: createdAt,
      id,
    }))
    for (const row of rows.sort(bySince)) yield { row }
  },

  async *'user revoke'(ledger, input, by) {
    const username = textOf(input, 'username')
    await operatorServices(ledger).users.revoke(by, username)
    yield {
      say: `${username} is revoked: their sessions, consents, codes, tokens and API keys have ended, and they cannot sign in.`,
    }
  },

  async *'user restore'(ledger, input, by) {
    const username = textOf(input, 'username')
    await operatorServices(ledger).users.restore(by, username)
    yield { say: `${username} can sign in again. Nothing that was ended has come back.` }
  },

  async *'user erase'(ledger, input, by) {
    const username = textOf(input, 'username')
    const isGone = await operatorServices(ledger).users.erase(by, username)
    yield { say: `${username} is erased: what was theirs is gone, and unreadable in the book for ever.` }
    if (!isGone)
      yield { say: 'The bytes of their key leave the disk when nobody reads the book at length, or at the next start.' }
    yield { say: 'Backups made before still hold their key: erase those, too.' }
  },

  async *'user passwd'(ledger, input, by) {
    const identifier = textOf(input, 'username')
    const isActive = await operatorServices(ledger).users.setPassword(by, identifier, textOf(input, 'password'))
    yield {
      say: isActive
        ? `${identifier} has a new password. Their browsers are signed out; their connected apps stay connected.`
        : `${identifier} has a new password. They are revoked: they can sign in once they are restored.`,
    }
  },
}

const USER_COLUMNS = ['username', 'email', 'role', 'state', 'todos', 'since']

/** What may begin a book. */
export const begins = ['user add']

export function addCommands(program: Command, { run }: Tools): void {
  const user = program.command('user').description('people: add, list, revoke, restore, erase, passwd')
  const withPassword = (command: Command): Command =>
    command
      .option('--password-file <file>', 'read the password from a file')
      .option('--random-password', 'make a password and show it once')

  withPassword(user.command('add <name>'))
    .description('create an account')
    .option('--email <address>', 'an e-mail address to sign in with')
    .option('--admin', 'as an operator of Daybook, who may look at the audit')
    .action(async (username: string, options: Options) => {
      if (!isUsername(username)) throw new CommandFailed(sentence('username_invalid')) // Before a password is asked for.
      const chosen = await choosePassword(options)
      await run('user add', {
        username,
        email: options.email,
        admin: options.admin === true,
        password: chosen.password,
      })
      chosen.show()
    })
  user
    .command('list')
    .description('everybody who has an account')
    .action(() => run('user list', {}, USER_COLUMNS))
  user
    .command('revoke <name>')
    .description('end all their sessions, codes, tokens and API keys at once; they cannot sign in any more')
    .action((username: string) => run('user revoke', { username }))
  user
    .command('restore <name>')
    .description('let them sign in again')
    .action((username: string) => run('user restore', { username }))
  user
    .command('erase <name>')
    .description('revoke, and make their personal text unreadable for ever; a list of that name, too; asks first')
    .option('--yes', 'do not ask')
    .action(async (username: string, { yes = false }: { yes?: boolean }) => {
      if (!yes) await confirmErasure(username)
      await run('user erase', { username })
    })
  withPassword(user.command('passwd <name>'))
    .description('set a new password; signs out their browsers')
    .action(async (username: string, options: Options) => {
      const chosen = await choosePassword(options)
      await run('user passwd', { username, password: chosen.password })
      chosen.show()
    })
}

/** Erasing cannot be taken back. @throws {UsageError} where nobody can be asked, or who is asked says something else */
async function confirmErasure(username: string): Promise<void> {
  if (!process.stdin.isTTY) throw new UsageError('there is no terminal to ask at: --yes erases without asking')
  const terminal = createInterface({ input: process.stdin, output: process.stderr })
  const typed = await terminal.question(`This cannot be taken back. Type ${printable(username)} to erase: `)
  terminal.close()
  if (typed.trim() !== username) throw new UsageError('that is another name; nothing was changed')
}

type Options = { email?: string; admin?: true; passwordFile?: string; randomPassword?: true }

/** Never from an argument, where others could see it. `show` tells a password that nobody else knows. */
async function choosePassword(options: Options): Promise<{ password: string; show: () => void }> {
  const silent = { show: () => {} }
  if (options.randomPassword) {
    if (options.passwordFile !== undefined) throw new UsageError('give --password-file or --random-password, not both')
    const made = newPassphrase()
    return { password: made, show: () => process.stdout.write(`${made}\n`) }
  }
  if (options.passwordFile !== undefined) {
    const text = readText(options.passwordFile, '--password-file')
    return { password: text.replace(/\r?\n$/, ''), ...silent }
  }
  if (!process.stdin.isTTY)
    throw new UsageError('there is no terminal to ask for a password: use --password-file or --random-password')
  const context = { output: process.stderr }
  const first = await askForPassword(context)
  const second = await password({ message: 'Again:', mask: true }, context)
  if (first !== second) throw new UsageError('the two passwords differ; nothing was changed')
  return { password: first, ...silent }
}

/** Asks until one may be used; what may not be is not left standing in the field. */
async function askForPassword(context: { output: NodeJS.WritableStream }): Promise<string> {
  for (;;) {
    const text = await password({ message: 'Password:', mask: true }, context)
    if (isPassword(text) && !(await isCommonPassword(text, []))) return text
    process.stderr.write(`${sentence(isPassword(text) ? 'password_common' : 'password_length')}\n`)
  }
}
