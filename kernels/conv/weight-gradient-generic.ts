// The weight gradient without workgroup memory or barriers: each thread sums 4 rows x 8 columns of
// dW in registers.
// Runs on software adapters where weight-gradient-software.ts does not suit, and on any adapter for
// empty tensors.

import { type Run, type Shape, type Tensor, images, kernel } from '../op.ts'
import type { Steps } from './steps.ts'
import { byFragmentLoad, threadsFor } from '../wgsl/broadcast-load.ts'
import type { Partial } from '../wgsl/sum-splits.ts'
import { splitDispatch } from './weight-gradient-splits.ts'

const COLUMNS = 8 // per thread

const genericKernel = byFragmentLoad(
  ({ head, thread, fragment }) => kernel`
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
  override rows: u32 = 4u; // of dW per thread: any 4, or one row of 3 taps at stride 1, which share inputs
  ${fragment}

  @compute @workgroup_size(threads)
  fn convWeightGradientGeneric(
    ${thread},
    @builtin(workgroup_id) group: vec3u,
    @builtin(num_workgroups) groups: vec3u,
  ) {
    let count = p.kH * p.kW * p.C;
    // Tiles past the last repeat it.
    let tile = min(group.y * groups.x + group.x, (p.K + 7u) / 8u * p.bands - 1u);
    let block = tile / p.bands;
    let slot = (tile - block * p.bands) * threads + thread; // of those that take these columns
    let k = block * 8u;
    selectFragment(lane, k, p.K, 1u);
    var row = array<u32, 4>();
    var r = array<i32, 4>();
    var s = array<i32, 4>();
    var c = array<u32, 4>();
    for (var j = 0u; j < rows; j++) {
      row[j] = select(slot * 4u + j, (slot / p.C * 3u + j) * p.C + slot % p.C, rows == 3u);
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
        let source = u32(i32(h * p.strideH) + r[j]); // as u32 a negative row is huge
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
        if (rows == 3u) { // the next pixel's inputs are this one's, moved by one tap
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
        let dy = loadFragment((line * p.outW + o) * p.K);
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
        // Columns past the last repeat it and store it again.
        for (var i = 0u; i < 8u; i++) { dw[to + min(k + i, p.K - 1u)] = sums[j][i]; }
      }
    }
  }
`,
)

/** `convWeightGradient` for any convolution, on any adapter. */
export function convWeightGradientGeneric(
  run: Run,
  x: Tensor,
  dy: Tensor,
  out: Shape,
  steps: Steps,
): Partial {
  const [, kW] = images(out, 'conv2d: w')
  const rows = kW === 3 && steps.stride[1] === 1 ? 3 : 4
  const threads = threadsFor(run)
  const tile = { rows, columns: COLUMNS, threads }
  const { splits, params, groups } = splitDispatch(run, x, dy, out, steps, tile)
  const [partial] = run(genericKernel(run), {
    reads: [x, dy],
    makes: [[splits, ...out]],
    params,
    constants: { threads, rows },
    groups,
  })
  return { partial, out }
}
