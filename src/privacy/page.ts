import { markup, type Html, type PageLanguage } from '../api/page.ts'
import type { DeclaredWords, TableDeclaration } from '../ports/personal-data.ts'
import { privacyWords, type PrivacyWords } from './page-words.ts'
import { promises } from './promises.ts'

/** A certificate authority that gets requests, or got them. */
interface NamedAuthority {
  /** Who runs it. For the embedded CA, the CA's own name. */
  readonly recipient: string
  /** ISO 3166-1 alpha-2. */
  readonly country: string | null
  /** The name of its connection, as administrators know it. Null for the embedded CA, which the controller runs. */
  readonly connection: string | null
  readonly state: 'active' | 'paused' | 'removed'
}

/** The operator's settings that the page shows, and who gets requests now. */
export interface PrivacyFacts {
  readonly controller: string | null
  readonly dpoContact: string | null
  readonly supervisoryAuthority: string | null
  readonly queryLogDays: number
  readonly directoryAccess: 'members' | 'public'
  readonly authorities: readonly NamedAuthority[]
}

type Group = keyof PrivacyWords['held']['groups']

/** The readers whom a table concerns. Its columns and its database decide. */
const groupOf = (declaration: TableDeclaration): Group => {
  const personal = Object.values(declaration.columns).some((column) => column.personal !== 'none')
  if (!personal) return 'impersonal'
  return declaration.database === 'journal' ? 'use' : 'contract'
}

const inLanguage = (declaration: TableDeclaration, language: PageLanguage): DeclaredWords =>
  language === 'de' ? declaration.german : declaration

const promiseLinks = (ids: readonly string[]): Html[] =>
  ids.map((id, index) => markup`${index === 0 ? '' : ', '}<a href="#promise-${id}">${id}</a>`)

const entry = (declaration: TableDeclaration, words: PrivacyWords, language: PageLanguage): Html => {
  const said = inLanguage(declaration, language)
  const held = words.held
  const recipients = said.recipients.length === 0 ? held.nobody : said.recipients.join('; ')
  const id = `${declaration.database}-${declaration.table}`
  return markup`<section class="entry" aria-labelledby="${id}">
<h4 id="${id}"><code>${declaration.table}</code> (${declaration.database})</h4>
<p>${said.holds}</p>
<dl>
<dt>${held.purpose}</dt><dd>${said.purpose}</dd>
<dt>${held.legalBasis}</dt><dd>${said.legalBasis}</dd>
<dt>${held.retention}</dt><dd>${said.retention}</dd>
<dt>${held.recipients}</dt><dd>${recipients}</dd>
<dt>${held.promises}</dt><dd>${declaration.promises.length === 0 ? held.noPromises : promiseLinks(declaration.promises)}</dd>
</dl>
</section>
`
}

const group = (name: Group, declarations: readonly TableDeclaration[], language: PageLanguage): Html => {
  const words = privacyWords[language]
  const entries = declarations.filter((declaration) => groupOf(declaration) === name)
  return markup`<h3>${words.held.groups[name]}</h3>
    ${entries.map((declaration) => entry(declaration, words, language))}`
}

const promiseList = (declarations: readonly TableDeclaration[], language: PageLanguage): Html => {
  const named = new Set(declarations.flatMap((declaration) => declaration.promises))
  const shown = Object.entries(promises).filter(([id]) => named.has(id))
  return markup`<dl>
    ${shown.map(
      ([id, words]) =>
        markup`<dt id="promise-${id}">${id}</dt>
          <dd>${words[language]}</dd> `,
    )}
  </dl>`
}

const listOf = (items: readonly Html[]): Html =>
  markup`<ul>
    ${items.map((item) => markup`<li>${item}</li> `)}
  </ul>`

const countryName = (country: string, language: PageLanguage): string =>
  new Intl.DisplayNames([language], { type: 'region' }).of(country) ?? country

const authorityItem = (authority: NamedAuthority, language: PageLanguage): Html => {
  const words = privacyWords[language].authorities
  const { recipient, country, connection, state } = authority
  if (connection === null) return markup`<strong>${recipient}</strong>, ${words.embedded}: ${words.gets}.`
  const place = country === null ? '' : ` (${countryName(country, language)})`
  const gets = state === 'removed' ? words.got : words.gets
  return markup`<strong>${recipient}</strong>${place}, ${words.external(connection)}: ${gets}.`
}

/** Renders the privacy page: the declarations of all rooms, one by one, and the operator's settings. `day` is today. */
export function privacyPage(
  declarations: readonly TableDeclaration[],
  facts: PrivacyFacts,
  language: PageLanguage,
  day: string,
): { readonly language: PageLanguage; readonly title: string; readonly skip: string; readonly body: Html } {
  const words = privacyWords[language]
  const isPublic = facts.directoryAccess === 'public'
  const toOthers = words.others.paragraphs({ days: facts.queryLogDays, isPublic })
  const body = markup`<h1>${words.title}</h1>
    <p>${words.introduction} ${words.inForce(day)}</p>
    <h2>${words.who.heading}</h2>
    <dl>
      <dt>${words.who.controller}</dt>
      <dd>${facts.controller ?? words.who.notNamed}</dd>
      <dt>${words.who.officer}</dt>
      <dd>${facts.dpoContact ?? words.who.noOfficer}</dd>
    </dl>
    <h2>${words.rights.heading}</h2>
    ${listOf(words.rights.list.map((right) => markup`${right}`))}
    <p>${words.rights.how}</p>
    <p>${words.rights.complain(facts.supervisoryAuthority ?? words.rights.anyAuthority)}</p>
    <h2 id="others">${words.others.heading}</h2>
    ${toOthers.map((paragraph) => markup`<p>${paragraph}</p> `)}
    <h2>${words.directory.heading}</h2>
    <p>${isPublic ? words.directory.public : words.directory.members} ${words.directory.choice}</p>
    <h2>${words.authorities.heading}</h2>
    <p>${words.authorities.introduction}</p>
    ${listOf(facts.authorities.map((authority) => authorityItem(authority, language)))}
    <h2>${words.held.heading}</h2>
    <p>${words.held.introduction}</p>
    ${group('contract', declarations, language)} ${group('use', declarations, language)}
    ${group('impersonal', declarations, language)}
    <h2>${words.promises.heading}</h2>
    ${promiseList(declarations, language)} `
  return { language, title: words.title, skip: words.skip, body }
}
