// Chooses the kernel of a convolution and of its data gradient:
//   a GPU                                                   forward-tiled.ts
//   a software adapter, channels that fill whole tiles      forward-software.ts
//   any other software adapter, or empty tensors            forward-generic.ts

import { type Run, type Shape, type Tensor, sizeOf } from '../op.ts'
import type { Pair, Steps } from './steps.ts'
import { convForwardGeneric } from './forward-generic.ts'
import { convForwardSoftware, suitsForwardSoftware } from './forward-software.ts'
import {
  convDataGradientTiled,
  convForwardMomentsTiled,
  convForwardTiled,
} from './forward-tiled.ts'
import { finished } from '../matmul/finished.ts'
import type { LastStep } from '../wgsl/finish.ts'
import { type Image, imageOf, storedAs } from '../wgsl/storage.ts'
import { type Walk, dataGradientWalk, forwardWalk } from './input-walk.ts'

export type { Pair, Steps }

/** Convolution of x [N, H, W, C] with w [kH, kW, C, K], without bias -> `out` [N, outH, outW,
 *  K]; then a last step, whose `other` is stored as the result is. */
export const convForward = (
  run: Run,
  x: Tensor,
  w: Tensor,
  out: Shape,
  steps: Steps,
  finish: LastStep | null = null,
): Tensor =>
  usesTiles(run, x, out)
    ? convForwardTiled(run, [x, w], imageOf(run, out), steps, finish)
    : finished(run, walked(run, x, w, imageOf(run, out), forwardWalk(w.shape, steps)), finish)

/** `convForward` and the moments of its channels (epilogue-moments.ts); null for these where they
 *  would save nothing. A GPU computes them before it stores y, which saves reading y again. */
export const convForwardMoments = (
  run: Run,
  x: Tensor,
  w: Tensor,
  out: Shape,
  steps: Steps,
): { y: Tensor; moments: Tensor | null } =>
  usesTiles(run, x, out)
    ? convForwardMomentsTiled(run, x, w, imageOf(run, out), steps)
    : { y: convForward(run, x, w, out, steps), moments: null }

/** Gradient of `convForward` with respect to x, from dy and w; then a last step. */
export const convDataGradient = (
  run: Run,
  dy: Tensor,
  w: Tensor,
  x: Image,
  steps: Steps,
  finish: LastStep | null = null,
): Tensor =>
  usesTiles(run, dy, x.shape)
    ? convDataGradientTiled(run, [dy, w], x, steps, finish)
    : finished(run, walked(run, dy, w, x, dataGradientWalk(w.shape, steps)), finish)

const usesTiles = (run: Run, x: Tensor, out: Shape) =>
  !run.software && sizeOf(x.shape) * sizeOf(out) > 0

/** By kernels of a software adapter, which read and write f32. */
function walked(run: Run, given: Tensor, w: Tensor, { shape, dtype }: Image, walk: Walk): Tensor {
  const x = storedAs(run, 'f32', given)
  const y = suitsForwardSoftware(run, x.shape, shape)
    ? convForwardSoftware(run, x, w, shape, walk)
    : convForwardGeneric(run, x, w, shape, walk)
  return storedAs(run, dtype, y)
}
