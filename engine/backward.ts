// A backward pass, as a user asks for it: its arguments checked, its memory released on the way.

import { type Tensor, sizeOf } from '../kernels/op.ts'
import { checkOptions, checkTensor, checkValue } from '../kernels/options.ts'
import { storedAs } from '../kernels/wgsl/storage.ts'
import type { Parts } from './apply.ts'
import { rules } from './gpu-rules.ts'
import { noteScale } from './optim/scale-notes.ts'
import { Spent } from './spent.ts'
import type { Steps } from './steps.ts'
import { checkCotangent, wantedOf } from './values.ts'

export interface BackwardOptions {
  /** Tensors whose gradients are wanted, such as an optimizer's variables; all that there are
   *  unless given. */
  readonly of?: Iterable<Tensor> | undefined
}

/** Outputs, each with the cotangent that weighs it. */
export type Weighted = readonly (readonly [output: Tensor, cotangent: Tensor])[]

type Machinery = Parts & { readonly steps: Steps }

/** The gradients of one output, weighted by its cotangent, or by ones. */
export function backward(
  gpu: Machinery,
  output: Tensor,
  cotangent: Tensor | undefined,
  options: BackwardOptions | undefined,
): Map<Tensor, Tensor> {
  checkTensor('Gpu.backward', 'output', output)
  if (cotangent !== undefined) checkTensor('Gpu.backward', 'cotangent', cotangent)
  const ones = () =>
    gpu.tensors.upload(new Float32Array(sizeOf(output.shape)).fill(1), output.shape)
  return gradientsOf(gpu, 'Gpu.backward', [[output, cotangent ?? ones()]], options)
}

/** The gradients of several outputs. */
export function pullback(
  gpu: Machinery,
  weighted: Weighted,
  options: BackwardOptions | undefined,
): Map<Tensor, Tensor> {
  checkValue('Gpu.pullback', 'weighted', weighted, rules.pairs)
  return gradientsOf(gpu, 'Gpu.pullback', weighted, options)
}

/** Within a step, the gradients of what was computed are released once they were handed on. */
function gradientsOf(
  { tensors, memory, tape, run, steps }: Machinery,
  owner: string,
  weighted: Weighted,
  options: BackwardOptions | undefined,
): Map<Tensor, Tensor> {
  const { of } = checkOptions(owner, options, rules.backward)
  for (const [output, cotangent] of weighted) checkCotangent(cotangent, output)
  const wanted = wantedOf(owner, of)
  tensors.storages([...(wanted ?? [])]) // throws for one that is gone, or another Gpu's
  const spent = steps.running ? new Spent(tensors, memory) : null
  if (!spent) steps.claims.clear()
  const cotangents = weighted.map(
    ([output, cotangent]) => [output, storedAs(run, output.dtype, cotangent)] as const,
  )
  const gradients = tape.backward(run, cotangents, { of: wanted, spent })
  noteScale(
    gradients,
    weighted.map(([, cotangent]) => cotangent),
  )
  return gradients
}
