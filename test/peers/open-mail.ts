import { ContentInfo, EnvelopedData, KeyAgreeRecipientInfo, KeyTransRecipientInfo, OriginatorPublicKey } from 'pkijs'
import { ellipticCurve, type CurveName } from '../../src/pki/elliptic-curves.ts'
import { agreeOnWrapKey } from '../../src/pki/proof/key-agreement.ts'
import type { HeldKey } from '../support/key-holder.ts'
import type { KeyType } from './key-types.ts'

/** One recipient of an encrypted mail, and its content; read by pkijs. */
function readMail(der: Uint8Array<ArrayBuffer>, at: number) {
  const mail = new EnvelopedData({ schema: ContentInfo.fromBER(der.buffer).content })
  const { contentEncryptionAlgorithm, encryptedContent } = mail.encryptedContentInfo
  const recipient: unknown = mail.recipientInfos[at]?.value
  const initialisationVector = contentEncryptionAlgorithm.algorithmParams.valueBlock.valueHexView
  if (encryptedContent === undefined) throw new Error('the mail has no content')
  return {
    recipient,
    initialisationVector,
    ciphertext: new Uint8Array(mail.encryptedContentInfo.getEncryptedContent()),
  }
}

const octets = (view: Uint8Array): Uint8Array<ArrayBuffer> => new Uint8Array(view)

async function contentKey(
  held: Pick<HeldKey, 'crypto' | 'privateKey'>,
  keyType: KeyType,
  recipient: unknown,
): Promise<CryptoKey> {
  if (recipient instanceof KeyTransRecipientInfo) {
    const wrapped = octets(recipient.encryptedKey.valueBlock.valueHexView)
    const raw = await held.crypto.subtle.decrypt('RSA-OAEP', held.privateKey, wrapped)
    return crypto.subtle.importKey('raw', raw, 'AES-CBC', false, ['decrypt'])
  }
  if (!(recipient instanceof KeyAgreeRecipientInfo)) throw new Error('the mail is for no key')
  const originator: unknown = recipient.originator.value
  if (!(originator instanceof OriginatorPublicKey)) throw new Error('the mail brings no ephemeral key')
  const ephemeral = octets(originator.publicKey.valueBlock.valueHexView)
  const on = keyType === 'X25519' ? 'X25519' : 'EC'
  const algorithm = on === 'X25519' ? { name: 'X25519' } : { name: 'ECDH', namedCurve: keyType }
  const publicKey = await held.crypto.subtle.importKey('raw', ephemeral, algorithm, false, [])
  const size = on === 'X25519' ? 32 : ellipticCurve(keyType as CurveName).octets
  const pair = { crypto: held.crypto, on, privateKey: held.privateKey, publicKey, size } as const
  const wrapKey = await agreeOnWrapKey(crypto, pair, 'unwrapKey')
  const wrapped = recipient.recipientEncryptedKeys.encryptedKeys[0]?.encryptedKey.valueBlock.valueHexView
  if (wrapped === undefined) throw new Error('the mail brings no key')
  return crypto.subtle.unwrapKey('raw', octets(wrapped), wrapKey, 'AES-KW', 'AES-CBC', false, ['decrypt'])
}

/**
 * Opens an encrypted mail (CMS EnvelopedData, AES-256-CBC) with a key that never leaves Web Crypto, and with the key
 * agreement that certbook's client answers challenges with: so what opens here was agreed on as another program does.
 */
export async function openMail(
  held: Pick<HeldKey, 'crypto' | 'privateKey'>,
  keyType: KeyType,
  der: Uint8Array<ArrayBuffer>,
  recipientAt = 0,
): Promise<string> {
  const { recipient, initialisationVector, ciphertext } = readMail(der, recipientAt)
  const key = await contentKey(held, keyType, recipient)
  const algorithm = { name: 'AES-CBC', iv: octets(initialisationVector) }
  return new TextDecoder().decode(await crypto.subtle.decrypt(algorithm, key, octets(ciphertext)))
}
