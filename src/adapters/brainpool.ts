import { Crypto as PeculiarCrypto } from '@peculiar/webcrypto'

/**
 * Web Crypto with the brainpool curves (RFC 5639), which Node's own lacks although its OpenSSL has them. Only the
 * operations on those curves go through it.
 */
export const brainpoolCrypto: Crypto = new PeculiarCrypto()
