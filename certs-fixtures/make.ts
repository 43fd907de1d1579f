/**
 * Makes every request, key and certificate of this folder anew, but those that others published:
 * `node certs-fixtures/make.ts`. Needs the `openssl` program (3.0 or newer). What is right comes from OpenSSL, so that it
 * is not judged by the code that wrote it; what OpenSSL refuses to write is put together here.
 */
import { X509Certificate } from 'node:crypto'
import { readdirSync, readFileSync, rmSync } from 'node:fs'
import { makeCertificates } from './make-certificates.ts'
import { makeCurveKeys } from './make-curve-keys.ts'
import { makeRequests } from './make-requests.ts'
import { makeRsaKeys } from './make-rsa-keys.ts'
import { makeSignatures } from './make-signatures.ts'
import { close, here, makeKey, out } from './workshop.ts'

// What others published is not made here, and stays.
const made = readdirSync(here).filter((entry) => /^(?:ca|cert|csr|spki)-/.test(entry) && !entry.includes('-published-'))
for (const file of made) rmSync(out(file))

makeKey('p256', 'EC', 'ec_paramgen_curve:P-256')
makeKey('p256-other', 'EC', 'ec_paramgen_curve:P-256')
makeKey('rsa2048', 'RSA', 'rsa_keygen_bits:2048')
makeKey('ed25519', 'ED25519')
makeKey('x25519', 'X25519')

makeRequests()
makeSignatures()
makeRsaKeys()
makeCurveKeys()
makeCertificates()

// What left the code's hands must still be readable by somebody else.
for (const file of readdirSync(here).filter((entry) => /^(?:ca|cert)-.*\.pem$/.test(entry))) {
  if (new X509Certificate(readFileSync(out(file))).raw.length === 0) throw new Error(`${file} is empty`)
}
close()
