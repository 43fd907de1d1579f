/**
 * All refusals. Codes are stable: clients decide by them, the docs list them, and `problem.ts` gives each its HTTP
 * status. A new refusal begins with a line here.
 */
export const errorCodes = [
  // requests as such
  'malformed_json',
  'invalid_request',
  'payload_too_large',
  'unsupported_media_type',
  'not_found',
  'method_not_allowed',
  'https_required',
  'forwarding_refused',
  'private_key_refused',
  'not_acceptable',
  'too_many_requests',
  'request_timeout',
  'headers_too_large',
  'malformed_http',
  'node_only',
  // who is asking
  'credential_required',
  'credential_invalid',
  'credential_of_another_kind',
  'role_required',
  'bootstrap_closed',
  'last_owner',
  // addresses
  'address_malformed',
  'address_quoted_local_part',
  'address_comment',
  'address_literal',
  'address_too_long',
  'address_domain_invalid',
  'address_local_part_not_nfc',
  // registration
  'policy_version_not_in_force',
  'serial_number_not_android',
  'token_wrong',
  'code_wrong',
  'registration_ended',
  'registration_not_confirmed',
  'registration_completed',
  'approval_pending',
  'mailbox_proof_required',
  'mailbox_is_last',
  'mailbox_moved',
  // certificate requests and keys
  'mailbox_required',
  'mailbox_not_yours',
  'csr_malformed',
  'csr_too_large',
  'csr_trailing_bytes',
  'csr_duplicate_extension',
  'csr_signature_algorithm_refused',
  'csr_signature_invalid',
  'csr_key_cannot_sign',
  'csr_address_mismatch',
  'csr_smtputf8_mailbox_ascii',
  'csr_content_refused',
  'key_algorithm_unsupported',
  'key_malformed',
  'key_not_in_profile',
  'key_use_unfit',
  'key_not_on_this_runtime',
  'rsa_modulus_size_refused',
  'rsa_exponent_unsupported',
  'rsa_modulus_even',
  'rsa_small_factor',
  'rsa_roca',
  'rsa_prime_power',
  'rsa_close_primes',
  'ec_point_compressed',
  'ec_point_invalid',
  'ed25519_point_invalid',
  'x25519_point_invalid',
  'key_blocked',
  'challenge_ended',
  'proof_wrong',
  'private_key_unreadable',
  'key_belongs_to_another',
  'key_already_used',
  'request_not_cancellable',
  // which CA, and what it takes
  'not_certified_here',
  'ca_needs_csr',
  'ca_key_unsupported',
  // administrators: CA connections, rules, requests
  'connection_name_taken',
  'connection_changed',
  'connection_in_use',
  'connection_unfit',
  'not_on_this_runtime',
  'rule_position_taken',
  'request_not_in_that_state',
  'certificate_not_accepted',
  'decided_already',
  'another_person_required',
  // lookup
  'lookup_budget_spent',
  // publication
  'consent_version_not_in_force',
  'certificate_not_valid',
  // the service itself
  'log_unavailable',
  'overloaded',
  'internal_error',
] as const

export type ErrorCode = (typeof errorCodes)[number]

/**
 * A refusal that the caller can understand and act on. The caller reads `detail`: it says what to do. It never repeats
 * an address or a key, and never tells what somebody else has.
 */
export class DomainError extends Error {
  readonly code: ErrorCode
  readonly detail: string
  /** After this many seconds the same call may succeed. Becomes `Retry-After`. */
  readonly retryAfterSeconds: number | undefined

  constructor(code: ErrorCode, detail: string, options: { retryAfterSeconds?: number; cause?: unknown } = {}) {
    super(`${code}: ${detail}`, options.cause === undefined ? undefined : { cause: options.cause })
    this.name = 'DomainError'
    this.code = code
    this.detail = detail
    this.retryAfterSeconds = options.retryAfterSeconds
  }
}
