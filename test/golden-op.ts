import * as assert from 'uvu/assert'
import type { Tensor } from '../kernels/op.ts'
import type { Gpu } from '../engine/gpu.ts'
import { Golden } from './golden.ts'
import { replaysAlike } from './replay.ts'

export interface GoldenOptions {
  /** The tensors `in.*` that the op takes, in order. */
  readonly inputs?: readonly string[]
  /** Those whose gradient the case expects; all by default. */
  readonly differentiated?: readonly string[]
}

/** Asserts an op's value and gradients against a golden case, and that they replay to the same bits; returns the case for what else it expects. */
export async function matchesGolden(
  gpu: Gpu,
  name: string,
  op: (inputs: readonly [Tensor, ...Tensor[]], golden: Golden) => Tensor,
  { inputs = ['x'], differentiated = inputs }: GoldenOptions = {},
): Promise<Golden> {
  const golden = new Golden(name)
  const tensors = inputs.map((input) => golden.tensor(gpu, `in.${input}`))
  const y = op(tensors as [Tensor, ...Tensor[]], golden) // no case is without inputs
  const output = golden.has('out.loss') ? 'loss' : 'y'
  await golden.match(gpu, `out.${output}`, y)
  const dy = golden.tensor(gpu, `up.${output}`)
  await replaysAlike(gpu, (...x) => op(x as unknown as [Tensor, ...Tensor[]], golden), tensors, dy)
  const gradients = gpu.backward(y, dy)
  for (const [i, tensor] of tensors.entries()) {
    const input = inputs[i] ?? ''
    if (differentiated.includes(input)) await golden.match(gpu, `grad.${input}`, gradients.get(tensor))
  }
  return golden
}

/** The gradient of y, weighted by `cotangent` (ones by default), at x. */
export async function gradientAt(gpu: Gpu, y: Tensor, x: Tensor, cotangent?: Tensor): Promise<Float32Array> {
  const gradient = gpu.backward(y, cotangent).get(x)
  assert.ok(gradient, 'no gradient arrived')
  return gpu.read(gradient ?? x)
}
