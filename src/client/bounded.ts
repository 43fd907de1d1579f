import { CertbookError } from './errors.ts'

/** Three times the largest honest answer: a hundred addresses, each with ten certificates and their chains. */
const bytesAllowed = 32 * 1_048_576

/**
 * Reads the text of an answer, at most 32 MiB after decompression. Stops reading a longer one. Rejects with
 * CertbookError `answer_malformed` for a longer one, and as the body rejects. Where answers are no streams (React
 * Native), the whole answer is in memory before this begins.
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
