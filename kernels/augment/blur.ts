// Gaussian blur like torchvision's gaussian_blur: separable, padded by reflection, k taps exp(-x^2
// / 2 sigma^2) scaled to sum 1. The first pass goes along the rows, the second along the columns
// and normalises. The first skips images without blur; the second reads them from the first's
// input.

import { augmentationStruct } from './parameters.ts'
import { type Run, type Tensor, dim, elementwise, flatIndex, kernel } from '../op.ts'
import { reflectIndex } from '../wgsl/reflect.ts'

const passKernel = kernel`
  struct Params {
    N: u32, h: u32, w: u32, half: i32, last: u32,
    meanR: f32, meanG: f32, meanB: f32, stdR: f32, stdG: f32, stdB: f32
  }
  ${augmentationStruct}
  @group(0) @binding(0) var<storage, read>       sharp:  array<f32>;          // [N, h, w, 3]
  @group(0) @binding(1) var<storage, read>       across: array<f32>;          // [N, h, w, 3], after pass 1
  @group(0) @binding(2) var<storage, read>       chosen: array<Augmentation>; // [N]
  @group(0) @binding(3) var<storage, read_write> out:    array<f32>;          // [N, h, w, 3]
  @group(0) @binding(4) var<uniform>             p:      Params;
  ${flatIndex}
  ${reflectIndex}
  @compute @workgroup_size(64)
  fn blur(@builtin(global_invocation_id) id: vec3u, @builtin(num_workgroups) groups: vec3u) {
    let at = flat(id, groups);
    if (at >= p.N * p.h * p.w) { return; }
    let sigma = chosen[at / (p.h * p.w)].sigma;
    let down = p.last == 1u;
    var c = vec3f(sharp[3u * at], sharp[3u * at + 1u], sharp[3u * at + 2u]);
    if (sigma > 0) {
      let position = select(at % p.w, (at / p.w) % p.h, down);
      let count = select(p.w, p.h, down);
      let stride = select(1u, p.w, down);
      let start = at - position * stride;
      var total = 0.0;
      c = vec3f(0);
      for (var k = -p.half; k <= p.half; k++) {
        let x = f32(k) / sigma;
        let weight = exp(-0.5 * x * x);
        let tap = 3u * (start + u32(reflectIndex(i32(position) + k, i32(count))) * stride);
        c += weight * vec3f(across[tap], across[tap + 1u], across[tap + 2u]);
        total += weight;
      }
      c /= total;
    } else if (!down) { return; }
    if (down) { c = (c - vec3f(p.meanR, p.meanG, p.meanB)) / vec3f(p.stdR, p.stdG, p.stdB); }
    out[3u * at] = c.r;
    out[3u * at + 1u] = c.g;
    out[3u * at + 2u] = c.b;
  }
`

/** Blurs images [N, h, w, 3] by the sigma of their rows [N, 16] over `width` pixels, then
 *  normalises them. */
export function blurred(
  run: Run,
  sharp: Tensor,
  chosen: Tensor,
  width: number,
  statistics: Readonly<Record<string, number>>,
): Tensor {
  const [N, h, w] = [dim(sharp.shape, 0), dim(sharp.shape, 1), dim(sharp.shape, 2)]
  const params = { N, h, w, half: (width - 1) / 2, ...statistics }
  const pass = (from: Tensor, last: number) =>
    run(passKernel, {
      reads: [sharp, from, chosen],
      makes: [sharp.shape],
      params: { ...params, last },
      groups: elementwise(N * h * w),
    })[0]
  return pass(pass(sharp, 0), 1)
}
