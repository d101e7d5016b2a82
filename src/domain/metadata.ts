/** What a client says of itself: registration metadata (RFC 7591 §2), and the document at its client ID. */
import { AUTH_METHODS, type AuthMethod, GRANT_TYPES, type GrantType, isClientName } from './clients.ts'
import { isRedirectUri } from './redirects.ts'
import type { Reason } from './shape.ts'

/** A client as it describes itself, checked. */
export type Description = {
  readonly name: string
  readonly redirects: readonly string[]
  readonly grantTypes: readonly GrantType[]
  readonly authMethod: AuthMethod
}
/** What is wrong with a description, for the developer of the client. */
export type Wrong = { readonly reason: Reason; readonly detail: string }

export type Metadata = { readonly [member: string]: unknown }

/** How many redirect URIs a client may have by its own word, and how long they may be together. */
export const MAX_REDIRECTS = 20
export const MAX_REDIRECTS_LENGTH = 4096

const wrong = (detail: string, reason: Reason = 'client_metadata_invalid'): Wrong => ({ reason, detail })

/** Registration metadata (RFC 7591 §2). Unknown members are ignored. */
export function readRegistration(given: Metadata): Description | Wrong {
  const asked = given.token_endpoint_auth_method ?? 'client_secret_basic' // RFC 7591 §2: the default.
  const authMethod = AUTH_METHODS.find((method) => method === asked)
  if (authMethod === undefined) return wrong(`token_endpoint_auth_method may be any of: ${AUTH_METHODS.join(', ')}.`)
  return readCommon(given, authMethod)
}

/**
 * The document that stands at a client ID. Its client is public: it has no secret here, so it needs PKCE.
 * A client may name `private_key_jwt` as the one method it prefers, and `none` only among those it supports.
 */
export function readDocument(url: string, given: Metadata): Description | Wrong {
  if (given.client_id !== url) return wrong('its client_id is not the address that it stands at.')
  if ('client_secret' in given || 'client_secret_expires_at' in given) return wrong('it has a client_secret.')
  const { token_endpoint_auth_method: one, token_endpoint_auth_methods_supported: several } = given
  const isSilent = one === undefined && several === undefined
  if (!isSilent && one !== 'none' && !(Array.isArray(several) && several.includes('none')))
    return wrong('it must support token_endpoint_auth_method none.')
  if (given.client_name === undefined) return wrong('its client_name is missing.')
  return readCommon(given, 'none')
}

function readCommon(given: Metadata, authMethod: AuthMethod): Description | Wrong {
  const redirects = readRedirects(given.redirect_uris, authMethod === 'none')
  if ('reason' in redirects) return redirects
  if (hasScript(given)) return wrong('a member names a script or data instead of an address.')
  const name = given.client_name ?? 'An app without a name'
  if (typeof name !== 'string' || !isClientName(name))
    return wrong('client_name must be 1 to 60 printable characters.', 'client_name_invalid')
  const responseTypes = given.response_types ?? ['code']
  if (!Array.isArray(responseTypes) || !responseTypes.includes('code')) return wrong('response_types must have code.')
  // RFC 7591 §3.2.1 lets the server choose: without refresh tokens people would have to sign in every hour.
  const asked = given.grant_types ?? GRANT_TYPES
  if (!Array.isArray(asked) || !asked.includes('authorization_code'))
    return wrong('grant_types must have authorization_code.')
  return { name, redirects, grantTypes: GRANT_TYPES.filter((type) => asked.includes(type)), authMethod }
}

function readRedirects(given: unknown, isPublic: boolean): readonly string[] | Wrong {
  const invalid = (detail: string): Wrong => wrong(detail, 'redirect_invalid')
  if (!Array.isArray(given) || given.length === 0) return invalid('redirect_uris must be a list with a redirect URI.')
  const uris = given.filter((uri) => typeof uri === 'string')
  if (given.length > MAX_REDIRECTS || uris.join('').length > MAX_REDIRECTS_LENGTH)
    return invalid(`redirect_uris may be ${MAX_REDIRECTS}, with ${MAX_REDIRECTS_LENGTH} characters together.`)
  const bad = given.findIndex((uri) => typeof uri !== 'string' || !isRedirectUri(uri, isPublic))
  if (bad < 0) return [...new Set(uris)]
  return invalid(
    `redirect_uris[${bad}] must be an absolute https URL, or http on loopback, or, for a client without a secret, a ` +
      'private-use scheme with a dot; without fragment, user name, or a parameter of the answer.',
  )
}

/** What a browser would run or show as if it were a page of ours. White space is skipped as URL parsers do. */
const SCRIPT = /^[\s\0-\x20]*(j\s*a\s*v\s*a|v\s*b)\s*s\s*c\s*r\s*i\s*p\s*t\s*:|^[\s\0-\x20]*(data|file|blob|about):/i

/** Does any text in it, however deep, name such a thing? */
function hasScript(given: Metadata): boolean {
  const left: unknown[] = [given]
  while (left.length > 0) {
    const value = left.pop()
    if (typeof value === 'string' && SCRIPT.test(value)) return true
    if (typeof value === 'object' && value !== null) left.push(...Object.values(value))
  }
  return false
}

/** The longest client ID that is an address, in characters. */
const MAX_URL_LENGTH = 2048

/** Is this client ID the address of a document? https, with a path, without fragment and user information. */
export function isDocumentUrl(clientId: string): boolean {
  if (!clientId.startsWith('https://') || clientId.length > MAX_URL_LENGTH) return false
  if (/[^\x21-\x7e]/.test(clientId) || clientId.includes('#') || !URL.canParse(clientId)) return false
  const { href, pathname, username, password, host } = new URL(clientId)
  // Written as every reader writes it: so it has no dot segments, and a host in lower case.
  return href === clientId && pathname !== '/' && username === '' && password === '' && /^[a-z0-9.:[\]-]+$/.test(host)
}
