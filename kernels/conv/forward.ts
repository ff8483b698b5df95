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
import { type Walk, dataGradientWalk, forwardWalk } from './input-walk.ts'

export type { Pair, Steps }

/** Convolution of x [N, H, W, C] with w [kH, kW, C, K], without bias -> `out` [N, outH, outW,
 *  K]. */
export const convForward = (run: Run, x: Tensor, w: Tensor, out: Shape, steps: Steps): Tensor =>
  usesTiles(run, x, out)
    ? convForwardTiled(run, x, w, out, steps)
    : walked(run, x, w, out, forwardWalk(w.shape, steps))

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
    ? convForwardMomentsTiled(run, x, w, out, steps)
    : { y: convForward(run, x, w, out, steps), moments: null }

/** Gradient of `convForward` with respect to x, of shape `out`, from dy and w. */
export const convDataGradient = (
  run: Run,
  dy: Tensor,
  w: Tensor,
  out: Shape,
  steps: Steps,
): Tensor =>
  usesTiles(run, dy, out)
    ? convDataGradientTiled(run, dy, w, out, steps)
    : walked(run, dy, w, out, dataGradientWalk(w.shape, steps))

const usesTiles = (run: Run, x: Tensor, out: Shape) =>
  !run.software && sizeOf(x.shape) * sizeOf(out) > 0

const walked = (run: Run, x: Tensor, w: Tensor, out: Shape, walk: Walk): Tensor =>
  suitsForwardSoftware(run, x.shape, out)
    ? convForwardSoftware(run, x, w, out, walk)
    : convForwardGeneric(run, x, w, out, walk)
