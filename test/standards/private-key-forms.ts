import { createPrivateKey, createPublicKey } from 'node:crypto'
import { readFileSync } from 'node:fs'

const folder = new URL('../../certs-fixtures/private-keys/', import.meta.url)
const disguised = new URL('../../certs-fixtures/private-keys-disguised/', import.meta.url)
const read = (name: string, from = folder): Uint8Array => new Uint8Array(readFileSync(new URL(name, from)))

interface Entry {
  readonly file: string
  /** Null where the body holds no private key. */
  readonly form: string | null
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
  /** Whether it is in clothes of its own: several layers, or another form of writing. */
  readonly disguised: boolean
}

const manifest = JSON.parse(readFileSync(new URL('manifest.json', folder), 'utf8')) as readonly Entry[]
const disguises = JSON.parse(readFileSync(new URL('manifest.json', disguised), 'utf8')) as readonly Entry[]
const entries = [
  ...manifest.map((entry) => ({ ...entry, from: folder })),
  ...disguises.map((entry) => ({ ...entry, from: disguised })),
]

/** Every body with a private key among the fixtures. */
export const privateKeyForms: readonly PrivateKeyBody[] = entries.flatMap(
  ({ file, form, contentType, key, stranger, from }) =>
    form === null
      ? []
      : [
          {
            name: file.replace('.body', ''),
            form,
            body: read(file, from),
            contentType,
            recoverable: key !== null,
            key,
            stranger: stranger ?? null,
            disguised: from === disguised,
          },
        ],
)

/** Bodies that look like the disguised ones, and hold no private key. */
export const harmlessBodies = disguises
  .filter(({ form }) => form === null)
  .map(({ file, contentType }) => ({ name: file.replace('.body', ''), contentType, body: read(file, disguised) }))

/** The SubjectPublicKeyInfo of a key of the fixtures, as Node computes it. */
export function publicKeyOf(key: string): Uint8Array {
  if (key === 'gnupg') return read('public-key-gnupg.der')
  const privateKey = createPrivateKey({ key: Buffer.from(read(`key-${key}.body`)), format: 'der', type: 'pkcs8' })
  return new Uint8Array(createPublicKey(privateKey).export({ type: 'spki', format: 'der' }))
}
