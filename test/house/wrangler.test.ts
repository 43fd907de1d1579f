import { readFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import { expect, test } from 'vitest'
import { unstable_readConfig as readConfig } from 'wrangler'
import { openRoomHarness } from '../support/engines.ts'

const wranglerToml = readFileSync(new URL('../../wrangler.toml', import.meta.url), 'utf8')

test('wrangler.toml fires exactly the cron patterns that jobs carry', async () => {
  const list = /^crons = (\[.*\])$/m.exec(wranglerToml)?.[1] ?? '[]'
  const harness = await openRoomHarness('sqlite')
  try {
    const carried = new Set(harness.service.jobs.map((job) => job.cron))
    expect(JSON.parse(list).toSorted()).toEqual([...carried].toSorted())
  } finally {
    await harness.close()
  }
})

test('wrangler.toml holds no secret', () => {
  for (const name of ['DATA_KEY', 'MAIL_HOOK_TOKEN']) expect(wranglerToml).not.toMatch(new RegExp(`^${name}\\s*=`, 'm'))
})

test('what it deploys can be reached under both addresses, and keeps no log of who called', () => {
  const config = readConfig({ config: fileURLToPath(new URL('../../wrangler.toml', import.meta.url)) })
  const hosts = [config.vars['PUBLIC_URL'], config.vars['PKI_URL']].map((url) => new URL(String(url)).host)
  expect(config.routes).toEqual(hosts.map((pattern) => ({ pattern, custom_domain: true })))
  expect(config.vars['PKI_URL']).toMatch(/^http:/)
  expect(config.observability?.logs?.invocation_logs).toBe(false)
})
