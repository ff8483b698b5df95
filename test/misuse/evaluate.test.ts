// Tests the errors of evaluation for wrong arguments from plain JavaScript.

import * as assert from 'uvu/assert'
import { classifier } from '../../evaluate/classify.ts'
import { embed, embedSlabs } from '../../evaluate/embed.ts'
import { knn } from '../../evaluate/knn.ts'
import { accuracy } from '../../evaluate/accuracy.ts'
import { linearProbe } from '../../evaluate/linear-probe.ts'
import { nearest } from '../../evaluate/nearest.ts'
import { SoftmaxRegression } from '../../evaluate/softmax-regression.ts'
import { scoresOf } from '../../evaluate/regression.ts'
import { resnet8 } from '../../models/resnet.ts'
import type { Values } from '../../kernels/op.ts'
import { openGpu } from '../../engine/node.ts'
import { gpuSuite } from '../fixtures/gpu.ts'
import { call, make, refusesAll } from '../fixtures/misuse.ts'

const test = gpuSuite('misuse of evaluation')

test('evaluation says what was wrong with a call', async ({ gpu }) => {
  const x = gpu.tensor([1, 2, 3, 4], [2, 2])
  const rows = { features: Float32Array.of(1, 2, 3, 4), M: 2, D: 2 }
  const regression = new SoftmaxRegression(gpu, rows, [0, 1], { classes: 2 })
  await refusesAll([
    [
      'a number for a batch',
      () => call(embed, gpu, () => x, [1], [16, 16, 3]),
      'embed: a batch must be an object with u8 images, got 1',
    ],
    [
      'nothing encoded',
      () => call(embed, gpu, () => {}, [{ images: new Uint8Array(768) }], [16, 16, 3]),
      'embed: what encode returns must be a tensor, got undefined',
    ],
    [
      'an option misspelt',
      () => call(knn, x, [0, 1], x, { neighbours: 5 }),
      `knn: there is no option 'neighbours'; its options are k, temperature, classes, normalized, chunk, slab, gpu, onProgress, signal`,
    ],
    [
      'rows misspelt',
      () => call(embedSlabs, gpu, () => x, [], [16, 16, 3], { row: 5 }),
      `embedSlabs: there is no option 'row'; did you mean 'rows'? Its options are rows, signal`,
    ],
    [
      'no rows',
      () => call(embedSlabs, gpu, () => x, [], [16, 16, 3], { rows: 0 }),
      'embedSlabs: rows must be a whole number from 1 on, got 0',
    ],
    [
      'a slab misspelt',
      () => call(nearest, x, x, 1, { slabs: 5 }),
      `nearest: there is no option 'slabs'; did you mean 'slab'? Its options are normalized, chunk, slab, gpu, onProgress, signal`,
    ],
    [
      'numbers for queries',
      () => call(nearest, x, [1, 2], 1),
      'nearest: queries must be a tensor [Q, D], or what embed returns, got an array of 2',
    ],
    [
      'no count',
      () => call(nearest, x, x),
      'nearest: k must be a whole number from 1, got undefined',
    ],
    [
      'another Gpu than one',
      () => call(knn, rows, [0, 1], rows, { gpu: true }),
      'knn: gpu must be a Gpu, as openGpu() resolves to, got true',
    ],
    [
      'parts that are none',
      () => call(nearest, new Set([1]), x, 1),
      'nearest: features must be { features, M, D }, as embed returns, got 1',
    ],
    [
      'no classes',
      () => call(linearProbe, gpu, rows, [0, 1]),
      'linearProbe: classes is missing; it must be a whole number from 1 on',
    ],
    [
      'a strength below 0',
      () => call(linearProbe, gpu, rows, [0, 1], { classes: 2, lambdas: [-1] }),
      'linearProbe: lambdas must be finite numbers above 0, got -1 at 0',
    ],
    [
      'a tensor for rows',
      () => call(linearProbe, gpu, x, [0, 1], { classes: 2 }),
      'linearProbe: features must be { features, M, D }, as embed returns, got a Tensor f32 [2, 2]',
    ],
    [
      'classes misspelt',
      () => make(SoftmaxRegression, gpu, rows, [0, 1], { clases: 2 }),
      `SoftmaxRegression: there is no option 'clases'; did you mean 'classes'? Its options are classes, scaling`,
    ],
    [
      'no strength',
      () => call(regression.fit.bind(regression), { tolerance: 1 }),
      'SoftmaxRegression.fit: lambda is missing; it must be a number',
    ],
    [
      'no regression',
      () => call(scoresOf, gpu, rows),
      'scoresOf: by must be a fitted regression, got undefined',
    ],
    [
      'an array for a tensor',
      () => call(knn, [1, 2], [0, 1], x),
      'knn: features must be a tensor [M, D], or what embed or embedSlabs returns, got an array of 2',
    ],
    [
      'no labels',
      () => call(knn, x, undefined, x),
      'knn: labels must be a tensor, or an array of whole numbers, got undefined',
    ],
    [
      'no labels to compare',
      () => call(accuracy, [0, 1]),
      'accuracy: labels must be an array of classes, got undefined',
    ],
    [
      'a model for a function',
      () => call(embed, gpu, resnet8(gpu, { width: 2 }), [], [16, 16, 3]),
      'embed: encode must be a function, got an object with parameters, norms, features, forward',
    ],
    [
      'no batches',
      () => call(embed, gpu, () => x, undefined, [16, 16, 3]),
      'embed: batches must be an iterable of batches, each with images, got undefined',
    ],
    [
      'no image',
      () => call(embed, gpu, () => x, []),
      'embed: image must be the [H, W, C] of an image, got undefined',
    ],
    [
      'no optimizer of a classifier',
      () =>
        call(classifier, gpu, {
          features: () => x,
          classify: () => x,
          schedule: 1,
          image: [1, 1, 3],
        }),
      'classifier: optimizer is missing; it must be an optimizer such as Sgd',
    ],
    [
      'a Gpu that is not there yet',
      () => call(embed, openGpu, () => x, [], [16, 16, 3]),
      'embed: gpu must be a Gpu, as openGpu() resolves to, got a function',
    ],
  ])
})

