/** What each reason is outside: one row a reason, for every surface. Inside we say why; outside, what the reader may know. */
import type { AuthorizeReason } from '../domain/consents.ts'
import { SCOPE_NAMES } from '../domain/scopes.ts'
import type { Reason } from '../domain/shape.ts'

/** How a refusal is told. `word` is for programs, `sentence` for people. */
export type Refusal = {
  readonly status: number
  readonly word: string
  readonly sentence: string
  /** For an operator at the command line, where the sentence is for people of the pages. */
  readonly operator?: string
  /** At the token endpoint and its neighbours: the words of RFC 6749 §5.2. Without it, the reason cannot occur there. */
  readonly oauth?: readonly [status: number, word: string, description: string]
  /** In a redirect of the authorization endpoint: the words of RFC 6749 §4.1.2.1 and RFC 8707 §2. */
  readonly redirect?: readonly [word: string, description: string]
  /** What a model should do about it, where the sentence does not say it. */
  readonly mcp?: string
}

const UNREADABLE = 'The request is missing a parameter, repeats one, or is malformed.'
const TOO_LARGE = 'The request is larger than Daybook takes.'
const NO_METHOD = 'That method is not allowed here; Allow says which are.'
const LIMITED = 'Too many requests. Wait a while; Retry-After says how long.'
const LATE = 'This took too long, so it is not known whether it was done. Check before you retry.'
const UNAVAILABLE = 'The book cannot be written at the moment. Nothing was changed; try again shortly.'
const GRANT = 'That grant is not valid.'
const CODE = 'That code is not valid.'
const SUCCESSORS = 'That refresh token was exchanged too often. Use one that was given for it.'
// All that is wrong with a grant looks the same from outside.
const INVALID_GRANT = [
  400,
  'invalid_grant',
  'The code or token is invalid, expired, revoked or was issued to another client.',
] as const
const NO_CLIENT = [401, 'invalid_client', 'Client authentication failed.'] as const
const MALFORMED = [400, 'invalid_request', UNREADABLE] as const

/** A row of the table: status, word and sentence, and what other surfaces say instead. */
const row = (
  status: number,
  word: string,
  sentence: string,
  more: Omit<Refusal, 'status' | 'word' | 'sentence'> = {},
) => ({
  status,
  word,
  sentence,
  ...more,
})
/** A reason that a client learns by redirect. */
const toClient = (status: number, word: string, description: string) => ({
  ...row(status, word, `The app's request was wrong: ${description}.`),
  redirect: [word, description] as const,
})

type Rows = {
  readonly [R in Reason]: R extends AuthorizeReason ? Refusal & Required<Pick<Refusal, 'redirect'>> : Refusal
}

