import * as assert from 'uvu/assert'
import { type Shape, type Tensor, sizeOf } from '../kernels/op.ts'
import type { Gpu } from '../engine/gpu.ts'
import { replaysAlike } from './replay.ts'
import { threefry2x32, uniform01 } from '../kernels/threefry.ts'

/** Deterministic values, uniform in [-1, 1), rounded to f32 so that reference and GPU start from the same numbers. */
export const random = (count: number, seed = 1): number[] =>
  Array.from({ length: count }, (_, i) => Math.fround(uniform01(threefry2x32([seed, 0], [i, 0])[0]) * 2 - 1))

export interface CheckOptions {
  /** Which inputs carry a gradient; all by default. */
  readonly differentiate?: readonly boolean[]
  /** Relative and absolute: |got - expected| <= tolerance (1 + |expected|). 1e-4 unless a reason says otherwise. */
  readonly tolerance?: number
  /** The inputs' values; `random` by default. */
  readonly values?: readonly (readonly number[])[]
}

/** Checks an op against a float64 reference: its value, and its vector-Jacobian product against the numeric derivative
 *  of the reference, element by element for small inputs, else along four random directions. Differencing the reference,
 *  not the op, keeps float32 error out of the comparison; the cotangent is random, as ones hide errors in softmaxes. Replayed, the
 *  op must give the same bits. */
export async function checkOp(
  gpu: Gpu,
  op: (...inputs: Tensor[]) => Tensor,
  reference: (...inputs: number[][]) => number[],
  shapes: readonly Shape[],
  { differentiate = shapes.map(() => true), tolerance = 1e-4, values }: CheckOptions = {},
) {
  const x = shapes.map((s, i) => [...(values?.[i] ?? random(sizeOf(s), i + 1))])
  const tensors = x.map((v, i) => gpu.tensor(v, shapes[i] ?? []))
  const out = op(...tensors)
  const expected = reference(...x)
  close(await gpu.read(out), expected, tolerance, 'value')

  const cotangent = random(expected.length, 99)
  const dy = gpu.tensor(cotangent, out.shape)
  await replaysAlike(gpu, op, tensors, dy)
  const gradients = gpu.backward(out, dy)
  const weighted = (inputs: number[][]) =>
    reference(...inputs).reduce((sum, y, k) => sum + y * (cotangent[k] ?? 0), 0)
  for (const [i, wanted] of differentiate.entries()) {
    const gradient = gradients.get(tensors[i] as Tensor) // one per shape
    if (!wanted) {
      assert.is(gradient, undefined, `input ${i} should carry no gradient`)
      continue
    }
    assert.ok(gradient, `input ${i} received no gradient`)
    if (!gradient) return
    assert.equal(gradient.shape, shapes[i], `gradient of input ${i}: shape`)
    const got = await gpu.read(gradient)
    for (const direction of directionsFor(x[i]?.length ?? 0, i)) {
      const along = (eps: number) =>
        weighted(x.map((v, j) => (j === i ? v.map((a, k) => a + eps * (direction[k] ?? 0)) : v)))
      const numeric = (along(1e-6) - along(-1e-6)) / 2e-6
      const analytic = got.reduce((sum, g, k) => sum + g * (direction[k] ?? 0), 0)
      close([analytic], [numeric], tolerance, `gradient of input ${i}`)
    }
  }
}

/** Every unit vector of a small input; four random vectors of a larger one. */
function directionsFor(length: number, input: number): number[][] {
  if (length <= 40)
    return Array.from({ length }, (_, k) => Array.from({ length }, (__, j) => Number(j === k)))
  return [0, 1, 2, 3].map((k) => random(length, 100 + 10 * input + k))
}

/** Asserts |got - expected| <= tolerance (1 + |expected|) for every element; NaN never passes. */
export function close(got: ArrayLike<number>, expected: ArrayLike<number>, tolerance: number, what: string) {
  assert.is(got.length, expected.length, `${what}: length`)
  for (let i = 0; i < expected.length; i++) {
    const [g, e] = [got[i] ?? NaN, expected[i] ?? NaN]
    const error = Math.abs(g - e)
    assert.ok(
      error <= tolerance * (1 + Math.abs(e)),
      `${what}[${i}]: got ${g}, expected ${e}, off by ${error}`,
    )
  }
}
