// How well a classifier does, class by class.

import { flatNumbers } from '../../kernels/numbers.ts'
import { type Values, ShapeError } from '../../kernels/op.ts'
import { checkOptions, count, having, needed } from '../../kernels/options.ts'
import type { IndexList } from '../../kernels/wgsl/indices.ts'
import { classLabels } from '../labels.ts'

/** Options of `classificationReport`. */
export interface ReportOptions {
  /** Number of classes C: labels and predictions are whole numbers below it. */
  readonly classes: number
  /** Predicted classes [N], where they are not the ones with the largest scores: `knn` returns
   *  them beside its scores. */
  readonly predictions?: IndexList
}

/** How well N samples of C classes were classified. Shares are from 0 to 1; 0 / 0 counts as 0. */
export interface ClassificationReport {
  /** [N], the class with the largest score, the lowest of equals. */
  readonly predictions: Int32Array
  /** [C, C]: samples of class i predicted as j, at i C + j. */
  readonly confusion: Uint32Array
  /** [C], samples of each class. */
  readonly support: Uint32Array
  /** [C], the share of a class's samples that is predicted as it. */
  readonly recall: Float64Array
  /** [C], the share of a class's predictions that is right. */
  readonly precision: Float64Array
  /** [C], the harmonic mean of recall and precision. */
  readonly f1: Float64Array
  /** Samples predicted right. */
  readonly correct: number
  /** Samples whose class has one of the five largest scores. A score equal to another is above it
   *  if its class is lower. */
  readonly top5Correct: number
  readonly accuracy: number
  readonly top5: number
  /** Mean recall of the classes that occur. */
  readonly balancedAccuracy: number
  /** Mean F1 of all C classes. */
  readonly macroF1: number
  /** Cohen's kappa: agreement beyond chance, 1 at most. */
  readonly kappa: number
  /** Matthews' correlation coefficient, for any number of classes (Gorodkin 2004). */
  readonly mcc: number
}

const arrayRule = having('an array of whole numbers', 'length')
const rules = { classes: needed(count), predictions: arrayRule }

/** Compares scores [N, C], in row-major order, with the labels [N] of the samples. Throws
 *  ShapeError when sizes differ, RangeError for labels and predictions out of range, and Error for
 *  scores that are NaN. */
export function classificationReport(
  scores: Values,
  labels: IndexList,
  options: ReportOptions,
): ClassificationReport {
  const name = 'classificationReport'
  const { classes, predictions: told } = checkOptions(name, options, rules)
  const truth = classLabels(name, labels, { classes })
  const given = scoresOf(name, scores, truth.length, classes)
  const predictions =
    told === undefined
      ? largest(given, classes)
      : classLabels(name, told, { classes, what: 'predictions' })
  if (predictions.length !== truth.length)
    throw new ShapeError(
      `${name}: there must be one prediction per label, got ${predictions.length} for ${truth.length} labels`,
    )
  const confusion = new Uint32Array(classes * classes)
  for (let n = 0; n < truth.length; n++) {
    const at = (truth[n] ?? 0) * classes + (predictions[n] ?? 0)
    confusion[at] = (confusion[at] ?? 0) + 1
  }
  const top5Correct = truth.reduce(
    (sum, label, n) => sum + Number(rank(given, n * classes, classes, label) < 5),
    0,
  )
  return {
    predictions,
    confusion,
    top5Correct,
    top5: top5Correct / truth.length,
    ...rates(confusion, classes),
  }
}

function scoresOf(name: string, scores: Values, N: number, C: number): ArrayLike<number> {
  const given = flatNumbers(`${name}: scores`, scores)
  if (N === 0 || given.length !== N * C)
    throw new ShapeError(
      `${name}: scores [N, classes] must be [${N}, ${C}] with N at least 1, got ${given.length} numbers`,
    )
  for (let i = 0; i < given.length; i++)
    if (Number.isNaN(given[i])) throw new Error(`${name}: scores must be numbers, got NaN at ${i}`)
  return given
}

/** The class with the largest score of each row, the lowest of equals. */
function largest(scores: ArrayLike<number>, C: number): Int32Array {
  return Int32Array.from({ length: scores.length / C }, (_, n) => {
    let best = 0
    for (let c = 1; c < C; c++)
      if ((scores[n * C + c] ?? NaN) > (scores[n * C + best] ?? NaN)) best = c
    return best
  })
}

/** Counts the classes of a row whose score is above this class's. */
function rank(scores: ArrayLike<number>, row: number, C: number, label: number): number {
  const own = scores[row + label] ?? NaN
  let above = 0
  for (let c = 0; c < C; c++) {
    const score = scores[row + c] ?? NaN
    above += Number(score > own || (score === own && c < label))
  }
  return above
}

const share = (part: number, whole: number) => (whole === 0 ? 0 : part / whole)

/** What follows from the counts alone. */
function rates(confusion: Uint32Array, C: number) {
  const at = (i: number, j: number) => confusion[i * C + j] ?? 0
  const classes = Array.from({ length: C }, (_, c) => c)
  const add = (of: (c: number) => number) => classes.reduce((sum, c) => sum + of(c), 0)
  const support = Uint32Array.from(classes, (i) => add((j) => at(i, j)))
  const predicted = Uint32Array.from(classes, (j) => add((i) => at(i, j)))
  const [own, foreseen] = [(c: number) => support[c] ?? 0, (c: number) => predicted[c] ?? 0]
  const recall = Float64Array.from(classes, (c) => share(at(c, c), own(c)))
  const precision = Float64Array.from(classes, (c) => share(at(c, c), foreseen(c)))
  const f1 = Float64Array.from(classes, (c) => share(2 * at(c, c), own(c) + foreseen(c)))
  const [N, correct] = [add(own), add((c) => at(c, c))]
  const both = add((c) => own(c) * foreseen(c)) / N // right predictions by chance
  const spread = (of: (c: number) => number) => N - add((c) => of(c) ** 2) / N
  return {
    ...{ support, recall, precision, f1, correct },
    accuracy: correct / N,
    balancedAccuracy: recall.reduce((a, b) => a + b, 0) / support.filter((n) => n > 0).length,
    macroF1: f1.reduce((a, b) => a + b, 0) / C,
    kappa: share(correct - both, N - both),
    mcc: share(correct - both, Math.sqrt(spread(own) * spread(foreseen))),
  }
}
