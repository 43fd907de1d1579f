import { blindIndex, impersonal, sealed, type TableDeclaration } from '../ports/personal-data.ts'

export const personalData: readonly TableDeclaration[] = [
  {
    database: 'main',
    table: 'outgoing_mail',
    holds: 'operational notices on their way to a mailbox',
    purpose: 'proving mailboxes and telling subscribers what happened; never advertising',
    legalBasis: 'Art. 6(1)(b)',
    retention: 'content until it is sent or given up after 24 hours; the rest two days longer, for the mail limits',
    recipients: ['the mail system that the operator configured'],
    promises: ['S5', 'C1', 'M2'],
    german: {
      holds: 'Hinweise zum Dienst auf dem Weg in ein Postfach',
      purpose: 'Postfächer bestätigen und Teilnehmern sagen, was geschehen ist; niemals Werbung',
      legalBasis: 'Art. 6 Abs. 1 Buchst. b DSGVO',
      retention:
        'der Inhalt bis zum Versand oder bis der Versuch nach 24 Stunden aufgegeben wird; das Übrige zwei Tage länger, um die Zahl der Mails zu begrenzen',
      recipients: ['das Mailsystem, das der Betreiber eingestellt hat'],
    },
    columns: {
      id: impersonal('random id'),
      dedupe_key: impersonal('what the notice is about, so that it is queued once'),
      kind: impersonal('one of the closed list of notices'),
      recipient_index: blindIndex('of the recipient’s account (the address without a tag), for the limits per mailbox'),
      asker_index: blindIndex('of who caused a challenge: the network with the account, or the subscriber'),
      content_sealed: sealed('recipient, language and the values of the text'),
      created_at: impersonal('time, UTC milliseconds'),
      state: impersonal('queued, sent or given_up'),
      attempts: impersonal('number of tries'),
      next_attempt_at: impersonal('time of the next try'),
      claimed_at: impersonal('since when a sender has it'),
      finished_at: impersonal('time of the last try'),
      last_failure: impersonal('what the mail system answered, without the address'),
    },
  },
]
