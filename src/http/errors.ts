/** Inside we say why; outside we say what the reader may know: reason → status and word, one table per surface. */
import type { Context } from 'koa'
import { type AuthorizeReason, SCOPE_NAMES } from '../domain/consents.ts'
import type { Reason } from '../domain/shape.ts'
import type { Refused } from '../ledger/ledger.ts'
import type { Settings } from './settings.ts'

type Answer = readonly [status: number, word: string, sentence: string]
type Table = { readonly [R in Reason]: Answer }

/** What does not come up there. If it does, it is a bug, and looks like one. */
const NEVER: Answer = [500, 'server_error', 'Something went wrong inside Daybook.']
const LIMITED = 'That was too often. Wait a while; Retry-After says how long.'
const LATE = 'This took too long, so it is not known whether it was done. Look, and try again.'
const UNAVAILABLE = 'The book cannot be written at the moment. Nothing was changed; try again shortly.'

/** The API and the pages: a word for programs, a sentence for people. */
const plain: Table = {
  request_malformed: [400, 'invalid_request', 'The request could not be read.'],
  parameter_missing: [400, 'invalid_request', 'Something is missing in the request.'],
  parameter_repeated: [400, 'invalid_request', 'Something is given more than once in the request.'],
  request_too_large: [413, 'too_large', 'The request is larger than Daybook takes.'],
  media_type_unsupported: [
    415,
    'unsupported_media_type',
    'The body must be UTF-8 JSON with Content-Type: application/json.',
  ],
  route_unknown: [404, 'not_found', 'There is nothing at this address.'],
  method_not_allowed: [405, 'method_not_allowed', 'That method is not allowed here; Allow says which are.'],
  form_foreign: [
    403,
    'forbidden',
    'This form did not come from a page that Daybook just gave you. Load the page again and retry.',
  ],
  origin_foreign: [
    403,
    'forbidden',
    'Nobody signs in here, so the Host must be the one of PUBLIC_URL, localhost or an address, and the Origin in CORS_ORIGINS.',
  ],
  book_unavailable: [503, 'unavailable', UNAVAILABLE],
  rate_limited: [429, 'rate_limited', LIMITED],
  deadline_passed: [503, 'timeout', LATE],
  username_invalid: [400, 'invalid_username', 'A username is 1 to 64 letters, digits, dots, hyphens or underscores.'],
  username_taken: [409, 'username_taken', 'That username is taken.'],
  email_invalid: [400, 'invalid_email', 'That does not look like an e-mail address.'],
  email_taken: [409, 'email_taken', 'That e-mail address belongs to an account already.'],
  password_length: [400, 'invalid_password', 'A password has 8 to 1,024 characters.'],
  password_common: [
    400,
    'invalid_password',
    'That password is one of the first that others would try. Choose another: a few words in a row are good.',
  ],
  credentials_wrong: [400, 'invalid_credentials', 'That username or password is not right.'],
  signup_closed: [403, 'signup_closed', 'This Daybook takes no new accounts. Ask its operator for one.'],
  session_ended: [403, 'session_ended', 'You have been signed out meanwhile. Sign in and try again.'],
  session_missing: [401, 'unauthorized', 'Sign in first.'],
  operator_only: [403, 'forbidden', 'Only an operator may look at this.'],
  user_unknown: [404, 'user_unknown', 'There is no user of that name.'],
  user_already_revoked: [409, 'user_revoked', 'That user is revoked already.'],
  user_not_revoked: [409, 'user_not_revoked', 'That user is not revoked.'],
  client_unknown: [400, 'client_unknown', 'The app that sent you here is not known to this Daybook.'],
  client_unauthenticated: [401, 'invalid_client', 'Client authentication failed.'],
  client_name_invalid: [400, 'invalid_client_name', 'A client name is 1 to 60 printable characters.'],
  client_id_taken: [409, 'client_id_taken', 'That client ID belongs to another client.'],
  secret_from_settings: [409, 'secret_from_settings', 'That secret is set by OPENAI_CLIENT_SECRET: change it there.'],
  service_token_from_settings: [
    409,
    'secret_from_settings',
    'The service token is set by SERVICE_TOKEN: change it there.',
  ],
  client_built_in: [409, 'client_built_in', 'ChatGPT’s own client stays; rotate-secret shuts it out.'],
  client_public: [409, 'client_public', 'That client is public: it has no secret.'],
  redirect_invalid: [
    400,
    'invalid_redirect_uri',
    'A callback is an absolute https URL (http on loopback) as a browser writes it, without fragment, user name or answer.',
  ],
  redirect_unregistered: [
    400,
    'redirect_unregistered',
    'The app asked to be answered at an address that is not one of its own.',
  ],
  redirect_waiting: [400, 'redirect_waiting', 'The operator of this Daybook has to allow this connection first.'],
  redirects_waiting_too_many: [
    400,
    'redirect_unregistered',
    'The operator of this Daybook has to allow this connection first, and their list of such requests is full.',
  ],
  redirect_unknown: [404, 'redirect_unknown', 'That callback is neither allowed nor waiting.'],
  redirect_from_settings: [
    409,
    'redirect_from_settings',
    'That callback is set by OPENAI_REDIRECT_URIS: change it there.',
  ],
  redirect_already_allowed: [409, 'redirect_already_allowed', 'That callback is allowed already.'],
  consent_unknown: [403, 'consent_unknown', 'This request was answered already, or it is too old.'],
  consent_denied: NEVER,
  decision_missing: [400, 'invalid_request', 'Please choose one of the two buttons.'],
  response_type_unsupported: NEVER,
  state_too_long: NEVER,
  challenge_method_unsupported: NEVER,
  challenge_malformed: NEVER,
  challenge_missing: NEVER,
  grant_type_unsupported: [400, 'unsupported_grant_type', 'That grant type is not supported.'],
  grant_type_foreign: [400, 'unauthorized_client', 'That grant type is not for this client.'],
  scope_invalid: [400, 'invalid_scope', 'That scope is unknown or wider than what was granted.'],
  code_unknown: [400, 'invalid_grant', 'That code is not valid.'],
  code_expired: [400, 'invalid_grant', 'That code is not valid.'],
  code_replayed: [400, 'invalid_grant', 'That code is not valid.'],
  client_mismatch: [400, 'invalid_grant', 'That grant is not valid.'],
  redirect_mismatch: [400, 'invalid_grant', 'That grant is not valid.'],
  verifier_mismatch: [400, 'invalid_grant', 'That grant is not valid.'],
  resource_foreign: NEVER,
  resource_mismatch: [400, 'invalid_target', 'That resource is not the one of the grant.'],
  refresh_unknown: [400, 'invalid_grant', 'That grant is not valid.'],
  refresh_expired: [400, 'invalid_grant', 'That grant is not valid.'],
  refresh_replayed: [400, 'invalid_grant', 'That grant is not valid.'],
  refresh_lost: [400, 'invalid_grant', 'That grant is not valid.'],
  grant_unknown: [404, 'grant_unknown', 'There is no connection or approval of that ID.'],
  token_missing: [401, 'unauthorized', 'An access token is needed: Authorization: Bearer …'],
  token_unknown: [401, 'invalid_token', 'The access token is malformed, expired or revoked.'],
  scope_insufficient: [403, 'insufficient_scope', 'The access token does not allow that.'],
  list_invalid: [
    400,
    'invalid_username',
    'A list is named by 1 to 64 letters, digits, dots, hyphens or underscores; "me" only where users sign in.',
  ],
  list_foreign: [
    403,
    'forbidden',
    'The access token is for another list. Use "me" for the list of the signed-in user.',
  ],
  key_unknown: [404, 'key_unknown', 'There is no API key of that ID.'],
  key_label_invalid: [400, 'invalid_label', 'A label is 1 to 60 printable characters, such as what the key is for.'],
  keys_too_many: [409, 'too_many_keys', 'There may be 50 keys: revoke one that is not needed any more.'],
  lists_too_many: [409, 'too_many_lists', 'There are as many lists as there may be.'],
  list_full: [409, 'list_full', 'The list is full: delete something first.'],
  daybook_full: [507, 'daybook_full', 'This Daybook holds as many to-dos as it may: tell whoever runs it.'],
  todo_text_invalid: [400, 'invalid_todo', '"todo" must be a text with something in it.'],
  todo_too_long: [413, 'too_large', '"todo" may have at most 10,000 characters.'],
  todo_index_invalid: [400, 'invalid_todo_idx', '"todo_idx" must be a whole number: 0 is the first to-do of the list.'],
  todo_index_unknown: [404, 'not_found', 'There is no to-do at that index. List the to-dos to see which there are.'],
  todo_differs: [409, 'todo_differs', 'Another to-do stands at that index. List the to-dos again.'],
}

