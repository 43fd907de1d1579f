import { DomainError } from '../errors.ts'
import { parseMailboxAddress } from '../mailbox/address.ts'
import type { CertificateFacts } from '../pki/certificate-facts.ts'
import { verifyIssuedCertificate } from '../pki/verify-issued.ts'
import { ConstraintFailed, GuardBroken, type Command } from '../ports/database.ts'
import { randomId } from '../ports/runtime.ts'
import type { OwnMailbox } from '../registration/mailboxes.ts'
import type { CertificateOrder, IssuedByCa } from './ca/contract.ts'
import type { EnrolmentDeps } from './deps.ts'
import { checkBareKey, checkCsr, type ProvedKey } from './proved-key.ts'
import { sealCertificate, sealFacts, type OpenedCertificate } from './present.ts'
import { insertStatus } from './status/store.ts'
import { endCertificate, insertCertificate, readValidCertificateId } from './certificates/store.ts'
import {
  claimStuckRequest,
  finishRequest,
  readRequest,
  readStanding,
  readStuckRequests,
  type RequestRow,
} from './store.ts'

/** Clients whose clocks run slow accept what is new. */
const backdatingMilliseconds = 5 * 60_000
/** 397 days, the last second included. */
const termMilliseconds = 397 * 86_400_000 - 1_000
/** A submission that took this long has lost its process. */
const stuckAfterMilliseconds = 60_000

const orderFor = (deps: EnrolmentDeps, row: RequestRow, mailbox: OwnMailbox, proved: ProvedKey): CertificateOrder => {
  const notBefore = Math.floor((deps.clock() - backdatingMilliseconds) / 1_000) * 1_000
  return {
    request: row.id,
    content: proved.content,
    spki: proved.spki,
    key: proved.key,
    mailbox: parseMailboxAddress(mailbox.address),
    use: row.use,
    notBefore: new Date(notBefore),
    notAfter: new Date(notBefore + termMilliseconds),
  }
}

/** A request after its submission, and its certificate where it got one. */
export interface Submitted {
  readonly row: RequestRow
  readonly certificate: OpenedCertificate | null
}

/**
 * Has the CA issue, verifies what came back, and keeps it or the reason why not. `intent` inserts the request in the
 * same batch, where no batch before it has.
 */
export async function submitRequest(
  deps: EnrolmentDeps,
  row: RequestRow,
  mailbox: OwnMailbox,
  proved: ProvedKey,
  intent: readonly Command[] = [],
): Promise<Submitted> {
  const order = orderFor(deps, row, mailbox, proved)
  const issued = await deps.ca.submit(order)
  const verdict = await verifyIssuedCertificate(deps.crypto, {
    certificate: issued.certificate,
    chain: issued.chain,
    anchors: issued.anchors,
    prepared: issued.prepared,
    spki: order.spki,
    mailbox: order.mailbox,
    use: order.use,
    notBefore: order.notBefore,
    notAfter: order.notAfter,
    at: new Date(deps.clock()),
  })
  return verdict.ok
    ? await keepCertificate(deps, row, mailbox, issued, verdict.facts, intent)
    : await keepRefusal(deps, row, verdict.reason, intent)
}

/** A certificate that fails verification is never kept; the request says why, and so does the log. */
async function keepRefusal(
  deps: EnrolmentDeps,
  row: RequestRow,
  reason: string,
  intent: readonly Command[] = [],
): Promise<Submitted> {
  await deps.database.batch([
    ...intent,
    ...finishRequest(row.id, 'failed', reason, deps.clock()),
    ...deps.audit.record({
      action: 'certificate.refused',
      actorKind: 'service',
      actor: null,
      subjectKind: 'certificate request',
      subject: row.id,
      facts: { reason },
    }),
  ])
  deps.audit.sealSoon()
  deps.events.certificateRefused({ request: row.id, reason })
  return { row: { ...row, state: 'failed', reason }, certificate: null }
}

async function keepCertificate(
  deps: EnrolmentDeps,
  row: RequestRow,
  mailbox: OwnMailbox,
  issued: IssuedByCa,
  facts: CertificateFacts,
  intent: readonly Command[],
): Promise<Submitted> {
  const certificate = openedCertificate(randomId(deps.random), row, mailbox, issued, facts)
  const { id, use, notAfter } = certificate
  const announcement = await deps.registration.announce(row, 'new_certificate', id, { use, at: deps.clock(), notAfter })
  for (;;) {
    const previous = await readValidCertificateId(deps.database, row)
    try {
      await deps.database.batch([
        ...intent,
        ...(previous === null ? [] : supersededCommands(deps, previous, certificate.id)),
        ...issuedCommands(deps, row, certificate),
        ...(previous === null ? [] : deps.onCertificateSuperseded(previous.id, certificate.id)),
        ...announcement,
      ])
      break
    } catch (error) {
      if (error instanceof GuardBroken && error.code === 'request_finished') return settleUnfinished(deps, row)
      const raced =
        (error instanceof GuardBroken && error.code === 'certificate_ended') ||
        (error instanceof ConstraintFailed && error.constraint.includes('certificates.device'))
      if (!raced) throw error
    }
  }
  deps.mail.sendSoon()
  deps.audit.sealSoon()
  deps.events.certificateIssued({ request: row.id, certificate: certificate.id })
  return { row: { ...row, state: 'issued' }, certificate }
}

