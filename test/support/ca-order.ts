import 'reflect-metadata'
import {
  Pkcs10CertificateRequestGenerator,
  SubjectAlternativeNameExtension,
  type Extension,
  type JsonGeneralName,
} from '@peculiar/x509'
import type { CertificateOrder } from '../../src/cas/adapters/contract.ts'
import { parseMailboxAddress } from '../../src/mailbox/address.ts'
import { checkPublicKey } from '../../src/pki/key-policy.ts'
import type { CertificateUse } from '../../src/pki/key-usage.ts'

const algorithms = {
  'P-256': { name: 'ECDSA', namedCurve: 'P-256', hash: 'SHA-256' },
  'P-384': { name: 'ECDSA', namedCurve: 'P-384', hash: 'SHA-384' },
  'P-521': { name: 'ECDSA', namedCurve: 'P-521', hash: 'SHA-512' },
  'RSA-2048': {
    name: 'RSASSA-PKCS1-v1_5',
    hash: 'SHA-256',
    modulusLength: 2048,
    publicExponent: Uint8Array.of(1, 0, 1),
  },
  Ed25519: { name: 'Ed25519' },
} as const
export type OrderKey = keyof typeof algorithms

export interface OrderWanted {
  readonly key?: OrderKey
  readonly use?: CertificateUse
  readonly profile?: string | null
  readonly address?: string
  /** What the CSR says for itself; nothing, unless a test wants otherwise. */
  readonly csrSubject?: string
  readonly csrNames?: readonly JsonGeneralName[]
  readonly csrExtensions?: readonly Extension[]
  readonly days?: number
  readonly now?: number
}

const day = 24 * 60 * 60 * 1_000
let orders = 0

/** A device's new key as an order to a CA: by default P-256, for both uses, for 90 days from now. */
export async function makeOrder(wanted: OrderWanted = {}): Promise<CertificateOrder> {
  const algorithm = algorithms[wanted.key ?? 'P-256']
  const keys = await crypto.subtle.generateKey(algorithm, true, ['sign', 'verify'])
  if (!('publicKey' in keys)) throw new Error('not a key pair')
  const names = wanted.csrNames ?? []
  const csr = await Pkcs10CertificateRequestGenerator.create({
    name: wanted.csrSubject ?? '',
    keys,
    signingAlgorithm: algorithm,
    extensions: [
      ...(names.length === 0 ? [] : [new SubjectAlternativeNameExtension([...names])]),
      ...(wanted.csrExtensions ?? []),
    ],
  })
  const spki = new Uint8Array(await crypto.subtle.exportKey('spki', keys.publicKey))
  const now = wanted.now ?? Date.now()
  orders += 1
  return {
    request: `order-${orders}`,
    provedBy: 'csr',
    content: new Uint8Array(csr.rawData),
    spki,
    key: checkPublicKey(spki),
    mailbox: parseMailboxAddress(wanted.address ?? 'alice@example.com'),
    use: wanted.use ?? 'dual',
    notBefore: new Date(now),
    notAfter: new Date(now + (wanted.days ?? 90) * day),
    profile: wanted.profile ?? null,
  }
}
