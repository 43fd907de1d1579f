import { DomainError, errorCodes, type ErrorCode } from '../errors.ts'

/** What goes wrong on the side of the client; the service's own refusals are the codes of `docs/errors.md`. */
export const clientErrorCodes = [
  /** Nothing came back. Whether the service did what was asked is unknown. */
  'network_failed',
  /** The same, after the time that a call is given. */
  'timeout',
  /** The app's own AbortSignal ended the call. */
  'aborted',
  /** What came back is no answer of this service to this question. */
  'answer_malformed',
  /** A refusal with a code that this version of the library does not know. */
  'refusal_unknown',
  /** The base URL is no https: address. */
  'base_url_refused',
  /** The certificate that came back is not for the key, the mailbox or the use that was asked. */
  'certificate_refused',
  /** What was to be proved is no challenge of this service for this key. */
  'challenge_refused',
  /** The private key cannot do what is asked of it. */
  'private_key_unsuitable',
] as const
export type ClientErrorCode = (typeof clientErrorCodes)[number]

/** Every code that an app may branch on. */
export type CertbookErrorCode = ErrorCode | ClientErrorCode

interface ErrorFacts {
  readonly status?: number | null
  readonly retryAfterSeconds?: number | null
  readonly cause?: unknown
}

/** Every failure of this library. `code` is stable; `detail` says in English what to do, and repeats nothing sent. */
export class CertbookError extends Error {
  readonly code: CertbookErrorCode
  readonly detail: string
  /** The HTTP status of a refusal; null where no answer came, or none was asked for. */
  readonly status: number | null
  /** Seconds after which the same call may succeed, where the service said so. */
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

/** Whether a code that the service answered is one of this version's. */
export function isServiceCode(code: string): code is ErrorCode {
  return known.has(code)
}

/** Whether an error is a failure of this library, and of this code where one is given. */
export function isCertbookError(error: unknown, code?: CertbookErrorCode): error is CertbookError {
  return error instanceof CertbookError && (code === undefined || error.code === code)
}

/** What the shared rules refuse on this side, such as an address or a key, as an error of this library. */
export async function inCodes<Value>(work: () => Promise<Value>): Promise<Value> {
  try {
    return await work()
  } catch (error) {
    if (error instanceof DomainError) throw new CertbookError(error.code, error.detail, { cause: error })
    throw error
  }
}