const supersededCommands = (
  deps: EnrolmentDeps,
  previous: { readonly id: string; readonly request: string },
  successor: string,
): Command[] => [
  ...endCertificate(previous.id, previous.request, 'superseded', deps.clock()),
  ...deps.audit.record({
    action: 'certificate.superseded',
    actorKind: 'service',
    actor: null,
    subjectKind: 'certificate',
    subject: previous.id,
    facts: { successor },
  }),
]

/** Another worker finished the request, and then its certificate is the one; or it must come to nothing. */
async function settleUnfinished(deps: EnrolmentDeps, row: RequestRow): Promise<Submitted> {
  const now = await readRequest(deps.database, row.id)
  if (now?.state === 'submitting') return await keepRefusal(deps, row, await whyRefused(deps, row))
  if (now === null) throw new Error('a request that was kept is gone')
  return { row: now, certificate: null }
}

/** Why a certificate is not kept: what it was for has ended meanwhile, or its key was blocked. */
async function whyRefused(deps: EnrolmentDeps, row: RequestRow): Promise<string> {
  const standing = await readStanding(deps.database, row)
  if (standing === null || standing.mailboxEnd !== null) return 'mailbox_ended'
  return standing.deviceEndedAt === null ? 'key_blocked' : 'device_ended'
}

const openedCertificate = (
  id: string,
  row: RequestRow,
  mailbox: OwnMailbox,
  issued: IssuedByCa,
  { serialNumber, fingerprintSha256, issuer, notBefore, notAfter }: CertificateFacts,
): OpenedCertificate => ({
  id,
  use: row.use,
  state: 'valid',
  authority: issued.authority,
  facts: { mailbox: mailbox.address, serialNumber, fingerprintSha256, issuer },
  certificate: issued.certificate,
  notBefore: notBefore.getTime(),
  notAfter: notAfter.getTime(),
})

const issuedCommands = (
  deps: EnrolmentDeps,
  row: RequestRow,
  { id, authority, facts, certificate, notBefore, notAfter }: OpenedCertificate,
): Command[] => [
  ...finishRequest(row.id, 'issued', null, deps.clock()),
  insertCertificate({
    id,
    request: row.id,
    subscriber: row.subscriber,
    device: row.device,
    mailbox: row.mailbox,
    use: row.use,
    authority,
    serialNumber: facts.serialNumber,
    spkiSha256: row.spkiSha256,
    fingerprintSha256: facts.fingerprintSha256,
    factsSealed: sealFacts(deps.keys, id, facts),
    certificateSealed: sealCertificate(deps.keys, id, certificate),
    notBefore,
    notAfter,
    createdAt: deps.clock(),
  }),
  insertStatus({ authority, serialNumber: facts.serialNumber, notAfter }),
  ...deps.audit.record({
    action: 'certificate.issued',
    actorKind: 'service',
    actor: null,
    subjectKind: 'certificate',
    subject: id,
    facts: { request: row.id, use: row.use },
    personal: { mailbox: facts.mailbox, serialNumber: facts.serialNumber },
  }),
]

/** Takes up one request, unless another worker has. */
async function resumeRequest(deps: EnrolmentDeps, id: string, stuckSince: number): Promise<void> {
  try {
    await deps.database.batch(claimStuckRequest(id, stuckSince, deps.clock()))
  } catch (error) {
    if (error instanceof GuardBroken) return
    throw error
  }
  await takeUpRequest(deps, id)
}

/** Has a request submitted that this worker has taken, from what is kept of it. */
export async function takeUpRequest(deps: EnrolmentDeps, id: string): Promise<void> {
  const row = await readRequest(deps.database, id)
  if (row?.state !== 'submitting') return
  const mailboxes = await deps.registration.mailboxesOf(row.subscriber)
  const mailbox = mailboxes.find((candidate) => candidate.id === row.mailbox)
  if (mailbox?.state !== 'active') {
    await keepRefusal(deps, row, 'mailbox_ended')
    return
  }
  const place = { table: 'certificate_requests', column: 'csr_sealed', row: id }
  const content = deps.keys.main.open(place, row.csrSealed)
  try {
    const proved =
      row.provedBy === 'csr'
        ? await checkCsr(deps, content, mailbox, row.use)
        : await checkBareKey(deps, content, row.use)
    await submitRequest(deps, row, mailbox, proved)
  } catch (error) {
    // What was accepted then may be refused now: the key may have been blocked meanwhile.
    if (!(error instanceof DomainError)) throw error
    await keepRefusal(deps, row, error.code)
  }
}

/**
 * Takes up the requests whose process died between intent and outcome. One that fails does not hold up the others;
 * the failures are thrown together at the end.
 */
export async function resumeStuckRequests(deps: EnrolmentDeps): Promise<void> {
  const before = deps.clock() - stuckAfterMilliseconds
  const failures: unknown[] = []
  for (const { id } of await readStuckRequests(deps.database, before, 50)) {
    await resumeRequest(deps, id, before).catch((error: unknown) => failures.push(error))
  }
  if (failures.length > 0) throw new AggregateError(failures, 'requests could not be taken up again')
}
