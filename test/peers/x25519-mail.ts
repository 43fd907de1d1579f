import { readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { openssl } from '../support/openssl.ts'

const hexOf = async (folder: string, file: string): Promise<string> =>
  (await readFile(join(folder, file))).toString('hex')

/** Writes DER as OpenSSL encodes it from a description (ASN1_generate_nconf). */
async function encode(folder: string, name: string, description: string): Promise<void> {
  await writeFile(join(folder, `${name}.asn1`), description)
  await openssl(folder, 'asn1parse', '-genconf', `${name}.asn1`, '-noout', '-out', `${name}.der`)
}

/** `ECC-CMS-SharedInfo` for a key that wraps by AES-256, RFC 5753 section 7.2: RFC 8418 section 2 takes it over. */
const sharedInfo = `
asn1 = SEQUENCE:info
[info]
keyInfo = SEQUENCE:wrap
suppPubInfo = EXPLICIT:2,FORMAT:HEX,OCTETSTRING:00000100
[wrap]
algorithm = OID:2.16.840.1.101.3.4.1.45
`

interface Parts {
  readonly ephemeral: string
  readonly keyIdentifier: string
  readonly wrappedKey: string
  readonly initialisationVector: string
  readonly ciphertext: string
}

/** EnvelopedData, RFC 5652 section 6.1, with the algorithms of RFC 8418 section 3 and the recipient by its key's name. */
const envelope = (parts: Parts): string => `
asn1 = SEQUENCE:contentInfo
[contentInfo]
contentType = OID:1.2.840.113549.1.7.3
content = EXPLICIT:0,SEQUENCE:envelopedData
[envelopedData]
version = INTEGER:2
recipientInfos = SET:recipients
encryptedContentInfo = SEQUENCE:encrypted
[recipients]
kari = IMPLICIT:1,SEQUENCE:kari
[kari]
version = INTEGER:3
originator = EXPLICIT:0,IMPLICIT:1,SEQUENCE:originatorKey
keyEncryptionAlgorithm = SEQUENCE:scheme
recipientEncryptedKeys = SEQUENCE:keys
[originatorKey]
algorithm = SEQUENCE:x25519
publicKey = FORMAT:HEX,BITSTRING:${parts.ephemeral}
[x25519]
algorithm = OID:1.3.101.110
[scheme]
algorithm = OID:1.2.840.113549.1.9.16.3.19
parameters = SEQUENCE:wrap
[wrap]
algorithm = OID:2.16.840.1.101.3.4.1.45
[keys]
key = SEQUENCE:key
[key]
rid = IMPLICIT:0,SEQUENCE:rid
encryptedKey = FORMAT:HEX,OCTETSTRING:${parts.wrappedKey}
[rid]
subjectKeyIdentifier = FORMAT:HEX,OCTETSTRING:${parts.keyIdentifier}
[encrypted]
contentType = OID:1.2.840.113549.1.7.1
contentEncryptionAlgorithm = SEQUENCE:cbc
encryptedContent = IMPLICIT:0,FORMAT:HEX,OCTETSTRING:${parts.ciphertext}
[cbc]
algorithm = OID:2.16.840.1.101.3.4.1.42
iv = FORMAT:HEX,OCTETSTRING:${parts.initialisationVector}
`

/**
 * Encrypts in.txt to the X25519 key of NAME.pem as RFC 8418 section 2.2 has it (dhSinglePass-stdDH-hkdf-sha256), into
 * NAME.der. No program at hand does this as a whole: `openssl cms` 3.0 stops at the key type, pkijs 4.0.0 at the
 * certificate, gpgsm 2.2 and NSS 3.87 as the table of key types says. So OpenSSL does each step here, agreement, HKDF,
 * key wrap, encryption and DER, and only the order of the steps is this project's reading of the RFC.
 */
export async function encryptToX25519(folder: string, name: string): Promise<void> {
  await openssl(folder, 'x509', '-in', `${name}.pem`, '-noout', '-pubkey', '-out', 'recipient.pub')
  await openssl(folder, 'genpkey', '-algorithm', 'X25519', '-out', 'ephemeral.key')
  await openssl(folder, 'pkey', '-in', 'ephemeral.key', '-pubout', '-outform', 'DER', '-out', 'ephemeral.pub')
  const peers = ['-inkey', 'ephemeral.key', '-peerkey', 'recipient.pub']
  await openssl(folder, 'pkeyutl', '-derive', ...peers, '-out', 'secret')
  await encode(folder, 'shared-info', sharedInfo)
  const secret = ['-kdfopt', `hexkey:${await hexOf(folder, 'secret')}`]
  const info = ['-kdfopt', `hexinfo:${await hexOf(folder, 'shared-info.der')}`]
  const kdf = ['-keylen', '32', '-binary', '-kdfopt', 'digest:SHA256', ...secret, ...info]
  await openssl(folder, 'kdf', ...kdf, '-out', 'wrap-key', 'HKDF')
  await openssl(folder, 'rand', '-out', 'content-key', '32')
  // RFC 3394 section 2.2.3.1: the initial value of the wrap.
  const wrap = ['-id-aes256-wrap', '-K', await hexOf(folder, 'wrap-key'), '-iv', 'A6A6A6A6A6A6A6A6']
  await openssl(folder, 'enc', '-e', ...wrap, '-in', 'content-key', '-out', 'wrapped-key')
  const initialisationVector = (await openssl(folder, 'rand', '-hex', '16')).trim()
  const cbc = ['-aes-256-cbc', '-K', await hexOf(folder, 'content-key'), '-iv', initialisationVector]
  await openssl(folder, 'enc', '-e', ...cbc, '-in', 'in.txt', '-out', 'ciphertext')
  const identifier = await openssl(folder, 'x509', '-in', `${name}.pem`, '-noout', '-ext', 'subjectKeyIdentifier')
  const parts = {
    // The last 32 octets of the SubjectPublicKeyInfo, RFC 8410 section 4.
    ephemeral: (await hexOf(folder, 'ephemeral.pub')).slice(-64),
    keyIdentifier: (/(?:[0-9A-F]{2}:){19}[0-9A-F]{2}/.exec(identifier)?.[0] ?? '').replaceAll(':', ''),
    wrappedKey: await hexOf(folder, 'wrapped-key'),
    initialisationVector,
    ciphertext: await hexOf(folder, 'ciphertext'),
  }
  await encode(folder, name, envelope(parts))
}
