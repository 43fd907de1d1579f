import { ecdsaValueFromRaw } from './ecdsa-value.ts'
import { caKeyAlgorithm, type CaKeyKind } from './ca-key.ts'
import { encodeElement, encodeObjectIdentifier, encodeOctetsAsBitString, tag } from './der.ts'
import { toBufferSource } from './encoding.ts'
import { oid } from './object-identifiers.ts'

/** The CA that signs: its certificate and the private key to it. */
export interface SigningCa {
  readonly issuer: Uint8Array
  readonly issuerPrivateKey: CryptoKey
  readonly issuerKeyKind: CaKeyKind
}

const sha256WithRsa = encodeElement(
  tag.sequence,
  encodeObjectIdentifier(oid.sha256WithRsaEncryption),
  encodeElement(tag.null),
)

/** RFC 5758 section 3.2: no parameters for ECDSA. RFC 4055 section 5: NULL for RSA. */
const signatureAlgorithms: Readonly<Record<CaKeyKind, Uint8Array>> = {
  p256: encodeElement(tag.sequence, encodeObjectIdentifier(oid.ecdsaWithSha256)),
  p384: encodeElement(tag.sequence, encodeObjectIdentifier(oid.ecdsaWithSha384)),
  rsa3072: sha256WithRsa,
  rsa4096: sha256WithRsa,
}

/** The AlgorithmIdentifier of signatures by a CA key of this kind. */
export function signatureAlgorithmOf(kind: CaKeyKind): Uint8Array {
  return signatureAlgorithms[kind]
}

/** Signs `toBeSigned`. Returns the BIT STRING for certificates, CRLs and OCSP responses. */
export async function signAsBitString(
  crypto: Crypto,
  { issuerPrivateKey, issuerKeyKind }: SigningCa,
  toBeSigned: Uint8Array,
): Promise<Uint8Array> {
  const { sign } = caKeyAlgorithm(issuerKeyKind)
  const value = new Uint8Array(await crypto.subtle.sign(sign, issuerPrivateKey, toBufferSource(toBeSigned)))
  return encodeOctetsAsBitString(sign.name === 'ECDSA' ? ecdsaValueFromRaw(value) : value)
}
