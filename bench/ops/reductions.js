// Reductions, normalisations of rows, shapes and indices in float64.

import { build, constant, input, total } from './float64.js'

const X = [3, 5, 70]
const whole = (values) => constant([values.length], Int32Array.from(values))
const lengthOf = (x, i, j) => Math.sqrt(total(70, (l) => x(i, j, l) ** 2))
const lineOf = (x, i, j) => Array.from({ length: 70 }, (_, l) => x(i, j, l))
const peak = (x, i, j) => Math.max(...lineOf(x, i, j))
const logSum = (x, i, j) => {
  const top = peak(x, i, j)
  return top + Math.log(total(70, (l) => Math.exp(x(i, j, l) - top)))
}
const one = (op, call, reference, inputs = [input(X)]) => ({ op, call, reference, inputs })

const labels = [3, 0, 9, 9, 1, 4, 7]
const WEIGHTS = Float32Array.from({ length: 10 }, (_, c) => 0.5 + c / 4)

export const reductions = [
  one(
    'sum',
    (k, x) => k.sum(x, [0, 2]),
    (x) => build([5], (j) => total(210, (i) => x(Math.floor(i / 70), j, i % 70))),
  ),
  one(
    'mean',
    (k, x) => k.mean(x, 1),
    (x) => build([3, 70], (i, l) => total(5, (j) => x(i, j, l)) / 5),
  ),
  one(
    'lengthsOf',
    (k, tokens) => k.lengthsOf(tokens),
    () => [3, 0, 4],
    [constant([3, 4], Int32Array.from([5, 0, 3, 0, 0, 0, 0, 0, 1, 1, 1, 1]))],
  ),
  one(
    'meanRows',
    (k, x, lengths) => k.meanRows(x, lengths),
    (x, lengths) =>
      build([3, 70], (n, d) =>
        lengths(n) > 0 ? total(lengths(n), (l) => x(n, l, d)) / lengths(n) : 0,
      ),
    [input(X), whole([2, 0, 5])],
  ),
  one(
    'cast',
    (k, x) => k.cast(k.cast(x, 'u8'), 'f32'),
    (x) => x.values.map((v) => Math.min(255, Math.max(0, Math.trunc(v)))),
    [constant([3, 67], input([3, 67], { scale: 300, shift: 100 }).values)],
  ),
  one(
    'variance',
    (k, x) => k.variance(x, [0, 2]),
    (x) =>
      build([5], (j) => {
        const values = Array.from({ length: 210 }, (_, i) => x(Math.floor(i / 70), j, i % 70))
        const mean = values.reduce((a, b) => a + b, 0) / 210
        return values.reduce((a, b) => a + (b - mean) ** 2, 0) / 209
      }),
  ),
  one(
    'max',
    (k, x) => k.max(x, 2),
    (x) => build([3, 5], (i, j) => peak(x, i, j)),
  ),
  one(
    'argmax',
    (k, x) => k.argmax(x, 2),
    (x) =>
      build([3, 5], (i, j) =>
        Array.from({ length: 70 }, (_, l) => x(i, j, l)).indexOf(peak(x, i, j)),
      ),
    [constant(X, input(X).values)],
  ),
  one(
    'topK',
    (k, x) => k.topK(x, 4).values,
    (x) => build([3, 5, 4], (i, j, t) => lineOf(x, i, j).sort((a, b) => b - a)[t]),
  ),
  one(
    'topK',
    (k, x) => k.topK(x, 1).indices,
    (x) => build([3, 5, 1], (i, j) => lineOf(x, i, j).indexOf(peak(x, i, j))),
    [constant(X, input(X).values)],
  ),
  one(
    'logSumExp',
    (k, x) => k.logSumExp(x),
    (x) => build([3, 5], (i, j) => logSum(x, i, j)),
  ),
  one(
    'logSoftmax',
    (k, x) => k.logSoftmax(x),
    (x) => build(X, (i, j, l) => x(i, j, l) - logSum(x, i, j)),
  ),
  one(
    'softmax',
    (k, x) => k.softmax(x),
    (x) => build(X, (i, j, l) => Math.exp(x(i, j, l) - logSum(x, i, j))),
  ),
  one(
    'l2Normalize',
    (k, x) => k.l2Normalize(x),
    (x) => build(X, (i, j, l) => x(i, j, l) / lengthOf(x, i, j)),
  ),
  one(
    'crossEntropy',
    (k, x, y) => k.crossEntropy(x, y),
    (x) => [total(7, (n) => logSum10(x, n) - x(n, labels[n])) / 7],
    [input([7, 10], { scale: 4 }), whole(labels)],
  ),
  {
    ...one(
      'crossEntropy',
      (k, x, y, weight) => k.crossEntropy(x, y, { weight, labelSmoothing: 0.1 }),
      (x, _, w) => {
        const row = (n) => total(10, (c) => 0.01 * w(c) * (logSum10(x, n) - x(n, c)))
        const own = (n) => 0.9 * w(labels[n]) * (logSum10(x, n) - x(n, labels[n]))
        return [total(7, (n) => row(n) + own(n)) / total(7, (n) => w(labels[n]))]
      },
      [input([7, 10], { scale: 4 }), whole(labels), constant([10], WEIGHTS)],
    ),
    about: 'with weights and smoothing',
  },
  {
    ...one(
      'crossEntropy',
      (k, x, t, weight) => k.crossEntropy(x, t, { weight, labelSmoothing: 0.1 }),
      (x, t, w) => {
        const at = (n, c) => w(c) * (0.9 * t(n, c) + 0.01) * (logSum10(x, n) - x(n, c))
        return [total(70, (e) => at(Math.floor(e / 10), e % 10)) / 7]
      },
      [
        input([7, 10], { scale: 4 }),
        input([7, 10], { scale: 0.5, shift: 0.5, seed: 2 }),
        constant([10], WEIGHTS),
      ],
    ),
    about: 'of soft targets',
  },
  one(
    'reshape',
    (k, x) => k.reshape(x, [15, -1]),
    (x) => x.values,
  ),
  one(
    'transpose',
    (k, x) => k.transpose(x, [2, 0, 1]),
    (x) => build([70, 3, 5], (l, i, j) => x(i, j, l)),
  ),
  one(
    'expand',
    (k, x) => k.expand(x, [4, 3, 5, -1]),
    (x) => build([4, 3, 5, 70], (_, i, j, l) => x(i, 0, l)),
    [input([3, 1, 70])],
  ),
  one(
    'pad',
    (k, x) =>
      k.pad(
        x,
        [
          [0, 0],
          [1, 2],
          [3, 0],
        ],
        { value: 2 },
      ),
    (x) => build([3, 8, 73], (i, j, l) => (j < 1 || j > 5 || l < 3 ? 2 : x(i, j - 1, l - 3))),
  ),
  one(
    'transpose',
    (k, x) => k.transpose(x, [2, 0, 3, 1, 4]),
    (x) => build([3, 2, 5, 4, 7], (t, b, h, n, d) => x(b, n, t, h, d)),
    [input([2, 4, 3, 5, 7])],
  ),
  one(
    'slice',
    (k, x) => k.slice(x, 1, 1, 4),
    (x) => build([3, 3, 70], (i, j, l) => x(i, j + 1, l)),
  ),
  one(
    'chunk',
    (k, x) => k.concat(k.chunk(x, 2, -1).toReversed(), 0),
    (x) => build([6, 5, 35], (i, j, l) => x(i % 3, j, l + (i < 3 ? 35 : 0))),
  ),
  one(
    'concat',
    (k, a, b) => k.concat([a, b], 1),
    (a, b) => build([3, 7, 9], (i, j, l) => (j < 5 ? a(i, j, l) : b(i, j - 5, l))),
    [input([3, 5, 9]), input([3, 2, 9])],
  ),
  one(
    'gather',
    (k, x, i) => k.gather(x, 1, i),
    (x, at) => build([3, 2, 9], (i, j, l) => x(i, at(i, j, l), l)),
    [
      input([3, 5, 9]),
      constant(
        [3, 2, 9],
        Int32Array.from({ length: 54 }, (_, i) => (i * 7) % 5),
      ),
    ],
  ),
  one(
    'indexSelect',
    (k, x, i) => k.indexSelect(x, 0, i),
    (x, at) => build([4, 5, 9], (i, j, l) => x(at(i), j, l)),
    [input([3, 5, 9]), whole([2, 0, 2, 1])],
  ),
  one(
    'selectPosition',
    (k, x, i) => k.selectPosition(x, i),
    (x, at) => build([3, 9], (n, c) => x(n, at(n), c)),
    [input([3, 25, 9]), whole([24, 0, 7])],
  ),
]

function logSum10(x, n) {
  return Math.log(total(10, (c) => Math.exp(x(n, c))))
}
