import type { MailboxAddress } from './address.ts'

/** Providers that ignore dots before the @, with all their domains, and the domain that stands for them. */
const ignoringDots: ReadonlyMap<string, string> = new Map([
  ['gmail.com', 'gmail.com'],
  ['googlemail.com', 'gmail.com'],
  ['pm.me', 'proton.me'],
  ['proton.me', 'proton.me'],
  ['protonmail.com', 'proton.me'],
])

/** RFC 5233 section 1: what follows the separator tells folders of one account apart. A leading one begins a name. */
const withoutTag = (localPart: string): string => {
  const plus = localPart.indexOf('+', 1)
  return plus === -1 ? localPart : localPart.slice(0, plus)
}

/**
 * Equal for addresses that one person gets with one account: tags after a plus are left away, and dots where the provider
 * ignores them. It is a guess, so it is for budgets only. Who a mailbox belongs to is told by `matchingKey`.
 */
export function accountKey({ matchingKey, domain }: Pick<MailboxAddress, 'matchingKey' | 'domain'>): string {
  const name = withoutTag(matchingKey.slice(0, matchingKey.lastIndexOf('@')))
  const provider = ignoringDots.get(domain)
  return provider === undefined ? `${name}@${domain}` : `${name.replaceAll('.', '')}@${provider}`
}
