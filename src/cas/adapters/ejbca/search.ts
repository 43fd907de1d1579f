import { parseCertificate } from '../../../pki/certificate.ts'
import { MalformedDer } from '../../../pki/der.ts'
import { equalBytes } from '../../../pki/encoding.ts'
import { nameToString } from '../../../pki/names.ts'
import { certificatesOfPem } from '../../../pki/pem.ts'
import type { CertificateOrder, FoundOutcome } from '../contract.ts'
import { readFound, readRefusal, readTurnedAway } from './answers.ts'
import { get, post, unclear, usernameOf, type Ejbca } from './calls.ts'
import { textOf } from '../endpoint.ts'

/** A limit above the certificates of one order: none has two. */
const searchedAtMost = 10

type Searched = Extract<FoundOutcome, { kind: 'issued' | 'absent' }> | ReturnType<typeof unclear>

/**
 * Searches for the certificate of an order by the name of its end entity. EJBCA also answers with nothing if the
 * caller may not see CA or profiles. So an empty answer counts only if the same question within this connection's CA
 * and profiles is answered too.
 */
export async function search(ejbca: Ejbca, order: CertificateOrder): Promise<Searched> {
  const anywhere = await searchFor(ejbca, usernameOf(order), [])
  if (anywhere.kind === 'unknown') return anywhere
  const mine = anywhere.certificates.find((der) => equalBytes(parseCertificate(der).spki, order.spki))
  if (mine !== undefined) return { kind: 'issued', certificate: mine, chain: await chainOf(ejbca, mine) }
  if (anywhere.certificates.length > 0) return unclear('answer_malformed', null, null)
  const here = await searchFor(ejbca, usernameOf(order), ownCriteria(ejbca, order.profile))
  return here.kind === 'unknown' ? here : { kind: 'absent' }
}

interface Criterion {
  readonly property: string
  readonly value: string
}

/** The criteria for this connection's CA and profiles. */
export const ownCriteria = ({ settings }: Ejbca, profile: string | null): Criterion[] => [
  { property: 'CA', value: settings.certificateAuthority },
  { property: 'END_ENTITY_PROFILE', value: settings.endEntityProfile },
  { property: 'CERTIFICATE_PROFILE', value: profile ?? settings.certificateProfile },
]

type SearchAnswer =
  | { readonly kind: 'found'; readonly certificates: readonly Uint8Array[] }
  | ReturnType<typeof unclear>

/** The certificates of an end entity. EJBCA refuses a criterion that names something the caller may not see. */
export async function searchFor(ejbca: Ejbca, name: string, within: readonly Criterion[]): Promise<SearchAnswer> {
  const criteria = [{ property: 'QUERY', value: name }, ...within].map((one) => ({ ...one, operation: 'EQUAL' }))
  const called = await post(ejbca, '/v1/certificate/search', { max_number_of_results: searchedAtMost, criteria })
  if (called.kind !== 'answer') return unclear(called.failure, null, null)
  const found = readFound(called.answer)
  if (found !== null && (found.complete || found.certificates.length > 0)) {
    return { kind: 'found', certificates: found.certificates }
  }
  const refusal = readRefusal(called.answer)
  if (refusal !== null) return unclear(refusal.failure, refusal.caSaid, null)
  return unclear(readTurnedAway(called.answer) ?? 'answer_malformed', null, null)
}

/** The chain for a certificate that came without one. Empty if the CA does not give it. */
export async function chainOf(ejbca: Ejbca, certificate: Uint8Array): Promise<readonly Uint8Array[]> {
  const issuer = issuerNameOf(certificate)
  if (issuer === null) return []
  const called = await get(ejbca, `/v1/ca/${encodeURIComponent(issuer)}/certificate/download`)
  return called.kind === 'answer' && called.answer.status === 200
    ? (certificatesOfPem(textOf(called.answer)) ?? [])
    : []
}

/** The issuer's name for EJBCA's paths, in the order of RFC 4514. Null if it cannot be read. */
export function issuerNameOf(certificate: Uint8Array): string | null {
  try {
    return nameToString(parseCertificate(certificate).issuer)
  } catch (error) {
    if (error instanceof MalformedDer) return null
    throw error
  }
}
