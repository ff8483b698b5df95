// The convolution on a software adapter with many channels: 8 pixels x 16 channels a thread. Such
// an adapter loads lane by lane, with a bounds check for each number: 400 instructions load a
// vec4f in eight lanes, where a multiplication and its addition take two. So numbers are loaded
// once and used often.
//
// Weights: eight lanes of a subgroup load 16 output and 4 input channels in two loads of four, and
// broadcast them to each other.
// Inputs: a thread loads the four channels of its eight pixels. The three taps of a row use them
// moved by one pixel. The pixels on either side come from the neighbouring lanes.
// Sums: all products of one channel follow each other, so that eight sums at a time lie in
// registers. The loop over taps is not unrolled, since its code would not fit into the cache.
// docs/kernels.md has what was measured.

import { type Run, type Shape, type Tensor, images, kernel } from '../op.ts'
import { type BiasedWalk, inputWalk, walkDispatch } from './input-walk.ts'
import { broadcasts, spreadFours } from '../wgsl/broadcast-load.ts'

const TILE = { pixels: 8, channels: 16 } // per thread
const LANES = 8

/** Whether the kernel suits the machine, and an input and output of these shapes: input channels in
 *  fours, output channels in whole tiles. */
export function suitsForwardSoftware(run: Run, x: Shape, out: Shape): boolean {
  const [, , , C] = images(x, 'conv2d: x')
  const [, , , K] = images(out, 'conv2d: y')
  return broadcasts(run) && C % 4 === 0 && K % TILE.channels === 0
}

