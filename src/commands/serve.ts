import { Command } from 'commander'
import { readConfig, type Config } from '../config.ts'
import { serveNode, type RunningServer } from '../node.ts'
import { isLoopbackHost } from '../ports/network.ts'
import { hint } from './terminal.ts'

const hints = (server: RunningServer, config: Config, warnings: readonly string[]): string[] => {
  const { url, publicUrl } = server
  const { newVerifierKey } = server.node
  const mailInFolder = config.smtpUrl === null && config.mailHookUrl === null
  const tryingOut = mailInFolder && isLoopbackHost(config.host) && isLoopbackHost(new URL(publicUrl).hostname)
  return [
    `certbook is serving at ${publicUrl}${url === publicUrl ? '' : ` (listening at ${url})`}`,
    `  what it can do    ${publicUrl}/docs`,
    `  what it holds     ${publicUrl}/privacy`,
    `  is it ready       ${publicUrl}/readyz`,
    ...(mailInFolder ? [`  mail (development) ${config.dataDir}/outbox/*.eml`] : []),
    `  data and keys     ${config.dataDir}   (certbook backup copies it; a lost key cannot be replaced)`,
    ...(newVerifierKey === null
      ? []
      : [`  audit log         verifier key ${newVerifierKey}   (note it down elsewhere)`]),
    ...(tryingOut ? [`  next              the story in curl in README.md, or: npm run demo`] : []),
    ...warnings.map((warning) => `  warning           ${warning}`),
  ]
}

/**
 * Resolves to the first signal that asks the process to end. It listens from the very start, so it misses none, and
 * until the end: npm passes signals on, so a signal to the whole group comes twice, and the second must not kill.
 */
const askedToEnd = (): Promise<string> =>
  new Promise((resolve) => {
    for (const signal of ['SIGTERM', 'SIGINT'] as const) process.on(signal, () => resolve(signal))
  })

async function serve(): Promise<void> {
  const signal = askedToEnd()
  const config = readConfig(process.env, 'node')
  const server = await serveNode(config)
  for (const line of hints(server, config, await server.node.service.warnings())) hint(line)
  await server.stop(await signal)
  process.exit(0)
}

export const serveCommand = (): Command =>
  new Command('serve').description('serve over HTTP or HTTPS; settings come from the environment').action(serve)
