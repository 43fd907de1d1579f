import { DomainError, errorCodes, type ErrorCode } from './errors.ts'

interface ProblemKind {
  readonly status: number
  readonly title: string
  /** When this code is answered. The table in the docs is made from it. */
  readonly when: string
}

const kind = (status: number, title: string, when: string): ProblemKind => ({ status, title, when })

/** The HTTP status of every code, and when it is answered. No other place gives a code its status. */
export const problemKinds: Readonly<Record<ErrorCode, ProblemKind>> = {
  malformed_json: kind(400, 'Malformed JSON', 'the body is not JSON'),
  invalid_request: kind(422, 'Invalid request', 'a field is missing, unknown, or has the wrong shape'),
  payload_too_large: kind(413, 'Body too large', 'the body is larger than this endpoint accepts'),
  unsupported_media_type: kind(415, 'Unsupported media type', 'this endpoint does not accept that Content-Type'),
  not_found: kind(404, 'Not found', 'no such thing exists here, or it is not yours'),
  method_not_allowed: kind(405, 'Method not allowed', 'the path exists, but not for this method; see Allow'),
  https_required: kind(403, 'HTTPS required', 'the request came over plain HTTP, and from another machine'),
  forwarding_refused: kind(403, 'Forwarding headers refused', 'a forwarding header came from an undeclared proxy'),
  private_key_refused: kind(422, 'Private key refused', 'the body holds a private key; it was not stored'),
  not_acceptable: kind(406, 'Not acceptable', 'the answer exists in no form that the Accept header allows'),
  too_many_requests: kind(
    429,
    'Too many requests',
    'this network or subscriber sent too many such requests; see Retry-After',
  ),
  request_timeout: kind(408, 'Request timeout', 'the complete request did not arrive in time'),
  headers_too_large: kind(431, 'Headers too large', 'the header fields are larger than 16 KiB together'),
  malformed_http: kind(400, 'Malformed HTTP', 'the bytes received are not an HTTP/1.1 request (RFC 9112)'),
  node_only: kind(501, 'Not on this runtime', 'this needs files or a process, which Workers do not have'),
  credential_required: kind(401, 'Credential required', 'the Authorization header with a Bearer credential is missing'),
  credential_invalid: kind(
    401,
    'Credential invalid',
    'the Bearer credential is unknown, ended, or not for this resource',
  ),
  credential_of_another_kind: kind(403, 'Credential of another kind', 'a credential of this kind may not do this'),
  role_required: kind(403, 'Role required', 'the administrator has none of the roles that may do this'),
  bootstrap_closed: kind(
    403,
    'Bootstrap closed',
    'there is or was an administrator; or no bootstrap hash is set; or the secret is wrong or too short',
  ),
  last_owner: kind(409, 'Last owner', 'without this administrator the service would have no owner'),
  address_malformed: kind(422, 'Address malformed', 'the text is not an e-mail address'),
  address_quoted_local_part: kind(422, 'Quoted local part', 'the part before the @ is in quotation marks'),
  address_comment: kind(422, 'Comment in address', 'the address holds a comment in parentheses'),
  address_literal: kind(422, 'Address literal', 'the domain is a network address in brackets'),
  address_too_long: kind(422, 'Address too long', 'the address or one of its parts is longer than RFC 5321 allows'),
  address_domain_invalid: kind(422, 'Domain invalid', 'the domain is not a valid (internationalised) host name'),
  address_local_part_not_nfc: kind(
    422,
    'Local part not NFC',
    'the part before the @ is not in Unicode normalisation form C',
  ),
  policy_version_not_in_force: kind(
    409,
    'Policy version not in force',
    'the policy has changed: read GET /v1/policy and show its text again',
  ),
  serial_number_not_android: kind(422, 'Serial number refused', 'a device that is not Android sent a serial number'),
  token_wrong: kind(
    403,
    'Token wrong',
    'the token is not the one in the mail; five wrong tokens end the registration or the challenge',
  ),
  code_wrong: kind(
    403,
    'Code wrong',
    'the code is not the one that the first device shows; five wrong codes end the registration',
  ),
  registration_ended: kind(
    410,
    'Registration ended',
    'the registration expired, was refused, or had too many wrong tries',
  ),
  registration_not_confirmed: kind(409, 'Registration not confirmed', 'the mailbox is not proved yet'),
  registration_completed: kind(
    409,
    'Registration completed',
    'the credential of the registration has been used already',
  ),
  approval_pending: kind(
    409,
    'Approval pending',
    'a device of the subscriber has not approved this one yet; see Retry-After, or ask without waiting',
  ),
  mailbox_proof_required: kind(
    403,
    'Mailbox proof required',
    'this device must have proved a mailbox for this within the last 15 minutes: POST /v1/me/mailboxes/{id}/proof',
  ),
  mailbox_is_last: kind(409, 'Last mailbox', 'a subscriber cannot remove their last mailbox'),
  mailbox_moved: kind(
    403,
    'Mailbox moved',
    'the mailbox belongs to another subscriber now, and this one has no other; prove it again to get it back',
  ),
  mailbox_required: kind(
    422,
    'Mailbox required',
    'the subscriber has several mailboxes, and the request does not say which',
  ),
  mailbox_not_yours: kind(403, 'Mailbox not yours', 'the request names a mailbox that the subscriber has not proved'),
  csr_malformed: kind(422, 'CSR malformed', 'the request is not one DER PKCS#10 (RFC 2986)'),
  csr_too_large: kind(413, 'CSR too large', 'the request is larger than 64 KiB'),
  csr_trailing_bytes: kind(422, 'Trailing bytes', 'there are more bytes after the CSR'),
  csr_duplicate_extension: kind(422, 'Duplicate extension', 'the CSR asks for one extension twice'),
  csr_signature_algorithm_refused: kind(
    422,
    'Signature algorithm refused',
    'the CSR is signed with an algorithm that is not accepted',
  ),
  csr_signature_invalid: kind(422, 'Signature invalid', 'the signature of the CSR is not by the key in it'),
  csr_key_cannot_sign: kind(
    422,
    'Key cannot sign',
    'an X25519 key cannot sign a CSR; send the public key and prove it by a challenge',
  ),
  csr_address_mismatch: kind(422, 'Address mismatch', 'the CSR names an address other than the mailbox of the request'),
  csr_smtputf8_mailbox_ascii: kind(
    422,
    'ASCII address in SmtpUTF8Mailbox',
    'the CSR has an ASCII address in an SmtpUTF8Mailbox; use rfc822Name for it (RFC 9598)',
  ),
  csr_content_refused: kind(
    422,
    'CSR content refused',
    'this CA uses the CSR as it is, and the CSR holds more than the key and the mailbox',
  ),
  key_algorithm_unsupported: kind(
    422,
    'Key algorithm unsupported',
    'keys of this kind are not accepted, or the curve is not given by name',
  ),
  key_malformed: kind(422, 'Key malformed', 'the public key cannot be decoded'),
  key_not_in_profile: kind(422, 'Key not in profile', 'the profile of the CA does not allow keys of this kind'),
  key_use_unfit: kind(422, 'Key unfit for its use', 'Ed25519 keys only sign, and X25519 keys only decrypt'),
  key_not_on_this_runtime: kind(
    422,
    'Key not on this runtime',
    'Workers cannot verify this key: a brainpool curve, or an RSA exponent other than 65537',
  ),
  rsa_modulus_size_refused: kind(
    422,
    'RSA key size refused',
    'the RSA modulus does not have 2048 to 8192 bits, in steps of 8',
  ),
  rsa_exponent_unsupported: kind(
    422,
    'RSA exponent unsupported',
    'the RSA exponent is even, below 65537 or above 32 bits',
  ),
  rsa_modulus_even: kind(422, 'RSA modulus even', 'the RSA modulus is an even number'),
  rsa_small_factor: kind(422, 'RSA modulus has a small factor', 'a prime below 752 divides the RSA modulus'),
  rsa_roca: kind(422, 'ROCA key', 'the RSA key has the fingerprint of the ROCA weakness (CVE-2017-15361)'),
  rsa_prime_power: kind(422, 'RSA modulus a power', 'the RSA modulus is a power of a smaller number'),
  rsa_close_primes: kind(
    422,
    'RSA primes too close',
    '100 rounds of Fermat factorisation find the factors of the RSA modulus',
  ),
  ec_point_compressed: kind(422, 'EC point compressed', 'the public point is in the compressed form'),
  ec_point_invalid: kind(422, 'EC point invalid', 'the public point is not on its curve, or is infinity'),
  ed25519_point_invalid: kind(
    422,
    'Ed25519 point invalid',
    'the public key is not a point of Ed25519, or is a point of small order',
  ),
  x25519_point_invalid: kind(
    422,
    'X25519 point invalid',
    'the public key is zero or another point of small order, or is not reduced modulo the prime',
  ),
  key_blocked: kind(
    422,
    'Key blocked',
    'other people know the private key: it was reported or disclosed, or is a published test key',
  ),
  challenge_ended: kind(
    410,
    'Challenge ended',
    'the challenge was used, has expired, or is not yours; ask for a new one',
  ),
  proof_wrong: kind(403, 'Proof wrong', 'the proof does not answer the challenge; the challenge is used up'),
  private_key_unreadable: kind(
    422,
    'Private key unreadable',
    'the report of a compromise holds no private key that can be read and proved',
  ),
  key_belongs_to_another: kind(409, 'Key belongs to another', 'the key is certified for another subscriber'),
  key_already_used: kind(409, 'Key already used', 'the key had a certificate that has ended; make a new key'),
  request_not_cancellable: kind(409, 'Request not cancellable', 'the request has an outcome already'),
  not_certified_here: kind(422, 'Not certified here', 'no CA is set up for this mailbox, use and key'),
  ca_needs_csr: kind(422, 'CSR needed', 'the CA for this mailbox needs a CSR, and does not certify a bare public key'),
  ca_key_unsupported: kind(
    422,
    'Key not supported by the CA',
    'the CA for this mailbox does not certify keys of this kind',
  ),
  connection_name_taken: kind(409, 'Name taken', 'another CA connection has this name'),
  connection_changed: kind(
    409,
    'Connection changed',
    'somebody else changed the CA connection at the same time: read it again',
  ),
  connection_in_use: kind(
    409,
    'Connection in use',
    'something still needs the CA connection, or it is that of the CA inside',
  ),
  connection_unfit: kind(422, 'Connection unfit', 'the CA connection cannot work with these settings'),
  not_on_this_runtime: kind(501, 'Not on this runtime', 'the CA connection needs something that Workers cannot do'),
  rule_position_taken: kind(409, 'Position taken', 'another routing rule has this position'),
  request_not_in_that_state: kind(
    409,
    'Request in another state',
    'this cannot be done in the present state of the request',
  ),
  certificate_not_accepted: kind(422, 'Certificate not accepted', 'the certificate does not fit the request'),
  decided_already: kind(409, 'Decided already', 'this administrator or another one has decided on the request already'),
  another_person_required: kind(
    403,
    'Another person required',
    'the rule asks for two persons; its author and the command line on the machine do not count',
  ),
  lookup_budget_spent: kind(
    429,
    'Lookup budget spent',
    'the call names more addresses than the budget has left for today; nothing was looked up',
  ),
  consent_version_not_in_force: kind(
    409,
    'Consent version not in force',
    'the text has changed: read GET /v1/policy and ask the person again',
  ),
  certificate_not_valid: kind(
    409,
    'Certificate not valid',
    'the certificate was superseded or revoked, or has expired',
  ),
  log_unavailable: kind(
    503,
    'Log unavailable',
    'the lookup cannot be logged, so it is not answered; or a check-in cannot be stored',
  ),
  overloaded: kind(
    503,
    'Overloaded',
    'there is too much to do at the moment, or too many keys are reported; nothing was done, try again soon',
  ),
  internal_error: kind(500, 'Internal error', 'the fault is in the service; only its log has the cause'),
}

