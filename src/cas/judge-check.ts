import type { CaCheckAnswer } from '../api/ca-shapes.ts'
import { prepareChain } from '../pki/chain.ts'
import { MalformedDer } from '../pki/der.ts'
import { orderChain } from '../pki/order-chain.ts'
import type { CaCheck, CaTrust } from './adapters/contract.ts'
import { readRuleSet } from './routing/store.ts'
import type { CaDeps } from './deps.ts'

type JudgeDeps = Pick<CaDeps, 'crypto' | 'clock' | 'database'>

/** An honest CA shows fewer. */
const issuersLooked = 20

/**
 * Judges the check of a CA. Two findings are added to the refusals of the CA itself: `anchors_differ` if no
 * certificate that it shows leads to the connection's anchors, and `profile_refused` if the profile for the requests
 * is not for e-mail.
 */
export async function judgeCheck(
  deps: JudgeDeps,
  connection: string,
  trust: CaTrust,
  check: CaCheck,
): Promise<CaCheckAnswer> {
  if (check.kind === 'not_ready') return { ready: false, failure: check.failure, caSaid: check.caSaid, facts: {} }
  const { issuers, usagesWithoutMail } = check
  const facts = { ...check.facts }
  if (issuers !== undefined && !(await someLead(deps, trust, issuers))) {
    return { ready: false, failure: 'anchors_differ', caSaid: null, facts }
  }
  if (usagesWithoutMail !== undefined && (await isUsualProfileUsed(deps, connection))) {
    return { ready: false, failure: 'profile_refused', caSaid: `usages: ${usagesWithoutMail}`, facts }
  }
  return { ready: true, failure: null, caSaid: null, facts }
}

async function someLead(deps: JudgeDeps, trust: CaTrust, issuers: readonly Uint8Array[]): Promise<boolean> {
  for (const issuer of issuers.slice(0, issuersLooked)) if (await leads(deps, trust, issuer, issuers)) return true
  return false
}

async function leads(
  { crypto, clock }: JudgeDeps,
  trust: CaTrust,
  issuer: Uint8Array,
  shown: readonly Uint8Array[],
): Promise<boolean> {
  try {
    const above = await orderChain(crypto, issuer, trust, shown)
    return (await prepareChain(crypto, [issuer, ...above], trust.anchors)).isTrusted(new Date(clock()))
  } catch (error) {
    if (error instanceof MalformedDer) return false
    throw error
  }
}

/** Whether requests can reach the connection's usual profile. They cannot if every rule names another one. */
async function isUsualProfileUsed({ database }: JudgeDeps, connection: string): Promise<boolean> {
  const rules = (await readRuleSet(database)).rules.filter((rule) => rule.connection === connection)
  return rules.length === 0 || rules.some(({ profile }) => profile === null)
}
