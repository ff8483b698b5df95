// Draws seeded numbers on the CPU: initial weights, shuffles. Each draw is a pure function of
// (seed, stream, index).

import { takingTurns } from '../kernels/turns.ts'
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
  return filled(`uniform ${seed} ${stream} ${count} ${lo} ${hi}`, count, function* fill(values) {
    for (const { at, bits } of drawn(seed, stream, count, 0)) {
      for (let i = 0; 2 * i < bits.length; i++)
        values[at + i] = lo + (hi - lo) * uniform01(bits[2 * i] ?? 0)
      yield
    }
  })
}

/** Draws `count` values of a normal distribution with mean 0 (Box & Muller 1958). */
export function normal(seed: number, stream: string, count: number, std: number): Float32Array {
  return filled(`normal ${seed} ${stream} ${count} ${std}`, count, function* fill(values) {
    for (const { at, bits } of drawn(seed, stream, count, 1)) {
      for (let i = 0; 2 * i < bits.length; i++) {
        const radius = Math.sqrt(-2 * Math.log(1 - uniform01(bits[2 * i] ?? 0))) // 1 - u lies in (0, 1]
        values[at + i] = std * radius * Math.cos(2 * Math.PI * uniform01(bits[2 * i + 1] ?? 0))
      }
      yield
    }
  })
}

/** Fills values, a part at a time. */
type Fill = (values: Float32Array) => Generator<void>

let listed: Map<string, readonly [count: number, fill: Fill]> | null = null // draws to make ahead
let ahead: ReadonlyMap<string, Float32Array> | null = null // draws that were made

function filled(key: string, count: number, fill: Fill): Float32Array {
  const made = ahead?.get(key)
  if (made) return made.slice() // who takes it may change it
  const values = new Float32Array(count)
  if (listed) listed.set(key, [count, fill])
  else for (const _ of fill(values));
  return values
}

/** Calls `make`, whose draws were made before in turns with other work. `list` calls it first, to
 *  list its draws, with zeros in their place, and takes back what it made. */
export async function drawingAhead<T>(make: () => T, list: () => void): Promise<T> {
  const wanted: NonNullable<typeof listed> = new Map()
  listed = wanted
  try {
    list()
  } finally {
    listed = null
  }
  const made = new Map<string, Float32Array>()
  const turn = takingTurns()
  for (const [key, [count, fill]] of wanted) {
    const values = new Float32Array(count)
    for (const _ of fill(values)) await turn()
    made.set(key, values)
  }
  ahead = made
  try {
    return make()
  } finally {
    ahead = null
  }
}

const MANY = 4096 // draws at a time, whose bits stay in the cache

/** Yields 64 random bits, two u32, for each of `count` draws, many at a time: those of the counters
 *  [i, word]. `at` is the first draw of these. */
function* drawn(seed: number, stream: string, count: number, word: number) {
  const key = [checkSeed(seed), streamOf(stream)] as const
  const all = new Uint32Array(2 * MANY)
  for (let at = 0; at < count; at += MANY) {
    const bits = all.subarray(0, 2 * (count - at))
    threefryInto(bits, key, at, word)
    yield { at, bits }
  }
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
