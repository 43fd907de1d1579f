import { readFileSync } from 'node:fs'
import { expect, test } from 'vitest'
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
