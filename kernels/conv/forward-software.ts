// The convolution on a software adapter with many channels: 8 pixels x 16 channels a thread. Such
// an adapter loads lane by lane, with a bounds check for each number: 400 instructions load a
// vec4f in eight lanes, where a multiplication and its addition take two. So numbers are loaded
// once and used often.
//
// Weights: eight lanes of a subgroup load 16 output and 4 input channels in two loads of four, and
// broadcast them to each other.
// Inputs: a thread loads the four channels of its eight pixels. The three taps of a row use them
// moved by one pixel. The pixels on either side come from the neighbouring lanes.
// Sums: all products of one output channel follow each other, so that eight sums at a time lie in
// registers.
// Loads and stores are in small loops, whose arrays move on by one place a turn: the processor
// keeps about 1,000 of these instructions decoded, and runs others at half the speed. The loops
// end at numbers that compilers do not know, so that they stay loops.
// docs/kernels.md has what was measured.

import { type Run, type Shape, type Tensor, images, kernel } from '../op.ts'
import { type BiasedWalk, inputWalk, walkDispatch } from './input-walk.ts'
import { spreadFours } from '../wgsl/broadcast-load.ts'

const TILE = { pixels: 8, channels: 16 } // per thread
const LANES = 8

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

  alias Eight = array<vec4f, 2>; // of eight pixels
  alias Inputs = array<array<Eight, 4>, 3>; // by tap, then channel
  fn byChannel(v: array<vec4f, 8>) -> array<Eight, 4> {
    let low = transpose(mat4x4f(v[0], v[1], v[2], v[3]));
    let high = transpose(mat4x4f(v[4], v[5], v[6], v[7]));
    return array<Eight, 4>(
      Eight(low[0], high[0]), Eight(low[1], high[1]), Eight(low[2], high[2]), Eight(low[3], high[3]),
    );
  }

  fn add(sums: Eight, x: Eight, w: f32) -> Eight {
    return Eight(fma(x[0], vec4f(w), sums[0]), fma(x[1], vec4f(w), sums[1]));
  }
  fn addTap(sums: Eight, x: array<Eight, 4>, w: vec4f) -> Eight {
    return add(add(add(add(sums, x[0], w.x), x[1], w.y), x[2], w.z), x[3], w.w);
  }
  fn addChannel(sums: Eight, x: Inputs, first: vec4f, second: vec4f, third: vec4f) -> Eight {
    let one = addTap(sums, x[0], first);
    if (taps == 1u) { return one; }
    return addTap(addTap(one, x[1], second), x[2], third);
  }

  // Four input channels of each of eight output channels.
  fn spread(own: vec4f) -> array<vec4f, 8> {
    if (transposed) { return spreadRows(own); }
    return spreadColumns(own);
  }
  alias Sums = array<Eight, 8>; // by output channel
  fn addTaps(sums: Sums, x: Inputs, own: array<vec4f, 3>) -> Sums {
    let a = spread(own[0]);
    let b = spread(own[1]);
    let c = spread(own[2]);
    return Sums( // a loop would stay one, and index its sums lane by lane
      addChannel(sums[0], x, a[0], b[0], c[0]), addChannel(sums[1], x, a[1], b[1], c[1]),
      addChannel(sums[2], x, a[2], b[2], c[2]), addChannel(sums[3], x, a[3], b[3], c[3]),
      addChannel(sums[4], x, a[4], b[4], c[4]), addChannel(sums[5], x, a[5], b[5], c[5]),
      addChannel(sums[6], x, a[6], b[6], c[6]), addChannel(sums[7], x, a[7], b[7], c[7]),
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
    let begin = pixelAt(start, phase.size);
    // Where taps are three, rows end after four or eight pixels of a thread only.
    let middle = pixelAfter(begin + vec3u(0u, 0u, 3u), phase.size);
    let end = middle + vec3u(0u, 0u, 3u);

    var sums = array<Sums, 2>();
    for (var r = 0u; r < phase.reach.x; r++) {
      for (var s = 0u; s < phase.reach.y; s += taps) {
        let before = sourceOf(begin, 3u, r, s, phase.shift);
        let after = sourceOf(end, 5u, r, s, phase.shift);
        let tap = (phase.at.x + r * p.phasesH) * p.kW + phase.at.y + s * p.phasesW;
        for (var c = 0u; c < p.C; c += 4u) {
          // Inputs of the pixels at the middle one of these taps, and one to either side.
          var line = array<vec4f, 10>();
          var pixel = begin;
          for (var j = 0u; j < p.pixels; j += 2u) {
            for (var i = 1u; i < 7u; i++) { line[i] = line[i + 2u]; }
            for (var i = 7u; i < 9u; i++) {
              line[i] = load(sourceOf(pixel, 3u + taps / 2u, r, s, phase.shift), c);
              pixel = pixelAfter(pixel, phase.size);
            }
          }
          if (taps == 3u && aligned) {
            line[0] = subgroupShuffleUp(line[8], 1u);
            line[9] = subgroupShuffleDown(line[1], 1u);
          } else if (taps == 3u) {
            line[0] = load(before, c);
            line[9] = load(after, c);
          }
          var inputs = Inputs();
          if (taps == 3u) {
            inputs[0] = byChannel(array<vec4f, 8>(
              select(vec4f(), line[0], begin.z > 0u), line[1], line[2], line[3],
              select(vec4f(), line[4], middle.z > 0u), line[5], line[6], line[7],
            ));
            inputs[2] = byChannel(array<vec4f, 8>(
              line[2], line[3], line[4], select(vec4f(), line[5], middle.z > 0u),
              line[6], line[7], line[8], select(vec4f(), line[9], end.z + 1u < p.W),
            ));
          }
          inputs[taps / 2u] = byChannel(array<vec4f, 8>(
            line[1], line[2], line[3], line[4], line[5], line[6], line[7], line[8],
          ));

          var first = array<vec4f, 3>();
          var second = array<vec4f, 3>();
          for (var t = 0u; t < select(1u, phase.reach.y, taps == 3u); t++) {
            let next = tap + select(t, taps - 1u - t, p.dir < 0);
            let weights = own + next * p.tapStride + c * p.inStride;
            for (var i = 1u; i < taps; i++) {
              first[i - 1u] = first[i];
              second[i - 1u] = second[i];
            }
            first[taps - 1u] = factors[weights / 4u];
            second[taps - 1u] = factors[(weights + 8u * p.outStride) / 4u];
          }
          sums[0] = addTaps(sums[0], inputs, first);
          sums[1] = addTaps(sums[1], inputs, second);
        }
      }
    }

    var shifts = array<vec4f, 4>();
    if (p.biased == 1u) {
      for (var i = 0u; i < 4u; i++) { shifts[i] = bias[k / 4u + i]; }
    }
    var pixel = begin;
    for (var j = 0u; j < p.pixels; j++) {
      if (start + j < count) {
        let o = phase.first + pixel.yz * vec2u(p.phasesH, p.phasesW);
        let to = (((pixel.x * p.outH + o.x) * p.outW + o.y) * p.K + k) / 4u;
        for (var h = 0u; h < 2u; h++) {
          let all = sums[h];
          let low = vec4f(all[0][0].x, all[1][0].x, all[2][0].x, all[3][0].x);
          let high = vec4f(all[4][0].x, all[5][0].x, all[6][0].x, all[7][0].x);
          y[to + 2u * h] = low + shifts[2u * h];
          y[to + 2u * h + 1u] = high + shifts[2u * h + 1u];
        }
      }
      pixel = pixelAfter(pixel, phase.size);
      for (var h = 0u; h < 2u; h++) {
        for (var i = 0u; i < 8u; i++) {
          let all = sums[h][i];
          sums[h][i] = Eight(vec4f(all[0].yzw, all[1].x), vec4f(all[1].yzw, 0.0));
        }
      }
    }
  }
`

/** `convForward`, or the data gradient, as `walk` says; null unless input channels are fours and
 *  output channels whole tiles. */
export function convForwardSoftware(
  run: Run,
  x: Tensor,
  w: Tensor,
  out: Shape,
  walk: BiasedWalk,
): Tensor | null {
  const [, , , C] = images(x.shape, 'conv2d: x')
  const [, , , K] = images(out, 'conv2d: y')
  if (C * K === 0 || C % 4 > 0 || K % TILE.channels > 0) return null
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
