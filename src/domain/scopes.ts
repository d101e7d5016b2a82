/** Scopes: what an app may be allowed to do (RFC 6749 §3.3), as names separated by blanks. */

/** What can be asked for, in words for the user. */
const SCOPES: { readonly [scope: string]: string } = {
  'todos:read': 'see your to-dos',
  'todos:write': 'add, change and delete to-dos',
}
export const SCOPE_NAMES: readonly string[] = Object.keys(SCOPES)
/** The scope of a request that names none (RFC 6749 §3.3: the default is the server's to define): all there is. */
export const DEFAULT_SCOPE = SCOPE_NAMES.join(' ')

/** The names that a scope holds. */
export const scopesOf = (scope: string): string[] => scope.split(' ')

/** A scope in words for the user, one for each permission. */
export const scopeWords = (scope: string): string[] => scopesOf(scope).map((name) => SCOPES[name] ?? name)

/** The scope asked for in canonical order, the default for none, `undefined` when it is malformed or unknown. */
export function normalizeScope(asked: string | undefined): string | undefined {
  if (asked === undefined || asked === '') return DEFAULT_SCOPE
  const names = scopesOf(asked)
  if (names.some((name) => !Object.hasOwn(SCOPES, name))) return undefined
  return SCOPE_NAMES.filter((name) => names.includes(name)).join(' ')
}

/** Does `scope` include everything that `needed` names? */
export function includesScope(scope: string, needed: string): boolean {
  const names = scopesOf(scope)
  return scopesOf(needed).every((name) => names.includes(name))
}

/**
 * RFC 6749 §6: the scope of a refresh "MUST NOT include any scope not originally granted", and if omitted is the one
 * granted. `undefined` when it is malformed, unknown or wider.
 */
export function narrower(asked: string | undefined, granted: string): string | undefined {
  if (asked === undefined || asked === '') return granted
  const scope = normalizeScope(asked)
  return scope !== undefined && includesScope(granted, scope) ? scope : undefined
}
