import { commit } from '../audit/commit.ts'
import { byService, type AuditActor, type AuditEvent } from '../audit/entries.ts'
import { insertFreshStatus } from '../cas/inside/store.ts'
import { isChangedMeanwhile } from '../ports/authority.ts'
import { ConstraintFailed, GuardBroken, type Command } from '../ports/database.ts'
import { randomId } from '../ports/runtime.ts'
import type { CertificateUse } from '../api/shapes.ts'
import type { CertificateDeps, Successor } from './deps.ts'
import { dayAfter } from './days.ts'
import { dayOf } from '../ports/time.ts'
import { fingerprintIndex, serialNumberIndex } from './fingerprints.ts'
import { sealCertificate, sealFacts, type OpenedCertificate } from './present.ts'
import { firstReminder } from './renewal/remind.ts'
import { endCertificate, endLateCertificate, insertCertificate, readValidCertificate } from './store.ts'
import { isTrustedCertificate } from './trusted-certificates.ts'
import type { Verified } from './verify.ts'
import { paidWith } from '../ports/row-budgets.ts'

/** For whom a certificate was ordered, and how. */
export interface OrderedFor {
  readonly request: string
  readonly subscriber: string
  readonly device: string
  readonly mailbox: string
  readonly address: string
  readonly addressIndex: Uint8Array
  readonly use: CertificateUse
  readonly keyIndex: string
  readonly connection: string
  readonly requestedAt: number
}

/** What became of a certificate that was verified. */
export type KeptCertificate =
  | { readonly kind: 'kept'; readonly certificate: OpenedCertificate }
  /** `outcome` broke its guard: the request does not take this certificate. */
  | { readonly kind: 'not_taken' }
  /** Its CA gave the serial number to another certificate too. */
  | { readonly kind: 'serial_number_reused' }

type KeepDeps = Pick<
  CertificateDeps,
  | 'database'
  | 'keys'
  | 'random'
  | 'clock'
  | 'events'
  | 'audit'
  | 'mail'
  | 'onCertificatesEnded'
  | 'onCertificateSuperseded'
> & { readonly registration: Pick<CertificateDeps['registration'], 'announcementCommands'> }

/**
 * Keeps a certificate, in one batch with `outcome`: what the certificate means for its request, with the guard
 * `request_finished`. The certificate of the same device, mailbox and use that was asked for earlier is superseded. It
 * may be this one: what was asked for last counts, however late the answer comes, for the device may have dropped the
 * older key. The holder is told by mail.
 */
export async function keepCertificate(
  deps: KeepDeps,
  ordered: OrderedFor,
  { verified, by }: { readonly verified: Verified; readonly by: AuditActor },
  outcome: readonly Command[],
): Promise<KeptCertificate> {
  const fresh = openVerified(deps, ordered, verified)
  const {
    id,
    use,
    facts: { notAfter },
  } = fresh
  const announcement = await deps.registration.announcementCommands(ordered, 'new_certificate', id, {
    use,
    at: deps.clock(),
    notAfter,
  })
  for (;;) {
    const other = await readOther(deps, ordered)
    const isLate = other !== null && other.isPredecessor && other.requestedAt > ordered.requestedAt
    const certificate: OpenedCertificate = isLate ? { ...fresh, state: 'superseded' } : fresh
    const superseded = await supersededBy(deps, { ...certificate, addressIndex: ordered.addressIndex }, other)
    try {
      await commit(deps, {
        commands: [
          ...outcome,
          ...superseded.before,
          ...verified.commands,
          ...insertFreshStatus({ authority: verified.authority, serialNumber: verified.facts.serialNumber, notAfter }),
          inserted(deps, ordered, certificate),
          ...superseded.after,
          ...announcement,
        ],
        audit: [...superseded.audit, issuedEntry(ordered, certificate, by)],
        payment: paidWith('certificate_request'),
      })
    } catch (error) {
      if (isGuard(error, 'request_finished')) return { kind: 'not_taken' }
      if (isSerialNumberReused(error)) return { kind: 'serial_number_reused' }
      if (!isOvertaken(error)) throw error
      continue
    }
    deps.mail.sendSoon()
    deps.events.certificateIssued({ request: ordered.request, certificate: id })
    return { kind: 'kept', certificate }
  }
}

const isGuard = (error: unknown, code: string): boolean => error instanceof GuardBroken && error.code === code

