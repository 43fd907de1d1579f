import {
  ExchangeFailed,
  type OutgoingAnswer,
  type OutgoingHttps,
  type OutgoingRequest,
} from '../ports/outgoing-https.ts'
import { destinationRefused, type Destinations } from './destinations.ts'

/**
 * Outgoing requests with `fetch`, as Workers have it: with the runtime's trust anchors and without a client
 * certificate. `fetch` does not tell when a request was sent, so every failure after the first checks is `maybe`. It
 * does not show the address of a name either, so a name is judged by itself, and an address only in the URL.
 */
export const createOutgoingFetch = (destinations: Destinations): OutgoingHttps => ({
  can: { ownTrustAnchors: false, clientCertificates: false },
  exchange: async (request) => {
    if (request.trustAnchors.length > 0 || request.clientCertificate !== null) {
      throw new Error('this runtime has neither trust anchors of its own nor client certificates')
    }
    if (!destinations.allow(request, new URL(request.url).hostname)) throw destinationRefused()
    const signal = AbortSignal.timeout(request.timeoutMilliseconds)
    const response = await asked(request, signal)
    return {
      status: response.status,
      headers: Object.fromEntries(response.headers),
      body: await bodyOf(response, request.maxBytes, signal),
    }
  },
})

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
      // Leaving the loop cancels the rest of the body.
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
