import 'reflect-metadata'
import { Pkcs10CertificateRequestGenerator, SubjectAlternativeNameExtension } from '@peculiar/x509'

export type KeyChoice = 'P-256' | 'RSA-2048'

const algorithms = {
  'P-256': { name: 'ECDSA', namedCurve: 'P-256', hash: 'SHA-256' },
  'RSA-2048': {
    name: 'RSASSA-PKCS1-v1_5',
    hash: 'SHA-256',
    modulusLength: 2048,
    publicExponent: Uint8Array.of(1, 0, 1),
  },
} as const

/** A device's new key pair. */
export async function makeKeys(choice: KeyChoice = 'P-256'): Promise<CryptoKeyPair> {
  return crypto.subtle.generateKey(algorithms[choice], true, ['sign', 'verify'])
}

/** A device's CSR as PEM; its subject is anything, as the service ignores it. */
export async function makeCsr(
  options: { keys?: CryptoKeyPair; choice?: KeyChoice; subject?: string; addresses?: readonly string[] } = {},
): Promise<string> {
  const choice = options.choice ?? 'P-256'
  const request = await Pkcs10CertificateRequestGenerator.create({
    name: options.subject ?? 'CN=a phone',
    keys: options.keys ?? (await makeKeys(choice)),
    signingAlgorithm: algorithms[choice],
    extensions:
      options.addresses === undefined
        ? []
        : [new SubjectAlternativeNameExtension(options.addresses.map((value) => ({ type: 'email' as const, value })))],
  })
  return request.toString('pem')
}
