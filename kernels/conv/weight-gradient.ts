// The gradient of a convolution's weight: dW[r, s, c, k] = sum over output pixels of x[its tap (r, s), c] dy[pixel, k].
// Rows are (r, s, c), columns k, and the sum over image rows is split over workgroups, whose partial sums a second
// kernel adds in a fixed order, so that two runs give the same bits.

import { type Run, type Shape, type Tensor, folded, images, kernel, sizeOf } from '../op.ts'
import { CPU_COLUMNS, partialCpuKernel, suitsCpu } from './weight-gradient-software.ts'
import { convWeightGradientTiled } from './weight-gradient-tiled.ts'
import { sharing, threadsFor } from '../wgsl/broadcast-load.ts'
import type { Steps } from './forward.ts'
import { sumSplits } from '../wgsl/sum-splits.ts'

const COLUMNS = 8
const PARTIAL_BYTES = 1 << 25 // of scratch at most; every adapter binds four times as much

const partialKernel = sharing(
  ({ head, lane, eight }) => kernel`
  ${head}
  struct Params {
    N: u32, H: u32, W: u32, C: u32, outH: u32, outW: u32, K: u32, kH: u32, kW: u32,
    strideH: u32, strideW: u32, padH: u32, padW: u32, lines: u32, bands: u32
  }
  @group(0) @binding(0) var<storage, read>       x:       array<f32>; // [N, H, W, C]
  @group(0) @binding(1) var<storage, read>       factors: array<f32>; // dy [N, outH, outW, K]
  @group(0) @binding(2) var<storage, read_write> dw:      array<f32>; // [splits, kH, kW, C, K]
  @group(0) @binding(3) var<uniform>             p:       Params;
  override threads: u32 = 64u;
  override rows: u32 = 4u; // of dW per thread: any 4, or the 3 of a row of 3 taps with stride 1, which share what they read
  ${eight}

  @compute @workgroup_size(threads)
  fn convWeightGradient(
    ${lane},
    @builtin(workgroup_id) group: vec3u,
    @builtin(num_workgroups) groups: vec3u,
  ) {
    let count = p.kH * p.kW * p.C;
    // Tiles past the last repeat it.
    let tile = min(group.y * groups.x + group.x, (p.K + 7u) / 8u * p.bands - 1u);
    let block = tile / p.bands;
    let thread = (tile - block * p.bands) * threads + lane;
    let k = block * 8u;
    share(neighbor, k, p.K, 1u);
    var row = array<u32, 4>();
    var r = array<i32, 4>();
    var s = array<i32, 4>();
    var c = array<u32, 4>();
    for (var j = 0u; j < rows; j++) {
      row[j] = select(thread * 4u + j, (thread / p.C * 3u + j) * p.C + thread % p.C, rows == 3u);
      let tap = row[j] / p.C;
      r[j] = i32(tap / p.kW) - i32(p.padH);
      s[j] = i32(tap % p.kW) - i32(p.padW);
      c[j] = row[j] % p.C;
    }

    var sums = array<array<f32, 8>, 4>();
    let end = min((group.z + 1u) * p.lines, p.N * p.outH);
    let begin = group.z * p.lines;
    var n = begin / p.outH;
    var h = begin - n * p.outH;
    for (var line = begin; line < end; line++) {
      var start = array<u32, 4>();
      var width = array<u32, 4>(); // of the image, or 0 where the tap's row lies in the padding
      for (var j = 0u; j < rows; j++) {
        let source = u32(i32(h * p.strideH) + r[j]); // a negative one is huge as u32
        width[j] = select(0u, p.W, source < p.H);
        start[j] = (n * p.H + source) * p.W * p.C + c[j];
      }
      var values = array<f32, 4>();
      if (rows == 3u) {
        for (var j = 1u; j < 3u; j++) {
          let v = u32(s[j] - 1);
          values[j] = select(0.0, x[select(0u, start[0] + v * p.C, v < width[0])], v < width[0]);
        }
      }
      for (var o = 0u; o < p.outW; o++) {
        if (rows == 3u) { // the next pixel's taps are this one's, moved by one
          let v = u32(i32(o) + s[2]);
          values[0] = values[1];
          values[1] = values[2];
          values[2] = select(0.0, x[select(0u, start[0] + v * p.C, v < width[0])], v < width[0]);
        } else {
          for (var j = 0u; j < rows; j++) {
            let v = u32(i32(o * p.strideW) + s[j]);
            values[j] = select(0.0, x[select(0u, start[j] + v * p.C, v < width[j])], v < width[j]);
          }
        }
        let dy = eight((line * p.outW + o) * p.K);
        for (var j = 0u; j < rows; j++) {
          for (var i = 0u; i < 8u; i++) { sums[j][i] = fma(values[j], dy[i], sums[j][i]); }
        }
      }
      h += 1u;
      if (h == p.outH) {
        h = 0u;
        n += 1u;
      }
    }

    for (var j = 0u; j < rows; j++) {
      if (row[j] < count) {
        let to = (group.z * count + row[j]) * p.K;
        // Columns past the last repeat it, and are stored there once more.
        for (var i = 0u; i < 8u; i++) { dw[to + min(k + i, p.K - 1u)] = sums[j][i]; }
      }
    }
  }
`,
)

/** Gradient of `convolve` with respect to its weight, which has the shape `out` [kH, kW, C, K], from x and dy. */
export function convWeightGradient(run: Run, x: Tensor, dy: Tensor, out: Shape, steps: Steps): Tensor {
  if (!run.software && sizeOf(x.shape) * sizeOf(dy.shape) > 0)
    return convWeightGradientTiled(run, x, dy, out, steps)
  const { stride, padding } = steps
  const [N, H, W, C] = images(x.shape, 'conv2d: x')
  const [, outH, outW] = images(dy.shape, 'conv2d: dy')
  const [kH, kW, , K] = images(out, 'conv2d: w')
  const count = sizeOf(out)
  const threads = threadsFor(run)
  const onCpu = suitsCpu(run, { kW, strideW: stride[1], outW, K })
  const rows = kW === 3 && stride[1] === 1 ? 3 : 4
  const columns = onCpu ? CPU_COLUMNS : COLUMNS
  const bands = Math.ceil((kH * kW * C) / rows / threads)
  const tiles = bands * Math.ceil(K / columns)
  const lines = linesPerSplit(N * outH, tiles, count, run.software)
  const splits = Math.ceil((N * outH) / lines)
  const [partial] = run(onCpu ? partialCpuKernel : partialKernel(run), {
    reads: [x, dy],
    makes: [[splits, ...out]],
    params: {
      ...{ N, H, W, C, outH, outW, K, kH, kW, lines, bands },
      ...{ strideH: stride[0], strideW: stride[1], padH: padding[0], padW: padding[1] },
    },
    constants: onCpu ? { threads } : { threads, rows },
    groups: [...folded(tiles), splits],
  })
  return sumSplits(run, partial, out)
}

/** Image rows that one workgroup sums: few enough to occupy the device, and so many that the partial sums fit. */
function linesPerSplit(lines: number, tiles: number, count: number, software: boolean): number {
  const enough = Math.ceil((software ? 16 : 512) / tiles)
  const fitting = Math.max(1, Math.floor(PARTIAL_BYTES / (count * 4)))
  return Math.max(1, Math.ceil(lines / Math.min(enough, fitting)))
}
