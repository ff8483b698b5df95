// Checks the arguments of a backward pass and runs it.

import { type Tensor, sizeOf } from '../kernels/op.ts'
import { checkOptions, checkTensor, checkValue } from '../kernels/options.ts'
import { storedAs } from '../kernels/wgsl/storage.ts'
import type { GpuParts } from './apply.ts'
import { rules } from './gpu-rules.ts'
import { GradientReleaser } from './gradient-releaser.ts'
import type { Gradients } from './optim/gradients.ts'
import type { StepRunner } from './steps.ts'
import { checkCotangent, checkDifferentiable } from './values.ts'

/** Options of `Gpu.backward`, `Gpu.pullback` and `gradientCache`. */
export interface BackwardOptions {
  /** Tensors to compute the gradients of, such as `Object.values(optimizer.parameters)`. By default
   *  all that the output was computed from, or within a step its leaves. */
  readonly of?: Iterable<Tensor> | undefined
}

/** Outputs, each with the cotangent that weights it. */
export type Weighted = readonly (readonly [output: Tensor, cotangent: Tensor])[]

type Machinery = GpuParts & { readonly steps: StepRunner }

/** Computes the gradients of one output, weighted by its cotangent, or by ones. */
export function backward(
  gpu: Machinery,
  output: Tensor,
  cotangent: Tensor | undefined,
  options: BackwardOptions | undefined,
): Gradients {
  checkTensor('Gpu.backward', 'output', output)
  if (cotangent !== undefined) checkTensor('Gpu.backward', 'cotangent', cotangent)
  const ones = () =>
    gpu.tensors.upload(new Float32Array(sizeOf(output.shape)).fill(1), output.shape)
  return gradientsOf(gpu, 'Gpu.backward', [[output, cotangent ?? ones()]], options)
}

/** Computes the gradients of the weighted sum of several outputs. */
export function pullback(
  gpu: Machinery,
  weighted: Weighted,
  options: BackwardOptions | undefined,
): Gradients {
  checkValue('Gpu.pullback', 'weighted', weighted, rules.pairs)
  return gradientsOf(gpu, 'Gpu.pullback', weighted, options)
}

/** Within a step, frees the gradients of computed tensors once they are used. */
function gradientsOf(
  { tensors, memory, tape, run, steps, observing }: Machinery,
  owner: string,
  weighted: Weighted,
  options: BackwardOptions | undefined,
): Gradients {
  const { of: given } = checkOptions(owner, options, rules.backward)
  for (const [output, cotangent] of weighted) checkCotangent(cotangent, output)
  const of = given ? new Set(given) : null
  if (of) checkDifferentiable(owner, of)
  tensors.storages([...(of ?? [])]) // throws for a freed tensor, or another Gpu's
  const releaser = steps.running ? new GradientReleaser(tensors, memory) : null
  if (!releaser) steps.claims.clear()
  const cotangents = weighted.map(
    ([output, cotangent]) => [output, storedAs(run, output.dtype, cotangent)] as const,
  )
  return observing.backward(() => tape.backward(run, cotangents, { of, releaser }))
}
