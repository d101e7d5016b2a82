/** `daybook audit …`: who did what, when, through what; and the proof that nothing was changed since. */
import { type Command, InvalidArgumentError } from 'commander'
import { describe, type Event, type State } from '../domain/domain.ts'
import type { Actor, Recorded } from '../domain/shape.ts'
import { usernameOf } from '../domain/users.ts'
import { type Act, countOf, type Run } from './act.ts'

export const acts: { readonly [name: string]: Act } = {
  async *'audit list'(ledger, input) {
    let last = 1
    for await (const event of ledger.events({ reverse: true, limit: countOf(input, 'limit') })) {
      yield { row: await ledger.read((state) => rowOf(event, state)) }
      last = event.seq
    }
    if (last > 1) yield { say: `There are older events: --limit says how many are shown.` }
  },

  async *'audit verify'(ledger) {
    const found = await ledger.verify()
    if ('fault' in found) yield { fail: `Event ${found.seq} does not hold: ${found.fault}.` }
    else yield { say: `${found.seq} events, and the chain holds. Head ${found.seq}:${found.hash}` }
  },
}

/** An event with its sealed text opened, and as a sentence. */
function rowOf({ sealed, ...event }: Recorded<Event>, state: State) {
  const who = nameOf(event.actor, state)
  const open = sealed?.open
  const through = [event.via.client, event.via.conversation].filter((part) => part !== undefined).join(' ')
  return { ...event, open, who, what: describe({ ...event, sealed } as Recorded<Event>, state), through, ip: open?.ip }
}

function nameOf({ kind, id }: Actor, state: State): string {
  if (kind === 'user') return usernameOf(state, id)
  if (kind === 'client') return state.clients.get(id)?.name ?? id
  return { operator: 'the operator', system: 'Daybook', anonymous: 'somebody' }[kind]
}

export const begins = []

export function addCommands(program: Command, run: Run): void {
  const audit = program.command('audit').description('what happened: list it, prove it')
  audit
    .command('list')
    .description('the latest events, newest first')
    .option('--limit <n>', 'how many', wholeNumber, 50)
    .action(({ limit }: { limit: number }) =>
      run('audit list', { limit }, ['seq', 'at', 'who', 'what', 'through', 'ip']),
    )
  audit
    .command('verify')
    .description('hold every event against the one before it, from the first to the last')
    .action(() => run('audit verify', {}))
}

function wholeNumber(text: string): number {
  if (!/^[1-9]\d{0,8}$/.test(text)) throw new InvalidArgumentError('It must be a whole number from 1 on.')
  return Number(text)
}
