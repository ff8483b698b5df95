import * as assert from 'uvu/assert'
import type { Precision, Run } from '../kernels/op.ts'
import type { Gpu } from '../engine/gpu.ts'
import { posing } from './posing.ts'

/** A machine's engine for products: registers, or subgroup matrices, emulated. */
export interface Engine {
  readonly precision: Precision
  readonly matrices: boolean
}

export const engines = {
  f32: { precision: 'f32', matrices: false },
  'f16 in registers': { precision: 'f16', matrices: false },
  'f16 on matrices': { precision: 'f16', matrices: true },
  'f16x3 on matrices': { precision: 'f16x3', matrices: true },
} as const satisfies Record<string, Engine>

/** A run that computes as a GPU with that engine does, in tile number `way` if it is given. */
export function gpuRun(gpu: Gpu, { precision, matrices }: Engine, way?: number): Run {
  const traits = { software: false, precision, matrices, emulated: matrices }
  return posing(
    gpu,
    way === undefined ? traits : { ...traits, race: (_name, _ways, _guess, compute) => compute(way) },
  )
}

/** Float64 sums of products, and what their rounding errors are relative to. */
export class Sums {
  readonly value: Float64Array
  /** Of each sum, the sum of its products' absolute values. */
  readonly scale: Float64Array

  constructor(count: number) {
    this.value = new Float64Array(count)
    this.scale = new Float64Array(count)
  }

  add(at: number, a = NaN, b = NaN) {
    this.value[at] = (this.value[at] ?? NaN) + a * b
    this.scale[at] = (this.scale[at] ?? NaN) + Math.abs(a * b)
  }

  /** Asserts that sums of `terms` products, of factors below 1, are as right as the engine must be, in relation to their
   *  scale. A sum of n terms in f32 is off by n roundings of 2^-24 at most, where f16x3 has three n terms. Factors rounded to
   *  f16 add 2^-11 each, or, below f16's normal numbers, 2^-25; a factor in f16x3 lacks 2^-22, and the products of the low
   *  parts, 2^-11 of each factor, are left out. */
  check(got: Float32Array, { precision, matrices }: Engine, terms: number, what: string) {
    const [u, exact] = [2 ** -24, precision === 'f32' || (precision === 'f16x3' && !matrices)]
    const factors = exact ? 0 : precision === 'f16' ? 2 * 2 ** -11 + 2 ** -22 : 3 * 2 ** -22
    const relative = (precision === 'f16x3' ? 3 : 1) * (terms + 2) * u + factors
    const absolute = exact ? 0 : terms * 2 ** (precision === 'f16' ? -24 : -35)
    assert.is(got.length, this.value.length, `${what}: length`)
    let rounded = 0
    for (const [i, value] of this.value.entries()) {
      const [error, scale] = [Math.abs((got[i] ?? NaN) - value), this.scale[i] ?? NaN]
      assert.ok(
        error <= relative * scale + absolute,
        `${what}[${i}]: got ${got[i]}, expected ${value}, off by ${error} of ${scale}`,
      )
      if (error > (terms + 2) * u * scale) rounded++
    }
    if (precision === 'f16') assert.ok(rounded > 0, `${what}: no factor was rounded to f16`)
  }
}
