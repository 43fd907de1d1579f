/** `certbook/client`: what a mail app embeds. It needs only Web Crypto and fetch. */
export { CertbookClient, type ClientOptions, type Policy } from './client.ts'
export {
  CertbookError,
  clientErrorCodes,
  isCertbookError,
  type CertbookErrorCode,
  type ClientErrorCode,
} from './errors.ts'
export { errorCodes, type ErrorCode } from '../errors.ts'
export { findChallenge, type FoundChallenge, type MailHeaders } from './challenge-mail.ts'
export type { CredentialChoice, DeviceCredential, PendingRegistration, Registrations } from './registration.ts'
export type { Account, CheckIn, OwnDevice, Subscriber } from './account.ts'
export type { Mailboxes, OwnMailbox, PendingMailbox } from './mailboxes.ts'
export type {
  Certificates,
  RequestByCsr,
  RequestByPublicKey,
  RevocationReason,
  WaitingForCertificate,
} from './certificates.ts'
export type { LookupResult, LookupResults, RejectedCertificate } from './directory.ts'
export { rejectionReasons, type RejectionReason, type TrustedCertificate } from './judge.ts'
export type { DeviceKeyPair, KeyChoice, KeyOptions, KeyUse } from './keys.ts'
export type { Waiting } from './poll.ts'
export type { Fetch } from './connection.ts'
export type { KeyChallenge } from './prove-with-key.ts'
export { proveByDecrypting, proveBySigning, ProofError, type ProofErrorCode } from './proof.ts'
export type {
  AccountType,
  Audience,
  CertificateRequestAnswer,
  CertificateUse,
  DeviceFacts,
  GuardedAct,
  OwnCertificate,
  RegistrationRequest,
} from '../api/shapes.ts'