const rows = { features: Float32Array.of(1, 2, 3, -4), M: 2, D: 2 }
const labels = [0, 1]

test('evaluation converts features of any kind, or says what they are', async ({ gpu }) => {
  const score = async (features: Values) => {
    const given = { ...rows, features }
    const { predictions } = await knn(given, labels, given, { k: 1, gpu })
    const { indices } = await nearest([given], given, 2, { gpu })
    const probe = await linearProbe(gpu, given, labels, { classes: 2 })
    const scores = await scoresOf(gpu, given, probe)
    return [predictions, indices, scores].map((list) => [...list])
  }
  const expected = await score(rows.features)
  const nested = [
    [1, 2],
    [3, -4],
  ]
  for (const features of [
    [1, 2, 3, -4],
    nested,
    Int8Array.of(1, 2, 3, -4),
    Float64Array.of(1, 2, 3, -4),
  ])
    assert.equal(await score(features), expected)
  const of = (features: unknown, M = 2) => ({ features, M, D: 2 })
  const none = 'values must be numbers in a typed array or in arrays, got'
  const itself: unknown[] = []
  itself.push(itself)
  await refusesAll([
    ['null', () => call(scoresOf, gpu, of(null), {}), `scoresOf: features: ${none} null`],
    [
      'text',
      () => call(linearProbe, gpu, of(['1']), labels, { classes: 2 }),
      `linearProbe: features: ${none} '1' at [0]`,
    ],
    [
      'itself',
      () => call(knn, of(itself), labels, rows, { gpu }),
      'knn: features: arrays are nested more than 64 deep; does one hold itself?',
    ],
    [
      'a count below 0',
      () => call(nearest, rows, of([1, 2], -1), 1, { gpu }),
      'nearest: queries [M, D] must hold M D numbers, got 2 for [-1, 2]',
    ],
    [
      'a part',
      () => call(nearest, [of([1])], rows, 1, { gpu }),
      'nearest: features [M, D] must hold M D numbers, got 1 for [2, 2]',
    ],
  ])
})

test('evaluation names strengths, widths and classes that cannot be', async ({ gpu }) => {
  const probe = (lambdas: unknown) => () =>
    call(linearProbe, gpu, rows, labels, { classes: 2, lambdas })
  const wide = { features: [1, 2, 3, 4, 5, 6], M: 2, D: 3 }
  const fitted = await new SoftmaxRegression(gpu, rows, labels, { classes: 2 }).fit({ lambda: 0.1 })
  const other = new SoftmaxRegression(gpu, wide, labels, { classes: 2 })
  const most = Math.floor(gpu.device.limits.maxStorageBufferBindingSize / 4)
  await refusesAll([
    [
      'infinite',
      probe([0.1, Infinity]),
      'linearProbe: lambdas must be finite numbers above 0, got Infinity at 1',
    ],
    [
      'text',
      probe(['0.1']),
      "linearProbe: lambdas: values must be numbers in a typed array or in arrays, got '0.1' at [0]",
    ],
    ['none', probe([]), 'linearProbe: lambdas must have at least one number, got none'],
    [
      'an infinite one to fit',
      () => other.fit({ lambda: Infinity }),
      'SoftmaxRegression: lambda must be a finite number above 0, got Infinity',
    ],
    [
      'another width',
      () => scoresOf(gpu, wide, fitted),
      'scoresOf: features [M, D] must have the D of the regression, 2, got [2, 3]',
    ],
    [
      'another width to start at',
      () => other.fit({ lambda: 1, start: fitted }),
      'SoftmaxRegression.fit: start must have weights [classes, D] = [2, 3], got 4 weights and 2 biases',
    ],
    [
      'another width of scaling',
      () => make(SoftmaxRegression, gpu, wide, labels, { classes: 2, scaling: fitted.scaling }),
      'SoftmaxRegression: features [M, D] must have the D of the scaling, 2, got [2, 3]',
    ],
    [
      'classes',
      () => knn(rows, [0, 2 ** 31 - 1], rows, { gpu }),
      `knn: there can be ${most} classes at most on this device, got 2147483648; number them from 0 on, without gaps`,
    ],
    [
      'classes of a probe',
      () => make(SoftmaxRegression, gpu, rows, labels, { classes: 2 ** 31 }),
      `SoftmaxRegression: there can be ${Math.floor(most / 2)} classes at most on this device, got 2147483648; number them from 0 on, without gaps`,
    ],
    [
      'text for a temperature',
      () => call(knn, rows, labels, rows, { gpu, temperature: '0.1' }),
      "knn: temperature must be a number, got '0.1'",
    ],
  ])
})

test.run()
