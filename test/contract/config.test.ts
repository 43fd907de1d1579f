import { describe, expect, test } from 'vitest'
import { ConfigInvalid, configWarnings, readConfig } from '../../src/config.ts'

type Settings = Readonly<Record<string, string>>

const faultsOf = (settings: Settings, runtime: 'node' | 'workers' = 'node'): readonly string[] => {
  try {
    readConfig(settings, runtime)
    return []
  } catch (error) {
    if (error instanceof ConfigInvalid) return error.faults
    throw error
  }
}

const reachable = {
  HOST: '0.0.0.0',
  PUBLIC_URL: 'https://keys.example.com',
  PKI_URL: 'http://pki.example.com',
  CONTROLLER: 'Example Ltd',
  SMTP_URL: 'smtp://mail.example.com',
}
const tls = { TLS_CERT_FILE: '/etc/certbook/certificate.pem', TLS_KEY_FILE: '/etc/certbook/key.pem' }

describe('where others can reach the service', () => {
  test('it needs TLS of its own or a declared proxy, as all requests from elsewhere would be refused', () => {
    expect(faultsOf(reachable)).toEqual([
      expect.stringMatching(/^TLS_CERT_FILE: set it and TLS_KEY_FILE \(or TRUSTED_PROXY/),
    ])
    expect(faultsOf({ ...reachable, ...tls })).toEqual([])
    expect(faultsOf({ ...reachable, TRUSTED_PROXY: '172.16.0.0/12' })).toEqual([])
  })

  test('its clients find it by https', () => {
    const faults = faultsOf({ ...reachable, ...tls, PUBLIC_URL: 'http://keys.example.com' })
    expect(faults).toContainEqual(expect.stringContaining('PUBLIC_URL: set it to the https: address'))
  })

  test.each(['127.0.0.1', '127.0.0.2', '::1', '[::1]', 'localhost'])('%s is not reached by others', (host) => {
    expect(faultsOf({ HOST: host })).toEqual([])
  })
})

describe('every fault at once', () => {
  test('what cannot be read, beside what is missing; what cannot be read is not demanded besides', () => {
    expect(faultsOf({ HOST: '0.0.0.0', CA_KEY: 'rsa512', PKI_URL: 'https://pki.example.com' })).toEqual([
      expect.stringMatching(/^PKI_URL: must be a plain http: address .*: who fetches a revocation list over TLS/),
      expect.stringMatching(/^CA_KEY: /),
      expect.stringMatching(/^SMTP_URL: set it/),
      expect.stringMatching(/^CONTROLLER: set it/),
      expect.stringMatching(/^PUBLIC_URL: set it/),
      expect.stringMatching(/^TLS_CERT_FILE: set it/),
    ])
    const unreadable = { SMTP_URL: 'x', PKI_URL: 'x', PUBLIC_URL: 'x', TRUSTED_PROXY: 'x' }
    const faults = faultsOf({ ...reachable, ...unreadable }).map((fault) => fault.split(':')[0])
    expect(faults).toEqual(['PUBLIC_URL', 'PKI_URL', 'SMTP_URL', 'TRUSTED_PROXY'])
    expect(faultsOf({ CA_PROFILE: 'private', CA_POLICY_OID: 'x' })).toHaveLength(1)
    expect(faultsOf({ PORT: 'x', PKI_PORT: '8080' })).toHaveLength(1)
    expect(faultsOf({ DATA_KEY: 'x', PORT: '1' }, 'workers').filter((fault) => fault.startsWith('DATA_KEY'))).toEqual([
      expect.stringContaining('base64'),
    ])
  })
})

describe('TLS of its own', () => {
  test('needs both files', () => {
    const { TLS_CERT_FILE, TLS_KEY_FILE } = tls
    expect(faultsOf({ TLS_KEY_FILE })).toEqual([expect.stringContaining('TLS_CERT_FILE: set it too')])
    expect(faultsOf({ TLS_CERT_FILE, PKI_PORT: '8081' })).toEqual([expect.stringContaining('TLS_KEY_FILE: set it too')])
  })

  test('needs another place for plain HTTP', () => {
    expect(faultsOf(tls)).toEqual([expect.stringContaining('PKI_PORT: set it (or PKI_URL)')])
    expect(faultsOf({ ...tls, PKI_PORT: '8081' })).toEqual([])
    expect(faultsOf({ ...tls, PKI_URL: 'http://pki.example.com' })).toEqual([])
  })

  test('makes the address of the service an https one', () => {
    const { publicUrl, pkiUrl } = readConfig({ ...tls, PKI_PORT: '8081' }, 'node')
    expect([publicUrl, pkiUrl]).toEqual(['https://127.0.0.1:8080', 'http://127.0.0.1:8081'])
    const faults = faultsOf({ ...tls, PKI_PORT: '8081', PUBLIC_URL: 'http://keys.example.com' })
    expect(faults).toEqual([expect.stringContaining('PUBLIC_URL: set it to an https: address')])
  })
})

describe('PKI_URL', () => {
  test.each([
    [{}, 'http://127.0.0.1:8080'],
    [{ HOST: '::1' }, 'http://[::1]:8080'],
    [{ PKI_PORT: '8081' }, 'http://127.0.0.1:8081'],
    [{ PKI_PORT: '8081', HOST: '[::1]' }, 'http://[::1]:8081'],
    [{ PKI_PORT: '8081', PUBLIC_URL: 'https://keys.example.com' }, 'http://keys.example.com:8081'],
    [{ PKI_PORT: '8081', PKI_URL: 'http://pki.example.com' }, 'http://pki.example.com'],
  ])('with %j is %s', (settings, pkiUrl) => {
    expect(readConfig(settings, 'node').pkiUrl).toBe(pkiUrl)
  })

  test('has a port of its own, or shares PORT', () => {
    expect(faultsOf({ PORT: '8080', PKI_PORT: '8080' })).toEqual([
      expect.stringContaining('PKI_PORT: set it to another port'),
    ])
    expect(faultsOf({ PORT: '0', PKI_PORT: '0' })).toEqual([])
  })
})

describe('mail leaves in clear for this machine only', () => {
  test.each(['http://hook.example.com/mail', 'http://10.0.0.1/mail', 'http://[::2]/mail'])(
    'no mail hook at %s',
    (url) => {
      expect(faultsOf({ MAIL_HOOK_URL: url })).toEqual([expect.stringContaining('MAIL_HOOK_URL: set it to an https:')])
    },
  )

  test.each([
    ['smtp://mail.example.com?ignoreTLS=true', 'ignoreTLS'],
    ['smtp://mail.example.com:587/?requireTLS=false', 'requireTLS'],
    ['smtp://mail.example.com?opportunisticTLS=1', 'opportunisticTLS'],
    ['smtps://mail.example.com?tls.rejectUnauthorized=false', 'tls.rejectUnauthorized'],
    ['smtps://mail.example.com?secure=false', 'secure'],
    ['smtp://127.0.0.1.example.com?ignoreTLS=true', 'ignoreTLS'],
  ])('%s is refused: %s', (url, name) => {
    const faults = [expect.stringMatching(`^SMTP_URL: leave ${name} out, and set it to smtps:`)]
    expect(faultsOf({ SMTP_URL: url })).toEqual(faults)
  })

  test.each([
    { SMTP_URL: 'smtp://mail.example.com?requireTLS=true&name=keys.example.com' },
    { SMTP_URL: 'smtps://10.0.0.1?tls.servername=mail.example.com' },
    { SMTP_URL: 'smtp://localhost:25?ignoreTLS=true' },
    { MAIL_HOOK_URL: 'https://hook.example.com/mail' },
    { MAIL_HOOK_URL: 'http://127.0.0.1:3000/mail' },
    { MAIL_HOOK_URL: 'http://localhost:3000/mail' },
  ])('%j is a way', (settings) => {
    expect(faultsOf(settings)).toEqual([])
  })
})

describe('the name of the embedded CA', () => {
  test.each([
    [{}, 'certbook', 'XX'],
    [{ CONTROLLER: 'Example GmbH, Musterweg 1, 10115 Berlin' }, 'Example GmbH', 'XX'],
    [
      { CONTROLLER: 'Example GmbH', CA_ORGANIZATION: 'Example Trust, Inc.', CA_COUNTRY: 'US' },
      'Example Trust, Inc.',
      'US',
    ],
    [{ CONTROLLER: 'x'.repeat(100) }, 'x'.repeat(64), 'XX'],
  ])('with %j is %s, %s', (settings, organization, country) => {
    expect(readConfig(settings, 'node').caName).toEqual({ organization, country })
  })

  test.each(['de', 'DEU', 'D1', 'Germany'])('is in no country %s', (country) => {
    expect(faultsOf({ CA_COUNTRY: country })).toEqual([expect.stringContaining('two capital letters of ISO 3166-1')])
  })
})

describe('EGRESS_ALLOW', () => {
  const reachable = { PUBLIC_URL: 'https://keys.example.com' }

  test('takes host names, addresses, networks, and the word only', () => {
    const given = 'ca.internal.example, 10.1.0.0/16,fd12::/16 , 192.168.7.8, only'
    const entries = ['ca.internal.example', '10.1.0.0/16', 'fd12::/16', '192.168.7.8', 'only']
    expect(readConfig({ ...reachable, EGRESS_ALLOW: given }, 'node').egressAllow).toEqual(entries)
    expect(readConfig(reachable, 'node').egressAllow).toEqual([])
  })

  test.each([
    'https://ca.example',
    'ca.example/path',
    '10.0.0.0/33',
    '1.2.3',
    'ca.example:443',
    '*.example',
    'a b',
    ',',
  ])('refuses %s', (value) => {
    expect(faultsOf({ EGRESS_ALLOW: value })).toContainEqual(
      expect.stringContaining('EGRESS_ALLOW: must be host names'),
    )
  })

  test.each(['0.0.0.0/0', '::/0'])('refuses %s', (value) => {
    expect(faultsOf({ EGRESS_ALLOW: value })).toEqual([
      expect.stringContaining('must not be the range of all addresses'),
    ])
  })

  test('this machine is open to a service that only this machine reaches, and the mail hook is what its setting names', () => {
    expect(readConfig({}, 'node').egressAllow).toContain('127.0.0.0/8')
    const { egressAllow, mailHookAllow } = readConfig({ ...reachable, MAIL_HOOK_URL: 'http://[::1]:3000/mail' }, 'node')
    expect([egressAllow, mailHookAllow]).toEqual([[], ['[::1]']])
  })
})

describe('TRUSTED_PROXY', () => {
  test.each(['10.0.0.1', '10.0.0.0/8, 192.168.1.1', 'fd00::/8', '::1,127.0.0.1', '::ffff:10.0.0.1'])(
    'takes %s',
    (value) => {
      expect(faultsOf({ TRUSTED_PROXY: value })).toEqual([])
    },
  )

  test.each([
    '10.0.0.0/33',
    '10.0.0',
    'proxy.example.com',
    '10.0.0.1,',
    '10.0.0.1 10.0.0.2',
    'fe80::1%eth0',
    '010.0.0.1',
  ])('refuses %s, in a line of its own', (value) => {
    expect(faultsOf({ TRUSTED_PROXY: value })).toEqual([
      'TRUSTED_PROXY: must be addresses or ranges such as 10.0.0.0/8',
    ])
  })

  test.each(['0.0.0.0/0', '::/0'])('refuses %s: anyone could forge where they are', (value) => {
    expect(faultsOf({ TRUSTED_PROXY: value })).toEqual([
      expect.stringContaining('must not be the range of all addresses'),
    ])
  })
})

describe('CORS_ORIGINS', () => {
  test('are kept as browsers send them', () => {
    const given = 'HTTPS://Mail.Example.com:443/, capacitor://localhost, http://localhost:5173, moz-extension://0b3f-ee'
    expect(readConfig({ CORS_ORIGINS: given }, 'node').corsOrigins).toEqual([
      'https://mail.example.com',
      'capacitor://localhost',
      'http://localhost:5173',
      'moz-extension://0b3f-ee',
    ])
  })

  test.each([
    '*',
    'null',
    'mail.example.com',
    'https://mail.example.com/app',
    'https://*.example.com',
    'https://u@a.example',
  ])('are never %s', (value) => {
    expect(faultsOf({ CORS_ORIGINS: value })).toEqual([expect.stringContaining('CORS_ORIGINS: must be origins')])
  })

  test('are never http: of another machine', () => {
    expect(faultsOf({ CORS_ORIGINS: 'http://mail.example.com' })).toEqual([
      expect.stringContaining('CORS_ORIGINS: must not be http:'),
    ])
  })
})

describe('the data key', () => {
  const DATA_KEY = Buffer.alloc(32, 7).toString('base64')

  test('comes by itself, or in a file', () => {
    expect(readConfig({ DATA_KEY }, 'node')).toMatchObject({ dataKey: new Uint8Array(32).fill(7), dataKeyFile: null })
    expect(readConfig({ DATA_KEY_FILE: '/run/credentials/data-key' }, 'node')).toMatchObject({
      dataKey: null,
      dataKeyFile: '/run/credentials/data-key',
    })
  })

  test('that is replaced is named on Workers only', () => {
    expect(faultsOf({ DATA_KEY_PREVIOUS: DATA_KEY })).toEqual([
      expect.stringContaining('certbook keys rotate --data-key'),
    ])
    expect(readConfig({}, 'node').dataKeyPrevious).toBeNull()
  })

  test('comes one way', () => {
    expect(faultsOf({ DATA_KEY, DATA_KEY_FILE: '/run/credentials/data-key' })).toEqual([
      expect.stringContaining('DATA_KEY_FILE: unset it or DATA_KEY'),
    ])
  })
})

describe('what /readyz warns of', () => {
  const warningsOf = (settings: Settings): string[] => configWarnings(readConfig(settings, 'node'))
  const dataKey = { DATA_KEY: Buffer.alloc(32, 7).toString('base64') }

  test('nothing on this machine alone, and nothing where all is set', () => {
    expect(warningsOf({})).toEqual([])
    expect(warningsOf({ ...reachable, ...dataKey, ...tls, PKI_PORT: '8081' })).toEqual([])
    expect(warningsOf({ ...reachable, ...dataKey, TRUSTED_PROXY: '10.0.0.1' })).toEqual([])
    expect(warningsOf({ ...reachable, DATA_KEY_FILE: '/etc/key', TRUSTED_PROXY: '10.0.0.1' })).toEqual([])
  })

  test.each([
    ['a key beside the data it wraps', { ...reachable, TRUSTED_PROXY: '10.0.0.1' }, 'DATA_KEY'],
    ['plain HTTP that nobody answers here', { ...reachable, ...dataKey, ...tls }, 'PKI_PORT'],
    ['a proxy that is not named', { ...reachable, ...dataKey, HOST: '127.0.0.1' }, 'TRUSTED_PROXY'],
  ])('%s', (_, settings, name) => {
    expect(warningsOf(settings)).toEqual([expect.stringContaining(name)])
  })

  test('what a service behind a proxy on the same machine has left out', () => {
    const settings = { PUBLIC_URL: 'https://keys.example.com', TRUSTED_PROXY: '127.0.0.1' }
    const warned = warningsOf(settings).join(' ')
    for (const name of ['DATA_KEY', 'SMTP_URL', 'CONTROLLER']) expect(warned).toContain(name)
  })
})

describe('on Workers', () => {
  const worker = {
    PUBLIC_URL: 'https://keys.example.com',
    PKI_URL: 'http://pki.example.com',
    DATA_KEY: Buffer.alloc(32, 7).toString('base64'),
    MAIL_HOOK_URL: 'https://hook.example.com/mail',
    CONTROLLER: 'Example Ltd',
  }

  test('what it needs is enough', () => {
    expect(faultsOf(worker, 'workers')).toEqual([])
  })

  test.each([
    ['HOST', '0.0.0.0'],
    ['PORT', '8080'],
    ['PKI_PORT', '8081'],
    ['TLS_CERT_FILE', '/certificate.pem'],
    ['TLS_KEY_FILE', '/key.pem'],
    ['TRUSTED_PROXY', '10.0.0.1'],
    ['DATA_DIR', '/data'],
    ['DATA_KEY_FILE', '/data-key'],
    ['SMTP_URL', 'smtp://mail.example.com'],
    ['METRICS_TOKEN', 'sixteen-characters'],
    ['AUDIT_CHECKPOINTS', '/checkpoints'],
  ])('%s would mislead, so it is a fault', (name, value) => {
    expect(faultsOf({ ...worker, [name]: value }, 'workers')).toContainEqual(
      expect.stringMatching(new RegExp(`^${name}: unset it; a Worker has no use for it`)),
    )
  })

  test('plain http: is for development on a loopback host only', () => {
    const fault = [expect.stringContaining('PUBLIC_URL: set it to the https: address')]
    const loopback = { ...worker, PUBLIC_URL: 'http://127.0.0.1:8787' }
    expect(faultsOf(loopback, 'workers')).toEqual(fault)
    expect(faultsOf({ ...loopback, ALLOW_LOOPBACK_HTTP: '1' }, 'workers')).toEqual([])
    const elsewhere = { ...worker, PUBLIC_URL: 'http://keys.example.com', ALLOW_LOOPBACK_HTTP: '1' }
    expect(faultsOf(elsewhere, 'workers')).toEqual(fault)
  })
})
