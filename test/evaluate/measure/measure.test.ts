// Measurements of classifiers and features against scikit-learn and numpy.

import * as assert from 'uvu/assert'
import { suite } from 'uvu'
import { classificationReport } from '../../../evaluate/measure/classification-report.ts'
import { pca } from '../../../evaluate/measure/pca.ts'
import { rocCurve } from '../../../evaluate/measure/roc-curve.ts'
import { spectrum, spreadOfUnitRows } from '../../../evaluate/measure/spectrum.ts'
import { ridgeClassifier } from '../../../evaluate/ridge.ts'
import { close, random } from '../../fixtures/check.ts'
import { Golden, goldenNames } from '../../fixtures/golden.ts'
import { call, refusesAll } from '../../fixtures/misuse.ts'

const test = suite('measures')

const featuresOf = (golden: Golden, name = 'in.features') => {
  const [M = 0, D = 0] = golden.shape(name)
  return { features: golden.values(name), M, D }
}

for (const name of goldenNames('metrics_'))
  test(`classificationReport matches ${name}`, () => {
    const golden = new Golden(name)
    const classes = Number(golden.config['classes'])
    const report = classificationReport(golden.values('in.scores'), golden.values('in.labels'), {
      classes,
    })
    for (const key of ['predictions', 'confusion', 'support', 'recall', 'precision', 'f1'] as const)
      golden.expect(`out.${key}`, report[key])
    golden.expect('out.correct', [report.correct])
    golden.expect('out.top5_correct', [report.top5Correct])
    golden.expect('out.macro_f1', [report.macroF1])
    golden.expect('out.balanced_accuracy', [report.balancedAccuracy])
    golden.expect('out.cohen_kappa', [report.kappa])
    golden.expect('out.mcc', [report.mcc])
    golden.done()
    assert.is(report.accuracy, report.correct / report.predictions.length)
    assert.is(report.top5, report.top5Correct / report.predictions.length)
  })

test('classificationReport takes predictions that are not the largest scores', () => {
  const report = classificationReport([1, 0, 1, 0], [0, 1], { classes: 2, predictions: [0, 1] })
  assert.is(report.accuracy, 1)
  assert.is(classificationReport([1, 0, 1, 0], [0, 1], { classes: 2 }).accuracy, 0.5)
})

for (const name of goldenNames('roc_auc_'))
  test(`rocCurve matches ${name}`, () => {
    const golden = new Golden(name)
    const [scores, labels] = [golden.values('in.scores'), golden.values('in.labels')]
    const curve = rocCurve(scores, labels)
    golden.expect('out.auc', [curve.auc])
    golden.expect('out.average_precision', [curve.averagePrecision])
    golden.expect('out.fpr', curve.falsePositiveRate)
    golden.expect('out.tpr', curve.truePositiveRate)
    // the counts at a threshold follow from the curve's point
    const at = curve.thresholds.findLastIndex((t) => t >= Number(golden.config['threshold']))
    const [tpr, fpr] = [curve.truePositiveRate[at] ?? NaN, curve.falsePositiveRate[at] ?? NaN]
    const positives = labels.reduce((a, b) => a + b, 0)
    const negatives = labels.length - positives
    const [tp, fp] = [Math.round(tpr * positives), Math.round(fpr * negatives)]
    golden.expect('out.counts', [tp, fp, positives - tp, negatives - fp])
    golden.expect('out.sensitivity', [tpr])
    golden.expect('out.specificity', [1 - fpr])
    golden.done()
  })

for (const name of goldenNames('pca_'))
  test(`pca matches ${name}`, () => {
    const golden = new Golden(name)
    const found = pca(featuresOf(golden))
    golden.expect('out.mean', found.mean)
    golden.expect('out.components', found.components)
    golden.expect('out.explained_variance', found.explainedVariance)
    golden.expect('out.explained_variance_ratio', found.explainedVarianceRatio)
    golden.expect('out.coordinates', found.coordinates)
    golden.done()
  })

test('pca finds close components among many dimensions', () => {
  const [M, D] = [80, 60]
  const given = { features: Float32Array.from(random(M * D, 4)), M, D }
  const [few, all] = [pca(given, { components: 3 }), pca(given, { components: D })]
  close(few.components, all.components.subarray(0, 3 * D), 1e-5, 'components')
  close([all.explainedVarianceRatio.reduce((a, b) => a + b, 0)], [1], 1e-9, 'shares')
})

