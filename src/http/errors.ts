/** Inside we say why; outside we say what the reader may know: reason → status and word, one table per surface. */
import type { Context } from 'koa'
import type { Reason } from '../domain/shape.ts'
import type { Refused } from '../ledger/ledger.ts'

type Answer = readonly [status: number, word: string, sentence: string]
type Table = { readonly [R in Reason]: Answer }

const UNAVAILABLE = 'The book cannot be written at the moment. Nothing was changed; try again shortly.'

/** The API and the pages: a word for programs, a sentence for people. */
const plain: Table = {
  request_malformed: [400, 'invalid_request', 'The request could not be read.'],
  parameter_missing: [400, 'invalid_request', 'Something is missing in the request.'],
  request_too_large: [413, 'too_large', 'The request is larger than Daybook takes.'],
  media_type_unsupported: [
    415,
    'unsupported_media_type',
    'The body must be UTF-8 JSON with Content-Type: application/json.',
  ],
  route_unknown: [404, 'not_found', 'There is nothing here.'],
  method_not_allowed: [405, 'method_not_allowed', 'That method is not allowed here; Allow says which are.'],
  form_foreign: [
    403,
    'forbidden',
    'This form did not come from a page that Daybook just gave you. Load the page again and retry.',
  ],
  book_unavailable: [503, 'unavailable', UNAVAILABLE],
  username_invalid: [400, 'invalid_username', 'A username is 1 to 64 letters, digits, dots, hyphens or underscores.'],
  username_taken: [409, 'username_taken', 'That username is taken.'],
  email_invalid: [400, 'invalid_email', 'That does not look like an e-mail address.'],
  email_taken: [409, 'email_taken', 'That e-mail address belongs to an account already.'],
  password_length: [400, 'invalid_password', 'A password has 8 to 1,024 characters.'],
  credentials_wrong: [400, 'invalid_credentials', 'That username or password is not right.'],
  signup_closed: [403, 'signup_closed', 'This Daybook takes no new accounts. Ask its operator for one.'],
  session_ended: [403, 'session_ended', 'You have been signed out meanwhile. Sign in and try again.'],
  user_unknown: [404, 'user_unknown', 'There is no user of that name.'],
  user_already_revoked: [409, 'user_revoked', 'That user is revoked already.'],
  user_not_revoked: [409, 'user_not_revoked', 'That user is not revoked.'],
  client_unknown: [400, 'client_unknown', 'The app that sent you here is not known to this Daybook.'],
  client_unauthenticated: [401, 'invalid_client', 'Client authentication failed.'],
  client_name_invalid: [400, 'invalid_client_name', 'A client name is 1 to 60 printable characters.'],
  secret_from_settings: [409, 'secret_from_settings', 'That secret is set by OPENAI_CLIENT_SECRET: change it there.'],
  redirect_invalid: [
    400,
    'invalid_redirect_uri',
    'A callback is an absolute https URL (http on loopback) without fragment.',
  ],
  redirect_unregistered: [
    400,
    'redirect_unregistered',
    'The app asked to be answered at an address that is not one of its own.',
  ],
  redirect_waiting: [400, 'redirect_waiting', 'The operator of this Daybook has to allow this connection first.'],
  redirect_waiting_full: [
    400,
    'redirect_waiting_full',
    'Too many connections wait to be allowed by the operator already.',
  ],
  redirect_already_allowed: [409, 'redirect_already_allowed', 'That callback is allowed already.'],
  consent_unknown: [403, 'consent_unknown', 'This request was answered already, or it is too old.'],
  decision_missing: [400, 'invalid_request', 'Please choose one of the two buttons.'],
  grant_type_unsupported: [400, 'unsupported_grant_type', 'That grant type is not supported.'],
  grant_type_foreign: [400, 'unauthorized_client', 'That grant type is not for this client.'],
  scope_invalid: [400, 'invalid_scope', 'That scope is unknown or wider than what was granted.'],
  code_unknown: [400, 'invalid_grant', 'That code is not valid.'],
  code_expired: [400, 'invalid_grant', 'That code is not valid.'],
  code_replayed: [400, 'invalid_grant', 'That code is not valid.'],
  client_mismatch: [400, 'invalid_grant', 'That grant is not valid.'],
  redirect_mismatch: [400, 'invalid_grant', 'That grant is not valid.'],
  verifier_mismatch: [400, 'invalid_grant', 'That grant is not valid.'],
  resource_mismatch: [400, 'invalid_target', 'That resource is not the one of the grant.'],
  refresh_unknown: [400, 'invalid_grant', 'That grant is not valid.'],
  refresh_expired: [400, 'invalid_grant', 'That grant is not valid.'],
  refresh_replayed: [400, 'invalid_grant', 'That grant is not valid.'],
  token_missing: [401, 'unauthorized', 'An access token is needed: Authorization: Bearer …'],
  token_unknown: [401, 'invalid_token', 'The access token is malformed, expired or revoked.'],
  scope_insufficient: [403, 'insufficient_scope', 'The access token does not allow that.'],
  list_invalid: [
    400,
    'invalid_username',
    'A list is named by a username: 1 to 64 letters, digits, dots, hyphens or underscores.',
  ],
  list_foreign: [
    403,
    'forbidden',
    'The access token is for another list. Use "me" for the list of the signed-in user.',
  ],
  list_full: [409, 'list_full', 'The list is full: delete something first.'],
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
const INVALID_REQUEST: Answer = [
  400,
  'invalid_request',
  'The request is missing a parameter, repeats one, or is malformed.',
]

/** The token endpoint: the bare words of RFC 6749 §5.2. All that is wrong with a grant looks the same from outside. */
const oauth: Table = {
  ...plain,
  request_malformed: INVALID_REQUEST,
  parameter_missing: INVALID_REQUEST,
  route_unknown: [404, 'invalid_request', 'There is nothing here.'],
  method_not_allowed: [405, 'invalid_request', 'That method is not allowed here; Allow says which are.'],
  request_too_large: [413, 'invalid_request', 'The request is larger than Daybook takes.'],
  media_type_unsupported: [
    400,
    'invalid_request',
    'The body must be a UTF-8 form or JSON, and say so in Content-Type.',
  ],
  book_unavailable: [503, 'temporarily_unavailable', UNAVAILABLE],
  client_unknown: [401, 'invalid_client', 'Client authentication failed.'],
  code_unknown: INVALID_GRANT,
  code_expired: INVALID_GRANT,
  code_replayed: INVALID_GRANT,
  client_mismatch: INVALID_GRANT,
  redirect_mismatch: INVALID_GRANT,
  verifier_mismatch: INVALID_GRANT,
  refresh_unknown: INVALID_GRANT,
  refresh_expired: INVALID_GRANT,
  refresh_replayed: INVALID_GRANT,
}

/** What a refusal says to a person. */
export const sentence = (reason: Reason): string => plain[reason][2]
export const statusOf = (reason: Reason): number => plain[reason][0]

/** How long to wait before trying again while the book cannot be written. */
export const RETRY_AFTER_S = '5'

/** Answers in JSON, as the API does. */
export function answerJson(ctx: Context, refused: Refused, publicUrl: string): void {
  const [status, word, message] = plain[refused.reason]
  ctx.status = status
  ctx.body = { error: word, message: detailOf(refused) ?? message, request_id: ctx.response.get('X-Request-Id') }
  if (status === 503) ctx.set('Retry-After', RETRY_AFTER_S)
  const challenge = challengeFor(refused.reason, publicUrl)
  if (challenge !== undefined) ctx.set('WWW-Authenticate', challenge)
}

/** RFC 6750 §3, with the metadata of RFC 9728 §5.1. No error word for who showed no credentials (RFC 6750 §3.1). */
function challengeFor(reason: Reason, publicUrl: string): string | undefined {
  const metadata = `resource_metadata="${publicUrl}/.well-known/oauth-protected-resource"`
  if (reason === 'token_missing') return `Bearer ${metadata}`
  if (reason === 'token_unknown' || reason === 'scope_insufficient')
    return `Bearer error="${plain[reason][1]}", error_description="${plain[reason][2]}", ${metadata}`
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
