import type { MailWords, Paragraph, ShownChallenge, ShownOther, Words } from './words.ts'

const date = new Intl.DateTimeFormat('en-GB', { dateStyle: 'long', timeZone: 'UTC' })
const time = new Intl.DateTimeFormat('en-GB', { timeStyle: 'short', timeZone: 'UTC' })
const at = (moment: number): string => `${date.format(moment)} at ${time.format(moment)} UTC`

const device = (deviceType: string): string => (deviceType === '' ? '' : ` (${deviceType})`)

const uses = { sign: 'for signing', encrypt: 'for encryption', dual: 'for signing and encryption' }
const audiences = { members: 'the subscribers of this service', public: 'everyone' }
const reasons: Readonly<Record<string, string>> = {
  keyCompromise: 'its private key may be known to others',
  affiliationChanged: 'what it says about you has changed',
  superseded: 'another certificate took its place',
  cessationOfOperation: 'it is not used any more',
  privilegeWithdrawn: 'it may not be used any more',
}

const nobodyElse = 'Never pass on the code or this message: nobody will ask you for them, by mail or by phone.'
const unknownDevice =
  'If it was not you: remove the devices that you do not know in your mail app, and change the password of your ' +
  'mailbox, because somebody else may be able to read your mail.'

const others = (also: readonly ShownOther[]): readonly Paragraph[] =>
  also.length === 0
    ? []
    : [
        'This message is also for other mail apps that asked to register this address, as not every one gets a message of ' +
          'its own. For those, too, there is nothing to do. If such an app is yours and cannot read this mailbox, open ' +
          'its own address; if it is not yours, press “This was not me” there, or ignore it.',
        ...also.flatMap(({ deviceType, startedAt, link }) => [`${at(startedAt)}${device(deviceType)}:`, { link }]),
      ]

const registration = ({ deviceType, startedAt, link, also }: ShownChallenge): MailWords => {
  const page: readonly Paragraph[] =
    link === null
      ? ['If it was not you, ignore this message.']
      : [
          'If that was you and the app cannot read this mailbox, open this address and enter the code that your ' +
            'device shows:',
          { link },
          'If it was not you, open the address and press “This was not me”, or ignore this message.',
          nobodyElse,
        ]
  return {
    subject: 'A mail app asks to register this address',
    paragraphs: [
      `On ${at(startedAt)} a mail app${device(deviceType)} asked to register this address, in order to get ` +
        'certificates for signed and encrypted mail.',
      'If you are setting up that app on this mailbox, there is nothing to do: it finds this message and goes on.',
      ...page,
      ...others(also),
      'Nothing is registered unless it is confirmed, and the request ends after 24 hours.',
    ],
  }
}

const addition = ({ deviceType, startedAt }: ShownChallenge): MailWords => ({
  subject: 'A mail app asks to add this address',
  paragraphs: [
    `On ${at(startedAt)} a mail app${device(deviceType)} that is registered already asked to add this address, in ` +
      'order to get certificates for signed and encrypted mail.',
    'If that was you, there is nothing to do: the app finds this message and goes on.',
    'If it was not you, ignore this message. The address is not added without it, and the request ends after 24 hours.',
  ],
})

const acts = {
  mailbox_add: 'add a mailbox',
  mailbox_end: 'remove a mailbox',
  device_approve: 'let in another device',
  device_end: 'remove a device',
}

const proof = ({ deviceType, startedAt, act }: ShownChallenge): MailWords => ({
  subject: 'A mail app asks to prove this address again',
  paragraphs: [
    `On ${at(startedAt)} a mail app${device(deviceType)} that is registered for this address asked to prove again ` +
      `that it can read this mailbox${act === null ? '' : `, in order to ${acts[act]}`}.`,
    'If that was you, there is nothing to do: the app finds this message and goes on.',
    'If it was not you, ignore this message: nothing is proved without it, and the request ends after 24 hours. If you ' +
      'do not know that device, remove it in your mail app.',
  ],
})

