import type { RequestReading } from '../../api/admin-shapes.ts'
import { timestamp } from '../../api/room.ts'
import { keyOfRequest } from '../../pki/certificate-request.ts'
import { checkPublicKey, type KeyFacts } from '../../pki/key-policy.ts'
import type { EnrolmentDeps } from '../deps.ts'
import { contentOf } from '../engine/order.ts'
import { readBackground, type BackgroundRow } from './store.ts'

const inWords = (key: KeyFacts): string => {
  if (key.algorithm === 'RSA') return `RSA ${key.bits}`
  return key.algorithm === 'EC' ? `EC ${key.curve}` : key.algorithm
}

function ruleOf({ rule, ruleAuthor, rulePosition, ruleChangedAt, createdAt }: BackgroundRow): RequestReading['rule'] {
  if (rule === null || ruleAuthor === null) return null
  const state = ruleChangedAt === null ? 'gone' : ruleChangedAt > createdAt ? 'changed' : 'unchanged'
  return { id: rule, author: ruleAuthor, position: rulePosition, state }
}

/** What else somebody should know who decides on a request: who asks, since when, with which key, caught by which rule. */
type Background = Pick<
  RequestReading,
  'accountType' | 'mailboxProvedAt' | 'subscriberSince' | 'deviceSince' | 'rule' | 'key'
>

/** Throws where there is no such request. */
export async function backgroundOf(
  deps: Pick<EnrolmentDeps, 'database' | 'keys'>,
  request: string,
): Promise<Background> {
  const row = await readBackground(deps.database, request)
  if (row === null) throw new Error('a request that was there is gone')
  const content = contentOf(deps, row)
  return {
    accountType: row.accountType,
    mailboxProvedAt: timestamp(row.mailboxProvedAt),
    subscriberSince: timestamp(row.subscriberSince),
    deviceSince: timestamp(row.deviceSince),
    rule: ruleOf(row),
    key: {
      algorithm: inWords(row.provedBy === 'csr' ? keyOfRequest(content).key : checkPublicKey(content)),
      spkiSha256: row.spkiSha256,
    },
  }
}
