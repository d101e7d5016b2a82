/** Rows by key, with indexes, that remember which of them are not on disk yet. Pure data: the ledger mirrors it. */

/** How far into the unwritten a look at the rows went. Shared by all tables of one state. */
export class Sight {
  /** 0: all that was met is durable. 1: some of it is in the batch being written. 2: some of it is in the next one. */
  met: 0 | 1 | 2 = 0
}

type Index<V> = { readonly of: (row: V) => string | undefined; readonly keys: Map<string, Set<string>> }

/** Keys, or index entries, that are not on disk yet. */
type Unwritten = { readonly size: number; has(what: string): boolean }

export class Table<V extends object, I extends string = never> {
  readonly #rows = new Map<string, V>()
  /** Under which values each row stands in the indexes: what `of` says of a row may change, as when its key is erased. */
  readonly #values = new Map<string, readonly (string | undefined)[]>()
  readonly #indexes: ReadonlyMap<I, Index<V>>
  readonly #sight: Sight
  readonly #sizeOf: (row: V) => number
  /** What the rows take: all of them under '', and those with a value under `index NUL value`. */
  readonly #sizes = new Map<string, number>()
  /** Rows changed since the last batch began, and rows of that batch while it is written: what they were before. */
  #gathering = new Map<string, V | undefined>()
  #writing = new Map<string, V | undefined>()
  /** The same for index entries, as `index NUL value`. */
  #gatheringEntries = new Set<string>()
  #writingEntries = new Set<string>()

  /**
   * @param indexes name → the value a row is found by; a row whose value is `undefined` is not in that index
   * @param sizeOf what a row takes, where that is asked for; it never changes
   */
  constructor(
    sight: Sight,
    indexes: { readonly [N in I]: (row: V) => string | undefined },
    sizeOf: (row: V) => number = () => 0,
  ) {
    this.#sight = sight
    this.#sizeOf = sizeOf
    const entries = Object.entries(indexes) as [I, (row: V) => string | undefined][]
    this.#indexes = new Map(entries.map(([name, of]) => [name, { of, keys: new Map() }]))
  }

  hasIndex(name: string): boolean {
    return this.#indexes.has(name as I)
  }

  get size(): number {
    return this.#rows.size
  }

  get(key: string): V | undefined {
    this.#meet(this.#gathering, this.#writing, key)
    return this.#rows.get(key)
  }

