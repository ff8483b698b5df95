// Convolutions in groups of channels, depthwise ones among them: output channel k sees only the
// input channels of its group. A thread computes eight pixels of a row of y, which share inputs,
// for one channel; for four where a group has one channel of each kind (depthwise) and four divides
// them. Products of a group are too small for tiles: such a convolution waits for memory.
//
// The data gradient is the same kernel with the taps turned round and other numbers:
//   input row  (o step + r - pad) / phases, where that is whole
//   forward:        step = stride,  phases = 1,       pad = padding
//   data gradient:  step = 1,       phases = stride,  pad = kernel - 1 - padding

import {
  type Run,
  type Shape,
  type Tensor,
  dim,
  elementwise,
  flatIndex,
  images,
  kernel,
} from '../op.ts'
import { type Image, byStorage, imageOf, storedAs } from '../wgsl/storage.ts'
import type { Steps } from './steps.ts'

/** Pixels of a thread. */
const PIXELS = 8

// `sliding`: neighbouring pixels share inputs.
const groupedKernel = byStorage(
  (types) => kernel`
  struct Params {
    N: u32, H: u32, W: u32, C: u32, outH: u32, outW: u32, K: u32, kH: u32, kW: u32,
    stepH: u32, stepW: u32, phasesH: u32, phasesW: u32, padH: i32, padW: i32, turned: u32,
    inPer: u32, outPer: u32, tapStride: u32, inStride: u32, outStride: u32, biased: u32
  }
  ${types}
  @group(0) @binding(0) var<storage, read>       x:    array<S>; // [N, H, W, C]
  @group(0) @binding(1) var<storage, read>       w:    array<F>; // [kH, kW, .., ..], by strides
  @group(0) @binding(2) var<storage, read>       bias: array<F>; // [K], if biased
  @group(0) @binding(3) var<storage, read_write> y:    array<S>; // [N, outH, outW, K]
  @group(0) @binding(4) var<uniform>             p:    Params;
  override sliding: bool = false;
  ${flatIndex}
  fn inputAt(line: u32, v: i32, c: u32) -> F {
    if (u32(v) >= p.W) { return F(); } // as u32 a negative column is huge
    return widen(x[(line * p.W + u32(v)) * p.C + c]);
  }
  @compute @workgroup_size(64)
  fn convGrouped(@builtin(global_invocation_id) id: vec3u, @builtin(num_workgroups) groups: vec3u) {
    let strips = (p.outW + 7u) / 8u;
    let item = flat(id, groups);
    let k = item % p.K;
    let strip = item / p.K % strips * 8u;
    let row = item / p.K / strips;
    let n = row / p.outH;
    if (n >= p.N) { return; }
    let group = k / p.outPer;
    let first = group * p.inPer * p.inStride;
    let own = select(k, k % p.outPer * p.outStride + first, p.turned == 1u);
    var sums = array<F, 8>();
    for (var r = 0u; r < p.kH; r++) {
      let t = i32((row - n * p.outH) * p.stepH + r) - p.padH;
      let h = u32(t) / p.phasesH;
      if (t < 0 || h >= p.H || u32(t) - h * p.phasesH > 0u) { continue; }
      let line = n * p.H + h;
      for (var c = 0u; c < p.inPer; c++) {
        let channel = group * p.inPer + c;
        let start = i32(strip * p.stepW) - p.padW;
        var window = array<F, 8>();
        if (sliding) {
          for (var q = 0u; q < 7u; q++) { window[q] = inputAt(line, start + i32(q), channel); }
        }
        for (var s = 0u; s < p.kW; s++) {
          if (sliding) {
            window[7] = inputAt(line, start + i32(s) + 7, channel);
          } else {
            for (var q = 0u; q < 8u; q++) {
              let v = start + i32(q * p.stepW + s);
              let column = u32(max(v, 0)) / p.phasesW;
              let isWhole = v >= 0 && column * p.phasesW == u32(v);
              window[q] = inputAt(line, select(-1, i32(column), isWhole), channel);
            }
          }
          let tap = select(r * p.kW + s, p.kH * p.kW - 1u - r * p.kW - s, p.turned == 1u);
          let weight = w[tap * p.tapStride + c * p.inStride + own];
          for (var q = 0u; q < 8u; q++) { sums[q] = fma(weight, window[q], sums[q]); }
          for (var q = 0u; q < 7u; q++) { window[q] = window[q + 1u]; }
        }
      }
    }
    var shift = F();
    if (p.biased == 1u) { shift = bias[k]; }
    for (var q = 0u; q < 8u; q++) {
      if (strip + q < p.outW) {
        y[(row * p.outW + strip + q) * p.K + k] = narrow(sums[q] + shift);
      }
    }
  }
`,
)

