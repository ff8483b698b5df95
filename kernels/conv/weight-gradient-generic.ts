// The weight gradient without workgroup memory or barriers: each thread sums 4 rows x 8 columns of
// dW in registers.
// Runs on software adapters where weight-gradient-software.ts does not suit, and on any adapter for
// empty tensors.

import { type Run, type Shape, type Tensor, images, kernel } from '../op.ts'
import type { Steps } from './steps.ts'
import { byFragmentLoad, threadsFor } from '../wgsl/fragment-load.ts'
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

  // Column v of a row of inputs from start on; 0 outside of it.
  fn load(start: u32, v: i32, width: u32) -> f32 {
    let inside = u32(v) < width; // as u32 a negative column is huge
    return select(0.0, x[select(0u, start + u32(v) * p.C, inside)], inside);
  }

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
    let number = vec4u(0u, 1u, 2u, 3u);
    let row = select(slot * 4u + number, (slot / p.C * 3u + number) * p.C + slot % p.C, rows == 3u);
    let tap = row / p.C;
    let r = vec4i(tap / p.kW) - i32(p.padH);
    let s = vec4i(tap % p.kW) - i32(p.padW);
    let c = row - tap * p.C;

    var low0 = vec4f(); var low1 = vec4f(); var low2 = vec4f(); var low3 = vec4f(); // columns 0 to 3
    var high0 = vec4f(); var high1 = vec4f(); var high2 = vec4f(); var high3 = vec4f(); // and 4 to 7
    let end = min((group.z + 1u) * p.lines, p.N * p.outH);
    let begin = group.z * p.lines;
    var n = begin / p.outH;
    var h = begin - n * p.outH;
    for (var line = begin; line < end; line++) {
      let source = vec4u(i32(h * p.strideH) + r); // as u32 a negative row is huge
      let start = (n * p.H + source) * p.W * p.C + c;
      let width = select(vec4u(), vec4u(p.W), source < vec4u(p.H)); // 0 where the tap's row lies in the padding
      var v = vec4f();
      if (rows == 3u) {
        v.y = load(start.x, s.y - 1, width.x);
        v.z = load(start.x, s.z - 1, width.x);
      }
      for (var o = 0u; o < p.outW; o++) {
        if (rows == 3u) { // the next pixel's inputs are this one's, moved by one tap
          v = vec4f(v.yz, load(start.x, i32(o) + s.z, width.x), 0.0);
        } else {
          let at = vec4i(i32(o * p.strideW)) + s;
          v = vec4f(
            load(start.x, at.x, width.x), load(start.y, at.y, width.y),
            load(start.z, at.z, width.z), load(start.w, at.w, width.w),
          );
        }
        let w = loadFragment((line * p.outW + o) * p.K);
        low0 = fma(v.xxxx, w.low, low0); high0 = fma(v.xxxx, w.high, high0);
        low1 = fma(v.yyyy, w.low, low1); high1 = fma(v.yyyy, w.high, high1);
        low2 = fma(v.zzzz, w.low, low2); high2 = fma(v.zzzz, w.high, high2);
        if (rows == 4u) { low3 = fma(v.wwww, w.low, low3); high3 = fma(v.wwww, w.high, high3); }
      }
      h += 1u;
      if (h == p.outH) {
        h = 0u;
        n += 1u;
      }
    }

    let sums = array<Eight, 4>(
      Eight(low0, high0), Eight(low1, high1), Eight(low2, high2), Eight(low3, high3),
    );
    for (var j = 0u; j < rows; j++) {
      if (row[j] < count) {
        let to = (group.z * count + row[j]) * p.K;
        // Columns past the last repeat it and store it again.
        for (var i = 0u; i < 8u; i++) { dw[to + min(k + i, p.K - 1u)] = numberOf(sums[j], i); }
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
