import { readDestinations } from '../../src/adapters/destinations.ts'
import { createOutgoingFetch } from '../../src/adapters/outgoing-fetch.ts'
import { createOutgoingHttps } from '../../src/adapters/outgoing-https.ts'
import type { OutgoingHttps } from '../../src/ports/outgoing-https.ts'

/** Where tests find their servers. */
export const thisMachine = readDestinations(['127.0.0.0/8', '::1', 'localhost'])

/** Requests to servers of this machine. */
export const outgoingHere = (): OutgoingHttps => createOutgoingHttps(thisMachine)

/** The same, as Workers make them. */
export const fetchHere = (): OutgoingHttps => createOutgoingFetch(thisMachine)
