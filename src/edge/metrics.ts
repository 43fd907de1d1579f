import type { Context } from 'hono'
import { bearerToken, createRoutes } from '../api/room.ts'
import { DomainError } from '../errors.ts'
import { equalSecrets } from '../pki/encoding.ts'
import type { Exposition, Gauge } from '../ports/meter.ts'
import type { Sha256 } from '../ports/keys.ts'

interface MetricsParts {
  /** Null if the runtime has no process with meaningful figures. */
  readonly exposition: Exposition | null
  readonly gauges: readonly Gauge[]
  readonly token: string | null
  readonly sha256: Sha256
}

/** How a reader of figures and warnings is recognised. */
type ReaderParts = Pick<MetricsParts, 'token' | 'sha256'>

const encoder = new TextEncoder()

function isMetricsToken({ token, sha256 }: ReaderParts, given: string): boolean {
  const hash = (text: string): Uint8Array => sha256(encoder.encode(text))
  return token !== null && equalSecrets(hash(given), hash(token))
}

/**
 * Whether the caller may read warnings, which tell about CAs, requests and failures: this machine, and the holder of
 * METRICS_TOKEN.
 */
export function mayReadWarnings(context: Context, parts: ReaderParts): boolean {
  if (context.get('client').local) return true
  return isMetricsToken(parts, (context.req.header('Authorization') ?? '').replace(/^Bearer /i, ''))
}

/** Requires a caller on this machine, or METRICS_TOKEN. Throws `credential_required`, `credential_invalid`. */
function requireReader(context: Context, parts: MetricsParts): void {
  const authorization = context.req.header('Authorization')
  if (authorization === undefined && context.get('client').local) return
  if (isMetricsToken(parts, bearerToken(authorization))) return
  throw new DomainError('credential_invalid', 'Send the METRICS_TOKEN of this service, or ask from its own machine.')
}

/** `/metrics`, in the text format of Prometheus. */
export function metricsRoutes(parts: MetricsParts) {
  const routes = createRoutes()
  routes.get('/metrics', async (context) => {
    if (parts.exposition === null) {
      throw new DomainError('node_only', 'A Worker has no figures of its own: see the dashboard of its platform.')
    }
    requireReader(context, parts)
    const text = await parts.exposition.expose(parts.gauges)
    return context.body(text, 200, { 'Content-Type': parts.exposition.contentType })
  })
  return routes
}
