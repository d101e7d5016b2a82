/** What every room of the domain is made of: facts as drafted, events as recorded, decisions and refusals. */

/** Who did it. A user stands here by immutable id, never by name. */
export type Actor = { readonly kind: 'user' | 'client' | 'operator' | 'system' | 'anonymous'; readonly id: string }

/** How it came: the request, the client it came through, ChatGPT's conversation. What is not known is absent. */
export type Via = {
  readonly request?: string
  readonly client?: string
  /** The API key, by its id. */
  readonly key?: string
  /** The MCP tool. */
  readonly tool?: string
  readonly conversation?: string
}

/** Where a request came from. Personal, so always sealed. */
export type Trace = { readonly ip?: string; readonly agent?: string }

/** Personal text, sealed at rest under its user's key and opened when first read; `undefined` once that key is erased. */
export interface Sealed<T extends object> {
  readonly open: T | undefined
  /** What it takes as it is kept, in characters. */
  readonly size: number
}

/** How many bytes a text takes in UTF-8. */
function utf8Length(text: string): number {
  let bytes = text.length
  for (let i = 0; i < text.length; i++) {
    const unit = text.charCodeAt(i)
    // Half of a surrogate pair is half of four bytes; what else lies past U+07FF takes three.
    if (unit >= 0x80) bytes += unit >= 0x800 && (unit < 0xd800 || unit > 0xdfff) ? 2 : 1
  }
  return bytes
}

/** What personal text takes when it is stored: its JSON, a nonce and a tag, in base64url. characters */
export const storedSize = (texts: object): number => Math.ceil(((28 + utf8Length(JSON.stringify(texts))) * 4) / 3)

/** A fact as a decision drafts it. Numbers in `data` are integers; personal text stands only in `personal`. */
export type Fact = { readonly type: string; readonly data: object; readonly personal?: object }

/** A fact as it stands in the book. `at` is RFC 3339 UTC with milliseconds. */
export type Recorded<F extends Fact> = F extends Fact
  ? {
      readonly seq: number
      readonly id: string
      readonly at: string
      readonly type: F['type']
      readonly actor: Actor
      readonly via: Via
      readonly data: F['data']
      /** Where it came from, sealed apart from the personal text, which rows keep and this they do not. */
      readonly trace?: Sealed<Trace>
    } & (F extends { readonly personal: infer P extends object }
      ? { readonly sealed: Sealed<P> }
      : { readonly sealed?: undefined })
  : never

/** Changes to the vault that belong to a decision: a name and its new value, `undefined` to delete it. */
export type Keeps = { readonly [name: string]: string | undefined }

/**
 * The answer to a request to change something: the facts to record and a result, or the reason why not.
 * A refusal may leave facts behind: a replayed code both fails and ends what it had given (RFC 6749 §4.1.2).
 */
export type Decision<F extends Fact, T = undefined> =
  | { readonly facts: readonly F[]; readonly result: T; readonly keeps?: Keeps; readonly refusal?: undefined }
  | { readonly facts: readonly F[]; readonly refusal: Reason }

export const accept = <F extends Fact, T>(facts: readonly F[], result: T, keeps: Keeps = {}): Decision<F, T> => ({
  facts,
  result,
  keeps,
})
export const refuse = <F extends Fact>(refusal: Reason, ...facts: F[]): Decision<F, never> => ({ facts, refusal })

/** What each event changes. Never refuses and never throws: it has already happened. */
export type On<Rows, F extends Fact> = {
  readonly [T in F['type']]: (rows: Rows, event: Recorded<Extract<F, { type: T }>>) => void
}

/** Names for the ids in an event, as far as they are still known. */
export type Names = { user(id: string): string; client(id: string): string }

/** What each event says to a person who reads the audit: the rest of a sentence that begins with the actor. */
export type Says<F extends Fact> = {
  readonly [T in F['type']]: (event: Recorded<Extract<F, { type: T }>>, names: Names) => string
}

/** Every way Daybook says no, in its own words; `service/refusals.ts` turns them into statuses and words. */
export type Reason =
  // the request itself
  | 'request_malformed'
  | 'parameter_missing'
  | 'parameter_repeated'
  | 'request_too_large'
  | 'media_type_unsupported'
  | 'route_unknown'
  | 'method_not_allowed'
  | 'form_foreign'
  | 'origin_foreign'
  | 'book_unavailable'
  | 'rate_limited'
  | 'deadline_passed'
  | 'member_unknown'
  | 'precondition_failed'
  | 'idempotency_key_malformed'
  | 'idempotency_key_reused'
  // people
  | 'username_invalid'
  | 'username_taken'
  | 'email_invalid'
  | 'email_taken'
  | 'password_length'
  | 'password_common'
  | 'credentials_wrong'
  | 'signup_closed'
  | 'session_ended'
  | 'session_missing'
  | 'operator_only'
  | 'user_unknown'
  | 'user_already_revoked'
  | 'user_not_revoked'
  // clients and their callbacks
  | 'client_unknown'
  | 'client_unauthenticated'
  | 'client_name_invalid'
  | 'client_metadata_invalid'
  | 'client_document_unreadable'
  | 'clients_too_many'
  | 'registration_token_unknown'
  | 'client_id_taken'
  | 'client_built_in'
  | 'client_public'
  | 'secret_from_settings'
  | 'service_token_from_settings'
  | 'redirect_invalid'
  | 'redirect_unregistered'
  | 'redirect_waiting'
  | 'redirects_waiting_too_many'
  | 'redirect_unknown'
  | 'redirect_from_settings'
  | 'redirect_already_allowed'
  // consents, codes and tokens
  | 'consent_unknown'
  | 'consents_too_many'
  | 'consent_denied'
  | 'decision_missing'
  | 'response_type_unsupported'
  | 'state_too_long'
  | 'challenge_method_unsupported'
  | 'challenge_malformed'
  | 'challenge_missing'
  | 'grant_type_unsupported'
  | 'grant_type_foreign'
  | 'scope_invalid'
  | 'code_unknown'
  | 'code_expired'
  | 'code_replayed'
  | 'client_mismatch'
  | 'redirect_mismatch'
  | 'verifier_mismatch'
  | 'resource_foreign'
  | 'resource_mismatch'
  | 'refresh_unknown'
  | 'refresh_expired'
  | 'refresh_replayed'
  | 'refresh_lost'
  | 'successors_too_many'
  | 'grant_unknown'
  // bearers
  | 'token_missing'
  | 'token_unknown'
  | 'scope_insufficient'
  // API keys
  | 'key_unknown'
  | 'key_label_invalid'
  | 'keys_too_many'
  // to-dos
  | 'lists_too_many'
  | 'list_invalid'
  | 'list_foreign'
  | 'list_full'
  | 'list_too_large'
  | 'daybook_full'
  | 'todo_text_invalid'
  | 'todo_too_long'
  | 'todo_index_invalid'
  | 'todo_index_unknown'
  | 'todo_differs'
  | 'todo_unknown'
  | 'todo_not_deleted'
  | 'notes_invalid'
  | 'due_invalid'
  | 'priority_invalid'
  | 'done_invalid'
  | 'place_invalid'
  | 'filter_invalid'
  | 'cursor_invalid'
  | 'batch_invalid'
