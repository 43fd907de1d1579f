import { randomSerialNumber } from '../../pki/ca-key.ts'
import { parseCertificate } from '../../pki/certificate.ts'
import { prepareChain } from '../../pki/chain.ts'
import { nameToString } from '../../pki/names.ts'
import type { CertificateProfile } from '../../pki/profiles.ts'
import { prepareSubscriberTemplate } from '../../pki/subscriber-template.ts'
import { authorityUrls, type Authorities } from '../authorities.ts'
import type { CaAdapter } from './contract.ts'

/**
 * The CA inside the service. It keeps nothing of its own: a certificate counts once its batch is committed, so an
 * order can be submitted again after a crash.
 */
export async function createEmbeddedCa(deps: {
  crypto: Crypto
  authorities: Authorities
  profile: CertificateProfile
  pkiUrl: string
}): Promise<CaAdapter> {
  const { root, issuing } = deps.authorities
  const chain = [issuing.certificate, root.certificate]
  const anchors = [root.certificate]
  const prepared = await prepareChain(deps.crypto, chain, anchors)
  const issue = prepareSubscriberTemplate(deps.crypto, {
    issuer: issuing.certificate,
    issuerPrivateKey: issuing.privateKey,
    issuerKeyKind: issuing.keyKind,
    profile: deps.profile,
    urls: authorityUrls(deps.pkiUrl, issuing.id),
  })
  return {
    name: nameToString(parseCertificate(issuing.certificate).subject),
    keepsNothing: true,
    submit: async ({ spki, key, mailbox, use, notBefore, notAfter }) => ({
      authority: issuing.id,
      certificate: await issue({
        serialNumber: randomSerialNumber(deps.crypto),
        spki,
        key,
        mailbox,
        use,
        notBefore,
        notAfter,
      }),
      chain,
      anchors,
      prepared,
    }),
    chainOf: (authority) => (authority === issuing.id ? chain : []),
  }
}
