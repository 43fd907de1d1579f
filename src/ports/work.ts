/**
 * What a request asks for, as far as its method and path tell. `dear`: anyone may cause much computing. `anonymous`:
 * anyone may ask. `enrolment`: somebody becomes a subscriber. `member`: it takes a credential. `essential`: others rely on
 * it who cannot ask elsewhere.
 */
export type DeclaredWork = 'dear' | 'anonymous' | 'enrolment' | 'member' | 'essential'

/** Classes of requests; the first are turned away first. A `newcomer` names a credential that was not yet found valid. */
export const workClasses = ['dear', 'anonymous', 'enrolment', 'newcomer', 'essential'] as const
export type WorkClass = (typeof workClasses)[number]

/** What is known of the caller before anything of the body is read. */
interface CallerSeen {
  readonly namesCredential: boolean
  /** Whether a valid credential came by the same connection. */
  readonly recognised: boolean
}

/** The class of a request. What takes a credential is worth no more than an anonymous call where none is named. */
export function workClassOf(declared: DeclaredWork, { namesCredential, recognised }: CallerSeen): WorkClass {
  if (declared !== 'member') return declared
  if (!namesCredential) return 'anonymous'
  return recognised ? 'essential' : 'newcomer'
}