test('pca of equal features has no variance and no NaN', () => {
  const found = pca({ features: new Float32Array(12).fill(2), M: 4, D: 3 })
  assert.ok([...found.explainedVariance, ...found.coordinates].every((v) => v === 0))
})

for (const name of goldenNames('rankme_'))
  test(`spectrum matches ${name}`, () => {
    const golden = new Golden(name)
    const rows = featuresOf(golden)
    const found = spectrum(rows)
    golden.expect('out.singular_values', found.singularValues)
    golden.expect('out.rankme', [found.rankMe])
    golden.expect('out.effective_rank', [found.effectiveRank])
    golden.expect('out.rankme_centred', [spectrum(rows, { centred: true }).rankMe])
    golden.expect('out.std_of_unit_rows', [spreadOfUnitRows(rows)])
    golden.done()
  })

for (const name of goldenNames('ridge_'))
  test(`ridgeClassifier matches ${name}`, () => {
    const golden = new Golden(name)
    const classes = Number(golden.config['classes'])
    const fitted = ridgeClassifier(featuresOf(golden), golden.values('in.labels'), {
      classes,
      alpha: Number(golden.config['alpha']),
    })
    const scores = fitted.scores(featuresOf(golden, 'in.test_features'))
    golden.expect('out.weight', fitted.weight)
    golden.expect('out.bias', fitted.bias)
    golden.expect('out.test_scores', scores)
    const report = classificationReport(scores, golden.values('in.test_labels'), { classes })
    golden.expect('out.test_predictions', report.predictions)
    golden.expect('out.test_correct', [report.correct])
    golden.done()
  })

test('misuse is refused in words', async () => {
  const rows = { features: Float32Array.of(1, 2, 3, 4), M: 2, D: 2 }
  const broken = { features: Float32Array.of(1, NaN), M: 1, D: 2 }
  await refusesAll([
    [
      'classificationReport',
      () => call(classificationReport, [1, 0], [0], { classes: 0 }),
      'classificationReport: classes must be a whole number from 1 on, got 0',
    ],
    [
      'classificationReport',
      () => call(classificationReport, [1, 0], [2], { classes: 2 }),
      'classificationReport: labels must be whole numbers from 0 to 1, got 2 at 0',
    ],
    [
      'classificationReport',
      () => call(classificationReport, [1, 0, 2], [0], { classes: 2 }),
      'classificationReport: scores [N, classes] must be [1, 2] with N at least 1, got 3 numbers',
    ],
    [
      'classificationReport',
      () => call(classificationReport, [1, NaN], [0], { classes: 2 }),
      'classificationReport: scores must be numbers, got NaN at 1',
    ],
    [
      'rocCurve',
      () => call(rocCurve, [1, 2], [0, 0]),
      'rocCurve: labels must have both classes, got 2 of 0 and 0 of 1',
    ],
    [
      'rocCurve',
      () => call(rocCurve, [1], [0, 1]),
      'rocCurve: there must be one score per label, got 1 for 2 labels',
    ],
    [
      'rocCurve',
      () => call(rocCurve, [1, 2], [0, 2]),
      'rocCurve: labels must be 0 or 1, got 2 at 1',
    ],
    [
      'rocCurve',
      () => call(rocCurve, [1, NaN], [0, 1]),
      'rocCurve: scores must be numbers, got NaN at 1',
    ],
    [
      'pca',
      () => call(pca, rows, { components: 3 }),
      'pca: components must be at most min(M, D) = 2, got 3',
    ],
    ['pca', () => call(pca, broken), 'pca: needs at least 2 features, got 1'],
    [
      'spectrum',
      () => call(spectrum, broken),
      'spectrum: features or queries are not finite; the encoder has diverged',
    ],
    [
      'spreadOfUnitRows',
      () => call(spreadOfUnitRows, broken),
      'spreadOfUnitRows: features or queries are not finite; the encoder has diverged',
    ],
    [
      'ridgeClassifier',
      () => call(ridgeClassifier, rows, [0, 1], { classes: 2, alpha: 0 }),
      'ridgeClassifier: alpha must be a finite number above 0, got 0',
    ],
    [
      'ridgeClassifier',
      () => call(ridgeClassifier, rows, [0], { classes: 2, alpha: 1 }),
      'ridgeClassifier: there must be at least one feature and one label for each, got 1 labels for 2',
    ],
    [
      'ridgeClassifier',
      () => call(ridgeClassifier, rows, [0, 1], { classes: 2 }),
      'ridgeClassifier: alpha is missing; it must be a number',
    ],
  ])
})

test.run()
