import { command, type Command } from '../ports/database.ts'

export interface ConsentRow {
  readonly id: string
  readonly subscriber: string
  readonly purpose: 'terms' | 'publication' | 'crashReports'
  readonly act: 'acknowledged' | 'given' | 'withdrawn'
  readonly subject: string
  readonly textVersion: string
  readonly textSha256: string
  readonly language: string
  readonly audience: 'members' | 'public' | null
  readonly at: number
  readonly device: string | null
}

/** Records are only added. A withdrawal is a new record. */
export const insertConsent = (row: ConsentRow): Command =>
  command(
    `INSERT INTO consent_records
       (id, subscriber, purpose, act, subject, text_version, text_sha256, language, audience, at, device)
     VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)`,
    row.id,
    row.subscriber,
    row.purpose,
    row.act,
    row.subject,
    row.textVersion,
    row.textSha256,
    row.language,
    row.audience,
    row.at,
    row.device,
  )
