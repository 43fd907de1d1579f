import { parseCertificate } from '../pki/certificate.ts'
import { readCertificates } from '../pki/pem.ts'
import { createAdapter } from './adapters.ts'
import { embeddedConnection, type OpenConnection } from './contract.ts'
import { clientCertificateOf } from './keys-for-ca.ts'
import type { CaDeps } from './deps.ts'
import { credentialsStanding, openCredentials, readSettings } from './settings.ts'
import type { ConnectionRow } from './store.ts'
import { withoutCredentials } from './without-credentials.ts'

/** A certificate on which a connection rests. */
interface Resting {
  readonly what: 'an anchor' | 'an intermediate' | 'the client certificate'
  readonly notAfter: number
}

/** What lasts of a connection for as long as its row has one version. */
export interface Prepared extends Pick<OpenConnection, 'keyPolicy' | 'adapter' | 'trust' | 'mailboxChallengeSender'> {
  readonly restsOn: readonly Resting[]
}

/** Makes of a row what requests need. */
export function prepareConnection(deps: CaDeps, row: ConnectionRow): Prepared {
  if (row.id === embeddedConnection) {
    const { adapter, trust, keyPolicy } = deps.embedded
    return { adapter, trust, keyPolicy, mailboxChallengeSender: null, restsOn: [] }
  }
  const settings = readSettings(row)
  const credentials = openCredentials(deps.keys, row)
  const anchors = readCertificates(settings.anchors)
  const intermediates = settings.intermediates === null ? [] : readCertificates(settings.intermediates)
  const client = clientCertificateOf(credentials)?.chain.slice(0, 1) ?? []
  const adapter = createAdapter(deps, settings, credentials)
  const isReady = row.state !== 'removed' && credentialsStanding(row, credentials) !== 'missing'
  return {
    keyPolicy: settings.keyPolicy,
    adapter: isReady ? adapter : withoutCredentials(adapter),
    trust: { anchors, intermediates },
    mailboxChallengeSender: 'mailboxChallenge' in settings ? (settings.mailboxChallenge?.sender ?? null) : null,
    restsOn: [
      ...resting('an anchor', anchors),
      ...resting('an intermediate', intermediates),
      ...resting('the client certificate', client),
    ],
  }
}

const resting = (what: Resting['what'], certificates: readonly Uint8Array[]): Resting[] =>
  certificates.map((der) => ({ what, notAfter: parseCertificate(der).notAfter.getTime() }))
