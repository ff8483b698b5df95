// The result of `knn`, written chunk by chunk from the votes of neighbours.

import type { Gpu } from '../engine/gpu.ts'
import { checkClasses } from './slabs.ts'

/** Scores and predictions of Q queries. */
export interface KnnResult {
  /** [Q, classes], in row-major order. Infinity where a score exceeds f32, which takes a
   *  temperature below 0.012. */
  readonly scores: Float32Array
  /** [Q], the class with the largest score, the lowest of equals. Right also where scores are
   *  infinite, because classes are compared by the logarithm. */
  readonly predictions: Int32Array
}

/** Makes room for a result. Throws RangeError where it is larger than one array. */
export function emptyResult(gpu: Gpu, Q: number, classes: number): KnnResult {
  checkClasses('knn', gpu, classes, 1)
  try {
    return { scores: new Float32Array(Q * classes), predictions: new Int32Array(Q) }
  } catch (cause) {
    throw new RangeError(
      `knn: scores [${Q}, ${classes}] need ${Q * classes * 4} bytes, more than one array can hold; give fewer queries at a time`,
      { cause },
    )
  }
}

/** The votes of a chunk of n queries. */
interface Votes {
  /** [n, classes]: sum of exp((s - most) / temperature) over the similarities s of a class. */
  readonly v: Float32Array
  /** [n, classes]: the largest similarity of a class. */
  readonly most: Float32Array
  readonly classes: number
  readonly temperature: number
}

/** Writes the scores and predictions of the queries from `start` on. Compares classes by
 *  log score = most / temperature + log v, which does not overflow. */
export function judge(
  { v, most, classes, temperature }: Votes,
  start: number,
  { scores, predictions }: KnnResult,
) {
  for (let i = 0; i < v.length; i += classes) {
    let best = -Infinity
    const query = start + i / classes
    for (let c = 0; c < classes; c++) {
      const votes = v[i + c] ?? NaN
      const height = (most[i + c] ?? NaN) / temperature
      if (Number.isNaN(votes + height))
        throw new Error('knn: features or queries are not finite; the encoder has diverged')
      const logScore = votes === 0 ? -Infinity : height + Math.log(votes)
      scores[query * classes + c] = votes === 0 ? 0 : votes * Math.exp(height)
      if (logScore > best) {
        best = logScore
        predictions[query] = c
      }
    }
  }
}
