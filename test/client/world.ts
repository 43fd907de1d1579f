import { CertbookClient, type ClientOptions, type DeviceCredential, type Fetch } from '../../src/client/index.ts'
import { openRoomHarness, type RoomHarness } from '../support/engines.ts'
import { certify, deviceFacts, policyVersion, register } from '../support/story.ts'

/** A service, and the library that speaks with it. */
export interface World {
  readonly harness: RoomHarness
  /** The root of the service's own CA, DER. */
  readonly root: Uint8Array
  /** What the library waited, in milliseconds, in order. */
  readonly waits: number[]
  /** Speaks straight with the service. */
  readonly fetch: Fetch
  client(options?: Partial<ClientOptions>): CertbookClient
  close(): Promise<void>
}

const bytes = (base64: string): Uint8Array => new Uint8Array(Buffer.from(base64, 'base64'))

export async function openWorld(settings: Readonly<Record<string, string>> = {}): Promise<World> {
  const harness = await openRoomHarness('sqlite', { settings })
  const { publicUrl } = harness.config
  const waits: number[] = []
  const fetch: Fetch = (url, init) => {
    init.signal?.throwIfAborted()
    return harness.ask(url.slice(publicUrl.length), init)
  }
  const certificate = await certify(await register(harness.api, harness.mails, 'first@example.com'))
  const root = bytes(certificate.chain.at(-1))
  return {
    harness,
    root,
    waits,
    fetch,
    client: (options = {}) =>
      new CertbookClient({
        baseUrl: publicUrl,
        anchors: [root],
        fetch,
        now: () => harness.clock.now,
        random: () => 0.5,
        sleep: async (milliseconds, signal) => {
          signal?.throwIfAborted()
          waits.push(milliseconds)
        },
        ...options,
      }),
    close: () => harness.close(),
  }
}

export const registrationOf = (email: string) => ({
  email,
  accountType: 'imap' as const,
  policyVersion,
  device: deviceFacts,
})

/** Registers a mailbox as an app does, from the headers of the mail. */
export async function registerBy(client: CertbookClient, { harness }: World, email: string): Promise<DeviceCredential> {
  const { registrations } = client
  const pending = await registrations.start(registrationOf(email))
  const found = registrations.readChallenge(await harness.mails.challengeOf(pending.id), [pending])
  if (found === null) throw new Error('the mail is no challenge to this registration')
  await registrations.confirm(pending, found.token)
  return registrations.credential(pending, { waitForApproval: false })
}

/** A registered device, its keys certified, and where asked published. */
export async function settle(world: World, email: string, publication: 'published' | 'unpublished' = 'published') {
  const device = await registerBy(world.client(), world, email)
  const client = world.client({ credential: device.credential })
  const keyPairs = await client.makeKeyPairs()
  const certified = {
    sign: await client.certificates.certify(keyPairs.sign, email),
    encrypt: await client.certificates.certify(keyPairs.encrypt, email),
  }
  const certificates = { sign: ownOf(certified.sign), encrypt: ownOf(certified.encrypt) }
  if (publication === 'published') {
    for (const { id } of Object.values(certificates)) {
      await client.certificates.publish(id, { consentVersion: policyVersion, audience: 'members' })
    }
  }
  return { device, client, keyPairs, certificates }
}

export function ownOf({ state, certificate }: Awaited<ReturnType<CertbookClient['certificates']['certify']>>) {
  if (certificate === null) throw new Error(`the request is ${state}`)
  return certificate
}