const isConstraint = (error: unknown, columns: string): boolean =>
  error instanceof ConstraintFailed && error.constraint.includes(columns)

const isSerialNumberReused = (error: unknown): boolean =>
  isGuard(error, 'serial_number_reused') || isConstraint(error, 'certificates.serial_index')

/** Whether another certificate of the same use was kept, published or ended, since it was looked for. */
const isOvertaken = (error: unknown): boolean =>
  isGuard(error, 'certificate_ended') || isChangedMeanwhile(error) || isConstraint(error, 'certificates.device')

interface Superseded {
  readonly before: readonly Command[]
  readonly after: readonly Command[]
  readonly audit: readonly AuditEvent[]
}

/** The certificate that is valid for the same device, mailbox and use. */
interface OtherCertificate {
  readonly id: string
  readonly requestedAt: number
  /** False: nobody here made it one of this device. It makes room, and passes nothing on. */
  readonly isPredecessor: boolean
}

async function readOther(deps: KeepDeps, ordered: OrderedFor): Promise<OtherCertificate | null> {
  const row = await readValidCertificate(deps.database, ordered)
  if (row === null) return null
  return { id: row.id, requestedAt: row.requestedAt, isPredecessor: isTrustedCertificate(deps, row) }
}

/** Ends whichever of the two certificates was asked for earlier, or is there by forgery. */
async function supersededBy(
  deps: Pick<KeepDeps, 'onCertificatesEnded' | 'onCertificateSuperseded'>,
  successor: OpenedCertificate & Successor,
  other: OtherCertificate | null,
): Promise<Superseded> {
  if (other === null) return { before: [], after: [], audit: [] }
  const { id, state } = successor
  if (state === 'valid') {
    return {
      before: endCertificate(other.id, 'superseded'),
      after: other.isPredecessor
        ? await deps.onCertificateSuperseded(other.id, successor)
        : deps.onCertificatesEnded([other.id]),
      audit: [supersededEntry(other.id, id)],
    }
  }
  return {
    before: [],
    after: [...endLateCertificate(id, other.id), ...deps.onCertificatesEnded([id])],
    audit: [supersededEntry(id, other.id)],
  }
}

const supersededEntry = (certificate: string, successor: string): AuditEvent => ({
  action: 'certificate.superseded',
  ...byService,
  subjectKind: 'certificate',
  subject: certificate,
  facts: { successor },
})

const issuedEntry = ({ request, use }: OrderedFor, { id, facts }: OpenedCertificate, by: AuditActor): AuditEvent => ({
  action: 'certificate.issued',
  ...by,
  subjectKind: 'certificate',
  subject: id,
  facts: { request, use },
  personal: { mailbox: facts.mailbox, serialNumber: facts.serialNumber },
})

const openVerified = (
  deps: Pick<KeepDeps, 'random'>,
  { address, use }: OrderedFor,
  { certificate, authority, facts: { serialNumber, fingerprintSha256, issuer, notBefore, notAfter } }: Verified,
): OpenedCertificate => ({
  id: randomId(deps.random),
  use,
  state: 'valid',
  authority,
  facts: {
    mailbox: address,
    serialNumber,
    fingerprintSha256,
    issuer,
    notBefore: notBefore.getTime(),
    notAfter: notAfter.getTime(),
  },
  certificate,
})

const inserted = (
  deps: Pick<KeepDeps, 'keys' | 'clock'>,
  ordered: OrderedFor,
  { id, state, authority, facts, certificate }: OpenedCertificate,
): Command =>
  insertCertificate(deps.keys, {
    id,
    request: ordered.request,
    subscriber: ordered.subscriber,
    device: ordered.device,
    mailbox: ordered.mailbox,
    use: ordered.use,
    connection: ordered.connection,
    requestedAt: ordered.requestedAt,
    authority,
    serialNumberIndex: serialNumberIndex(deps.keys, facts.serialNumber),
    keyIndex: ordered.keyIndex,
    fingerprintIndex: fingerprintIndex(deps.keys, facts.fingerprintSha256),
    factsSealed: sealFacts(deps.keys, id, facts),
    certificateSealed: sealCertificate(deps.keys, id, certificate),
    notAfterDay: dayAfter(facts.notAfter),
    state: state === 'valid' ? 'valid' : 'superseded',
    remindDay: state === 'valid' ? dayOf(firstReminder(facts)) : null,
    createdAt: deps.clock(),
  })
