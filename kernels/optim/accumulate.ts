// Adds two gradients of a tensor that was used more than once.

import { type Run, type Tensor, ShapeError, show } from '../op.ts'
import { addImages } from '../wgsl/add-images.ts'

/** a + b, of one shape and element type. Throws ShapeError for different shapes. */
export function accumulate(run: Run, a: Tensor, b: Tensor): Tensor {
  if (a.shape.join() !== b.shape.join())
    throw new ShapeError(
      `backward: gradients of one tensor differ in shape, ${show(a.shape)} and ${show(b.shape)}`,
    )
  return addImages(run, a, b)
}
