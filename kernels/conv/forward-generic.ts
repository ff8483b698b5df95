// The convolution without workgroup memory or barriers: each thread sums 4 pixels x 8 channels in
// registers. The data gradient is the same kernel with another walk (input-walk.ts).
// Runs on software adapters where forward-software.ts does not suit, and on any adapter for empty
// tensors.

import { type Run, type Shape, type Tensor, kernel, wgsl } from '../op.ts'
import { type BiasedWalk, inputWalk, walkDispatch } from './input-walk.ts'
import { byFragmentLoad } from '../wgsl/fragment-load.ts'

const TILE = { pixels: 4, channels: 8 } // per thread

// Products of the four pixels and the weights of a tap. Written out: SwiftShader unrolls no loop,
// and indexes arrays lane by lane.
const addTap = wgsl`
  low0 = fma(v.xxxx, w.low, low0); high0 = fma(v.xxxx, w.high, high0);
  low1 = fma(v.yyyy, w.low, low1); high1 = fma(v.yyyy, w.high, high1);
  low2 = fma(v.zzzz, w.low, low2); high2 = fma(v.zzzz, w.high, high2);
  low3 = fma(v.wwww, w.low, low3); high3 = fma(v.wwww, w.high, high3);
`

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

  fn load(source: Source, c: u32) -> f32 { return select(0.0, x[source.base + c], source.inside); }

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

    var low0 = vec4f(); var low1 = vec4f(); var low2 = vec4f(); var low3 = vec4f(); // channels 0 to 3
    var high0 = vec4f(); var high1 = vec4f(); var high2 = vec4f(); var high3 = vec4f(); // and 4 to 7
    let last = (taps - 1u) * p.tapStride;
    for (var r = 0u; r < phase.reach.x; r++) {
      for (var s = 0u; s < phase.reach.y; s += taps) {
        // Inputs of the four pixels at the leftmost of these taps, then of the last pixel at the
        // others.
        let from0 = sourceOf(at[0], 0u, r, s, phase.shift);
        let from1 = sourceOf(at[1], 1u, r, s, phase.shift);
        let from2 = sourceOf(at[2], 2u, r, s, phase.shift);
        let from3 = sourceOf(at[3], 3u, r, s, phase.shift);
        let from4 = sourceOf(at[3], 4u, r, s, phase.shift);
        let from5 = sourceOf(at[3], 5u, r, s, phase.shift);
        let tap = (phase.at.x + r * p.phasesH) * p.kW + phase.at.y + s * p.phasesW;
        let weights = tap * p.tapStride;
        for (var c = 0u; c < p.C; c++) {
          let at = weights + c * p.inStride;
          var v = vec4f(load(from0, c), load(from1, c), load(from2, c), load(from3, c));
          var w = loadFragment(at + select(0u, last, p.dir < 0));
          ${addTap}
          if (taps == 3u) {
            v = vec4f(v.yzw, load(from4, c));
            w = loadFragment(at + p.tapStride);
            ${addTap}
            v = vec4f(v.yzw, load(from5, c));
            w = loadFragment(at + select(last, 0u, p.dir < 0));
            ${addTap}
          }
        }
      }
    }

    let sums = array<Eight, 4>(
      Eight(low0, high0), Eight(low1, high1), Eight(low2, high2), Eight(low3, high3),
    );
    for (var j = 0u; j < 4u; j++) {
      if (start + j < count) {
        let o = phase.first + at[j].yz * vec2u(p.phasesH, p.phasesW);
        let to = ((at[j].x * p.outH + o.x) * p.outW + o.y) * p.K;
        // Channels past the last repeat it and store it again.
        for (var i = 0u; i < 8u; i++) {
          let channel = min(k + i, p.K - 1u);
          y[to + channel] = numberOf(sums[j], i) + select(0.0, bias[channel], p.biased == 1u);
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
