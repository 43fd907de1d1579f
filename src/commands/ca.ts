import { Command } from 'commander'
import { authoritiesAnswer } from '../api/shapes.ts'
import { asAnyone, type ServiceOptions } from './caller.ts'
import { group, jsonOption, urlOption } from './options.ts'
import { certificatePem, readableFingerprint } from './pem.ts'
import { answer, CommandFailed, hint, type OutputOptions } from './terminal.ts'

type Options = OutputOptions & ServiceOptions

const authorities = (options: ServiceOptions) =>
  asAnyone(options, async (caller) => {
    const { items } = await caller.ask(authoritiesAnswer, { method: 'GET', path: '/v1/authorities' })
    return items
  })

async function list(options: Options): Promise<void> {
  const items = await authorities(options)
  answer(options, { items }, () =>
    items.flatMap(({ id, role, subject, fingerprintSha256, notAfter }) => [
      `${role.padEnd(8)} ${subject}`,
      `         id ${id}, valid until ${notAfter.slice(0, 10)}`,
      `         SHA-256 ${readableFingerprint(fingerprintSha256)}`,
    ]),
  )
}

async function root(options: Options & { der?: boolean }): Promise<void> {
  const found = (await authorities(options)).find(({ role }) => role === 'root')
  if (found === undefined) throw new CommandFailed('the service has no root certificate', 1)
  if (options.der === true) {
    if (process.stdout.isTTY) throw new CommandFailed('DER is for a file: certbook ca root --der > root.cer')
    process.stdout.write(Buffer.from(found.certificate, 'base64'))
    return
  }
  if (options.json !== true) hint(`SHA-256 ${readableFingerprint(found.fingerprintSha256)}: compare it another way`)
  answer(options, found, () => [certificatePem(found.certificate)])
}

export const caCommand = (): Command =>
  group('ca', 'the certificate authority inside', [
    new Command('list')
      .description('list the root and the issuing CA, with fingerprints and expiry dates')
      .addOption(urlOption())
      .addOption(jsonOption())
      .action(list),
    new Command('root')
      .description('write the root certificate as PEM, to hand out to people')
      .option('--der', 'as DER')
      .addOption(urlOption())
      .addOption(jsonOption().conflicts('der'))
      .action(root),
  ])
