import type { PageLanguage } from '../api/page.ts'

type Words = Readonly<Record<PageLanguage, string>>

/** The promises of the privacy disclosures, by their stable ids, in the words of `/privacy`. */
export const promises: Readonly<Record<string, Words>> = {
  S1: {
    en: 'Data travel under TLS only.',
    de: 'Daten werden nur mit TLS übertragen.',
  },
  S2: {
    en: 'Key pairs are made on the device. The private key stays there; the service refuses private keys in any form.',
    de: 'Schlüsselpaare entstehen auf dem Gerät. Der private Schlüssel bleibt dort; der Dienst weist private Schlüssel in jeder Form ab.',
  },
  S3: {
    en: 'No mail, attachment, contact or calendar entry is taken.',
    de: 'E-Mails, Anhänge, Kontakte und Kalendereinträge werden nicht entgegengenommen.',
  },
  S4: {
    en: 'No password of a mailbox is taken.',
    de: 'Passwörter von Postfächern werden nicht entgegengenommen.',
  },
  S5: {
    en: 'Addresses serve certification and important notices about the service, never advertising.',
    de: 'Adressen dienen der Zertifizierung und wichtigen Hinweisen zum Dienst, niemals der Werbung.',
  },
  S6: {
    en: 'Address and public key go to the certificate authority that certifies them, and to no other.',
    de: 'Adresse und öffentlicher Schlüssel gehen an die Zertifizierungsstelle, die sie bestätigt, und an keine andere.',
  },
  S7: {
    en: 'What is kept of a key is its public part, with the certificate.',
    de: 'Von einem Schlüssel wird der öffentliche Teil mit dem Zertifikat aufbewahrt.',
  },
  S8: {
    en: 'A certificate is found in the directory only after you agreed, for it and for its audience; you can withdraw at once.',
    de: 'Ein Zertifikat ist im Verzeichnis nur zu finden, wenn Sie dem für dieses Zertifikat und seinen Empfängerkreis zugestimmt haben; ein Widerruf gilt sofort.',
  },
  S9: {
    en: 'Each address that is looked up is logged, with who asked, when, and what came back.',
    de: 'Jede nachgeschlagene Adresse wird protokolliert: wer gefragt hat, wann, und mit welchem Ergebnis.',
  },
  S10: {
    en: 'Devices report their app version, type, OS version, language and, on Android, serial number; only the latest report is kept.',
    de: 'Geräte melden App-Version, Typ, Betriebssystem, Sprache und, bei Android, die Seriennummer; nur die letzte Meldung bleibt.',
  },
  S11: {
    en: 'Licences and purchases are kept for the contract.',
    de: 'Lizenzen und Käufe werden für den Vertrag aufbewahrt.',
  },
  S12: {
    en: 'Crash reports are taken only with your consent.',
    de: 'Absturzberichte werden nur mit Ihrer Einwilligung angenommen.',
  },
  S13: {
    en: 'Nothing goes to third parties without consent, save the certificate authority and processors under contract.',
    de: 'Ohne Einwilligung geht nichts an Dritte, außer an die Zertifizierungsstelle und an Auftragsverarbeiter.',
  },
  S14: {
    en: 'Information, correction, blocking and deletion are free of charge.',
    de: 'Auskunft, Berichtigung, Sperrung und Löschung sind kostenlos.',
  },
  S15: {
    en: 'After the end of the contract data are blocked, and deleted when the legal periods are over.',
    de: 'Nach Vertragsende werden die Daten gesperrt und nach Ablauf der gesetzlichen Fristen gelöscht.',
  },
  C1: {
    en: 'Whatever holds an address is encrypted where it is stored (AES-256-GCM).',
    de: 'Alles, was eine Adresse enthält, liegt verschlüsselt vor (AES-256-GCM).',
  },
  C2: {
    en: 'Before data are deleted at the end of a subscription, a mail says so.',
    de: 'Bevor zum Ende eines Abonnements Daten gelöscht werden, weist eine E-Mail darauf hin.',
  },
  C3: {
    en: 'The data of a subscription are deleted 90 days after its end.',
    de: 'Die Daten eines Abonnements werden 90 Tage nach dessen Ende gelöscht.',
  },
  C4: {
    en: 'All data are deleted on request, at any time.',
    de: 'Auf Verlangen werden jederzeit alle Daten gelöscht.',
  },
  C5: {
    en: 'Logs are deleted after one year at the latest.',
    de: 'Protokolle werden spätestens nach einem Jahr gelöscht.',
  },
  C6: {
    en: 'Order data are kept as long as tax law asks, and no longer.',
    de: 'Bestelldaten werden so lange aufbewahrt, wie das Steuerrecht es verlangt, und nicht länger.',
  },
  O1: {
    en: 'Network addresses are kept only in a shortened form; where what one address does is counted, as keyed hashes for about two days.',
    de: 'Netzadressen werden nur gekürzt aufbewahrt; wo gezählt wird, was von einer Adresse ausgeht, als schlüsselgebundene Hashwerte für etwa zwei Tage.',
  },
  O2: {
    en: 'You can have your data in a common, machine-readable form.',
    de: 'Sie erhalten Ihre Daten in einem gängigen, maschinenlesbaren Format.',
  },
  G1: {
    en: 'A consent can be withdrawn for the future at any time, as easily as it was given.',
    de: 'Eine Einwilligung kann jederzeit für die Zukunft widerrufen werden, so einfach, wie sie gegeben wurde.',
  },
  G2: {
    en: 'What is no longer needed is deleted by a job that runs daily.',
    de: 'Was nicht mehr gebraucht wird, löscht ein täglicher Lauf.',
  },
  G3: {
    en: 'Keyed hashes, encryption, roles and a chained audit log protect the data.',
    de: 'Schlüsselgebundene Hashwerte, Verschlüsselung, Rollen und ein verkettetes Prüfprotokoll schützen die Daten.',
  },
  G4: {
    en: 'Every recipient is named here.',
    de: 'Alle Empfänger sind hier genannt.',
  },
  M1: {
    en: 'Nobody is registered without having been shown the terms.',
    de: 'Niemand wird registriert, ohne dass die Bedingungen gezeigt wurden.',
  },
  M2: {
    en: 'A code sent by mail proves that a mailbox belongs to who registers it.',
    de: 'Ein per E-Mail gesandter Code belegt, dass ein Postfach zu der Person gehört, die es registriert.',
  },
  M3: {
    en: 'Unusual confirmations are looked at more closely.',
    de: 'Ungewöhnliche Bestätigungen werden genauer geprüft.',
  },
  M4: {
    en: 'You are told before changed terms take effect.',
    de: 'Sie werden informiert, bevor geänderte Bedingungen gelten.',
  },
  M5: {
    en: 'Processing is restricted on request.',
    de: 'Auf Verlangen wird die Verarbeitung eingeschränkt.',
  },
}