export const refusals: Rows = {
  // The request itself
  request_malformed: row(400, 'invalid_request', 'The request could not be read.', { oauth: MALFORMED }),
  member_unknown: row(400, 'invalid_request', 'The body has a member that is not known here.'),
  parameter_missing: {
    ...row(400, 'invalid_request', 'Something is missing in the request.', { oauth: MALFORMED }),
    redirect: ['invalid_request', 'response_type is missing'],
  },
  parameter_repeated: {
    ...row(400, 'invalid_request', 'Something is given more than once in the request.', { oauth: MALFORMED }),
    redirect: ['invalid_request', 'a parameter is given more than once'],
  },
  request_too_large: row(413, 'too_large', TOO_LARGE, { oauth: [413, 'invalid_request', TOO_LARGE] }),
  media_type_unsupported: row(
    415,
    'unsupported_media_type',
    'The body must be UTF-8 JSON with Content-Type: application/json.',
    { oauth: [400, 'invalid_request', 'The body must be a UTF-8 form or JSON, and say so in Content-Type.'] },
  ),
  route_unknown: row(404, 'not_found', 'There is nothing at this address.', {
    oauth: [404, 'invalid_request', 'There is nothing here.'],
  }),
  method_not_allowed: row(405, 'method_not_allowed', NO_METHOD, { oauth: [405, 'invalid_request', NO_METHOD] }),
  form_foreign: row(
    403,
    'forbidden',
    'This form did not come from a page that Daybook just gave you. Load the page again and retry.',
  ),
  origin_foreign: row(
    403,
    'forbidden',
    'Nobody signs in here, so the Host must be the one of PUBLIC_URL, localhost or an address, and the Origin in CORS_ORIGINS.',
  ),
  book_unavailable: row(503, 'unavailable', UNAVAILABLE, { oauth: [503, 'temporarily_unavailable', UNAVAILABLE] }),
  rate_limited: row(429, 'rate_limited', LIMITED, {
    oauth: [429, 'temporarily_unavailable', LIMITED],
    mcp: 'Too many requests. Stop for now, and tell the user to try again in a few minutes.',
  }),
  deadline_passed: row(503, 'timeout', LATE, {
    oauth: [503, 'temporarily_unavailable', LATE],
    mcp: 'This took too long, so it is not known whether it was done. Call find_todos to check before you retry.',
  }),
  precondition_failed: row(412, 'precondition_failed', 'The to-do has changed since you read it. Read it again.'),
  idempotency_key_malformed: row(
    400,
    'invalid_idempotency_key',
    'An idempotency key is 1 to 255 visible ASCII characters.',
  ),
  idempotency_key_reused: row(
    422,
    'idempotency_key_reused',
    'That idempotency key was used for another request. Use a new key for a new request.',
  ),
  // People
  username_invalid: row(
    400,
    'invalid_username',
    'A username is 1 to 64 letters, digits, dots, hyphens or underscores.',
  ),
  username_taken: row(409, 'username_taken', 'That username is taken.'),
  email_invalid: row(400, 'invalid_email', 'That does not look like an e-mail address.'),
  email_taken: row(409, 'email_taken', 'That e-mail address belongs to an account already.'),
  password_length: row(400, 'invalid_password', 'A password has 8 to 1,024 characters.'),
  password_common: row(
    400,
    'invalid_password',
    'That password is one of the first that others would try. Choose another: a few words in a row are good.',
  ),
  credentials_wrong: row(400, 'invalid_credentials', 'That username or password is not right.'),
  signup_closed: row(403, 'signup_closed', 'This Daybook takes no new accounts. Ask its operator for one.'),
  session_ended: row(403, 'session_ended', 'You have been signed out meanwhile. Sign in and try again.'),
  session_missing: row(401, 'unauthorized', 'Sign in first.'),
  operator_only: row(403, 'forbidden', 'Only an operator may look at this.'),
  user_unknown: row(404, 'user_unknown', 'There is no user of that name.'),
  user_already_revoked: row(409, 'user_revoked', 'That user is revoked already.'),
  user_not_revoked: row(409, 'user_not_revoked', 'That user is not revoked.'),
  // Clients and their callbacks
  client_unknown: row(400, 'client_unknown', 'The app that sent you here is not known to this Daybook.', {
    operator: 'There is no client of that name.',
    oauth: NO_CLIENT,
  }),
  client_unauthenticated: row(401, 'invalid_client', 'Client authentication failed.', { oauth: NO_CLIENT }),
  client_name_invalid: row(400, 'invalid_client_name', 'A client name is 1 to 60 printable characters.', {
    oauth: [400, 'invalid_client_metadata', 'client_name must be 1 to 60 printable characters.'],
  }),
  client_metadata_invalid: row(
    400,
    'invalid_client_metadata',
    'The description of the app is not one that Daybook takes.',
    {
      oauth: [400, 'invalid_client_metadata', 'The client metadata is not one that Daybook takes.'],
    },
  ),
  client_document_unreadable: row(
    400,
    'client_unknown',
    'The app names itself by an address, and what stands at that address does not describe it.',
    { oauth: NO_CLIENT },
  ),
  clients_too_many: row(503, 'unavailable', 'Too many apps have registered lately. Try again in an hour.', {
    oauth: [503, 'temporarily_unavailable', 'Too many clients have registered lately. Try again in an hour.'],
  }),
  registration_token_unknown: row(401, 'invalid_token', 'The registration access token is not valid.', {
    oauth: [401, 'invalid_token', 'The registration access token is not valid.'],
  }),
  client_id_taken: row(409, 'client_id_taken', 'That client ID belongs to another client.'),
  secret_from_settings: row(
    409,
    'secret_from_settings',
    'That secret is set by OPENAI_CLIENT_SECRET: change it there.',
  ),
  service_token_from_settings: row(
    409,
    'secret_from_settings',
    'The service token is set by SERVICE_TOKEN: change it there.',
  ),
  client_built_in: row(409, 'client_built_in', 'ChatGPT’s own client stays; rotate-secret shuts it out.'),
  client_public: row(409, 'client_public', 'That client is public: it has no secret.'),
  redirect_invalid: row(
    400,
    'invalid_redirect_uri',
    'A callback is an absolute https URL (http on loopback) as a browser writes it, without fragment, user name or answer.',
    {
      oauth: [
        400,
        'invalid_redirect_uri',
        'Each redirect URI must be an absolute https URL, http on loopback, or a private-use scheme, without a fragment.',
      ],
    },
  ),
  redirect_unregistered: row(
    400,
    'redirect_unregistered',
    'The app asked to be answered at an address that is not one of its own.',
  ),
  redirect_waiting: row(400, 'redirect_waiting', 'The operator of this Daybook has to allow this connection first.'),
  redirects_waiting_too_many: row(
    400,
    'redirect_unregistered',
    'The operator of this Daybook has to allow this connection first, and their list of such requests is full.',
  ),
  redirect_unknown: row(404, 'redirect_unknown', 'That callback is neither allowed nor waiting.'),
  redirect_from_settings: row(
    409,
    'redirect_from_settings',
    'That callback is set by OPENAI_REDIRECT_URIS: change it there.',
  ),
  redirect_already_allowed: row(409, 'redirect_already_allowed', 'That callback is allowed already.'),
  // Consents, codes and tokens
  consent_unknown: row(403, 'consent_unknown', 'This request was answered already, or it is too old.'),
  consents_too_many: row(
    503,
    'unavailable',
    'Too many people are being asked at the moment. Try again in a few minutes.',
  ),
  consent_denied: {
    ...row(403, 'access_denied', 'The user said no.'),
    redirect: ['access_denied', 'The user said no.'],
  },
  decision_missing: row(400, 'invalid_request', 'Please choose one of the two buttons.'),
  response_type_unsupported: toClient(400, 'unsupported_response_type', 'only response_type=code is supported'),
  state_too_long: toClient(400, 'invalid_request', 'state is longer than 4096 bytes'),
  challenge_method_unsupported: toClient(400, 'invalid_request', 'code_challenge_method must be S256'),
  challenge_malformed: toClient(400, 'invalid_request', 'code_challenge must be 43 characters of base64url'),
  challenge_missing: toClient(400, 'invalid_request', 'code_challenge is missing: this client has no secret'),
  grant_type_unsupported: row(400, 'unsupported_grant_type', 'That grant type is not supported.', {
    oauth: [400, 'unsupported_grant_type', 'That grant type is not supported.'],
  }),
  grant_type_foreign: row(400, 'unauthorized_client', 'That grant type is not for this client.', {
    oauth: [400, 'unauthorized_client', 'That grant type is not for this client.'],
  }),
  scope_invalid: {
    ...toClient(400, 'invalid_scope', `scope may be any of: ${SCOPE_NAMES.join(', ')}`),
    oauth: [400, 'invalid_scope', 'That scope is unknown or wider than what was granted.'],
  },
  code_unknown: row(400, 'invalid_grant', CODE, { oauth: INVALID_GRANT }),
  code_expired: row(400, 'invalid_grant', CODE, { oauth: INVALID_GRANT }),
  code_replayed: row(400, 'invalid_grant', CODE, { oauth: INVALID_GRANT }),
  client_mismatch: row(400, 'invalid_grant', GRANT, { oauth: INVALID_GRANT }),
  redirect_mismatch: row(400, 'invalid_grant', GRANT, { oauth: INVALID_GRANT }),
  verifier_mismatch: row(400, 'invalid_grant', GRANT, { oauth: INVALID_GRANT }),
  resource_foreign: toClient(400, 'invalid_target', 'resource is not served here'),
  // RFC 8707 §2.
  resource_mismatch: row(400, 'invalid_target', 'That resource is not the one of the grant.', {
    oauth: [400, 'invalid_target', 'That resource is not the one of the grant.'],
  }),
  refresh_unknown: row(400, 'invalid_grant', GRANT, { oauth: INVALID_GRANT }),
  refresh_expired: row(400, 'invalid_grant', GRANT, { oauth: INVALID_GRANT }),
  refresh_replayed: row(400, 'invalid_grant', GRANT, { oauth: INVALID_GRANT }),
  refresh_lost: row(400, 'invalid_grant', GRANT, { oauth: INVALID_GRANT }),
  successors_too_many: row(429, 'rate_limited', SUCCESSORS, { oauth: [429, 'temporarily_unavailable', SUCCESSORS] }),
  grant_unknown: row(404, 'grant_unknown', 'There is no connection or approval of that ID.'),
  // Bearers
  token_missing: row(401, 'unauthorized', 'An access token is needed: Authorization: Bearer …'),
  token_unknown: row(401, 'invalid_token', 'The access token is malformed, expired or revoked.', {
    mcp: 'The connection to Daybook has ended. Ask the user to connect Daybook again.',
  }),
  scope_insufficient: row(403, 'insufficient_scope', 'The access token does not allow that.', {
    mcp: 'The user has not allowed this. They can allow it by connecting Daybook again.',
  }),
  // Lists
  list_invalid: row(
    400,
    'invalid_username',
    'No user can have that name. Use "me" as the username: it always means the signed-in user.',
  ),
  list_foreign: row(
    403,
    'forbidden',
    'The access token is for another list. Use "me" for the list of the signed-in user.',
  ),
  lists_too_many: row(409, 'too_many_lists', 'The limit of 10,000 lists is reached.'),
  list_full: row(409, 'list_full', 'The list has reached its limit of open to-dos: complete or delete some first.', {
    mcp: 'The list has reached its limit of open to-dos. Ask the user which are done or may be deleted. Add or reopen none until then.',
  }),
  list_too_large: row(
    409,
    'list_full',
    'The list has reached its size limit. Done to-dos count, too: delete some, or clear notes.',
    {
      mcp: 'The list has reached its size limit. Ask the user which to-dos may be deleted. Until then add no text, notes or due dates.',
    },
  ),
  daybook_full: row(507, 'daybook_full', 'This Daybook holds as much as it may. Tell its operator.', {
    mcp: 'This Daybook is full. Tell the user that its operator has to make room.',
  }),
  // API keys
  key_unknown: row(404, 'key_unknown', 'There is no API key of that ID.'),
  key_label_invalid: row(400, 'invalid_label', 'A label is 1 to 60 printable characters, such as what the key is for.'),
  keys_too_many: row(409, 'too_many_keys', 'There may be 50 keys: revoke one that is not needed any more.'),
  // To-dos
  todo_text_invalid: row(400, 'invalid_todo', '"todo" must be a text with something in it.'),
  todo_too_long: row(413, 'too_large', '"todo" may have at most 10,000 characters.'),
  notes_invalid: row(400, 'invalid_notes', '"notes" must be a text of at most 10,000 characters, or null.'),
  due_invalid: row(
    400,
    'invalid_due',
    '"due" must be a date (2026-12-01), a date and time with offset (2026-12-01T17:00:00+01:00), or null.',
  ),
  priority_invalid: row(400, 'invalid_priority', '"priority" must be 1 (highest), 2, 3, 4, or null.'),
  done_invalid: row(400, 'invalid_done', '"done" must be true or false.'),
  todo_index_invalid: row(
    400,
    'invalid_todo_idx',
    '"todo_idx" must be a whole number: 0 is the first to-do of the list.',
  ),
  todo_index_unknown: row(404, 'not_found', 'There is no to-do at that index. List the to-dos to see which there are.'),
  todo_differs: row(409, 'todo_differs', 'Another to-do stands at that index. List the to-dos again.'),
  todo_unknown: row(404, 'not_found', 'There is no to-do of that ID.', {
    mcp: 'No to-do of this user has that id. Call find_todos to get the ids, and use them exactly.',
  }),
  todo_not_deleted: row(409, 'not_deleted', 'That to-do is not deleted.', {
    mcp: 'That to-do is not deleted, so there is nothing to undo.',
  }),
  place_invalid: row(
    400,
    'invalid_place',
    'Give exactly one of "before" or "after" (the ID of another to-do) or "position" (1 is first).',
  ),
  filter_invalid: row(400, 'invalid_filter', 'The filter could not be read.'),
  cursor_invalid: row(400, 'invalid_cursor', 'That cursor is not of this search. Begin again without a cursor.', {
    mcp: 'That cursor belongs to another search. Repeat the call without a cursor.',
  }),
  batch_invalid: row(400, 'invalid_batch', 'A batch names 1 to 25 to-dos.'),
}

/** What a refusal says to a person. */
export const sentence = (reason: Reason): string => refusals[reason].sentence
