import { caExamples } from './ca-examples.ts'
import type { Example } from './openapi-document.ts'

const device = {
  appVersion: '8.1.0',
  deviceType: 'iPhone',
  osVersion: '26.1',
  language: 'de',
  serialNumber: null,
}
const time = '2026-11-21T12:00:00.000Z'
const later = '2027-12-23T11:59:59.000Z'
const tomorrow = '2026-11-22T12:00:00.000Z'
const sha256 = '9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08'
const id = 'Yk1rT0c2V3lQb0h1Zk5sZA'
const challenge = 'aW50TjZ5ckxuYkFDZ2t4UA'
const consentVersion = '2026-11'

const directoryCertificate = {
  id,
  mailbox: 'alice@example.com',
  use: 'dual',
  state: 'valid',
  serialNumber: '5c0f3a9be1d24478a6c1',
  fingerprintSha256: sha256,
  issuer: 'CN=certbook issuing CA',
  notBefore: time,
  notAfter: later,
  certificate: 'MIICzDCCAnKgAwIBAgIQ',
  chain: ['MIICFjCCAbygAwIBAgIQ', 'MIIB2DCCAX6gAwIBAgIQ'],
}
const ownCertificate = { ...directoryCertificate, published: false }
const issued = {
  id: 'c2FtcGxlLXJlcXVlc3QtaWQ',
  state: 'issued',
  mailbox: 'alice@example.com',
  use: 'dual',
  reason: null,
  explanation: null,
  forwarded: null,
  waitingFor: null,
  mailboxChallenge: null,
  certificate: ownCertificate,
}
const underWay = {
  ...issued,
  state: 'pending',
  forwarded: { to: 'Example Trust Services GmbH', at: time },
  waitingFor: {
    kind: 'ca_mailbox_challenge',
    sender: 'validation@ca.example',
    whatToDo: 'The certificate authority has the mailbox prove itself once more: …',
  },
  certificate: null,
}
const rejected = {
  ...issued,
  state: 'rejected',
  reason: 'rejected_by_approver',
  explanation: 'Shared mailboxes get no certificate.',
  certificate: null,
}
const signChallenge = {
  id: 'c2FtcGxlLWNoYWxsZW5nZQ',
  challenge: { kind: 'sign', toBeSigned: 'Y2VydGJvb2sgcHJvb2Y=' },
  expiresAt: '2026-11-21T12:10:00.000Z',
}
const mailbox = {
  id,
  address: 'alice@example.com',
  accountType: 'imap',
  state: 'active',
  verifiedAt: time,
  createdAt: time,
}
const subscriber = {
  subscriberId: id,
  deviceId: id,
  language: 'de',
  createdAt: time,
  restricted: false,
  mailboxes: [mailbox],
}
const ownDevice = {
  id,
  state: 'active',
  current: true,
  appVersion: '8.1.0',
  deviceType: 'iPhone',
  osVersion: '26.1',
  language: 'de',
  createdAt: time,
  lastSeenAt: '2026-11-21T00:00:00.000Z',
}
/** The state of a request after an administrator changed it. */
const standing = {
  id: 'c2FtcGxlLXJlcXVlc3QtaWQ',
  state: 'pending',
  reason: null,
  certificateId: null,
  approvals: { needed: 0, given: 0 },
}
const reason = 'the subscriber asked for it by letter'
const publicKey = 'MFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAE'

