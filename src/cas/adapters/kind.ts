import { z } from 'zod'
import type { CaConnectionAnswer, CaConnectionRequest } from '../../api/ca-shapes.ts'
import { DomainError } from '../../errors.ts'
import type { OutgoingHttps } from '../../ports/outgoing-https.ts'
import type { Clock, Random } from '../../ports/runtime.ts'
import type { CaAdapter } from './contract.ts'

/** What adapters work with. */
interface AdapterDeps {
  readonly outgoing: OutgoingHttps
  readonly clock: Clock
  readonly crypto: Crypto
  readonly random: Random
}

/** The key with which the service proves itself in TLS, where a connection has one. Part of every kind's credentials. */
export const clientKeyFields = {
  /** PKCS#8 of a P-256 key, base64. */
  clientKey: z.string().optional(),
  /** The certificate that the CA's owner made for it, with its chain; PEM. */
  clientCertificate: z.string().optional(),
}

/** The credentials of a connection. Beside the client key each kind has fields of its own. */
export const anyCredentials = z.looseObject(clientKeyFields)
export type Credentials = z.infer<typeof anyCredentials>

/** A connection before a change. */
interface Before<S, C> {
  readonly settings: S
  readonly credentials: C
}

type MakeDeps = Pick<AdapterDeps, 'crypto' | 'random'>
type KeyForCa = NonNullable<CaConnectionAnswer['keyForCa']>

/** One kind of CA: its settings `S`, its credentials `C`, and how both become an adapter. */
export interface AdapterKind<S extends CaConnectionRequest, C extends Credentials> {
  readonly kind: S['kind']
  /** From `src/api/ca-kinds/`. */
  readonly settings: z.ZodType<S>
  /** The credentials as they are stored, sealed. A removed connection has none, so every field is optional. */
  readonly credentials: z.ZodType<C>
  /**
   * The credentials after a change: what `request` brings, what stays as it was, and keys that are made here. Throws
   * `connection_unfit`.
   */
  readonly nextCredentials: (deps: MakeDeps, request: S, before: Before<S, C> | null) => Promise<C>
  /** Throws `connection_unfit`. */
  readonly create: (deps: AdapterDeps, settings: S, credentials: C) => CaAdapter
  /** What the CA's owner needs besides a certificate request for the client key. */
  readonly keyForCa?: (crypto: Crypto, credentials: C) => Promise<KeyForCa | null>
  /** Why no routing rule can name this profile. Null if one can. */
  readonly refuseProfile?: (profile: string) => string | null
}

/** A kind of CA that reads its settings and credentials by its own shapes, so that all kinds have one type. */
export interface KnownKind {
  readonly kind: string
  nextCredentials(
    deps: MakeDeps,
    request: CaConnectionRequest,
    before: Before<CaConnectionRequest, Credentials> | null,
  ): Promise<Credentials>
  create(deps: AdapterDeps, settings: CaConnectionRequest, credentials: Credentials): CaAdapter
  keyForCa(crypto: Crypto, credentials: Credentials): Promise<KeyForCa | null>
  refuseProfile(profile: string): string | null
}

export const defineKind = <S extends CaConnectionRequest, C extends Credentials>(
  own: AdapterKind<S, C>,
): KnownKind => ({
  kind: own.kind,
  nextCredentials: (deps, request, before) =>
    own.nextCredentials(
      deps,
      own.settings.parse(request),
      before === null
        ? null
        : { settings: own.settings.parse(before.settings), credentials: own.credentials.parse(before.credentials) },
    ),
  create: (deps, settings, credentials) =>
    own.create(deps, own.settings.parse(settings), own.credentials.parse(credentials)),
  keyForCa: async (crypto, credentials) => own.keyForCa?.(crypto, own.credentials.parse(credentials)) ?? null,
  refuseProfile: (profile) => own.refuseProfile?.(profile) ?? null,
})

/** The server to which a secret is sent. */
interface Server {
  readonly url: string
  readonly tlsAnchors: string | null
}

/**
 * The secret that `field` of a request brings, or the stored one. A stored secret goes only to the server that it was
 * given for: otherwise anyone who may change a connection could have it sent to a server of their own. Throws
 * `connection_unfit`.
 */
export function secretFor<T>(
  field: string,
  request: Server & { readonly sent: T | null },
  before: (Server & { readonly kept: T | undefined }) | null,
): T {
  if (request.sent !== null) return request.sent
  if (before?.kept === undefined) throw unfit(`Send ${field}: this authentication needs it.`)
  if (before.url === request.url && before.tlsAnchors === request.tlsAnchors) return before.kept
  throw unfit('The secret that is kept was given for another url or other tlsAnchors: send it again with them.')
}

/** Refuses a secret that the chosen authentication does not use. Throws `connection_unfit`. */
export function requireNoSecret(field: string, sent: unknown): void {
  if (sent !== null) throw unfit(`Leave ${field} out, or choose the authentication ${field}.`)
}

const unfit = (detail: string): DomainError => new DomainError('connection_unfit', detail)
