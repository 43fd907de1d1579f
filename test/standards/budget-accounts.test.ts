import { expect, test } from 'vitest'
import { accountKey } from '../../src/mailbox/account.ts'
import { parseMailboxAddress } from '../../src/mailbox/address.ts'

const keyOf = (address: string): string => accountKey(parseMailboxAddress(address))

test.each([
  ['a tag', 'ann+news@example.com', 'ann@example.com'],
  ['several tags', 'ann+a+b@example.com', 'ann@example.com'],
  ['letters in another case', 'Ann+News@EXAMPLE.com', 'ann@example.com'],
  ['dots at a provider that ignores them', 'a.n.n@gmail.com', 'ann@gmail.com'],
  ['dots and a tag there', 'a.nn+x@gmail.com', 'ann@gmail.com'],
  ['another domain of the same accounts', 'ann@googlemail.com', 'ann@gmail.com'],
])('%s: one account for budgets', (_why, address, account) => {
  expect(keyOf(address)).toBe(account)
})

test.each([
  ['dots elsewhere', 'a.nn@example.com', 'ann@example.com'],
  ['a name that begins with a plus', '+ann@example.com', '+bob@example.com'],
  ['another name', 'bob+ann@example.com', 'ann@example.com'],
  ['another domain', 'ann@example.org', 'ann@example.com'],
])('%s: two accounts', (_why, one, other) => {
  expect(keyOf(one)).not.toBe(keyOf(other))
})
