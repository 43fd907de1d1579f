/** DER in base64 as PEM (RFC 7468). */
const pem = (label: string, base64: string): string =>
  [`-----BEGIN ${label}-----`, ...(base64.match(/.{1,64}/g) ?? []), `-----END ${label}-----`, ''].join('\n')

/** Bytes as PEM under a label. */
export const toPem = (label: string, der: Uint8Array): string => pem(label, Buffer.from(der).toString('base64'))

/** One certificate as PEM, from its base64 DER. */
export const certificatePem = (base64: string): string => pem('CERTIFICATE', base64)
