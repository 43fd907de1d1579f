import { toHex } from '../pki/encoding.ts'
import type { Sha256 } from '../ports/keys.ts'

/** A text that people are shown. Consent records name it by its hash. */
interface PolicyText {
  readonly version: string
  readonly language: string
  readonly text: string
  readonly sha256: string
}

/** The policy in force. A changed text is a new version. Old versions stay readable here. */
export interface Policy {
  readonly version: string
  readonly effectiveAt: string
  readonly terms: PolicyText
  readonly publication: PolicyText
  readonly crashReports: PolicyText
}

const version = '2026-11'

const terms = `Terms of use, ${version}

This service registers your mailbox for encrypted mail (S/MIME). Your app makes its keys on your device and sends
only the public part. The service proves that the mailbox is yours, has a certificate authority certify it, and keeps
the certificate. Your address and your public key are forwarded to that certificate authority for this.

When your app looks up certificates of the people you write to, each address you ask for is logged with the time, your
subscriber id, your device and the outcome. The log serves security and the prevention of abuse, and you can read your
own. It is deleted after the period that the privacy page names, at most one year.

No message, attachment, contact, calendar or password is ever sent to the service. No private key may be.
`

const publication = `May your certificate be found in the directory?

If you agree, whoever the chosen audience names can get your certificate by asking for your exact e-mail address:
"members" means subscribers of this service, "public" means anyone. The certificate holds your address and your public
key. You can withdraw at any time; from then on nobody gets it here, but copies that were fetched before remain with
those who fetched them.
`

const crashReports = `May the app send crash reports?

If you agree, the app sends what went wrong, with your address, device and process facts, so that the fault can be
found. No mail and no key is part of a report. You can withdraw at any time.
`

const encoder = new TextEncoder()

export function policyInForce(sha256: Sha256): Policy {
  const policyText = (text: string): PolicyText => ({
    version,
    language: 'en',
    text,
    sha256: toHex(sha256(encoder.encode(text))),
  })
  return {
    version,
    effectiveAt: '2026-11-01T00:00:00.000Z',
    terms: policyText(terms),
    publication: policyText(publication),
    crashReports: policyText(crashReports),
  }
}
