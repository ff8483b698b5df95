import {
  type Op,
  type Shape,
  type Tensor,
  type TensorList,
  ShapeError,
  dim,
  flatIndex,
  kernel,
  op,
  show,
  sizeOf,
} from '../op.ts'
import { axisOf, linesOf } from '../wgsl/axes.ts'
import { perElement } from '../wgsl/pointwise.ts'
import { readStrided, stridesOf } from '../wgsl/strided.ts'
import { checkTensor, describe } from '../options.ts'

// Row a of the result is row a of each input [A, width], one after another. Missing inputs have
// width 0. The bits are copied, of f32 and of i32.
const concatKernel = kernel`
  struct Params { count: u32, width0: u32, width1: u32, width2: u32, width3: u32 }
  @group(0) @binding(0) var<storage, read>       x0:  array<u32>; // [A, width0]
  @group(0) @binding(1) var<storage, read>       x1:  array<u32>; // [A, width1]
  @group(0) @binding(2) var<storage, read>       x2:  array<u32>; // [A, width2]
  @group(0) @binding(3) var<storage, read>       x3:  array<u32>; // [A, width3]
  @group(0) @binding(4) var<storage, read_write> out: array<u32>; // [A, sum of widths]
  @group(0) @binding(5) var<uniform>             p:   Params;
  ${flatIndex}
  fn pick(a: u32, e: u32) -> u32 {
    if (e < p.width0) { return x0[a * p.width0 + e]; }
    let e1 = e - p.width0;
    if (e1 < p.width1) { return x1[a * p.width1 + e1]; }
    let e2 = e1 - p.width1;
    if (e2 < p.width2) { return x2[a * p.width2 + e2]; }
    return x3[a * p.width3 + e2 - p.width2];
  }
  @compute @workgroup_size(64)
  fn concat(@builtin(global_invocation_id) id: vec3u, @builtin(num_workgroups) groups: vec3u) {
    let i = flat(id, groups);
    if (i >= p.count) { return; }
    let width = p.width0 + p.width1 + p.width2 + p.width3;
    out[i] = pick(i / width, i % width);
  }
`

const concatOp: Op<TensorList, [y: Tensor], { axis: number }> = {
  name: 'concat',
  shape: ({ axis }, ...shapes) => joined(axis, shapes),
  forward(run, { axis }, ...xs) {
    const shape = joined(axis, shapesOf(xs))
    const [A] = linesOf(shape, axisOf('concat', shape, axis))
    const [x0, x1 = x0, x2 = x0, x3 = x0] = xs
    const [width0 = 0, width1 = 0, width2 = 0, width3 = 0] = xs.map(
      (x) => sizeOf(x.shape) / (A || 1),
    )
    const params = { width0, width1, width2, width3 }
    const make = { shape, dtype: x0.dtype }
    return [perElement(run, concatKernel, make, { reads: [x0, x1, x2, x3], params })]
  },
  backward(run, { axis }, [dy], xs, _outputs, needs) {
    const at = axisOf('concat', dy.shape, axis)
    const strides = stridesOf(dy.shape)
    const step = dim(strides, at)
    let offset = 0
    return xs.map((x, i) => {
      const start = offset
      offset += dim(x.shape, at) * step
      return needs[i] ? readStrided(run, dy, x.shape, { strides, offset: start }) : null
    })
  },
}

const shapesOf = (tensors: readonly Tensor[]) => tensors.map(({ shape }) => shape)

function joined(axis: number, shapes: readonly Shape[]): Shape {
  const [first = []] = shapes
  const at = axisOf('concat', first, axis)
  for (const shape of shapes) {
    if (shape.length !== first.length || shape.some((size, i) => i !== at && size !== first[i]))
      throw new ShapeError(
        `concat: shapes may differ only along axis ${axis}, got ${shapes.map(show).join(', ')}`,
      )
  }
  return first.map((size, i) =>
    i === at ? shapes.reduce((sum, shape) => sum + dim(shape, at), 0) : size,
  )
}

const { backward: _none, ...ofIntegers } = concatOp
const applyConcat = op(concatOp)
const applyIntegers = op({ ...ofIntegers, accepts: ['i32', 'i32', 'i32', 'i32'] })

/** Joins tensors along an axis, with gradients to all of them. They are f32, or all i32. Throws
 *  ShapeError where their other sizes differ, and for no tensor at all. */
export function concat(tensors: readonly Tensor[], axis: number): Tensor {
  if (!Array.isArray(tensors))
    throw new TypeError(`concat: tensors must be an array of tensors, got ${describe(tensors)}`)
  for (const [i, one] of tensors.entries()) checkTensor('concat', `tensors[${i}]`, one)
  const [first, ...others]: readonly Tensor[] = tensors
  if (!first) throw new ShapeError('concat: at least one tensor is needed, got none')
  const apply = first.dtype === 'i32' ? applyIntegers : applyConcat
  if (tensors.length <= 4) return apply({ axis }, first, ...others)
  joined(axis, shapesOf(tensors)) // an error then names every shape
  const joints = Array.from({ length: Math.ceil(tensors.length / 4) }, (_, i) => {
    const [one, ...more] = tensors.slice(4 * i, 4 * i + 4) as [Tensor, ...Tensor[]]
    return more.length > 0 ? apply({ axis }, one, ...more) : one
  })
  return concat(joints, axis)
}
