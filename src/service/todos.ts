/** To-dos, as every surface offers them: add, find, change, complete, move, delete, undo; each write at most once a key. */
import { createHash } from 'node:crypto'
import {
  type Filter,
  findTodos,
  type Overview,
  overviewOf,
  type Position,
  type Search,
  SORTS,
  STATES,
} from '../domain/agenda.ts'
import { deleteTodoAt, deleteTodos, undeleteTodos } from '../domain/deletions.ts'
import type { Event, State } from '../domain/domain.ts'
import { isDate, isDue } from '../domain/due.ts'
import {
  type Added,
  addTodos,
  type BatchResult,
  type Change,
  changeTodo,
  changeWrong,
  type Failure,
  getItem,
  type ListLimits,
  MAX_BATCH,
  moveTodo,
  type NewTodo,
  type Place,
  rescheduleTodos,
  setDone,
} from '../domain/edits.ts'
import { inList, ownerId } from '../domain/lists.ts'
import { decideOnce } from '../domain/outcomes.ts'
import { accept, type Decision, type Fact, refuse, storedSize } from '../domain/shape.ts'
import { excerptOf, type Item, itemOf, openInOrder, type Row, type TodoEvent } from '../domain/todos.ts'
import { newId } from '../ledger/ids.ts'
import type { Ledger } from '../ledger/ledger.ts'
import { Refused } from '../ledger/refused.ts'
import { newKey } from '../ledger/vault.ts'
import { type ListCaller, requireScope } from './authentication.ts'
import type { Limits } from './limits.ts'
import type { Policy } from './policy.ts'
import { digest } from './secrets.ts'

export type { BatchResult, Change, Failure, Item, Overview, Place }
export { changeWrong, MAX_BATCH }

/** A to-do as a caller describes a new one. */
export type Draft = Omit<Change, 'done'> & { readonly text: string }

/** What finding takes, as callers write it. Absent members have defaults: open to-dos, in the person's order. */
export type Query = {
  /** Words that must all stand in the text or the notes: at most 20, and 200 characters. */
  readonly query?: string | undefined
  readonly state?: string | undefined
  /** Due before this date or time; without it. */
  readonly due_before?: string | undefined
  /** Due at this date or time, or after it. */
  readonly due_after?: string | undefined
  readonly sort?: string | undefined
  /** 1 to 100. */
  readonly limit?: number | undefined
  readonly cursor?: string | undefined
}
export type Found = { readonly items: readonly Item[]; readonly next_cursor: string | null; readonly total: number }

/** The texts of a list. `from` opens those from an index on, one by one as they are asked for. */
export type OpenTexts = { readonly count: number; readonly from: (index: number) => Iterable<string> }

/** How a write may be made safe: by a key that makes a repeat harmless, and by what the caller believes. */
export type Safely = {
  /** 1 to 255 visible ASCII characters; the same request again within a day is answered as the first was. */
  readonly key?: string | undefined
  readonly expects?: ((item: Item) => boolean) | undefined
}

export const READ = 'todos:read'
export const WRITE = 'todos:write'
const MAX_LIMIT = 100
const DEFAULT_LIMIT = 50
/** ChatGPT takes at most 100,000 characters in an answer. */
export const MAX_ANSWER_CHARACTERS = 90_000
/** Each word is looked for in every text of the list, which may take time by their product. */
const MAX_QUERY_LENGTH = 200
const MAX_WORDS = 20

type Decide<T> = (state: State, owner: string, now: number) => Decision<TodoEvent, T>
type Write = {
  readonly operation: string
  readonly input: unknown
  readonly key: string | undefined
}

export class Todos {
  readonly #ledger: Ledger
  readonly #limits: Limits
  readonly #most: ListLimits

  constructor(ledger: Ledger, limits: Limits, policy: Policy) {
    this.#ledger = ledger
    this.#limits = limits
    this.#most = { open: policy.maxOpenTodos, size: policy.maxListSize, sizeOfAll: policy.maxListsSize }
  }

