import { readFileSync } from 'node:fs'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { startProcess, temporaryFolder, type ServiceProcess } from '../support/node-process.ts'

const dashboard = readFileSync(new URL('../../ops/grafana-dashboard.json', import.meta.url), 'utf8')

let folder: Awaited<ReturnType<typeof temporaryFolder>>
let service: ServiceProcess
beforeAll(async () => {
  folder = await temporaryFolder()
  service = await startProcess(folder.path)
})
afterAll(async () => {
  await service.end('SIGTERM')
  await folder.remove()
})

test('a process tells of itself and its files too, and the dashboard asks for nothing else', async () => {
  const answer = await fetch(`${service.url}/metrics`)
  expect(answer.status).toBe(200)
  const text = await answer.text()
  const valueOf = (sample: string): number => Number(new RegExp(`^${sample} (\\S+)$`, 'm').exec(text)?.[1])
  for (const database of ['main', 'journal']) {
    expect(valueOf(`certbook_database_bytes\\{database="${database}"\\}`)).toBeGreaterThan(10_000)
  }
  expect(valueOf('certbook_audit_entries_unsealed')).toBeGreaterThanOrEqual(0)
  // Without a certificate of its own there is no end of one to tell.
  expect(text).not.toMatch(/^certbook_tls_expiry_days /m)
  const asked = new Set(dashboard.match(/\b(?:process|nodejs)_\w+/g))
  expect(asked.size).toBeGreaterThan(2)
  for (const name of asked) expect(valueOf(name), name).toBeGreaterThanOrEqual(0)
  expect(text).not.toContain(folder.path)
})

test('a page of another site cannot have it read by the browser of somebody on the machine', async () => {
  const answer = await fetch(`${service.url}/metrics`, { headers: { Origin: 'https://elsewhere.example' } })
  expect(answer.headers.get('Access-Control-Allow-Origin')).toBe(null)
})