const INVALID_GRANT: Answer = [
  400,
  'invalid_grant',
  'The code or token is invalid, expired, revoked or was issued to another client.',
]
const INVALID_CLIENT: Answer = [401, 'invalid_client', 'Client authentication failed.']
const INVALID_REQUEST: Answer = [
  400,
  'invalid_request',
  'The request is missing a parameter, repeats one, or is malformed.',
]

/** The token endpoint: the bare words of RFC 6749 §5.2. All that is wrong with a grant looks the same from outside. */
const oauth: Table = {
  request_malformed: INVALID_REQUEST,
  parameter_missing: INVALID_REQUEST,
  parameter_repeated: INVALID_REQUEST,
  request_too_large: [413, 'invalid_request', 'The request is larger than Daybook takes.'],
  media_type_unsupported: [
    400,
    'invalid_request',
    'The body must be a UTF-8 form or JSON, and say so in Content-Type.',
  ],
  route_unknown: [404, 'invalid_request', 'There is nothing here.'],
  method_not_allowed: [405, 'invalid_request', 'That method is not allowed here; Allow says which are.'],
  book_unavailable: [503, 'temporarily_unavailable', UNAVAILABLE],
  rate_limited: [429, 'temporarily_unavailable', LIMITED],
  deadline_passed: [503, 'temporarily_unavailable', LATE],
  client_unknown: INVALID_CLIENT,
  client_unauthenticated: INVALID_CLIENT,
  grant_type_unsupported: [400, 'unsupported_grant_type', 'That grant type is not supported.'],
  grant_type_foreign: [400, 'unauthorized_client', 'That grant type is not for this client.'],
  scope_invalid: [400, 'invalid_scope', 'That scope is unknown or wider than what was granted.'],
  code_unknown: INVALID_GRANT,
  code_expired: INVALID_GRANT,
  code_replayed: INVALID_GRANT,
  client_mismatch: INVALID_GRANT,
  redirect_mismatch: INVALID_GRANT,
  verifier_mismatch: INVALID_GRANT,
  // RFC 8707 §2.
  resource_mismatch: [400, 'invalid_target', 'That resource is not the one of the grant.'],
  refresh_unknown: INVALID_GRANT,
  refresh_expired: INVALID_GRANT,
  refresh_replayed: INVALID_GRANT,
  refresh_lost: INVALID_GRANT,
  form_foreign: NEVER,
  origin_foreign: NEVER,
  username_invalid: NEVER,
  username_taken: NEVER,
  email_invalid: NEVER,
  email_taken: NEVER,
  password_length: NEVER,
  password_common: NEVER,
  credentials_wrong: NEVER,
  signup_closed: NEVER,
  session_ended: NEVER,
  session_missing: NEVER,
  operator_only: NEVER,
  user_unknown: NEVER,
  user_already_revoked: NEVER,
  user_not_revoked: NEVER,
  client_name_invalid: NEVER,
  client_id_taken: NEVER,
  secret_from_settings: NEVER,
  service_token_from_settings: NEVER,
  client_built_in: NEVER,
  client_public: NEVER,
  redirect_invalid: NEVER,
  redirect_unregistered: NEVER,
  redirect_waiting: NEVER,
  redirects_waiting_too_many: NEVER,
  redirect_unknown: NEVER,
  redirect_from_settings: NEVER,
  redirect_already_allowed: NEVER,
  consent_unknown: NEVER,
  consent_denied: NEVER,
  decision_missing: NEVER,
  response_type_unsupported: NEVER,
  state_too_long: NEVER,
  challenge_method_unsupported: NEVER,
  challenge_malformed: NEVER,
  challenge_missing: NEVER,
  grant_unknown: NEVER,
  resource_foreign: NEVER,
  token_missing: NEVER,
  token_unknown: NEVER,
  scope_insufficient: NEVER,
  list_invalid: NEVER,
  list_foreign: NEVER,
  key_unknown: NEVER,
  key_label_invalid: NEVER,
  keys_too_many: NEVER,
  lists_too_many: NEVER,
  list_full: NEVER,
  daybook_full: NEVER,
  todo_text_invalid: NEVER,
  todo_too_long: NEVER,
  todo_index_invalid: NEVER,
  todo_index_unknown: NEVER,
  todo_differs: NEVER,
}

