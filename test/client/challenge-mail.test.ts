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
}

const others: Record<string, MailHeaders> = {
  'a mail of somebody else': mail(['Subject: Certbook-Registration: second_of-mine', 'From: bob@example.com']),
  "a challenge to somebody else's registration": mail([
    'Certbook-Registration: not-mine',
    'Certbook-Token: Tok-en_1',
    fromHere,
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
