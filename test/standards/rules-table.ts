import { readFileSync, writeFileSync } from 'node:fs'
import { policyRules, refusedCertificates } from './rules.ts'

/** The policy's rules as a table for the docs, made of what the tests go through: `npm run docs`. */

const introduction = `# Keys, requests, addresses, certificates: every rule

Each line is one case of a test. It names something that passes, and something that is refused for this reason only. Files
are in \`certs-fixtures/\`; addresses are written out. \`npm run docs\` makes this page from \`test/standards/rules.ts\`.

SBR: S/MIME Baseline Requirements of the CA/Browser Forum.

`

interface Line {
  readonly rule: string
  readonly clause: string
  readonly code: string
  readonly passes: string
  readonly fails: string
  readonly test: string
}

const ruleTest = 'standards/policy-1-to-11-rules.test.ts'

/** What rests on stored data is decided in the rooms, and tested there. */
const inTheRooms: readonly Line[] = [
  {
    rule: '7',
    clause: 'SBR 6.1.1.3',
    code: 'key_blocked',
    passes: 'spki-x25519.der',
    fails: 'spki-ed25519-published-in-rfc9216.pem',
    test: 'journeys/administration.test.ts',
  },
  {
    rule: '7',
    clause: 'SBR 6.1.1.3',
    code: 'key_blocked',
    passes: 'csr-rsa2048.pem',
    fails: 'spki-rsa2048-published-in-rfc9216.pem',
    test: 'journeys/administration.test.ts',
  },
  {
    rule: '9',
    clause: 'one key, one subscriber',
    code: 'key_belongs_to_another',
    passes: 'a key made in the test',
    fails: "another subscriber's key",
    test: 'rooms/requests.test.ts',
  },
  {
    rule: '9',
    clause: 'an ended certificate ends its key',
    code: 'key_already_used',
    passes: 'a key made in the test',
    fails: 'the key of a superseded, revoked or expired certificate',
    test: 'rooms/requests.test.ts',
  },
]

/** Characters that do not print stand as escapes, and none may end a cell. */
const cell = (text: string): string =>
  `\`${JSON.stringify(text)
    .slice(1, -1)
    .replaceAll('|', String.raw`\|`)
    .replaceAll(/[^ -~]/g, (character) => `\\u{${character.codePointAt(0)?.toString(16)}}`)}\``

const row = (line: Line): string =>
  `| ${line.rule} | ${line.clause} | \`${line.code}\` | ${cell(line.passes)} | ${cell(line.fails)} | ${line.test} |`

const lines: readonly Line[] = [
  ...policyRules.map((rule) => ({ ...rule, test: ruleTest })),
  ...inTheRooms,
  ...refusedCertificates.map(([fails, code]) => ({
    rule: '15',
    clause: 'what a CA returned',
    code,
    passes: 'cert-p256-dual.pem',
    fails,
    test: 'standards/policy-15-issued-certificates.test.ts',
  })),
].toSorted((a, b) => Number(a.rule) - Number(b.rule))

const table = (): string =>
  [
    `${introduction}| rule | clause | code | passes | is refused | test |`,
    '| --- | --- | --- | --- | --- | --- |',
    ...lines.map(row),
    '',
  ].join('\n')

const file = new URL('../../docs/rules.md', import.meta.url)

/** Whether the document is what the rules say now. */
export const isTableCurrent = (): boolean => readFileSync(file, 'utf8') === table()

if (import.meta.main) writeFileSync(file, table())
