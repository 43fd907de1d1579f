import { Command, Option } from 'commander'
import { lookupAnswer, lookupRequest, type DirectoryCertificate } from '../api/shapes.ts'
import { overHttp, type ServiceOptions } from './caller.ts'
import { jsonOption, urlOption } from './options.ts'
import { certificatePem } from './pem.ts'
import { answer, CommandFailed, hint, notInOrder, readLines, say, type OutputOptions } from './terminal.ts'

interface LookupOptions extends OutputOptions, ServiceOptions {
  readonly use: string
  readonly pem?: boolean
}

interface Result {
  readonly address: string
  readonly status: string
  readonly certificates: readonly DirectoryCertificate[]
}

const described = ({ address, status, certificates }: Result): string[] => [
  `${address}  ${status}`,
  ...certificates.map(
    ({ fingerprintSha256, notAfter }) => `  SHA-256 ${fingerprintSha256}, valid until ${notAfter.slice(0, 10)}`,
  ),
]

/** Prints the certificates on standard output, and everything else on standard error. */
function printPem(results: readonly Result[]): void {
  for (const { address, status, certificates } of results) {
    if (certificates.length === 0) hint(`${address}  ${status}`)
    for (const { certificate } of certificates) say(certificatePem(certificate))
  }
}

async function lookUp(given: readonly string[], options: LookupOptions): Promise<void> {
  const credential = { setting: 'CERTBOOK_CREDENTIAL', what: 'the credential of a device (cb_dev_…)' }
  // Without a credential only a public directory answers. Others refuse, and their refusal says why.
  const caller = overHttp(options, credential, true)
  const addresses = given.length > 0 ? given : await readLines('Address: ')
  const asked = lookupRequest.safeParse({ addresses, use: options.use })
  if (!asked.success) throw new CommandFailed('give 1 to 100 addresses, as arguments or as lines of standard input')
  const found = await caller.ask(lookupAnswer, { method: 'POST', path: '/v1/lookups', body: asked.data })
  if (options.pem === true) printPem(found.results)
  else answer(options, found, () => found.results.flatMap(described))
  if (found.results.some(({ status }) => status !== 'found')) notInOrder()
}

export const lookupCommand = (): Command =>
  new Command('lookup')
    .description('look certificates up by exact address; each address is logged, so it always goes through the service')
    .argument('[address...]', 'addresses; others on this machine can see them: without any, standard input is read')
    .addOption(
      new Option('--use <use>', 'what the certificates are for').choices(['encrypt', 'sign']).default('encrypt'),
    )
    .option('--pem', 'print the certificates alone, as PEM')
    .addOption(urlOption())
    .addOption(jsonOption().conflicts('pem'))
    .addHelpText('after', '\nThe credential is read from CERTBOOK_CREDENTIAL, never from the command line.')
    .action(lookUp)
