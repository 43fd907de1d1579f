import { writeFileSync } from 'node:fs'
import { Command, Option } from 'commander'
import { requestCsr, requestStanding, type RequestStanding } from '../api/ca-shapes.ts'
import { toPem } from '../pki/pem.ts'
import { asAdministrator, type ServiceOptions } from './caller.ts'
import { readCertificateFile } from './files.ts'
import { jsonOption, urlOption } from './options.ts'
import { answer, CommandFailed, exitCodes, hint, systemCode, type OutputOptions } from './terminal.ts'

type Options = OutputOptions & ServiceOptions

const pathOf = (id: string, action: string): string =>
  `/v1/admin/certificate-requests/${encodeURIComponent(id)}/${action}`

/** Writes a file, but never over an existing one. */
function writeNewFile(path: string, content: string): void {
  try {
    writeFileSync(path, content, { flag: 'wx' })
  } catch (cause) {
    const code = systemCode(cause) ?? 'unknown'
    const why = code === 'EEXIST' ? 'there is a file already at' : 'cannot write'
    throw new CommandFailed(`${why} ${path} (${code}); name another`, exitCodes.failed, { cause })
  }
}

const csr = (id: string, options: Options & { readonly out?: string }): Promise<void> =>
  asAdministrator(options, async (caller) => {
    const found = await caller.ask(requestCsr, { method: 'POST', path: pathOf(id, 'csr') })
    if (options.out === undefined) {
      if (options.json !== true) hint(`For ${found.mailbox}, to ${found.use}; SHA-256 of the key ${found.spkiSha256}.`)
      answer(options, found, () => [found.csr.trimEnd()])
      return
    }
    writeNewFile(options.out, found.csr)
    answer(options, found, () => [
      `${options.out} holds the CSR for ${found.mailbox}, to ${found.use}${found.profile === null ? '' : `, profile ${found.profile}`}.`,
      `SHA-256 of the key: ${found.spkiSha256}`,
    ])
  })

/** The state of a request, in one sentence. */
const described = ({ id, state, reason, certificateId }: RequestStanding): string[] => {
  if (certificateId !== null) return [`The request ${id} is ${state}; its certificate is ${certificateId}.`]
  return [`The request ${id} is ${state}${reason === null ? '' : ` (${reason})`}.`]
}

async function act(id: string, action: string, options: Options, body?: unknown): Promise<void> {
  await asAdministrator(options, async (caller) => {
    const standing = await caller.ask(requestStanding, { method: 'POST', path: pathOf(id, action), body })
    answer(options, standing, () => described(standing))
  })
}

/** PEM stays as it is; DER becomes PEM. */
function readCertificate(file: string): string {
  const content = readCertificateFile(file)
  const isDer = content[0] === 0x30 && content[1] !== 0x30
  return isDer ? toPem('CERTIFICATE', new Uint8Array(content)) : content.toString('utf8')
}

const bring = (id: string, file: string, options: Options): Promise<void> =>
  act(id, 'certificate', options, { certificate: readCertificate(file) })

const settle = (id: string, options: Options & { readonly outcome: string }): Promise<void> =>
  act(id, 'settlement', options, { outcome: options.outcome })

const cancel = (id: string, options: Options): Promise<void> => act(id, 'cancellation', options)

const command = (name: string, description: string): Command =>
  new Command(name)
    .description(description)
    .argument('<id>', 'the id of the request')
    .addOption(urlOption())
    .addOption(jsonOption())

/** What an operator does when CA and service cannot settle a request themselves. */
export const byHandCommands = (): Command[] => [
  command('csr', 'take the CSR of a request, for a CA that is asked by hand; audited')
    .option('--out <file>', 'write it to a new file')
    .action(csr),
  command('bring', 'bring the certificate that a CA issued for a request')
    .argument('<file>', 'the certificate, PEM (its chain may stand behind it) or DER')
    .action(bring),
  command('settle', 'say that the CA has issued nothing for a request whose outcome is unknown')
    .addOption(
      new Option('--outcome <outcome>', 'send it again, or let it fail')
        .choices(['submit_again', 'failed'])
        .makeOptionMandatory(),
    )
    .action(settle),
  command('cancel', 'cancel a request that has no outcome').action(cancel),
]
