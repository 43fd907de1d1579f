import { z } from 'zod'
import type { CaConnectionAnswer } from '../../api/ca-shapes.ts'
import { timestamp } from '../../api/room.ts'
import { DomainError } from '../../errors.ts'
import { parseCertificate } from '../../pki/certificate.ts'
import { equalBytes, fromBase64, toBase64, toBufferSource } from '../../pki/encoding.ts'
import { makeCertificateRequest } from '../../pki/make-certificate-request.ts'
import { certificatesOfPem, readCertificates, toPem } from '../../pki/pem.ts'
import type { ClientCertificate } from '../../ports/outgoing-https.ts'
import type { Credentials } from './kind.ts'

const p256 = { name: 'ECDSA', namedCurve: 'P-256' } as const

const publicPart = z.object({ crv: z.literal('P-256'), x: z.string(), y: z.string() })

interface KeyPair {
  readonly privateKey: CryptoKey
  readonly publicKey: CryptoKey
}

const keyBytes = (base64: string): Uint8Array => {
  const bytes = fromBase64(base64)
  if (bytes === null) throw new Error('a key of a CA connection is no base64')
  return bytes
}

/** The bytes of a secret that was made here. Empty for a removed connection, which sends nothing. */
export const secretBytes = (secret: string | undefined): Uint8Array =>
  secret === undefined ? new Uint8Array() : keyBytes(secret)

/** A new P-256 key, PKCS#8 in base64. */
export async function makeKey(crypto: Crypto): Promise<string> {
  const pair = await crypto.subtle.generateKey(p256, true, ['sign', 'verify'])
  return toBase64(new Uint8Array(await crypto.subtle.exportKey('pkcs8', pair.privateKey)))
}

/** The client key from before with its certificate, or a new key. */
export async function keepClientKey(crypto: Crypto, before: Credentials | undefined) {
  const { clientKey, clientCertificate } = before ?? {}
  if (clientKey === undefined) return { clientKey: await makeKey(crypto) }
  return clientCertificate === undefined ? { clientKey } : { clientKey, clientCertificate }
}

/** Both parts of a key that was made here. */
async function openKey(crypto: Crypto, base64: string): Promise<KeyPair> {
  const privateKey = await crypto.subtle.importKey('pkcs8', toBufferSource(keyBytes(base64)), p256, true, ['sign'])
  const { crv, x, y } = publicPart.parse(await crypto.subtle.exportKey('jwk', privateKey))
  const publicKey = await crypto.subtle.importKey('jwk', { kty: 'EC', crv, x, y }, p256, true, ['verify'])
  return { privateKey, publicKey }
}

const spkiOf = async (crypto: Crypto, { publicKey }: KeyPair): Promise<Uint8Array> =>
  new Uint8Array(await crypto.subtle.exportKey('spki', publicKey))

/** A certificate request for the client key, which the CA's owner certifies. Null where there is no such key. */
export async function certificateRequestForCa(
  crypto: Crypto,
  name: string,
  { clientKey, clientCertificate }: Credentials,
): Promise<CaConnectionAnswer['keyForCa']> {
  if (clientKey === undefined) return null
  const pair = await openKey(crypto, clientKey)
  const request = await makeCertificateRequest(crypto, {
    spki: await spkiOf(crypto, pair),
    privateKey: pair.privateKey,
    commonName: name,
  })
  const [certificate] = clientCertificate === undefined ? [] : readCertificates(clientCertificate)
  return {
    form: 'certificate-request',
    value: toPem('CERTIFICATE REQUEST', request),
    certificateUntil: certificate === undefined ? null : timestamp(parseCertificate(certificate).notAfter.getTime()),
  }
}

/** The credentials with a certificate for the key that was made here. Throws `connection_unfit`. */
export async function withClientCertificate(
  crypto: Crypto,
  credentials: Credentials,
  pem: string,
  at: number,
): Promise<Credentials> {
  const { clientKey } = credentials
  if (clientKey === undefined) {
    throw new DomainError('connection_unfit', 'This CA connection does not authenticate with a client certificate.')
  }
  const [own] = readCertificates(pem)
  const certificate = own === undefined ? null : parseCertificate(own)
  const spki = await spkiOf(crypto, await openKey(crypto, clientKey))
  if (certificate === null || !equalBytes(certificate.spki, spki)) {
    throw new DomainError(
      'connection_unfit',
      "The first certificate holds another key: have the connection's certificate request certified.",
    )
  }
  if (certificate.notAfter.getTime() <= at) throw new DomainError('connection_unfit', 'The certificate has expired.')
  return { ...credentials, clientCertificate: pem }
}

/** The client certificate for TLS. Null if the connection has none, or none yet. */
export function clientCertificateOf({ clientKey, clientCertificate }: Credentials): ClientCertificate | null {
  if (clientKey === undefined || clientCertificate === undefined) return null
  const chain = certificatesOfPem(clientCertificate)
  if (chain === null) throw new Error('the client certificate of a CA connection cannot be read')
  return { chain, privateKey: keyBytes(clientKey) }
}
