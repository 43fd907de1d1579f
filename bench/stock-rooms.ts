import { generateKeyPairSync, randomFillSync, sign } from 'node:crypto'
import { sha256 } from '../src/adapters/key-ring.ts'
import { verifiersOf } from '../src/api/credentials.ts'
import { commit } from '../src/audit/commit.ts'
import { createAuditRoom } from '../src/audit/room.ts'
import { embeddedConnection, type Route } from '../src/cas/contract.ts'
import { openAuthorities } from '../src/cas/inside/authorities.ts'
import { createEmbeddedCa } from '../src/cas/inside/embedded.ts'
import { createOpening } from '../src/cas/open.ts'
import type { Config } from '../src/config.ts'
import { createConsentRoom } from '../src/consent/room.ts'
import { publish } from '../src/directory/store.ts'
import { parseMailboxAddress } from '../src/mailbox/address.ts'
import type { NodeService } from '../src/node.ts'
import { encodeElement, encodeObjectIdentifier, encodeOctetsAsBitString, tag } from '../src/pki/der.ts'
import { toHex } from '../src/pki/encoding.ts'
import { checkPublicKey } from '../src/pki/key-policy.ts'
import { oid } from '../src/pki/object-identifiers.ts'
import { sealText } from '../src/ports/keys.ts'
import { randomId, randomSecret, type Clock, type Random } from '../src/ports/runtime.ts'
import { seenDayOf } from '../src/registration/device/seen.ts'
import { insertDevice } from '../src/registration/device/store.ts'
import { insertMailbox } from '../src/registration/mailbox/store.ts'
import type { OwnMailbox } from '../src/registration/mailboxes.ts'
import { createRegistrationRoom } from '../src/registration/room.ts'
import { insertSubscriber } from '../src/registration/store.ts'
import type { RequestDeps } from '../src/requests/deps.ts'
import { createEngine } from '../src/requests/engine/engine.ts'
import { certifyKey } from '../src/requests/intake.ts'
import type { RoutedKey } from '../src/requests/proved-key.ts'
import { deviceFacts, policyVersion } from '../test/support/story.ts'
import { outgoingHere } from '../test/support/this-machine.ts'
import { paidWith } from '../src/ports/row-budgets.ts'

/**
 * Makes subscribers by the rooms' own code, without the API in front of it. Certificates are ordered, signed, verified
 * and kept by the function behind every request. Registration and publication are the commands of their stores, with
 * consents and audit entries, in the batches of their verbs. What the service's nightly jobs delete is not made:
 * registrations, mails, and what networks have begun.
 */

/** A subscriber with a published certificate. */
export interface Stocked {
  readonly address: string
  readonly credential: string
  /** The id of its certificate. */
  readonly id: string
  /** DER. */
  readonly certificate: Uint8Array
}

/** Random bytes, drawn in blocks: each subscriber takes some dozens of ids. */
const blockRandom = (): Random => {
  let block = new Uint8Array(0)
  let used = 0
  return {
    bytes: (length) => {
      if (used + length > block.length) {
        block = randomFillSync(new Uint8Array(16_384))
        used = 0
      }
      used += length
      return block.subarray(used - length, used)
    },
  }
}

const signatureAlgorithm = encodeElement(tag.sequence, encodeObjectIdentifier(oid.ecdsaWithSha256))
const version = Uint8Array.of(tag.integer, 1, 0)
const noSubject = encodeElement(tag.sequence)
const noAttributes = Uint8Array.of(0xa0, 0)

