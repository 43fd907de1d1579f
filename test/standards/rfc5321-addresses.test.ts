import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { DomainError, type ErrorCode } from '../../src/errors.ts'
import { parseMailboxAddress } from '../../src/mailbox/address.ts'
import { runs } from '../support/thorough.ts'

function codeOf(text: string): ErrorCode | undefined {
  try {
    parseMailboxAddress(text)
    return undefined
  } catch (error) {
    if (error instanceof DomainError) return error.code
    throw error
  }
}

describe('RFC 5321 4.1.2: Mailbox with a dot-atom as local part', () => {
  it.each([
    'alice@example.com',
    'a.b.c@example.com',
    "o'neil+tag=x@example.com",
    '#41!$%&*-/?^_`{|}~@example.com',
    'a@x--y.example.com',
    'a@1.example.com',
    `${'a'.repeat(64)}@example.com`,
  ])('%s is accepted as written', (text) => {
    expect(parseMailboxAddress(text).address).toBe(text)
  })

  it.each<[string, ErrorCode]>([
    ['', 'address_malformed'],
    ['alice', 'address_malformed'],
    ['@example.com', 'address_malformed'],
    ['alice@', 'address_malformed'],
    ['.alice@example.com', 'address_malformed'],
    ['alice.@example.com', 'address_malformed'],
    ['a..b@example.com', 'address_malformed'],
    ['a@b@example.com', 'address_malformed'],
    [' alice@example.com', 'address_malformed'],
    ['alice@example.com ', 'address_malformed'],
    ['alice@example.com\n', 'address_malformed'],
    ['alice@example.com\0', 'address_malformed'],
    ['ali ce@example.com', 'address_malformed'],
    ['alice@\u200bexample.com', 'address_malformed'],
    ['alice@\u202eexample.com', 'address_malformed'],
    ['alice,bob@example.com', 'address_malformed'],
    ['Alice <alice@example.com>', 'address_malformed'],
    ['"Alice" <alice@example.com>', 'address_malformed'],
    ['"alice"@example.com', 'address_quoted_local_part'],
    ['"al ice"@example.com', 'address_quoted_local_part'],
    ['alice(work)@example.com', 'address_comment'],
    ['alice@example.com (work)', 'address_comment'],
    ['alice@[192.0.2.1]', 'address_literal'],
    ['alice@[IPv6:2001:db8::1]', 'address_literal'],
    ['a\u0308lice@example.com', 'address_local_part_not_nfc'],
    ['\u212aate@example.com', 'address_local_part_not_nfc'],
  ])('%j is refused as %s', (text, code) => {
    expect(codeOf(text)).toBe(code)
  })
})

describe('RFC 5321 4.5.3.1: size limits', () => {
  const domainOf = (length: number) => `${'d'.repeat(50)}.`.repeat(4).concat('e'.repeat(length - 204))

  it('4.5.3.1.1: a local part of 65 octets is refused', () => {
    expect(codeOf(`${'a'.repeat(65)}@example.com`)).toBe('address_too_long')
  })

  it('4.5.3.1.3: 254 octets in all are accepted, 255 refused', () => {
    expect(codeOf(`alice@${domainOf(248)}`)).toBeUndefined()
    expect(codeOf(`alice@${domainOf(249)}`)).toBe('address_too_long')
  })

  it('4.5.3.1.3: the length is that of the A-labels', () => {
    const written = `${'a'.repeat(50)}@${`${'ä'.repeat(44)}.`.repeat(4)}example`
    expect(written.length).toBeLessThan(254)
    expect(codeOf(written)).toBe('address_too_long')
  })

  it('RFC 1034 3.1: a label of 64 octets is refused', () => {
    expect(codeOf(`alice@${'d'.repeat(63)}.example`)).toBeUndefined()
    expect(codeOf(`alice@${'d'.repeat(64)}.example`)).toBe('address_domain_invalid')
  })
})

describe('RFC 5891 5: the domain becomes lower-case A-labels', () => {
  it.each([
    ['EXAMPLE.Com', 'example.com'],
    ['bücher.example', 'xn--bcher-kva.example'],
    ['BÜCHER.example', 'xn--bcher-kva.example'],
    ['bu\u0308cher.example', 'xn--bcher-kva.example'],
    ['xn--bcher-kva.example', 'xn--bcher-kva.example'],
    ['XN--BCHER-KVA.example', 'xn--bcher-kva.example'],
    ['faß.example', 'xn--fa-hia.example'],
    ['col·lecció.example', 'xn--collecci-ioa91d.example'],
    ['日本語。example', 'xn--wgv71a119e.example'],
    ['カ・カ.example', 'xn--lcka3v.example'],
  ])('%s -> %s', (written, canonical) => {
    expect(parseMailboxAddress(`alice@${written}`).domain).toBe(canonical)
  })

  it.each([
    ['localhost', 'one label'],
    ['example.com.', 'an empty last label'],
    ['example..com', 'an empty label'],
    ['-example.com', 'a hyphen first'],
    ['example-.com', 'a hyphen last'],
    ['ab--c.example', 'hyphens third and fourth'],
    ['ex_ample.com', 'an underscore, STD 3'],
    ['192.0.2.1', 'a bare IPv4 address, RFC 3696 2'],
    ['xn--a.example', 'an A-label that decodes to nothing'],
    ['xn--bcher-KVA2.example', 'an A-label that is not valid'],
    ['xn--ls8h.example', 'the A-label of an emoji, RFC 5892'],
    ['☕.example', 'a symbol, RFC 5892'],
    ['a·b.example', 'a middle dot out of context, RFC 5892 A.3'],
    ['a・b.example', 'a katakana middle dot without Japanese, RFC 5892 A.7'],
    ['a\u05d0.example', 'mixed directions, RFC 5893'],
    ['a\u200db.example', 'a joiner out of context, RFC 5892 A.2'],
    ['\u0640\u0627.example', 'a tatweel, RFC 5892 2.6'],
  ])('%s is refused: %s', (domain) => {
    expect(codeOf(`alice@${domain}`)).toBe('address_domain_invalid')
  })
})

