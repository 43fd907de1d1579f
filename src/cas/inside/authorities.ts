import type { Events } from '../../events.ts'
import { caKeyAlgorithm, randomSerialNumber, type CaKeyKind } from '../../pki/ca-key.ts'
import { certificateFacts } from '../../pki/certificate-facts.ts'
import { CRLDistributionPointsExtension, X509Certificate } from '../../pki/x509.ts'
import { createIssuingCertificate, createRootCertificate, type CertificateProfile } from '../../pki/profiles.ts'
import { ConstraintFailed, type Command, type Database } from '../../ports/database.ts'
import type { Keys } from '../../ports/keys.ts'
import { randomId, type Clock, type Random } from '../../ports/runtime.ts'
import { firstAction, type RecordAudit } from '../../audit/entries.ts'
import { insertAuthority, insertStatus, isOwnAuthority, readAuthorities, type AuthorityRow } from './store.ts'
import { dayMilliseconds } from '../../ports/time.ts'

/** The embedded CA, ready to sign. */
export interface Authorities {
  readonly root: { readonly id: string; readonly certificate: Uint8Array }
  readonly issuing: {
    readonly id: string
    readonly keyKind: CaKeyKind
    readonly certificate: Uint8Array
    readonly privateKey: CryptoKey
  }
  /** The PKI_URL in the issuing CA's certificate. It may be an older one. */
  readonly namedPkiUrl: string
  /**
   * The certificate and key of one of the two CAs. The root's key is opened for this call only, because it signs one
   * or two lists a year.
   */
  signer(authority: string): Promise<Signer>
}

/** Certificate and key that sign for an authority. */
interface Signer {
  readonly certificate: Uint8Array
  readonly privateKey: CryptoKey
  readonly keyKind: CaKeyKind
}

export interface AuthorityDeps {
  readonly database: Database
  readonly keys: Keys
  readonly crypto: Crypto
  readonly random: Random
  readonly clock: Clock
  readonly events: Events
  readonly recordAudit: RecordAudit
  readonly caKey: CaKeyKind
  /** Who runs the CA. */
  readonly caName: { readonly organization: string; readonly country: string }
  readonly profile: CertificateProfile
  readonly pkiUrl: string
  /** What is made together with the CAs: exactly once. */
  readonly madeWithCas: () => Command[]
}

const year = 365 * dayMilliseconds
const rootTerm = 20 * year
const issuingTerm = 10 * year

/** The URLs of one CA, over plain HTTP, because a client that checks a certificate may have no TLS yet. */
export const authorityUrls = (pkiUrl: string, id: string) => ({
  crl: `${pkiUrl}/ca/${id}.crl`,
  caIssuers: `${pkiUrl}/ca/${id}.cer`,
  ocsp: `${pkiUrl}/ocsp/${id}`,
})

const keyPlace = (id: string) => ({ table: 'certificate_authorities', column: 'private_key_sealed', row: id })

async function generateKeys(deps: AuthorityDeps): Promise<CryptoKeyPair> {
  const keys = await deps.crypto.subtle.generateKey(caKeyAlgorithm(deps.caKey).key, true, ['sign', 'verify'])
  if (!('privateKey' in keys)) throw new TypeError('a signing algorithm makes key pairs')
  return keys
}

async function authorityCommand(
  deps: AuthorityDeps,
  authority: { id: string; role: 'root' | 'issuing'; issuer: string; certificate: Uint8Array; keys: CryptoKeyPair },
): Promise<Command> {
  const pkcs8 = new Uint8Array(await deps.crypto.subtle.exportKey('pkcs8', authority.keys.privateKey))
  return insertAuthority(deps.keys, {
    id: authority.id,
    role: authority.role,
    slot: `${authority.role}-1`,
    issuer: authority.issuer,
    keyKind: deps.caKey,
    certificate: authority.certificate,
    privateKeySealed: deps.keys.main.seal(keyPlace(authority.id), pkcs8),
    createdAt: deps.clock(),
  })
}

const keyRefused =
  'CA_KEY: set it to rsa4096, p256 or p384: under sbr-strict an RSA key of a new CA has 4096 bits (S/MIME BR 6.1.5)'

