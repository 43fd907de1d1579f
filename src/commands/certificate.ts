import { embeddedConnection } from '../cas/contract.ts'
import { Command, Option } from 'commander'
import type { z } from 'zod'
import { certificateReading } from '../api/admin-shapes.ts'
import { pageOf, revocationReason } from '../api/shapes.ts'
import { asAdministrator, type Caller, type ServiceOptions } from './caller.ts'
import { group, jsonOption, urlOption } from './options.ts'
import { answer, answerPage, CommandFailed, notInOrder, Refused, table, type OutputOptions } from './terminal.ts'

type Options = OutputOptions & ServiceOptions

const certificates = '/v1/admin/certificates'
const certificate = (id: string): string => `${certificates}/${encodeURIComponent(id)}`

const described = ({ caRevocation, ...found }: z.output<typeof certificateReading>): string[][] => [
  ...Object.entries(found).map(([name, value]) => [name, String(value ?? '-')]),
  ['caRevocation', caRevocation === null ? '-' : `${caRevocation.id}, ${caRevocation.state}`],
]

const show = (id: string, options: Options): Promise<void> =>
  asAdministrator(options, async (caller) => {
    const found = await caller.ask(certificateReading, { method: 'GET', path: certificate(id) })
    answer(options, found, () => table(described(found)))
  })

async function find(options: Options & { serial?: string; fingerprint?: string }): Promise<void> {
  const { serial, fingerprint } = options
  if ((serial === undefined) === (fingerprint === undefined)) {
    throw new CommandFailed('name the certificate by --serial or by --fingerprint')
  }
  const body = serial === undefined ? { fingerprintSha256: fingerprint } : { serialNumber: serial }
  await asAdministrator(options, async (caller) => {
    const call = { method: 'POST', path: `${certificates}/search`, body } as const
    const page = await caller.ask(pageOf(certificateReading), call)
    answerPage(options, page, (row) => [row.id, row.state, row.use, row.notAfter, row.mailbox ?? ''])
    if (page.items.length === 0) notInOrder()
  })
}

type Reading = z.output<typeof certificateReading>

const revokedBefore = (found: Reading, asked: string): string => {
  const { revokedAt, revocationReason: kept } = found
  const said = `The certificate was revoked already, at ${revokedAt}, and its reason stays: ${kept ?? 'unspecified'}.`
  return asked === 'keyCompromise' ? `${said} Its key is blocked now.` : said
}

/** The id of the embedded CA in all answers of the API. */
/** Says who else reports the certificate as revoked: the embedded CA at once, other CAs when they know. */
function whereElse({ connectionId, caRevocation, serialNumber }: Reading): string {
  if (connectionId === embeddedConnection) return 'OCSP says so at once, the revocation list within five minutes.'
  switch (caRevocation?.state) {
    case 'by_hand':
      return `Its CA does not know yet: revoke ${serialNumber} there, then certbook revocation confirm ${caRevocation.id}`
    case 'waiting':
      return 'Its CA is being told: certbook revocation list'
    case 'confirmed':
      return 'Its CA has revoked it too.'
    case undefined:
      return 'Its CA knows, for it said so itself.'
  }
}

/** Says what became of a revocation. Null: there is no such certificate. */
const outcome = (id: string, asked: string, found: Reading | null): string => {
  if (found === null) return `There is no certificate ${id}.`
  if (found.state !== 'revoked') return `The certificate is ${found.state}: there is nothing to revoke.`
  if ((found.revocationReason ?? 'unspecified') !== asked) return revokedBefore(found, asked)
  return `The certificate is revoked since ${found.revokedAt}, and out of the directory. ${whereElse(found)}`
}

async function readingAfterRevocation(caller: Caller, id: string, reason: string): Promise<Reading | null> {
  try {
    const call = { method: 'POST', path: `${certificate(id)}/revocation`, body: { reason } } as const
    return await caller.ask(certificateReading, call)
  } catch (error) {
    if (error instanceof Refused && error.code === 'not_found') return null
    throw error
  }
}

const revoke = (id: string, options: Options & { reason: string }): Promise<void> =>
  asAdministrator(options, async (caller) => {
    const found = await readingAfterRevocation(caller, id, options.reason)
    const { state = null, revokedAt = null, revocationReason: reason = null, caRevocation = null } = found ?? {}
    answer(options, { certificate: id, state, revokedAt, revocationReason: reason, caRevocation }, () => [
      outcome(id, options.reason, found),
    ])
    if (state !== 'revoked') notInOrder()
  })

export const certificateCommand = (): Command =>
  group('certificate', 'certificates', [
    new Command('show')
      .description('show a certificate')
      .argument('<id>', 'the id of the certificate')
      .addOption(urlOption())
      .addOption(jsonOption())
      .action(show),
    new Command('find')
      .description('find a certificate by its serial number or its fingerprint')
      .option('--serial <hexadecimal>', 'the serial number, as tools print it')
      .option('--fingerprint <hexadecimal>', 'SHA-256 of the certificate, as tools print it')
      .addOption(urlOption())
      .addOption(jsonOption())
      .action(find),
    new Command('revoke')
      .description('revoke a certificate, for good')
      .argument('<id>', 'the id of the certificate')
      .addOption(new Option('--reason <reason>', 'why').choices(revocationReason.options).default('unspecified'))
      .addOption(urlOption())
      .addOption(jsonOption())
      .action(revoke),
  ])