/** The authorization endpoint's answers to the client: the words of RFC 6749 §4.1.2.1 and RFC 8707 §2. */
export const authorizeErrors: { readonly [R in AuthorizeReason]: readonly [word: string, description: string] } = {
  parameter_repeated: ['invalid_request', 'a parameter is given more than once'],
  parameter_missing: ['invalid_request', 'response_type is missing'],
  response_type_unsupported: ['unsupported_response_type', 'only response_type=code is supported'],
  state_too_long: ['invalid_request', 'state is longer than 4096 characters'],
  scope_invalid: ['invalid_scope', `scope may be any of: ${SCOPE_NAMES.join(', ')}`],
  challenge_method_unsupported: ['invalid_request', 'code_challenge_method must be S256'],
  challenge_malformed: ['invalid_request', 'code_challenge must be 43 characters of base64url'],
  challenge_missing: ['invalid_request', 'code_challenge is missing: this client has no secret'],
  resource_foreign: ['invalid_target', 'resource is not served here'],
  consent_denied: ['access_denied', 'The user said no.'],
}

/** What a refusal says to a person. */
export const sentence = (reason: Reason): string => plain[reason][2]
export const statusOf = (reason: Reason): number => plain[reason][0]

/** How long to wait before trying again while the book cannot be written. */
export const RETRY_AFTER_S = '5'

