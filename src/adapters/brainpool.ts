import { Crypto as PeculiarCrypto } from '@peculiar/webcrypto'

/**
 * Web Crypto with the brainpool curves (RFC 5639). Node's own Web Crypto lacks them, although its OpenSSL has them. It
 * is used only for operations on those curves.
 */
export const brainpoolCrypto: Crypto = new PeculiarCrypto()
