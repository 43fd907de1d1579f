import { timestamp, type DeviceCaller } from '../api/room.ts'
import type { CertificateRequestAnswer } from '../api/shapes.ts'
import { openText } from '../ports/keys.ts'
import { createOwnPresenter } from '../certificates/own.ts'
import { readCertificateOfRequest } from '../certificates/store.ts'
import { isTrustedCertificate } from '../certificates/trusted-certificates.ts'
import { embeddedConnection } from '../cas/contract.ts'
import type { RequestDeps } from './deps.ts'
import { openCertificate, type OpenedCertificate } from '../certificates/present.ts'
import type { RequestRow, RequestState } from './store.ts'

/** Shows inner states as `pending`, and a request whose certificate has ended as `issued`. */
const shownState = (state: RequestState): CertificateRequestAnswer['state'] => {
  if (state === 'submitting' || state === 'outcome_unknown') return 'pending'
  return state === 'ended' ? 'issued' : state
}

export type PresentDeps = Pick<
  RequestDeps,
  'database' | 'keys' | 'events' | 'connections' | 'publishedAmong' | 'registration'
>

type PresentRequest = (
  row: RequestRow,
  of: { readonly caller: DeviceCaller; readonly address: string },
  made?: OpenedCertificate | null,
) => Promise<CertificateRequestAnswer>

/** Shows requests to devices of their subscribers; `address` is that of the request's mailbox. `made`: the certificate, if the caller already has it. */
export function createRequestPresenter(deps: PresentDeps): PresentRequest {
  const { presentOpen } = createOwnPresenter(deps)

  const openOfRequest = async (request: string): Promise<OpenedCertificate | null> => {
    const row = await readCertificateOfRequest(deps.database, request)
    return row === null || !isTrustedCertificate(deps, row) ? null : openCertificate(deps.keys, row)
  }

  const explanationOf = ({ id, explanationSealed }: RequestRow): string | null => {
    const place = { table: 'certificate_requests', column: 'explanation_sealed', row: id }
    return explanationSealed === null ? null : openText(deps.keys.main, place, explanationSealed)
  }

  return async (row, { caller, address }, made = null) => {
    const certificate = made ?? (await openOfRequest(row.id))
    const [shown = null] = certificate === null ? [] : await presentOpen([certificate])
    return {
      id: row.id,
      state: shownState(row.state),
      mailbox: address,
      use: row.use,
      reason: row.reason,
      explanation: explanationOf(row),
      forwarded: await forwardedOf(deps, row),
      waitingFor: await waitingFor(deps, row),
      mailboxChallenge: await challengeOf(deps, caller, row),
      certificate: shown,
    }
  }
}

/** Privacy promise S6: to whom the request was passed on, and when. The CA inside is not another recipient. */
async function forwardedOf(
  deps: Pick<RequestDeps, 'connections'>,
  row: RequestRow,
): Promise<CertificateRequestAnswer['forwarded']> {
  if (row.submittedAt === null || row.connection === embeddedConnection) return null
  const to = await deps.connections.recipientOf(row.connection)
  return { to, at: timestamp(row.submittedAt) }
}

const challengeWords =
  'The certificate authority has the mailbox prove itself once more: find the mail that it sends there, check that it ' +
  'comes from the sender named here, and do what it says. The request goes on by itself then.'

const availableWords =
  'The certificate authority cannot take the request just now. Nothing needs to be done: it is sent as soon as it can be.'

async function waitingFor(
  deps: Pick<RequestDeps, 'connections'>,
  row: RequestRow,
): Promise<CertificateRequestAnswer['waitingFor']> {
  if (row.state === 'received') return { kind: 'ca_available', sender: null, whatToDo: availableWords }
  if (row.waitsFor === null || row.state !== 'pending') return null
  const connection = await deps.connections.open(row.connection)
  return { kind: row.waitsFor, sender: connection?.mailboxChallengeSender ?? null, whatToDo: challengeWords }
}

/** Only the device that made the request answers its challenge. */
async function challengeOf(
  deps: Pick<RequestDeps, 'registration'>,
  caller: DeviceCaller,
  { state, device, mailbox }: RequestRow,
): Promise<CertificateRequestAnswer['mailboxChallenge']> {
  if (state !== 'awaiting_mailbox_proof' || device !== caller.deviceId) return null
  return deps.registration.openChallenge(caller, mailbox)
}

const shortestSeconds = 2
const longestSeconds = 3_600
/** A person has to act. */
const forPersonSeconds = 300
const forProofSeconds = 30

/**
 * How many seconds a device waits before it asks again about an open request. Null for one with an outcome. If the
 * service or the CA acts by itself, this is the time until then; it grows with the age of the request.
 */
export function askAgainSeconds({ state, dueAt, createdAt }: RequestRow, now: number): number | null {
  const within = (milliseconds: number): number =>
    Math.min(longestSeconds, Math.max(shortestSeconds, Math.ceil(milliseconds / 1_000)))
  const ofItsAge = (now - createdAt) / 10
  switch (state) {
    case 'awaiting_mailbox_proof':
      return forProofSeconds
    case 'awaiting_approval':
      return forPersonSeconds
    case 'submitting':
      return within(ofItsAge)
    case 'received':
    case 'pending':
    case 'outcome_unknown':
      return dueAt === null ? forPersonSeconds : within(Math.max(dueAt - now, ofItsAge))
    case 'issued':
    case 'rejected':
    case 'failed':
    case 'cancelled':
    case 'ended':
      return null
  }
}
