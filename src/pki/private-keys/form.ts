/** The closed set of names by which a private key that was found is called. */
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
  'other-pem',
] as const

export type PrivateKeyForm = (typeof privateKeyFormNames)[number]

/** What may be read further: bytes that begin where the form begins, and may go on after it. */
export interface Candidate {
  readonly form: PrivateKeyForm
  readonly bytes: Uint8Array
}

/** Told of every private key; `bytes` are left out where there is nothing to read, as for a label alone. */
export type Report = (form: PrivateKeyForm, bytes?: Uint8Array) => void
