import type { CaConnectionRequest } from '../api/ca-shapes.ts'
import { DomainError } from '../errors.ts'
import { prepareChain } from '../pki/chain.ts'
import { orderChain } from '../pki/order-chain.ts'
import { readCertificates } from '../pki/pem.ts'
import { isLoopbackHost } from '../ports/network.ts'
import type { CaDeps } from './deps.ts'

type FitnessDeps = Pick<CaDeps, 'crypto' | 'clock' | 'outgoing'>

const unfit = (detail: string): DomainError => new DomainError('connection_unfit', detail)

/**
 * Refuses a connection that could never work: its certificates could not be kept here, or it cannot be reached. This
 * happens before requests go there. Throws `connection_unfit`, `not_on_this_runtime`.
 */
export async function requireFit(deps: FitnessDeps, request: CaConnectionRequest): Promise<void> {
  await requireAuthorities(deps, request)
  if (!('url' in request)) return
  requireSafeUrl(request.url)
  if (request.tlsAnchors !== null) readCertificates(request.tlsAnchors)
  requireRuntime(deps, request)
}

/** Requires that the anchors and the intermediates are CAs for S/MIME and valid now. */
async function requireAuthorities(deps: FitnessDeps, request: CaConnectionRequest): Promise<void> {
  const at = new Date(deps.clock())
  const anchors = readCertificates(request.anchors)
  const intermediates = request.intermediates === null ? [] : readCertificates(request.intermediates)
  for (const anchor of anchors) {
    const itself = await prepareChain(deps.crypto, [anchor], [anchor])
    if (!itself.isTrusted(at)) {
      throw unfit('One of the anchors is no CA for S/MIME that is valid now, or has name constraints. Leave it out.')
    }
  }
  for (const intermediate of intermediates) {
    const above = await orderChain(deps.crypto, intermediate, { anchors, intermediates }, [])
    const chain = await prepareChain(deps.crypto, [intermediate, ...above], anchors)
    if (!chain.isTrusted(at)) {
      throw unfit(
        'One of the intermediates is no CA for S/MIME that is valid now and leads to an anchor. Leave it out.',
      )
    }
  }
}

function requireSafeUrl(url: string): void {
  const { protocol, hostname } = new URL(url)
  if (protocol === 'https:' || isLoopbackHost(hostname)) return
  throw unfit('The url must begin with https:, for addresses and credentials go there; http: is for this machine only.')
}

function requireRuntime(
  { outgoing: { can } }: FitnessDeps,
  request: Extract<CaConnectionRequest, { url: string }>,
): void {
  if (request.tlsAnchors !== null && !can.ownTrustAnchors) {
    throw new DomainError(
      'not_on_this_runtime',
      'On Workers a CA is trusted as the platform trusts it: leave tlsAnchors out, or run the service on Node.',
    )
  }
  if ('authentication' in request && request.authentication === 'client-certificate' && !can.clientCertificates) {
    throw new DomainError(
      'not_on_this_runtime',
      'On Workers the service has no client certificates: choose another authentication, or run it on Node.',
    )
  }
}