/** The mails in English. */
export const en: Words = {
  challenge: (parameters) => {
    if (parameters.purpose === 'add') return addition(parameters)
    return parameters.purpose === 'prove' ? proof(parameters) : registration(parameters)
  },
  new_device: ({ deviceType, at: moment }) => ({
    subject: 'A new device is registered for this address',
    paragraphs: [
      `On ${at(moment)} a new device${device(deviceType)} was registered for this address. It can ask for ` +
        'certificates and publish them.',
      'If that was you, there is nothing to do.',
      unknownDevice,
    ],
  }),
  new_certificate: ({ use, at: moment, notAfter }) => ({
    subject: 'A new certificate for this address',
    paragraphs: [
      `On ${at(moment)} a certificate ${uses[use]} was issued for this address. It is valid until ${at(notAfter)}.`,
      'If you use a mail app that is registered for this address, there is nothing to do: apps renew certificates by ' +
        'themselves.',
      `${unknownDevice} Then revoke the certificate in your mail app.`,
    ],
  }),
  new_publication: ({ audience, at: moment }) => ({
    subject: 'A certificate of this address is published',
    paragraphs: [
      `On ${at(moment)} a certificate of this address was published for ${audiences[audience]}. People who know ` +
        'the address can now find the certificate and send you encrypted mail.',
      'If that was you, there is nothing to do. You can withdraw the publication in your mail app at any time.',
      unknownDevice,
    ],
  }),
  mailbox_moved: ({ which, at: moment, until }) => {
    const [subject, mailbox] =
      which === 'this'
        ? ['This address is registered anew by another device', 'this mailbox']
        : ['Another address of yours is registered anew by another device', 'another mailbox that your mail app has']
    return {
      subject,
      paragraphs: [
        `On ${at(moment)} another device proved that it can read ${mailbox}, and registered its address. The ` +
          'earlier certificates for that address have left the directory.',
        `They are revoked on ${at(until)}, unless one of your earlier devices proves that mailbox again by then.`,
        'If that was you, there is nothing to do.',
        'If it was not you: have your mail app prove that mailbox again before that time, and change its password, ' +
          'because somebody else may be able to read your mail.',
      ],
    }
  },
  revocation: ({ reason, at: moment }) => {
    const words = reason === null ? undefined : reasons[reason]
    return {
      subject: 'A certificate of this address is revoked',
      paragraphs: [
        `On ${at(moment)} a certificate of this address was revoked${words === undefined ? '' : `: ${words}`}. That ` +
          'is for good; nobody should use it any more.',
        'If that was you, there is nothing to do. Keep the private key all the same: mail that was encrypted for it ' +
          'opens with nothing else.',
        'If it was not you: ask for a new certificate with a new key in your mail app, and remove the devices that ' +
          'you do not know.',
      ],
    }
  },
  running_out: ({ use, which, at: moment, notAfter }) => {
    const isLast = which === 'twelfth'
    return {
      subject: isLast
        ? 'A certificate of this address runs out very soon'
        : 'A certificate of this address runs out soon',
      paragraphs: [
        `A certificate of this address ${uses[use]} is valid until ${at(notAfter)} only. On ${at(moment)} no new one had ` +
          'taken its place yet.',
        'Open the mail app on the device that it was issued for: apps renew certificates by themselves while they run.',
        ...(isLast
          ? ['If the app shows that the renewal waits for somebody, ask them: there is not much time left.']
          : []),
        'If you do not need the certificate any more, there is nothing to do. Keep the private key all the same: mail ' +
          'that was encrypted for it opens with nothing else.',
      ],
    }
  },
  ending: ({ host, controller }) => [
    `This message was sent by the service at ${host}${controller === null ? '' : `, which is run by ${controller}`}. ` +
      'It tells of what happens to this address there, and of nothing else.',
  ],
}
