import {
  type Op,
  type Shape,
  type Tensor,
  ShapeError,
  dim,
  elementwise,
  flatIndex,
  kernel,
  op,
  show,
  sizeOf,
} from '../op.ts'
import { axisOf, linesOf } from '../wgsl/axes.ts'
import { perElement } from '../wgsl/pointwise.ts'
import { readStrided, stridesOf } from '../wgsl/strided.ts'
import { byWidth, widthOf } from '../wgsl/widths.ts'
import { checkTensor } from '../options.ts'

// Writes every element of dx: dy inside the slice, 0 outside.
const backwardKernel = byWidth(
  (types) => kernel`
  struct Params { count: u32, width: u32, start: u32, end: u32 }
  ${types}
  @group(0) @binding(0) var<storage, read>       dy: array<F>; // [A, end - start]
  @group(0) @binding(1) var<storage, read_write> dx: array<F>; // [A, width]
  @group(0) @binding(2) var<uniform>             p:  Params;
  ${flatIndex}
  @compute @workgroup_size(64)
  fn sliceBackward(@builtin(global_invocation_id) id: vec3u, @builtin(num_workgroups) groups: vec3u) {
    let i = flat(id, groups);
    if (i >= p.count) { return; }
    let e = i % p.width;
    var value = F();
    if (e >= p.start && e < p.end) { value = dy[i / p.width * (p.end - p.start) + e - p.start]; }
    dx[i] = value;
  }
`,
)

// The forward pass for bytes, four to a word. A word of the result may come from two of the input.
const bytesKernel = kernel`
  struct Params { count: u32, width: u32, start: u32, length: u32 }
  @group(0) @binding(0) var<storage, read>       x: array<u32>; // [A, width] u8
  @group(0) @binding(1) var<storage, read_write> y: array<u32>; // [A, length] u8
  @group(0) @binding(2) var<uniform>             p: Params;
  ${flatIndex}
  @compute @workgroup_size(64)
  fn sliceBytes(@builtin(global_invocation_id) id: vec3u, @builtin(num_workgroups) groups: vec3u) {
    let i = flat(id, groups);
    if (i >= (p.count + 3u) / 4u) { return; }
    var word = 0u;
    for (var k = 0u; k < 4u; k++) {
      let e = 4u * i + k;
      if (e < p.count) {
        let at = e / p.length * p.width + p.start + e % p.length;
        word |= ((x[at / 4u] >> (8u * (at % 4u))) & 255u) << (8u * k);
      }
    }
    y[i] = word;
  }
`

interface Attrs {
  readonly axis: number
  readonly start: number
  readonly end: number
}

const sliceOp: Op<[x: Tensor], [y: Tensor], Attrs> = {
  name: 'slice',
  shape: cut,
  forward(run, attrs, x) {
    const strides = stridesOf(x.shape)
    const offset = attrs.start * dim(strides, axisOf('slice', x.shape, attrs.axis))
    return [readStrided(run, x, cut(attrs, x.shape), { strides, offset })]
  },
  backward(run, { axis, start, end }, [dy], [x]) {
    const [, R, B] = linesOf(x.shape, axisOf('slice', x.shape, axis))
    const [all, first, last] = [R * B, start * B, end * B]
    const width = widthOf(all, first, last)
    const params = { width: all / width, start: first / width, end: last / width }
    const program = backwardKernel(all, first, last)
    return [perElement(run, program, x.shape, { reads: [dy], params, width })]
  },
}

const wordsKernel = kernel`
  struct Params { count: u32, width: u32, start: u32, length: u32 }
  @group(0) @binding(0) var<storage, read>       x: array<i32>; // [A, width]
  @group(0) @binding(1) var<storage, read_write> y: array<i32>; // [A, length]
  @group(0) @binding(2) var<uniform>             p: Params;
  ${flatIndex}
  @compute @workgroup_size(64)
  fn sliceWords(@builtin(global_invocation_id) id: vec3u, @builtin(num_workgroups) groups: vec3u) {
    let i = flat(id, groups);
    if (i < p.count) { y[i] = x[i / p.length * p.width + p.start + i % p.length]; }
  }
`

const sliceWholeOp = (dtype: 'i32' | 'u8'): Op<[x: Tensor], [y: Tensor], Attrs> => ({
  name: 'slice',
  accepts: [dtype],
  shape: cut,
  forward(run, attrs, x) {
    const { axis, start, end } = attrs
    const [, R, B] = linesOf(x.shape, axisOf('slice', x.shape, axis))
    const shape = cut(attrs, x.shape)
    const count = sizeOf(shape)
    return run(dtype === 'u8' ? bytesKernel : wordsKernel, {
      reads: [x],
      makes: [{ shape, dtype }],
      params: { count, width: R * B, start: start * B, length: (end - start) * B },
      groups: elementwise(dtype === 'u8' ? Math.ceil(count / 4) : count),
    })
  },
})

function cut({ axis, start, end }: Attrs, x: Shape): Shape {
  const at = axisOf('slice', x, axis)
  const whole = Number.isInteger(start) && Number.isInteger(end)
  if (!whole || start < 0 || end < start || end > dim(x, at))
    throw new ShapeError(`slice: ${start} to ${end} does not lie in axis ${axis} of ${show(x)}`)
  return x.map((size, i) => (i === at ? end - start : size))
}

const applySlice = op(sliceOp)
const [applySliceBytes, applySliceWords] = [op(sliceWholeOp('u8')), op(sliceWholeOp('i32'))]

/** Returns x from `start` up to, not including, `end` along an axis. x is f32, or i32 or u8, which
 *  get no gradient. Throws ShapeError for a range that does not lie in the axis. */
export const slice = (x: Tensor, axis: number, start: number, end: number): Tensor => {
  checkTensor('slice', 'x', x)
  const apply = { f32: applySlice, f16: applySlice, i32: applySliceWords, u8: applySliceBytes }
  return apply[x.dtype]({ axis, start, end }, x)
}
