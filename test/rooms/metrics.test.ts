import { readFileSync } from 'node:fs'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { countedEvents } from '../../src/events.ts'
import type { Api } from '../support/api.ts'
import { engines, openRoomHarness, type RoomHarness } from '../support/engines.ts'
import { certify, lookUp, publish, register } from '../support/story.ts'
import { expectProblem } from './support.ts'

const token = 'a-token-for-the-monitoring'

/** The samples of an exposition, by their names with labels. */
const samplesOf = (text: string): Map<string, number> =>
  new Map(
    text
      .split('\n')
      .filter((line) => line !== '' && !line.startsWith('#'))
      .map((line): [string, number] => [
        line.slice(0, line.lastIndexOf(' ')),
        Number(line.slice(line.lastIndexOf(' '))),
      ]),
  )

const read = async (api: Api): Promise<{ text: string; samples: Map<string, number> }> => {
  const answer = await api.get('/metrics')
  expect([answer.status, answer.headers.get('Content-Type')]).toEqual([
    200,
    expect.stringMatching(/^text\/plain; version=/),
  ])
  return { text: answer.body, samples: samplesOf(answer.body) }
}

describe('who may read /metrics', () => {
  test.each([
    { from: 'this machine', local: true, credential: null, code: null },
    { from: 'this machine with the token', local: true, credential: token, code: null },
    { from: 'elsewhere with the token', local: false, credential: token, code: null },
    { from: 'elsewhere', local: false, credential: null, code: 'credential_required' },
    { from: 'elsewhere with another token', local: false, credential: `${token}x`, code: 'credential_invalid' },
    { from: 'this machine with another token', local: true, credential: 'x', code: 'credential_invalid' },
    {
      from: 'elsewhere with a credential of a device',
      local: false,
      credential: 'cb_dev_x',
      code: 'credential_invalid',
    },
  ])('$from: $code', async ({ local, credential, code }) => {
    const settings = { METRICS_TOKEN: token }
    const harness = await openRoomHarness('sqlite', { settings, connection: { local } })
    try {
      const answer = await (credential === null ? harness.api : harness.api.with(credential)).get('/metrics')
      if (code === null) expect(answer.status).toBe(200)
      else expectProblem(answer, 401, code)
    } finally {
      await harness.close()
    }
  })

  test('nobody from elsewhere where no token is set', async () => {
    const harness = await openRoomHarness('sqlite', { connection: { local: false } })
    try {
      expectProblem(await harness.api.get('/metrics'), 401, 'credential_required')
      expectProblem(await harness.api.with('null').get('/metrics'), 401, 'credential_invalid')
    } finally {
      await harness.close()
    }
  })

  test.each(engines)('only a runtime with a process has any: on %s', async (engine) => {
    const harness = await openRoomHarness(engine)
    try {
      if (engine === 'sqlite') expect((await harness.api.get('/metrics')).status).toBe(200)
      else expectProblem(await harness.api.get('/metrics'), 501, 'node_only')
    } finally {
      await harness.close()
    }
  })
})

