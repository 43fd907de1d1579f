import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { sha256 } from '../../src/adapters/key-ring.ts'
import { concatBytes, toHex } from '../../src/pki/encoding.ts'
import { MerkleTree } from '../../src/pki/merkle-tree.ts'
import { runs } from '../support/thorough.ts'

/** The leaves and roots by which implementations of certificate transparency test their trees. */
const leaves = ['', '00', '10', '2021', '3031', '40414243', '5051525354555657', '606162636465666768696a6b6c6d6e6f']
const roots = [
  'e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855',
  '6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d',
  'fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125',
  'aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77',
  'd37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7',
  '4e3bbb1f7b478dcfe71fb631631519a3bca12c9aefca1612bfce4c13a86264d4',
  '76e67dadbcdf1e10e1b74ddc608abd2f98dfb16fbce75277b5232a127f2087ef',
  'ddb89be403809e325750d3d263cd78929c2942b7942a34b77e122c9594a74c8c',
  '5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328',
]

const treeOf = (entries: readonly Uint8Array[]): MerkleTree => {
  const tree = new MerkleTree(sha256)
  for (const entry of entries) tree.append(entry)
  return tree
}

/** The definition of section 2.1.1, word by word: slow, and with all leaves at hand. */
const defined = (entries: readonly Uint8Array[]): Uint8Array => {
  const [first] = entries
  if (first === undefined) return sha256(new Uint8Array(0))
  if (entries.length === 1) return sha256(concatBytes(Uint8Array.of(0), first))
  let split = 1
  while (split * 2 < entries.length) split *= 2
  return sha256(concatBytes(Uint8Array.of(1), defined(entries.slice(0, split)), defined(entries.slice(split))))
}

describe('RFC 9162 section 2.1', () => {
  test.each(roots.map((root, size) => [size, root] as const))('the tree of %i leaves', (size, root) => {
    const entries = leaves.slice(0, size).map((leaf) => new Uint8Array(Buffer.from(leaf, 'hex')))
    const head = treeOf(entries).head()
    expect([head.size, toHex(head.root)]).toEqual([size, root])
  })

  test('trees of any leaves are what the definition says, and heads can be read while they grow', () => {
    fc.assert(
      fc.property(fc.array(fc.uint8Array({ maxLength: 70 }), { maxLength: 70 }), (entries) => {
        const tree = new MerkleTree(sha256)
        for (const [index, entry] of entries.entries()) {
          tree.append(entry)
          expect(tree.head()).toEqual({ size: index + 1, root: defined(entries.slice(0, index + 1)) })
        }
        expect(tree.head().root).toEqual(defined(entries))
      }),
      { numRuns: runs(20) },
    )
  })
})
