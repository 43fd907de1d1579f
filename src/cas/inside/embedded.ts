import { randomSerialNumber } from '../../pki/ca-key.ts'
import { parseCertificate } from '../../pki/certificate.ts'
import { prepareChain } from '../../pki/chain.ts'
import type { ProfileKind } from '../../pki/key-usage.ts'
import { nameToString } from '../../pki/names.ts'
import type { CertificateProfile } from '../../pki/profiles.ts'
import { prepareSubscriberTemplate } from '../../pki/subscriber-template.ts'
import { authorityUrls, type Authorities } from './authorities.ts'
import type { CaAdapter, CaDescription, CaTrust } from '../adapters/contract.ts'

/** The CA inside, in the form in which connections use a CA. */
export interface EmbeddedCa {
  readonly adapter: CaAdapter
  readonly trust: CaTrust
  /** Its name in certificates and on the privacy page. */
  readonly name: string
  readonly keyPolicy: ProfileKind
}

const description: CaDescription = {
  acceptsPublicKey: true,
  takesContentFromCsr: false,
  algorithms: ['RSA', 'EC', 'Ed25519', 'X25519'],
  keepsNothing: true,
  answersAgain: false,
  byHand: false,
}

/**
 * The CA inside the service. It stores nothing of its own: a certificate counts once its batch is committed. So an
 * order can be submitted again after a crash, and revoking needs no call.
 */
export async function createEmbeddedCa(deps: {
  crypto: Crypto
  authorities: Authorities
  profile: CertificateProfile
  pkiUrl: string
}): Promise<EmbeddedCa> {
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
  const adapter: CaAdapter = {
    describe: () => description,
    check: async () => ({ kind: 'ready', facts: {} }),
    submit: async ({ spki, key, mailbox, use, notBefore, notAfter }) => {
      const serialNumber = randomSerialNumber(deps.crypto)
      const certificate = await issue({ serialNumber, spki, key, mailbox, use, notBefore, notAfter })
      return { kind: 'issued', certificate, chain }
    },
  }
  return {
    adapter,
    trust: { anchors, intermediates: [], prepared },
    name: nameToString(parseCertificate(issuing.certificate).subject),
    keyPolicy: deps.profile.kind,
  }
}
