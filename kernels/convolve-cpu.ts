// The convolution of kernels/convolve.ts for a CPU adapter and many channels: 4 pixels x 16 channels a thread, its loads
// four channels wide. Such adapters load lane by lane, and a load of four costs as much as two of one; the
// weights of 16 channels and 4 inputs come by two such loads of eight neighbours, which broadcast them to each other.
// Against 8 channels and single loads: 0.90 of the CPU time at stride 1, 0.60 at stride 2 (ResNet-18 of width 16,
// llvmpipe). 8 pixels a thread lost, 1.1 to 1.5, and so did 8 channels with loads of four at 16 channels, 1.1.

import { type Run, kernel } from './op.ts'

export const CPU_CHANNELS = 16 // per thread

/** Whether the kernel suits the machine, and C channels in and K out, which must be whole fours and whole tiles. */
export const suitsCpu = (run: Run, C: number, K: number) =>
  run.software && run.subgroupSize >= 8 && C % 4 === 0 && K % CPU_CHANNELS === 0

/** Bindings and Params as `convolve` has them. `transposed` says that a channel out, not a channel in, makes a row of
 *  the weight. */
export const convolveCpuKernel = kernel`
  enable subgroups;
  struct Params {
    N: u32, H: u32, W: u32, C: u32, outH: u32, outW: u32, K: u32, kH: u32, kW: u32,
    phasesH: u32, phasesW: u32, stepH: u32, stepW: u32, padH: u32, padW: u32, dir: i32,
    tapStride: u32, inStride: u32, outStride: u32
  }
  @group(0) @binding(0) var<storage, read>       x:       array<vec4f>; // [N, H, W, C]
  @group(0) @binding(1) var<storage, read>       factors: array<vec4f>; // the weight [kH, kW, C, K], by strides
  @group(0) @binding(2) var<storage, read_write> y:       array<vec4f>; // [N, outH, outW, K]
  @group(0) @binding(3) var<uniform>             p:       Params;
  override threads: u32 = 16u;
  override taps: u32 = 1u; // of a row, done together: 3 where it has 3 and pixels of a row share what they read
  override transposed: bool = false;

  // Exact for sides of images, and for a CPU adapter much cheaper than division of integers.
  fn quotient(a: vec2u, b: vec2u) -> vec2u { return vec2u((vec2f(a) + 0.5) / vec2f(b)); }
  fn remainder(a: vec2u, b: vec2u) -> vec2u { return a - quotient(a, b) * b; }

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
    let phases = vec2u(p.phasesH, p.phasesW);
    let padding = vec2u(p.padH, p.padW);
    let phaseRow = quotient(vec2u(group.z), vec2u(p.phasesW)).x;
    let phase = vec2u(phaseRow, group.z - phaseRow * p.phasesW);
    let first = remainder(phase + phases - remainder(padding, phases), phases);
    let shift = vec2i(quotient(first + padding - phase, phases));
    let size = quotient(vec2u(p.outH, p.outW) + phases - 1u - first, phases);
    let reach = quotient(vec2u(p.kH, p.kW) + phases - 1u - phase, phases); // taps of this phase

    let tile = group.y * groups.x + group.x;
    let blocks = p.K / 16u;
    let band = tile / blocks;
    let k = (tile - band * blocks) * 16u;
    // Which four weights of 8 channels this thread loads: a channel out and 4 in, or a channel in and 4 out.
    let ownIn = select(neighbor % 8u / 2u, 0u, transposed);
    let ownOut = select(neighbor % 2u * 4u, neighbor % 8u, transposed);
    let own = ownIn * p.inStride + (k + ownOut) * p.outStride;
    let start = (band * threads + lane) * 4u;
    let count = p.N * size.x * size.y;
    var at = array<vec3u, 4>(); // n, and the row and column within the phase
    let row = start / max(size.y, 1u);
    let image = row / max(size.x, 1u);
    at[0] = vec3u(image, row - image * size.x, start - row * size.y);
    for (var j = 1u; j < 4u; j++) {
      at[j] = at[j - 1u] + vec3u(0u, 0u, 1u);
      if (at[j].z == size.y) { at[j] = vec3u(at[j].x, at[j].y + 1u, 0u); }
      if (at[j].y == size.x) { at[j] = vec3u(at[j].x + 1u, 0u, at[j].z); }
    }

    var sums = array<array<vec4f, 4>, 4>();
    for (var r = 0u; r < reach.x; r++) {
      for (var s = 0u; s < reach.y; s += taps) {
        // What the four pixels read at the leftmost of these taps, then what the last reads at the others.
        var base = array<u32, 6>();
        var inside = array<bool, 6>();
        for (var q = 0u; q < 3u + taps; q++) {
          let pixel = at[min(q, 3u)];
          let h = u32(i32(pixel.y * p.stepH) + p.dir * (i32(r) - shift.x)); // a negative one is huge as u32
          let left = select(i32(s) - shift.y, shift.y - i32(s + taps - 1u), p.dir < 0);
          let v = u32(i32(pixel.z * p.stepW + max(q, 3u) - 3u) + left);
          inside[q] = pixel.x < p.N && h < p.H && v < p.W;
          base[q] = select(0u, ((pixel.x * p.H + h) * p.W + v) * p.C, inside[q]) / 4u;
        }
        let tap = (phase.x + r * phases.x) * p.kW + phase.y + s * phases.y;
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
        let o = first + at[j].yz * phases;
        let to = (((at[j].x * p.outH + o.x) * p.outW + o.y) * p.K + k) / 4u;
        for (var h = 0u; h < 4u; h++) { y[to + h] = sums[j][h]; }
      }
    }
  }
`
