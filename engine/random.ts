// Draws seeded numbers on the CPU: initial weights, shuffles. Each draw is a pure function of
// (seed, stream, index).

import { streamOf, threefryInto, uniform01 } from '../kernels/wgsl/threefry.ts'

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
  return drawn(seed, stream, count, 0, (bits) => lo + (hi - lo) * uniform01(bits[0] ?? 0))
}

/** Draws `count` values of a normal distribution with mean 0 (Box & Muller 1958). */
export const normal = (seed: number, stream: string, count: number, std: number): Float32Array =>
  drawn(seed, stream, count, 1, (bits) => {
    const radius = Math.sqrt(-2 * Math.log(1 - uniform01(bits[0] ?? 0))) // 1 - u lies in (0, 1]
    return std * radius * Math.cos(2 * Math.PI * uniform01(bits[1] ?? 0))
  })

/** Makes `count` values of 64 random bits each, of the counters [i, word]. */
function drawn(
  seed: number,
  stream: string,
  count: number,
  word: number,
  value: (bits: Uint32Array) => number,
): Float32Array {
  const key = [checkSeed(seed), streamOf(stream)] as const
  const [values, bits] = [new Float32Array(count), new Uint32Array(2)]
  for (let i = 0; i < count; i++) {
    threefryInto(bits, key, i, word)
    values[i] = value(bits)
  }
  return values
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