/** A new P-256 key with its CSR, as the service has it after it was checked. */
function makeKey(route: Route): RoutedKey {
  const { publicKey, privateKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' })
  const spki = publicKey.export({ type: 'spki', format: 'der' })
  const info = encodeElement(tag.sequence, version, noSubject, spki, noAttributes)
  const signature = encodeOctetsAsBitString(sign('sha256', info, privateKey))
  return {
    provedBy: 'csr',
    content: encodeElement(tag.sequence, info, signatureAlgorithm, signature),
    spki,
    spkiSha256: toHex(sha256(spki)),
    key: checkPublicKey(spki),
    route,
  }
}

/** As the configuration of tests has it. */
const profile = { kind: 'sbr-strict' } as const

/** What the bench never calls. */
const never = (): never => {
  throw new Error('the stock does not need this')
}

/** Opens the rooms over a directory. They do nothing in the background, and announce nothing by mail. */
async function openRooms({ main: database, keys, events }: NodeService, config: Config, clock: Clock) {
  const background = { run: () => undefined }
  const common = { database, keys, sha256, crypto, random: blockRandom(), clock, events, background }
  const audit = createAuditRoom({ ...common, noteSigner: null, checkpointKeeper: null, queryLogDay: never })
  const consent = createConsentRoom({ ...common, publicUrl: config.publicUrl })
  const mail = { queue: never, queueChallenge: never, sendSoon: () => undefined }
  const authorities = await openAuthorities({
    ...common,
    recordAudit: audit.record,
    caKey: config.caKey,
    caName: config.caName,
    profile,
    pkiUrl: config.pkiUrl,
    madeWithCas: never,
  })
  const embedded = await createEmbeddedCa({
    ...common,
    authorities,
    profile,
    pkiUrl: config.pkiUrl,
  })
  const { open } = createOpening({ ...common, outgoing: outgoingHere(), embedded })
  const connection = await open(embeddedConnection)
  if (connection === null) throw new Error('there is no CA inside')
  const registration = createRegistrationRoom({
    ...common,
    audit,
    consent,
    mail,
    mailLanguage: config.mailLanguage,
    onMailboxEnded: never,
    onDeviceEnded: never,
    onMailboxProved: never,
    onConsequencesDue: never,
  })
  const requests: RequestDeps = {
    ...common,
    brainpool: null,
    origin: config.publicUrl,
    audit,
    mail,
    registration: { ...registration, announcementCommands: async () => [] },
    connections: { open, route: never, recipientOf: never, chainOf: never },
    authorities,
    patienceMilliseconds: 8_000,
    onCertificatesEnded: never,
    onCertificateSuperseded: never,
    publishedAmong: never,
    tellCasSoon: never,
  }
  const route: Route = { connection, profile: null, rule: null, approvals: 0 }
  return { ...requests, consent, engine: createEngine(requests), route }
}
type Rooms = Awaited<ReturnType<typeof openRooms>>

interface Member {
  readonly subscriberId: string
  readonly deviceId: string
  readonly credential: string
  readonly mailbox: OwnMailbox
}

/** Registers an address, as the mint of credentials does, and notes the first use of the credential. */
async function register(rooms: Rooms, written: string): Promise<Member> {
  const { keys, random, consent } = rooms
  const now = rooms.clock()
  const { address, matchingKey } = parseMailboxAddress(written)
  const subscriber = randomId(random)
  const device = randomId(random)
  const mailbox = {
    id: randomId(random),
    addressIndex: keys.blindIndex(matchingKey),
    accountType: 'imap',
    verifiedAt: now,
    createdAt: now,
  } as const
  const registration = randomId(random)
  const credential = randomSecret(random, 'cb_dev_')
  const credentialVerifier = verifiersOf(keys, 'devices.credential', credential)[0]
  const addressPlace = { table: 'mailboxes', column: 'address_sealed', row: mailbox.id }
  const factsPlace = { table: 'devices', column: 'facts_sealed', row: device }
  await commit(rooms, {
    commands: [
      insertSubscriber(keys, { id: subscriber, language: deviceFacts.language, createdAt: now }),
      insertMailbox(keys, { ...mailbox, subscriber, addressSealed: sealText(keys.main, addressPlace, address) }),
      insertDevice(keys, {
        id: device,
        subscriber,
        registration,
        credentialVerifier,
        credentialUsedAt: now,
        factsSealed: sealText(keys.main, factsPlace, JSON.stringify(deviceFacts)),
        createdAt: now,
        seenAt: seenDayOf(device, now),
      }),
      consent.acknowledgeTerms({ subscriber, device }, policyVersion),
    ],
    audit: {
      action: 'subscriber.registered',
      actorKind: 'device',
      actor: device,
      subjectKind: 'subscriber',
      subject: subscriber,
      facts: { mailbox: mailbox.id, registration },
      personal: { address },
    },
    payment: paidWith('registration'),
  })
  return {
    subscriberId: subscriber,
    deviceId: device,
    credential,
    mailbox: { ...mailbox, address, state: 'active', endedAt: null, settled: false },
  }
}

/** Publishes a certificate for members. Its ready answer is made by the directory's job. */
async function publishForMembers(
  rooms: Rooms,
  { subscriberId, deviceId, mailbox }: Member,
  certificate: string,
): Promise<void> {
  const audience = 'members'
  const consent = rooms.consent.givePublication({ subscriber: subscriberId, device: deviceId }, certificate, audience)
  await commit(rooms, {
    commands: [
      consent.command,
      ...publish(rooms.keys, {
        certificate,
        addressIndex: mailbox.addressIndex,
        audience,
        consent: consent.id,
        publishedAt: rooms.clock(),
      }),
    ],
    audit: {
      action: 'certificate.published',
      actorKind: 'device',
      actor: deviceId,
      subjectKind: 'certificate',
      subject: certificate,
      facts: { audience, consent: consent.id },
    },
    payment: paidWith('act'),
  })
}

/** Resolves to what makes a subscriber of an address, with a published certificate. */
export async function openStockroom(
  node: NodeService,
  config: Config,
  clock: Clock,
): Promise<(address: string) => Promise<Stocked>> {
  const rooms = await openRooms(node, config, clock)
  return async (address) => {
    const member = await register(rooms, address)
    const asked = { caller: member, mailbox: member.mailbox, use: 'dual', proved: makeKey(rooms.route) } as const
    const { certificate } = await certifyKey(rooms, rooms.engine, asked)
    if (certificate === null) throw new Error('a certificate was not issued at once')
    await publishForMembers(rooms, member, certificate.id)
    return { address, credential: member.credential, id: certificate.id, certificate: certificate.certificate }
  }
}
