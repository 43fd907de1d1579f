import { Command, Option } from 'commander'
import { z } from 'zod'
import { caKinds, factsOfKind } from '../api/ca-kinds/all.ts'
import { caCheckAnswer, caConnectionAnswer, type CaConnectionAnswer } from '../api/ca-shapes.ts'
import { pageOf } from '../api/shapes.ts'
import { asAdministrator, setting, withQuery, type Caller, type ServiceOptions } from './caller.ts'
import { readCertificateFile, readNamedText } from './files.ts'
import { cursorOption, group, jsonOption, limitOption, urlOption } from './options.ts'
import { describeTest } from './connection-test.ts'
import { answer, answerPage, CommandFailed, hint, notInOrder, table, type OutputOptions } from './terminal.ts'

type Options = OutputOptions & ServiceOptions
type ListOptions = Options & { readonly limit: number; readonly cursor?: string }
type SettingOptions = Options & {
  readonly settings?: string
  readonly anchors?: string
  readonly intermediates?: string
  readonly tlsAnchors?: string
}

const connections = '/v1/admin/ca-connections'
const connection = (id: string): string => `${connections}/${encodeURIComponent(id)}`

const list = (options: ListOptions): Promise<void> =>
  asAdministrator(options, async (caller) => {
    const path = withQuery(connections, { limit: String(options.limit), cursor: options.cursor })
    const page = await caller.ask(pageOf(caConnectionAnswer), { method: 'GET', path })
    answerPage(
      options,
      page,
      ({ id, kind, state, circuit, requests, name }) => [
        id,
        kind,
        circuit.state === 'open' ? `${state}, circuit open` : state,
        `${requests.waiting} waiting, ${requests.pending} pending, ${requests.unknown} unknown`,
        name,
      ],
      ['ID', 'KIND', 'STATE', 'REQUESTS', 'NAME'],
    )
  })

/** The embedded CA exists from the first day. Nobody created it. */
const createdWhen = ({ kind, createdAt }: Pick<CaConnectionAnswer, 'kind' | 'createdAt'>): string =>
  kind === 'embedded' ? '-' : createdAt

const revokes = ({ kind, can }: Pick<CaConnectionAnswer, 'kind' | 'can'>): string =>
  can.revoke ? (factsOfKind(kind)?.revokesWhere ?? 'true') : 'false'

/** A connection in words. What takes many lines comes last. */
function described({
  keyForCa,
  settings,
  can,
  circuit,
  requests,
  revocationLists,
  ...found
}: CaConnectionAnswer): string[] {
  const inLine = (values: object): [string, string][] =>
    Object.entries(values)
      .map(([name, value]): [string, string] => [name, String(value ?? '-') || '-'])
      .filter(([, value]) => !value.includes('-----BEGIN '))
  return [
    ...table([
      ...inLine({ ...found, createdAt: createdWhen(found) }),
      ...inLine({ ...can, revoke: revokes({ kind: found.kind, can }) }),
      ...inLine(requests),
    ]),
    ...table(inLine(circuit).map(([name, value]) => ['circuit', name, value])),
    ...table(inLine(settings).map(([name, value]) => ['settings', name, value])),
    ...table(
      revocationLists.map(({ url, appliedAt, lastFailure }) => ['list', url, appliedAt ?? '-', lastFailure ?? '-']),
    ),
    ...(keyForCa === null ? [] : ["for the CA's owner:", keyForCa.value.trimEnd()]),
  ]
}

const show = (id: string, options: Options): Promise<void> =>
  asAdministrator(options, async (caller) => {
    const found = await caller.ask(caConnectionAnswer, { method: 'GET', path: connection(id) })
    answer(options, found, () => described(found))
  })

const settingsShape = z.record(z.string(), z.unknown())

