/**
 * ROCA, CVE-2017-15361 (Nemec et al., "The Return of Coppersmith's Attack", section 2.3). The primes of the broken
 * library are k * M + (65537^a mod M), where M is a product of small primes. So modulo each small prime, both factors
 * and the modulus are powers of 65537.
 */
const generator = 65537

/** The primes that divide M for all key sizes, from 3 on: those below 168. */
const smallPrimes = [
  3, 5, 7, 11, 13, 17, 19, 23, 29, 31, 37, 41, 43, 47, 53, 59, 61, 67, 71, 73, 79, 83, 89, 97, 101, 103, 107, 109, 113,
  127, 131, 137, 139, 149, 151, 157, 163, 167,
]

/** The powers of 65537 modulo each prime. The fingerprint consists of them. */
const marks = smallPrimes.map((prime) => ({ prime, residues: powersModulo(prime) }))

/** All primes multiplied, so that a long modulus is divided only once. */
const product = smallPrimes.reduce((product, prime) => product * BigInt(prime), 1n)

function powersModulo(prime: number): ReadonlySet<number> {
  const residues = new Set<number>()
  for (let power = 1; !residues.has(power); power = (power * generator) % prime) residues.add(power)
  return residues
}

/** Whether a modulus has the fingerprint. About one of 2^27 other keys has it by chance, and is refused too. */
export function hasRocaFingerprint(modulus: bigint): boolean {
  const rest = modulus % product
  return marks.every(({ prime, residues }) => residues.has(Number(rest % BigInt(prime))))
}
