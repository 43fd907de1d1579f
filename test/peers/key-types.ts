import { keyKinds, type KeyKind } from '../support/key-holder.ts'

/**
 * What the programs of Debian 12 make of each family of keys: null where they do what is asked, else the words with
 * which they refuse. A refusal is a test like any other, so a program that learns a family makes its test fail and
 * this table tell the truth again.
 */
const families = {
  RSA: {
    /** The bit of KeyUsage with which such a key decrypts, as OpenSSL writes it. */
    decryptsBy: 'Key Encipherment',
    /** openssl verify -purpose smimeencrypt wants keyEncipherment, which no curve's key has. */
    smimeencrypt: null,
    /** openssl cms -encrypt */
    opensslEncrypts: null,
    /** pkijs 4.0.0, EnvelopedData.addRecipientByCertificate */
    pkijsEncrypts: null,
    /** certtool -i shows the key's numbers; GnuTLS verifies a certificate even where it cannot read the key in it. */
    certtoolReadsKey: null,
    /** certutil -A */
    nssImports: null,
    /** cmsutil -E */
    nssEncrypts: null,
    /** certutil -V -u R takes a curve's key that only signs as one to encrypt to, but not an RSA key. */
    nssRecipientThatOnlySigns: 'Certificate key usage inadequate for attempted operation',
    /** gpgsm --encrypt */
    gpgsmEncrypts: null,
    /** The same with --compatibility-flags allow-ka-to-encr, by which keyAgreement counts as a key usage for it. */
    gpgsmEncryptsByAgreement: null,
  },
  NIST: {
    decryptsBy: 'Key Agreement',
    smimeencrypt: 'certificate purpose',
    opensslEncrypts: null,
    pkijsEncrypts: null,
    certtoolReadsKey: null,
    nssImports: null,
    nssEncrypts: 'SEC_ERROR_INVALID_ALGORITHM',
    nssRecipientThatOnlySigns: null,
    gpgsmEncrypts: 'Wrong key usage',
    gpgsmEncryptsByAgreement: 'Invalid S-expression',
  },
  brainpool: {
    decryptsBy: 'Key Agreement',
    smimeencrypt: 'certificate purpose',
    opensslEncrypts: null,
    pkijsEncrypts: 'Incorrect curve OID',
    certtoolReadsKey: 'Subject Public Key Algorithm: EC/ECDSA\n\tExtensions:',
    nssImports: null,
    nssEncrypts: 'SEC_ERROR_INVALID_ALGORITHM',
    nssRecipientThatOnlySigns: null,
    gpgsmEncrypts: 'Wrong key usage',
    gpgsmEncryptsByAgreement: 'Invalid S-expression',
  },
  Ed25519: {
    decryptsBy: null,
    smimeencrypt: 'certificate purpose',
    opensslEncrypts: 'operation not supported for this keytype',
    pkijsEncrypts: "Unknown type of certificate's public key: 1.3.101.112",
    certtoolReadsKey: null,
    nssImports: 'SEC_ERROR_ADDING_CERT',
    nssEncrypts: 'SEC_ERROR_ADDING_CERT',
    nssRecipientThatOnlySigns: 'SEC_ERROR_ADDING_CERT',
    gpgsmEncrypts: 'Wrong key usage',
    gpgsmEncryptsByAgreement: 'Wrong key usage',
  },
  X25519: {
    decryptsBy: 'Key Agreement',
    smimeencrypt: 'certificate purpose',
    opensslEncrypts: 'operation not supported for this keytype',
    pkijsEncrypts: "Unknown type of certificate's public key: 1.3.101.110",
    certtoolReadsKey: null,
    nssImports: 'SEC_ERROR_ADDING_CERT',
    nssEncrypts: 'SEC_ERROR_ADDING_CERT',
    nssRecipientThatOnlySigns: 'SEC_ERROR_ADDING_CERT',
    gpgsmEncrypts: 'Wrong key usage',
    gpgsmEncryptsByAgreement: 'Invalid S-expression',
  },
} as const

const rsa = (bits: number) => ['-algorithm', 'RSA', '-pkeyopt', `rsa_keygen_bits:${bits}`]
const curve = (name: string) => ['-algorithm', 'EC', '-pkeyopt', `ec_paramgen_curve:${name}`]
const anyUse = ['sign', 'encrypt', 'dual'] as const

/** The key types that the service takes; `make` has openssl make one, null where it can sign no request. */
const keyTypes = {
  'RSA 2048': { family: 'RSA', uses: anyUse, make: rsa(2048) },
  'RSA 3072': { family: 'RSA', uses: anyUse, make: rsa(3072) },
  'RSA 4096': { family: 'RSA', uses: anyUse, make: rsa(4096) },
  'P-256': { family: 'NIST', uses: anyUse, make: curve('P-256') },
  'P-384': { family: 'NIST', uses: anyUse, make: curve('P-384') },
  'P-521': { family: 'NIST', uses: anyUse, make: curve('P-521') },
  brainpoolP256r1: { family: 'brainpool', uses: anyUse, make: curve('brainpoolP256r1') },
  brainpoolP384r1: { family: 'brainpool', uses: anyUse, make: curve('brainpoolP384r1') },
  brainpoolP512r1: { family: 'brainpool', uses: anyUse, make: curve('brainpoolP512r1') },
  Ed25519: { family: 'Ed25519', uses: ['sign'], make: ['-algorithm', 'ED25519'] },
  X25519: { family: 'X25519', uses: ['encrypt'], make: null },
} as const
export type KeyType = keyof typeof keyTypes

/** One certificate to be made and shown to the programs. */
export interface Kind {
  /** Begins its mailbox and its files, and names it in a test's title. */
  readonly name: string
  readonly keyType: KeyType
  readonly use: 'sign' | 'encrypt' | 'dual'
  /** What openssl genpkey makes the key from; null for a key of the public-key path, which never leaves its holder. */
  readonly make: readonly string[] | null
  readonly held: KeyKind | null
  readonly peers: (typeof families)[keyof typeof families]
}

const byRequest: Kind[] = Object.entries(keyTypes).flatMap(([type, { family, uses, make }]) =>
  make === null
    ? []
    : uses.map((use) => ({
        name: `csr-${type.replace(' ', '-').toLowerCase()}-${use}`,
        keyType: type as KeyType,
        use,
        make,
        held: null,
        peers: families[family],
      })),
)

const byPublicKey: Kind[] = (Object.keys(keyKinds) as KeyKind[]).map((held) => {
  const type = held.replace(/ (?:to|for) \w+$/, '') as KeyType
  const { use } = keyKinds[held]
  const name = `spki-${type.replace(' ', '-').toLowerCase()}-${use}`
  return { name, keyType: type, use, make: null, held, peers: families[keyTypes[type].family] }
})

/** Every key type and use, by a CSR of openssl's where it can make one, and the kinds of the public-key path. */
export const kinds: readonly Kind[] = [...byRequest, ...byPublicKey]

/** The bits of KeyUsage that the policy gives, as OpenSSL writes them. */
export function keyUsageText({ use, peers }: Kind): string {
  const bits = [use === 'encrypt' ? null : 'Digital Signature', use === 'sign' ? null : peers.decryptsBy]
  return bits.filter((bit) => bit !== null).join(', ')
}
