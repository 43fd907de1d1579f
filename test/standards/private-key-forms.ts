import { createPrivateKey, createPublicKey } from 'node:crypto'
import { readFileSync } from 'node:fs'

const folder = new URL('../../certs-fixtures/private-keys/', import.meta.url)
const read = (name: string): Uint8Array => new Uint8Array(readFileSync(new URL(name, folder)))

interface Entry {
  readonly file: string
  readonly form: string
  readonly contentType: string
  readonly key: string | null
  readonly stranger?: string
}

/** A body that holds a private key, as somebody might send it. */
export interface PrivateKeyBody {
  readonly name: string
  readonly form: string
  readonly body: Uint8Array
  readonly contentType: string
  /** Whether its public key can be computed. */
  readonly recoverable: boolean
  /** The key whose public key that is. */
  readonly key: string | null
  /** The key whose public part was put beside it. */
  readonly stranger: string | null
}

const manifest = JSON.parse(readFileSync(new URL('manifest.json', folder), 'utf8')) as readonly Entry[]

/** Every body with a private key among the fixtures. */
export const privateKeyForms: readonly PrivateKeyBody[] = manifest.map(
  ({ file, form, contentType, key, stranger }) => ({
    name: file.replace('.body', ''),
    form,
    body: read(file),
    contentType,
    recoverable: key !== null,
    key,
    stranger: stranger ?? null,
  }),
)

/** The SubjectPublicKeyInfo of a key of the fixtures, as Node computes it. */
export function publicKeyOf(key: string): Uint8Array {
  if (key === 'gnupg') return read('public-key-gnupg.der')
  const privateKey = createPrivateKey({ key: Buffer.from(read(`key-${key}.body`)), format: 'der', type: 'pkcs8' })
  return new Uint8Array(createPublicKey(privateKey).export({ type: 'spki', format: 'der' }))
}
