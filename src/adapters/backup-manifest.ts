import { closeSync, existsSync, fstatSync, openSync, readFileSync, readSync } from 'node:fs'
import { createHash } from 'node:crypto'
import { join } from 'node:path'
import { z } from 'zod'
import { SealBroken, type Keys } from '../ports/keys.ts'
import { BackupUnusable, listBackups, ringFileIn } from './backup-folder.ts'
import { readRingFile, type DataDirectory } from './data-directory.ts'
import { writeDurably } from './durable-files.ts'
import { sha256 } from './key-ring.ts'

const fileShape = z.strictObject({ bytes: z.int(), sha256: z.string().regex(/^[0-9a-f]{64}$/) })
const contentShape = z.strictObject({
  format: z.literal(1),
  /** When the main database was copied, RFC 3339 in UTC. */
  at: z.iso.datetime(),
  migrations: z.strictObject({ journal: z.array(z.string()), main: z.array(z.string()) }),
  files: z.strictObject({ 'journal.db': fileShape, 'main.db': fileShape }),
  /** The newest seal of the audit log. Null if nothing was sealed yet. */
  auditHead: z.string().nullable(),
})
/** `proof`: the sealed digest of the content. Only somebody with `DATA_KEY` can make it. */
const manifestShape = z.strictObject({ content: contentShape, proof: z.base64() })

/** What a backup says about itself. */
export type BackupManifest = z.infer<typeof contentShape>
export type FileDigest = z.infer<typeof fileShape>

const manifestFile = 'manifest.json'
const chunkBytes = 1 << 20

/** The size and SHA-256 of a file, read in pieces. */
export function digestOf(path: string): FileDigest {
  const file = openSync(path, 'r')
  try {
    const { size } = fstatSync(file)
    const hash = createHash('sha256')
    const chunk = Buffer.allocUnsafe(chunkBytes)
    for (let read = readSync(file, chunk); read > 0; read = readSync(file, chunk)) hash.update(chunk.subarray(0, read))
    return { bytes: size, sha256: hash.digest('hex') }
  } finally {
    closeSync(file)
  }
}

const proofPlace = (name: string) => ({ table: 'backup', column: 'proof', row: name })

const contentDigest = (content: BackupManifest): Uint8Array =>
  sha256(new TextEncoder().encode(JSON.stringify(contentShape.parse(content))))

/** Writes the manifest of the backup `name` into its folder. */
export function writeManifest(folder: string, name: string, content: BackupManifest, keys: Keys): void {
  const proof = Buffer.from(keys.main.seal(proofPlace(name), contentDigest(content))).toString('base64')
  writeDurably(join(folder, manifestFile), `${JSON.stringify({ content, proof }, null, 2)}\n`)
}

const jsonOf = (content: string): unknown => {
  try {
    return JSON.parse(content)
  } catch {
    return null
  }
}

/** Reads a manifest and checks its proof. Throws `BackupUnusable`. */
export function readManifest(
  folder: string,
  name: string,
): { content: BackupManifest; requireProof: (keys: Keys) => void } {
  const path = join(folder, manifestFile)
  if (!existsSync(path)) throw new BackupUnusable(`the backup ${name} has no ${manifestFile}; choose another backup`)
  const parsed = manifestShape.safeParse(jsonOf(readFileSync(path, 'utf8')))
  if (!parsed.success) {
    throw new BackupUnusable(`the manifest of ${name} cannot be read by this version; choose another backup`)
  }
  const { content, proof } = parsed.data
  const requireProof = (keys: Keys): void => {
    try {
      const proved = keys.main.open(proofPlace(name), new Uint8Array(Buffer.from(proof, 'base64')))
      if (Buffer.compare(proved, contentDigest(content)) === 0) return
    } catch (error) {
      if (!(error instanceof SealBroken)) throw error
    }
    throw new BackupUnusable(`the manifest of ${name} was altered or belongs to another backup; choose another backup`)
  }
  return { content, requireProof }
}

const isOfSameRing = (folder: string, name: string, keys: Keys): boolean => {
  try {
    readManifest(join(folder, name), name).requireProof(keys)
    return true
  } catch (error) {
    if (error instanceof BackupUnusable) return false
    throw error
  }
}

/**
 * Throws `BackupUnusable` if the folder's key ring has other keys than the installation's. Overwriting it would make
 * the backups of another installation unreadable forever. The same keys look otherwise once the data key was replaced:
 * then a backup there must be one that these keys have made.
 */
export function requireSameRing(directory: DataDirectory, folder: string, keys: Keys): void {
  const own = new Map(readRingFile(directory.keyRingFile).map((entry) => [entry.id, entry.wrapped]))
  const isSame = readRingFile(ringFileIn(folder)).every(({ id, wrapped }) => {
    const present = own.get(id)
    return present === undefined || Buffer.compare(present, wrapped) === 0
  })
  const backups = listBackups(folder)
  if (isSame || backups.length === 0 || backups.some((name) => isOfSameRing(folder, name, keys))) return
  throw new BackupUnusable(`${folder} holds backups of another installation; name another folder`)
}
