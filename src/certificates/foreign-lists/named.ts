import { certificateFacts } from '../../pki/certificate-facts.ts'
import { parseCertificate } from '../../pki/certificate.ts'
import { equalBytes } from '../../pki/encoding.ts'
import type { ForeignEntry, ForeignList } from '../../pki/read-foreign-crl.ts'
import type { RevocationReason } from '../../pki/revocation-reason.ts'
import type { CertificateDeps } from '../deps.ts'
import { serialNumberIndex } from '../fingerprints.ts'
import { revocationPlace } from '../forwarding/queue.ts'
import { readOpen } from '../forwarding/store.ts'
import { readRevocableAmong } from '../store.ts'
import { isTrustedCertificate } from '../trusted-certificates.ts'

/** How many entries are looked for at a time. */
const entriesAtOnce = 5_000
/** More revocations than a CA leaves unconfirmed. */
const openAtMost = 10_000

/** What a list names of what is known here. */
export interface Named {
  /** Certificates that can still be revoked. */
  readonly certificates: readonly { readonly id: string; readonly reason: RevocationReason | null }[]
  /** Revocations that the CA was to be told of. */
  readonly revocations: readonly string[]
}

type NamedDeps = Pick<CertificateDeps, 'database' | 'keys' | 'crypto' | 'events'>

/** What the list's issuer has not confirmed, by serial number. */
async function openBySerialNumber(
  deps: NamedDeps,
  connection: string,
  issuer: Uint8Array,
): Promise<ReadonlyMap<string, readonly string[]>> {
  const found = new Map<string, string[]>()
  for (const { id, certificateSealed } of await readOpen(deps.database, connection, openAtMost)) {
    const certificate = deps.keys.main.open(revocationPlace(id), certificateSealed)
    if (!equalBytes(parseCertificate(certificate).issuer.bytes, issuer)) continue
    const { serialNumber } = await certificateFacts(deps.crypto, certificate)
    found.set(serialNumber, [...(found.get(serialNumber) ?? []), id])
  }
  return found
}

/**
 * Looks for what is known here among all that a list names, however much that is: the entries pass by a few thousand at
 * a time. The list is read to its end before anything is done about it. Throws MalformedDer and UnsupportedList.
 */
export async function findNamed(
  deps: NamedDeps,
  connection: string,
  authorities: readonly string[],
  list: ForeignList,
): Promise<Named> {
  const open = await openBySerialNumber(deps, connection, list.issuer)
  const certificates = new Map<string, RevocationReason | null>()
  const revocations: string[] = []

  const look = async (entries: readonly ForeignEntry[]): Promise<void> => {
    const reasons = new Map(
      entries.map(({ serialNumber, reason }) => [serialNumberIndex(deps.keys, serialNumber), reason]),
    )
    for (const authority of authorities) {
      const known = await readRevocableAmong(deps.database, authority, [...reasons.keys()])
      for (const found of known.filter((row) => isTrustedCertificate(deps, row))) {
        certificates.set(found.id, reasons.get(found.serialNumberIndex) ?? null)
      }
    }
  }

  let passing: ForeignEntry[] = []
  for (const entry of list.entries()) {
    revocations.push(...(open.get(entry.serialNumber) ?? []))
    passing.push(entry)
    if (passing.length < entriesAtOnce) continue
    await look(passing)
    passing = []
  }
  if (passing.length > 0) await look(passing)
  return { certificates: [...certificates].map(([id, reason]) => ({ id, reason })), revocations }
}
