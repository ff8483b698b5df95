// What --report of kindred eval adds: how well each class is told, and what the features are like.

import type { Dataset } from '../data/dataset.ts'
import { classificationReport } from '../evaluate/measure/classification-report.ts'
import { rocCurve } from '../evaluate/measure/roc-curve.ts'
import type { FeatureMeasures } from './feature-measures.ts'

const COLUMNS = 60 // of the confusion matrix
const NAME = 14 // most columns of a class's name
const TOP = 5

/** Scores of test images. */
export interface Judged {
  /** [N, classes] */
  readonly scores: Float32Array
  /** [N], where they are not the classes with the largest scores. */
  readonly predictions?: ArrayLike<number>
}

/** How well test images are classified, in percent, but for `auc`, from 0 to 1. */
export interface ClassMeasures {
  readonly classes: readonly {
    readonly name: string
    /** Number of test images. */
    readonly images: number
    /** Null for a class without test images. */
    readonly accuracy: number | null
  }[]
  readonly balancedAccuracy: number
  /** Null for 5 classes and fewer, where it is always 100. */
  readonly top5: number | null
  /** Images of class i predicted as j, in row i and column j. */
  readonly confusion: readonly (readonly number[])[]
  /** Area under the ROC curve of the second class; null unless there are two, both with images. */
  readonly auc: number | null
}

/** Compares the scores of a data set's images with their labels. */
export function classMeasures(
  { scores, predictions }: Judged,
  { labels, classes }: Pick<Dataset, 'labels' | 'classes'>,
): ClassMeasures {
  const truth = labels ?? new Int32Array(0)
  const C = classes.length
  const report = classificationReport(scores, truth, {
    classes: C,
    ...(predictions && { predictions: Array.from(predictions) }),
  })
  const { support, recall, confusion } = report
  const isTwo = C === 2 && truth.includes(0) && truth.includes(1)
  const margins = Array.from(truth, (_, n) => (scores[2 * n + 1] ?? 0) - (scores[2 * n] ?? 0))
  return {
    classes: classes.map((name, c) => ({
      name,
      images: support[c] ?? 0,
      accuracy: support[c] ? 100 * (recall[c] ?? 0) : null,
    })),
    balancedAccuracy: 100 * report.balancedAccuracy,
    top5: C > TOP ? 100 * report.top5 : null,
    confusion: classes.map((_, c) => Array.from(confusion.subarray(c * C, (c + 1) * C))),
    auc: isTwo ? rocCurve(margins, truth).auc : null,
  }
}

/** Both parts of a report, as --json prints it. */
export type EvalReport = ClassMeasures & FeatureMeasures

/** Writes a report in lines of at most 60 columns. Names longer than 14 columns are cut. */
export function reportLines(report: EvalReport): string[] {
  const { balancedAccuracy, top5, auc, alignment, uniformity, effectiveRank } = report
  const value = (of: number | null, digits = 3) => (of === null ? '-' : of.toFixed(digits))
  const row = (what: string, said: string) => `  ${what.padEnd(20)}${said}`
  return [
    'accuracy of each class',
    ...report.classes.map(
      ({ name, accuracy, images }) =>
        `  ${short(name).padEnd(NAME)}${`${value(accuracy, 1)}%`.padStart(8)} of ${images}`,
    ),
    row('balanced accuracy', `${value(balancedAccuracy, 2)}%`),
    ...(top5 === null ? [] : [row('top-5', `${value(top5, 2)}%`)]),
    ...(auc === null ? [] : [row('ROC AUC', value(auc, 4))]),
    ...confusionLines(report),
    `unit features of ${report.measuredOn} test images`,
    row('alignment', value(alignment)),
    row('uniformity', value(uniformity)),
    row('effective rank', `${value(effectiveRank, 1)} of ${report.dimensions}`),
    row(
      'mean deviation',
      `${value(report.deviation, 4)}, ${value(report.evenDeviation, 4)} if even`,
    ),
    ...(report.collapsed
      ? ['  the features have collapsed: all images look alike to the encoder']
      : []),
  ]
}

const short = (name: string) => (name.length > NAME ? `${name.slice(0, NAME - 1)}…` : name)

/** Writes the confusion matrix, or where it is if it is too wide. */
function confusionLines({ classes, confusion }: ClassMeasures): string[] {
  const most = Math.max(...confusion.flat(), classes.length)
  const cell = String(most).length + 1
  if (2 + NAME + 4 + cell * classes.length > COLUMNS)
    return ['confusion matrix: too wide; in --json, report.confusion']
  const cells = (row: readonly number[]) => row.map((n) => String(n).padStart(cell)).join('')
  const numbered = (i: number) => String(i + 1).padStart(3)
  return [
    'confusion matrix: a row per class, a column per prediction',
    `  ${' '.repeat(NAME + 4)}${cells(classes.map((_, i) => i + 1))}`,
    ...classes.map(
      ({ name }, i) => `  ${numbered(i)} ${short(name).padEnd(NAME)}${cells(confusion[i] ?? [])}`,
    ),
  ]
}
