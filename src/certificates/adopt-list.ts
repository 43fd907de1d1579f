import { parseCertificate } from '../pki/certificate.ts'
import type { CrlEntry } from '../pki/crl.ts'
import { MalformedDer } from '../pki/der.ts'
import { equalBytes } from '../pki/encoding.ts'
import { parseCrl, type RevocationList } from '../pki/read-crl.ts'
import { verifySignature } from '../pki/signature.ts'
import { GuardBroken, type Command } from '../ports/database.ts'
import { readCertificateBySerialNumber, revokeCertificateRow } from './store.ts'
import { isTrustedCertificate } from './trusted-certificates.ts'
import type { CertificateDeps } from './deps.ts'
import { serialNumberIndex } from './fingerprints.ts'
import { sealRevocation } from './present.ts'
import { blockKey } from './keys/store.ts'
import { insertStatus, keepRevocationList, revokeStatus } from '../cas/inside/store.ts'
import { dayMilliseconds } from '../ports/time.ts'

/** The list is none, or another CA's. */
class RevocationListRefused extends Error {
  constructor(message: string, options?: ErrorOptions) {
    super(message, options)
    this.name = 'RevocationListRefused'
  }
}

/** What a list brought that was not known here. */
export interface AdoptedList {
  /** Certificates that are revoked again. */
  readonly revoked: number
  /** Serial numbers of certificates that are not known here: OCSP and the next lists name them as revoked. */
  readonly unknown: number
}

type AdoptDeps = Pick<
  CertificateDeps,
  'database' | 'keys' | 'crypto' | 'events' | 'audit' | 'authorities' | 'onCertificatesEnded'
>

/** How long a serial number that nobody knows is kept as revoked: longer than any certificate from here is valid. */
const unknownKeptMilliseconds = 400 * dayMilliseconds

async function readOwnList(deps: AdoptDeps, der: Uint8Array): Promise<RevocationList> {
  let list: RevocationList
  try {
    list = parseCrl(der)
  } catch (cause) {
    if (!(cause instanceof MalformedDer)) throw cause
    throw new RevocationListRefused('this is no revocation list in DER; fetch /ca/ID.crl of the issuing CA', { cause })
  }
  const { subject, spki } = parseCertificate(deps.authorities.issuing.certificate)
  const own = equalBytes(list.issuer, subject.bytes) && (await verifySignature(deps.crypto, spki, list.signature))
  if (own) return list
  throw new RevocationListRefused(
    "the revocation list is not the issuing CA's of this service; certbook ca list names it",
  )
}

/** The commands that revoke a certificate as of when it was revoked. Its subscriber was told then. */
async function revocation(deps: AdoptDeps, authority: string, entry: CrlEntry, keepUntil: number) {
  const { serialNumber, reason } = entry
  const at = entry.revokedAt.getTime()
  const row = await readCertificateBySerialNumber(deps.database, authority, serialNumberIndex(deps.keys, serialNumber))
  const status = revokeStatus({ authority, serialNumber }, at, reason)
  const audited = (subjectKind: string, subject: string): Command[] =>
    deps.audit.record({
      action: 'certificate.revoked',
      actorKind: 'service',
      actor: 'revocation list',
      subjectKind,
      subject,
      facts: { reason },
    })
  if (row === null || !isTrustedCertificate(deps, row)) {
    const known = insertStatus({ authority, serialNumber, notAfter: keepUntil })
    return { kind: 'unknown', commands: [known, ...status, ...audited('serial number', serialNumber)] } as const
  }
  const ended =
    row.state === 'valid' || row.state === 'superseded'
      ? revokeCertificateRow(row.id, sealRevocation(deps.keys, row.id, { at, reason }), at)
      : []
  const blocked = reason === 'keyCompromise' ? [blockKey('spki-sha256', row.keyIndex, 'revocation', at)] : []
  const commands = [...status, ...ended, ...deps.onCertificatesEnded([row.id]), ...blocked]
  return { kind: 'revoked', commands: [...commands, ...audited('certificate', row.id)] } as const
}

/**
 * Takes over what a list of the issuing CA says that the database does not know, because an older copy of it was put
 * back: what was revoked stays revoked. The next list gets a higher number than this one. A repeat changes nothing.
 * Throws `RevocationListRefused`.
 */
export async function adoptRevocationList(deps: AdoptDeps, der: Uint8Array): Promise<AdoptedList> {
  const list = await readOwnList(deps, der)
  const authority = deps.authorities.issuing.id
  const thisUpdate = list.thisUpdate.getTime()
  const count = { revoked: 0, unknown: 0 }
  for (const entry of list.entries) {
    const { kind, commands } = await revocation(deps, authority, entry, thisUpdate + unknownKeptMilliseconds)
    try {
      await deps.database.batch(commands)
      count[kind] += 1
    } catch (error) {
      // It is known to be revoked.
      if (!(error instanceof GuardBroken)) throw error
    }
  }
  try {
    const nextUpdate = list.nextUpdate.getTime()
    await deps.database.batch(keepRevocationList({ authority, number: list.number, thisUpdate, nextUpdate, list: der }))
  } catch (error) {
    if (!(error instanceof GuardBroken)) throw error
  }
  return count
}
