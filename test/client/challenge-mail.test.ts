import { describe, expect, test } from 'vitest'
import { findChallenge, type MailHeaders } from '../../src/client/index.ts'

const mine = [{ id: 'first-of-mine' }, { id: 'second_of-mine' }]
const origin = 'https://certbook.example'
const challenge = { pending: mine[1], token: 'Tok-en_1' }

const mail = (headers: readonly string[], body = 'Hello'): string => [...headers, '', body].join('\r\n')

const fields: Record<string, string> = {
  'Certbook-Registration': 'second_of-mine',
  'Certbook-Token': 'Tok-en_1',
  'Certbook-Origin': origin,
}
const whole = Object.entries(fields).map(([name, value]) => `${name}: ${value}`)
const fromHere = `Certbook-Origin: ${origin}`

/** A challenge to a registration of others, with lines for these. */
const alsoTo = (...registrations: readonly string[]): string[] => [
  'Certbook-Registration: not-mine',
  'Certbook-Token: other',
  fromHere,
  ...registrations.map((registration) => `Certbook-Also: ${registration} Tok-en_1`),
]

const forms: Record<string, MailHeaders> = {
  'the text of a mail': mail(['From: certbook@example.com', ...whole]),
  'the text with LF alone': `${whole.join('\n')}\n\nHello\n`,
  'names in other case': mail([
    'CERTBOOK-REGISTRATION: second_of-mine',
    'certbook-token:Tok-en_1',
    `certbook-Origin:${origin}`,
  ]),
  'folded lines': mail([
    'Certbook-Registration:\r\n second_of-mine',
    'Certbook-Token:\r\n\t Tok-en_1 ',
    `Certbook-Origin:\r\n ${origin}`,
  ]),
  'a header without a body': whole.join('\r\n'),
  pairs: [
    ['certbook-registration', ' second_of-mine'],
    ['Certbook-Token', '\r\n Tok-en_1'],
    ['Certbook-Origin', ` ${origin}`],
  ],
  Headers: new Headers(fields),
  'a Map': new Map(Object.entries(fields)),
  'an object with get': { get: (name) => fields[name] },
  'a line for others': mail([...alsoTo("somebody-else's", 'second_of-mine')]),
  'a folded line for others': mail([...alsoTo("somebody-else's"), 'Certbook-Also: second_of-mine\r\n Tok-en_1']),
  'Headers with lines for others': new Headers([
    ...Object.entries({ ...fields, 'Certbook-Registration': 'somebodys', 'Certbook-Token': 'other' }),
    ['Certbook-Also', 'a b'],
    ['Certbook-Also', 'second_of-mine Tok-en_1'],
  ]),
}

const others: Record<string, MailHeaders> = {
  'a mail of somebody else': mail(['Subject: Certbook-Registration: second_of-mine', 'From: bob@example.com']),
  "a challenge to somebody else's registration": mail([
    'Certbook-Registration: not-mine',
    'Certbook-Token: Tok-en_1',
    fromHere,
  ]),
  'lines for others, none of them mine': mail(alsoTo('not-mine-either')),
  'a line for others with more than two words': mail([...alsoTo(), 'Certbook-Also: second_of-mine Tok-en_1 x']),
  'a line for others without a token': mail([...alsoTo(), 'Certbook-Also: second_of-mine']),
  'a line for others in a mail that challenges nobody': mail([fromHere, 'Certbook-Also: second_of-mine Tok-en_1']),
  'a line for others in a mail of another service': mail([
    ...alsoTo('second_of-mine').filter((line) => line !== fromHere),
    'Certbook-Origin: https://other.example',
  ]),
  'a challenge without a token': mail(['Certbook-Registration: second_of-mine', fromHere]),
  'a token without a registration': mail(['Certbook-Token: Tok-en_1', fromHere]),
  'headers that stand in the body': mail(['From: mallory@example.com'], whole.join('\r\n')),
  'a token that stands twice': mail([...whole, 'Certbook-Token: Tok-en_2']),
  'a registration that stands twice': mail([...whole, 'Certbook-Registration: first-of-mine']),
  'Headers in which a token stands twice': new Headers([...Object.entries(fields), ['Certbook-Token', 'Tok-en_2']]),
  'a token of other characters': mail(['Certbook-Registration: second_of-mine', 'Certbook-Token: to ken', fromHere]),
  'a challenge of another service, whose id the own one has given out as its own': mail([
    'Certbook-Registration: second_of-mine',
    'Certbook-Token: Tok-en_1',
    'Certbook-Origin: https://other.example',
  ]),
  'a challenge of a service that does not say which': mail([
    'Certbook-Registration: second_of-mine',
    'Certbook-Token: Tok-en_1',
  ]),
  'a challenge of two services': mail([...whole, 'Certbook-Origin: https://other.example']),
  nothing: '',
}

describe('a challenge in a received mail', () => {
  test.each(Object.entries(forms))('is found in %s', (_, headers) => {
    expect(findChallenge(headers, mine, origin)).toEqual(challenge)
  })

  test.each(Object.entries(others))('is not found in %s', (_, headers) => {
    expect(findChallenge(headers, mine, origin)).toBe(null)
  })

  test('is none where nothing is pending', () => {
    for (const headers of Object.values(forms)) expect(findChallenge(headers, [], origin)).toBe(null)
  })
})
