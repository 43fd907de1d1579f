import { factsOfKind } from '../api/ca-kinds/all.ts'
import type { CaCheckAnswer, CaConnectionAnswer } from '../api/ca-shapes.ts'
import { table } from './terminal.ts'

/** What an operator can check first, by the reason why a CA cannot be used. */
const advice: Readonly<Record<string, string>> = {
  unreachable:
    'It was not found, refused the connection, or does not answer: is the url right, and does the CA run? A CA inside must ' +
    'be named in EGRESS_ALLOW.',
  tls_refused:
    'No TLS that can be trusted was agreed on: does the port speak TLS, does the name in the url fit, and do tlsAnchors ' +
    "hold what the CA's TLS certificate leads to?",
  timed_out: 'It did not answer in time: is it busy, or does something between hold it up? See timeoutSeconds.',
  connection_lost: 'The connection broke before there was an answer: look at the log of the CA.',
  answer_too_large: 'It answered more than any CA does: is the url that of the CA?',
  answer_malformed: 'It answered what no CA of this kind does: is the url that of the CA, and the kind right?',
  credential_refused: 'It does not know the service, or does not let it in: compare the credentials at both ends.',
  busy: 'It is there, and asks to come back later.',
  ca_offline: 'The server is there, but its CA is not in operation: bring it online there.',
  ca_error: 'It failed by itself: look at the log of the CA.',
  profile_refused: 'Its profile does not certify keys for e-mail: name another one, or change it at the CA.',
  anchors_differ:
    'What it shows does not lead to the anchors of this connection, so nothing that it issues would be kept: have the ' +
    'right --anchors, and --intermediates where there are any.',
}

function adviceOn({ kind }: Pick<CaConnectionAnswer, 'kind'>, { failure, caSaid }: CaCheckAnswer): string {
  return factsOfKind(kind)?.adviceOn?.[caSaid ?? ''] ?? advice[failure ?? ''] ?? ''
}

/** Says the result of a connection test in words. */
export function describeTest(tested: Pick<CaConnectionAnswer, 'kind' | 'can'>, found: CaCheckAnswer): string[] {
  if (tested.can.byHand) return ['Nothing to test: this CA is asked by hand.']
  const facts = table(Object.entries(found.facts))
  if (found.ready) return ['The CA is there, and lets the service in.', ...facts]
  return [
    `The CA cannot be used: ${found.failure ?? 'unknown'}. ${adviceOn(tested, found)}`.trim(),
    ...(found.caSaid === null ? [] : [`It said: ${found.caSaid}`]),
    ...facts,
  ]
}