  /** The texts of the open to-dos, in order. */
  texts<T>(caller: ListCaller, take: (open: OpenTexts) => T): Promise<T> {
    return this.#read(caller, (state, owner) => {
      const rows = openInOrder(state, owner)
      return take({ count: rows.length, from: (index) => openedTexts(rows.slice(index)) })
    })
  }

  /**
   * @param maxCharacters how long the to-dos of a page may be as JSON; there is at least one
   * @throws {Refused} `filter_invalid`, `cursor_invalid`
   */
  async find(caller: ListCaller, query: Query, maxCharacters = MAX_ANSWER_CHARACTERS - 1000): Promise<Found> {
    const search = { ...searchOf(query), maxCharacters }
    const mark = markOf(query)
    const after = query.cursor === undefined ? undefined : readCursor(query.cursor, mark)
    return this.#read(caller, (state, owner) => {
      const { items, next, total } = findTodos(state, { ...search, owner, after })
      return { items, next_cursor: next === undefined ? null : writeCursor(next, mark), total }
    })
  }

  /** @throws {Refused} `todo_unknown`, for a to-do of somebody else as for none */
  async get(caller: ListCaller, id: string): Promise<Item> {
    const item = await this.#read(caller, (state, owner) => getItem(state, owner, id))
    if (item === undefined) throw new Refused('todo_unknown')
    return item
  }

  /** @param today the person's date; the date in UTC where it is not known */
  async overview(caller: ListCaller, today?: string): Promise<Overview & { readonly today: string }> {
    if (today !== undefined && !isDate(today))
      throw new Refused('filter_invalid', '"today" must be a date: 2026-12-01.')
    return this.#read(caller, (state, owner, now) => {
      const day = today ?? new Date(now).toISOString().slice(0, 10)
      return { today: day, ...overviewOf(state, owner, day) }
    })
  }

  /** Adds all of them, or none. @throws {Refused} as `addTodos` does; `batch_invalid` */
  async add(caller: ListCaller, drafts: readonly Draft[], { key }: Safely = {}): Promise<Added> {
    requireScope(caller, WRITE)
    requireBatch(drafts)
    for (const draft of drafts) requireRight(draft)
    const items = drafts.map((draft): NewTodo => {
      const { text, notes = null, due = null, priority = null } = draft
      return { id: newId(this.#ledger.now()), text, notes: notes === '' ? null : notes, due, priority }
    })
    const limits = this.#most
    return this.#write(caller, { operation: 'add', input: drafts, key }, true, (state, owner, now) =>
      addTodos(state, { owner, items, limits }, now),
    )
  }

  /** Sets what is given, and leaves the rest. @throws {Refused} as `changeTodo` does */
  async change(caller: ListCaller, id: string, given: Change, { key, expects }: Safely = {}): Promise<Item> {
    requireScope(caller, WRITE)
    requireRight(given)
    const change = given.notes === '' ? { ...given, notes: null } : given
    const write = { operation: 'change', input: { id, ...given }, key }
    return this.#write(caller, write, false, (state, owner, now) =>
      changeTodo(state, { owner, id, change, limits: this.#most, expects }, now),
    )
  }

  complete = (caller: ListCaller, ids: readonly string[], safely?: Safely): Promise<BatchResult> =>
    this.#several(caller, 'complete', ids, safely, (state, several, now) =>
      setDone(state, { ...several, done: true }, now),
    )

  reopen = (caller: ListCaller, ids: readonly string[], safely?: Safely): Promise<BatchResult> =>
    this.#several(caller, 'reopen', ids, safely, (state, several, now) =>
      setDone(state, { ...several, done: false }, now),
    )

  delete = (caller: ListCaller, ids: readonly string[], safely?: Safely): Promise<BatchResult> =>
    this.#several(caller, 'delete', ids, safely, deleteTodos)

  undelete = (caller: ListCaller, ids: readonly string[], safely?: Safely): Promise<BatchResult> =>
    this.#several(caller, 'undelete', ids, safely, undeleteTodos)

  /** Sets due dates; `null` takes one away. */
  async reschedule(
    caller: ListCaller,
    items: readonly { readonly id: string; readonly due: string | null }[],
    { key }: Safely = {},
  ): Promise<BatchResult> {
    requireScope(caller, WRITE)
    requireBatch(items)
    const write = { operation: 'reschedule', input: items, key }
    return this.#write(caller, write, false, (state, owner, now) =>
      rescheduleTodos(state, { owner, items, limits: this.#most }, now),
    )
  }

  /** @throws {Refused} `todo_unknown`, `place_invalid`, `precondition_failed` */
  async move(caller: ListCaller, id: string, place: Place, { key, expects }: Safely = {}): Promise<Item> {
    requireScope(caller, WRITE)
    const write = { operation: 'move', input: { id, ...place }, key }
    return this.#write(caller, write, false, (state, owner): Decision<TodoEvent, Item> => {
      const item = getItem(state, owner, id)
      if (item !== undefined && expects !== undefined && !expects(item)) return refuse('precondition_failed')
      return moveTodo(state, { owner, id, place })
    })
  }

  /** Deletes one. @throws {Refused} `todo_unknown`, `precondition_failed` */
  async deleteOne(caller: ListCaller, id: string, { key, expects }: Safely = {}): Promise<Item> {
    requireScope(caller, WRITE)
    const write = { operation: 'deleteOne', input: id, key }
    return this.#write(caller, write, false, (state, owner, now): Decision<TodoEvent, Item> => {
      const item = getItem(state, owner, id)
      if (item === undefined) return refuse('todo_unknown')
      if (expects !== undefined && !expects(item)) return refuse('precondition_failed')
      const deleted = deleteTodos(state, { owner, ids: [id], limits: this.#most }, now)
      return accept<TodoEvent, Item>(deleted.facts, item)
    })
  }

  /** Deletes by the plugin's index. @throws {Refused} `todo_index_unknown`, `todo_differs` */
  async deleteAt(caller: ListCaller, index: number, text: string | undefined, { key }: Safely = {}): Promise<Item> {
    requireScope(caller, WRITE)
    const write = { operation: 'deleteAt', input: { index, text }, key }
    return this.#write(caller, write, false, (state, owner, now) =>
      deleteTodoAt(state, { owner, index, text, limits: this.#most }, now),
    )
  }

  async #several(
    caller: ListCaller,
    operation: string,
    ids: readonly string[],
    { key }: Safely = {},
    decide: (
      state: State,
      several: { owner: string; ids: readonly string[]; limits: ListLimits },
      now: number,
    ) => Decision<TodoEvent, BatchResult>,
  ): Promise<BatchResult> {
    requireScope(caller, WRITE)
    requireBatch(ids)
    return this.#write(caller, { operation, input: ids, key }, false, (state, owner, now) =>
      decide(state, { owner, ids, limits: this.#most }, now),
    )
  }

  async #read<T>(caller: ListCaller, look: (state: State, owner: string, now: number) => T): Promise<T> {
    requireScope(caller, READ)
    // A list that nobody has written to yet is empty, and no id is empty.
    return this.#ledger.ask(caller, (state, now) => look(state, ownerId(state, caller.owner) ?? '', now))
  }

  /**
   * Takes a decision, once for each key. What it records is counted against the limit before it is recorded.
   * @param begins whether a list that is not there yet begins with this write
   */
  async #write<T>(caller: ListCaller, write: Write, begins: boolean, decide: Decide<T>): Promise<T> {
    const { operation, input, key } = write
    if (key !== undefined && !/^[\x21-\x7e]{1,255}$/.test(key)) throw new Refused('idempotency_key_malformed')
    const decideWrite = (state: State, now: number): Decision<Event, T> => {
      let owner = ownerId(state, caller.owner)
      const begin = () => {
        owner = newId(now)
        return { id: owner, key: newKey() }
      }
      const run = () =>
        begins ? inList(state, caller.owner, begin, (id) => decide(state, id, now)) : decide(state, owner ?? '', now)
      const once = (of: string) => ({
        key: keyOf(caller, of),
        request: digestOf([operation, input]),
        owner: () => owner,
        size: this.#most.size,
        sizeOfAll: this.#most.sizeOfAll,
      })
      return key === undefined ? run() : decideOnce(state, once(key), run, now)
    }
    return this.#ledger.transact(caller, decideWrite, (facts) =>
      this.#limits.refusal(caller.meter, 'write', caller.budget, costOf(facts)),
    )
  }
}

