/** JSON as strangers send it: where it breaks, and which member its object has twice. Each is one pass over the text. */

const [QUOTE, BACKSLASH, COLON, FIRST_PRINTABLE] = [0x22, 0x5c, 0x3a, 0x20]

/** Escapes of RFC 8259 §7. */
const ESCAPE = /\\(?:["\\/bfnrt]|u[\dA-Fa-f]{4})/y
/** Numbers and words of RFC 8259 §3 and §6. */
const SCALAR = /-?(?:0|[1-9]\d*)(?:\.\d+)?(?:[eE][+-]?\d+)?|true|false|null/y
const BLANKS = /[ \t\n\r]*/y

/** Where a match that begins at `at` ends; `at` itself where there is none. */
function endOf(pattern: RegExp, text: string, at: number): number {
  pattern.lastIndex = at
  return pattern.test(text) ? pattern.lastIndex : at
}

/** The place of the quote that closes a string, or of the first character that may not stand in it. */
function stringEnd(json: string, opening: number): number {
  for (let at = opening + 1; ; at++) {
    const code = json.charCodeAt(at)
    // Past the end the code is NaN.
    if (code === QUOTE || !(code >= FIRST_PRINTABLE)) return at
    if (code !== BACKSLASH) continue
    const end = endOf(ESCAPE, json, at)
    if (end === at) return at
    at = end - 1
  }
}

type Expected = 'value' | 'value or end' | 'name' | 'name or end' | 'colon' | 'comma or end'

/** The place of the first character that makes a text invalid JSON (RFC 8259 §2); `undefined` for valid JSON. */
export function breakOf(json: string): number | undefined {
  const open: ('{' | '[')[] = []
  let expected: Expected = 'value'
  for (let at = 0; ; ) {
    at = endOf(BLANKS, json, at)
    const sign = json[at]
    if (sign === undefined) return open.length === 0 && expected === 'comma or end' ? undefined : at
    const isEnd = sign === (open.at(-1) === '{' ? '}' : ']') && open.length > 0
    let end = at + 1
    if (isEnd && expected.endsWith('or end')) {
      open.pop()
      expected = 'comma or end'
    } else if (expected === 'comma or end') {
      if (sign !== ',' || open.length === 0) return at
      expected = open.at(-1) === '{' ? 'name' : 'value'
    } else if (expected === 'colon') {
      if (sign !== ':') return at
      expected = 'value'
    } else if (sign === '"') {
      end = stringEnd(json, at)
      if (json[end] !== '"') return end
      end++
      expected = expected.startsWith('name') ? 'colon' : 'comma or end'
    } else if (expected.startsWith('name')) return at
    else if (sign === '{' || sign === '[') {
      open.push(sign)
      expected = sign === '{' ? 'name or end' : 'value or end'
    } else {
      end = endOf(SCALAR, json, at)
      if (end === at) return at
      expected = 'comma or end'
    }
    at = end
  }
}

/** Where that is, as an editor counts: lines and columns from 1. */
export function lineAndColumn(text: string, at: number): { readonly line: number; readonly column: number } {
  let [line, start] = [1, 0]
  for (let next = text.indexOf('\n'); next >= 0 && next < at; next = text.indexOf('\n', start)) {
    line++
    start = next + 1
  }
  return { line, column: at - start + 1 }
}

/**
 * The first member that an object, at any depth, has twice: one reader would take the first, another the last
 * (RFC 8259 §4).
 * @param json well-formed
 */
export function repeatedMember(json: string): string | undefined {
  /** The names so far in each object that is open; of an array, nothing. */
  const open: (Set<string> | undefined)[] = []
  let [start, end] = [0, 0]
  for (let at = 0; at < json.length; at++) {
    const code = json.charCodeAt(at)
    if (code === QUOTE) {
      ;[start, end] = [at, stringEnd(json, at) + 1]
      at = end - 1
    } else if (code === COLON) {
      const names = open.at(-1) ?? new Set()
      open[open.length - 1] = names
      const literal = json.slice(start, end)
      const name: string = literal.includes('\\') ? JSON.parse(literal) : literal.slice(1, -1)
      if (names.has(name)) return name
      names.add(name)
    } else if (code === 0x7b || code === 0x5b) open.push(undefined)
    else if (code === 0x7d || code === 0x5d) open.pop()
  }
  return undefined
}
