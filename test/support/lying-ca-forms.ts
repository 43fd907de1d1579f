import 'reflect-metadata'
import { Pkcs10CertificateRequest, SubjectAlternativeNameExtension } from '@peculiar/x509'
import { z } from 'zod'
import { contextConstructed, encodeElement, encodeObjectIdentifier, tag } from '../../src/pki/der.ts'
import { toPem } from './pem.ts'
import type { TestCa } from './test-ca.ts'

/** The wire forms that the lying CA speaks. */
export const forms = ['cfssl', 'est', 'ejbca', 'step-ca'] as const
export type Form = (typeof forms)[number]

/** What was sent to the server. */
export interface Call {
  readonly method: string
  /** Without the query. */
  readonly path: string
  readonly authorization: string | null
  readonly body: string
}

/** An answer as it goes onto the wire. */
export interface WireAnswer {
  readonly status: number
  readonly headers: Readonly<Record<string, string>>
  readonly body: string | Uint8Array
}

/** What a CA issues for one order, with the chain that it sends along. */
export interface Signed {
  readonly certificate: Uint8Array
  readonly chain: readonly Uint8Array[]
}

/** What the CA was asked for, by the CSR. */
export interface Asked {
  readonly spki: Uint8Array
  readonly address: string
}

/** One wire form, as an honest CA of that kind speaks it. */
export interface WireForm {
  readonly scheme: 'http' | 'https'
  /** What connects a service to the CA, beside its name and its URL. */
  readonly settings: Readonly<Record<string, unknown>>
  /** The order that a call brings; null where it is another call. */
  orderIn(call: Call): { readonly asked: Asked; readonly name: string } | null
  /** The answer to an order that was fulfilled. */
  issued(signed: Signed): WireAnswer
  /** The answer to an order that was refused before anything was signed. */
  refused(message: string): WireAnswer
  /** The answer to everything else; `found` are the certificates that were issued under a name. */
  other(call: Call, found: (name: string) => readonly Uint8Array[]): WireAnswer
}

export const json = (status: number, body: unknown): WireAnswer => ({
  status,
  headers: { 'content-type': 'application/json' },
  body: JSON.stringify(body),
})
export const text = (status: number, body: string, type = 'text/plain'): WireAnswer => ({
  status,
  headers: { 'content-type': type },
  body,
})
const base64 = (der: Uint8Array): string => Buffer.from(der).toString('base64')
const pem = (der: Uint8Array): string => toPem('CERTIFICATE', der)
const nothingThere = text(404, 'nothing is here')

function askedBy(csr: string | Uint8Array): Asked {
  const request = new Pkcs10CertificateRequest(typeof csr === 'string' ? csr : new Uint8Array(csr))
  const names = request.getExtension('2.5.29.17')
  const address =
    names instanceof SubjectAlternativeNameExtension
      ? names.names.toJSON().find(({ type }) => type === 'email')?.value
      : undefined
  if (address === undefined) throw new Error('the request names no mailbox')
  return { spki: new Uint8Array(request.publicKey.rawData), address }
}

const cfsslOrder = z.object({ certificate_request: z.string() })
const cfsslError = (code: number, message: string): WireAnswer =>
  json(400, { success: false, result: null, errors: [{ code, message }], messages: [] })

/** It sends no chain: the connection has to know the issuing CA. */
const cfssl = (ca: TestCa): WireForm => ({
  scheme: 'http',
  settings: { kind: 'cfssl', intermediates: pem(ca.issuing) },
  orderIn: ({ path, body }) => {
    if (path !== '/api/v1/cfssl/sign') return null
    const { certificate_request: csr } = cfsslOrder.parse(JSON.parse(body))
    return csr === 'none' ? null : { asked: askedBy(csr), name: '' }
  },
  issued: ({ certificate }) =>
    json(200, { success: true, result: { certificate: pem(certificate) }, errors: [], messages: [] }),
  refused: (message) => cfsslError(9_002, message),
  other: ({ path }) => {
    const done = (result: object): WireAnswer => json(200, { success: true, result, errors: [], messages: [] })
    if (path === '/api/v1/cfssl/info') {
      return done({ certificate: pem(ca.issuing), usages: ['email protection'], expiry: '2160h' })
    }
    if (path === '/api/v1/cfssl/revoke') return done({})
    return path === '/api/v1/cfssl/sign' ? cfsslError(9_002, 'no request') : nothingThere
  },
})

const user = { user: 'certbook', password: 'a password of the lying CA' }

