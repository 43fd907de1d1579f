import type { CaConnectionRequest } from '../api/ca-shapes.ts'
import { createCfsslCa } from './adapters/cfssl/cfssl.ts'
import type { CaAdapter } from './adapters/contract.ts'
import { createEjbcaCa } from './adapters/ejbca/ejbca.ts'
import { createEstCa } from './adapters/est/est.ts'
import { createManualCa } from './adapters/manual/manual.ts'
import { createStepCa } from './adapters/step-ca/step-ca.ts'
import { clientCertificateOf, keyBytes } from './keys-for-ca.ts'
import type { CaDeps } from './deps.ts'
import type { Credentials } from './settings.ts'

/** A secret that was made here. A connection that was removed has none any more, and sends nothing either. */
const secretBytes = (secret: string | undefined): Uint8Array =>
  secret === undefined ? new Uint8Array() : keyBytes(secret)

/** The adapter of a connection's kind, set up for it. */
export function createAdapter(
  deps: Pick<CaDeps, 'outgoing' | 'clock' | 'crypto' | 'random'>,
  settings: CaConnectionRequest,
  credentials: Credentials,
): CaAdapter {
  switch (settings.kind) {
    case 'cfssl':
      return createCfsslCa(deps, settings, { authKey: credentials.authKey ?? null })
    case 'step-ca':
      return createStepCa(deps, settings, { provisionerKey: secretBytes(credentials.provisionerKey) })
    case 'est':
      return createEstCa(deps, settings, {
        password: credentials.password ?? null,
        clientCertificate: clientCertificateOf(credentials),
      })
    case 'ejbca':
      return createEjbcaCa(deps, settings, {
        token: credentials.token ?? null,
        clientCertificate: clientCertificateOf(credentials),
        enrolmentSecret: secretBytes(credentials.enrolmentSecret),
      })
    case 'manual':
      return createManualCa(settings)
  }
}
