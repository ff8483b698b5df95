// Elementwise ops in float64.

import { build, constant, input } from './float64.js'

const LONG = [5, 67] // more elements than a workgroup, not a multiple of four

const unary = (op, value, given = {}) => ({
  op,
  inputs: [input(LONG, { scale: 3, ...given })],
  call: (k, x) => k[op](x),
  reference: (x) => x.values.map(value),
})

const binary = (op, value) => ({
  op,
  inputs: [input([3, 1, 37]), input([4, 37], { shift: 2.5 })],
  call: (k, a, b) => k[op](a, b),
  reference: (a, b) => build([3, 4, 37], (i, j, l) => value(a(i, 0, l), b(j, l))),
})

/** The distribution function of the standard normal distribution, by a series of positive terms. */
function normalBelow(x) {
  let [term, sum] = [x, x]
  for (let k = 3; k < 150; k += 2) sum += term *= (x * x) / k
  return 0.5 + (sum * Math.exp((-x * x) / 2)) / Math.sqrt(2 * Math.PI)
}

const positive = { scale: 0.9, shift: 1.5 }
const ones = (shape) => constant(shape, new Float32Array(shape[0] * shape[1]).fill(1))
const drop = (k, x) => k.dropout(x, 0.25, { seed: 1, step: 0, stream: 'x' })

export const elementwise = [
  binary('add', (a, b) => a + b),
  binary('sub', (a, b) => a - b),
  binary('mul', (a, b) => a * b),
  binary('div', (a, b) => a / b),
  unary('relu', (x) => Math.max(0, x)),
  unary('leakyRelu', (x) => (x > 0 ? x : 0.01 * x)),
  unary('sigmoid', (x) => 1 / (1 + Math.exp(-x))),
  unary('tanh', Math.tanh),
  unary('softplus', (x) => Math.max(x, 0) + Math.log1p(Math.exp(-Math.abs(x)))),
  unary('exp', Math.exp),
  unary('log', Math.log, positive),
  unary('sqrt', Math.sqrt, positive),
  unary('square', (x) => x * x),
  unary('abs', Math.abs),
  unary('neg', (x) => -x),
  unary('gelu', (x) => x * normalBelow(x)),
  {
    ...unary('gelu', (x) => x / (1 + Math.exp(-Math.sqrt(8 / Math.PI) * (x + 0.044715 * x ** 3)))),
    about: 'by tanh',
    call: (k, x) => k.gelu(x, { approximate: 'tanh' }),
  },
  {
    ...unary('clamp', (x) => Math.min(Math.max(x, -1), 2)),
    call: (k, x) => k.clamp(x, { min: -1, max: 2 }),
  },
  ...['maximum', 'minimum'].map((op) => ({
    ...binary(op, op === 'maximum' ? Math.max : Math.min),
    inputs: [input([3, 1, 37]), input([4, 37], { seed: 2 })],
  })),
  {
    op: 'where',
    inputs: [
      constant(
        [3, 1, 37],
        Int32Array.from({ length: 111 }, (_, i) => i % 3),
      ),
      input([4, 37]),
      input([3, 1, 1]),
    ],
    call: (k, condition, a, b) => k.where(condition, a, b),
    reference: (condition, a, b) =>
      build([3, 4, 37], (i, j, l) => (condition(i, 0, l) === 0 ? b(i, 0, 0) : a(j, l))),
  },
  {
    op: 'dropout',
    about: 'an element is dropped, or scaled by 1 / (1 - p)',
    inputs: [constant(LONG, input(LONG).values)],
    call(k, x) {
      const y = drop(k, x)
      return k.mul(y, k.sub(y, k.div(x, 0.75)))
    },
    reference: (x) => x.values.map(() => 0),
  },
  {
    op: 'dropPath',
    about: 'a sample is dropped, or scaled by 1 / (1 - p)',
    inputs: [constant(LONG, input(LONG).values)],
    call(k, x) {
      const y = k.dropPath(x, 0.25, { seed: 1, step: 0, stream: 'x' })
      return k.mul(y, k.sub(y, k.div(x, 0.75)))
    },
    reference: (x) => x.values.map(() => 0),
  },
  {
    op: 'dropout',
    about: 'the mean stays',
    inputs: [ones([100, 100])],
    call: (k, x) => k.mean(drop(k, x)),
    reference: () => [1],
    tolerance: 0.03, // 5 standard deviations of the mean of 10,000 draws
  },
]
