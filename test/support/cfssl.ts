import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import Database from 'better-sqlite3'
import { z } from 'zod'
import { certificatesOfPem } from '../../src/pki/pem.ts'
import { startCaProgram } from './ca-program.ts'
import { temporaryFolder } from './node-process.ts'
import { freePort } from './odd-servers.ts'
import { openssl } from './openssl.ts'

/** CFSSL's tables as its migrations for SQLite make them, version 1.2.0. */
const schema = `
  CREATE TABLE certificates (
    serial_number blob NOT NULL,
    authority_key_identifier blob NOT NULL,
    ca_label blob,
    status blob NOT NULL,
    reason int,
    expiry timestamp,
    revoked_at timestamp,
    pem blob NOT NULL,
    PRIMARY KEY (serial_number, authority_key_identifier)
  );
  CREATE TABLE ocsp_responses (
    serial_number blob NOT NULL,
    authority_key_identifier blob NOT NULL,
    body blob NOT NULL,
    expiry timestamp,
    PRIMARY KEY (serial_number, authority_key_identifier),
    FOREIGN KEY (serial_number, authority_key_identifier)
      REFERENCES certificates (serial_number, authority_key_identifier)
  );
`

const usages = {
  sign: ['digital signature'],
  'encrypt-rsa': ['key encipherment'],
  'encrypt-ec': ['key agreement'],
  'dual-rsa': ['digital signature', 'key encipherment'],
  'dual-ec': ['digital signature', 'key agreement'],
} as const

/** The profiles of these servers, one for each use and, to encrypt, kind of key; the default one is of no use here. */
export const cfsslProfiles: readonly string[] = Object.keys(usages)

/** One row of CFSSL's own database. */
export interface CfsslRecord {
  /** In decimal. */
  readonly serial: string
  readonly status: 'good' | 'revoked'
  readonly reason: number
  /** DER. */
  readonly certificate: Uint8Array
}

export interface CfsslServer {
  readonly url: string
  readonly port: number
  /** The CA's own certificate, DER: the anchor. */
  readonly ca: Uint8Array
  /** All that CFSSL has signed, as its database has it. */
  records(): CfsslRecord[]
  /** Changes what the database says of the key that a certificate was signed with; CFSSL 1.2.0 says nothing. */
  keepAuthorityKey(serial: string, authorityKeyIdentifier: string): void
  /** From now on CFSSL signs and then finds that it cannot keep what it has signed. */
  loseDatabase(): void
  /** Everything that CFSSL has written. */
  output(): string
  stop(): Promise<void>
}

export interface CfsslOptions {
  /** All profiles want this key (hexadecimal), so that `sign` is not even there. */
  readonly authKey?: string
  /** Profiles that take nothing from a request but its key. */
  readonly takesKeyAlone?: boolean
  /** CFSSL then keeps nothing, and has no `revoke`. */
  readonly withoutDatabase?: boolean
  /** Of each profile. */
  readonly expiry?: string
  /** Of the CA. P-256 unless said. */
  readonly caKey?: 'p256' | 'rsa4096'
}

const rowShape = z.object({
  serial: z.coerce.string(),
  status: z.enum(['good', 'revoked']),
  reason: z.int(),
  pem: z.string(),
})

