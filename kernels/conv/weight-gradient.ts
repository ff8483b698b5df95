// Chooses the kernel of the gradient of a convolution's weight:
//   dW[r, s, c, k] = sum over output pixels of x[its tap (r, s), c] dy[pixel, k]
//   a GPU                                                     weight-gradient-tiled.ts
//   a software adapter, 3 taps a row at stride 1, and pixels
//   and channels that fill whole tiles                        weight-gradient-software.ts
//   any other software adapter, or empty tensors              weight-gradient-generic.ts
// All of them split the sum over workgroups and add the partial sums in a fixed order.

import { type Run, type Shape, type Tensor, form, ownOf, sizeOf } from '../op.ts'
import { type Partial, sumSplits, sumTwoSplits } from '../wgsl/sum-splits.ts'
import { storedAs } from '../wgsl/storage.ts'
import type { Steps } from './steps.ts'
import { convWeightGradientGeneric } from './weight-gradient-generic.ts'
import { convWeightGradientTiled } from './weight-gradient-tiled.ts'

/** The gradient by an adapter on the CPU, in f32; null where it has no kernel for the sizes. */
export const convWeightGradientForm =
  form<(run: Run, x: Tensor, dy: Tensor, out: Shape, steps: Steps) => Partial | null>()

/** Gradient of `convForward` with respect to its weight, of shape `out` [kH, kW, C, K], from x and
 *  dy. */
export function convWeightGradient(
  run: Run,
  x: Tensor,
  dy: Tensor,
  out: Shape,
  steps: Steps,
): Tensor {
  return sumSplits(run, weightPartial(run, x, dy, out, steps).partial, out)
}

/** What a weight's gradient is computed from. */
type Weighing = readonly [x: Tensor, dy: Tensor, out: Shape, steps: Steps]

/** The gradients of two weights, whose partial sums are added by one dispatch. */
export const convWeightGradients = (run: Run, one: Weighing, two: Weighing) =>
  sumTwoSplits(run, weightPartial(run, ...one), weightPartial(run, ...two))

function weightPartial(run: Run, x: Tensor, dy: Tensor, out: Shape, steps: Steps): Partial {
  if (!run.software && sizeOf(x.shape) * sizeOf(dy.shape) > 0)
    return convWeightGradientTiled(run, x, dy, out, steps)
  const [images, gradient] = [storedAs(run, 'f32', x), storedAs(run, 'f32', dy)]
  const own = ownOf(run, convWeightGradientForm)
  return (
    own?.(run, images, gradient, out, steps) ??
    convWeightGradientGeneric(run, images, gradient, out, steps)
  )
}
