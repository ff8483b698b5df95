// A tokenizer of bytes: the tokens of a text are its bytes in UTF-8. It needs no vocabulary, knows
// every script, and loses nothing.

import { checkOptions, checkValue, count, needed, rule } from '../kernels/options.ts'

/** Number of different tokens: 0 for padding, and 1 to 256 for the bytes 0 to 255. */
export const byteVocabulary = 257

/** The tokens of several texts, as `gpu.tensor` and captured steps take them. */
export interface Tokens {
  /** [N, length], row by row. */
  readonly values: Int32Array
  readonly shape: readonly [N: number, length: number]
}

const MOST_TOKENS = 2 ** 29 // 2 GiB of i32

const texts = rule(
  'an array of strings',
  (v) => Array.isArray(v) && v.every((one) => typeof one === 'string'),
)

/** Turns texts into tokens [N, length]: each byte of the text in UTF-8 plus 1, then 0 to the end.
 *  Of a longer text, the first `length` bytes are used, without a character that is cut off. Throws
 *  TypeError for anything but an array of strings, and RangeError for more than 2^29 tokens. */
export function byteTokens(given: readonly string[], options: { readonly length: number }): Tokens {
  checkValue('byteTokens', 'texts', given, texts)
  const { length } = checkOptions('byteTokens', options ?? {}, { length: needed(count) })
  const most = Math.floor(MOST_TOKENS / Math.max(1, given.length))
  if (length > most)
    throw new RangeError(
      `byteTokens: length must be at most ${most} for ${given.length} texts, got ${length}; give fewer texts at a time, or a shorter length`,
    )
  const values = new Int32Array(given.length * length)
  const [encoder, bytes] = [new TextEncoder(), new Uint8Array(length)]
  for (const [n, one] of given.entries()) {
    const { written } = encoder.encodeInto(one, bytes)
    for (let l = 0; l < written; l++) values[n * length + l] = (bytes[l] ?? 0) + 1
  }
  return { values, shape: [given.length, length] }
}
