// Mean over the cells of a grid (torch.nn.functional.adaptive_avg_pool2d): row i of oh takes the
// rows [floor(i H / oh), ceil((i + 1) H / oh)) of H, and likewise columns. Cells overlap where the
// grid does not divide the image.

import {
  type Op,
  type Shape,
  type Tensor,
  ShapeError,
  dim,
  flatIndex,
  images,
  kernel,
  op,
  show,
} from '../op.ts'
import { describe } from '../options.ts'
import { perElement } from '../wgsl/pointwise.ts'
import { byStorage } from '../wgsl/storage.ts'
import { widthOf } from '../wgsl/widths.ts'

const avgKernel = byStorage(
  (types) => kernel`
  struct Params { count: u32, H: u32, W: u32, C: u32, outH: u32, outW: u32 }
  ${types}
  @group(0) @binding(0) var<storage, read>       x: array<S>; // [N, H, W, C]
  @group(0) @binding(1) var<storage, read_write> y: array<F>; // [N, outH, outW, C]
  @group(0) @binding(2) var<uniform>             p: Params;
  ${flatIndex}
  @compute @workgroup_size(64)
  fn adaptiveAvgPool(@builtin(global_invocation_id) id: vec3u, @builtin(num_workgroups) groups: vec3u) {
    let i = flat(id, groups);
    if (i >= p.count) { return; }
    let n = i / (p.C * p.outW * p.outH);
    let row = i / (p.C * p.outW) % p.outH;
    let column = i / p.C % p.outW;
    let rows = vec2u(row * p.H, (row + 1u) * p.H + p.outH - 1u) / p.outH;
    let columns = vec2u(column * p.W, (column + 1u) * p.W + p.outW - 1u) / p.outW;
    var sum = F();
    for (var h = rows.x; h < rows.y; h++) {
      for (var w = columns.x; w < columns.y; w++) { sum += widen(x[((n * p.H + h) * p.W + w) * p.C + i % p.C]); }
    }
    y[i] = sum / f32((rows.y - rows.x) * (columns.y - columns.x));
  }
`,
)

const backwardKernel = byStorage(
  (types) => kernel`
  struct Params { count: u32, H: u32, W: u32, C: u32, outH: u32, outW: u32 }
  ${types}
  @group(0) @binding(0) var<storage, read>       dy: array<F>; // [N, outH, outW, C]
  @group(0) @binding(1) var<storage, read_write> dx: array<S>; // [N, H, W, C]
  @group(0) @binding(2) var<uniform>             p:  Params;
  ${flatIndex}
  // The cells [first, end), of count, that contain row or column at, of size.
  fn cells(at: u32, size: u32, count: u32) -> vec2u {
    return vec2u(at * count / size, ((at + 1u) * count + size - 1u) / size);
  }
  fn extent(i: u32, size: u32, count: u32) -> u32 {
    return ((i + 1u) * size + count - 1u) / count - i * size / count;
  }
  @compute @workgroup_size(64)
  fn adaptiveAvgPoolBackward(@builtin(global_invocation_id) id: vec3u, @builtin(num_workgroups) groups: vec3u) {
    let i = flat(id, groups);
    if (i >= p.count) { return; }
    let n = i / (p.C * p.W * p.H);
    let rows = cells(i / (p.C * p.W) % p.H, p.H, p.outH);
    let columns = cells(i / p.C % p.W, p.W, p.outW);
    var sum = F();
    for (var h = rows.x; h < rows.y; h++) {
      for (var w = columns.x; w < columns.y; w++) {
        let area = f32(extent(h, p.H, p.outH) * extent(w, p.W, p.outW));
        sum += dy[((n * p.outH + h) * p.outW + w) * p.C + i % p.C] / area;
      }
    }
    dx[i] = narrow(sum);
  }
`,
)

interface Grid {
  readonly size: readonly [h: number, w: number]
}

/** Exported for globalAvgPool. */
export const adaptiveAvgPoolOp: Op<[x: Tensor], [Tensor], Grid> = {
  name: 'adaptiveAvgPool',
  accepts: ['float'],
  shape({ size: [oh, ow] }, x) {
    const [N, , , C] = images(x, 'adaptiveAvgPool: x')
    if (![oh, ow].every((side) => Number.isInteger(side) && side > 0))
      throw new ShapeError(
        `adaptiveAvgPool: size must be whole positive numbers, got ${show([oh, ow])}`,
      )
    return [N, oh, ow, C]
  },
  forward(run, attrs, x) {
    const out = adaptiveAvgPoolOp.shape(attrs, x.shape)
    const width = widthOf(dim(out, 3))
    const how = { reads: [x], params: gridParams(x.shape, attrs), width }
    return [perElement(run, avgKernel(x, width), out, how)]
  },
  backward(run, attrs, [dy], [x]) {
    const { shape, dtype } = x
    const width = widthOf(dim(shape, 3))
    const how = { reads: [dy], params: gridParams(shape, attrs), width }
    return [perElement(run, backwardKernel(x, width), { shape, dtype }, how)]
  },
}

function gridParams(x: Shape, { size: [outH, outW] }: Grid) {
  const [, H, W, C] = images(x, 'adaptiveAvgPool: x')
  return { H, W, C: C / widthOf(C), outH, outW }
}

const apply = op(adaptiveAvgPoolOp)

/** Mean of x [N, H, W, C] over the cells of a grid -> [N, oh, ow, C], f32. Throws ShapeError unless
 *  oh and ow are whole and positive. */
export const adaptiveAvgPool = (x: Tensor, size: readonly [oh: number, ow: number]): Tensor => {
  if (!Array.isArray(size) || size.length !== 2)
    throw new TypeError(`adaptiveAvgPool: size must be [rows, columns], got ${describe(size)}`)
  return apply({ size }, x)
}
