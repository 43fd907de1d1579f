import { readdirSync } from 'node:fs'
import { Crypto as NodeCrypto } from '@peculiar/webcrypto'
import { describe, expect, it } from 'vitest'
import { DomainError, errorCodes, type ErrorCode } from '../../src/errors.ts'
import { parseMailboxAddress } from '../../src/mailbox/address.ts'
import { readCertificateRequest } from '../../src/pki/certificate-request.ts'
import { checkCertificateRequest } from '../support/certificate-request.ts'
import { checkPublicKey } from '../../src/pki/key-policy.ts'
import { requireKeyFits } from '../../src/pki/key-usage.ts'
import { fixture } from './fixtures.ts'
import { policyRules, type Asked, type Rule } from './rules.ts'

const brainpool = new NodeCrypto()

async function check(
  of: Rule['of'],
  what: string,
  { mailbox = 'alice@example.com', withoutBrainpool = false, ...asked }: Asked = {},
): Promise<void> {
  switch (of) {
    case 'request': {
      const rules = { ...asked, brainpool: withoutBrainpool ? null : brainpool }
      await checkCertificateRequest(crypto, readCertificateRequest(fixture(what)), parseMailboxAddress(mailbox), rules)
      return
    }
    case 'key':
      requireKeyFits(checkPublicKey(keyFixture(what)), { use: 'dual', profile: 'sbr-strict', ...asked })
      return
    case 'address':
      parseMailboxAddress(what)
  }
}

function keyFixture(name: string): Uint8Array {
  const content = fixture(name)
  if (typeof content === 'string') throw new Error(`${name} is not DER`)
  return content
}

async function codeOf(of: Rule['of'], what: string, asked?: Asked): Promise<ErrorCode | undefined> {
  try {
    await check(of, what, asked)
    return undefined
  } catch (error) {
    if (error instanceof DomainError) return error.code
    throw error
  }
}

const titleOf = (rule: Rule) => ({
  ...rule,
  title: `${rule.clause}: ${JSON.stringify(rule.fails)} ${JSON.stringify(rule.asked ?? {})}`,
})

describe.each([...new Set(policyRules.map(({ rule }) => rule))])('Policy rule %s', (number) => {
  const own = policyRules.filter(({ rule }) => rule === number).map(titleOf)

  it.each(own)('$title is refused as $code', async ({ of, fails, code, asked }) => {
    expect(await codeOf(of, fails, asked)).toBe(code)
  })

  it.each(own)('$title, and $passes passes', async ({ of, passes, asked, askedToPass }) => {
    expect(await codeOf(of, passes, askedToPass ?? asked)).toBeUndefined()
  })
})

describe('The list of rules', () => {
  it('holds every request and every key among the fixtures', () => {
    const listed = new Set(policyRules.flatMap(({ passes, fails }) => [passes, fails]))
    const files = readdirSync(new URL('../../certs-fixtures/', import.meta.url))
    // Rule 7, which the rooms decide.
    const own = files.filter((file) => /^(?:csr|spki)-/.test(file) && !file.includes('-published-'))
    expect(own.filter((file) => !listed.has(file))).toEqual([])
  })

  it('holds every code that speaks of requests, keys and addresses', () => {
    const listed = new Set(policyRules.map(({ code }) => code))
    // Rules 7 and 9 rest on what is stored and are tested with the rooms; the last is answered no more.
    const elsewhere: readonly ErrorCode[] = ['key_blocked', 'key_belongs_to_another', 'key_already_used']
    const codes = errorCodes.filter((code) => /^(?:address|csr|key|rsa|ec|ed25519|x25519)_/.test(code))
    expect(codes.filter((code) => !listed.has(code) && !elsewhere.includes(code))).toEqual([])
  })
})
