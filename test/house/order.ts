/**
 * The one order of the house. Imports run to the right only; what stands together in one step does not
 * import each other. The linter's configuration and the tests of this folder are made from this list.
 */
export const order: readonly (readonly string[])[] = [
  ['node', 'journal-thread', 'key-thread', 'worker', 'cli', 'commands', 'docs'],
  ['service'],
  ['app'],
  ['edge'],
  ['admin', 'standards', 'privacy'],
  ['reports'],
  ['directory'],
  ['requests'],
  ['certificates'],
  ['cas', 'registration'],
  ['query-log', 'mail', 'audit', 'consent'],
  ['api'],
  ['pki'],
  ['mailbox'],
  ['ports'],
  ['events'],
  ['errors'],
]

export const entries: readonly string[] = order[0] ?? []

/** Units of src/ that are one file; every other unit is a folder. */
const files = new Set([
  ...entries.filter((entry) => entry !== 'commands'),
  'service',
  'app',
  'config',
  'settings',
  'problem',
  'events',
  'errors',
])

/** Units that stand beside the order, and what they may import. */
const beside: Readonly<Record<string, readonly string[]>> = {
  config: ['settings', 'api', 'ports', 'events', 'errors'],
  settings: ['ports', 'events', 'errors'],
  problem: ['api', 'ports', 'events', 'errors'],
  adapters: ['ports', 'events', 'errors'],
  client: ['api', 'pki', 'mailbox', 'errors'],
}

/** Who may import a unit that stands beside the order. */
const importersOfBeside: Readonly<Record<string, readonly string[]>> = {
  config: [...entries, 'service', 'app'],
  settings: [...entries, 'config'],
  problem: [...entries, 'service', 'app'],
  adapters: entries,
  client: entries,
}

export const units: readonly string[] = [...order.flat(), ...Object.keys(beside)]

export const isFile = (unit: string): boolean => files.has(unit)

const step = (unit: string): number => order.findIndex((names) => names.includes(unit))

/** May a file of one unit import from another? Within a unit everything may. */
export function mayImport(from: string, to: string): boolean {
  if (from === to) return true
  // The worker runs where the other entries cannot; those may share what starts the service.
  if (entries.includes(from) && entries.includes(to)) return from !== 'worker' && to !== 'worker'
  const importers = importersOfBeside[to]
  if (importers !== undefined) return importers.includes(from)
  const allowed = beside[from]
  if (allowed !== undefined) return allowed.includes(to)
  return step(from) < step(to)
}

/** Only these may use what belongs to one runtime: Node's modules, the engines, the sockets. */
export const mayUseRuntime = (unit: string): boolean => entries.includes(unit) || unit === 'adapters'

/** Packages that belong to one runtime, beside Node's own modules. */
export const runtimePackages = [
  'better-sqlite3',
  'nodemailer',
  '@hono/node-server',
  'croner',
  'commander',
  'prom-client',
] as const

/** The one part of a runtime package that is free of the runtime, and the only unit that may use it. */
export const exemptions: Readonly<Record<string, string>> = {
  mail: 'nodemailer/lib/mail-composer/index.js',
}
