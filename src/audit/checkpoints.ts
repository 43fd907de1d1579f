import type { Events } from '../events.ts'
import { checkpointText, notesOf, readCheckpoint } from '../pki/checkpoint.ts'
import { equalBytes } from '../pki/encoding.ts'
import { MerkleTree, type TreeHead } from '../pki/merkle-tree.ts'
import { openNote, writeVerifierKey, type NoteSigner } from '../pki/signed-note.ts'
import { giveWay } from '../ports/bounded.ts'
import type { CheckpointKeeper } from '../ports/checkpoints.ts'
import type { Database } from '../ports/database.ts'
import type { Sha256 } from '../ports/keys.ts'
import type { Clock } from '../ports/runtime.ts'
import { readSealHashesAfter } from './store.ts'

export interface CheckpointDeps {
  readonly database: Database
  readonly sha256: Sha256
  readonly crypto: Crypto
  readonly clock: Clock
  readonly events: Events
  /** Null if there is no note key: then nothing is signed. */
  readonly noteSigner: NoteSigner | null
  /** Null if checkpoints are kept nowhere. */
  readonly checkpointKeeper: CheckpointKeeper | null
}

/** A checkpoint of the log as it is, and the key that verifies it. */
export interface SignedCheckpoint {
  readonly verifierKey: string
  /** A signed note. */
  readonly checkpoint: string
}

export interface CheckpointRoom {
  /** Signs the log as it is. Null without a note key. */
  sign(): Promise<SignedCheckpoint | null>
  /** Keeps a checkpoint. Throws `AuditLogRewritten`; then nothing is signed or kept. */
  keep(): Promise<void>
  warnings(): readonly string[]
}

/** The log is not a continuation of what an older checkpoint says. */
class AuditLogRewritten extends Error {
  constructor(size: number) {
    super(`the audit log is not what its checkpoint of ${size} seals says: it was rewritten or cut`)
    this.name = 'AuditLogRewritten'
  }
}

const encoder = new TextEncoder()

/** A leaf of the tree: the hash of a seal, in hexadecimal as it is stored. */
export const leafOf = (sealHash: string): Uint8Array => encoder.encode(sealHash)

const sealsPerRead = 1_000

export function createCheckpoints(deps: CheckpointDeps): CheckpointRoom {
  let rewritten = false

  /** The head of the whole tree, and of the tree as it was at a size. That one is null if it never had this size. */
  const heads = async (size: number): Promise<{ now: TreeHead; before: TreeHead | null }> => {
    const tree = new MerkleTree(deps.sha256)
    let before = size === 0 ? tree.head() : null
    let last = 0
    for (;;) {
      const seals = await readSealHashesAfter(deps.database, last, sealsPerRead)
      for (const { number, hash } of seals) {
        tree.append(leafOf(hash))
        last = number
        if (tree.size === size) before = tree.head()
      }
      await giveWay()
      if (seals.length < sealsPerRead) return { now: tree.head(), before }
    }
  }

  /** What the newest checkpoint that was kept says. Null if there is none by this key. */
  const newestKept = async (signer: NoteSigner, keeper: CheckpointKeeper): Promise<TreeHead | null> => {
    for (const note of notesOf(await keeper.newest()).toReversed()) {
      const text = await openNote(deps.crypto, signer.verifier, note)
      const head = text === null ? null : readCheckpoint(signer.verifier.name, text)
      if (head !== null) return head
    }
    return null
  }

  return {
    sign: async () => {
      const { noteSigner: signer } = deps
      if (signer === null) return null
      const { now } = await heads(0)
      return {
        verifierKey: writeVerifierKey(signer.verifier),
        checkpoint: await signer.sign(checkpointText(signer.verifier.name, now)),
      }
    },
    keep: async () => {
      const { noteSigner: signer, checkpointKeeper: keeper } = deps
      if (signer === null || keeper === null) return
      const kept = await newestKept(signer, keeper)
      const { now, before } = await heads(kept?.size ?? 0)
      rewritten = kept !== null && (before === null || !equalBytes(before.root, kept.root))
      if (rewritten) throw new AuditLogRewritten(kept?.size ?? 0)
      if (now.size === kept?.size) return
      await keeper.keep(await signer.sign(checkpointText(signer.verifier.name, now)), deps.clock())
      deps.events.auditCheckpointKept({ size: now.size })
    },
    warnings: () =>
      rewritten
        ? ['The audit log is not what its last checkpoint says: look at "certbook audit verify --checkpoint FILE".']
        : [],
  }
}
