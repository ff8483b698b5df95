// The gradient of the weight of a convolution in groups (grouped.ts):
//   dW[r, s, c, k] = sum over output pixels of x[its tap (r, s), channel c of k's group] dy[pixel,
// k] The sum is split over threads, and the parts are added in a fixed order.

import {
  type Run,
  type Shape,
  type Tensor,
  elementwise,
  flatIndex,
  images,
  kernel,
  sizeOf,
  wgsl,
} from '../op.ts'
import { byStorage, storedAs } from '../wgsl/storage.ts'
import { sumSplits } from '../wgsl/sum-splits.ts'
import { inFours, perGroup } from './grouped.ts'
import type { Steps } from './steps.ts'

// A thread adds the products of `each` rows of y, for TAPS taps of a row. `sliding`: as above.
const weightKernels = ([wgsl`4u`, wgsl`8u`] as const).map((taps) =>
  byStorage(
    (types) => kernel`
  struct Params {
    N: u32, H: u32, W: u32, C: u32, outH: u32, outW: u32, K: u32, kH: u32, kW: u32,
    stepH: u32, stepW: u32, padH: i32, padW: i32, inPer: u32, outPer: u32, each: u32, splits: u32
  }
  ${types}
  @group(0) @binding(0) var<storage, read>       x:  array<S>; // [N, H, W, C]
  @group(0) @binding(1) var<storage, read>       dy: array<S>; // [N, outH, outW, K]
  @group(0) @binding(2) var<storage, read_write> dw: array<F>; // [splits, kH, kW, inPer, K]
  @group(0) @binding(3) var<uniform>             p:  Params;
  override sliding: bool = false;
  const TAPS = ${taps};
  ${flatIndex}
  fn inputAt(line: u32, v: i32, c: u32) -> F {
    if (u32(v) >= p.W) { return F(); }
    return widen(x[(line * p.W + u32(v)) * p.C + c]);
  }
  @compute @workgroup_size(64)
  fn convGroupedWeight(
    @builtin(global_invocation_id) id: vec3u, @builtin(num_workgroups) groups: vec3u,
  ) {
    let item = flat(id, groups);
    let columns = (p.kW + TAPS - 1u) / TAPS;
    let k = item % p.K;
    let c = item / p.K % p.inPer;
    let tap = item / p.K / p.inPer;
    let s0 = tap % columns * TAPS;
    let r = tap / columns % p.kH;
    let split = tap / columns / p.kH;
    if (split >= p.splits) { return; }
    let channel = k / p.outPer * p.inPer + c;
    var sums = array<F, TAPS>();
    for (var row = split * p.each; row < min(split * p.each + p.each, p.N * p.outH); row++) {
      let n = row / p.outH;
      let h = u32(i32((row - n * p.outH) * p.stepH + r) - p.padH); // as u32 a negative row is huge
      if (h >= p.H) { continue; }
      let line = n * p.H + h;
      let start = i32(s0) - p.padW;
      var window = array<F, TAPS>();
      if (sliding) {
        for (var t = 0u; t < TAPS - 1u; t++) { window[t] = inputAt(line, start + i32(t), channel); }
      }
      for (var j = 0u; j < p.outW; j++) {
        let v = start + i32(j * p.stepW);
        if (sliding) {
          window[TAPS - 1u] = inputAt(line, v + i32(TAPS) - 1, channel);
        } else {
          for (var t = 0u; t < TAPS; t++) { window[t] = inputAt(line, v + i32(t), channel); }
        }
        let gradient = widen(dy[(row * p.outW + j) * p.K + k]);
        for (var t = 0u; t < TAPS; t++) { sums[t] = fma(gradient, window[t], sums[t]); }
        for (var t = 0u; t < TAPS - 1u; t++) { window[t] = window[t + 1u]; }
      }
    }
    for (var t = 0u; t < TAPS; t++) {
      let to = ((split * p.kH + r) * p.kW + s0 + t) * p.inPer * p.K + c * p.K + k;
      if (s0 + t < p.kW) { dw[to] = sums[t]; }
    }
  }
`,
  ),
)

const MOST_BYTES = 1 << 26 // of partial sums

/** The gradient of w, of shape `out` [kH, kW, C / groups, K]. */
export function groupedWeightGradient(
  run: Run,
  givenX: Tensor,
  givenDy: Tensor,
  out: Shape,
  { groups, stride, padding }: Steps & { readonly groups: number },
): Tensor {
  const fours = inFours(out, groups)
  const stored = fours && givenX.dtype === 'f16' && givenDy.dtype === 'f16' ? 'f16' : 'f32'
  const [x, dy] = [storedAs(run, stored, givenX), storedAs(run, stored, givenDy)]
  const width = fours ? 4 : 1
  const [N, H, W, C] = images(x.shape, 'conv2d: x')
  const [, outH, outW, K] = images(dy.shape, 'conv2d: dy')
  const [kH, kW] = images(out, 'conv2d: w')
  const rows = Math.max(1, N * outH)
  const [inPer, outPer] = perGroup(out, groups)
  const [byFour, byEight] = weightKernels
  const [program, taps] = kW <= 4 || !byEight ? [byFour, 4] : [byEight, 8]
  const threads = kH * Math.ceil(kW / taps) * inPer * (K / width) // of one split
  const fitting = Math.max(1, Math.floor(MOST_BYTES / (4 * sizeOf(out))))
  const wanted = Math.ceil((run.software ? 1 << 10 : 1 << 16) / threads)
  const each = Math.ceil(rows / Math.min(wanted, fitting, rows))
  const splits = Math.ceil(rows / each)
  if (!program) throw new Error('conv2d: no kernel') // there are two
  const [partial] = run(program({ dtype: stored }, width), {
    reads: [x, dy],
    makes: [[splits, ...out]],
    params: {
      ...{ N, H, W, C: C / width, outH, outW, K: K / width, kH, kW, each, splits, inPer, outPer },
      ...{ stepH: stride[0], stepW: stride[1], padH: padding[0], padW: padding[1] },
    },
    constants: { sliding: Number(stride[1] === 1) },
    groups: elementwise(splits * threads),
  })
  return sumSplits(run, partial, out)
}
