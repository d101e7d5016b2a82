/** Redirect URIs: which ones a client may register, and which requests match one (RFC 6749 §3.1.2, RFC 8252 §7). */

/** What an authorization response may carry (RFC 6749 §4.1.2, RFC 9207). */
const ANSWER_PARAMETERS = ['code', 'state', 'iss', 'error', 'error_description', 'error_uri']

/** Schemes without a dot that an application is known to claim on people's devices. */
const KNOWN_SCHEMES: readonly string[] = [
  ...['claude', 'code-oss', 'cursor', 'cursor-nightly', 'goose', 'kiro', 'lmstudio', 'raycast', 'trae', 'vscode'],
  ...['vscode-insiders', 'vscodium', 'warp', 'windsurf', 'windsurf-next', 'zed'],
]

/** The longest redirect URI that is taken, in characters. */
const MAX_LENGTH = 2048

/**
 * An absolute https URI; http on loopback (RFC 8252 §7.3); or, for a public client, a private-use scheme (§7.1). Without
 * fragment (RFC 6749 §3.1.2), user information, or a parameter that the answer will carry.
 */
export function isRedirectUri(uri: string, isPublic: boolean): boolean {
  if (uri.length > MAX_LENGTH || /[^\x21-\x7e]/.test(uri) || uri.includes('#') || !URL.canParse(uri)) return false
  const { href, protocol, hostname, host, username, password, searchParams } = new URL(uri)
  // Written as every browser writes it, so that no reader can take it for another address.
  if (href !== uri && href !== `${uri}/`) return false
  // RFC 6749 §3.1: parameters "MUST NOT be included more than once".
  if (ANSWER_PARAMETERS.some((name) => searchParams.has(name))) return false
  if (username !== '' || password !== '') return false
  if (isPrivateUse(uri)) return isPublic
  if (!/^[a-z0-9.:[\]-]+$/.test(host)) return false
  return protocol === 'https:' || (protocol === 'http:' && ['localhost', '127.0.0.1', '[::1]'].includes(hostname))
}

/**
 * A private-use scheme: a domain name in reverse order, which has a dot (RFC 8252 §7.1), or that of a known application.
 * Schemes that a browser handles itself (`javascript:`, `data:`, `file:` …) have no dot and are not in the list.
 */
function isPrivateUse(uri: string): boolean {
  const scheme = /^([a-z][a-z0-9+.-]*):\//.exec(uri)?.[1]
  if (scheme === undefined) return false
  return /^[a-z0-9+-]+(\.[a-z0-9+-]+)+$/.test(scheme) || KNOWN_SCHEMES.includes(scheme)
}

/** An http URI on loopback: scheme and host, the port if there is one, and the rest. */
const LOOPBACK = /^(http:\/\/(?:127\.0\.0\.1|\[::1\]|localhost))(?::([1-9]\d{0,4}))?((?:[/?].*)?)$/

/**
 * Simple string comparison (RFC 6749 §3.1.2.3, RFC 9700 §2.1), but for the port on loopback, which a program chooses
 * when it runs (RFC 8252 §7.3). `localhost` and `127.0.0.1` are two hosts.
 */
export function matchesRedirect(registered: string, asked: string): boolean {
  if (registered === asked) return true
  const [own, other] = [LOOPBACK.exec(registered), LOOPBACK.exec(asked)]
  if (own === null || other === null || Number(other[2] ?? 80) > 65_535) return false
  return own[1] === other[1] && own[3] === other[3]
}

/** Whether the answer goes to a program on the person's own device: through loopback, or a private-use scheme. */
export const isOnDevice = (uri: string): boolean => LOOPBACK.test(uri) || isPrivateUse(uri)

/**
 * Is this on a host where ChatGPT takes its answers? Only such a callback may wait for an operator, without a query and
 * in letters that mean nothing to a shell: anybody can send it, and an operator will paste it.
 */
export const isChatGptCallback = (uri: string): boolean =>
  /^https:\/\/(chat\.openai\.com|chatgpt\.com)\/[\w./-]{1,200}$/.test(uri) && new URL(uri).href === uri
