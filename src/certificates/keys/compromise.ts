import { bodyBytes } from '../../api/body-bytes.ts'
import { createRoute, createRoutes, idInPath, jsonAnswer, jsonBody, problemAnswer, timestamp } from '../../api/room.ts'
import { workName } from '../../api/work.ts'
import { keyBlockedAnswer, keyChallengeAnswer, keyCompromiseRequest, proofRequest } from '../../api/shapes.ts'
import { DomainError } from '../../errors.ts'
import { sha256Hex } from '../../pki/encoding.ts'
import { checkPublicKey } from '../../pki/key-policy.ts'
import { findPrivateKey, type PrivateKeyFinding } from '../../pki/private-keys/detect.ts'
import { claimedPublicKey } from '../../pki/private-keys/claimed.ts'
import type { CertificateDeps } from '../deps.ts'
import { keyIndex } from '../fingerprints.ts'
import { challengeKey, takeProof } from './challenge.ts'
import { readProof, readPublicKey } from './read.ts'
import { ReadingPlaces } from './reading-places.ts'
import { blockCompromised } from './unknown-keys.ts'
import { leaves, rowsLeft } from '../../api/rows-left.ts'

/** What became of a disclosed key. `busy`: too many are being read, and this one was not. */
type Disclosure = 'blocked' | 'unreadable' | 'busy'

/** `network`: of whoever sent the key, for a fair share. */
export type BlockDisclosedKey = (finding: PrivateKeyFinding, network: string) => Promise<Disclosure>

/**
 * Blocks keys that were disclosed and revokes every certificate on them (see `blockCompromised`). The public key is
 * computed from the private value alone and proved, so nobody can have a stranger's certificate revoked by naming it
 * beside a key of one's own.
 * A public part only decides who waits: keys that say they are known here have places that others cannot take.
 */
export function createDisclosedKeys(deps: CertificateDeps): BlockDisclosedKey {
  const places = new ReadingPlaces(deps.keyProver, deps.clock)

  const block = async (spki: Uint8Array | null, network: string): Promise<Disclosure> => {
    if (spki === null) return 'unreadable'
    await blockCompromised(deps, { spkiSha256: await sha256Hex(deps.crypto, spki), source: 'disclosed', network })
    return 'blocked'
  }

  const saysItIsKnown = async ({ candidates }: PrivateKeyFinding): Promise<boolean> => {
    for (const candidate of candidates) {
      const spki = claimedPublicKey(candidate)
      if (spki === null) continue
      const index = keyIndex(deps.keys, await sha256Hex(deps.crypto, spki))
      if (await deps.isKeyRequested(index)) return true
    }
    return false
  }

  return async (finding, network) => {
    const place = places.take(network) ?? ((await saysItIsKnown(finding)) ? places.takeReserved(network) : null)
    if (place === null) return 'busy'
    let spent = 0
    try {
      const { spki, milliseconds } = await deps.keyProver.prove(finding.candidates)
      spent = milliseconds
      return await block(spki, network)
    } finally {
      places.giveBack(place, spent)
    }
  }
}

const reportRoute = createRoute({
  [workName]: 'dear',
  operationId: 'reportKey',
  tags: ['Key compromise'],
  method: 'post',
  path: '/v1/key-compromise',
  summary: 'Report a compromised key: by a proof that you hold it, or by sending it',
  request: { body: jsonBody(keyCompromiseRequest, bodyBytes.key) },
  [leaves]: rowsLeft({ key_report: { key_challenges: 1 }, unknown_key: { unknown_keys: 1 } }),
  responses: {
    200: jsonAnswer(
      'The key that was sent is blocked, its certificates are revoked, its bytes are gone',
      keyBlockedAnswer,
    ),
    201: jsonAnswer('The challenge to whoever holds the key', keyChallengeAnswer),
    422: problemAnswer('The key cannot be read'),
    429: problemAnswer('This network has begun too many reports lately'),
  },
})

const reportProofRoute = createRoute({
  [workName]: 'dear',
  operationId: 'proveReportedKey',
  tags: ['Key compromise'],
  method: 'post',
  path: '/v1/key-compromise/{id}/proof',
  summary: 'Answer the challenge: the key is blocked, its certificates are revoked',
  request: { params: idInPath, body: jsonBody(proofRequest) },
  [leaves]: rowsLeft({ unknown_key: { unknown_keys: 1 } }),
  responses: {
    200: jsonAnswer('Blocked', keyBlockedAnswer),
    403: problemAnswer('The proof is wrong'),
    410: problemAnswer('The challenge was used or has expired'),
  },
})

const encoder = new TextEncoder()

const unreadable = (): DomainError =>
  new DomainError('private_key_unreadable', 'Send an unencrypted private key, as PEM, or report its public key.')

const overloaded = (): DomainError =>
  new DomainError('overloaded', 'Too many keys are being reported. Send this one again shortly.', {
    retryAfterSeconds: 5,
  })

/** Reports of compromised keys, by anyone. */
export function keyCompromiseRoutes(deps: CertificateDeps, blockDisclosedKey: BlockDisclosedKey) {
  const routes = createRoutes()

  routes.openapi(reportRoute, async (context) => {
    const report = context.req.valid('json')
    if ('privateKey' in report) {
      const finding = findPrivateKey(encoder.encode(report.privateKey))
      const became = finding === null ? 'unreadable' : await blockDisclosedKey(finding, context.get('client').network)
      if (became === 'busy') throw overloaded()
      if (became === 'unreadable') throw unreadable()
      return context.json({ state: 'blocked' as const }, 200)
    }
    const spki = readPublicKey(report.publicKey)
    const reported = { spki, key: checkPublicKey(spki) }
    const binding = { purpose: 'compromise', subscriber: null, device: null, mailbox: null, use: null } as const
    const payment = deps.registration.payAsNetwork(context.get('client'), 'key_report')
    const made = await challengeKey(deps, reported, binding, payment)
    return context.json({ ...made, expiresAt: timestamp(made.expiresAt) }, 201)
  })

  routes.openapi(reportProofRoute, async (context) => {
    const proof = readProof(context.req.valid('json').proof)
    const row = await takeProof(deps, context.req.valid('param').id, ({ purpose }) => purpose === 'compromise', proof)
    const { network } = context.get('client')
    await blockCompromised(deps, { spkiSha256: await sha256Hex(deps.crypto, row.spki), source: 'reported', network })
    return context.json({ state: 'blocked' as const }, 200)
  })

  return routes
}
