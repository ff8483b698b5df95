// Ops that draw, or write variables in place, in float64.

import { build, constant, input, total } from './float64.js'

const rows = (shape, seed) => constant(shape, input(shape, { seed }).values)
const whole = (values) => constant([values.length], Int32Array.from(values))

export const state = [
  {
    op: 'takeImages',
    inputs: [
      constant(
        [4, 2, 3, 3],
        Uint8Array.from({ length: 72 }, (_, i) => (i * 37) % 256),
      ),
      whole([3, 0, 3]),
    ],
    call: (k, set, numbers) => k.takeImages(set, numbers),
    reference: (set, at) => build([3, 2, 3, 3], (n, i, j, c) => set(at(n), i, j, c)),
  },
  {
    op: 'assign',
    inputs: [rows([5, 13], 1), rows([5, 13], 2)],
    call(k, variable, x) {
      const own = x.gpu.variable(variable.values, variable.shape)
      k.assign(own, x)
      return own
    },
    raw: [0],
    reference: (variable, x) => build([5, 13], (i, j) => x(i, j)),
  },
  {
    op: 'enqueue',
    inputs: [rows([6, 8], 1), rows([4, 8], 2)],
    call(k, queue, keys) {
      const own = keys.gpu.variable(queue.values, queue.shape)
      k.enqueue(own, keys, 4)
      return own
    },
    raw: [0], // inputs that `call` gets as they are
    reference: (queue, keys) =>
      build([6, 8], (i, c) => (i < 2 ? keys(i + 2, c) : i > 3 ? keys(i - 4, c) : queue(i, c))),
  },
  {
    op: 'bankUpdate',
    inputs: [rows([5, 8], 1), rows([2, 8], 2), whole([4, 1])],
    call(k, bank, features, indices) {
      const own = features.gpu.variable(bank.values, bank.shape)
      k.bankUpdate(own, features, indices, 0.5)
      return own
    },
    raw: [0],
    reference(bank, features) {
      const moved = (n) => (i, c) => (bank(i, c) + features(n, c)) / 2
      const unit = (row) => (i, c) => row(i, c) / Math.sqrt(total(8, (j) => row(i, j) ** 2))
      const from = { 4: unit(moved(0)), 1: unit(moved(1)) }
      return build([5, 8], (i, c) => (from[i] ?? bank)(i, c))
    },
  },
  {
    op: 'drawRows',
    about: 'what it draws are rows',
    inputs: [
      constant(
        [50, 2],
        Float32Array.from({ length: 100 }, (_, e) => (e % 2 ? 60 - (e >> 1) : e >> 1)),
      ),
    ],
    call: (k, x) => k.sum(k.drawRows(x, 200, { seed: 1, step: 2 }), 1),
    reference: () => build([200], () => 60),
  },
  {
    op: 'shuffleOrder',
    about: 'its inverse undoes it',
    inputs: [rows([70, 3], 1)],
    call(k, x) {
      const { order, inverse } = k.shuffleOrder(x, { seed: 1, step: 2, offset: 0 })
      return k.indexSelect(k.indexSelect(x, 0, order), 0, inverse)
    },
    reference: (x) => x.values,
  },
  {
    op: 'translateReflect',
    inputs: [rows([2, 6, 7, 3], 1)],
    call: (k, x) => k.translateReflect(x, 2, -1),
    reference(x) {
      const at = (i, n) => (i < 0 ? -i : i >= n ? 2 * (n - 1) - i : i)
      return build([2, 6, 7, 3], (n, i, j, c) => x(n, at(i + 1, 6), at(j - 2, 7), c))
    },
  },
]
