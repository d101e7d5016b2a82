/** Client-id documents that were read already: kept while they are fresh, and their hosts left alone after a failure. */
import { DocumentUnreadable, type FetchDocument } from './documents.ts'

type Kept<V> = { readonly value: V; readonly endsAt: number }

const MAX_DOCUMENTS = 500
/**
 * After a failure a URL is not asked again for this time. Error responses must not be cached (draft §5.2): this limits
 * only how often a stranger can make Daybook ask a host.
 */
const BACK_OFF_MS = 30_000

export class DocumentCache<T> {
  readonly #fetch: FetchDocument
  readonly #parse: (json: unknown, url: URL) => T
  readonly #now: () => number
  readonly #documents = new Map<string, Kept<T>>()
  /** Apart from the documents, so that URLs that do not exist cannot push out a document. */
  readonly #failures = new Map<string, Kept<DocumentUnreadable>>()

  /**
   * @param parse throws `DocumentUnreadable` for an invalid document, which is not kept
   *   (draft-ietf-oauth-client-id-metadata-document-02 §5.2)
   * @param now a monotonic clock, ms
   */
  constructor(
    fetch: FetchDocument,
    parse: (json: unknown, url: URL) => T,
    now: () => number = () => performance.now(),
  ) {
    this.#fetch = fetch
    this.#parse = parse
    this.#now = now
  }

  /** The document at a URL, if it was read and is still fresh. */
  known({ href }: URL): T | undefined {
    const document = fresh(this.#documents, href, this.#now())
    if (document === undefined) return undefined
    keep(this.#documents, href, document) // As the last one: the first of the map is what was not used for longest.
    return document.value
  }

  /**
   * The document at a URL, fetched if it is not known or no longer fresh.
   * @throws {DocumentUnreadable} also for some time after a failure, without asking the host again
   */
  async read(url: URL): Promise<T> {
    const document = this.known(url)
    if (document !== undefined) return document
    const { href } = url
    const failure = fresh(this.#failures, href, this.#now())
    if (failure !== undefined) throw failure.value
    try {
      const { json, freshMs } = await this.#fetch(url)
      const value = this.#parse(json, url)
      keep(this.#documents, href, { value, endsAt: this.#now() + freshMs })
      return value
    } catch (error) {
      if (error instanceof DocumentUnreadable && error.wasTried)
        keep(this.#failures, href, { value: error, endsAt: this.#now() + BACK_OFF_MS })
      throw error
    }
  }
}

function fresh<V>(entries: Map<string, Kept<V>>, key: string, now: number): Kept<V> | undefined {
  const known = entries.get(key)
  if (known === undefined || known.endsAt > now) return known
  entries.delete(key)
  return undefined
}

/** Puts an entry last, and drops the first when there are too many. */
function keep<V>(entries: Map<string, Kept<V>>, key: string, entry: Kept<V>): void {
  entries.delete(key)
  entries.set(key, entry)
  const [first] = entries.keys()
  if (entries.size > MAX_DOCUMENTS && first !== undefined) entries.delete(first)
}
