import {
  ExchangeFailed,
  type OutgoingAnswer,
  type OutgoingHttps,
  type OutgoingRequest,
} from '../ports/outgoing-https.ts'
import { destinationRefused, isAllowedDestination } from './outgoing-destination.ts'

/**
 * Requests by the runtime's `fetch`, as Workers have it: with its trust anchors alone, and no client certificate. It
 * does not tell when a request was sent, so after the refusals before the call nothing is certain and every failure is
 * `maybe`; nor does it show the address that a name leads to, so that only one in the URL itself is looked at.
 */
export const outgoingFetch: OutgoingHttps = {
  can: { ownTrustAnchors: false, clientCertificates: false },
  exchange: async (request) => {
    if (request.trustAnchors.length > 0 || request.clientCertificate !== null) {
      throw new Error('this runtime has neither trust anchors of its own nor client certificates')
    }
    if (!isAllowedDestination(request, new URL(request.url).hostname)) throw destinationRefused()
    const signal = AbortSignal.timeout(request.timeoutMilliseconds)
    const response = await asked(request, signal)
    return {
      status: response.status,
      headers: Object.fromEntries(response.headers),
      body: await bodyOf(response, request.maxBytes, signal),
    }
  },
}

async function asked({ url, method, headers, body }: OutgoingRequest, signal: AbortSignal): Promise<Response> {
  try {
    return await fetch(url, {
      method,
      headers: { ...headers, 'accept-encoding': 'identity' },
      body: body === null ? null : new Uint8Array(body),
      redirect: 'manual',
      signal,
    })
  } catch (cause) {
    throw new ExchangeFailed(signal.aborted ? 'timed_out' : 'unreachable', 'maybe', { cause })
  }
}

async function bodyOf(response: Response, maxBytes: number, signal: AbortSignal): Promise<OutgoingAnswer['body']> {
  if (response.body === null) return new Uint8Array()
  const pieces: Uint8Array[] = []
  let length = 0
  try {
    for await (const piece of response.body) {
      length += piece.length
      // Leaving the loop cancels the rest.
      if (length > maxBytes) throw new ExchangeFailed('answer_too_large', 'maybe')
      pieces.push(piece)
    }
  } catch (cause) {
    if (cause instanceof ExchangeFailed) throw cause
    throw new ExchangeFailed(signal.aborted ? 'timed_out' : 'connection_lost', 'maybe', { cause })
  }
  const whole = new Uint8Array(length)
  let offset = 0
  for (const piece of pieces) {
    whole.set(piece, offset)
    offset += piece.length
  }
  return whole
}
