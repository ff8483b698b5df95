// Translation filled with the image's own mirror image (AMDIM, datasets.py,
// RandomTranslateWithReflect):
//   y[n, i, j] = x[n, reflect(i - dy), reflect(j - dx)], without repeating the edge

import { type Op, type Tensor, ShapeError, flatIndex, images, kernel, op } from '../op.ts'
import { pointwise } from '../wgsl/pointwise.ts'
import { reflectIndex } from '../wgsl/reflect.ts'

const translateKernel = kernel`
  struct Params { count: u32, H: i32, W: i32, C: u32, dx: i32, dy: i32 }
  @group(0) @binding(0) var<storage, read>       x: array<f32>; // [N, H, W, C]
  @group(0) @binding(1) var<storage, read_write> y: array<f32>; // [N, H, W, C]
  @group(0) @binding(2) var<uniform>             p: Params;
  ${flatIndex}
  ${reflectIndex}
  @compute @workgroup_size(64)
  fn translateReflect(@builtin(global_invocation_id) id: vec3u, @builtin(num_workgroups) groups: vec3u) {
    let e = flat(id, groups);
    if (e >= p.count) { return; }
    let pixel = e / p.C;
    let row = pixel / u32(p.W);
    let image = row / u32(p.H);
    let i = u32(reflectIndex(i32(row % u32(p.H)) - p.dy, p.H));
    let j = u32(reflectIndex(i32(pixel % u32(p.W)) - p.dx, p.W));
    y[e] = x[((image * u32(p.H) + i) * u32(p.W) + j) * p.C + e % p.C];
  }
`

interface Shift {
  readonly dx: number
  readonly dy: number
}

const translateOp: Op<[x: Tensor], [Tensor], Shift> = {
  name: 'translateReflect',
  shape({ dx, dy }, x) {
    const [, H, W] = images(x, 'translateReflect: x')
    const fits = (shift: number, size: number) => Number.isInteger(shift) && Math.abs(shift) < size
    if (!fits(dx, W) || !fits(dy, H))
      throw new ShapeError(
        `translateReflect: shifts must be whole pixels, fewer than the image has, got dx ${dx}, dy ${dy} for ${H} x ${W}`,
      )
    return x
  },
  forward(run, shift, x) {
    const [, H, W, C] = images(x.shape, 'translateReflect: x')
    return [pointwise(run, translateKernel, [x], { H, W, C, ...shift })]
  },
}

const apply = op(translateOp)

/** Moves images x [N, H, W, C] right by dx and down by dy pixels (left and up where negative) and
 *  fills the gap by reflection, as AMDIM augments CIFAR. Carries no gradient. Throws ShapeError
 *  for shifts that are not whole or not smaller than the image. */
export const translateReflect = (x: Tensor, dx: number, dy: number) => apply({ dx, dy }, x)