/** RFC 5652 section 5.1, whatever the bytes of the certificates are. */
function certsOnly(certificates: readonly Uint8Array[]): WireAnswer {
  const signedData = encodeElement(
    tag.sequence,
    encodeElement(tag.integer, Uint8Array.of(1)),
    encodeElement(tag.set),
    encodeElement(tag.sequence, encodeObjectIdentifier('1.2.840.113549.1.7.1')),
    encodeElement(contextConstructed(0), ...certificates),
    encodeElement(tag.set),
  )
  const whole = encodeElement(
    tag.sequence,
    encodeObjectIdentifier('1.2.840.113549.1.7.2'),
    encodeElement(contextConstructed(0), signedData),
  )
  return {
    status: 200,
    headers: { 'content-type': 'application/pkcs7-mime; smime-type=certs-only', 'content-transfer-encoding': 'base64' },
    body: base64(whole),
  }
}

const est = (ca: TestCa): WireForm => ({
  scheme: 'https',
  settings: { kind: 'est', authentication: 'password', password: user, tlsAnchors: pem(ca.root) },
  orderIn: ({ path, body }) =>
    path.endsWith('/simpleenroll') && body !== 'MAA='
      ? { asked: askedBy(Buffer.from(body, 'base64')), name: '' }
      : null,
  issued: ({ certificate, chain }) => certsOnly([certificate, ...chain]),
  refused: (message) => text(400, message),
  other: ({ path }) => (path.endsWith('/cacerts') ? certsOnly(ca.chain) : text(400, 'no request')),
})

const ejbcaOrder = z.object({ certificate_request: z.string(), username: z.string() })
const ejbcaSearch = z.object({ criteria: z.array(z.object({ property: z.string(), value: z.string() })) })
const ejbcaFault = (status: number, message: string): WireAnswer =>
  json(status, { error_code: status, error_message: message })

const ejbca = (ca: TestCa): WireForm => ({
  scheme: 'https',
  settings: {
    kind: 'ejbca',
    certificateProfile: 'SMIME',
    endEntityProfile: 'Mail',
    certificateAuthority: 'MailCA',
    authentication: 'token',
    token: 'a-token-of-the-lying-CA',
    tlsAnchors: pem(ca.root),
  },
  orderIn: ({ path, body }) => {
    if (!path.endsWith('/v1/certificate/pkcs10enroll')) return null
    const { certificate_request: csr, username } = ejbcaOrder.parse(JSON.parse(body))
    return { asked: askedBy(csr), name: username }
  },
  issued: ({ certificate, chain }) =>
    json(201, {
      certificate: base64(certificate),
      response_format: 'DER',
      certificate_chain: chain.map((der) => base64(der)),
    }),
  refused: (message) => ejbcaFault(400, message),
  other: ({ method, path, body }, found) => {
    if (path.endsWith('/v1/certificate/status')) return json(200, { status: 'OK', version: '1.0', revision: 'lying' })
    if (path.endsWith('/v1/certificate/search')) {
      const { criteria } = ejbcaSearch.parse(JSON.parse(body))
      const asked = criteria.find(({ property }) => property === 'QUERY')?.value ?? ''
      // A base64 text that EJBCA's JSON writer encodes once more.
      const certificates = found(asked).map((der) => ({ certificate: base64(Buffer.from(base64(der))) }))
      return json(200, { certificates, more_results: false })
    }
    if (method === 'PUT' && path.endsWith('/revoke')) return json(200, { revoked: true })
    return path.endsWith('/certificate/download') ? text(200, ca.chain.map(pem).join('')) : ejbcaFault(404, 'nothing')
  },
})

const stepCaOrder = z.object({ csr: z.string() })
const stepCaFault = (status: number, message: string): WireAnswer => json(status, { status, message })

const stepCa = (ca: TestCa): WireForm => ({
  scheme: 'https',
  settings: { kind: 'step-ca', provisioner: 'certbook', tlsAnchors: pem(ca.root) },
  orderIn: ({ path, body }) =>
    path === '/1.0/sign' ? { asked: askedBy(stepCaOrder.parse(JSON.parse(body)).csr), name: '' } : null,
  issued: ({ certificate, chain }) =>
    json(201, { crt: pem(certificate), ca: pem(chain[0] ?? certificate), certChain: [certificate, ...chain].map(pem) }),
  refused: (message) => stepCaFault(400, message),
  other: ({ path }) =>
    path === '/health' || path === '/1.0/revoke' ? json(200, { status: 'ok' }) : stepCaFault(404, 'nothing'),
})

/** A wire form with a CA behind it. */
export const wireForm = (form: Form, ca: TestCa): WireForm => ({ cfssl, est, ejbca, 'step-ca': stepCa })[form](ca)
