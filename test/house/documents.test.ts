import { existsSync, readFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { expect, test } from 'vitest'

const root = join(import.meta.dirname, '../..')
const read = (path: string): string => readFileSync(join(root, path), 'utf8')

test.each(['SECURITY.md', 'docs/security.md', 'docs/decisions/README.md'])('%s points to what exists', (path) => {
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
