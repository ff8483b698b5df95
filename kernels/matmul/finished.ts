// The last step of a product as a pass of its own, where the product's kernel cannot do it.

import type { Run, Tensor } from '../op.ts'
import { reluBack, reluForward } from '../elementwise/relu.ts'
import type { LastStep } from '../wgsl/finish.ts'
import { addImages } from '../wgsl/add-images.ts'

/** y after a last step; y itself without one. */
export function finished(run: Run, y: Tensor, finish: LastStep | null): Tensor {
  if (!finish) return y
  if (finish.how === 'rectify') return reluForward(run, y)
  return finish.how === 'mask' ? reluBack(run, finish.other, y) : addImages(run, y, finish.other)
}
