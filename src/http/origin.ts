/** How a request came: its id, its conversation, and the address it came from. */
import { BlockList, isIP } from 'node:net'
import type { Context } from 'koa'
import type { Provenance } from '../service/caller.ts'
import type { Meter } from '../service/limits.ts'

/** An id of the caller's own making, kept exactly: what a filter can name, and means nothing to a shell. */
export const isConversation = (text: string): boolean => /^[\w.:/+=@~-]{1,256}$/.test(text)

/** What the limits said during each request. */
const meters = new WeakMap<Context, Meter>()

export function meterOf(ctx: Context): Meter {
  const meter = meters.get(ctx) ?? []
  meters.set(ctx, meter)
  return meter
}

/** How a request came, for the audit and for limits. @param client the app it came through, by Daybook's name for it */
export function provenance(ctx: Context, client?: string): Provenance {
  const conversation = ctx.get('openai-conversation-id')
  const agent = ctx.get('user-agent').slice(0, 256).toWellFormed()
  return {
    via: {
      request: ctx.response.get('X-Request-Id'),
      ...(client === undefined ? {} : { client }),
      ...(isConversation(conversation) ? { conversation } : {}),
    },
    trace: { ip: ctx.request.ip, ...(agent === '' ? {} : { agent }) },
    meter: meterOf(ctx),
  }
}

/**
 * The address of who sent a request: the socket's, or, where that is a trusted proxy, the last one in
 * `X-Forwarded-For` that is not.
 * @param forwarded the header as it came
 */
export function clientAddress(socket: string | undefined, forwarded: string, trusted: BlockList): string {
  let address = plainAddress(socket ?? '')
  if (trusted.rules.length === 0) return address
  const hops = forwarded.split(',').map((hop) => plainAddress(hop.trim()))
  while (isTrusted(address, trusted)) {
    const hop = hops.pop()
    if (hop === undefined || isIP(hop) === 0) break
    address = hop
  }
  return address
}

/** The longest Accept that is weighed: browsers send some 200 characters, and long ones take quadratic time. */
const MAX_ACCEPT_LENGTH = 1024

/** Would who asks rather read a page than JSON? */
export const prefersPage = (ctx: Context): boolean =>
  ctx.get('accept').length <= MAX_ACCEPT_LENGTH && ctx.accepts('json', 'html') === 'html'

/** The host that a request names, as a URL has it; `undefined` where there is none, or it is none. */
export function namedHost(ctx: Context): string | undefined {
  const host = ctx.get('host')
  const url = `http://${host}`
  // RFC 9110 §7.2: a host and perhaps a port, and nothing else that a URL may have.
  return /^[^/?#@\\]+$/.test(host) && URL.canParse(url) ? new URL(url).hostname : undefined
}

/**
 * May a web page have sent this? A page can reach whatever its reader's browser reaches, under a name of its own that it
 * makes point there (DNS rebinding): so a name must be ours. An address cannot be made to point elsewhere.
 */
export const isOwnHost = (ctx: Context, publicUrl: string): boolean => {
  const host = namedHost(ctx)
  if (host === undefined) return ctx.get('host') === ''
  return isLoopbackHost(host) || isAddress(host) || host === new URL(publicUrl).hostname
}

const isAddress = (host: string): boolean => isIP(host.replace(/^\[|\]$/g, '')) !== 0
export const isLoopbackHost = (host: string): boolean => /^(localhost|127\.\d+\.\d+\.\d+|\[::1\])$/.test(host)

/** An IPv6 address as RFC 5952 writes it. */
const shortest = (host: string): string =>
  isIP(host) === 6 && URL.canParse(`http://[${host}]`) ? new URL(`http://[${host}]`).hostname.slice(1, -1) : host

/** An IPv4 address that came over an IPv6 socket is the IPv4 address; a port, as some proxies add it, is none of it. */
function plainAddress(address: string): string {
  const host = /^\[([^\]]+)\](:\d+)?$/.exec(address)?.[1] ?? /^([\d.]+):\d+$/.exec(address)?.[1] ?? address
  const mapped = /^::ffff:(?:([\d.]+)|([\da-f]{1,4}):([\da-f]{1,4}))$/i.exec(shortest(host))
  if (mapped === null) return host
  const [, dotted, high = '', low = ''] = mapped
  const bytes = [high, low].map((part) => Number.parseInt(part, 16)).flatMap((part) => [part >> 8, part & 255])
  return dotted ?? bytes.join('.')
}

const isTrusted = (address: string, trusted: BlockList): boolean => {
  const version = isIP(address)
  return version !== 0 && trusted.check(address, version === 6 ? 'ipv6' : 'ipv4')
}

/** @param ranges addresses and CIDRs @throws {Error} that names what is neither */
export function proxyList(ranges: readonly string[]): BlockList {
  const list = new BlockList()
  for (const range of ranges) {
    const [address = '', bits, ...rest] = range.split('/')
    const version = isIP(address)
    const width = bits === undefined ? undefined : Number(bits)
    const widest = version === 6 ? 128 : 32
    const isWidth = width === undefined || (/^\d+$/.test(bits!) && width <= widest)
    if (version === 0 || rest.length > 0 || !isWidth) throw new Error(`"${range}" is neither an address nor a CIDR`)
    const family = version === 6 ? 'ipv6' : 'ipv4'
    if (width === undefined) list.addAddress(address, family)
    else list.addSubnet(address, width, family)
  }
  return list
}
