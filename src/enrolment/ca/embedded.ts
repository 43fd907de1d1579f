import { randomSerialNumber } from '../../pki/ca-key.ts'
import { createSubscriberCertificate, type CertificateProfile } from '../../pki/profiles.ts'
import { authorityUrls, type Authorities } from '../authorities.ts'
import type { CaAdapter } from './contract.ts'

/**
 * The CA inside the service. It keeps nothing of its own: a certificate counts once its batch is committed, so an
 * order can be submitted again after a crash.
 */
export function createEmbeddedCa(deps: {
  crypto: Crypto
  authorities: Authorities
  profile: CertificateProfile
  pkiUrl: string
}): CaAdapter {
  const { root, issuing } = deps.authorities
  const chain = [issuing.certificate, root.certificate]
  return {
    submit: async (order) => ({
      authority: issuing.id,
      certificate: await createSubscriberCertificate(deps.crypto, {
        issuer: issuing.certificate,
        issuerPrivateKey: issuing.privateKey,
        issuerKeyKind: issuing.keyKind,
        spki: order.spki,
        key: order.key,
        mailbox: order.mailbox,
        use: order.use,
        profile: deps.profile,
        serialNumber: randomSerialNumber(deps.crypto),
        notBefore: order.notBefore,
        notAfter: order.notAfter,
        urls: authorityUrls(deps.pkiUrl, issuing.id),
      }),
      chain,
      anchors: [root.certificate],
    }),
    chainOf: (authority) => (authority === issuing.id ? chain : []),
  }
}
