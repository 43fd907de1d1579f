import { cfsslExample } from './ca-kinds/cfssl.ts'
import { exampleCertificate as pem, exampleSettings as common } from './ca-kinds/common.ts'
import { estExample } from './ca-kinds/est.ts'
import type { Example } from './openapi-document.ts'

/** Examples of CA connections and routing rules. */

const time = '2026-11-21T12:00:00.000Z'
const id = 'bmV3LWNvbm5lY3Rpb24taQ'
const connection = {
  id,
  kind: estExample.kind,
  name: common.name,
  recipient: common.recipient,
  country: common.country,
  state: 'active',
  version: 2,
  settings: estExample,
  credentials: 'kept',
  keyForCa: {
    form: 'certificate-request',
    value: '-----BEGIN CERTIFICATE REQUEST-----\n…',
    certificateUntil: '2027-11-21T12:00:00.000Z',
  },
  can: {
    acceptPublicKeys: false,
    algorithms: ['rsa', 'ec', 'ed25519'],
    revoke: false,
    findLostOutcomes: false,
    refusesOtherContents: true,
    byHand: false,
  },
  circuit: {
    state: 'closed',
    failures: 0,
    openUntil: null,
    lastFailure: 'timed_out',
    lastFailureAt: '2026-11-20T03:12:44.000Z',
    lastSuccessAt: time,
  },
  requests: { waiting: 0, pending: 3, unknown: 0 },
  revocationLists: [
    {
      url: common.revocationLists[0],
      thisUpdate: '2026-11-21T06:00:00.000Z',
      nextUpdate: '2026-11-28T06:00:00.000Z',
      appliedAt: '2026-11-21T06:05:00.000Z',
      lastFailure: null,
    },
  ],
  createdAt: '2026-11-01T09:00:00.000Z',
  createdBy: 'c2FtcGxlLW9wZXJhdG9yLQ',
  changedAt: '2026-11-01T09:20:00.000Z',
}
const asked = {
  position: 10,
  domain: '*.example.com',
  accountType: null,
  use: 'dual',
  algorithm: null,
  connectionId: id,
  profile: null,
  approvals: 1,
}
const rule = { id: 'c2FtcGxlLXJ1bGUtLS0tLQ', ...asked, author: connection.createdBy, createdAt: time, changedAt: time }
const revocation = {
  id: 'c2FtcGxlLXJldm9jYXRpb24',
  connectionId: id,
  requestId: 'c2FtcGxlLXJlcXVlc3QtaWQ',
  certificateId: 'Yk1rT0c2V3lQb0h1Zk5sZA',
  serialNumber: '5c0f3a9be1d24478a6c1',
  issuer: 'CN=Example Mail CA',
  reason: 'cessationOfOperation',
  state: 'by_hand',
  attempts: 1,
  lastFailure: 'unknown_to_ca',
  requestedAt: '2026-11-21T11:40:00.000Z',
  confirmedAt: null,
}

export const caExamples: Readonly<Record<string, Example>> = {
  listCaConnections: { answer: { items: [connection], next: null } },
  makeCaConnection: { request: cfsslExample },
  readCaConnection: { answer: connection },
  changeCaConnection: { request: estExample, answer: connection },
  certifyCaConnection: { request: { certificate: pem }, answer: connection },
  testCaConnection: {
    answer: {
      ready: true,
      failure: null,
      caSaid: null,
      facts: { issuer: 'CN=Example Mail CA', usages: 'digital signature, email protection', term: '9528h' },
    },
  },
  pauseCaConnection: { answer: { ...connection, state: 'paused', version: 3 } },
  resumeCaConnection: { answer: { ...connection, version: 4 } },
  listRoutingRules: { answer: { items: [rule], next: null } },
  makeRoutingRule: { request: asked, answer: rule },
  changeRoutingRule: { request: asked, answer: rule },
  tryRoutingRules: {
    request: { address: 'alice@mail.example.com', accountType: 'imap', use: 'dual', algorithm: 'ec', publicKey: false },
    answer: {
      rule,
      outcome: 'accepted',
      code: null,
      connectionId: id,
      connectionName: common.name,
      connectionState: 'active',
      profile: null,
      approvals: 1,
    },
  },
  listCaRevocations: { answer: { items: [revocation], next: null } },
  confirmCaRevocation: { answer: { ...revocation, state: 'confirmed', lastFailure: null, confirmedAt: time } },
}
