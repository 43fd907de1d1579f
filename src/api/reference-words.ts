import type { PageLanguage } from './page.ts'

/** The frame of the reference page. Its content is in English, as in the OpenAPI document. */
interface ReferenceWords {
  readonly title: string
  readonly skip: string
  readonly machine: string
  readonly contents: string
  readonly request: string
  readonly answers: string
  readonly parameters: string
  readonly credential: string
  readonly noCredential: string
  readonly maybeCredential: string
  readonly example: string
  readonly answerExample: string
  readonly shapes: string
  readonly codes: string
  readonly code: string
  readonly status: string
  readonly when: string
  readonly optional: string
}

export const referenceWords: Readonly<Record<PageLanguage, ReferenceWords>> = {
  en: {
    title: 'API reference',
    skip: 'To the content',
    machine: 'The same for machines:',
    contents: 'Contents',
    request: 'Request',
    answers: 'Answers',
    parameters: 'Parameters',
    credential: 'Needs a credential: ',
    noCredential: 'Needs no credential.',
    maybeCredential: 'Works with a credential, and in some cases without.',
    example: 'Example',
    answerExample: 'Example of the answer',
    shapes: 'Shapes',
    codes: 'Codes of refusals',
    code: 'Code',
    status: 'Status',
    when: 'When',
    optional: 'optional',
  },
  de: {
    title: 'API-Referenz',
    skip: 'Zum Inhalt',
    machine: 'Dasselbe für Maschinen:',
    contents: 'Inhalt',
    request: 'Anfrage',
    answers: 'Antworten',
    parameters: 'Parameter',
    credential: 'Braucht Anmeldedaten: ',
    noCredential: 'Braucht keine Anmeldedaten.',
    maybeCredential: 'Geht mit Anmeldedaten und in manchen Fällen ohne.',
    example: 'Beispiel',
    answerExample: 'Beispiel der Antwort',
    shapes: 'Formen',
    codes: 'Codes der Ablehnungen',
    code: 'Code',
    status: 'Status',
    when: 'Wann',
    optional: 'kann fehlen',
  },
}