// `transposed`: an output channel, not an input channel, makes a row of the weight.
// `taps` are 3 where a row of pixels has the length of a row of inputs, else 1. `aligned`: rows end
// where eight lanes end, so that no pixel beyond them is a neighbour.
const softwareKernel = kernel`
  enable subgroups;
  ${inputWalk}
  @group(0) @binding(0) var<storage, read>       x:       array<vec4f>; // [N, H, W, C]
  @group(0) @binding(1) var<storage, read>       factors: array<vec4f>; // w [kH, kW, C, K], by strides
  @group(0) @binding(2) var<storage, read>       bias:    array<vec4f>; // [K], if biased
  @group(0) @binding(3) var<storage, read_write> y:       array<vec4f>; // [N, outH, outW, K]
  @group(0) @binding(4) var<uniform>             p:       Params;
  override threads: u32 = 16u;
  override transposed: bool = false;
  override aligned: bool = false;
  ${spreadFours}

  // Sums of eight pixels, for one output channel.
  fn addChannel(sums: array<f32, 8>, values: array<vec4f, 8>, w: vec4f) -> array<f32, 8> {
    var all = sums;
    for (var j = 0u; j < 8u; j++) { all[j] = fma(values[j].x, w.x, all[j]); }
    for (var j = 0u; j < 8u; j++) { all[j] = fma(values[j].y, w.y, all[j]); }
    for (var j = 0u; j < 8u; j++) { all[j] = fma(values[j].z, w.z, all[j]); }
    for (var j = 0u; j < 8u; j++) { all[j] = fma(values[j].w, w.w, all[j]); }
    return all;
  }

  alias Sums = array<array<f32, 8>, 8>; // of eight channels
  fn addTap(sums: Sums, values: array<vec4f, 8>, own: vec4f) -> Sums {
    var w = array<vec4f, 8>(); // four input channels of each output channel
    if (transposed) { w = spreadRows(own); } else { w = spreadColumns(own); }
    return Sums( // a loop would stay one, and index its sums lane by lane
      addChannel(sums[0], values, w[0]), addChannel(sums[1], values, w[1]),
      addChannel(sums[2], values, w[2]), addChannel(sums[3], values, w[3]),
      addChannel(sums[4], values, w[4]), addChannel(sums[5], values, w[5]),
      addChannel(sums[6], values, w[6]), addChannel(sums[7], values, w[7]),
    );
  }

  fn load(source: Source, c: u32) -> vec4f {
    return select(vec4f(), x[(source.base + c) / 4u], source.inside);
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
    let start = (band * threads + thread) * 8u;
    let count = p.N * phase.size.x * phase.size.y;
    let low = fourPixels(start, phase.size); // n, and the row and column within the phase
    let high = fourPixels(start + 4u, phase.size);
    let at = array<vec3u, 8>(low[0], low[1], low[2], low[3], high[0], high[1], high[2], high[3]);

    var sums = array<Sums, 2>();
    for (var r = 0u; r < phase.reach.x; r++) {
      for (var s = 0u; s < phase.reach.y; s += taps) {
        // Inputs of the pixels at the middle one of these taps, and one to either side.
        var sources = array<Source, 8>();
        for (var j = 0u; j < 8u; j++) {
          sources[j] = sourceOf(at[j], 3u + taps / 2u, r, s, phase.shift);
        }
        let before = sourceOf(at[0], 3u, r, s, phase.shift);
        let after = sourceOf(at[7], 5u, r, s, phase.shift);
        let tap = (phase.at.x + r * p.phasesH) * p.kW + phase.at.y + s * p.phasesW;
        for (var c = 0u; c < p.C; c += 4u) {
          var line = array<vec4f, 10>();
          for (var j = 0u; j < 8u; j++) { line[j + 1u] = load(sources[j], c); }
          if (taps == 3u && aligned) {
            line[0] = subgroupShuffleUp(line[8], 1u);
            line[9] = subgroupShuffleDown(line[1], 1u);
          } else if (taps == 3u) {
            line[0] = load(before, c);
            line[9] = load(after, c);
          }
          for (var t = 0u; t < taps; t++) {
            var values = array<vec4f, 8>();
            if (taps == 3u) {
              for (var j = 0u; j < 8u; j++) { values[j] = line[j]; }
              for (var j = 0u; j < 9u; j++) { line[j] = line[j + 1u]; }
              // Rows end after pixels 3 or 7 of a thread only.
              values[0] = select(vec4f(), values[0], at[0].z + t - 1u < p.W);
              values[3] = select(vec4f(), values[3], at[3].z + t - 1u < p.W);
              values[4] = select(vec4f(), values[4], at[4].z + t - 1u < p.W);
              values[7] = select(vec4f(), values[7], at[7].z + t - 1u < p.W);
            } else {
              for (var j = 0u; j < 8u; j++) { values[j] = line[j + 1u]; }
            }
            let next = tap + select(t, taps - 1u - t, p.dir < 0);
            let weights = own + next * p.tapStride + c * p.inStride;
            let first = factors[weights / 4u];
            let second = factors[(weights + 8u * p.outStride) / 4u];
            sums[0] = addTap(sums[0], values, first);
            sums[1] = addTap(sums[1], values, second);
          }
        }
      }
    }

    var shifts = array<vec4f, 4>();
    if (p.biased == 1u) {
      for (var i = 0u; i < 4u; i++) { shifts[i] = bias[k / 4u + i]; }
    }
    for (var j = 0u; j < 8u; j++) {
      if (start + j < count) {
        let o = phase.first + at[j].yz * vec2u(p.phasesH, p.phasesW);
        let to = (((at[j].x * p.outH + o.x) * p.outW + o.y) * p.K + k) / 4u;
        for (var h = 0u; h < 2u; h++) {
          let low = vec4f(sums[h][0][j], sums[h][1][j], sums[h][2][j], sums[h][3][j]);
          let high = vec4f(sums[h][4][j], sums[h][5][j], sums[h][6][j], sums[h][7][j]);
          y[to + 2u * h] = low + shifts[2u * h];
          y[to + 2u * h + 1u] = high + shifts[2u * h + 1u];
        }
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
  walk: BiasedWalk,
): Tensor {
  const { params, constants, groups } = walkDispatch(run, x, w, out, walk, TILE)
  const { W, outW, padW, outStride } = params
  const three = constants.taps === 3 && W === outW && padW === 1
  const [y] = run(softwareKernel, {
    reads: [x, w, walk.bias ?? w],
    makes: [out],
    params,
    constants: {
      threads: constants.threads,
      taps: three ? 3 : 1,
      aligned: Number((LANES * TILE.pixels) % outW === 0),
      transposed: Number(outStride > 1),
    },
    groups,
  })
  return y
}