export const examples: Readonly<Record<string, Example>> = {
  ...caExamples,
  startRegistration: {
    request: { email: 'alice@example.com', accountType: 'imap', policyVersion: consentVersion, device },
    answer: { id, deviceSecret: 'cb_reg_…', userCode: 'ABCD-2345', expiresAt: tomorrow },
  },
  confirmRegistration: { request: { token: 'the value of Certbook-Token' }, answer: { state: 'confirmed' } },
  getRegistration: { answer: { state: 'pending' } },
  mintCredential: {
    request: { waitForApproval: true },
    answer: { subscriberId: id, deviceId: id, mailbox: 'alice@example.com', credential: 'cb_dev_…' },
  },
  getPolicy: {
    answer: {
      version: consentVersion,
      effectiveAt: '2026-11-01T00:00:00.000Z',
      terms: { language: 'en', url: 'https://keys.example.com/terms', sha256 },
      consents: {
        publication: { version: consentVersion, text: 'May your certificate be found …', sha256 },
        crashReports: { version: consentVersion, text: 'May the app send crash reports …', sha256 },
      },
      next: null,
    },
  },
  getSubscriber: { answer: subscriber },
  changeSubscriber: { request: { language: 'de' }, answer: subscriber },
  addMailbox: {
    request: { email: 'alice.b@example.com', accountType: 'exchange' },
    answer: { id, challenge, state: 'pending', expiresAt: tomorrow },
  },
  proveMailbox: { request: { token: 'the value of Certbook-Token' }, answer: mailbox, answerStatus: '200' },
  getLinkFacts: {
    request: { token: 'what the link carries behind #' },
    answer: { deviceType: 'iPhone', appVersion: '8.1.0', osVersion: '26.1', startedAt: time },
  },
  confirmByLink: {
    request: { token: 'what the link carries behind #', userCode: 'ABCD-2345' },
    answer: { state: 'confirmed' },
  },
  refuseByLink: { request: { token: 'what the link carries behind #' }, answer: { state: 'ended' } },
  listDevices: { answer: { items: [ownDevice], next: null } },
  rotateCredential: { answer: { credential: 'cb_dev_…' } },
  checkIn: { request: device, answer: { nextInSeconds: 300, renew: [id], renewNow: [] } },
  requestCertificate: {
    request: { csr: '-----BEGIN CERTIFICATE REQUEST-----\n…', use: 'dual', mailbox: 'alice@example.com' },
    answer: issued,
  },
  getCertificateRequest: { answer: underWay },
  listCertificateRequests: { answer: { items: [underWay, rejected, issued], next: null } },
  submitPublicKey: { request: { publicKey, use: 'encrypt' }, answer: signChallenge },
  provePublicKey: { request: { proof: 'MEUCIQDs' }, answer: issued },
  listCertificates: { answer: { items: [ownCertificate], next: null } },
  getCertificate: { answer: ownCertificate },
  revokeCertificate: {
    request: { reason: 'keyCompromise' },
    answer: { ...ownCertificate, state: 'revoked' },
  },
  publishCertificate: {
    request: { consentVersion, audience: 'members' },
    answer: { ...ownCertificate, published: true },
  },
  lookUp: {
    request: { addresses: ['bob@example.com', 'carol@example.com'], use: 'encrypt' },
    answer: {
      results: [
        {
          address: 'bob@example.com',
          status: 'found',
          certificates: [{ ...directoryCertificate, mailbox: 'bob@example.com' }],
        },
        { address: 'carol@example.com', status: 'not_found', certificates: [] },
      ],
    },
  },
  listOwnLookups: {
    answer: {
      items: [{ at: time, address: 'bob@example.com', status: 'found', interface: 'http', deviceId: id }],
      next: null,
    },
  },
  reportKey: { request: { publicKey }, answer: signChallenge, answerStatus: '201' },
  bootstrapAdministrator: { request: { name: 'Olivia Example' } },
  createAdministrator: { request: { name: 'Oscar Example', roles: ['operator', 'approver'] } },
  changeAdministratorRoles: { request: { roles: ['auditor'] } },
  searchSubscribers: { request: { address: 'alice@example.com', reason } },
  readSubscriber: { request: { reason } },
  listAuthorities: {
    answer: {
      items: [
        {
          id,
          role: 'root',
          subject: 'CN=certbook root',
          serialNumber: directoryCertificate.serialNumber,
          fingerprintSha256: sha256,
          notBefore: time,
          notAfter: '2046-11-16T12:00:00.000Z',
          certificate: directoryCertificate.certificate,
        },
      ],
    },
  },
  takeCsrOfRequest: {
    answer: {
      csr: '-----BEGIN CERTIFICATE REQUEST-----\n…',
      mailbox: 'alice@example.com',
      use: 'dual',
      profile: null,
      spkiSha256: sha256,
    },
  },
  bringCertificateOfRequest: {
    request: { certificate: '-----BEGIN CERTIFICATE-----\n…' },
    answer: { ...standing, state: 'issued', certificateId: id },
  },
  settleCertificateRequest: { request: { outcome: 'submit_again' }, answer: { ...standing, state: 'received' } },
  approveCertificateRequest: {
    answer: { ...standing, state: 'received', approvals: { needed: 1, given: 1 }, repeated: false },
  },
  rejectCertificateRequest: {
    request: { reason: 'Shared mailboxes get no certificate.' },
    answer: {
      ...standing,
      state: 'rejected',
      reason: 'rejected_by_approver',
      approvals: { needed: 1, given: 0 },
      repeated: false,
    },
  },
  cancelCertificateRequestAsAdministrator: { answer: { ...standing, state: 'cancelled' } },
  searchCertificates: { request: { serialNumber: directoryCertificate.serialNumber } },
  revokeCertificateAsAdministrator: { request: { reason: 'privilegeWithdrawn' } },
  importBlocklist: { request: { fingerprints: [sha256] } },
  searchQueryLog: { request: { from: time, to: tomorrow, reason } },
  readAuditLogEntry: { request: { reason } },
  proveReportedKey: { request: { proof: 'MEUCIQDs' }, answer: { state: 'blocked' } },
}
