/** The names of all forms of private keys that are found. */
export const privateKeyFormNames = [
  'pkcs1',
  'pkcs8',
  'encrypted-pkcs8',
  'sec1',
  'dsa',
  'pkcs12',
  'jks',
  'jceks',
  'openssh',
  'ssh1',
  'ssh2',
  'pgp',
  'putty',
  'ms-pvk',
  'ms-blob',
  'ms-cng-blob',
  'jwk',
  'rsa-xml',
  'bind',
  'openssl-text',
  'other-pem',
] as const

export type PrivateKeyForm = (typeof privateKeyFormNames)[number]

/** Bytes that can be read further. The form begins at their start, and more may follow it. */
export interface Candidate {
  readonly form: PrivateKeyForm
  readonly bytes: Uint8Array
}

/** Called for every private key. `bytes` are left out if there is nothing to read, for example for a label alone. */
export type Report = (form: PrivateKeyForm, bytes?: Uint8Array) => void
