// The data gradient of a convolution whose input is a batch norm's output, on subgroup matrices:
// the tiles also sum for the norm's backward pass (epilogue-norm-sums.ts).

import type { Run, Tensor } from '../op.ts'
import type { NormGradient, NormReader } from '../pending.ts'
import type { Steps } from './steps.ts'
import { gemmNormSums, splitsGemm } from '../matmul/gemm-norm-sums.ts'
import { normDispatch, normSumsShape } from '../tiles/epilogue-norm-sums.ts'
import type { Image } from '../wgsl/storage.ts'
import { asProduct, phases, windowGradient } from './data-gradient-tiled.ts'

/** How to compute the gradient for the norm that reads it; null where no kernel does. */
export function normGradient(
  run: Run,
  dy: Tensor,
  w: Tensor,
  x: Image,
  steps: Steps,
): ((reader: NormReader) => NormGradient) | null {
  const product = asProduct(run, dy, w, steps)
  if (x.dtype !== 'f16' || (product && splitsGemm(run, ...product))) return null
  return (reader) => {
    if (product) {
      const { dz, sums } = gemmNormSums(run, ...product, reader)
      return { dz: run.view(dz, x.shape), sums }
    }
    const { M, layers } = phases(x, steps)
    const makes = [x, normSumsShape(M, layers, x.shape[3] ?? 0)] as const
    const [dz, sums] = windowGradient(run, [dy, w], x, steps, { makes, ...normDispatch(reader) })
    return { dz, sums }
  }
}
