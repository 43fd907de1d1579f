import { CertbookError } from './errors.ts'

/** The largest answer that there is, a hundred addresses with ten certificates each and their chains, is a third of it. */
const bytesAllowed = 32 * 1_048_576

/**
 * The text of an answer of 32 MiB at most, after decompression; the rest of a longer one is not taken. Rejects with
 * CertbookError `answer_malformed` for that, and as the body does. A runtime whose answers are no streams (React
 * Native) has the whole of it in memory by then.
 */
export async function readBounded(response: Response): Promise<string> {
  const { body } = response
  if (!body) return await response.text()
  const decoder = new TextDecoder()
  const reader = body.getReader()
  let text = ''
  let taken = 0
  for (;;) {
    const { done, value } = await reader.read()
    if (done) return text + decoder.decode()
    taken += value.length
    if (taken > bytesAllowed) {
      await reader.cancel()
      throw new CertbookError('answer_malformed', 'The answer is longer than any of this service.')
    }
    text += decoder.decode(value, { stream: true })
  }
}
