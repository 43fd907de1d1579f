import { readdirSync, readFileSync } from 'node:fs'
import { expect, test } from 'vitest'
import { errorCodes } from '../../src/errors.ts'
import { problemKinds } from '../../src/problem.ts'

const source = new URL('../../src/', import.meta.url)
const texts = readdirSync(source, { recursive: true, encoding: 'utf8' })
  .filter((name) => name.endsWith('.ts') && !/^(errors|problem)\.ts$/.test(name))
  .map((name) => readFileSync(new URL(name, source), 'utf8'))

/** Codes that `problem.ts` itself answers with. */
const answeredThere = new Set(['internal_error'])

test.each(errorCodes)('%s is answered somewhere, and has a status and words', (code) => {
  expect(answeredThere.has(code) || texts.some((text) => text.includes(`'${code}'`))).toBe(true)
  const { status, title, when } = problemKinds[code]
  expect(status).toBeGreaterThanOrEqual(400)
  expect(title.length).toBeGreaterThan(3)
  expect(when.length).toBeGreaterThan(10)
})