describe('Policy rules 10 and 11: one form, one matching key', () => {
  it('the local part stays as written, and the key lowers A-Z alone', () => {
    const mailbox = parseMailboxAddress('Alice.B+Tag@Bücher.Example')
    expect(mailbox).toEqual({
      address: 'Alice.B+Tag@xn--bcher-kva.example',
      localPart: 'Alice.B+Tag',
      domain: 'xn--bcher-kva.example',
      kind: 'ascii',
      matchingKey: 'alice.b+tag@xn--bcher-kva.example',
    })
  })

  it('a local part beyond ASCII matches octet for octet, capitals and all', () => {
    const mailbox = parseMailboxAddress('J\u00fcrgen.K@B\u00fccher.Example')
    expect(mailbox).toEqual({
      address: 'J\u00fcrgen.K@xn--bcher-kva.example',
      localPart: 'J\u00fcrgen.K',
      domain: 'xn--bcher-kva.example',
      kind: 'smtputf8',
      matchingKey: 'J\u00fcrgen.K@xn--bcher-kva.example',
    })
    expect(parseMailboxAddress('j\u00fcrgen.k@b\u00fccher.example').matchingKey).not.toBe(mailbox.matchingKey)
  })

  it('no text with a Kelvin sign, a long s or a dotless i is the mailbox of its ASCII look-alike', () => {
    for (const [plain, other] of [
      ['kate', '\u212aate'],
      ['sue', '\u017fue'],
      ['ida', '\u0131da'],
      ['ida', '\u0130da'],
    ] as const) {
      const { matchingKey } = parseMailboxAddress(`${plain}@example.com`)
      const keyOf = (text: string) => (codeOf(text) === undefined ? parseMailboxAddress(text).matchingKey : undefined)
      expect(keyOf(`${other}@example.com`)).not.toBe(matchingKey)
    }
  })

  it('no two mailboxes of different octets beyond ASCII share a matching key', () => {
    const letter = fc.constantFrom('a', 'A', 'k', 'K', '\u212a', '\u00e9', 'e\u0301', '\u00df', '\u1e9e', '\u0130', '.')
    const text = fc.string({ unit: letter, maxLength: 6 }).map((part) => `${part}@example.com`)
    fc.assert(
      fc.property(text, text, (one, other) => {
        if (codeOf(one) !== undefined || codeOf(other) !== undefined) return
        const same = parseMailboxAddress(one).matchingKey === parseMailboxAddress(other).matchingKey
        const lowered = [one, other].map((part) => (/^[\x00-\x7f]*$/.test(part) ? part.toLowerCase() : part))
        expect(same).toBe(lowered[0] === lowered[1])
      }),
      { numRuns: runs(2000) },
    )
  })

  it('plus tags and dots are not folded', () => {
    const keys = ['ab@example.com', 'a.b@example.com', 'ab+x@example.com'].map(
      (text) => parseMailboxAddress(text).matchingKey,
    )
    expect(new Set(keys).size).toBe(3)
  })

  it('what was accepted is accepted again, unchanged', () => {
    fc.assert(
      fc.property(fc.emailAddress(), (text) => {
        if (codeOf(text) !== undefined) return
        const mailbox = parseMailboxAddress(text)
        expect(parseMailboxAddress(mailbox.address)).toEqual(mailbox)
        expect(parseMailboxAddress(mailbox.matchingKey).address).toBe(mailbox.matchingKey)
      }),
    )
  })

  it('any text is either a mailbox or a refusal that does not repeat it', () => {
    const text = fc.tuple(fc.string({ unit: 'binary' }), fc.string({ unit: 'binary' })).map((parts) => parts.join('@'))
    fc.assert(
      fc.property(text, (written) => {
        try {
          const { address, localPart, kind } = parseMailboxAddress(written)
          expect(address).toMatch(kind === 'ascii' ? /^[\x21-\x7e]+@[a-z0-9.-]+$/ : /^[^\x00-\x20\x7f]+@[a-z0-9.-]+$/)
          expect(localPart.normalize('NFC')).toBe(localPart)
        } catch (error) {
          expect(error).toBeInstanceOf(DomainError)
          if (written.length > 20 && error instanceof DomainError) expect(error.detail).not.toContain(written)
        }
      }),
    )
  })
})
