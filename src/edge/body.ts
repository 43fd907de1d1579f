import type { Context, Env } from 'hono'
import { bodyLimit } from 'hono/body-limit'
import { keyCompromiseRequest } from '../api/shapes.ts'
import { DomainError } from '../errors.ts'
import { findPrivateKey, type PrivateKeyFinding } from '../pki/private-keys/detect.ts'

interface BodyGuard {
  /** Told of a private key in a body, before the refusal. May reject with another one. */
  readonly onPrivateKey: (context: Context<Env>, finding: PrivateKeyFinding) => Promise<void>
}

/** The refusal of a body with another media type. */
export const wrongType = (): DomainError =>
  new DomainError('unsupported_media_type', 'Send application/json; a CSR may come as application/pkcs10 too.')

const tooLarge = (most: number): DomainError =>
  new DomainError('payload_too_large', most === 0 ? 'This takes no body: send none.' : `Send at most ${most} bytes.`)

const bodyTypes = /^application\/(json|pkcs10|x-pem-file|ocsp-request)\s*(;|$)/i

const isJson = /^application\/json\s*(;|$)/i
const decoder = new TextDecoder()

const contentType = (context: Context<Env>): string => context.req.header('Content-Type') ?? ''

/** The only field that may hold a private key: somebody reports the key as compromised. */
const isCompromiseReport = (context: Context<Env>, body: Uint8Array): boolean => {
  if (context.req.path !== '/v1/key-compromise') return false
  try {
    const report = keyCompromiseRequest.safeParse(JSON.parse(new TextDecoder().decode(body)))
    return report.success && 'privateKey' in report.data
  } catch {
    return false
  }
}

const privateKeyRefused = (): DomainError =>
  new DomainError(
    'private_key_refused',
    'The body holds a private key. It was not stored, but treat the key as disclosed: make a new one, and send only a CSR.',
  )

/** A client that left, or was cut off because it was too slow, is not a fault of the service. */
const asCut = (context: Context<Env>, error: unknown): unknown =>
  error instanceof DomainError || !context.req.raw.signal.aborted
    ? error
    : new DomainError('request_timeout', 'The body did not come in full. Send the request again.', { cause: error })

/** Refuses a body where the route takes none, without reading it. HTTP/2 may send one without saying so: it stays unread. */
export async function requireNoBody(context: Context<Env>, next: () => Promise<void>): Promise<void> {
  const length = context.req.header('Content-Length')
  const announced = length === undefined ? context.req.header('Transfer-Encoding') !== undefined : Number(length) !== 0
  if (announced) throw tooLarge(0)
  await next()
}

/**
 * Refuses a body before anything reads it: larger than `most` bytes, with a private key in any form, or of a wrong
 * type. The bytes are read once; later readers use them.
 */
export function requireSafeBody(
  most: number,
  guard: BodyGuard,
): (context: Context<Env, string>, next: () => Promise<void>) => Promise<Response | void> {
  const limitStream = bodyLimit({
    maxSize: most,
    onError: () => {
      throw tooLarge(most)
    },
  })
  return async (context, next) => {
    const length = context.req.header('Content-Length')
    const inspect = async (): Promise<void> => {
      const body = new Uint8Array(await context.req.arrayBuffer())
      if (body.length > 0) {
        const finding = findPrivateKey(body)
        if (finding !== null && !isCompromiseReport(context, body)) {
          await guard.onPrivateKey(context, finding)
          throw privateKeyRefused()
        }
        // OCSP has statuses of its own for a bad request.
        if (!bodyTypes.test(contentType(context)) && !context.req.path.startsWith('/ocsp/')) throw wrongType()
        // Otherwise a reader of JSON would make a Response from the bytes, which costs more than everything here.
        if (isJson.test(contentType(context))) {
          Object.assign(context.req.bodyCache, { text: Promise.resolve(decoder.decode(body)) })
        }
      }
      await next()
    }
    // HTTP/2 has no Transfer-Encoding. Without a length, only reading shows whether there is a body.
    const streamed = length === undefined || context.req.header('Transfer-Encoding') !== undefined
    if (!streamed && Number(length) > most) throw tooLarge(most)
    try {
      return await (streamed ? limitStream(context, inspect) : inspect())
    } catch (error) {
      throw asCut(context, error)
    }
  }
}
