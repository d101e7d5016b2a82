/** Which addresses Daybook connects to for a stranger: global unicast, and nothing else. */
import test from 'ava'
import { isForbiddenAddress } from '../../src/service/addresses.ts'

/** First and last address of every block that is not global unicast (IANA special-purpose registries), and more. */
const FORBIDDEN = {
  'this network': ['0.0.0.0', '0.255.255.255'],
  private: ['10.0.0.0', '10.255.255.255', '172.16.0.0', '172.31.255.255', '192.168.0.0', '192.168.255.255'],
  'carrier-grade NAT': ['100.64.0.0', '100.127.255.255'],
  loopback: ['127.0.0.0', '127.0.0.1', '127.255.255.255', '::1'],
  'link-local': ['169.254.0.0', '169.254.169.254', '169.254.255.255', 'fe80::1', 'febf:ffff::1', 'fe80::1%eth0'],
  'protocol assignments': ['192.0.0.0', '192.0.0.255', '2001:1::1', '2001:1ff:ffff::1'],
  documentation: ['192.0.2.0', '192.0.2.255', '198.51.100.0', '198.51.100.255', '203.0.113.0', '203.0.113.255'],
  'documentation, IPv6': ['2001:db8::', '2001:db8:ffff::1', '3fff::', '3fff:fff::1'],
  '6to4 relay': ['192.88.99.0', '192.88.99.255'],
  benchmarking: ['198.18.0.0', '198.19.255.255', '2001:2::1', '2001:2:0:ffff::1'],
  multicast: ['224.0.0.0', '239.255.255.255', 'ff00::', 'ff02::1', 'ffff::1'],
  'reserved and broadcast': ['240.0.0.0', '255.255.255.254', '255.255.255.255'],
  unspecified: ['::'],
  'unique local': ['fc00::', 'fd12:3456::1', 'fdff:ffff::1'],
  'site-local': ['fec0::1', 'feff::1'],
  discard: ['100::1', '100:0:0:1::1'],
  'IPv4-mapped': ['::ffff:127.0.0.1', '::ffff:7f00:1', '::ffff:10.0.0.1', '::ffff:8.8.8.8'],
  'IPv4-compatible': ['::127.0.0.1', '::7f00:1', '::8.8.8.8', '::808:808'],
  'IPv4-translated': ['::ffff:0:7f00:1', '::ffff:0:808:808'],
  NAT64: ['64:ff9b::127.0.0.1', '64:ff9b::a00:1', '64:ff9b::169.254.169.254', '64:ff9b::', '64:ff9b:1::808:808'],
  '6to4': ['2002:7f00:1::', '2002:a00:1::1', '2002:808:808::1'],
  Teredo: ['2001::1', '2001:0:ffff::1'],
  ORCHID: ['2001:10::1', '2001:20::1', '2001:30::1'],
  'segment routing': ['5f00::1'],
  'unassigned IPv6': ['200::1', '1000::1', '1fff:ffff::1', '4000::1', '8000::1', 'abcd::1', 'fbff::1', 'fe00::1'],
  'no address': [
    '',
    'localhost',
    '1',
    '127.1',
    '0177.0.0.1',
    '0x7f000001',
    '8.8.8.8:443',
    '[2606:4700::1]',
    ' 8.8.8.8',
  ],
}

for (const [name, addresses] of Object.entries(FORBIDDEN))
  test(`77. forbidden: ${name}`, (t) => {
    for (const address of addresses) t.true(isForbiddenAddress(address), address)
  })

test('public addresses are allowed, up to the edge of each forbidden block', (t) => {
  const v4 = ['1.0.0.0', '8.8.8.8', '9.255.255.255', '11.0.0.0', '100.63.255.255', '100.128.0.0', '126.255.255.255']
  const between = ['128.0.0.0', '169.253.255.255', '169.255.0.0', '172.15.255.255', '172.32.0.0', '192.0.1.0']
  const upper = ['192.167.255.255', '192.169.0.0', '198.17.255.255', '198.20.0.0', '203.0.112.255', '223.255.255.255']
  const v6 = ['2001:200::1', '2001:db7:ffff::1', '2001:db9::1', '2606:4700::1111', '2a00:1450:4001::8a', '3ffe::1']
  const nat64 = ['64:ff9b::8.8.8.8', '64:ff9b::808:808']
  for (const address of [...v4, ...between, ...upper, ...v6, ...nat64]) t.false(isForbiddenAddress(address), address)
})
