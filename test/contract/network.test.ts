import { describe, expect, test } from 'vitest'
import { AddressRanges, connectionOf, type Reached } from '../../src/adapters/declared-proxies.ts'
import { networksOf, truncatedNetwork } from '../../src/ports/network.ts'

test.each([
  ['192.0.2.77', '192.0.2.0/24'],
  ['::ffff:192.0.2.77', '192.0.2.0/24'],
  ['::FFFF:c000:24d', '192.0.2.0/24'],
  ['0:0:0:0:0:ffff:192.0.2.77', '192.0.2.0/24'],
  ['2001:db8:abcd:12::1', '2001:db8:abcd::/48'],
  ['2001:DB8:ABCD:0012:0:0:0:1', '2001:db8:abcd::/48'],
  ['2001:db8::', '2001:db8:0::/48'],
  ['64:ff9b::192.0.2.77', '64:ff9b:0::/48'],
  ['fe80::1%eth0', 'fe80:0:0::/48'],
  ['::1', '0:0:0::/48'],
])('the network of %s is %s', (address, network) => {
  expect(truncatedNetwork(address)).toBe(network)
})

test.each([
  '',
  'unknown',
  '_hidden',
  '256.0.2.1',
  '192.0.2',
  '192.0.2.1.5',
  '192.0.2.01',
  ' 192.0.2.1',
  '192.0.2.1\n',
  '192.0.2.1:443',
  '::1::',
  '1:2:3:4:5:6:7',
  '1:2:3:4:5:6:7:8:9',
  '2001:db8::12345',
  '2001:db8::192.0.2.999',
  '%eth0',
  'example.com',
])('what is no address has the one network that all such share: %j', (address) => {
  expect(truncatedNetwork(address)).toBe('unknown')
})

test.each([
  ['192.0.2.77', ['192.0.2.77', '192.0.2.0/24', '192.0.0.0/16']],
  ['::ffff:192.0.2.77', ['192.0.2.77', '192.0.2.0/24', '192.0.0.0/16']],
  [
    '2001:db8:abcd:1234::1',
    ['2001:db8:abcd:1234::/64', '2001:db8:abcd:1200::/56', '2001:db8:abcd::/48', '2001:db8::/32'],
  ],
  ['no address', ['unknown']],
])('the networks of %s are nested: %j', (address, names) => {
  const networks = networksOf(address)
  expect(networks.map(({ name }) => name)).toEqual(names)
  for (const [index, { times }] of networks.entries()) {
    expect(times).toBeGreaterThan(networks[index - 1]?.times ?? 0)
  }
})

const reached = (
  peer: string,
  headers: Readonly<Record<string, string>> = {},
  more: Partial<Reached> = {},
): Reached => ({
  peer,
  encrypted: false,
  pkiOnly: false,
  header: (name) => headers[name.toLowerCase()],
  ...more,
})
const none = new AddressRanges([])
const declared = new AddressRanges(['127.0.0.1', '10.0.0.0/8', 'fd00::/8'])
const loopbackHost = { host: '127.0.0.1:8080' }

describe('a request straight from its client', () => {
  test.each(['127.0.0.1', '::ffff:127.0.0.1', '::1', '127.9.9.9'])('is secure and local from %s', (peer) => {
    expect(connectionOf(reached(peer, loopbackHost), none)).toMatchObject({ secure: true, tls: false, local: true })
    expect(connectionOf(reached(peer, loopbackHost), declared)).toMatchObject({ secure: true, local: true })
  })

  test.each(['192.0.2.1', '2001:db8::1', '::ffff:192.0.2.1', ''])('is not secure from %j without TLS', (peer) => {
    expect(connectionOf(reached(peer, loopbackHost), none)).toMatchObject({ secure: false, tls: false, local: false })
  })

  test('is secure by TLS from anywhere, with its own network', () => {
    const connection = connectionOf(reached('192.0.2.1', {}, { encrypted: true }), none)
    expect(connection).toEqual({
      secure: true,
      tls: true,
      mayForward: false,
      pkiOnly: false,
      network: '192.0.2.0/24',
      address: '192.0.2.1',
      local: false,
    })
  })

  test('is not local under another name than this machine has: a page may have had its name pointed here', () => {
    expect(connectionOf(reached('127.0.0.1', { host: 'evil.example:8080' }), none).local).toBe(false)
    expect(connectionOf(reached('127.0.0.1'), none).local).toBe(false)
    for (const host of ['localhost', 'LOCALHOST:1', '[::1]:8080'])
      expect(connectionOf(reached('127.0.0.1', { host }), none).local).toBe(true)
  })

  test('may not forward, whatever it says', () => {
    const headers = { 'x-forwarded-proto': 'https', 'x-forwarded-for': '198.51.100.1' }
    for (const peer of ['192.0.2.1', '127.0.0.1'])
      expect(connectionOf(reached(peer, headers), none)).toMatchObject({ mayForward: false, tls: false })
    expect(connectionOf(reached('192.0.2.1', headers), declared)).toMatchObject({ mayForward: false, secure: false })
  })
})

