import { DomainError, errorCodes, type ErrorCode } from '../errors.ts'

/** What goes wrong in the client. The refusals of the service are the codes of `docs/errors.md`. */
export const clientErrorCodes = [
  /** Nothing came back. Whether the service did what was asked is unknown. */
  'network_failed',
  /** No answer in the time of a call. Whether the service did what was asked is unknown. */
  'timeout',
  /** The app's AbortSignal ended the call. */
  'aborted',
  /** The answer does not fit the question. */
  'answer_malformed',
  /** A refusal with a code that this version of the library does not know. */
  'refusal_unknown',
  /** The base URL is not an https: address. */
  'base_url_refused',
  /** The new certificate is not for the key, mailbox or use that was asked for. */
  'certificate_refused',
  /** The challenge is not one of this service for this key. */
  'challenge_refused',
  /** The private key cannot do what it is needed for. */
  'private_key_unsuitable',
] as const
export type ClientErrorCode = (typeof clientErrorCodes)[number]

/** Every code that an app can meet. */
export type CertbookErrorCode = ErrorCode | ClientErrorCode

interface ErrorFacts {
  readonly status?: number | null
  readonly retryAfterSeconds?: number | null
  readonly cause?: unknown
}

/**
 * Every failure of this library. `code` is stable. `detail` says in English what to do, and repeats nothing that was
 * sent.
 */
export class CertbookError extends Error {
  readonly code: CertbookErrorCode
  readonly detail: string
  /** The HTTP status of a refusal. Null if there was no answer. */
  readonly status: number | null
  /** After this many seconds the same call may succeed, if the service said so. */
  readonly retryAfterSeconds: number | null

  constructor(code: CertbookErrorCode, detail: string, facts: ErrorFacts = {}) {
    super(`${code}: ${detail}`, facts.cause === undefined ? undefined : { cause: facts.cause })
    this.name = 'CertbookError'
    this.code = code
    this.detail = detail
    this.status = facts.status ?? null
    this.retryAfterSeconds = facts.retryAfterSeconds ?? null
  }
}

const known: ReadonlySet<string> = new Set(errorCodes)

/** Whether this version knows a code of the service. */
export function isServiceCode(code: string): code is ErrorCode {
  return known.has(code)
}

/** Whether an error is a failure of this library. With `code`: and has this code. */
export function isCertbookError(error: unknown, code?: CertbookErrorCode): error is CertbookError {
  return error instanceof CertbookError && (code === undefined || error.code === code)
}

/** Runs shared checks, and turns their refusals (of an address or a key) into errors of this library. */
export async function inCodes<Value>(work: () => Promise<Value>): Promise<Value> {
  try {
    return await work()
  } catch (error) {
    if (error instanceof DomainError) throw new CertbookError(error.code, error.detail, { cause: error })
    throw error
  }
}