/** Whether channels are taken in fours: one of each kind in a group. */
export const inFours = (w: Shape, groups: number) =>
  dim(w, 2) === 1 && dim(w, 3) === groups && groups % 4 === 0

/** Channels of a group on either side: [in, out]. */
export const perGroup = (w: Shape, groups: number) => [dim(w, 2), dim(w, 3) / groups] as const

/** Convolution of x [N, H, W, C] with w [kH, kW, C / groups, K] plus bias [K] -> `out`. */
export function groupedForward(
  run: Run,
  x: Tensor,
  w: Tensor,
  bias: Tensor | null,
  { out, groups, stride, padding }: Steps & { readonly out: Shape; readonly groups: number },
): Tensor {
  const K = dim(w.shape, 3)
  const [inPer, outPer] = perGroup(w.shape, groups)
  return grouped(run, x, w, bias, imageOf(run, out), {
    ...{ fours: inFours(w.shape, groups), steps: stride, phases: [1, 1], pad: padding },
    ...{ turned: 0, inPer, outPer, inStride: K, outStride: 1 },
  })
}

/** The gradient of x, as `x` is stored. */
export function groupedDataGradient(
  run: Run,
  dy: Tensor,
  w: Tensor,
  x: Image,
  { groups, stride, padding }: Steps & { readonly groups: number },
): Tensor {
  const [kH, kW, , K] = images(w.shape, 'conv2d: w')
  const [outPer, inPer] = perGroup(w.shape, groups)
  return grouped(run, dy, w, null, x, {
    ...{ fours: inFours(w.shape, groups), steps: [1, 1], phases: stride },
    ...{ pad: [kH - 1 - padding[0], kW - 1 - padding[1]] },
    ...{ turned: 1, inPer, outPer, inStride: 1, outStride: K },
  })
}

interface Walk {
  readonly fours: boolean
  readonly steps: readonly [number, number]
  readonly phases: readonly [number, number]
  readonly pad: readonly [number, number]
  readonly turned: number
  readonly inPer: number
  readonly outPer: number
  readonly inStride: number
  readonly outStride: number
}

function grouped(
  run: Run,
  given: Tensor,
  w: Tensor,
  bias: Tensor | null,
  { shape, dtype }: Image,
  { fours, steps, phases, pad, ...strides }: Walk,
): Tensor {
  const width = fours ? 4 : 1
  const stored = fours ? dtype : 'f32'
  const x = storedAs(run, stored, given)
  const [N, H, W, C] = images(x.shape, 'conv2d: x')
  const [, outH, outW, K] = images(shape, 'conv2d: y')
  const [kH, kW, Cg, M] = images(w.shape, 'conv2d: w')
  const [y] = run(groupedKernel({ dtype: stored }, fours ? 4 : 1), {
    reads: [x, w, bias ?? w],
    makes: [{ shape, dtype: stored }],
    params: {
      ...{ N, H, W, C: C / width, outH, outW, K: K / width, kH, kW, ...strides },
      ...{ stepH: steps[0], stepW: steps[1], phasesH: phases[0], phasesW: phases[1] },
      ...{ padH: pad[0], padW: pad[1], biased: Number(bias !== null) },
      tapStride: (Cg * M) / width,
    },
    constants: { sliding: Number(steps[1] === 1 && phases[1] === 1) },
    groups: elementwise(N * outH * Math.ceil(outW / PIXELS) * (K / width)),
  })
  return storedAs(run, dtype, y)
}
