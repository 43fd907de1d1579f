import { toHex } from '../pki/encoding.ts'
import type { Keys } from '../ports/keys.ts'

/**
 * What tables hold in place of hashes and numbers that stand in public certificates, or follow from them: keyed hashes,
 * 64 hexadecimal digits. So a copy of the database does not tell, without the key ring, which of its rows are about a
 * signed mail at hand. All of them are made here, with the key of blind indexes. What stands before the slash
 * keeps kinds apart, and no address is without an at sign.
 */

type IndexKeys = Pick<Keys, 'blindIndex'>

const indexOf = (keys: IndexKeys, kind: string, value: string): string => toHex(keys.blindIndex(`${kind}/${value}`))

/** Of a public key, by the SHA-256 of its SPKI in hexadecimal. */
export const keyIndex = (keys: IndexKeys, spkiSha256: string): string => indexOf(keys, 'spki', spkiSha256)

/** Of an RSA modulus, by the short hash with which Debian lists weak keys. */
export const debianModulusIndex = (keys: IndexKeys, fingerprint: string): string =>
  indexOf(keys, 'debian-modulus', fingerprint)

/** Of a certificate, by the SHA-256 of its bytes in hexadecimal. */
export const fingerprintIndex = (keys: IndexKeys, sha256: string): string => indexOf(keys, 'certificate', sha256)

/** Of a serial number, in hexadecimal. */
export const serialNumberIndex = (keys: IndexKeys, serialNumber: string): string =>
  indexOf(keys, 'serial', serialNumber)
