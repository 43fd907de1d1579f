/**
 * SHA-256 of the SPKIs of keys whose private part is published: the sample keys of RFC 9216 (S/MIME), sections 3 to 8.
 */
const published: ReadonlySet<string> = new Set([
  // the sample RSA certification authority; Alice and Bob, signing and encryption
  'fda98de02e4463cff09e937f17c59ca4b15808dd0138542f67498dbbb08a3700',
  '49a768630145afd3bbf9b23c26cff109b31790c1523ddfc1a2a08055c0b537a7',
  '549e099793f183d00db08fcdcc9e79fc992f34e14e707235d8886563a6a2dbf2',
  'b73ea099326912ab1d98da47cad8e048413b9ac4f76a66e17bd50d5eb3effb2a',
  '2375e9393ab14e6a2e8da9ea221982a93d05f16b20d65cc5ad0d7cf150ab239c',
  // the sample Ed25519 certification authority; Carlos and Dana, signing and encryption
  'de5f0f8eeaeeb2a0d8aeb372acace509d41ed65282c37f42f7c9205b575ffe82',
  '3ec26b0c02f3a3c1f296c15a08e2d8facda9ab0ee2c101a3d6f7e1f77a19ca0a',
  'e7dd2a28b7143c8672df4c652cab5c89e7506e15c45189c8b07a145b02e38a1e',
  '516a22a1227cc7d8a196982f28eedd15de002f226fcf8dfef85a343ba4efb496',
  '8dc41fecfdd71787de3845f790d665a537dc422ab4387f16e49bdc616560c95e',
])

/** Whether a standard prints the private part of a key. SBR 6.1.1.3. */
export const isPublishedTestKey = (spkiSha256: string): boolean => published.has(spkiSha256)
