import { describe, expect, test } from 'vitest'
import { CertbookClient, CertbookError, type Fetch } from '../../src/client/index.ts'

const client = (fetch: Fetch, credential = 'cb_dev_any'): CertbookClient =>
  new CertbookClient({ baseUrl: 'https://certbook.example', anchors: [], credential, attempts: 1, fetch })

const failureOf = async (work: Promise<unknown>): Promise<CertbookError> => {
  try {
    await work
  } catch (error) {
    if (error instanceof CertbookError) return error
    throw error
  }
  throw new Error('it did not fail')
}

describe('an answer without an end', () => {
  const piece = new Uint8Array(1_048_576).fill(0x20)

  test.each([200, 500])('of the status %i is left after 32 MiB: answer_malformed', async (status) => {
    let sent = 0
    let left = false
    const endless = () =>
      new ReadableStream<Uint8Array>({
        pull: (controller) => {
          sent += 1
          controller.enqueue(piece)
        },
        cancel: () => {
          left = true
        },
      })
    const failure = await failureOf(client(async () => new Response(endless(), { status })).policy())
    expect([failure.code, left]).toEqual(['answer_malformed', true])
    expect(sent).toBeLessThanOrEqual(34)
  })

  test('of fewer bytes is read as a whole, wherever its characters are cut', async () => {
    const [first = 0, ...rest] = new TextEncoder().encode('\u00fc')
    const at = (text: string): Uint8Array[] => [new TextEncoder().encode(text)]
    const pieces = [
      ...at('{"nextInSeconds":300,"renew":["'),
      Uint8Array.of(first),
      Uint8Array.from(rest),
      ...at('"],"renewNow":[]}'),
    ]
    const stream = new ReadableStream<Uint8Array>({
      start: (controller) => {
        for (const part of pieces) controller.enqueue(part)
        controller.close()
      },
    })
    const device = { appVersion: '1', deviceType: 'x', osVersion: '1', language: 'de', serialNumber: null }
    expect(await client(async () => new Response(stream)).account.checkIn(device)).toEqual({
      nextInSeconds: 300,
      renew: ['\u00fc'],
      renewNow: [],
    })
  })

  test('of pages that hold nothing is left: answer_malformed', async () => {
    let asked = 0
    const pages: Fetch = async () => Response.json({ items: [], next: String((asked += 1)) })
    const failure = await failureOf(client(pages).account.devices().next())
    expect([failure.code, asked]).toEqual(['answer_malformed', 1])
  })
})

describe('what an error tells', () => {
  test('of a refusal is one line of an ordinary length, whatever the service writes', async () => {
    const detail = `Do this.\r\n2026-11-22 root logged in\u001b[2J${'x'.repeat(100_000)}`
    for (const code of ['not_found', 'not_known_here']) {
      const failure = await failureOf(client(async () => Response.json({ code, detail }, { status: 404 })).policy())
      expect(failure.message).not.toMatch(/\p{Cc}/u)
      expect(failure.detail.startsWith('Do this. 2026-11-22')).toBe(true)
      expect(failure.detail.length).toBeLessThanOrEqual(1_000)
    }
  })

  test.each(['cb_dev_secret\nX: y', 'cb_dev_secret\u0000', 'cb_dev_secret\u20ac', ''])(
    'never holds a credential, though it can be no header: %j',
    async (credential) => {
      let asked = 0
      const fetch: Fetch = async (url, init) => {
        asked += 1
        return Response.json([...new Request(url, init).headers])
      }
      const failure = await failureOf(client(fetch, credential).account.read())
      expect([failure.code, asked]).toEqual(['credential_invalid', 0])
      expect(failure.cause).toBe(undefined)
    },
  )
})
