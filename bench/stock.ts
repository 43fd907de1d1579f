import { z } from 'zod'
import { openNodeService } from '../src/node.ts'
import type { Service } from '../src/service.ts'
import { Api, type Ask } from '../test/support/api.ts'
import { MailPool } from '../test/support/mail.ts'
import { testConfig } from '../test/support/node-process.ts'
import { certify, publish, register, type Registered } from '../test/support/story.ts'

/** What the bench asks, and with which credential. */
export interface Stock {
  readonly credential: string
  readonly addresses: readonly string[]
}

/** Asks a service without a socket, as if over TLS from one network of very many. */
export const askFrom =
  (service: Service, network: number): Ask =>
  async (path, init) =>
    service.fetch(new Request(`https://127.0.0.1${path}`, init), {
      peer: `10.${Math.floor(network / 256)}.${network % 256}.1`,
      encrypted: true,
      pkiOnly: false,
    })

const withId = z.object({ id: z.string() })

/** Fills an empty data directory with subscribers, all through the service's own API. */
export async function stockSubscribers(
  dataDir: string,
  count: number,
  eachDoes: (subscriber: Registered) => Promise<void> = async () => undefined,
): Promise<Registered[]> {
  const mails = new MailPool()
  const node = await openNodeService(testConfig(dataDir), {
    mailer: { deliver: async ({ raw }) => mails.add(Buffer.from(raw).toString('utf8')) },
  })
  const { service } = node
  const subscribers: Registered[] = []
  try {
    for (let number = 0; number < count; number += 1) {
      // Each from a network of its own: what one network may begin in an hour is no part of the bench.
      const api = new Api(askFrom(service, number))
      const subscriber = await register(api, mails, `subscriber.${number}@company-${number % 20}.example`)
      // The first use of a credential is noted durably; no measured request is to pay for that.
      await subscriber.api.get('/v1/certificates')
      await eachDoes(subscriber)
      subscribers.push(subscriber)
    }
  } finally {
    await node.settled()
    await node.close()
  }
  return subscribers
}

/** The same with a certificate for each that can be found. */
export async function stockDirectory(dataDir: string, count: number): Promise<Stock> {
  const subscribers = await stockSubscribers(dataDir, count, async (subscriber) => {
    const { id } = withId.parse(await certify(subscriber))
    await publish(subscriber, id)
  })
  return { credential: subscribers.at(-1)?.credential ?? '', addresses: subscribers.map(({ email }) => email) }
}
