/** IP addresses: which of them lie on the public internet, so that Daybook may connect to them for a stranger. */
import { isIPv4, isIPv6 } from 'node:net'
import ipaddr from 'ipaddr.js'

/** All IPv6 unicast addresses that are assigned so far (RFC 4291 §2.4, IANA IPv6 address space registry). */
const GLOBAL_UNICAST = ipaddr.IPv6.parseCIDR('2000::/3')
/** A NAT64 network puts an IPv4 address into the last 32 bits (RFC 6052 §2.1). IPv6-only hosts reach IPv4 through it. */
const NAT64 = ipaddr.IPv6.parseCIDR('64:ff9b::/96')

/**
 * Is this anything but a global unicast address: loopback, private, link-local, multicast, reserved, or no address?
 * Of the IPv6 forms that embed an IPv4 address, NAT64 is judged by that address. All others are forbidden.
 */
export function isForbiddenAddress(address: string): boolean {
  // `ipaddr.js` also reads `1` and `0177.1`; Node does not, so it is asked first.
  if (isIPv4(address)) return !isPublic(ipaddr.IPv4.parse(address))
  if (!isIPv6(address)) return true
  const parsed = ipaddr.IPv6.parse(address)
  if (parsed.match(NAT64)) return !isPublic(new ipaddr.IPv4(parsed.toByteArray().slice(-4)))
  // `ipaddr.js` calls every address `unicast` that is in none of its ranges, so unassigned space is excluded here.
  return !parsed.match(GLOBAL_UNICAST) || !isPublic(parsed)
}

const isPublic = (address: ipaddr.IPv4 | ipaddr.IPv6): boolean => address.range() === 'unicast'
