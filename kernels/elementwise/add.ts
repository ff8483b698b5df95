import { type Op, type Run, type Tensor, sizeOf, wgsl } from '../op.ts'
import { addImages, addRow } from '../wgsl/add-images.ts'
import { sumTo } from '../wgsl/broadcast.ts'
import { storedAs } from '../wgsl/storage.ts'
import { binary, binaryOp } from './binary.ts'

const inF32 = binaryOp({
  name: 'add',
  y: wgsl`a[indexA(i)] + b[indexB(i)]`,
  da: (_run, dy) => dy,
  db: (_run, dy) => dy,
})

/** Tensors of one shape and element type added as they are stored, or images in f16 plus a row of
 *  their channels; null for any other sum. */
function sumAsStored(run: Run, a: Tensor, b: Tensor): Tensor | null {
  if (a.dtype === b.dtype) return a.shape.join() === b.shape.join() ? addImages(run, a, b) : null
  if (a.dtype !== 'f16') return null
  const channels = a.shape.at(-1)
  const isRow = b.shape.at(-1) === channels && sizeOf(b.shape) === channels
  return isRow && b.shape.length <= a.shape.length ? addRow(run, a, b) : null
}

/** Exported so that its shape rule can be tested without a GPU. */
export const addOp: Op<[a: Tensor, b: Tensor]> = {
  ...inF32,
  accepts: ['float', 'float'],
  forward(run, attrs, a, b) {
    const sum = sumAsStored(run, a, b) ?? sumAsStored(run, b, a)
    return sum ? [sum] : inF32.forward(run, attrs, storedAs(run, 'f32', a), storedAs(run, 'f32', b))
  },
  backward(run, _, [dy], inputs, _outputs, needs) {
    const wide = (size: number) => (size < sizeOf(dy.shape) ? storedAs(run, 'f32', dy) : dy)
    return inputs.map(({ shape }, i) => (needs[i] ? sumTo(run, wide(sizeOf(shape)), shape) : null))
  },
}

/** a + b, elementwise, broadcasting as numpy does. Either may be a number. Throws ShapeError for
 *  shapes that do not broadcast, and TypeError for the number NaN. */
export const add = binary(
  addOp,
  (b) => [1, b],
  (a) => [1, a],
)
