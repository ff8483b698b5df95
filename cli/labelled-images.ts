// Labelled images as classifiers take them, and how many of them scores have right.

import type { Dataset } from '../data/dataset.ts'
import { predicted } from '../evaluate/regression.ts'
import { batchesInOrder } from '../training/knn.ts'

/** Reads every image with its label, in order, the last incomplete batch included. Throws Error for
 *  a set without labels. */
export async function* labelledBatches(dataset: Dataset) {
  for await (const { images, labels } of batchesInOrder(dataset)) {
    if (!labels) throw new Error(`${dataset.name}: the test images have no labels`)
    yield { images, labels }
  }
}

/** The percentage of images whose largest score, the first of equals, is their label's. */
export function percentRight(
  scores: Float32Array,
  { size, labels, classes }: Pick<Dataset, 'size' | 'labels' | 'classes'>,
): number {
  const own = predicted(scores, classes.length)
  return (100 * own.filter((label, n) => label === labels?.[n]).length) / size
}

/** The mean cross entropy of scores [N, C]. */
export function entropyOf(
  scores: Float32Array,
  { size, labels, classes }: Pick<Dataset, 'size' | 'labels' | 'classes'>,
): number {
  const C = classes.length
  let sum = 0
  for (let n = 0; n < size; n++) {
    const own = scores.subarray(n * C, (n + 1) * C)
    const most = own.reduce((a, b) => Math.max(a, b), -Infinity)
    const total = own.reduce((all, score) => all + Math.exp(score - most), 0)
    sum += most + Math.log(total) - (own[labels?.[n] ?? 0] ?? NaN)
  }
  return sum / size
}