/** Starts `cfssl serve` (Debian: golang-cfssl) with a CA and a database of its own, on a port of this machine. */
export async function startCfssl(options: CfsslOptions = {}): Promise<CfsslServer> {
  const folder = await temporaryFolder()
  const at = (name: string): string => join(folder.path, name)
  const ca = await makeCa(folder.path, options.caKey ?? 'p256')
  const database = new Database(at('certs.db'))
  database.pragma('journal_mode = WAL')
  database.exec(schema)
  await writeFile(at('config.json'), JSON.stringify(configOf(options)))
  await writeFile(at('database.json'), JSON.stringify({ driver: 'sqlite3', data_source: at('certs.db') }))
  const started = await startCaProgram({
    program: 'cfssl',
    debianPackage: 'golang-cfssl',
    findPort: freePort,
    args: (port) => {
      const place = ['-address', '127.0.0.1', '-port', String(port)]
      const ofCa = ['-ca', at('ca.pem'), '-ca-key', at('ca.key'), '-config', at('config.json')]
      const kept = options.withoutDatabase === true ? [] : ['-db-config', at('database.json')]
      return ['serve', ...place, ...ofCa, ...kept]
    },
    isReady: async (port) => {
      const response = await fetch(`http://127.0.0.1:${port}/api/v1/cfssl/info`, {
        method: 'POST',
        body: '{"label":""}',
      })
      await response.arrayBuffer()
      return response.ok
    },
  })
  const all = database.prepare(
    'SELECT CAST(serial_number AS text) AS serial, CAST(status AS text) AS status, reason, CAST(pem AS text) AS pem FROM certificates',
  )
  const setAuthorityKey = database.prepare(
    'UPDATE certificates SET authority_key_identifier = ? WHERE CAST(serial_number AS text) = ?',
  )
  return {
    url: `http://127.0.0.1:${started.port}`,
    port: started.port,
    ca,
    records: () =>
      all.all().map((row) => {
        const { pem, ...rest } = rowShape.parse(row)
        return { ...rest, certificate: onlyCertificate(pem) }
      }),
    keepAuthorityKey: (serial, identifier) => {
      setAuthorityKey.run(identifier, serial)
    },
    loseDatabase: () => {
      database.exec('ALTER TABLE certificates RENAME TO lost')
    },
    output: () => started.output(),
    async stop() {
      await started.stop()
      database.close()
      await folder.remove()
    },
  }
}

function onlyCertificate(pem: string): Uint8Array {
  const [certificate] = certificatesOfPem(pem) ?? []
  if (certificate === undefined) throw new Error('CFSSL has kept what is no certificate')
  return certificate
}

const newKeys = {
  p256: ['-algorithm', 'EC', '-pkeyopt', 'ec_paramgen_curve:P-256'],
  rsa4096: ['-algorithm', 'RSA', '-pkeyopt', 'rsa_keygen_bits:4096'],
} as const

async function makeCa(folder: string, key: 'p256' | 'rsa4096'): Promise<Uint8Array> {
  await openssl(folder, 'genpkey', ...newKeys[key], '-out', 'pkcs8.key')
  // CFSSL 1.2.0 reads keys in the older formats alone: SEC1 and PKCS #1.
  const rewritten = ['-in', 'pkcs8.key', '-out', 'ca.key']
  await (key === 'p256' ? openssl(folder, 'ec', ...rewritten) : openssl(folder, 'rsa', ...rewritten, '-traditional'))
  const extensions = ['basicConstraints=critical,CA:true', 'keyUsage=critical,keyCertSign,cRLSign']
  const request = ['req', '-x509', '-new', '-key', 'ca.key', '-subj', '/CN=A CA of CFSSL', '-days', '3650']
  await openssl(folder, ...request, '-out', 'ca.pem', ...extensions.flatMap((extension) => ['-addext', extension]))
  return onlyCertificate(await openssl(folder, 'x509', '-in', 'ca.pem'))
}

function configOf({ authKey, takesKeyAlone, expiry = '2160h' }: CfsslOptions): unknown {
  const common = {
    expiry,
    ...(authKey === undefined ? {} : { auth_key: 'certbook' }),
    ...(takesKeyAlone === true
      ? { CSRWhitelist: { PublicKey: true, PublicKeyAlgorithm: true, SignatureAlgorithm: true } }
      : {}),
  }
  const profiles = Object.entries(usages).map(([name, bits]) => [
    name,
    { ...common, usages: [...bits, 'email protection'] },
  ])
  return {
    signing: { default: { ...common, usages: ['server auth'] }, profiles: Object.fromEntries(profiles) },
    ...(authKey === undefined ? {} : { auth_keys: { certbook: { type: 'standard', key: authKey } } }),
  }
}
