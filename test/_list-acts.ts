/** What people do to their lists in the simulation: each act as it is drawn, as the model sees it, and as a decision. */
import fc from 'fast-check'
import { deleteTodoAt, deleteTodos, undeleteTodos } from '../src/domain/deletions.ts'
import type { Event, State } from '../src/domain/domain.ts'
import { addTodos, type Change, changeTodo, type ListLimits, moveTodo, setDone } from '../src/domain/edits.ts'
import { decideOnce } from '../src/domain/outcomes.ts'
import type { Decision } from '../src/domain/shape.ts'
import { itemOf } from '../src/domain/todos.ts'
import { type List, MAX_TODOS, type Outcome } from './_list.ts'
import { allInOrder } from './domain/_history.ts'

/** What an act does to the book, and what the model says must come of it. */
export type Planned = {
  readonly expected: Outcome
  readonly decide: (state: State, now: number) => Decision<Event, unknown>
  /** Acts with the same name are answered alike. */
  readonly sameAs?: string
}

/** Which to-do of a list, 0 being the newest one; there may be none. */
const which = fc.nat({ max: 7 })
const once = fc.option(fc.record({ key: fc.constantFrom('k1', 'k2', 'k3'), request: fc.nat({ max: 1 }) }), { freq: 2 })
const act = <T extends string, A extends object>(name: T, more: { [K in keyof A]: fc.Arbitrary<A[K]> }) =>
  fc.record({ act: fc.constant(name), once, ...more }) as fc.Arbitrary<
    { act: T; once: { key: string; request: number } | null } & A
  >
type Change3 = { readonly text?: string; readonly due?: string | null; readonly done?: boolean }
type Where = { readonly to: 'before' | 'after'; readonly which: number } | { readonly position: number }

export const listActs = fc.oneof(
  { weight: 5, arbitrary: act('add', {}) },
  {
    weight: 2,
    arbitrary: act<'delete at', { index: number; text: 'none' | 'right' | 'wrong' }>('delete at', {
      index: fc.integer({ min: -1, max: MAX_TODOS }),
      text: fc.constantFrom('none', 'right', 'wrong'),
    }),
  },
  {
    weight: 4,
    arbitrary: act<'change', { which: number; change: Change3 }>('change', {
      which,
      change: fc.record(
        {
          text: fc.constantFrom('x', 'y'),
          due: fc.constantFrom(null, '2026-12-01', '2026-12-01T17:00+01:00'),
          done: fc.boolean(),
        },
        { requiredKeys: [] },
      ),
    }),
  },
  {
    weight: 6,
    arbitrary: act<'several', { what: 'complete' | 'reopen' | 'delete' | 'undo'; whiches: number[] }>('several', {
      what: fc.constantFrom('complete', 'reopen', 'delete', 'undo'),
      whiches: fc.array(which, { minLength: 1, maxLength: 3 }),
    }),
  },
  {
    weight: 4,
    arbitrary: act<'move', { which: number; where: Where }>('move', {
      which,
      where: fc.oneof(
        fc.record({ to: fc.constantFrom('before' as const, 'after' as const), which }),
        fc.record({ position: fc.integer({ min: 1, max: MAX_TODOS + 1 }) }),
      ),
    }),
  },
)
export type ListAct = typeof listActs extends fc.Arbitrary<infer A> ? A : never

const LIMITS: ListLimits = { open: MAX_TODOS, size: 1e6, sizeOfAll: 1e6 }
const SEVERAL = {
  complete: (state: State, input: Several, now: number) => setDone(state, { ...input, done: true }, now),
  reopen: (state: State, input: Several, now: number) => setDone(state, { ...input, done: false }, now),
  delete: deleteTodos,
  undo: undeleteTodos,
}
type Several = { readonly owner: string; readonly ids: readonly string[]; readonly limits: ListLimits }

/** @param id a fresh id */
export function planList(list: List, owner: string, one: ListAct, id: string, now: number): Planned {
  const single = planOnce(list, owner, one, id, now)
  if (one.once === null) return { expected: single.expected(), decide: single.decide }
  const [key, request] = [`${owner} ${one.once.key}`, `${one.act} ${one.once.request}`]
  const input = { key, request, owner: () => owner, size: 1e6, sizeOfAll: 1e6 }
  const expected = list.once(key, request, now, single.expected)
  const decide = (state: State, at: number) => decideOnce(state, input, () => single.decide(state, at), at)
  return { expected, decide, ...(expected.ok ? { sameAs: key } : {}) }
}

type Single = { readonly expected: () => Outcome; readonly decide: Planned['decide'] }

function planOnce(list: List, owner: string, one: ListAct, id: string, now: number): Single {
  // The model is asked later, maybe never: ids are those at this moment.
  const idOf = (number: number): string => list.todos.at(-1 - number)?.id ?? 'none'
  const limits = LIMITS
  switch (one.act) {
    case 'add': {
      const item = { id, text: `text ${id}`, notes: null, due: null, priority: null }
      return {
        expected: () => list.add(id, item.text),
        decide: (state, at) => addTodos(state, { owner, items: [item], limits }, at),
      }
    }
    case 'delete at': {
      const standing = list.open[one.index]?.text ?? 'nothing'
      const text = one.text === 'none' ? undefined : one.text === 'right' ? standing : `not ${standing}`
      return {
        expected: () => list.deleteAt(one.index, text, now),
        decide: (state, at) => deleteTodoAt(state, { owner, index: one.index, text, limits }, at),
      }
    }
    case 'change': {
      const [todo, change]: [string, Change] = [idOf(one.which), one.change]
      return {
        expected: () => list.change(todo, one.change),
        decide: (state, at) => changeTodo(state, { owner, id: todo, change, limits }, at),
      }
    }
    case 'several': {
      const ids = one.whiches.map(idOf)
      return {
        expected: () => list.several(one.what, ids, now),
        decide: (state, at) => SEVERAL[one.what](state, { owner, ids, limits }, at),
      }
    }
    case 'move': {
      const { where } = one
      const todo = idOf(one.which)
      const beside = 'to' in where ? idOf(where.which) : ''
      const place = 'position' in where ? where : where.to === 'before' ? { before: beside } : { after: beside }
      return {
        expected: () => list.move(todo, place),
        decide: (state) => moveTodo(state, { owner, id: todo, place }),
      }
    }
  }
}

/** Each to-do of a real list in a line, in order, as the model tells it. */
export const linesOf = (state: State, owner: string): string[] =>
  allInOrder(state, owner).map((row) => {
    const { id, todo, due, done } = itemOf(row)
    return JSON.stringify([id, todo, due, done, row[1].deletedAt !== null])
  })
