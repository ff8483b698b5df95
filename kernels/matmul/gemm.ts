// Chooses the kernel of a matrix product, batched or not:
//   a GPU, up to 4,096 batches                                 gemm-tiled.ts
//   a software adapter, factors whose rows are fours           gemm-software.ts
//   any other, and an empty product                            gemm-generic.ts

import { type Run, type Tensor, form, ownOf } from '../op.ts'
import { gemmGeneric } from './gemm-generic.ts'
import { gemmTiled } from './gemm-tiled.ts'
import { type Gemm, productShape } from './shapes.ts'

const MAX_TILED_BATCHES = 4096 // one workgroup along z each

export { type Gemm, productShape }

/** `gemm` by an adapter on the CPU; null where it has no kernel for the sizes. */
export const gemmForm = form<(run: Run, a: Tensor, b: Tensor, options: Gemm) => Tensor | null>()

/** op(a) op(b) + bias, where op transposes the last two dimensions if asked to. The caller has
 *  checked the shapes. */
export function gemm(run: Run, a: Tensor, b: Tensor, options: Gemm): Tensor {
  const { batches, M, N, K } = productShape(a.shape, b.shape, options)
  const tiled = !run.software && M * N * K > 0 && batches <= MAX_TILED_BATCHES
  if (tiled) return gemmTiled(run, a, b, options)
  return ownOf(run, gemmForm)?.(run, a, b, options) ?? gemmGeneric(run, a, b, options)
}
