import { concatBytes, equalBytes, fromBase64, toBase64, toBufferSource, toHex } from './encoding.ts'

/**
 * Notes that are signed with Ed25519, in the form of C2SP signed-note: a text, an empty line, and lines of signatures. A
 * line names the key and begins its signature with the hash of the key.
 */

/** C2SP signed-note, "Signatures": the identifier of Ed25519. */
const ed25519Identifier = 0x01
const keyHashLength = 4
const publicKeyLength = 32
const seedLength = 32
const signingKeyPrefix = 'PRIVATE+KEY+'
/** What PKCS#8 has before the seed of an Ed25519 key (RFC 8410 section 7). Web Crypto reads no bare seed. */
const pkcs8Prefix = Uint8Array.from([0x30, 0x2e, 2, 1, 0, 0x30, 5, 6, 3, 0x2b, 0x65, 0x70, 4, 0x22, 4, 0x20])

const encoder = new TextEncoder()

/** A text is no key of notes. */
export class NoteKeyUnusable extends Error {
  constructor(reason: string, options?: ErrorOptions) {
    super(`the note key cannot be used: ${reason}`, options)
    this.name = 'NoteKeyUnusable'
  }
}

/** The public key of notes. Written as `<name>+<hash>+<base64>`. */
export interface NoteVerifier {
  readonly name: string
  readonly hash: Uint8Array
  readonly publicKey: Uint8Array
}

/** The private key of notes, opened. */
export interface NoteSigner {
  readonly verifier: NoteVerifier
  /** Signs a text, which ends with a line feed. Resolves to the whole note. */
  sign(text: string): Promise<string>
}

/** The first bytes of SHA-256 over name, line feed, algorithm and public key. */
async function keyHash(crypto: Crypto, name: string, publicKey: Uint8Array): Promise<Uint8Array> {
  const hashed = concatBytes(encoder.encode(`${name}\n`), Uint8Array.of(ed25519Identifier), publicKey)
  return new Uint8Array(await crypto.subtle.digest('SHA-256', hashed)).subarray(0, keyHashLength)
}

/** A name of a key: without white space and plus signs, which separate its parts. */
export const isNoteKeyName = (name: string): boolean => /^[^\s+]+$/u.test(name)

const keyPattern = /^([^\s+]+)\+([0-9a-f]{8})\+([A-Za-z0-9+/=]+)$/u

interface KeyParts {
  readonly name: string
  readonly hash: string
  readonly key: Uint8Array
}

/** Name, hash and bytes of a key in either form. Null if the text is none, or of another algorithm. */
function readKey(text: string, length: number): KeyParts | null {
  const [, name, hash, encoded] = keyPattern.exec(text) ?? []
  const bytes = encoded === undefined ? null : fromBase64(encoded)
  if (name === undefined || hash === undefined || bytes === null) return null
  if (bytes.length !== 1 + length || bytes[0] !== ed25519Identifier) return null
  return { name, hash, key: bytes.subarray(1) }
}

const writeKey = (name: string, hash: Uint8Array, key: Uint8Array): string =>
  `${name}+${toHex(hash)}+${toBase64(concatBytes(Uint8Array.of(ed25519Identifier), key))}`

export const writeVerifierKey = ({ name, hash, publicKey }: NoteVerifier): string => writeKey(name, hash, publicKey)

/** Null if the text is no verifier key, or its hash is not that of its key. */
export async function readVerifierKey(crypto: Crypto, text: string): Promise<NoteVerifier | null> {
  const parts = readKey(text, publicKeyLength)
  if (parts === null) return null
  const hash = await keyHash(crypto, parts.name, parts.key)
  return toHex(hash) === parts.hash ? { name: parts.name, hash, publicKey: parts.key } : null
}

async function signerOf(crypto: Crypto, name: string, seed: Uint8Array): Promise<NoteSigner> {
  const privateKey = await crypto.subtle.importKey('pkcs8', concatBytes(pkcs8Prefix, seed), 'Ed25519', true, ['sign'])
  const { x = '' } = await crypto.subtle.exportKey('jwk', privateKey)
  const publicKey = fromBase64(`${x.replaceAll('-', '+').replaceAll('_', '/')}=`) ?? new Uint8Array(0)
  const hash = await keyHash(crypto, name, publicKey)
  return {
    verifier: { name, hash, publicKey },
    sign: async (text) => {
      const signature = new Uint8Array(await crypto.subtle.sign('Ed25519', privateKey, encoder.encode(text)))
      return `${text}\n\u2014 ${name} ${toBase64(concatBytes(hash, signature))}\n`
    },
  }
}

/** Opens a key that `makeNoteKey` made. Throws `NoteKeyUnusable`. */
export async function openNoteKey(crypto: Crypto, text: string): Promise<NoteSigner> {
  const parts = text.startsWith(signingKeyPrefix) ? readKey(text.slice(signingKeyPrefix.length), seedLength) : null
  if (parts === null) throw new NoteKeyUnusable(`it does not have the form ${signingKeyPrefix}<name>+<hash>+<base64>`)
  const signer = await signerOf(crypto, parts.name, parts.key)
  if (toHex(signer.verifier.hash) !== parts.hash) throw new NoteKeyUnusable('its hash is not that of the key')
  return signer
}

/** Makes a key. Resolves to its text, which is secret. */
export async function makeNoteKey(crypto: Crypto, name: string): Promise<string> {
  const seed = crypto.getRandomValues(new Uint8Array(seedLength))
  const { verifier } = await signerOf(crypto, name, seed)
  return `${signingKeyPrefix}${writeKey(name, verifier.hash, seed)}`
}

const signaturePattern = /^\u2014 ([^\s+]+) ([A-Za-z0-9+/=]+)$/u

/** The text of a note that the key has signed. Null if it has not, or this is no note. */
export async function openNote(crypto: Crypto, key: NoteVerifier, note: string): Promise<string | null> {
  const end = note.lastIndexOf('\n\n')
  if (end < 0 || !note.endsWith('\n')) return null
  const text = note.slice(0, end + 1)
  const publicKey = await crypto.subtle.importKey('raw', toBufferSource(key.publicKey), 'Ed25519', true, ['verify'])
  for (const line of note.slice(end + 2, -1).split('\n')) {
    const [, name, encoded = ''] = signaturePattern.exec(line) ?? []
    const bytes = fromBase64(encoded)
    if (name !== key.name || bytes === null || !equalBytes(bytes.subarray(0, keyHashLength), key.hash)) continue
    const signature = toBufferSource(bytes.subarray(keyHashLength))
    return (await crypto.subtle.verify('Ed25519', publicKey, signature, encoder.encode(text))) ? text : null
  }
  return null
}
