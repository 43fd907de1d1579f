import type { IncomingMessage, ServerResponse } from 'node:http'
import { text as wholeText } from 'node:stream/consumers'
import {
  wireForm,
  type Asked,
  type Call,
  type Form,
  type Signed,
  type WireAnswer,
  type WireForm,
} from './lying-ca-forms.ts'
import { serveHttp, serveHttps } from './odd-servers.ts'
import { toPem } from './pem.ts'
import { makeTestCa, type TestCa } from './test-ca.ts'

/** What a lie is made with. */
export interface LiarsTools {
  readonly form: Form
  readonly wire: WireForm
  readonly ca: TestCa
  /** A CA of the same names, with other keys. */
  readonly namesake: TestCa
  readonly now: number
  /** What the CA issued before, oldest first. */
  readonly before: readonly Uint8Array[]
}

/** Null where nothing is issued. */
export type Issue = (asked: Asked, tools: LiarsTools) => Promise<Signed | null>

/** One way in which the CA deceives; what is left out it does honestly. */
export interface Lie {
  /** What is issued for an order. */
  readonly issue?: Issue
  /** What it says of that. */
  readonly say?: (honest: WireAnswer, tools: LiarsTools, asked: Asked) => WireAnswer
  /** How it sends that. */
  readonly send?: (response: ServerResponse, said: WireAnswer) => void | Promise<void>
  /** What it says to calls that bring no order. */
  readonly show?: (honest: WireAnswer, call: Call, tools: LiarsTools) => WireAnswer
}

/** A CA that answers orders as a test wants it to, and everything else honestly. */
export interface LyingCa {
  readonly form: Form
  readonly url: string
  readonly ca: TestCa
  /** What a connection to it is made with, beside its name. */
  readonly settings: Readonly<Record<string, unknown>>
  /** What was sent to it. */
  readonly calls: readonly Call[]
  /** What was issued for orders. */
  readonly issued: readonly Uint8Array[]
  /** What went wrong in the server itself, which is none of its lies. */
  readonly faults: readonly string[]
  /** Null: from now on it is honest. */
  tell(lie: Lie | null): void
  close(): Promise<void>
}

/** What an honest CA issues for an order. */
export const honestly = async ({ spki, address }: Asked, { ca }: LiarsTools): Promise<Signed> => ({
  certificate: await ca.issue({ spki, names: address }),
  chain: ca.chain,
})

const plainly = (response: ServerResponse, { status, headers, body }: WireAnswer): void => {
  response.writeHead(status, headers).end(body)
}

/** Starts a CA that speaks one wire form, at a time that the test owns. */
export async function startLyingCa(form: Form, now: () => number): Promise<LyingCa> {
  const name = `Lying ${form}`
  const [ca, namesake] = [await makeTestCa(name, now), await makeTestCa(name, now)]
  const wire = wireForm(form, ca)
  const calls: Call[] = []
  const issued: Uint8Array[] = []
  const faults: string[] = []
  const byName = new Map<string, Uint8Array[]>()
  let lie: Lie = {}

  const answer = async (call: Call, response: ServerResponse): Promise<void> => {
    const order = wire.orderIn(call)
    const tools: LiarsTools = { form, wire, ca, namesake, now: now(), before: [...issued] }
    const same = (honest: WireAnswer): WireAnswer => honest
    const { issue = honestly, say = same, send = plainly, show = same } = lie
    if (order === null) {
      const honest = wire.other(call, (username) => byName.get(username) ?? [])
      return plainly(response, show(honest, call, tools))
    }
    const signed = await issue(order.asked, tools)
    if (signed !== null) {
      issued.push(signed.certificate)
      byName.set(order.name, [...(byName.get(order.name) ?? []), signed.certificate])
    }
    const honest = signed === null ? wire.refused('refused') : wire.issued(signed)
    await send(response, say(honest, tools, order.asked))
  }

  const respond = async (request: IncomingMessage, response: ServerResponse): Promise<void> => {
    response.on('error', () => undefined)
    try {
      const call: Call = {
        method: request.method ?? '',
        path: new URL(request.url ?? '/', 'http://127.0.0.1').pathname,
        authorization: request.headers.authorization ?? null,
        body: await wholeText(request),
      }
      calls.push(call)
      await answer(call, response)
    } catch (error) {
      faults.push(String(error))
      response.destroy()
    }
  }
  const listener = (request: IncomingMessage, response: ServerResponse): void => {
    void respond(request, response)
  }
  const identity = await ca.issueForTls('server')
  const server =
    wire.scheme === 'https'
      ? await serveHttps({ cert: identity.certificate, key: identity.key }, listener)
      : await serveHttp(listener)
  return {
    form,
    url: server.url,
    ca,
    settings: {
      recipient: 'Lying Trust GmbH',
      country: 'DE',
      anchors: toPem('CERTIFICATE', ca.root),
      url: server.url,
      ...wire.settings,
    },
    calls,
    issued,
    faults,
    tell: (next) => {
      lie = next ?? {}
    },
    close: () => server.close(),
  }
}
