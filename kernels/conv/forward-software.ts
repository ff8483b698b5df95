// The convolution of kernels/conv/forward.ts for a CPU adapter and many channels: 4 pixels x 16 channels a thread, its loads
// four channels wide. Such adapters load lane by lane, and a load of four costs as much as two of one; the
// weights of 16 channels and 4 inputs come by two such loads of eight neighbours, which broadcast them to each other.
// Against 8 channels and single loads: 0.90 of the CPU time at stride 1, 0.60 at stride 2 (ResNet-18 of width 16,
// llvmpipe). 8 pixels a thread lost, 1.1 to 1.5, and so did 8 channels with loads of four at 16 channels, 1.1.

import { type Run, kernel } from '../op.ts'
import { convolveWalk } from './input-walk.ts'

export const CPU_CHANNELS = 16 // per thread

/** Whether the kernel suits the machine, and C channels in and K out, which must be whole fours and whole tiles. */
export const suitsCpu = (run: Run, C: number, K: number) =>
  run.software && run.subgroupSize >= 8 && C % 4 === 0 && K % CPU_CHANNELS === 0

/** Bindings and Params as `convolve` has them. `transposed` says that a channel out, not a channel in, makes a row of
 *  the weight. */
export const convolveCpuKernel = kernel`
  enable subgroups;
  ${convolveWalk}
  @group(0) @binding(0) var<storage, read>       x:       array<vec4f>; // [N, H, W, C]
  @group(0) @binding(1) var<storage, read>       factors: array<vec4f>; // the weight [kH, kW, C, K], by strides
  @group(0) @binding(2) var<storage, read_write> y:       array<vec4f>; // [N, outH, outW, K]
  @group(0) @binding(3) var<uniform>             p:       Params;
  override threads: u32 = 16u;
  override transposed: bool = false;

  // Weights of 4 channels in, e, and 8 out, h and its four, at 2 e + h, from what eight neighbours loaded.
  fn spread(own: vec4f) -> array<vec4f, 8> {
    let all = array<vec4f, 8>(
      subgroupBroadcast(own, 0u), subgroupBroadcast(own, 1u), subgroupBroadcast(own, 2u), subgroupBroadcast(own, 3u),
      subgroupBroadcast(own, 4u), subgroupBroadcast(own, 5u), subgroupBroadcast(own, 6u), subgroupBroadcast(own, 7u),
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
  fn convolve(
    @builtin(local_invocation_index) lane: u32,
    @builtin(subgroup_invocation_id) neighbor: u32,
    @builtin(workgroup_id) group: vec3u,
    @builtin(num_workgroups) groups: vec3u,
  ) {
    let phase = phaseOf(group.z);
    let tile = group.y * groups.x + group.x;
    let blocks = p.K / 16u;
    let band = tile / blocks;
    let k = (tile - band * blocks) * 16u;
    // Which four weights of 8 channels this thread loads: a channel out and 4 in, or a channel in and 4 out.
    let ownIn = select(neighbor % 8u / 2u, 0u, transposed);
    let ownOut = select(neighbor % 2u * 4u, neighbor % 8u, transposed);
    let own = ownIn * p.inStride + (k + ownOut) * p.outStride;
    let start = (band * threads + lane) * 4u;
    let count = p.N * phase.size.x * phase.size.y;
    var at = fourPixels(start, phase.size); // n, and the row and column within the phase

    var sums = array<array<vec4f, 4>, 4>();
    for (var r = 0u; r < phase.reach.x; r++) {
      for (var s = 0u; s < phase.reach.y; s += taps) {
        // What the four pixels read at the leftmost of these taps, then what the last reads at the others.
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
