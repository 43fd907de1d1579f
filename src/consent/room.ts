import { createRoute, createRoutes, jsonAnswer, type Room } from '../api/room.ts'
import { policyAnswer, type Audience } from '../api/shapes.ts'
import { DomainError } from '../errors.ts'
import type { Command } from '../ports/database.ts'
import type { Sha256 } from '../ports/keys.ts'
import { randomId, type Clock, type Random } from '../ports/runtime.ts'
import { personalData } from './personal-data.ts'
import { policyInForce, type Policy } from './policy.ts'
import { insertConsent } from './store.ts'

export interface ConsentRoom extends Room {
  /** Throws `policy_version_not_in_force`. */
  requireTermsInForce(version: string): void
  /** Throws `consent_version_not_in_force`. */
  requirePublicationText(version: string): void
  /**
   * Makes the record that somebody acknowledged the terms at registration. This is a contract, not a consent. `version`
   * was in force when the registration began.
   */
  acknowledgeTerms(by: { subscriber: string; device: string }, version: string): Command
  /** Makes the record of a consent to publish one certificate. */
  givePublication(
    by: { subscriber: string; device: string },
    certificate: string,
    audience: Audience,
  ): {
    id: string
    command: Command
  }
  withdrawPublication(by: { subscriber: string; device: string }, certificate: string): Command
}

interface ConsentDeps {
  readonly publicUrl: string
  readonly sha256: Sha256
  readonly random: Random
  readonly clock: Clock
}

const policyRoute = createRoute({
  operationId: 'getPolicy',
  tags: ['Policy'],
  method: 'get',
  path: '/v1/policy',
  summary: 'The policy in force, with the texts to show',
  responses: { 200: jsonAnswer('The policy', policyAnswer) },
})

/** Plain text needs nothing, and may not stand in another page. */
const plainTextPolicy = `default-src 'none'; frame-ancestors 'none'`

/** What people agree to, and the records of it. */
export function createConsentRoom(deps: ConsentDeps): ConsentRoom {
  const policy: Policy = policyInForce(deps.sha256)
  const routes = createRoutes()
  routes.openapi(policyRoute, (context) =>
    context.json(
      {
        version: policy.version,
        effectiveAt: policy.effectiveAt,
        terms: { language: policy.terms.language, url: `${deps.publicUrl}/terms`, sha256: policy.terms.sha256 },
        consents: {
          publication: {
            version: policy.publication.version,
            text: policy.publication.text,
            sha256: policy.publication.sha256,
          },
          crashReports: {
            version: policy.crashReports.version,
            text: policy.crashReports.text,
            sha256: policy.crashReports.sha256,
          },
        },
        next: null,
      },
      200,
    ),
  )
  routes.get('/terms', (context) =>
    context.text(policy.terms.text, 200, { 'Content-Security-Policy': plainTextPolicy }),
  )

  const record = (
    by: { subscriber: string; device: string },
    what: {
      purpose: 'terms' | 'publication'
      act: 'acknowledged' | 'given' | 'withdrawn'
      subject: string
      audience: Audience | null
    },
    id: string = randomId(deps.random),
  ): Command => {
    const shown = what.purpose === 'terms' ? policy.terms : policy.publication
    return insertConsent({
      id,
      subscriber: by.subscriber,
      device: by.device,
      textVersion: shown.version,
      textSha256: shown.sha256,
      language: shown.language,
      at: deps.clock(),
      ...what,
    })
  }

  return {
    requireTermsInForce: (version) => {
      if (version === policy.version) return
      throw new DomainError(
        'policy_version_not_in_force',
        `The policy in force is ${policy.version}: read GET /v1/policy, show its terms, and send its version.`,
      )
    },
    requirePublicationText: (version) => {
      if (version === policy.publication.version) return
      throw new DomainError(
        'consent_version_not_in_force',
        `The text in force is ${policy.publication.version}: read GET /v1/policy, ask the person again, and send its version.`,
      )
    },
    acknowledgeTerms: (by, version) => {
      // A registration lasts a day. When the terms change, the version before must stay here for that day.
      if (version !== policy.terms.version) throw new Error(`the terms of ${version} are not known here`)
      return record(by, { purpose: 'terms', act: 'acknowledged', subject: by.subscriber, audience: null })
    },
    givePublication: (by, certificate, audience) => {
      const id = randomId(deps.random)
      return { id, command: record(by, { purpose: 'publication', act: 'given', subject: certificate, audience }, id) }
    },
    withdrawPublication: (by, certificate) =>
      record(by, { purpose: 'publication', act: 'withdrawn', subject: certificate, audience: null }),
    routes: [routes],
    jobs: [],
    personalData,
    checks: [],
  }
}
