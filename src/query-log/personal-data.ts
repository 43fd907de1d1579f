import { impersonal, linked, sealed, type TableDeclaration } from '../ports/personal-data.ts'

const columns = {
  id: impersonal('place in time'),
  at: linked('time, UTC milliseconds'),
  asker: linked('id of the subscriber who asked'),
  device: linked('id of the device that asked'),
  interface: impersonal('the way it was asked'),
  status: impersonal('what came back'),
  address_sealed: sealed('the recipient address asked for'),
}

const common = {
  database: 'journal',
  purpose: "control of abuse, security evidence, the asker's own record",
  legalBasis: 'Art. 6(1)(f)',
  recipients: [],
  promises: ['S9', 'C1', 'C5'],
  columns,
} as const

export const personalData: readonly TableDeclaration[] = [
  {
    ...common,
    table: 'query_log_recent',
    holds: 'every recipient address of the lookups of the last minute or so',
    retention: 'about a minute, then moved to query_log',
  },
  {
    ...common,
    table: 'query_log',
    holds: 'every recipient address of every lookup',
    retention: 'QUERY_LOG_DAYS, 90 days by default and never more than 365',
  },
]