/** Makes root and issuing CA in one batch. If another process was faster, its CAs stay. */
async function createAuthorities(deps: AuthorityDeps): Promise<void> {
  if (deps.profile.kind === 'sbr-strict' && deps.caKey === 'rsa3072') throw new Error(keyRefused)
  const now = new Date(deps.clock())
  const rootId = randomId(deps.random)
  const issuingId = randomId(deps.random)
  const rootKeys = await generateKeys(deps)
  const issuingKeys = await generateKeys(deps)
  const rootCertificate = await createRootCertificate(deps.crypto, {
    keys: rootKeys,
    keyKind: deps.caKey,
    name: { ...deps.caName, commonName: `certbook root ${rootId.slice(0, 6)}` },
    serialNumber: randomSerialNumber(deps.crypto),
    notBefore: now,
    notAfter: new Date(now.getTime() + rootTerm),
  })
  const issuingCertificate = await createIssuingCertificate(deps.crypto, {
    issuer: rootCertificate,
    issuerPrivateKey: rootKeys.privateKey,
    issuerKeyKind: deps.caKey,
    spki: new Uint8Array(await deps.crypto.subtle.exportKey('spki', issuingKeys.publicKey)),
    name: { ...deps.caName, commonName: `certbook issuing CA ${issuingId.slice(0, 6)}` },
    serialNumber: randomSerialNumber(deps.crypto),
    notBefore: now,
    notAfter: new Date(now.getTime() + issuingTerm),
    urls: authorityUrls(deps.pkiUrl, rootId),
  })
  const { serialNumber, notAfter } = await certificateFacts(deps.crypto, issuingCertificate)
  try {
    await deps.database.batch([
      await authorityCommand(deps, {
        id: rootId,
        role: 'root',
        issuer: rootId,
        certificate: rootCertificate,
        keys: rootKeys,
      }),
      await authorityCommand(deps, {
        id: issuingId,
        role: 'issuing',
        issuer: rootId,
        certificate: issuingCertificate,
        keys: issuingKeys,
      }),
      // The root's list is made from statuses too. Only this serial number could stand on it.
      insertStatus({ authority: rootId, serialNumber, notAfter: notAfter.getTime() }),
      ...deps.recordAudit({
        action: firstAction,
        actorKind: 'service',
        actor: null,
        subjectKind: 'certificate authority',
        subject: issuingId,
        facts: { root: rootId, keyKind: deps.caKey },
      }),
      ...deps.madeWithCas(),
    ])
  } catch (error) {
    if (error instanceof ConstraintFailed && error.kind === 'unique') return
    throw error
  }
  deps.events.authoritiesCreated({ issuing: issuingId })
}

/** A CA inside, with its key. */
interface OwnAuthority {
  readonly id: string
  readonly keyKind: CaKeyKind
  readonly certificate: Uint8Array
  readonly privateKeySealed: Uint8Array
}

function findRole(deps: AuthorityDeps, rows: readonly AuthorityRow[], role: 'root' | 'issuing'): OwnAuthority {
  const row = rows.find((candidate) => candidate.role === role)
  if (row === undefined) throw new Error(`the database holds no ${role} CA`)
  const { keyKind, privateKeySealed } = row
  if (!isOwnAuthority(deps.keys, row) || keyKind === null || privateKeySealed === null) {
    throw new Error(`somebody without the key ring has changed the ${role} CA in the database: put back a backup`)
  }
  return { ...row, keyKind, privateKeySealed }
}

const namedPkiUrl = (issuing: OwnAuthority): string => {
  const points = new X509Certificate(new Uint8Array(issuing.certificate)).getExtension(CRLDistributionPointsExtension)
  const [name] = points?.distributionPoints[0]?.distributionPoint?.fullName ?? []
  const list = name?.uniformResourceIdentifier
  if (list === undefined) throw new Error('the certificate of the issuing CA names no revocation list')
  return list.slice(0, list.lastIndexOf('/ca/'))
}

/**
 * Opens the embedded CA, and makes it if there is none. The root's key stays sealed. The issuing key is held so that
 * it cannot be exported. Throws if the profile allows no new CA with the key that is set, and if somebody has changed a CA.
 */
export async function openAuthorities(deps: AuthorityDeps): Promise<Authorities> {
  if ((await readAuthorities(deps.database)).length === 0) await createAuthorities(deps)
  const rows = await readAuthorities(deps.database)
  const root = findRole(deps, rows, 'root')
  const issuing = findRole(deps, rows, 'issuing')
  const issuingSigner = await openSigner(deps, issuing)
  return {
    root: { id: root.id, certificate: root.certificate },
    issuing: { id: issuing.id, ...issuingSigner },
    namedPkiUrl: namedPkiUrl(issuing),
    signer: async (authority) => (authority === root.id ? openSigner(deps, root) : issuingSigner),
  }
}

async function openSigner(deps: AuthorityDeps, row: OwnAuthority): Promise<Signer> {
  const pkcs8 = deps.keys.main.open(keyPlace(row.id), row.privateKeySealed)
  const algorithm = caKeyAlgorithm(row.keyKind).key
  const privateKey = await deps.crypto.subtle.importKey('pkcs8', new Uint8Array(pkcs8), algorithm, false, ['sign'])
  pkcs8.fill(0)
  return { certificate: row.certificate, privateKey, keyKind: row.keyKind }
}
