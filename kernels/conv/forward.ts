// Chooses the kernel of a convolution and of its data gradient:
//   a GPU                                                   forward-tiled.ts
//   a software adapter, channels that fill whole tiles      forward-software.ts
//   any other software adapter, or empty tensors            forward-generic.ts

import { type Run, type Shape, type Tensor, form, ownOf, sizeOf } from '../op.ts'
import type { Biased, Pair, Steps } from './steps.ts'
import { convForwardGeneric } from './forward-generic.ts'
import { convForwardMomentsTiled, convForwardTiled } from './forward-tiled.ts'
import { convDataGradientTiled } from './data-gradient-tiled.ts'
import { finished } from '../matmul/finished.ts'
import { type NormGradient, type NormReader, Pending } from '../pending.ts'
import type { LastStep } from '../wgsl/finish.ts'
import { type Image, imageOf, storedAs } from '../wgsl/storage.ts'
import { type BiasedWalk, dataGradientWalk, forwardWalk } from './input-walk.ts'

export type { Pair, Steps }

/** `convForward` by an adapter on the CPU, in f32, as a walk says; null where it has no kernel for
 *  the sizes. */
export const convForwardForm =
  form<(run: Run, x: Tensor, w: Tensor, out: Shape, walk: BiasedWalk) => Tensor | null>()

/** How to compute a data gradient on subgroup matrices for the norm that reads it; null where no
 *  kernel does. */
export const normGradientForm =
  form<
    (
      ...of: readonly [run: Run, dy: Tensor, w: Tensor, x: Image, steps: Steps]
    ) => ((reader: NormReader) => NormGradient) | null
  >()

/** Convolution of x [N, H, W, C] with w [kH, kW, C, K] -> `out` [N, outH, outW, K], plus the bias;
 *  or without one a last step, whose `other` is stored as the result is. */
export function convForward(
  run: Run,
  x: Tensor,
  w: Tensor,
  out: Shape,
  steps: Biased,
  finish: LastStep | null = null,
): Tensor {
  if (usesTiles(run, x, out)) return convForwardTiled(run, [x, w], imageOf(run, out), steps, finish)
  const walk = { ...forwardWalk(w.shape, steps), bias: steps.bias ?? null }
  return finished(run, walked(run, x, w, imageOf(run, out), walk), finish)
}

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
    : finished(
        run,
        walked(run, dy, w, x, { ...dataGradientWalk(w.shape, steps), bias: null }),
        finish,
      )

/** `convDataGradient`, computed when it is read first, on a GPU that can sum it for the batch norm
 *  that reads it. */
export function convInputGradient(
  run: Run,
  dy: Tensor,
  w: Tensor,
  x: Tensor,
  steps: Steps,
): Tensor {
  const alone = () => convDataGradient(run, dy, w, x, steps)
  const tiled = run.precision !== 'f32' && usesTiles(run, dy, x.shape)
  const own = tiled ? ownOf(run, normGradientForm) : null
  const withNorm = own?.(run, dy, w, x, steps)
  return withNorm ? new Pending(x, [dy, w], { alone, withNorm }) : alone()
}

const usesTiles = (run: Run, x: Tensor, out: Shape) =>
  !run.software && sizeOf(x.shape) * sizeOf(out) > 0

/** By kernels of a software adapter, which read and write f32. */
function walked(
  run: Run,
  given: Tensor,
  w: Tensor,
  { shape, dtype }: Image,
  walk: BiasedWalk,
): Tensor {
  const x = storedAs(run, 'f32', given)
  const own = ownOf(run, convForwardForm)
  const y = own?.(run, x, w, shape, walk) ?? convForwardGeneric(run, x, w, shape, walk)
  return storedAs(run, dtype, y)
}
