// Draws seeded numbers on the CPU: initial weights, shuffles. Each draw is a pure function of
// (seed, stream, index).

import { streamOf, threefry2x32, uniform01 } from '../kernels/wgsl/threefry.ts'

/** Returns the seed. Throws RangeError unless it is a whole number of at most 32 bits. */
function checkSeed(seed: number): number {
  if (!Number.isInteger(seed) || seed < 0 || seed > 0xffffffff)
    throw new RangeError(`seed: must be a whole number from 0 to 4294967295, got ${seed}`)
  return seed
}

/** Draws `count` values uniform in [lo, hi). */
export function uniform(
  seed: number,
  stream: string,
  count: number,
  lo: number,
  hi: number,
): Float32Array {
  const key = [checkSeed(seed), streamOf(stream)] as const
  return Float32Array.from(
    { length: count },
    (_, i) => lo + (hi - lo) * uniform01(threefry2x32(key, [i, 0])[0]),
  )
}

/** Draws `count` values of a normal distribution with mean 0 (Box & Muller 1958). */
export function normal(seed: number, stream: string, count: number, std: number): Float32Array {
  const key = [checkSeed(seed), streamOf(stream)] as const
  return Float32Array.from({ length: count }, (_, i) => {
    const [a, b] = threefry2x32(key, [i, 1])
    const radius = Math.sqrt(-2 * Math.log(1 - uniform01(a))) // 1 - u lies in (0, 1]
    return std * radius * Math.cos(2 * Math.PI * uniform01(b))
  })
}

/** Draws `rows` random vectors of `width` numbers and unit length, row by row. */
export function randomUnitRows(
  seed: number,
  stream: string,
  rows: number,
  width: number,
): Float32Array {
  const values = normal(seed, stream, rows * width, 1)
  for (let r = 0; r < rows; r++) {
    const row = values.subarray(r * width, (r + 1) * width)
    const length = Math.hypot(...row)
    for (const [c, value] of row.entries()) row[c] = value / length
  }
  return values
}
