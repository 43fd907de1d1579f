import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { openssl } from '../support/openssl.ts'
import { keyUsageText, kinds } from './key-types.ts'
import { run } from './run.ts'
import { caKeys, certifyAll, policyOid, type Subscribers } from './subscribers.ts'

const chain = ['-x509_strict', '-CAfile', 'root.pem', '-untrusted', 'issuing.pem']
const listsOf = {
  '-crl_check': ['-CRLfile', 'issuing.crl.pem'],
  '-crl_check_all': ['-CRLfile', 'issuing.crl.pem', '-CRLfile', 'root.crl.pem'],
}

describe.each(caKeys)('openssl, with an embedded CA with a %s key', (caKey) => {
  let subscribers: Subscribers
  beforeAll(async () => {
    subscribers = await certifyAll(caKey, kinds)
  })
  afterAll(() => subscribers.close())

  test.each(kinds)('reads $name as the policy has it', async (kind) => {
    const { name, mailbox } = subscribers.of(kind)
    const text = await openssl(subscribers.folder, 'x509', '-in', `${name}.pem`, '-noout', '-text')
    expect(text).toContain(`Subject: CN = ${mailbox}\n`)
    expect(text).toMatch(new RegExp(`Subject Alternative Name: \\n\\s+email:${mailbox}\\n`))
    expect(text).toMatch(new RegExp(`X509v3 Key Usage: critical\\n\\s+${keyUsageText(kind)}\\n`))
    expect(text).toMatch(/X509v3 Extended Key Usage: \n\s+E-mail Protection\n/)
    expect(text).toMatch(/X509v3 Basic Constraints: \n\s+CA:FALSE\n/)
    expect(text).toMatch(new RegExp(`X509v3 Certificate Policies: \\n\\s+Policy: ${policyOid}\\n`))
    expect(text).toMatch(
      /CRL Distribution Points: \n\s+Full Name:\n\s+URI:http:\/\/127\.0\.0\.1:\d+\/ca\/[\w-]+\.crl\n/,
    )
    expect(text).toMatch(/CA Issuers - URI:http:\/\/127\.0\.0\.1:\d+\/ca\/[\w-]+\.cer\n/)
    expect(text).toMatch(/OCSP - URI:http:\/\/127\.0\.0\.1:\d+\/ocsp\/[\w-]+\n/)
    const signature = caKey === 'p256' ? 'ecdsa-with-SHA256' : 'sha256WithRSAEncryption'
    expect(text).toMatch(new RegExp(`Signature Algorithm: ${signature}\\n`))
  })

  test.each(kinds)('verifies $name with the lists that it names, for its purposes alone', async (kind) => {
    const { name } = subscribers.of(kind)

    const refusals = {
      any: null,
      smimesign: kind.use === 'encrypt' ? 'certificate purpose' : null,
      smimeencrypt: kind.use === 'sign' ? 'certificate purpose' : kind.peers.smimeencrypt,
    }
    for (const [check, lists] of Object.entries(listsOf)) {
      for (const [purpose, refusal] of Object.entries(refusals)) {
        const args = ['verify', ...chain, check, ...lists, '-purpose', purpose, `${name}.pem`]
        const { code, output } = await run(subscribers.folder, 'openssl', args)
        if (refusal === null) expect([code, output]).toEqual([0, `${name}.pem: OK\n`])
        else expect([code, output]).toEqual([2, expect.stringContaining(refusal)])
      }
    }
  })

  test('a list of the wrong CA is no list', async () => {
    const args = ['verify', ...chain, '-crl_check', '-CRLfile', 'root.crl.pem', `${kinds[0]?.name}.pem`]
    const { code, output } = await run(subscribers.folder, 'openssl', args)
    expect([code, output]).toEqual([2, expect.stringContaining('unable to get certificate CRL')])
  })
})
