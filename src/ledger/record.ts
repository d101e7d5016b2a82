/** Recording: how what a decision drafted becomes a line of the book, sealed and chained. */
import type { State } from '../domain/domain.ts'
import type { Actor, Fact, Reason, Trace, Via } from '../domain/shape.ts'
import { chainLine, type Head } from './chain.ts'
import { ownerOf } from './history.ts'
import { newId } from './ids.ts'
import type { Vault } from './vault.ts'

/** Who asks for a change, how the request came, and from where. */
export type Caller = {
  readonly actor: Actor
  readonly via: Via
  readonly trace?: Trace
  /** Why they may not act any more. Asked in the turn of every decision: revoked means revoked. */
  readonly holds: (state: State, now: number) => Reason | undefined
}

/** A line of the book, and where the book ends with it. */
export type Written = { readonly line: string; readonly tip: Head }

/**
 * @param before the line goes after this head
 * @param now ms since 1970
 * @throws {Error} when there is no key to seal it with
 */
export function recordLine(vault: Vault, caller: Caller, fact: Fact, now: number, before: Head): Written {
  const { actor, via, trace: from } = caller
  const { type, data, personal } = fact
  const [seq, id, owner] = [before.seq + 1, newId(now), ownerOf(data, actor)]
  const seal = (member: 'sealed' | 'trace', text: object = {}): string | undefined =>
    Object.keys(text).length > 0 ? vault.seal(text, { id, member, owner }) : undefined
  const [sealed, trace, at] = [seal('sealed', personal), seal('trace', from), new Date(now).toISOString()]
  const { line, hash } = chainLine({ seq, id, at, type, actor, via, data, sealed, trace, prev: before.hash })
  return { line, tip: { seq, hash } }
}
