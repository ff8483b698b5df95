// The receiver operating characteristic of a score for two classes (Fawcett 2006,
// https://doi.org/10.1016/j.patrec.2005.10.010).

import { flatNumbers } from '../../kernels/numbers.ts'
import { type Values, ShapeError } from '../../kernels/op.ts'
import { checkValue, having } from '../../kernels/options.ts'
import type { IndexList } from '../../kernels/wgsl/indices.ts'

/** How well a score tells positive samples from negative ones. */
export interface RocCurve {
  /** Area under the curve: the probability that a positive sample has a larger score than a
   *  negative one, with equal scores counted half. */
  readonly auc: number
  /** Mean precision over the steps of recall, without interpolation. */
  readonly averagePrecision: number
  /** The points of the curve, from (0, 0) on: one for each different score, the largest first. */
  readonly falsePositiveRate: Float64Array
  readonly truePositiveRate: Float64Array
  /** The score of each point: samples of this score and above are called positive. Infinity for
   *  the first point. */
  readonly thresholds: Float64Array
}

/** Computes the curve of scores [N], larger for positive samples, and labels [N] of 0 and 1.
 *  Throws ShapeError when counts differ, RangeError for other labels or when one of the two does
 *  not occur, and Error for scores that are NaN. */
export function rocCurve(scores: Values, labels: IndexList): RocCurve {
  const { given, truth, order } = sorted(scores, labels)
  const positives = truth.reduce((sum, label) => sum + label, 0)
  const negatives = truth.length - positives
  if (positives === 0 || negatives === 0)
    throw new RangeError(
      `rocCurve: labels must have both classes, got ${negatives} of 0 and ${positives} of 1`,
    )
  const points = { falsePositiveRate: [0], truePositiveRate: [0], thresholds: [Infinity] }
  let [hits, alarms, auc, averagePrecision] = [0, 0, 0, 0]
  for (let i = 0; i < order.length;) {
    const threshold = given[order[i] ?? 0] ?? NaN
    const [hitsBefore, alarmsBefore] = [hits, alarms]
    for (; i < order.length && given[order[i] ?? 0] === threshold; i++) {
      if (truth[order[i] ?? 0] === 1) hits++
      else alarms++
    }
    points.falsePositiveRate.push(alarms / negatives)
    points.truePositiveRate.push(hits / positives)
    points.thresholds.push(threshold)
    auc += ((alarms - alarmsBefore) * (hits + hitsBefore)) / 2
    averagePrecision += ((hits - hitsBefore) / positives) * (hits / (hits + alarms))
  }
  return {
    auc: auc / (positives * negatives),
    averagePrecision,
    falsePositiveRate: Float64Array.from(points.falsePositiveRate),
    truePositiveRate: Float64Array.from(points.truePositiveRate),
    thresholds: Float64Array.from(points.thresholds),
  }
}

/** The samples, the largest score first. */
function sorted(scores: Values, labels: IndexList) {
  checkValue('rocCurve', 'labels', labels, having('an array of 0 and 1', 'length'))
  const given = flatNumbers('rocCurve: scores', scores)
  const truth = Array.from(flatNumbers('rocCurve: labels', labels))
  if (given.length !== truth.length)
    throw new ShapeError(
      `rocCurve: there must be one score per label, got ${given.length} for ${truth.length} labels`,
    )
  for (let i = 0; i < truth.length; i++) {
    if (truth[i] !== 0 && truth[i] !== 1)
      throw new RangeError(`rocCurve: labels must be 0 or 1, got ${truth[i]} at ${i}`)
    if (Number.isNaN(given[i])) throw new Error(`rocCurve: scores must be numbers, got NaN at ${i}`)
  }
  const at = (i: number) => given[i] ?? NaN
  const order = truth.map((_, i) => i).sort((a, b) => (at(b) > at(a) ? 1 : at(b) < at(a) ? -1 : 0))
  return { given, truth, order }
}
