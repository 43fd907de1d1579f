import { z } from 'zod'
import { revocationReason, type DirectoryCertificate } from '../api/shapes.ts'
import { timestamp } from '../api/room.ts'
import { toBase64 } from '../pki/encoding.ts'
import { openText, sealText, type Keys } from '../ports/keys.ts'
import type { CertificateRow } from './store.ts'

/** What a certificate says about itself, read once when it was issued. */
const factsShape = z.strictObject({
  mailbox: z.string(),
  serialNumber: z.string(),
  fingerprintSha256: z.string(),
  issuer: z.string(),
  /** Its term, UTC milliseconds. */
  notBefore: z.int(),
  notAfter: z.int(),
})
export type StoredFacts = z.infer<typeof factsShape>

const factsPlace = (id: string) => ({ table: 'certificates', column: 'facts_sealed', row: id })
const certificatePlace = (id: string) => ({ table: 'certificates', column: 'certificate_sealed', row: id })

export const sealFacts = (keys: Keys, id: string, facts: StoredFacts): Uint8Array =>
  sealText(keys.main, factsPlace(id), JSON.stringify(facts))

export const sealCertificate = (keys: Keys, id: string, der: Uint8Array): Uint8Array =>
  keys.main.seal(certificatePlace(id), der)

const revocationShape = z.strictObject({ at: z.int(), reason: revocationReason.exclude(['unspecified']).nullable() })
/** When a certificate was revoked, UTC milliseconds, and why. */
export type StoredRevocation = z.infer<typeof revocationShape>

const revocationPlace = (id: string) => ({ table: 'certificates', column: 'revocation_sealed', row: id })

export const sealRevocation = (keys: Keys, id: string, revocation: StoredRevocation): Uint8Array =>
  sealText(keys.main, revocationPlace(id), JSON.stringify(revocation))

export const openRevocation = (keys: Keys, row: { id: string; revocationSealed: Uint8Array }): StoredRevocation =>
  revocationShape.parse(JSON.parse(openText(keys.main, revocationPlace(row.id), row.revocationSealed)))

/** The part of a certificate's row that is needed to show it. */
export type ShownCertificate = Pick<
  CertificateRow,
  'id' | 'use' | 'state' | 'authority' | 'factsSealed' | 'certificateSealed'
>

/** The same, opened. */
export interface OpenedCertificate extends Omit<ShownCertificate, 'factsSealed' | 'certificateSealed'> {
  readonly facts: StoredFacts
  readonly certificate: Uint8Array
}

/** What a certificate says about itself, without its bytes. */
export const openFacts = (keys: Keys, row: { id: string; factsSealed: Uint8Array }): StoredFacts =>
  factsShape.parse(JSON.parse(openText(keys.main, factsPlace(row.id), row.factsSealed)))

export const openCertificate = (
  keys: Keys,
  row: ShownCertificate,
  facts = openFacts(keys, row),
): OpenedCertificate => ({
  ...row,
  facts,
  certificate: keys.main.open(certificatePlace(row.id), row.certificateSealed),
})

type Chain = readonly Uint8Array[]

/** A certificate as the directory shows it, with its chain, the issuing CA first. */
export const presentCertificate = (keys: Keys, chain: Chain, row: ShownCertificate): DirectoryCertificate =>
  presentOpened(chain, openCertificate(keys, row))

/** The same of one that is open already. */
export const presentOpened = (chain: Chain, certificate: OpenedCertificate): DirectoryCertificate => ({
  ...presentWithoutChain(certificate),
  chain: chain.map(toBase64),
})

/** The same without the chain, which all certificates of one authority share. */
export function presentWithoutChain({ facts, ...row }: OpenedCertificate): Omit<DirectoryCertificate, 'chain'> {
  return {
    id: row.id,
    mailbox: facts.mailbox,
    use: row.use,
    state: row.state,
    serialNumber: facts.serialNumber,
    fingerprintSha256: facts.fingerprintSha256,
    issuer: facts.issuer,
    notBefore: timestamp(facts.notBefore),
    notAfter: timestamp(facts.notAfter),
    certificate: toBase64(row.certificate),
  }
}