/** Reads the settings: a JSON object, and certificates from files of their own. */
async function readSettings(options: SettingOptions): Promise<Record<string, unknown>> {
  const { settings: file, anchors, intermediates, tlsAnchors } = options
  const given = file === undefined ? { data: {} } : settingsShape.safeParse(parsed(await readNamedText(file)))
  if (given.data === undefined) throw new CommandFailed('the settings are no JSON object; see --help')
  const certificates = Object.entries({ anchors, intermediates, tlsAnchors }).flatMap(([field, path]) =>
    path === undefined ? [] : [[field, readCertificateFile(path).toString('utf8')] as const],
  )
  return { ...given.data, ...Object.fromEntries(certificates) }
}

function parsed(json: string): unknown {
  try {
    return JSON.parse(json)
  } catch {
    return undefined
  }
}

/** A secret of several parts. Undefined if the environment holds none of them. */
function partsFrom(variables: Readonly<Record<string, string>>): Record<string, string> | undefined {
  const found = Object.entries(variables).flatMap(([part, variable]) => {
    const value = setting(variable)
    return value === null ? [] : [[part, value] as const]
  })
  if (found.length === 0) return undefined
  if (found.length === Object.keys(variables).length) return Object.fromEntries(found)
  throw new CommandFailed(`set both ${Object.values(variables).join(' and ')}, or none of them`)
}

/** The secrets for a kind of CA that the environment holds. */
const secretsFor = (kind: unknown): Record<string, unknown> =>
  Object.fromEntries(
    Object.entries(factsOfKind(kind)?.secrets ?? {}).flatMap(([field, from]) => {
      const secret = typeof from === 'string' ? (setting(from) ?? undefined) : partsFrom(from)
      return secret === undefined ? [] : [[field, secret] as const]
    }),
  )

/** Says what to do next, so that the CA accepts the service. */
function hintAtKey(options: OutputOptions, { id, keyForCa, credentials }: CaConnectionAnswer): void {
  if (options.json === true || keyForCa === null) return
  if (keyForCa.form === 'jwk')
    hint(`The CA's owner registers the public key that certbook connection show ${id} shows.`)
  else if (credentials === 'missing') {
    hint(`Have the request that certbook connection show ${id} shows certified, then put the certificate in:`)
    hint(`certbook connection client-certificate ${id} FILE`)
  }
}

const add = (options: SettingOptions): Promise<void> =>
  asAdministrator(options, async (caller) => {
    const settings = await readSettings(options)
    const body = { ...settings, ...secretsFor(settings['kind']) }
    const made = await caller.ask(caConnectionAnswer, { method: 'POST', path: connections, body })
    hintAtKey(options, made)
    answer(options, made, () => [
      `The connection ${made.id} is made; the privacy page names ${made.recipient}. Requests go there once a rule says so.`,
    ])
  })

const change = (id: string, options: SettingOptions): Promise<void> =>
  asAdministrator(options, async (caller) => {
    const before = await caller.ask(caConnectionAnswer, { method: 'GET', path: connection(id) })
    const next = { ...(await readSettings(options)), ...secretsFor(before.kind) }
    if (Object.keys(next).length === 0)
      throw new CommandFailed('nothing to change: say what with --settings; see --help')
    const body = { ...before.settings, ...next }
    const call = { method: 'PUT', path: connection(id), body, ifVersion: before.version } as const
    const changed = await caller.ask(caConnectionAnswer, call)
    hintAtKey(options, changed)
    answer(options, changed, () => [`The connection is changed; this is version ${changed.version} of it.`])
  })

const test = (id: string, options: Options): Promise<void> =>
  asAdministrator(options, async (caller) => {
    const tested = await caller.ask(caConnectionAnswer, { method: 'GET', path: connection(id) })
    const found = await caller.ask(caCheckAnswer, { method: 'POST', path: `${connection(id)}/test` })
    answer(options, found, () => describeTest(tested, found))
    if (!found.ready) notInOrder()
  })

const post = (caller: Caller, id: string, what: string, body?: unknown): Promise<CaConnectionAnswer> =>
  caller.ask(caConnectionAnswer, {
    method: 'POST',
    path: `${connection(id)}/${what}`,
    ...(body === undefined ? {} : { body }),
  })

