import { Command } from 'commander'
import { readConfig, type Config } from '../config.ts'
import { serveNode } from '../node.ts'
import { hint } from './terminal.ts'

const hints = (url: string, config: Config): string[] => [
  `certbook is serving at ${url}`,
  `  what it can do    ${url}/docs`,
  `  what it holds     ${url}/privacy`,
  `  is it ready       ${url}/readyz`,
  ...(config.smtpUrl === null && config.mailHookUrl === null
    ? [`  mail (development) ${config.dataDir}/outbox/*.eml`]
    : []),
  `  data and keys     ${config.dataDir}   (certbook backup copies it; a lost key cannot be replaced)`,
  `  next              the story in curl in README.md, or: npm run demo`,
]

/**
 * Resolves to the first signal that asks the process to end. Listened for from the very start, so none is missed, and
 * to the end: a signal to the whole group comes twice, as npm passes it on, and the second one must not kill.
 */
const askedToEnd = (): Promise<string> =>
  new Promise((resolve) => {
    for (const signal of ['SIGTERM', 'SIGINT'] as const) process.on(signal, () => resolve(signal))
  })

async function serve(): Promise<void> {
  const signal = askedToEnd()
  const config = readConfig(process.env, 'node')
  const server = await serveNode(config)
  for (const line of hints(server.url, config)) hint(line)
  await server.stop(await signal)
  process.exit(0)
}

export const serveCommand = (): Command =>
  new Command('serve').description('serve over HTTP or HTTPS; settings come from the environment').action(serve)
