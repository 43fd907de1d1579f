import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { readDocument } from '../../tools/clients/document.ts'
import { modelOf } from '../../tools/clients/model.ts'
import { clientFiles, outdatedClients } from '../../tools/clients.ts'
import type { Json } from '../support/api.ts'
import { openRoomHarness, type RoomHarness } from '../support/engines.ts'

describe('the calls for Swift and Kotlin', () => {
  let harness: RoomHarness
  let openApi: Json
  beforeAll(async () => {
    harness = await openRoomHarness('sqlite')
    openApi = await (await harness.ask('/openapi.json')).json()
  })
  afterAll(() => harness.close())

  test('are what the OpenAPI document says now: else run `npm run docs`', () => {
    expect(outdatedClients(openApi)).toEqual([])
  })

  test('have every call of a device, and none of an administrator', () => {
    const calls = Object.entries<Json>(openApi.paths)
      .filter(([path]) => path.startsWith('/v1/') && !path.startsWith('/v1/admin'))
      .flatMap(([, methods]) => Object.values<Json>(methods).map(({ operationId }) => operationId))
    expect(calls.length).toBeGreaterThan(20)
    for (const [name, text] of Object.entries(clientFiles(openApi))) {
      const keyword = name.endsWith('.kt') ? 'fun' : 'func'
      const made = [...text.matchAll(new RegExp(`^ +(?:public )?${keyword} (\\w+)\\(`, 'gm'))].map(([, call]) => call)
      for (const call of calls) expect(made).toContain(call)
      expect(text).not.toContain('/v1/admin')
    }
  })
})

describe('the model of a document', () => {
  const operation = (described: Json): Json => ({ operationId: 'ask', summary: 'Ask', responses: {}, ...described })
  const json = (schema: Json): Json => ({ content: { 'application/json': { schema } } })
  const read = (described: Json, schemas: Json = {}) =>
    modelOf(readDocument({ components: { schemas }, paths: { '/v1/ask': { post: operation(described) } } }))
  const text = { type: 'string' }

  test('makes one type of several answers: what all of them require is required', () => {
    const first = { type: 'object', properties: { id: text, at: text }, required: ['id', 'at'] }
    const second = { type: 'object', properties: { id: text, state: { ...text, enum: ['a'] } }, required: ['id'] }
    const { types, operations } = read({ responses: { 200: json(first), 202: json(second) } })
    expect(operations[0]?.answer).toBe('AskAnswer')
    expect(types).toEqual([
      {
        kind: 'object',
        name: 'AskAnswer',
        fields: [
          { name: 'id', type: { kind: 'string' }, optional: false, nullable: false, values: [] },
          { name: 'at', type: { kind: 'string' }, optional: true, nullable: false, values: [] },
          { name: 'state', type: { kind: 'string' }, optional: true, nullable: false, values: ['a'] },
        ],
      },
    ])
  })

  test('tells what may be null from what may be left out, and what is sent from what is answered', () => {
    const device = {
      type: 'object',
      properties: { serial: { type: ['string', 'null'] }, kind: { anyOf: [{ $ref: '#/x/Kind' }, { type: 'null' }] } },
      required: ['serial'],
    }
    const schemas = { Device: device, Kind: { ...text, enum: ['one', 'two'] } }
    const model = read({ requestBody: json({ $ref: '#/x/Device' }), responses: { 204: {} } }, schemas)
    expect(model.operations[0]).toMatchObject({ body: 'Device', answer: null })
    expect([[...model.sent].toSorted(), [...model.answered]]).toEqual([['Device', 'Kind'], []])
    expect(model.types.find(({ name }) => name === 'Device')).toMatchObject({
      fields: [
        { name: 'serial', nullable: true, optional: false },
        { name: 'kind', type: { kind: 'named', name: 'Kind' }, nullable: true, optional: true },
      ],
    })
  })

  test('refuses a document that refers to what it does not hold', () => {
    expect(() => read({ responses: { 200: json({ $ref: '#/components/schemas/Missing' }) } })).toThrow('Missing')
    expect(() => readDocument({})).toThrow('components')
  })
})