/** Answers in JSON, as the API does. */
export function answerJson(ctx: Context, refused: Refused, settings: Settings): void {
  const [status, word, message] = plain[refused.reason]
  ctx.status = status
  ctx.body = { error: word, message: detailOf(refused) ?? message, request_id: ctx.response.get('X-Request-Id') }
  if (status === 503) ctx.set('Retry-After', RETRY_AFTER_S)
  const challenge = challengeFor(refused.reason, settings)
  if (challenge !== undefined) ctx.set('WWW-Authenticate', challenge)
}

/**
 * RFC 6750 §3; with the metadata of RFC 9728 §5.1 where there is an authorization server. No error word for who showed no
 * credentials (RFC 6750 §3.1).
 */
function challengeFor(reason: Reason, { authMode, publicUrl }: Settings): string | undefined {
  const where =
    authMode === 'oauth' ? `resource_metadata="${publicUrl}/.well-known/oauth-protected-resource"` : 'realm="Daybook"'
  if (reason === 'token_missing') return `Bearer ${where}`
  if (reason === 'token_unknown' || reason === 'scope_insufficient')
    return `Bearer error="${plain[reason][1]}", error_description="${plain[reason][2]}", ${where}`
  return undefined
}

/** Answers with the words of RFC 6749 §5.2. */
export function answerOAuth(ctx: Context, refused: Refused): void {
  const [status, word, description] = oauth[refused.reason]
  ctx.status = status
  ctx.body = { error: word, error_description: detailOf(refused) ?? description }
  if (status === 503) ctx.set('Retry-After', RETRY_AFTER_S)
  // RFC 6749 §5.2: 401 "MUST include the WWW-Authenticate response header field".
  if (status === 401) ctx.set('WWW-Authenticate', 'Basic realm="Daybook", charset="UTF-8"')
}

/** What a refusal was given to say beyond its reason. */
export const detailOf = (refused: Refused): string | undefined =>
  refused.message === refused.reason ? undefined : refused.message