describe('a request through a declared proxy', () => {
  test.each(['127.0.0.1', '::ffff:127.0.0.1', '10.255.0.1', '::ffff:10.0.0.1', 'fdff::1'])('%s', (peer) => {
    const headers = { 'x-forwarded-proto': 'https', 'x-forwarded-for': '198.51.100.7', ...loopbackHost }
    expect(connectionOf(reached(peer, headers), declared)).toEqual({
      secure: true,
      tls: true,
      mayForward: true,
      pkiOnly: false,
      network: '198.51.100.0/24',
      address: '198.51.100.7',
      local: false,
    })
  })

  test.each([
    ['says that the client came by http', { 'x-forwarded-proto': 'http' }],
    ['says both, as two proxies would', { 'x-forwarded-proto': 'https, http' }],
    ['says nothing of the protocol', { 'x-forwarded-for': '198.51.100.7' }],
    ['says it in a header that is not read', { forwarded: 'for=198.51.100.7;proto=https' }],
    ['names an address only', { 'x-real-ip': '198.51.100.7' }],
    ['says an empty word', { 'x-forwarded-proto': '' }],
  ])('is not secure where the proxy %s, not even from loopback or over TLS', (_, headers) => {
    for (const encrypted of [false, true])
      for (const peer of ['127.0.0.1', '10.0.0.1'])
        expect(connectionOf(reached(peer, headers, { encrypted }), declared)).toMatchObject({
          secure: false,
          tls: false,
          local: false,
        })
  })

  test.each([
    ['the last entry', '198.51.100.7, 203.0.113.9', '203.0.113.0/24'],
    ['the last that is no declared proxy', '198.51.100.7, 203.0.113.9, 10.0.0.3, fd00::9', '203.0.113.0/24'],
    ['not what the client made up before it', '192.0.2.1, 203.0.113.9', '203.0.113.0/24'],
    ['with a port', '203.0.113.9:51234', '203.0.113.0/24'],
    ['IPv6 in brackets with a port', '[2001:db8:1::2]:443', '2001:db8:1::/48'],
    ['IPv6', '2001:db8:1::2', '2001:db8:1::/48'],
    ['rubbish', '203.0.113.9, nonsense', 'unknown'],
    ['nothing', '203.0.113.9,', 'unknown'],
    ['proxies only', '10.0.0.9, 10.0.0.3', '10.0.0.0/24'],
  ])('has the network of its client: %s', (_, forwardedFor, network) => {
    const headers = { 'x-forwarded-proto': 'https', 'x-forwarded-for': forwardedFor }
    expect(connectionOf(reached('10.0.0.1', headers), declared).network).toBe(network)
  })

  test('has the proxy’s own network where the proxy does not name its client', () => {
    expect(connectionOf(reached('10.0.0.1', { 'x-forwarded-proto': 'https' }), declared).network).toBe('10.0.0.0/24')
  })
})

test('on the listener for CRLs and OCSP forwarding headers change nothing, as forward proxies add them', () => {
  const headers = { 'x-forwarded-proto': 'https', 'x-forwarded-for': '203.0.113.9' }
  for (const proxies of [none, declared])
    expect(connectionOf(reached('10.0.0.1', headers, { pkiOnly: true }), proxies)).toMatchObject({
      secure: false,
      tls: false,
      pkiOnly: true,
      network: '10.0.0.0/24',
      local: false,
    })
})
