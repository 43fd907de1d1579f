import { afterAll, beforeAll, expect, test } from 'vitest'
import { openRoomHarness, type RoomHarness } from '../support/engines.ts'

let harness: RoomHarness
beforeAll(async () => {
  harness = await openRoomHarness('sqlite')
})
afterAll(() => harness.close())

test.each([
  ['POST', '/v1/key-compromise', 'dear'],
  ['POST', '/v1/registrations', 'enrolment'],
  ['POST', '/v1/registrations/x/credential', 'enrolment'],
  ['GET', '/confirm/x', 'enrolment'],
  ['GET', '/v1/policy', 'anonymous'],
  ['GET', '/docs', 'anonymous'],
  ['GET', '/nowhere', 'anonymous'],
  ['PATCH', '/v1/lookups', 'anonymous'],
  ['POST', '/v1/lookups', 'member'],
  ['POST', '/v1/check-ins', 'member'],
  ['PUT', '/v1/certificates/x/publication', 'member'],
  ['GET', '/v1/admin/overview', 'member'],
  ['GET', '/healthz', 'essential'],
  ['GET', '/readyz', 'essential'],
  ['POST', '/ocsp/x', 'essential'],
  ['GET', '/ocsp/x/MA==', 'essential'],
  ['GET', '/ca/x.crl', 'essential'],
])('%s %s is %s work, known before its body', (method, path, work) => {
  expect(harness.service.workOf(method, path)).toBe(work)
})

test('what the document says of an operation is what it is turned away by', async () => {
  const { paths } = (await harness.api.get('/openapi.json')).body
  const said = Object.entries<Record<string, { readonly 'x-work'?: string }>>(paths).flatMap(([path, methods]) =>
    Object.entries(methods).map(([method, operation]) => ({
      method: method.toUpperCase(),
      path: path.replaceAll(/\{\w+\}/g, 'x'),
      work: operation['x-work'],
    })),
  )
  const named = said.filter(({ work }) => work !== undefined)
  expect(named).toHaveLength(10)
  for (const { method, path, work } of named) expect(harness.service.workOf(method, path)).toBe(work)
})
