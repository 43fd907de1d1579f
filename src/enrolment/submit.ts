import { DomainError } from '../errors.ts'
import { parseMailboxAddress } from '../mailbox/address.ts'
import type { CertificateFacts } from '../pki/certificate-facts.ts'
import { verifyIssuedCertificate } from '../pki/verify-issued.ts'
import { ConstraintFailed, GuardBroken, type Command } from '../ports/database.ts'
import { randomId } from '../ports/runtime.ts'
import type { OwnMailbox } from '../registration/mailboxes.ts'
import type { CertificateOrder, IssuedByCa } from './ca/contract.ts'
import type { EnrolmentDeps } from './deps.ts'
import { checkCsr, checkProvedKey, type ProvedKey } from './proved-key.ts'
import { sealCertificate, sealFacts } from './present.ts'
import { insertStatus } from './status/store.ts'
import {
  claimStuckRequest,
  endCertificate,
  finishRequest,
  insertCertificate,
  readRequest,
  readStuckRequests,
  readValidCertificateId,
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

/** Has the CA issue, verifies what came back, and keeps it or the reason why not. */
export async function submitRequest(
  deps: EnrolmentDeps,
  id: string,
  mailbox: OwnMailbox,
  proved: ProvedKey,
): Promise<void> {
  const row = await readRequest(deps.database, id)
  if (row?.state !== 'submitting') return
  const order = orderFor(deps, row, mailbox, proved)
  const issued = await deps.ca.submit(order)
  const verdict = await verifyIssuedCertificate(deps.crypto, {
    certificate: issued.certificate,
    chain: issued.chain,
    anchors: issued.anchors,
    spki: order.spki,
    mailbox: order.mailbox,
    use: order.use,
    notBefore: order.notBefore,
    notAfter: order.notAfter,
    at: new Date(deps.clock()),
  })
  if (verdict.ok) await keepCertificate(deps, row, mailbox, issued, verdict.facts)
  else await keepRefusal(deps, row, verdict.reason)
}

/** A certificate that fails verification is never kept; the request says why, and so does the log. */
async function keepRefusal(deps: EnrolmentDeps, row: RequestRow, reason: string): Promise<void> {
  await deps.database.batch([
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
}

async function keepCertificate(
  deps: EnrolmentDeps,
  row: RequestRow,
  mailbox: OwnMailbox,
  issued: IssuedByCa,
  facts: CertificateFacts,
): Promise<void> {
  const certificate = randomId(deps.random)
  for (;;) {
    const previous = await readValidCertificateId(deps.database, row)
    try {
      await deps.database.batch([
        ...(previous === null ? [] : endCertificate(previous.id, previous.request, 'superseded', deps.clock())),
        ...issuedCommands(deps, row, mailbox, issued, facts, certificate),
        ...(previous === null ? [] : deps.onCertificateSuperseded(previous.id, certificate)),
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
  deps.audit.sealSoon()
  deps.events.certificateIssued({ request: row.id, certificate })
}

/** Another worker finished the request, and then its certificate is the one; or the key was blocked meanwhile. */
async function settleUnfinished(deps: EnrolmentDeps, row: RequestRow): Promise<void> {
  const now = await readRequest(deps.database, row.id)
  if (now?.state === 'submitting') await keepRefusal(deps, row, 'key_blocked')
}

const issuedCommands = (
  deps: EnrolmentDeps,
  row: RequestRow,
  mailbox: OwnMailbox,
  issued: IssuedByCa,
  facts: CertificateFacts,
  id: string,
): Command[] => [
  ...finishRequest(row.id, 'issued', null, deps.clock()),
  insertCertificate({
    id,
    request: row.id,
    subscriber: row.subscriber,
    device: row.device,
    mailbox: row.mailbox,
    use: row.use,
    authority: issued.authority,
    serialNumber: facts.serialNumber,
    spkiSha256: row.spkiSha256,
    factsSealed: sealFacts(deps.keys, id, {
      mailbox: mailbox.address,
      serialNumber: facts.serialNumber,
      fingerprintSha256: facts.fingerprintSha256,
      issuer: facts.issuer,
    }),
    certificateSealed: sealCertificate(deps.keys, id, issued.certificate),
    notBefore: facts.notBefore.getTime(),
    notAfter: facts.notAfter.getTime(),
    createdAt: deps.clock(),
  }),
  insertStatus({
    authority: issued.authority,
    serialNumber: facts.serialNumber,
    notAfter: facts.notAfter.getTime(),
  }),
  ...deps.audit.record({
    action: 'certificate.issued',
    actorKind: 'service',
    actor: null,
    subjectKind: 'certificate',
    subject: id,
    facts: { request: row.id, use: row.use },
    personal: { mailbox: mailbox.address, serialNumber: facts.serialNumber },
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
  const row = await readRequest(deps.database, id)
  if (row === null) return
  const mailboxes = await deps.registration.mailboxesOf(row.subscriber)
  const mailbox = mailboxes.find((candidate) => candidate.id === row.mailbox)
  if (mailbox === undefined) return
  const place = { table: 'certificate_requests', column: 'csr_sealed', row: id }
  const content = deps.keys.main.open(place, row.csrSealed)
  try {
    const proved =
      row.provedBy === 'csr'
        ? await checkCsr(deps, content, mailbox, row.use)
        : await checkProvedKey(deps, content, row.use)
    await submitRequest(deps, id, mailbox, proved)
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
