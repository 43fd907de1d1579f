import type { AdministratorRole } from './admin-shapes.ts'

const everyRole = ['owner', 'operator', 'approver', 'privacy', 'auditor'] as const

/**
 * Every call of the administrators' API, with its roles: an administrator with one of them may make it. A call that is
 * not in the table does not exist. Three rules made the table:
 * - `owner` handles administrators and reads what they did, but sees nobody's personal data.
 * - Whoever looks for a person (not for a thing that they work on) gives a reason, and it is written down before the
 *   answer.
 * - `auditor` changes nothing.
 */
export const routeRoles = {
  '/v1/admin/me': { get: everyRole },
  '/v1/admin/credential': { post: everyRole },
  '/v1/admin/overview': { get: everyRole },

  '/v1/admin/administrators': { get: ['owner', 'auditor'], post: ['owner'] },
  '/v1/admin/administrators/{id}': { patch: ['owner'], delete: ['owner'] },
  '/v1/admin/administrators/{id}/credential': { post: ['owner'] },

  '/v1/admin/subscribers/search': { post: ['operator', 'privacy'] },
  '/v1/admin/subscribers/{id}/reading': { post: ['operator', 'privacy'] },

  '/v1/admin/certificate-requests': { get: ['operator', 'approver', 'auditor'] },
  '/v1/admin/certificate-requests/{id}': { get: ['operator', 'approver', 'auditor'] },
  '/v1/admin/certificate-requests/{id}/approval': { post: ['approver'] },
  '/v1/admin/certificate-requests/{id}/rejection': { post: ['approver'] },
  '/v1/admin/certificate-requests/{id}/cancellation': { post: ['operator'] },
  '/v1/admin/certificate-requests/{id}/csr': { post: ['operator'] },
  '/v1/admin/certificate-requests/{id}/certificate': { post: ['operator'] },
  '/v1/admin/certificate-requests/{id}/settlement': { post: ['operator'] },

  '/v1/admin/ca-connections': { get: ['operator', 'approver', 'auditor'], post: ['operator'] },
  '/v1/admin/ca-connections/{id}': {
    get: ['operator', 'approver', 'auditor'],
    put: ['operator'],
    delete: ['operator'],
  },
  '/v1/admin/ca-connections/{id}/client-certificate': { post: ['operator'] },
  '/v1/admin/ca-connections/{id}/test': { post: ['operator'] },
  '/v1/admin/ca-connections/{id}/pause': { post: ['operator'] },
  '/v1/admin/ca-connections/{id}/resumption': { post: ['operator'] },
  '/v1/admin/routing-rules': { get: ['operator', 'approver', 'auditor'], post: ['operator'] },
  '/v1/admin/routing-rules/{id}': { put: ['operator'], delete: ['operator'] },
  '/v1/admin/routing-rules/trial': { post: ['operator', 'approver', 'auditor'] },
  '/v1/admin/ca-revocations': { get: ['operator', 'auditor'] },
  '/v1/admin/ca-revocations/{id}/confirmation': { post: ['operator'] },

  '/v1/admin/certificates/search': { post: ['operator', 'privacy', 'auditor'] },
  '/v1/admin/certificates/{id}': { get: ['operator', 'privacy', 'auditor'] },
  '/v1/admin/certificates/{id}/revocation': { post: ['operator', 'privacy'] },
  '/v1/admin/blocklist/imports': { post: ['operator'] },

  '/v1/admin/query-log/search': { post: ['privacy', 'auditor'] },

  '/v1/admin/audit-log': { get: ['owner', 'privacy', 'auditor'] },
  '/v1/admin/audit-log/checkpoint': { get: ['owner', 'auditor'] },
  '/v1/admin/audit-log/verification': { get: ['owner', 'auditor'] },
  '/v1/admin/audit-log/{id}/reading': { post: ['privacy', 'auditor'] },
} as const satisfies Readonly<Record<string, Readonly<Record<string, readonly AdministratorRole[]>>>>

export type AdminPath = keyof typeof routeRoles
