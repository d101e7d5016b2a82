/** Events as an operator is told them: who, what, through what, each as a sentence. */

import { appNameOf, findClient } from './clients.ts'
import { describe, type Event, type State } from './domain.ts'
import { ownerId } from './lists.ts'
import type { Resolve } from './search.ts'
import { THE_SERVICE } from './service.ts'
import type { Actor, Recorded, Trace } from './shape.ts'
import { findUser, usernameOf } from './users.ts'

/** An event with its sealed text opened, and in words. */
export type Told = Omit<Recorded<Event>, 'sealed' | 'trace'> & {
  readonly open: object | null
  readonly who: string
  readonly what: string
  readonly through: string
  readonly ip: string | null
}

export function told(event: Recorded<Event>, state: State): Told {
  const { sealed: _, trace, ...rest } = event
  const { client, key, tool, conversation } = event.via
  return {
    ...rest,
    open: openedText(event) ?? null,
    who: nameOf(event.actor, state),
    what: describe(event, state),
    through: [
      client === undefined ? undefined : throughApp(client, state),
      keyName(key, state),
      tool === undefined ? undefined : `tool ${tool}`,
      conversation === undefined ? undefined : `conversation ${conversation}`,
    ]
      .filter((part) => part !== undefined)
      .join(' '),
    ip: trace?.open?.ip ?? null,
  }
}

/** Whether an event has personal text at all, readable or not. */
export const openable = ({ sealed, trace }: Recorded<Event>): boolean => sealed !== undefined || trace !== undefined

/** The personal text of an event and where it came from; `undefined` where there is none, or its key is gone. */
export function openedText({ sealed, trace }: Recorded<Event>): (object & Trace) | undefined {
  const [text, from] = [sealed?.open, trace?.open]
  return text === undefined && from === undefined ? undefined : { ...text, ...from }
}

/** An operator's app by the short id that filters take; another one by the name that it gave itself. */
function throughApp(id: string, state: State): string {
  const client = state.clients.get(id)
  return client === undefined || client.registration === 'operator' ? id : appNameOf(state, id)
}

/** What a key is for, as its owner named it. */
const keyName = (key: string | undefined, state: State): string | undefined =>
  key === undefined ? undefined : `key “${state.keys.get(key)?.sealed.open?.label ?? key}”`

/** All that free words are looked for in. */
export function tellingOf(event: Recorded<Event>, state: State): string {
  const { who, what, through, open } = told(event, state)
  return [who, what, through, ...Object.values(open ?? {})].join('\n')
}

/** A username has no blank, and everything else here has one: so nobody can take the name of what is no user. */
function nameOf({ kind, id }: Actor, state: State): string {
  if (kind === 'user') return usernameOf(state, id)
  if (kind === 'client') return id === THE_SERVICE ? 'the service' : `the app ${appNameOf(state, id)}`
  return { operator: 'the operator', system: 'Daybook itself', anonymous: 'somebody unknown' }[kind]
}

const ULID = /^[0-7][\dA-HJKMNP-TV-Z]{25}$/i

/** Ids for names in a filter. An id stands for itself, also that of somebody who has been erased. */
export const resolverOf = (state: State): Resolve => ({
  user: (name) =>
    (ULID.test(name) && name === name.toUpperCase() ? name : undefined) ??
    findUser(state, name)?.id ??
    ownerId(state, { list: name }) ??
    (ULID.test(name) && findClient(state, name.toLowerCase()) === undefined ? name.toUpperCase() : undefined),
  client: (name) =>
    findClient(state, name)?.id ??
    findClient(state, name.toLowerCase())?.id ??
    byName(state, name) ??
    (ULID.test(name) ? name.toLowerCase() : undefined),
})

const byName = (state: State, name: string): string | undefined =>
  [...state.clients.entries()].find(([, client]) => client.name.toLowerCase() === name.toLowerCase())?.[0]