function* openedTexts(rows: readonly Row[]): Generator<string> {
  for (const row of rows) yield itemOf(row).todo
}

/** How many changes events count as: each one, or one for each 512 bytes of its text as stored. */
const costOf = (facts: readonly Fact[]): number =>
  facts.reduce((sum, { personal = {} }) => sum + Math.max(1, Math.ceil(storedSize(personal) / 512)), 0)

/** A key is one list's, and that of the app or API key through which it came. */
const keyOf = ({ owner, via, actor }: ListCaller, key: string): string => {
  const list = 'user' in owner ? ['user', owner.user] : ['list', owner.list.toLowerCase()]
  return digestOf([...list, via.client ?? via.key ?? actor.id, key])
}

/** A digest of plain data, whatever the order of its members. Unlike canonical JSON it takes any text. */
const digestOf = (value: unknown): string => digest(JSON.stringify(value, sortedMembers))
const sortedMembers = (_: string, value: unknown): unknown =>
  typeof value === 'object' && value !== null && !Array.isArray(value)
    ? Object.fromEntries(Object.entries(value).sort(([a], [b]) => (a < b ? -1 : 1)))
    : value

function requireBatch(named: readonly unknown[]): void {
  if (named.length < 1 || named.length > MAX_BATCH) throw new Refused('batch_invalid')
}

