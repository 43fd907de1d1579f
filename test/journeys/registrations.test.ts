import { test } from 'vitest'
import { expectSoundOnNode } from './on-node.ts'
import { travelRealRegistrations } from './real-registrations.ts'

test('real registrations on Node over a real socket, and what it leaves in DATA_DIR', async () => {
  await expectSoundOnNode(travelRealRegistrations)
})
