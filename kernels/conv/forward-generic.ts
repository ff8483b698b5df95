// The convolution without workgroup memory or barriers: each thread sums 4 pixels x 8 channels in
// registers. The data gradient is the same kernel with another walk (input-walk.ts).
// Runs on software adapters where forward-software.ts does not suit, and on any adapter for empty
// tensors.

import { type Run, type Shape, type Tensor, kernel } from '../op.ts'
import { type BiasedWalk, inputWalk, walkDispatch } from './input-walk.ts'
import { byFragmentLoad } from '../wgsl/broadcast-load.ts'

const TILE = { pixels: 4, channels: 8 } // per thread

const genericKernel = byFragmentLoad(
  ({ head, thread, fragment }) => kernel`
  ${head}
  ${inputWalk}
  @group(0) @binding(0) var<storage, read>       x:      array<f32>; // [N, H, W, C]
  @group(0) @binding(1) var<storage, read>       factors: array<f32>; // the weight [kH, kW, C, K], by strides
  @group(0) @binding(2) var<storage, read>       bias:    array<f32>; // [K], if biased
  @group(0) @binding(3) var<storage, read_write> y:      array<f32>; // [N, outH, outW, K]
  @group(0) @binding(4) var<uniform>             p:      Params;
  override threads: u32 = 64u;
  ${fragment}

  @compute @workgroup_size(threads)
  fn convForwardGeneric(
    ${thread},
    @builtin(workgroup_id) group: vec3u,
    @builtin(num_workgroups) groups: vec3u,
  ) {
    let phase = phaseOf(group.z);
    let tile = group.y * groups.x + group.x;
    let blocks = (p.K + 7u) / 8u;
    let band = tile / blocks;
    let k = (tile - band * blocks) * 8u;
    selectFragment(lane, k, p.K, p.outStride);
    let start = (band * threads + thread) * 4u;
    let count = p.N * phase.size.x * phase.size.y;
    var at = fourPixels(start, phase.size); // n, and the row and column within the phase

    var sums = array<array<f32, 8>, 4>();
    for (var r = 0u; r < phase.reach.x; r++) {
      for (var s = 0u; s < phase.reach.y; s += taps) {
        // Inputs of the four pixels at the leftmost of these taps, then of the last pixel at the
        // others.
        var base = array<u32, 6>();
        var inside = array<bool, 6>();
        for (var q = 0u; q < 3u + taps; q++) {
          let source = sourceOf(at[min(q, 3u)], q, r, s, phase.shift);
          inside[q] = source.inside;
          base[q] = source.base;
        }
        let tap = (phase.at.x + r * p.phasesH) * p.kW + phase.at.y + s * p.phasesW;
        for (var c = 0u; c < p.C; c++) {
          var values = array<f32, 6>();
          for (var q = 0u; q < 3u + taps; q++) { values[q] = select(0.0, x[base[q] + c], inside[q]); }
          for (var t = 0u; t < taps; t++) {
            let weights = loadFragment((tap + select(t, taps - 1u - t, p.dir < 0)) * p.tapStride + c * p.inStride);
            for (var j = 0u; j < 4u; j++) {
              for (var i = 0u; i < 8u; i++) { sums[j][i] = fma(values[j + t], weights[i], sums[j][i]); }
            }
          }
        }
      }
    }

    for (var j = 0u; j < 4u; j++) {
      if (start + j < count) {
        let o = phase.first + at[j].yz * vec2u(p.phasesH, p.phasesW);
        let to = ((at[j].x * p.outH + o.x) * p.outW + o.y) * p.K;
        // Channels past the last repeat it and store it again.
        for (var i = 0u; i < 8u; i++) {
          let channel = min(k + i, p.K - 1u);
          y[to + channel] = sums[j][i] + select(0.0, bias[channel], p.biased == 1u);
        }
      }
    }
  }
`,
)

/** `convForward`, or the data gradient, as `walk` says. */
export function convForwardGeneric(
  run: Run,
  x: Tensor,
  w: Tensor,
  out: Shape,
  walk: BiasedWalk,
): Tensor {
  const { params, constants, groups } = walkDispatch(run, x, w, out, walk, TILE)
  const [y] = run(genericKernel(run), {
    reads: [x, w, walk.bias ?? w],
    makes: [out],
    params,
    constants,
    groups,
  })
  return y
}
