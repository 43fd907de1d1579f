import { deviceFacts, type DeviceFacts } from '../api/shapes.ts'
import { openText, type Keys } from '../ports/keys.ts'

/** What the device said about itself when it registered. */
export const factsOfRegistration = (keys: Keys, row: { id: string; deviceSealed: Uint8Array }): DeviceFacts => {
  const place = { table: 'registrations', column: 'device_sealed', row: row.id }
  return deviceFacts.parse(JSON.parse(openText(keys.main, place, row.deviceSealed)))
}

export const factsOfDevice = (keys: Keys, row: { id: string; factsSealed: Uint8Array }): DeviceFacts => {
  const place = { table: 'devices', column: 'facts_sealed', row: row.id }
  return deviceFacts.parse(JSON.parse(openText(keys.main, place, row.factsSealed)))
}