/** An RFC 9457 problem document. */
interface Problem {
  readonly type: string
  readonly title: string
  readonly status: number
  readonly code: ErrorCode
  readonly detail: string
  readonly instance: string
}

const internal = new DomainError(
  'internal_error',
  'The service failed. Try again later. If it fails again, tell the operator.',
)

/**
 * Makes the answer to an error (RFC 9457). An error that is not a `DomainError` becomes `internal_error`; its cause is
 * not shown. `instance` is the path of the request, which never holds an address.
 */
export function problemResponse(error: unknown, instance: string): Response {
  const known = error instanceof DomainError ? error : internal
  const { status, title } = problemKinds[known.code]
  const problem: Problem = {
    type: `urn:certbook:problem:${known.code}`,
    title,
    status,
    code: known.code,
    detail: known.detail,
    instance,
  }
  const headers = new Headers({
    'Content-Type': 'application/problem+json',
    'Cache-Control': 'no-store',
    'X-Content-Type-Options': 'nosniff',
  })
  if (known.retryAfterSeconds !== undefined) headers.set('Retry-After', String(known.retryAfterSeconds))
  if (status === 401) headers.set('WWW-Authenticate', 'Bearer realm="certbook"')
  return new Response(JSON.stringify(problem), { status, headers })
}

/** All codes with their status, for the API reference. */
export const documentedProblems = errorCodes.map((code) => ({ code, ...problemKinds[code] }))

/** All codes as a Markdown table, for the docs. */
export function problemTable(): string {
  const rows = errorCodes.map((code) => `| \`${code}\` | ${problemKinds[code].status} | ${problemKinds[code].when} |`)
  return ['| code | status | when |', '| --- | --- | --- |', ...rows].join('\n')
}
