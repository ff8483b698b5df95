// Cuts a tensor into equal parts along an axis. The gradient of the whole is written in one pass,
// where that of as many slices would be written once for each and added.

import {
  type Op,
  type Shape,
  type Tensor,
  ShapeError,
  dim,
  flatIndex,
  kernel,
  show,
  sizeOf,
} from '../op.ts'
import { axisOf, linesOf } from '../wgsl/axes.ts'
import { perElement } from '../wgsl/pointwise.ts'
import { readStrided, stridesOf } from '../wgsl/strided.ts'
import { checkTensor, checkValue, rule } from '../options.ts'

// Row a of dx is row a of each part's gradient, one after another. `given` has a bit for each part
// that something depends on; the others get 0.
const backwardKernel = kernel`
  struct Params { count: u32, width: u32, parts: u32, given: u32 }
  @group(0) @binding(0) var<storage, read>       d0: array<f32>; // [A, width]
  @group(0) @binding(1) var<storage, read>       d1: array<f32>;
  @group(0) @binding(2) var<storage, read>       d2: array<f32>;
  @group(0) @binding(3) var<storage, read>       d3: array<f32>;
  @group(0) @binding(4) var<storage, read_write> dx: array<f32>; // [A, parts, width]
  @group(0) @binding(5) var<uniform>             p:  Params;
  ${flatIndex}
  @compute @workgroup_size(64)
  fn chunkBackward(@builtin(global_invocation_id) id: vec3u, @builtin(num_workgroups) groups: vec3u) {
    let i = flat(id, groups);
    if (i >= p.count) { return; }
    let part = i / p.width % p.parts;
    let at = i / p.width / p.parts * p.width + i % p.width;
    var value = 0.0;
    if (((p.given >> part) & 1u) == 1u) {
      switch part {
        case 0u: { value = d0[at]; }
        case 1u: { value = d1[at]; }
        case 2u: { value = d2[at]; }
        default: { value = d3[at]; }
      }
    }
    dx[i] = value;
  }
`

interface Attrs {
  readonly parts: number
  readonly axis: number
}

type Outputs = [Tensor, ...Tensor[]]

const chunkOp: Op<[x: Tensor], Outputs, Attrs> = {
  name: 'chunk',
  shape: partOf,
  forward(run, attrs, x) {
    const shape = partOf(attrs, x.shape)
    const [strides, at] = [stridesOf(x.shape), axisOf('chunk', x.shape, attrs.axis)]
    const step = dim(strides, at) * dim(shape, at)
    return Array.from({ length: attrs.parts }, (_, i) =>
      readStrided(run, x, shape, { strides, offset: i * step }),
    ) as Outputs // at least one part
  },
  backward(run, { parts, axis }, cotangents, [x]) {
    const [d0] = cotangents
    const [, R, B] = linesOf(x.shape, axisOf('chunk', x.shape, axis))
    const given = cotangents.reduce((bits, dy, i) => bits | (dy ? 1 << i : 0), 0)
    const [, d1 = d0, d2 = d0, d3 = d0] = cotangents.map((dy) => dy ?? d0)
    const params = { width: (R * B) / parts, parts, given }
    return [perElement(run, backwardKernel, x.shape, { reads: [d0, d1, d2, d3], params })]
  },
}

function partOf({ parts, axis }: Attrs, x: Shape): Shape {
  const at = axisOf('chunk', x, axis)
  if (dim(x, at) % parts !== 0 || sizeOf(x) === 0)
    throw new ShapeError(`chunk: axis ${axis} of ${show(x)} does not divide into ${parts} parts`)
  return x.map((size, i) => (i === at ? size / parts : size))
}

const aFew = rule('2, 3 or 4', (v) => v === 2 || v === 3 || v === 4)

/** Cuts x into `parts` equal parts along an axis, 2, 3 or 4, in order: queries, keys and values of
 *  one linear layer, for example. Like torch's `chunk` where the axis divides. Throws ShapeError
 *  where it does not. */
export function chunk(x: Tensor, parts: number, axis: number): readonly Tensor[] {
  checkTensor('chunk', 'x', x)
  checkValue('chunk', 'parts', parts, aFew)
  return x.gpu.apply(chunkOp, { parts, axis }, [x])
}
