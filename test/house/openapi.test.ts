import { spawnSync } from 'node:child_process'
import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import type { Json } from '../support/api.ts'
import { openRoomHarness, type RoomHarness } from '../support/engines.ts'
import { temporaryFolder } from '../support/node-process.ts'

const root = join(import.meta.dirname, '../..')

/** Run before the linter itself: a linter that wants to speak with somebody ends with this status. */
const spokeStatus = 97
const muzzle = `
import { Socket } from 'node:net'
import dns from 'node:dns'
const end = () => process.exit(${spokeStatus})
Socket.prototype.connect = end
dns.lookup = end
`

/** Runs the linter over a document, off the network; resolves to its verdict. */
async function lint(document: Json): Promise<{ status: number | null; said: string }> {
  const folder = await temporaryFolder()
  try {
    const file = join(folder.path, 'openapi.json')
    await writeFile(file, JSON.stringify(document))
    const linter = fileURLToPath(new URL('bin/cli.js', import.meta.resolve('@redocly/cli/package.json')))
    const config = join(root, 'redocly.yaml')
    const run = spawnSync(
      process.execPath,
      [linter, 'lint', '--format=stylish', '--max-problems=50', `--config=${config}`, file],
      {
        cwd: folder.path,
        encoding: 'utf8',
        env: {
          PATH: process.env['PATH'],
          HOME: folder.path,
          REDOCLY_TELEMETRY: 'off',
          REDOCLY_SUPPRESS_UPDATE_NOTICE: 'true',
          NODE_OPTIONS: `--import=data:text/javascript;base64,${Buffer.from(muzzle).toString('base64')}`,
        },
      },
    )
    return { status: run.status, said: `${run.stdout}${run.stderr}` }
  } finally {
    await folder.remove()
  }
}

interface Operation {
  readonly place: string
  readonly method: string
  readonly path: string
  readonly operation: Json
}

const operationsOf = (document: Json): Operation[] =>
  Object.entries<Json>(document.paths).flatMap(([path, item]) =>
    Object.entries<Json>(item).map(([method, operation]) => ({ place: `${method} ${path}`, method, path, operation })),
  )

describe('the OpenAPI document of a real service', () => {
  let harness: RoomHarness
  let document: Json
  let operations: Operation[]
  beforeAll(async () => {
    harness = await openRoomHarness('sqlite')
    document = (await harness.api.get('/openapi.json')).body
    operations = operationsOf(document)
  })
  afterAll(() => harness.close())

  const placesOf = (found: readonly Operation[]): string[] => found.map(({ place }) => place)

  test('is passed by a public linter without a warning, which asks nobody on the network', async () => {
    const { status, said } = await lint(document)
    expect(said).not.toMatch(/warning|error/i)
    expect([status, said.includes('valid')]).toEqual([0, true])
  })

  test('a fault in it is found: the linter was not asleep', async () => {
    const broken = structuredClone(document)
    delete broken.paths['/v1/lookups'].post.operationId
    broken.paths['/v1/check-ins'].post.requestBody.content['application/json'].example.location = 'Berlin'
    const { said } = await lint(broken)
    expect(said).toContain('operation-operationId')
    expect(said).toContain('no-invalid-media-type-examples')
  })

  test('names every operation once, in the way of a function', () => {
    const names = operations.map(({ operation }) => operation.operationId)
    expect(names.filter((name) => !/^[a-z][A-Za-z0-9]+$/.test(name))).toEqual([])
    expect(names.filter((name, index) => names.indexOf(name) !== index)).toEqual([])
  })

  test('has every operation under one heading that is explained, with a summary', () => {
    const headings = new Set(document.tags.map(({ name }: Json) => name))
    expect(placesOf(operations.filter(({ operation }) => operation.tags?.length !== 1))).toEqual([])
    expect(placesOf(operations.filter(({ operation }) => !headings.has(operation.tags[0])))).toEqual([])
    expect(placesOf(operations.filter(({ operation }) => !(operation.summary?.length > 5)))).toEqual([])
    expect(document.tags.filter(({ description }: Json) => !(description.length > 10))).toEqual([])
  })

  test('says of every operation which credential it takes', () => {
    expect(placesOf(operations.filter(({ operation }) => !Array.isArray(operation.security)))).toEqual([])
    const open = operations.filter(
      ({ path, operation }) => path.startsWith('/v1/me') && operation.security.length === 0,
    )
    expect(placesOf(open)).toEqual([])
  })

  test('tells the refusals of every operation as problem documents', () => {
    const required = ({ method, path, operation }: Operation): string[] => [
      '403',
      '429',
      '500',
      '503',
      ...(operation.security.length > 0 ? ['401'] : []),
      ...(path.includes('{') ? ['404'] : []),
      ...(method === 'get' ? [] : ['409']),
      ...(operation.requestBody === undefined ? [] : ['413', '415', '422']),
    ]
    const missing = operations.flatMap((entry) =>
      required(entry)
        .filter((status) => entry.path !== '/readyz' || status !== '503')
        .filter((status) => {
          const content = entry.operation.responses[status]?.content ?? {}
          return content['application/problem+json']?.schema?.$ref !== '#/components/schemas/ProblemDocument'
        })
        .map((status) => `${entry.place} ${status}`),
    )
    expect(missing).toEqual([])
  })

  test('shows an example of every JSON that is sent', () => {
    const without = operations.filter(({ operation }) => {
      const json = operation.requestBody?.content['application/json']
      return json !== undefined && json.example === undefined
    })
    expect(placesOf(without)).toEqual([])
  })

  test('has every endpoint of the service in it', async () => {
    const known = new Set(operations.map(({ method, path }) => `${method.toUpperCase()} ${path}`))
    for (const path of ['/healthz', '/readyz', '/metrics', '/docs', '/privacy', '/terms', '/openapi.json']) {
      expect((await harness.ask(path)).status, path).toBe(200)
      expect(known, path).toContain(`GET ${path}`)
    }
  })

  test('takes nothing that it does not name: every request body is a closed shape', () => {
    const resolve = (schema: Json): Json =>
      schema.$ref === undefined ? schema : document.components.schemas[schema.$ref.split('/').at(-1)]
    const isClosed = (given: Json): boolean => {
      const schema = resolve(given)
      const variants = schema.anyOf ?? schema.oneOf
      return variants === undefined ? schema.additionalProperties === false : variants.every(isClosed)
    }
    const taking = operations.filter(
      ({ operation }) => operation.requestBody?.content['application/json'] !== undefined,
    )
    expect(taking.length).toBeGreaterThan(10)
    const bodies = taking.filter(({ operation }) => !isClosed(operation.requestBody.content['application/json'].schema))
    expect(placesOf(bodies)).toEqual([])
  })
})