const pause = (id: string, options: Options): Promise<void> =>
  asAdministrator(options, async (caller) => {
    const paused = await post(caller, id, 'pause')
    answer(options, paused, () => ['Nothing is sent to the CA; what is routed there waits.'])
  })

const resume = (id: string, options: Options): Promise<void> =>
  asAdministrator(options, async (caller) => {
    const resumed = await post(caller, id, 'resumption')
    answer(options, resumed, () => ['The CA is sent to again, within a minute, the oldest request first.'])
  })

const remove = (id: string, options: Options): Promise<void> =>
  asAdministrator(options, async (caller) => {
    await caller.tell({ method: 'DELETE', path: connection(id) })
    answer(options, { id, state: 'removed' }, () => ['The connection is removed, with its credentials.'])
  })

const certify = (id: string, file: string, options: Options): Promise<void> =>
  asAdministrator(options, async (caller) => {
    const certified = await post(caller, id, 'client-certificate', { certificate: await readNamedText(file) })
    const until = certified.keyForCa?.certificateUntil ?? 'unknown'
    answer(options, certified, () => [`The service shows this certificate to the CA, until ${until}.`])
  })

const [first] = caKinds
const example = { kind: first.kind, name: 'internal', recipient: 'Example GmbH', country: 'DE' }

/** Each secret with where it comes from, such as `CERTBOOK_CA_TOKEN (ejbca)`. */
const secretsHelp = caKinds.flatMap(({ kind, secrets }) =>
  Object.values<string | Readonly<Record<string, string>>>(secrets).map((from) => {
    const variables = typeof from === 'string' ? [from] : Object.values(from)
    return `${variables.join(' and ')} (${kind})`
  }),
)

const settingsHelp = `
The settings are a JSON object, for instance:
  ${JSON.stringify({ ...example, url: 'https://ca.example.com' })}
Kinds: ${caKinds.map(({ kind }) => kind).join(', ')}; the API reference (/docs) names the fields of each, as CaConnectionRequest.
Secrets come from the environment, where others cannot see them:
  ${secretsHelp.join('\n  ')}`

const withSettings = (command: Command): Command =>
  command
    .addOption(new Option('--settings <file>', 'the settings, JSON; - for standard input'))
    .addOption(
      new Option('--anchors <file>', 'PEM: the certificates that the chains of issued certificates must lead to'),
    )
    .addOption(new Option('--intermediates <file>', 'PEM: CAs below the anchors, where the CA does not send them'))
    .addOption(new Option('--tls-anchors <file>', "PEM: the certificates that verify the CA's TLS"))
    .addOption(urlOption())
    .addOption(jsonOption())
    .addHelpText('after', settingsHelp)

const ofOne = (name: string, description: string): Command =>
  new Command(name)
    .description(description)
    .argument('<id>', 'the id of the connection')
    .addOption(urlOption())
    .addOption(jsonOption())

export const connectionCommand = (): Command =>
  group('connection', 'the certificate authorities that requests can go to', [
    new Command('list')
      .description('list the CA connections, newest first')
      .addOption(limitOption())
      .addOption(cursorOption())
      .addOption(urlOption())
      .addOption(jsonOption())
      .action(list),
    ofOne('show', 'show a CA connection, and what its owner has to be given').action(show),
    withSettings(new Command('add').description('connect a CA')).action(add),
    withSettings(
      new Command('change')
        .description('change the settings that you give; the others, and secrets, stay')
        .argument('<id>', 'the id of the connection'),
    ).action(change),
    ofOne('test', 'look whether the CA is there and lets the service in; nothing is issued').action(test),
    ofOne('pause', 'send nothing to a CA for now').action(pause),
    ofOne('resume', 'send to a CA again, also where it failed before').action(resume),
    ofOne('remove', 'remove a CA connection on which nothing rests, with its credentials').action(remove),
    new Command('client-certificate')
      .description('store the certificate with which the service identifies itself at a CA')
      .argument('<id>', 'the id of the connection')
      .argument('<file>', 'the certificate and its chain, PEM; - for standard input')
      .addOption(urlOption())
      .addOption(jsonOption())
      .action(certify),
  ])
