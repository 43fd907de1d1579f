import type { Context } from 'hono'
import { accepts } from 'hono/accepts'
import { DomainError } from '../errors.ts'
import { writeCertificatesOnly } from '../pki/certificates-only.ts'
import { z } from 'zod'
import { fromBase64 } from '../pki/encoding.ts'
import type { FoundCertificate, LookupResult } from './lookup.ts'

/** How a media type besides JSON holds the certificates of one address. */
interface CertificateForm {
  readonly contentType: string
  write(certificates: readonly [FoundCertificate, ...FoundCertificate[]]): Uint8Array<ArrayBuffer> | string
}

const pemLine = /.{1,64}/g

const withBytes = z.object({ certificate: z.base64() })

const base64Of = ({ begun }: FoundCertificate): string => withBytes.parse(JSON.parse(`${begun}}`)).certificate

/** DER. */
const bytesOf = (certificate: FoundCertificate): Uint8Array<ArrayBuffer> =>
  new Uint8Array(fromBase64(base64Of(certificate)) ?? [])

/** RFC 7468 section 5. */
const pemOf = (certificate: FoundCertificate): string =>
  `-----BEGIN CERTIFICATE-----\n${base64Of(certificate).match(pemLine)?.join('\n') ?? ''}\n-----END CERTIFICATE-----\n`

const certificateForms: ReadonlyMap<string, CertificateForm> = new Map([
  // RFC 2585 section 4.1: one certificate. The newest is chosen.
  ['application/pkix-cert', { contentType: 'application/pkix-cert', write: ([newest]) => bytesOf(newest) }],
  // Programs that read such a file encrypt to every certificate in it, or trust each for verifying. So the chain is
  // left out.
  [
    'application/x-pem-file',
    { contentType: 'application/x-pem-file', write: (certificates) => certificates.map(pemOf).join('') },
  ],
  // RFC 8551 section 3.8: all of them with their chains.
  [
    'application/pkcs7-mime',
    {
      contentType: 'application/pkcs7-mime; smime-type=certs-only',
      write: (certificates) =>
        writeCertificatesOnly(certificates.flatMap((found) => [bytesOf(found), ...found.chain.certificates])),
    },
  ],
])

const json = 'application/json'

/** Every media type in which a lookup is answered. */
const lookupMediaTypes: readonly string[] = [json, ...certificateForms.keys()]

/**
 * How precisely a media range of RFC 9110 section 12.5.1 names a type: not at all, by `*`, by its first half, or
 * wholly.
 */
const precision = (range: string, type: string): number => {
  const wanted = range.toLowerCase()
  if (wanted === type) return 3
  if (wanted === `${type.split('/', 1)[0]}/*`) return 2
  return wanted === '*/*' ? 1 : 0
}

/**
 * Chooses the media type of the answer, among those that fit the question: the one with the highest weight in the
 * `Accept` header, then the one named most precisely, then JSON. Without the header: JSON. Throws `not_acceptable`.
 */
export function chooseMediaType(context: Context, addresses: number): string {
  const chosen = accepts(context, {
    header: 'Accept',
    supports: addresses === 1 ? [...lookupMediaTypes] : [json],
    default: json,
    match: (ranges, { supports }) => {
      const weighed = supports.map((type) => {
        const [best] = ranges
          .map(({ type: range, q }) => ({ type, q, precision: precision(range, type) }))
          .toSorted((left, right) => right.precision - left.precision)
        return best === undefined || best.precision === 0 ? { type, q: 0, precision: 0 } : best
      })
      const [best] = weighed.toSorted((left, right) => right.q - left.q || right.precision - left.precision)
      return best === undefined || best.q === 0 ? '' : best.type
    },
  })
  if (chosen !== '') return chosen
  throw new DomainError(
    'not_acceptable',
    `Accept ${json}; where you ask for one address only, ${[...certificateForms.keys()].join(', ')} too.`,
  )
}

const jsonOf = ({ address, status, certificates }: LookupResult): string => {
  const list = certificates.map(({ begun, chain }) => `${begun},"chain":${chain.json}}`).join(',')
  return `{"address":${JSON.stringify(address)},"status":"${status}","certificates":[${list}]}`
}

/**
 * Writes the results of a lookup in the media type from `chooseMediaType`. Throws `not_found` if a type other than
 * JSON would be empty.
 */
export function writeLookup(
  mediaType: string,
  results: readonly LookupResult[],
): { body: Uint8Array<ArrayBuffer> | string; contentType: string } {
  const form = certificateForms.get(mediaType)
  if (form === undefined) return { body: `{"results":[${results.map(jsonOf).join(',')}]}`, contentType: json }
  const [newest, ...others] = results.flatMap(({ certificates }) => certificates)
  if (newest === undefined) {
    throw new DomainError('not_found', 'The directory has no certificate that you may find for this address and use.')
  }
  return { body: form.write([newest, ...others]), contentType: form.contentType }
}