/** Refuses before anything is counted or decided. The decision asks again. */
function requireRight(change: Change): void {
  const wrong = changeWrong(change)
  if (wrong !== undefined) throw new Refused(wrong)
}

/** A to-do in one line: the beginning of its text. */
export const titleOf = ({ todo }: Item): string => excerptOf(todo.replace(/\s+/g, ' ').trim())

/** The entity tag of a to-do (RFC 9110 §8.8.3): another one after each change of what callers see. */
export const etagOf = (item: Item): string =>
  `"${createHash('sha256').update(JSON.stringify(item)).digest('base64url').slice(0, 22)}"`

function searchOf(query: Query): Omit<Search, 'owner' | 'after' | 'maxCharacters'> {
  const { query: text = '', state = 'open', sort = 'order', limit = DEFAULT_LIMIT } = query
  const { due_before: dueBefore, due_after: dueAfter } = query
  for (const [name, value] of [
    ['due_before', dueBefore],
    ['due_after', dueAfter],
  ] as const)
    if (value !== undefined && !isDue(value))
      throw new Refused('filter_invalid', `"${name}" must be a date (2026-12-01) or a date and time with offset.`)
  if (text.length > MAX_QUERY_LENGTH)
    throw new Refused('filter_invalid', `A query has at most ${MAX_QUERY_LENGTH} characters.`)
  if (!Number.isSafeInteger(limit) || limit < 1 || limit > MAX_LIMIT)
    throw new Refused('filter_invalid', `"limit" must be a whole number from 1 to ${MAX_LIMIT}.`)
  const words = new Set(text.toLowerCase().match(/\S+/g))
  if (words.size > MAX_WORDS) throw new Refused('filter_invalid', `A query has at most ${MAX_WORDS} words.`)
  const filter: Filter = { state: oneOf('state', STATES, state), words: [...words], dueBefore, dueAfter }
  return { filter, sort: oneOf('sort', SORTS, sort), limit }
}

function oneOf<T extends string>(name: string, known: readonly T[], value: string): T {
  const found = known.find((one) => one === value)
  if (found === undefined) throw new Refused('filter_invalid', `"${name}" must be one of ${known.join(', ')}.`)
  return found
}

/** Marks the search that a cursor belongs to. */
const markOf = ({ query = '', state = 'open', due_before = '', due_after = '', sort = 'order' }: Query): string =>
  digestOf([query, state, due_before, due_after, sort]).slice(0, 16)

const writeCursor = ({ key, rank, id }: Position, mark: string): string =>
  Buffer.from(JSON.stringify([mark, key, rank, id])).toString('base64url')

/** @throws {Refused} `cursor_invalid` */
function readCursor(cursor: string, mark: string): Position {
  if (!/^[\w-]{1,400}$/.test(cursor)) throw new Refused('cursor_invalid')
  let read: unknown
  try {
    read = JSON.parse(Buffer.from(cursor, 'base64url').toString('utf8'))
  } catch {
    throw new Refused('cursor_invalid')
  }
  if (!Array.isArray(read) || read.length !== 4) throw new Refused('cursor_invalid')
  const [of, key, rank, id] = read
  const isRight =
    of === mark &&
    (typeof key === 'string' || typeof key === 'number') &&
    typeof rank === 'number' &&
    typeof id === 'string'
  if (!isRight) throw new Refused('cursor_invalid')
  return { key, rank, id }
}
