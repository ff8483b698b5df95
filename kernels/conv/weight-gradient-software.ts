// The weight gradient on a software adapter, for rows of 3 taps at stride 1 and many output
// channels: a thread sums 3 taps x 16 channels, four pixels at a time. Such an adapter loads lane
// by lane, and a load of four costs as much as two of one. Eight lanes of a subgroup load dy of
// four pixels and eight channels, and broadcast it to each other.
//
// CPU time against 8 channels and single loads: 0.60 to 0.80 (ResNet-18 of width 16, llvmpipe).

import { type Run, type Shape, type Tensor, images, kernel } from '../op.ts'
import type { Steps } from './steps.ts'
import { broadcasts } from '../wgsl/broadcast-load.ts'
import { sumSplits } from '../wgsl/sum-splits.ts'
import { splitDispatch } from './weight-gradient-splits.ts'

const ROWS = 3 // of dW, per thread
const COLUMNS = 16

/** Whether the kernel suits the machine, a dy of this shape and a weight of shape `out`. */
export function suitsWeightGradientSoftware(
  run: Run,
  dy: Shape,
  out: Shape,
  { stride }: Steps,
): boolean {
  const [, , outW] = images(dy, 'conv2d: dy')
  const [, kW, , K] = images(out, 'conv2d: w')
  return broadcasts(run) && kW === ROWS && stride[1] === 1 && outW % 4 === 0 && K % COLUMNS === 0
}

const softwareKernel = kernel`
  enable subgroups;
  struct Params {
    N: u32, H: u32, W: u32, C: u32, outH: u32, outW: u32, K: u32, kH: u32, kW: u32,
    strideH: u32, strideW: u32, padH: u32, padW: u32, lines: u32, bands: u32
  }
  @group(0) @binding(0) var<storage, read>       x:       array<f32>;   // [N, H, W, C]
  @group(0) @binding(1) var<storage, read>       factors: array<vec4f>; // dy [N, outH, outW, K]
  @group(0) @binding(2) var<storage, read_write> dw:      array<vec4f>; // [splits, kH, 3, C, K]
  @group(0) @binding(3) var<uniform>             p:       Params;
  override threads: u32 = 16u;

  @compute @workgroup_size(threads)
  fn convWeightGradientSoftware(
    @builtin(local_invocation_index) thread: u32,
    @builtin(subgroup_invocation_id) lane: u32,
    @builtin(workgroup_id) group: vec3u,
    @builtin(num_workgroups) groups: vec3u,
  ) {
    // Tiles past the last repeat it.
    let tile = min(group.y * groups.x + group.x, p.K / 16u * p.bands - 1u);
    let block = tile / p.bands;
    let slot = (tile - block * p.bands) * threads + thread; // of those that take these columns
    let k = block * 16u;
    let own = lane % 8u / 2u * p.K + k + lane % 2u * 4u; // one of four pixels, four of eight channels
    let r = slot / p.C;
    let c = slot % p.C;

    var sums = array<array<vec4f, 4>, 3>();
    let end = min((group.z + 1u) * p.lines, p.N * p.outH);
    let begin = group.z * p.lines;
    var n = begin / p.outH;
    var h = begin - n * p.outH;
    for (var line = begin; line < end; line++) {
      let source = u32(i32(h * p.strideH + r) - i32(p.padH)); // as u32 a negative row is huge
      let width = select(0u, p.W, source < p.H); // of the image; 0 where the tap's row lies in the padding
      let start = (n * p.H + source) * p.W * p.C + c;
      var values = array<f32, 6>(); // inputs of four pixels at their three taps
      for (var j = 0u; j < 2u; j++) {
        let v = u32(i32(j) - i32(p.padW));
        values[4u + j] = select(0.0, x[select(0u, start + v * p.C, v < width)], v < width);
      }
      for (var o = 0u; o < p.outW; o += 4u) {
        values[0] = values[4];
        values[1] = values[5];
        for (var j = 2u; j < 6u; j++) {
          let v = u32(i32(o + j) - i32(p.padW));
          values[j] = select(0.0, x[select(0u, start + v * p.C, v < width)], v < width);
        }
        for (var half = 0u; half < 2u; half++) {
          let four = factors[((line * p.outW + o) * p.K + own) / 4u + half * 2u];
          let dy = array<vec4f, 8>(
            subgroupBroadcast(four, 0u), subgroupBroadcast(four, 1u),
            subgroupBroadcast(four, 2u), subgroupBroadcast(four, 3u),
            subgroupBroadcast(four, 4u), subgroupBroadcast(four, 5u),
            subgroupBroadcast(four, 6u), subgroupBroadcast(four, 7u),
          );
          for (var s = 0u; s < 3u; s++) {
            for (var e = 0u; e < 4u; e++) {
              for (var i = 0u; i < 2u; i++) {
                sums[s][half * 2u + i] = fma(vec4f(values[s + e]), dy[e * 2u + i], sums[s][half * 2u + i]);
              }
            }
          }
        }
      }
      h += 1u;
      if (h == p.outH) {
        h = 0u;
        n += 1u;
      }
    }

    if (r < p.kH) {
      for (var s = 0u; s < 3u; s++) {
        let to = (((group.z * p.kH + r) * 3u + s) * p.C + c) * p.K + k;
        for (var i = 0u; i < 4u; i++) { dw[to / 4u + i] = sums[s][i]; }
      }
    }
  }
`

/** `convWeightGradient` where `suitsWeightGradientSoftware`. */
export function convWeightGradientSoftware(
  run: Run,
  x: Tensor,
  dy: Tensor,
  out: Shape,
  steps: Steps,
): Tensor {
  const taken = { rows: ROWS, columns: COLUMNS }
  const { splits, threads, params, groups } = splitDispatch(run, x, dy, out, steps, taken)
  const makes = [[splits, ...out]] as const
  const [partial] = run(softwareKernel, {
    reads: [x, dy],
    makes,
    params,
    constants: { threads },
    groups,
  })
  return sumSplits(run, partial, out)
}
