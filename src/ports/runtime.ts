/** The present time in UTC milliseconds. It is handed in, so tests can set it. */
export type Clock = () => number

/** The system's CSPRNG. */
export interface Random {
  bytes(length: number): Uint8Array
}

/** Runs work after the answer was sent. Keeps the process or isolate alive until it is done. */
export interface Background {
  /** Never rejects. The adapter reports a failure as an event. */
  run(name: string, task: () => Promise<void>): void
}

const base64url = (bytes: Uint8Array): string =>
  btoa(String.fromCharCode(...bytes))
    .replaceAll('+', '-')
    .replaceAll('/', '_')
    .replaceAll('=', '')

/**
 * A row id: 128 random bits in 22 characters. The application makes it, so a batch can be sent again. It never begins
 * with a hyphen, which a command line would take for an option.
 */
export const randomId = (random: Random): string => base64url(random.bytes(16)).replace(/^-/, '_')

/** A bearer secret: 256 random bits after a prefix, by which leak scanners find it. */
export const randomSecret = (random: Random, prefix: string): string => prefix + base64url(random.bytes(32))

/** Letters and digits that sound and look different. */
const codeAlphabet = 'ABCDEFGHJKLMNPQRSTUVWXYZ23456789'

/** A short code for people, such as `ABCD-1234`: 40 random bits. */
export const randomUserCode = (random: Random): string => {
  const characters = Array.from(random.bytes(8), (byte) => codeAlphabet[byte % codeAlphabet.length] ?? '')
  return `${characters.slice(0, 4).join('')}-${characters.slice(4).join('')}`
}
