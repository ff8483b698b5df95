// The convolution on a software adapter with many channels: 4 pixels x 16 channels a thread, loads
// of four channels. Such an adapter loads lane by lane, and a load of four costs as much as two of
// one. Eight lanes of a subgroup load the weights of 16 output and 4 input channels in two loads of
// four, and broadcast them to each other.
//
// CPU time against 8 channels and single loads (ResNet-18 of width 16, llvmpipe): 0.90 at stride 1,
// 0.60 at stride 2. Slower: 8 pixels a thread, 1.1 to 1.5; 8 channels with loads of four, 1.1.

import { type Run, type Shape, type Tensor, images, kernel } from '../op.ts'
import { type Walk, inputWalk, walkDispatch } from './input-walk.ts'
import { broadcasts } from '../wgsl/broadcast-load.ts'

const CHANNELS = 16 // per thread

/** Whether the kernel suits the machine, and an input and output of these shapes: input channels in
 *  fours, output channels in whole tiles. */
export function suitsForwardSoftware(run: Run, x: Shape, out: Shape): boolean {
  const [, , , C] = images(x, 'conv2d: x')
  const [, , , K] = images(out, 'conv2d: y')
  return broadcasts(run) && C % 4 === 0 && K % CHANNELS === 0
}

// `transposed`: an output channel, not an input channel, makes a row of the weight.
const softwareKernel = kernel`
  enable subgroups;
  ${inputWalk}
  @group(0) @binding(0) var<storage, read>       x:       array<vec4f>; // [N, H, W, C]
  @group(0) @binding(1) var<storage, read>       factors: array<vec4f>; // the weight [kH, kW, C, K], by strides
  @group(0) @binding(2) var<storage, read_write> y:       array<vec4f>; // [N, outH, outW, K]
  @group(0) @binding(3) var<uniform>             p:       Params;
  override threads: u32 = 16u;
  override transposed: bool = false;

  // Weights of 4 input channels e and 8 output channels, in fours h, at 2 e + h; eight lanes load
  // them.
  fn spread(own: vec4f) -> array<vec4f, 8> {
    let all = array<vec4f, 8>(
      subgroupBroadcast(own, 0u), subgroupBroadcast(own, 1u),
      subgroupBroadcast(own, 2u), subgroupBroadcast(own, 3u),
      subgroupBroadcast(own, 4u), subgroupBroadcast(own, 5u),
      subgroupBroadcast(own, 6u), subgroupBroadcast(own, 7u),
    );
    if (!transposed) { return all; }
    var turned = array<vec4f, 8>();
    for (var e = 0u; e < 4u; e++) {
      turned[2u * e] = vec4f(all[0][e], all[1][e], all[2][e], all[3][e]);
      turned[2u * e + 1u] = vec4f(all[4][e], all[5][e], all[6][e], all[7][e]);
    }
    return turned;
  }

  @compute @workgroup_size(threads)
  fn convForwardSoftware(
    @builtin(local_invocation_index) thread: u32,
    @builtin(subgroup_invocation_id) lane: u32,
    @builtin(workgroup_id) group: vec3u,
    @builtin(num_workgroups) groups: vec3u,
  ) {
    let phase = phaseOf(group.z);
    let tile = group.y * groups.x + group.x;
    let blocks = p.K / 16u;
    let band = tile / blocks;
    let k = (tile - band * blocks) * 16u;
    // The four weights that this lane loads: of 1 output and 4 input channels if transposed, else
    // of 1 input and 4 output.
    let ownIn = select(lane % 8u / 2u, 0u, transposed);
    let ownOut = select(lane % 2u * 4u, lane % 8u, transposed);
    let own = ownIn * p.inStride + (k + ownOut) * p.outStride;
    let start = (band * threads + thread) * 4u;
    let count = p.N * phase.size.x * phase.size.y;
    var at = fourPixels(start, phase.size); // n, and the row and column within the phase

    var sums = array<array<vec4f, 4>, 4>();
    for (var r = 0u; r < phase.reach.x; r++) {
      for (var s = 0u; s < phase.reach.y; s += taps) {
        // Inputs of the four pixels at the leftmost of these taps, then of the last pixel at the
        // others.
        var base = array<u32, 6>();
        var inside = array<bool, 6>();
        for (var q = 0u; q < 3u + taps; q++) {
          let source = sourceOf(at[min(q, 3u)], q, r, s, phase.shift);
          inside[q] = source.inside;
          base[q] = source.base / 4u;
        }
        let tap = (phase.at.x + r * p.phasesH) * p.kW + phase.at.y + s * p.phasesW;
        for (var c = 0u; c < p.C; c += 4u) {
          var values = array<vec4f, 6>();
          for (var q = 0u; q < 3u + taps; q++) { values[q] = select(vec4f(), x[base[q] + c / 4u], inside[q]); }
          for (var t = 0u; t < taps; t++) {
            let weights = own + (tap + select(t, taps - 1u - t, p.dir < 0)) * p.tapStride + c * p.inStride;
            for (var half = 0u; half < 2u; half++) {
              let eight = spread(factors[(weights + half * 8u * p.outStride) / 4u]);
              for (var e = 0u; e < 4u; e++) {
                for (var h = 0u; h < 2u; h++) {
                  for (var j = 0u; j < 4u; j++) {
                    sums[j][half * 2u + h] = fma(vec4f(values[j + t][e]), eight[2u * e + h], sums[j][half * 2u + h]);
                  }
                }
              }
            }
          }
        }
      }
    }

    for (var j = 0u; j < 4u; j++) {
      if (start + j < count) {
        let o = phase.first + at[j].yz * vec2u(p.phasesH, p.phasesW);
        let to = (((at[j].x * p.outH + o.x) * p.outW + o.y) * p.K + k) / 4u;
        for (var h = 0u; h < 4u; h++) { y[to + h] = sums[j][h]; }
      }
    }
  }
`

/** `convForward`, or the data gradient, as `walk` says. */
export function convForwardSoftware(
  run: Run,
  x: Tensor,
  w: Tensor,
  out: Shape,
  walk: Walk,
): Tensor {
  const { params, constants, groups } = walkDispatch(run, x, w, out, walk, CHANNELS)
  const [y] = run(softwareKernel, {
    reads: [x, w],
    makes: [out],
    params,
    constants: { ...constants, transposed: Number(walk.outStride > 1) },
    groups,
  })
  return y
}
