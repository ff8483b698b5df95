// Arrays in float64 for references that are written for clarity.

import { uniform } from '../lib/random.js'

export const sizeOf = (shape) => shape.reduce((a, b) => a * b, 1)

/** The elements of a row-major array as a function of their indices; 0 outside. `values` is the
 *  array itself. */
export function reader(values, shape) {
  const read = (...index) => {
    let flat = 0
    for (let axis = 0; axis < index.length; axis++) {
      const i = index[axis]
      if (i < 0 || i >= shape[axis]) return 0
      flat = flat * shape[axis] + i
    }
    return values[flat]
  }
  return Object.assign(read, { values, shape })
}

/** The array of this shape whose elements `value` returns, given their indices. */
export function build(shape, value) {
  const index = shape.map(() => 0)
  return Float64Array.from({ length: sizeOf(shape) }, () => {
    const element = value(...index)
    for (let axis = shape.length - 1; axis >= 0; axis--) {
      if (++index[axis] < shape[axis]) break
      index[axis] = 0
    }
    return element
  })
}

/** The sum of `value(i)` for i below `count`. */
export function total(count, value) {
  let all = 0
  for (let i = 0; i < count; i++) all += value(i)
  return all
}

/** An input of a case: numbers uniform in [-1, 1), moved and scaled. */
export const input = (shape, { seed = 1, scale = 1, shift = 0 } = {}) => ({
  shape,
  values: uniform(sizeOf(shape), seed + sizeOf(shape)).map((v) => v * scale + shift),
  gradient: true,
})

/** An input without a gradient. */
export const constant = (shape, values) => ({ shape, values, gradient: false })
