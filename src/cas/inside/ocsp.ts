import { createOcspResponse, ocspError, ocspIssuer } from '../../pki/ocsp.ts'
import { readOcspRequest, type OcspCertificateId, type OcspRequest } from '../../pki/ocsp-request.ts'
import { MalformedDer } from '../../pki/der.ts'
import type { Database } from '../../ports/database.ts'
import type { Clock } from '../../ports/runtime.ts'
import type { Authorities } from './authorities.ts'
import { readStatus, type StatusRow } from './store.ts'
import { hourMilliseconds } from '../../ports/time.ts'

export interface OcspDeps {
  readonly database: Database
  readonly crypto: Crypto
  readonly clock: Clock
  readonly authorities: Authorities
}

/** A response, and until when it may be given again (UTC milliseconds). Null: an error, which is never kept. */
export interface OcspAnswer {
  readonly response: Uint8Array
  readonly thisUpdate: number | null
  readonly nextUpdate: number | null
}

/** S/MIME BR 4.9.10: a response holds for 8 hours to 10 days. It is signed again when half of its time is over. */
const goodForMilliseconds = 48 * hourMilliseconds
const responsesKept = 20_000
const backdatingMilliseconds = 60_000

interface Signed {
  readonly answer: OcspAnswer
  readonly status: string
  readonly renewAt: number
}

const errorAnswer = (kind: Parameters<typeof ocspError>[0]): OcspAnswer => ({
  response: ocspError(kind),
  thisUpdate: null,
  nextUpdate: null,
})

const statusOf = (row: StatusRow | null) => {
  if (row === null) return { kind: 'unknown' } as const
  if (row.revokedAt === null) return { kind: 'good' } as const
  return { kind: 'revoked', at: new Date(row.revokedAt), reason: row.reason } as const
}

/**
 * Answers OCSP requests (RFC 6960, RFC 5019) for the issuing CA. It reads the status each time and keeps only signed
 * responses. So a revocation shows at once, and a busy responder signs rarely.
 */
export function createOcspResponder(deps: OcspDeps): (authority: string, request: Uint8Array) => Promise<OcspAnswer> {
  const kept = new Map<string, Signed>()
  const { issuing } = deps.authorities
  const issuers = Promise.all([
    ocspIssuer(deps.crypto, issuing.certificate, 'SHA-1'),
    ocspIssuer(deps.crypto, issuing.certificate, 'SHA-256'),
  ])

  const isOurs = async (id: OcspCertificateId): Promise<boolean> => {
    const [sha1, sha256] = await issuers
    const expected = id.hash === 'SHA-1' ? sha1 : id.hash === 'SHA-256' ? sha256 : null
    return expected !== null && expected.nameHash === id.issuerNameHash && expected.keyHash === id.issuerKeyHash
  }

  const sign = async (
    id: OcspCertificateId & { hash: 'SHA-1' | 'SHA-256' },
    row: StatusRow | null,
  ): Promise<OcspAnswer> => {
    const now = deps.clock()
    const thisUpdate = now - backdatingMilliseconds
    const nextUpdate = now + goodForMilliseconds
    const response = await createOcspResponse(deps.crypto, {
      issuer: issuing.certificate,
      issuerPrivateKey: issuing.privateKey,
      issuerKeyKind: issuing.keyKind,
      producedAt: new Date(now),
      thisUpdate: new Date(thisUpdate),
      nextUpdate: new Date(nextUpdate),
      id: { hash: id.hash, nameHash: id.issuerNameHash, keyHash: id.issuerKeyHash, serialNumber: id.serialNumber },
      status: statusOf(row),
    })
    return { response, thisUpdate, nextUpdate }
  }

  return async (authority, request) => {
    let asked: OcspRequest
    try {
      asked = readOcspRequest(request)
    } catch (error) {
      if (error instanceof MalformedDer) return errorAnswer('malformedRequest')
      throw error
    }
    // RFC 5019 2.1.1: one certificate in each request. Only such answers can be signed beforehand.
    const [id, second] = asked.ids
    if (id === undefined || second !== undefined || authority !== issuing.id) return errorAnswer('unauthorized')
    // RFC 6960 4.4: no authoritative answer is possible with a critical extension that is not understood.
    if (asked.extensions.some(({ critical }) => critical)) return errorAnswer('unauthorized')
    const { hash } = id
    if (hash === null || !(await isOurs(id))) return errorAnswer('unauthorized')
    const row = await readStatus(deps.database, authority, id.serialNumber)
    const status = JSON.stringify(row)
    const key = `${hash} ${id.serialNumber}`
    const known = kept.get(key)
    if (known !== undefined && known.status === status && known.renewAt > deps.clock()) return known.answer
    const answer = await sign({ ...id, hash }, row)
    // Anybody can invent serial numbers. Keeping their answers would let strangers push out the others.
    if (row !== null) {
      if (kept.size >= responsesKept) kept.clear()
      kept.set(key, { answer, status, renewAt: deps.clock() + goodForMilliseconds / 2 })
    }
    return answer
  }
}
