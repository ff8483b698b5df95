// Reflection padding: out[i] = x[fold(i - padding)], fold(-1) = 1, fold(size) = size - 2
// (torch.nn.functional.pad, mode 'reflect'). The gradient of an input pixel sums dy over all its
// copies, at most three per axis.

import {
  type Op,
  type Tensor,
  ShapeError,
  elementwise,
  flatIndex,
  images,
  kernel,
  op,
  show,
  sizeOf,
} from '../op.ts'
import type { Pair } from './forward.ts'

const padKernel = kernel`
  struct Params { count: u32, H: u32, W: u32, C: u32, padH: u32, padW: u32 }
  @group(0) @binding(0) var<storage, read>       x:   array<f32>; // [N, H, W, C]
  @group(0) @binding(1) var<storage, read_write> out: array<f32>; // [N, H + 2 padH, W + 2 padW, C]
  @group(0) @binding(2) var<uniform>             p:   Params;
  ${flatIndex}
  fn fold(i: u32, padding: u32, size: u32) -> u32 {
    let at = abs(i32(i) - i32(padding));
    return u32(min(at, 2 * i32(size) - 2 - at));
  }
  @compute @workgroup_size(64)
  fn padReflect(@builtin(global_invocation_id) id: vec3u, @builtin(num_workgroups) groups: vec3u) {
    let i = flat(id, groups);
    if (i >= p.count) { return; }
    let outH = p.H + 2u * p.padH;
    let outW = p.W + 2u * p.padW;
    let h = fold(i / (p.C * outW) % outH, p.padH, p.H);
    let v = fold(i / p.C % outW, p.padW, p.W);
    out[i] = x[((i / (p.C * outW * outH) * p.H + h) * p.W + v) * p.C + i % p.C];
  }
`

const foldKernel = kernel`
  struct Params { count: u32, H: u32, W: u32, C: u32, padH: u32, padW: u32 }
  @group(0) @binding(0) var<storage, read>       dy: array<f32>; // [N, H + 2 padH, W + 2 padW, C]
  @group(0) @binding(1) var<storage, read_write> dx: array<f32>; // [N, H, W, C]
  @group(0) @binding(2) var<uniform>             p:  Params;
  ${flatIndex}
  // Copies of pixel i in the padded image: itself, before the start, past the end; -1 where there
  // is none.
  fn copies(i: i32, padding: i32, size: i32) -> vec3i {
    let before = select(-1, padding - i, i > 0 && i <= padding);
    let after = select(-1, padding + 2 * size - 2 - i, i < size - 1 && i >= size - 1 - padding);
    return vec3i(padding + i, before, after);
  }
  @compute @workgroup_size(64)
  fn padReflectBackward(@builtin(global_invocation_id) id: vec3u, @builtin(num_workgroups) groups: vec3u) {
    let i = flat(id, groups);
    if (i >= p.count) { return; }
    let outH = p.H + 2u * p.padH;
    let outW = p.W + 2u * p.padW;
    let n = i / (p.C * p.W * p.H);
    let rows = copies(i32(i / (p.C * p.W) % p.H), i32(p.padH), i32(p.H));
    let columns = copies(i32(i / p.C % p.W), i32(p.padW), i32(p.W));
    var sum = 0.0;
    for (var a = 0u; a < 3u; a++) {
      for (var b = 0u; b < 3u; b++) {
        if (rows[a] >= 0 && columns[b] >= 0) {
          sum += dy[((n * outH + u32(rows[a])) * outW + u32(columns[b])) * p.C + i % p.C];
        }
      }
    }
    dx[i] = sum;
  }
`

const padReflectOp: Op<[x: Tensor], [Tensor], { readonly padding: Pair }> = {
  name: 'padReflect',
  shape({ padding: [padH, padW] }, x) {
    const [N, H, W, C] = images(x, 'padReflect: x')
    if (padH >= H || padW >= W)
      throw new ShapeError(
        `padReflect: padding must be smaller than the image, got padding ${show([padH, padW])} of ${show(x)}`,
      )
    return [N, H + 2 * padH, W + 2 * padW, C]
  },
  forward(run, attrs, x) {
    const out = padReflectOp.shape(attrs, x.shape)
    const [, H, W, C] = images(x.shape, 'padReflect: x')
    const [count, [padH, padW]] = [sizeOf(out), attrs.padding]
    const params = { count, H, W, C, padH, padW }
    return run(padKernel, { reads: [x], makes: [out], params, groups: elementwise(count) })
  },
  backward(run, { padding: [padH, padW] }, [dy], [x]) {
    const [, H, W, C] = images(x.shape, 'padReflect: x')
    const count = sizeOf(x.shape)
    const params = { count, H, W, C, padH, padW }
    return run(foldKernel, { reads: [dy], makes: [x.shape], params, groups: elementwise(count) })
  },
}

const apply = op(padReflectOp, 'x')

/** Pads x [N, H, W, C] by reflection, without repeating the edge -> [N, H + 2 h, W + 2 w, C].
 *  Throws ShapeError unless the padding is smaller than the image. */
export const padReflect = (x: Tensor, padding: Pair): Tensor => apply({ padding }, x)
