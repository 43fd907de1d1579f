import { DomainError } from '../errors.ts'
import type { DeviceFacts } from './shapes.ts'

/**
 * Refuses a serial number of anything but an Android device: the disclosures allow no other. Throws
 * `serial_number_not_android`.
 */
export function requireAllowedFacts(device: DeviceFacts): void {
  if (device.serialNumber === null || /android/i.test(`${device.deviceType} ${device.osVersion}`)) return
  throw new DomainError('serial_number_not_android', 'Only an Android device sends its serial number: send null.')
}
