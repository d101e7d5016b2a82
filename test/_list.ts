/** A second opinion on one person's list: what Daybook must do with it, as a plain array, sharing no line with it. */

export const MAX_TODOS = 4
const [MINUTE, DAY] = [60_000, 86_400_000]
export const UNDO = 30 * DAY
export const REMEMBERED = DAY

/** Was it done, and which events did it leave? */
export type Outcome = { readonly ok: boolean; readonly events: readonly string[] }
export const done = (...events: string[]): Outcome => ({ ok: true, events })
export const no = (...events: string[]): Outcome => ({ ok: false, events })

/** `undo`: until when a deleted one can be brought back; 0 where it is not deleted. */
type Todo = { id: string; text: string; due: string | null; done: boolean; undo: number }
type Change = { text?: string; due?: string | null; done?: boolean }
type Place = { before: string } | { after: string } | { position: number }
type Kept = { request: string; until: number }

export class List {
  /** All that have a place, deleted ones too, in order. */
  todos: Todo[] = []
  readonly #kept = new Map<string, Kept>()

  #find = (id: string): Todo | undefined => this.todos.find((todo) => todo.id === id && todo.undo === 0)

  get open(): Todo[] {
    return this.todos.filter((todo) => !todo.done && todo.undo === 0)
  }

  get #isFull(): boolean {
    return this.open.length >= MAX_TODOS
  }

  add(id: string, text: string): Outcome {
    if (this.#isFull) return no()
    this.todos.push({ id, text, due: null, done: false, undo: 0 })
    return done('TodoAdded')
  }

  change(id: string, to: Change): Outcome {
    const todo = this.#find(id)
    if (todo === undefined) return no()
    const { text = todo.text, due = todo.due, done: isDone = todo.done } = to
    if (todo.done && !isDone && this.#isFull) return no()
    const events: string[] = []
    if (text !== todo.text || due !== todo.due) events.push('TodoChanged')
    if (isDone !== todo.done) events.push(isDone ? 'TodoCompleted' : 'TodoReopened')
    Object.assign(todo, { text, due, done: isDone })
    return done(...events)
  }

  /** Does it to each of them that it can be done to. */
  several(what: 'complete' | 'reopen' | 'delete' | 'undo', ids: readonly string[], now: number): Outcome {
    const bin = this.#bin()
    return done(...[...new Set(ids)].flatMap((id) => this.#one(what, id, now, bin)))
  }

  #one(what: 'complete' | 'reopen' | 'delete' | 'undo', id: string, now: number, bin: Todo[]): string[] {
    if (what === 'undo') return this.#undo(id, now)
    const todo = this.#find(id)
    if (todo === undefined) return []
    if (what === 'delete') return this.#delete(todo, now, bin)
    const isDone = what === 'complete'
    if (todo.done === isDone || (!isDone && this.#isFull)) return []
    todo.done = isDone
    return [isDone ? 'TodoCompleted' : 'TodoReopened']
  }

  #undo(id: string, now: number): string[] {
    const todo = this.todos.find((one) => one.id === id)
    if (todo === undefined || todo.undo <= now || (!todo.done && this.#isFull)) return []
    todo.undo = 0
    return ['TodoUndeleted']
  }

  /** Deleted ones, the oldest deletion first. */
  #bin = (): Todo[] => this.todos.filter(({ undo }) => undo > 0).sort((a, b) => a.undo - b.undo)

  #delete(todo: Todo, now: number, bin: Todo[]): string[] {
    const gone = bin.splice(0, Math.max(0, bin.length + 1 - MAX_TODOS))
    this.todos = this.todos.filter((one) => !gone.includes(one))
    todo.undo = now + UNDO
    bin.push(todo)
    return ['TodoDeleted']
  }

  deleteAt(index: number, text: string | undefined, now: number): Outcome {
    const todo = this.open[index]
    if (todo === undefined || (text !== undefined && text !== todo.text)) return no()
    return done(...this.#delete(todo, now, this.#bin()))
  }

  move(id: string, place: Place): Outcome {
    const todo = this.#find(id)
    if (todo === undefined) return no()
    const others = this.todos.filter((one) => one !== todo)
    let at: number
    if ('position' in place) {
      const next = this.open.filter((one) => one !== todo)[place.position - 1]
      at = next === undefined ? others.length : others.indexOf(next)
    } else {
      const beside = this.#find('before' in place ? place.before : place.after)
      if (beside === undefined || beside === todo) return no()
      at = others.indexOf(beside) + ('before' in place ? 0 : 1)
    }
    const before = this.todos.indexOf(todo)
    this.todos = others.toSpliced(at, 0, todo)
    return at === before ? done() : done('TodoMoved')
  }

  /** With an idempotency key: an act is done once, and a repeat of it is answered; another act under the key is not. */
  once(key: string, request: string, now: number, act: () => Outcome): Outcome {
    const kept = this.#kept.get(key)
    if (kept !== undefined && now < kept.until) return kept.request === request ? done() : no()
    const outcome = act()
    if (!outcome.ok) return outcome
    this.#kept.set(key, { request, until: now + REMEMBERED })
    return done(...outcome.events, 'OutcomeKept')
  }

  /** What expired in a minute that is over goes. Gives whether anything did. */
  sweep(now: number): boolean {
    const end = Math.floor(now / MINUTE) * MINUTE
    const [todos, kept] = [this.todos.length, this.#kept.size]
    this.todos = this.todos.filter(({ undo }) => undo === 0 || undo >= end)
    for (const [key, { until }] of this.#kept) if (until < end) this.#kept.delete(key)
    return this.todos.length < todos || this.#kept.size < kept
  }

  /** Each to-do in a line, in order. */
  lines(): string[] {
    return this.todos.map(({ id, text, due, done, undo }) => JSON.stringify([id, text, due, done, undo > 0]))
  }
}
