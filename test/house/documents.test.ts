import { existsSync, readdirSync, readFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { expect, test } from 'vitest'

const root = join(import.meta.dirname, '../..')
const read = (path: string): string => readFileSync(join(root, path), 'utf8')

test.each([
  'SECURITY.md',
  'docs/security.md',
  'docs/backup.md',
  'docs/audit-log.md',
  'docs/keys.md',
  'docs/decisions/README.md',
  'ops/README.md',
])('%s points to what exists', (path) => {
  const targets = Array.from(read(path).matchAll(/\]\(([^)#:]+)\)/g), ([, target]) => target ?? '')
  expect(targets.length).toBeGreaterThan(0)
  expect(targets.filter((target) => !existsSync(join(root, dirname(path), target)))).toEqual([])
})

test('every claim of the threat model names the test that shows it', () => {
  const rows = read('docs/security.md')
    .split('\n')
    .filter((line) => line.startsWith('| ') && !line.startsWith('| can |') && !line.startsWith('| --- |'))
  expect(rows.length).toBeGreaterThan(20)
  const unshown = rows.filter((row) => !row.includes('](../test/') && !row.includes('| none: see below |'))
  expect(unshown).toEqual([])
})

test('the steps to install it name the places that the units name', () => {
  const steps = read('ops/README.md')
  const files = readdirSync(join(root, 'ops/systemd'))
  for (const file of files) expect(steps).toContain(`ops/systemd/${file}`)
  const places = files.flatMap((file) => {
    const settings = read(`ops/systemd/${file}`).replaceAll(/^#.*$/gm, '')
    return Array.from(settings.matchAll(/(?<=[ =])\/(?:etc|opt|var|usr\/bin)\/[\w./-]+/g), ([place]) => place)
  })
  expect(new Set(places).size).toBeGreaterThan(4)
  expect(places.filter((place) => !steps.includes(place))).toEqual([])
})

test('the service starts with the same options of Node wherever it is started', () => {
  const starts = ['package.json', 'ops/Containerfile', 'ops/systemd/certbook.service', 'ops/README.md'].map((file) =>
    (/--max-semi-space-size.*/.exec(read(file))?.[0] ?? '').match(/--[a-z-]+=\d+/g),
  )
  expect(new Set(starts.map(String)).size).toBe(1)
  expect(starts[0]).toHaveLength(2)
})

test('what Node compiles is kept where the program is, which the service cannot change', () => {
  const folder = '/opt/certbook/compiled'
  expect(read('ops/systemd/certbook.service')).toContain(`\nEnvironment=NODE_COMPILE_CACHE=${folder}\n`)
  const [filled, closed] = [`env NODE_COMPILE_CACHE=${folder} /usr/bin/node`, `chown -R root:root ${folder}`]
  const steps = read('ops/README.md')
  expect(steps.indexOf(filled)).toBeGreaterThan(0)
  expect(steps.indexOf(closed)).toBeGreaterThan(steps.indexOf(filled))
  const image = read('ops/Containerfile')
  expect(image).toMatch(new RegExp(`^ENV .*NODE_COMPILE_CACHE=${folder}$`, 'm'))
  expect(image).toMatch(
    /USER node\n(?:#.*\n)?RUN node src\/cli\.ts --version\nUSER root\nRUN chown --recursive root:root compiled/,
  )
})

test.each(['certbook.service', 'certbook-backup.service'])('%s gives the data key as a credential', (name) => {
  const unit = read(`ops/systemd/${name}`)
  expect(unit).toContain('\nLoadCredential=data-key:/etc/certbook/data-key\n')
  expect(unit).toMatch(/^Environment=(?:\S+ )*DATA_KEY_FILE=%d\/data-key$/m)
  // The environment is inherited and shown; the key has no place in it.
  expect(unit).not.toMatch(/^Environment=.*\bDATA_KEY=/m)
  expect(read('ops/certbook.env.example')).toMatch(/^DATA_KEY=$/m)
})