describe('what /metrics tells', () => {
  let harness: RoomHarness
  beforeAll(async () => {
    harness = await openRoomHarness('sqlite')
  })
  afterAll(() => harness.close())

  test('a whole story is counted, and names nobody', async () => {
    const alice = await register(harness.api, harness.mails, 'alice@example.com')
    const bob = await register(harness.api, harness.mails, 'bob@example.com')
    const certificate = await certify(alice)
    await publish(alice, certificate.id)
    await lookUp(bob, ['alice@example.com', 'nobody@example.com', 'no address'])
    await bob.api.get('/v1/certificates/secret-looking-path-7')
    await bob.api.get('/no/such/path-8')
    await bob.api.send('BREW', '/v1/me')
    await harness.settled()
    await harness.runJob('query-log-prune')
    const { text, samples } = await read(harness.api)
    const expected: Record<string, number> = {
      certbook_registration_started_total: 2,
      certbook_registration_confirmed_total: 2,
      certbook_device_registered_total: 2,
      certbook_certificate_issued_total: 1,
      'certbook_certificate_published_total{audience="members"}': 1,
      'certbook_mail_sent_total{kind="challenge"}': 2,
      certbook_lookup_answered_total: 1,
      'certbook_lookup_address_total{status="found"}': 1,
      'certbook_lookup_address_total{status="not_found"}': 1,
      'certbook_rows_pruned_total{table="query_log"}': 0,
      certbook_certificates_valid: 1,
      certbook_journal_recent_rows: 2,
      certbook_mails_queued: 0,
      certbook_warnings: 0,
      certbook_gauges_unreadable: 0,
      'certbook_request_seconds_count{method="POST",route="/v1/lookups",status="2xx"}': 1,
      'certbook_request_seconds_count{method="GET",route="/v1/certificates/:id",status="4xx"}': 1,
    }
    expect(Object.fromEntries(Object.keys(expected).map((name) => [name, samples.get(name)]))).toEqual(expected)
    for (const never of [
      'example.com',
      'alice',
      'path-7',
      'path-8',
      'BREW',
      'cb_dev',
      certificate.id,
      alice.deviceId,
      alice.subscriberId,
    ]) {
      expect(text).not.toContain(never)
    }
  })

  test('a gauge that cannot be read leaves the others readable, and is told', async () => {
    await harness.main.batch([{ text: 'ALTER TABLE outgoing_mail RENAME TO outgoing_mail_away', values: [] }])
    try {
      const { samples } = await read(harness.api)
      expect(samples.get('certbook_gauges_unreadable')).toBeGreaterThan(0)
      expect(samples.has('certbook_mails_queued')).toBe(false)
      expect(samples.get('certbook_certificates_valid')).toBe(1)
    } finally {
      await harness.main.batch([{ text: 'ALTER TABLE outgoing_mail_away RENAME TO outgoing_mail', values: [] }])
    }
  })

  test('every counted event has a counter with its labels, and no label of another kind', async () => {
    const { text } = await read(harness.api)
    for (const [name, { means }] of Object.entries(countedEvents)) {
      expect(text).toContain(`# HELP certbook_${name}_total ${means}\n# TYPE certbook_${name}_total counter`)
    }
  })
})

const dashboard = readFileSync(new URL('../../ops/grafana-dashboard.json', import.meta.url), 'utf8')

/** Every expression of the dashboard. */
const expressionsIn = (value: unknown): string[] => {
  if (Array.isArray(value)) return value.flatMap(expressionsIn)
  if (typeof value !== 'object' || value === null) return []
  return Object.entries(value).flatMap(([name, inner]) =>
    name === 'expr' && typeof inner === 'string' ? [inner] : expressionsIn(inner),
  )
}

test('every query of the dashboard names a figure that /metrics gives, with labels that it has', async () => {
  const harness = await openRoomHarness('sqlite')
  try {
    const { text } = await read(harness.api)
    const given = new Set(Array.from(text.matchAll(/^# TYPE (\S+) /gm), ([, name]) => name ?? ''))
    for (const suffix of ['bucket', 'sum', 'count']) given.add(`certbook_request_seconds_${suffix}`)
    // What only a process with its files has.
    for (const name of ['certbook_database_bytes', 'certbook_tls_expiry_days']) given.add(name)
    const expressions = expressionsIn(JSON.parse(dashboard))
    expect(expressions.length).toBeGreaterThan(10)
    const asked = expressions.flatMap((expression) => expression.match(/\b(?:certbook|process|nodejs)_\w+/g) ?? [])
    expect(asked.filter((name) => name.startsWith('certbook_') && !given.has(name))).toEqual([])
    expect(asked.length).toBeGreaterThanOrEqual(expressions.length)
    const labels = new Set(['method', 'route', 'status', 'le', 'state', 'authority', 'database'])
    for (const { labels: names } of Object.values(countedEvents)) for (const name of names) labels.add(name)
    const grouped = expressions.flatMap((expression) =>
      Array.from(
        expression.matchAll(/\bby \(([^)]*)\)/g),
        ([, names]) => names?.split(',').map((name) => name.trim()) ?? [],
      ).flat(),
    )
    expect(grouped.filter((name) => !labels.has(name))).toEqual([])
  } finally {
    await harness.close()
  }
})
