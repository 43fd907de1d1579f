import { z } from 'zod'
import { toBase64, toBufferSource } from '../../../pki/encoding.ts'
import { randomId, type Clock, type Random } from '../../../ports/runtime.ts'

/** The public key of a provisioner, in the form of step-ca's configuration (RFC 7517). Its thumbprint is the key id. */
export interface ProvisionerJwk {
  readonly use: 'sig'
  readonly kty: 'EC'
  readonly kid: string
  readonly crv: 'P-256'
  readonly alg: 'ES256'
  readonly x: string
  readonly y: string
}

const p256 = { name: 'ECDSA', namedCurve: 'P-256' } as const
const publicPart = z.object({ kty: z.literal('EC'), crv: z.literal('P-256'), x: z.string(), y: z.string() })

/** RFC 7515 section 2: no padding. */
const base64Url = (bytes: Uint8Array): string =>
  toBase64(bytes).replaceAll('+', '-').replaceAll('/', '_').replaceAll('=', '')

const base64UrlOfText = (text: string): string => base64Url(new TextEncoder().encode(text))

const sha256 = async (crypto: Crypto, bytes: Uint8Array): Promise<Uint8Array> =>
  new Uint8Array(await crypto.subtle.digest('SHA-256', toBufferSource(bytes)))

/** The public part of a provisioner's key (PKCS#8 of a P-256 key). Rejects any other key as Web Crypto does. */
export async function provisionerJwk(crypto: Crypto, pkcs8: Uint8Array): Promise<ProvisionerJwk> {
  const key = await crypto.subtle.importKey('pkcs8', toBufferSource(pkcs8), p256, true, ['sign'])
  const { kty, crv, x, y } = publicPart.parse(await crypto.subtle.exportKey('jwk', key))
  // RFC 7638 section 3.2: these members, in this order, without white space.
  const thumbprint = await sha256(crypto, new TextEncoder().encode(JSON.stringify({ crv, kty, x, y })))
  return { use: 'sig', kty, kid: base64Url(thumbprint), crv, alg: 'ES256', x, y }
}

/** How long a token holds. step-ca allows one minute more before and after. */
const tokenSeconds = 5 * 60

/** What one token allows. */
export interface TokenPurpose {
  /** The provisioner, by its name. */
  readonly issuer: string
  readonly audience: string
  readonly subject: string
  /** The names to certify. Missing: the token revokes. */
  readonly names?: readonly string[]
  /** The only request (DER) that may be certified with it. Older CAs ignore this. */
  readonly csr?: Uint8Array
}

/** Makes one-time tokens of a provisioner: JWTs (RFC 7519) with ES256. The key is imported once. */
export function createTokens(
  { clock, crypto, random }: { readonly clock: Clock; readonly crypto: Crypto; readonly random: Random },
  pkcs8: Uint8Array,
): (purpose: TokenPurpose) => Promise<string> {
  let opened: Promise<{ key: CryptoKey; kid: string }> | null = null
  const open = async (): Promise<{ key: CryptoKey; kid: string }> => ({
    key: await crypto.subtle.importKey('pkcs8', toBufferSource(pkcs8), p256, false, ['sign']),
    kid: (await provisionerJwk(crypto, pkcs8)).kid,
  })

  return async ({ issuer, audience, subject, names, csr }) => {
    const { key, kid } = await (opened ??= open())
    const now = Math.floor(clock() / 1_000)
    const claims = {
      jti: randomId(random),
      iss: issuer,
      aud: audience,
      sub: subject,
      ...(names === undefined ? {} : { sans: names }),
      ...(csr === undefined ? {} : { cnf: { 'x5rt#S256': base64Url(await sha256(crypto, csr)) } }),
      iat: now,
      nbf: now,
      exp: now + tokenSeconds,
    }
    const header = { alg: 'ES256', kid, typ: 'JWT' }
    const signed = `${base64UrlOfText(JSON.stringify(header))}.${base64UrlOfText(JSON.stringify(claims))}`
    const algorithm = { name: 'ECDSA', hash: 'SHA-256' }
    const signature = await crypto.subtle.sign(algorithm, key, new TextEncoder().encode(signed))
    return `${signed}.${base64Url(new Uint8Array(signature))}`
  }
}
