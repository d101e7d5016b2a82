/** Rows by key, with indexes, that remember which of them are not on disk yet. Pure data: the ledger mirrors it. */

/** How far into the unwritten a look at the rows went. Shared by all tables of one state. */
export class Sight {
  /** 0: all that was met is durable. 1: some of it is in the batch being written. 2: some of it is in the next one. */
  met: 0 | 1 | 2 = 0
}

type Index<V> = { readonly of: (row: V) => string | undefined; readonly keys: Map<string, Set<string>> }

export class Table<V extends object, I extends string = never> {
  readonly #rows = new Map<string, V>()
  readonly #indexes: ReadonlyMap<I, Index<V>>
  readonly #sight: Sight
  /** Keys changed since the last batch began, and keys of that batch while it is being written. */
  #gathering = new Set<string>()
  #writing = new Set<string>()
  /** The same for index entries, as `index NUL value`. */
  #gatheringEntries = new Set<string>()
  #writingEntries = new Set<string>()

  /** @param indexes name → the value a row is found by; a row whose value is `undefined` is not in that index. */
  constructor(sight: Sight, indexes: { readonly [N in I]: (row: V) => string | undefined }) {
    this.#sight = sight
    const entries = Object.entries(indexes) as [I, (row: V) => string | undefined][]
    this.#indexes = new Map(entries.map(([name, of]) => [name, { of, keys: new Map() }]))
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

  by(index: I, value: string): V[] {
    return this.keysBy(index, value).map((key) => this.get(key)!)
  }

  /** All rows. Counts as having met whatever is unwritten. */
  entries(): IterableIterator<[string, V]> {
    if (this.#gathering.size > 0) this.#sight.met = 2
    else if (this.#writing.size > 0 && this.#sight.met === 0) this.#sight.met = 1
    return this.#rows.entries()
  }

  set(key: string, row: V): void {
    const before = this.#rows.get(key)
    this.#rows.set(key, row)
    this.#gathering.add(key)
    for (const [name, { of, keys }] of this.#indexes) {
      const [was, is] = [before && of(before), of(row)]
      if (was !== undefined) this.#gatheringEntries.add(`${name}\0${was}`)
      if (is !== undefined) this.#gatheringEntries.add(`${name}\0${is}`)
      if (was === is) continue
      if (was !== undefined) removeKey(keys, was, key)
      if (is !== undefined) addKey(keys, is, key)
    }
  }

  delete(key: string): void {
    const row = this.#rows.get(key)
    if (row === undefined) return
    this.#rows.delete(key)
    this.#gathering.add(key)
    for (const [name, { of, keys }] of this.#indexes) {
      const was = of(row)
      if (was === undefined) continue
      removeKey(keys, was, key)
      this.#gatheringEntries.add(`${name}\0${was}`)
    }
  }

  deleteBy(index: I, value: string): void {
    for (const key of this.keysBy(index, value)) this.delete(key)
  }

  /** Takes a row from disk: it is durable already. */
  load(key: string, row: V): void {
    this.#rows.set(key, row)
    for (const { of, keys } of this.#indexes.values()) {
      const value = of(row)
      if (value !== undefined) addKey(keys, value, key)
    }
  }

  get hasChanges(): boolean {
    return this.#gathering.size > 0
  }

  /** A batch begins: gives what changed since the last one, `undefined` for a deleted row. */
  beginBatch(): [string, V | undefined][] {
    ;[this.#gathering, this.#writing] = [new Set(), this.#gathering]
    ;[this.#gatheringEntries, this.#writingEntries] = [new Set(), this.#gatheringEntries]
    return [...this.#writing].map((key) => [key, this.#rows.get(key)])
  }

  /** The batch that began last is on disk. */
  endBatch(): void {
    if (this.#writing.size > 0) this.#writing = new Set()
    if (this.#writingEntries.size > 0) this.#writingEntries = new Set()
  }

  #meet(gathering: Set<string>, writing: Set<string>, what: string): void {
    if (gathering.size > 0 && gathering.has(what)) this.#sight.met = 2
    else if (writing.size > 0 && this.#sight.met === 0 && writing.has(what)) this.#sight.met = 1
  }
}

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
