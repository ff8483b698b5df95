// One case of an op on a device against float64: its value, and its vector-Jacobian product under a
// random cotangent. A reference without gradients is differenced, not the op, which would bring
// float32's error in.

import { uniform } from '../lib/random.js'
import { worstError } from '../lib/statistics.js'
import { reader, sizeOf } from './float64.js'

const EPS = 1e-6
const SMALL = 100 // elements up to which each is differenced; else DIRECTIONS random ones
const DIRECTIONS = 3

/** The largest errors of a case, { value, gradient }, relative to the largest element; NaN where
 *  there is a NaN. `gradient` is null where there is none. A case is
 *    op, about      the op's name; what of it
 *    inputs         { shape, values, gradient }
 *    raw            indices of inputs that `call` gets as they are; the others are tensors
 *    call           (kindred, ...tensors) -> a tensor
 *    reference      (...readers) -> its elements; or exact: () -> { loss, gradients }
 *    rounds         whether factors or kept activations may be rounded to f16 */
export async function errorsOf(kindred, gpu, one) {
  const { inputs, raw = [], call, exact } = one
  const tensors = inputs.map((given, i) =>
    raw.includes(i) ? given : gpu.tensor(given.values, given.shape),
  )
  const y = call(kindred, ...tensors)
  const got = await gpu.read(y)
  const known = exact?.()
  const expected = known ? [known.loss] : referenceOf(one)(inputs.map(({ values }) => values))
  const value = worstError(got, expected)
  if (!inputs.some(({ gradient }) => gradient)) return { value, gradient: null }
  const cotangent = known ? [1] : uniform(expected.length, 99)
  const gradients = gpu.backward(y, gpu.tensor(cotangent, y.shape))
  let worst = 0
  let next = 0
  for (const [i, { gradient, values }] of inputs.entries()) {
    if (!gradient) continue
    const found = gradients.of(tensors[i])
    const own = found ? await gpu.read(found) : values.map(() => NaN)
    const error = known
      ? worstError(own, known.gradients[next++])
      : differenced(one, i, { own, cotangent })
    worst = error <= worst ? worst : error // NaN stays
  }
  return { value, gradient: worst }
}

const referenceOf =
  ({ inputs, reference }) =>
  (values) =>
    reference(...inputs.map(({ shape }, i) => reader(values[i], shape)))

/** The error of an input's gradient along directions, relative to the root of the sum of its terms'
 *  squares, or, for each element of a small input, to the largest element. */
function differenced(one, index, { own, cotangent }) {
  const values = one.inputs.map((given) => Float64Array.from(given.values))
  const weighted = referenceOf(one)
  const along = (direction, eps) => {
    const moved = values[index].map((v, e) => v + eps * direction[e])
    const y = weighted(values.map((v, i) => (i === index ? moved : v)))
    return y.reduce((sum, v, e) => sum + v * cotangent[e], 0)
  }
  const slope = (direction) => (along(direction, EPS) - along(direction, -EPS)) / (2 * EPS)
  const size = sizeOf(one.inputs[index].shape)
  if (size <= SMALL) {
    const axes = Array.from({ length: size }, (_, e) => values[index].map((__, j) => +(j === e)))
    return worstError(own, axes.map(slope))
  }
  let worst = 0
  for (let k = 0; k < DIRECTIONS; k++) {
    const direction = uniform(size, 200 + k)
    const terms = own.map((g, e) => g * direction[e])
    const sum = terms.reduce((a, b) => a + b, 0)
    const error = Math.abs(sum - slope(direction)) / Math.hypot(...terms)
    worst = error <= worst ? worst : error // NaN stays
  }
  return worst
}
