// The gradient of a convolution's weight: dW[r, s, c, k] = sum over output pixels of x[its tap (r, s), c] dy[pixel, k].
// Rows are (r, s, c), columns k, and the sum over image rows is split over workgroups, whose partial sums a second
// kernel adds in a fixed order, so that two runs give the same bits.

import { type Run, type Shape, type Tensor, elementwise, flatIndex, images, kernel, sizeOf } from './op.ts'
import type { Steps } from './convolve.ts'

const ROWS = 256 // of dW, per workgroup
const COLUMNS = 8
const PARTIAL_BYTES = 1 << 25 // of scratch at most; every adapter binds four times as much

const partialKernel = kernel`
  struct Params {
    N: u32, H: u32, W: u32, C: u32, outH: u32, outW: u32, K: u32, kH: u32, kW: u32,
    strideH: u32, strideW: u32, padH: u32, padW: u32, lines: u32
  }
  @group(0) @binding(0) var<storage, read>       x:  array<f32>; // [N, H, W, C]
  @group(0) @binding(1) var<storage, read>       dy: array<f32>; // [N, outH, outW, K]
  @group(0) @binding(2) var<storage, read_write> dw: array<f32>; // [splits, kH, kW, C, K]
  @group(0) @binding(3) var<uniform>             p:  Params;

  @compute @workgroup_size(64)
  fn convWeightGradient(
    @builtin(local_invocation_index) lane: u32,
    @builtin(workgroup_id) group: vec3u,
  ) {
    let rows = p.kH * p.kW * p.C;
    let row = (group.x * 64u + lane) * 4u;
    let k = group.y * 8u;
    if (row >= rows) { return; }

    var r = array<i32, 4>();
    var s = array<i32, 4>();
    var c = array<u32, 4>();
    for (var j = 0u; j < 4u; j++) {
      let tap = (row + j) / p.C;
      c[j] = (row + j) % p.C;
      r[j] = i32(tap / p.kW) - i32(p.padH);
      s[j] = i32(tap % p.kW) - i32(p.padW);
    }

    var sums = array<array<vec4f, 2>, 4>();
    let end = min((group.z + 1u) * p.lines, p.N * p.outH);
    for (var line = group.z * p.lines; line < end; line++) {
      let n = line / p.outH;
      var start = array<u32, 4>();
      var width = array<u32, 4>(); // of the image, or 0 where the tap's row lies in the padding
      for (var j = 0u; j < 4u; j++) {
        let h = u32(i32(line % p.outH * p.strideH) + r[j]); // a negative one is huge as u32
        width[j] = select(0u, p.W, h < p.H);
        start[j] = (n * p.H + h) * p.W;
      }
      for (var o = 0u; o < p.outW; o++) {
        // Columns past K read what lies behind and are never stored.
        let at = (line * p.outW + o) * p.K + k;
        let dy0 = vec4f(dy[at], dy[at + 1u], dy[at + 2u], dy[at + 3u]);
        let dy1 = vec4f(dy[at + 4u], dy[at + 5u], dy[at + 6u], dy[at + 7u]);
        for (var j = 0u; j < 4u; j++) {
          let v = u32(i32(o * p.strideW) + s[j]);
          let inside = v < width[j];
          let value = select(0.0, x[select(0u, (start[j] + v) * p.C + c[j], inside)], inside);
          sums[j][0] = fma(vec4f(value), dy0, sums[j][0]);
          sums[j][1] = fma(vec4f(value), dy1, sums[j][1]);
        }
      }
    }

    for (var j = 0u; j < 4u; j++) {
      for (var i = 0u; i < 8u; i++) {
        if (row + j < rows && k + i < p.K) {
          dw[(group.z * rows + row + j) * p.K + k + i] = sums[j][i / 4u][i % 4u];
        }
      }
    }
  }
`

const sumKernel = kernel`
  struct Params { count: u32, splits: u32 }
  @group(0) @binding(0) var<storage, read>       partial: array<f32>; // [splits, count]
  @group(0) @binding(1) var<storage, read_write> out:     array<f32>; // [count]
  @group(0) @binding(2) var<uniform>             p:       Params;
  ${flatIndex}
  @compute @workgroup_size(64)
  fn sumSplits(@builtin(global_invocation_id) id: vec3u, @builtin(num_workgroups) groups: vec3u) {
    let i = flat(id, groups);
    if (i >= p.count) { return; }
    var sum = 0.0;
    for (var split = 0u; split < p.splits; split++) { sum += partial[split * p.count + i]; }
    out[i] = sum;
  }
`

/** Gradient of `convolve` with respect to its weight, which has the shape `out` [kH, kW, C, K], from x and dy. */
export function convWeightGradient(
  run: Run,
  x: Tensor,
  dy: Tensor,
  out: Shape,
  { stride, padding }: Steps,
): Tensor {
  const [N, H, W, C] = images(x.shape, 'conv2d: x')
  const [, outH, outW] = images(dy.shape, 'conv2d: dy')
  const [kH, kW, , K] = images(out, 'conv2d: w')
  const count = sizeOf(out)
  const tiles = [Math.ceil((kH * kW * C) / ROWS), Math.ceil(K / COLUMNS)] as const
  const lines = linesPerSplit(N * outH, tiles[0] * tiles[1], count, run.software)
  const splits = Math.ceil((N * outH) / lines)
  const [partial] = run(partialKernel, {
    reads: [x, dy],
    makes: [[splits, ...out]],
    params: {
      ...{ N, H, W, C, outH, outW, K, kH, kW, lines },
      ...{ strideH: stride[0], strideW: stride[1], padH: padding[0], padW: padding[1] },
    },
    groups: [...tiles, splits],
  })
  if (splits === 1) return run.view(partial, out)
  const [dw] = run(sumKernel, {
    reads: [partial],
    makes: [out],
    params: { count, splits },
    groups: elementwise(count),
  })
  return dw
}

/** Image rows that one workgroup sums: few enough to occupy the device, and so many that the partial sums fit. */
function linesPerSplit(lines: number, tiles: number, count: number, software: boolean): number {
  const enough = Math.ceil((software ? 16 : 512) / tiles)
  const fitting = Math.max(1, Math.floor(PARTIAL_BYTES / (count * 4)))
  return Math.max(1, Math.ceil(lines / Math.min(enough, fitting)))
}