  /** Keys of the rows with that value, oldest row in memory first. */
  keysBy(index: I, value: string): string[] {
    this.#meet(this.#gatheringEntries, this.#writingEntries, `${index}\0${value}`)
    return [...(this.#indexes.get(index)!.keys.get(value) ?? [])]
  }

  /** How many rows have that value. */
  countBy(index: I, value: string): number {
    this.#meet(this.#gatheringEntries, this.#writingEntries, `${index}\0${value}`)
    return this.#indexes.get(index)!.keys.get(value)?.size ?? 0
  }

  /** What the rows with that value take. */
  sizeBy(index: I, value: string): number {
    this.#meet(this.#gatheringEntries, this.#writingEntries, `${index}\0${value}`)
    return this.#sizes.get(`${index}\0${value}`) ?? 0
  }

  /** What one row takes. */
  sizeOf(key: string): number {
    const row = this.get(key)
    return row === undefined ? 0 : this.#sizeOf(row)
  }

  /** What all rows take. Counts as having met whatever is unwritten. */
  get totalSize(): number {
    this.#meetAll()
    return this.#sizes.get('') ?? 0
  }

  /** Every value that a row has, in no order. Counts as having met none of the rows. */
  valuesOf(index: I): IterableIterator<string> {
    return this.#indexes.get(index)!.keys.keys()
  }

  by(index: I, value: string): V[] {
    return this.keysBy(index, value).map((key) => this.get(key)!)
  }

  /** All rows. Counts as having met whatever is unwritten. */
  entries(): IterableIterator<[string, V]> {
    this.#meetAll()
    return this.#rows.entries()
  }

  set(key: string, row: V): void {
    this.#change(key, row)
  }

  delete(key: string): void {
    if (this.#rows.has(key)) this.#change(key, undefined)
  }

  deleteBy(index: I, value: string): void {
    for (const key of this.keysBy(index, value)) this.delete(key)
  }

  /** Takes a row from disk: it is durable already. */
  load(key: string, row: V): void {
    this.#put(key, row)
  }

  get hasChanges(): boolean {
    return this.#gathering.size > 0
  }

  /** A batch begins: gives what changed since the last one; `undefined` stands for a row that is not there. */
  beginBatch(): { key: string; row: V | undefined; before: V | undefined }[] {
    ;[this.#gathering, this.#writing] = [new Map(), this.#gathering]
    ;[this.#gatheringEntries, this.#writingEntries] = [new Set(), this.#gatheringEntries]
    return Array.from(this.#writing, ([key, before]) => ({ key, row: this.#rows.get(key), before }))
  }

  /** The batch that began last is on disk. */
  endBatch(): void {
    if (this.#writing.size > 0) this.#writing = new Map()
    if (this.#writingEntries.size > 0) this.#writingEntries = new Set()
  }

  /** What is not on disk has not happened: every row is again what it was when the last batch was. */
  rollBack(): void {
    for (const before of [this.#gathering, this.#writing]) for (const [key, row] of before) this.#put(key, row)
    this.#gathering = new Map()
    this.#gatheringEntries = new Set()
    this.endBatch()
  }

  #change(key: string, row: V | undefined): void {
    const values = this.#values.get(key)
    const before = this.#put(key, row)
    if (!this.#gathering.has(key)) this.#gathering.set(key, before)
    this.#touch(values)
    this.#touch(this.#values.get(key))
  }

  #touch(values: readonly (string | undefined)[] = []): void {
    let i = 0
    for (const name of this.#indexes.keys()) {
      const value = values[i++]
      if (value !== undefined) this.#gatheringEntries.add(`${name}\0${value}`)
    }
  }

  /** Puts a row in its place, or takes it away; gives what stood there. */
  #put(key: string, row: V | undefined): V | undefined {
    const before = this.#rows.get(key)
    if (row === undefined) this.#rows.delete(key)
    else this.#rows.set(key, row)
    const [sizeBefore, size] = [
      before === undefined ? 0 : this.#sizeOf(before),
      row === undefined ? 0 : this.#sizeOf(row),
    ]
    this.#grow('', size - sizeBefore)
    if (this.#indexes.size === 0) return before
    const had = this.#values.get(key)
    const has = row === undefined ? undefined : Array.from(this.#indexes.values(), ({ of }) => of(row))
    if (has === undefined) this.#values.delete(key)
    else this.#values.set(key, has)
    let i = 0
    for (const [name, { keys }] of this.#indexes) {
      const [was, is] = [had?.[i], has?.[i]]
      i++
      if (sizeBefore > 0 && was !== undefined) this.#grow(`${name}\0${was}`, -sizeBefore)
      if (size > 0 && is !== undefined) this.#grow(`${name}\0${is}`, size)
      if (was === is) continue
      if (was !== undefined) removeKey(keys, was, key)
      if (is !== undefined) addKey(keys, is, key)
    }
    return before
  }

  #grow(what: string, by: number): void {
    if (by === 0) return
    const size = (this.#sizes.get(what) ?? 0) + by
    if (size === 0) this.#sizes.delete(what)
    else this.#sizes.set(what, size)
  }

  #meetAll(): void {
    if (this.#gathering.size > 0) this.#sight.met = 2
    else if (this.#writing.size > 0 && this.#sight.met === 0) this.#sight.met = 1
  }

  #meet(gathering: Unwritten, writing: Unwritten, what: string): void {
    if (gathering.size > 0 && gathering.has(what)) this.#sight.met = 2
    else if (writing.size > 0 && this.#sight.met === 0 && writing.has(what)) this.#sight.met = 1
  }
}

/** The minute in which something expires, as rows are indexed by it: so what has expired is found without a search. */
export const minuteOf = (ms: number): string => String(Math.floor(ms / MINUTE_MS))
const MINUTE_MS = 60_000

type Expiring = Pick<Table<object, 'minute'>, 'valuesOf' | 'keysBy'>

/** Keys of the rows, indexed by `minuteOf` their expiry, that have expired before `until`, which is a whole minute. ms */
export const expiredKeys = (table: Expiring, until: number): string[] =>
  [...table.valuesOf('minute')]
    .filter((minute) => Number(minute) * MINUTE_MS < until)
    .flatMap((minute) => table.keysBy('minute', minute))

function addKey(keys: Map<string, Set<string>>, value: string, key: string): void {
  const found = keys.get(value)
  if (found === undefined) keys.set(value, new Set([key]))
  else found.add(key)
}

function removeKey(keys: Map<string, Set<string>>, value: string, key: string): void {
  const found = keys.get(value)!
  found.delete(key)
  if (found.size === 0) keys.delete(value)
}
