import type { MiddlewareHandler } from 'hono'
import { DomainError } from '../errors.ts'

/**
 * Refuses further requests of a network that has `most` under way through a declared proxy: all its clients share the
 * connections of the proxy, so connections cannot be counted. `too_many_requests`.
 */
export function limitRequestsAtOnce(most: number): MiddlewareHandler {
  const underWay = new Map<string, number>()
  return async (context, next) => {
    const { mayForward, network } = context.get('connection')
    if (!mayForward) return next()
    const count = underWay.get(network) ?? 0
    if (count >= most) {
      throw new DomainError('too_many_requests', 'Your network has too many requests under way here. Ask again.', {
        retryAfterSeconds: 1,
      })
    }
    underWay.set(network, count + 1)
    try {
      await next()
    } finally {
      const left = (underWay.get(network) ?? 1) - 1
      if (left === 0) underWay.delete(network)
      else underWay.set(network, left)
    }
  }
}
