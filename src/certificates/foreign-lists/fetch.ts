import { fromBase64 } from '../../pki/encoding.ts'
import { ExchangeFailed, type OutgoingAnswer, type OutgoingHttps } from '../../ports/outgoing-https.ts'

/** Half a million entries. */
const listBytes = 32 * 1024 * 1024
const timeoutMilliseconds = 30_000

/** The bytes of a list, or why there are none. */
export type FetchedList =
  | { readonly kind: 'fetched'; readonly der: Uint8Array }
  | { readonly kind: 'failed'; readonly failure: string }

/**
 * Gets a revocation list, DER or PEM. It is signed by itself, so it may come by plain HTTP (RFC 5280 section 8); by TLS
 * it is verified with what the runtime trusts. Nothing is sent along. Never throws for what the server does.
 */
export async function fetchList(outgoing: OutgoingHttps, url: string): Promise<FetchedList> {
  let answer: OutgoingAnswer
  try {
    answer = await outgoing.exchange({
      method: 'GET',
      url,
      headers: { accept: 'application/pkix-crl, */*;q=0.1' },
      body: null,
      trustAnchors: [],
      clientCertificate: null,
      timeoutMilliseconds,
      maxBytes: listBytes,
    })
  } catch (error) {
    if (error instanceof ExchangeFailed) return { kind: 'failed', failure: error.failure }
    throw error
  }
  if (answer.status !== 200) return { kind: 'failed', failure: 'list_not_there' }
  const der = derOf(answer.body)
  return der === null ? { kind: 'failed', failure: 'list_malformed' } : { kind: 'fetched', der }
}

/** What a SEQUENCE begins with. */
const beginOfDer = 0x30
const beginOfPem = '-----BEGIN X509 CRL-----'
const endOfPem = '-----END X509 CRL-----'

/** DER as it is, or what one PEM block holds (RFC 7468 section 8), with or without words before it; else null. */
function derOf(body: Uint8Array): Uint8Array | null {
  if (body[0] === beginOfDer) return body
  const text = new TextDecoder('utf-8', { fatal: false }).decode(body)
  const begin = text.indexOf(beginOfPem)
  const end = text.indexOf(endOfPem, begin)
  if (begin < 0 || end < 0) return null
  return fromBase64(text.slice(begin + beginOfPem.length, end).replaceAll(/[ \t\r\n]+/g, ''))
}
