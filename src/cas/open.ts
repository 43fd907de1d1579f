import { parseCertificate } from '../pki/certificate.ts'
import { readCertificates } from '../pki/pem.ts'
import { clientCertificateOf } from './adapters/client-key.ts'
import type { CaAdapter } from './adapters/contract.ts'
import { adapterKind } from './adapters/registry.ts'
import { embeddedConnection, type OpenConnection } from './contract.ts'
import type { CaDeps } from './deps.ts'
import { credentialsStanding, openCredentials, readSettings } from './kept.ts'
import { readConnection, type ConnectionRow } from './store.ts'

type PrepareDeps = Pick<CaDeps, 'keys' | 'events' | 'outgoing' | 'clock' | 'crypto' | 'random' | 'embedded'>

const refusal = {
  failure: 'credential_refused',
  caSaid: 'Nothing was sent: the connection has no credential yet.',
} as const

/**
 * An adapter that sends nothing, for a connection without credentials. Orders wait, and orders at the CA stay as they
 * are.
 */
const withoutCredentials = (adapter: CaAdapter): CaAdapter => ({
  describe: () => adapter.describe(),
  check: async () => ({ kind: 'not_ready', ...refusal }),
  submit: async () => ({ kind: 'transient', ...refusal, retryAfterSeconds: null }),
  ...(adapter.poll === undefined
    ? {}
    : { poll: async (_order, state) => ({ kind: 'pending', state, retryAfterSeconds: null, waitsFor: null }) }),
  ...(adapter.find === undefined ? {} : { find: async (_order, state) => ({ kind: 'unknown', ...refusal, state }) }),
  ...(adapter.revoke === undefined
    ? {}
    : { revoke: async () => ({ kind: 'transient', ...refusal, retryAfterSeconds: null }) }),
})

/** A certificate that a connection needs. A warning comes before it expires. */
interface Resting {
  readonly what: 'an anchor' | 'an intermediate' | 'the client certificate'
  readonly notAfter: number
}

/** What is made from the row of a connection. It holds for one version of the row. */
export interface Prepared extends Pick<OpenConnection, 'keyPolicy' | 'adapter' | 'trust' | 'mailboxChallengeSender'> {
  readonly restsOn: readonly Resting[]
}

/** Makes from a row what requests need. */
function prepareConnection(deps: PrepareDeps, row: ConnectionRow): Prepared {
  if (row.id === embeddedConnection) {
    const { adapter, trust, keyPolicy } = deps.embedded
    return { adapter, trust, keyPolicy, mailboxChallengeSender: null, restsOn: [] }
  }
  const settings = readSettings(row)
  const credentials = openCredentials(deps.keys, row)
  const anchors = readCertificates(settings.anchors)
  const intermediates = settings.intermediates === null ? [] : readCertificates(settings.intermediates)
  const client = clientCertificateOf(credentials)?.chain.slice(0, 1) ?? []
  const adapter = adapterKind(row.kind).create(deps, settings, credentials)
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

/** Opens connections. */
export interface Opening {
  /** See `Connections.open`. */
  readonly open: (id: string) => Promise<OpenConnection | null>
  /** Does the same for a row that was just read, also of a removed connection. */
  readonly prepare: (row: ConnectionRow) => Prepared
}

/**
 * Opens connections. Reads the row each time, so a change by another process is seen at once. What is made from it is
 * kept while its version stays.
 */
export function createOpening(deps: PrepareDeps & Pick<CaDeps, 'database'>): Opening {
  const kept = new Map<string, { readonly version: number; readonly prepared: Prepared }>()

  const prepare = (row: ConnectionRow): Prepared => {
    const known = kept.get(row.id)
    if (known?.version === row.version) return known.prepared
    const prepared = prepareConnection(deps, row)
    kept.set(row.id, { version: row.version, prepared })
    return prepared
  }

  return {
    prepare,
    open: async (id) => {
      const row = await readConnection(deps, id)
      if (row === null || row.state === 'removed') return null
      const { keyPolicy, adapter, trust, mailboxChallengeSender } = prepare(row)
      return { id, kind: row.kind, name: row.name, state: row.state, keyPolicy, adapter, trust, mailboxChallengeSender }
    },
  }
}
