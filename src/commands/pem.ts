/** A PEM block (RFC 7468) from DER in base64. */
export const certificatePem = (base64: string): string =>
  `-----BEGIN CERTIFICATE-----\n${base64.replaceAll(/.{64}(?=.)/g, '$&\n')}\n-----END CERTIFICATE-----`

/** A fingerprint as people compare it: pairs of capitals with colons between. */
export const readableFingerprint = (hexadecimal: string): string =>
  hexadecimal.toUpperCase().replaceAll(/..(?=.)/g, '$&:')
