import { parentPort } from 'node:worker_threads'
import { brainpoolCrypto } from './adapters/brainpool.ts'
import { proveHere } from './pki/private-keys/prove.ts'
import type { DisclosedBytes } from './ports/key-prover.ts'

/** A thread that completes and proves disclosed keys, one at a time. It has no file and no secret of the service. */

const port = parentPort
if (port === null) throw new Error('keys are proved in a thread of their own')

const means = { crypto, brainpool: brainpoolCrypto }
port.on('message', (keys: readonly DisclosedBytes[]) => {
  void proveHere(means, keys).then((proved) => port.postMessage(proved))
})
