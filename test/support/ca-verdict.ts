import type { CaOutcome, CaTrust, CertificateOrder } from '../../src/cas/adapters/contract.ts'
import { orderChain } from '../../src/pki/order-chain.ts'
import { verifyIssuedCertificate } from '../../src/pki/verify-issued.ts'

/** What `verifyIssuedCertificate` says of an outcome, with the chain as the engine puts it together. */
export async function verdict(trust: CaTrust, ordered: CertificateOrder, outcome: CaOutcome): Promise<unknown> {
  if (outcome.kind !== 'issued') return outcome
  const { certificate } = outcome
  const chain = await orderChain(crypto, certificate, trust, outcome.chain)
  const { spki, mailbox, use, notBefore, notAfter } = ordered
  const at = new Date()
  const { anchors } = trust
  return await verifyIssuedCertificate(crypto, {
    certificate,
    chain,
    anchors,
    spki,
    mailbox,
    use,
    notBefore,
    notAfter,
    at,
  })
}
