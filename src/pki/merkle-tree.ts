import type { Sha256 } from '../ports/keys.ts'
import { concatBytes } from './encoding.ts'

/** The number of leaves of a tree, and its root. */
export interface TreeHead {
  readonly size: number
  /** SHA-256, 32 bytes. */
  readonly root: Uint8Array
}

/** RFC 9162 section 2.1.1: leaves and nodes are told apart by their first byte. */
const leafPrefix = Uint8Array.of(0)
const nodePrefix = Uint8Array.of(1)
const hashLength = 32
const nothing = new Uint8Array(0)

/**
 * The Merkle tree of RFC 9162 section 2.1 over leaves that come one by one. It keeps the roots of its whole subtrees
 * only, so a tree of a million leaves takes twenty hashes of memory.
 */
export class MerkleTree {
  readonly #sha256: Sha256
  /** One buffer for all nodes: a tree is half nodes, and each new buffer would cost as much as its hash. */
  readonly #nodeInput = concatBytes(nodePrefix, new Uint8Array(2 * hashLength))
  /** The roots of the whole subtrees, the largest first. */
  readonly #roots: Uint8Array[] = []
  #size = 0

  constructor(sha256: Sha256) {
    this.#sha256 = sha256
  }

  get size(): number {
    return this.#size
  }

  append(leaf: Uint8Array): void {
    let root = this.#sha256(concatBytes(leafPrefix, leaf))
    // A binary counter: each one bit at the end is a subtree of the same size as what was made so far.
    for (let rest = this.#size; rest % 2 === 1; rest = (rest - 1) / 2) root = this.#node(this.#roots.pop(), root)
    this.#roots.push(root)
    this.#size += 1
  }

  head(): TreeHead {
    const root = this.#roots.reduceRight<Uint8Array | null>(
      (right, left) => (right === null ? left : this.#node(left, right)),
      null,
    )
    return { size: this.#size, root: root ?? this.#sha256(nothing) }
  }

  #node(left: Uint8Array = nothing, right: Uint8Array): Uint8Array {
    this.#nodeInput.set(left, nodePrefix.length)
    this.#nodeInput.set(right, nodePrefix.length + hashLength)
    return this.#sha256(this.#nodeInput)
  }
}
