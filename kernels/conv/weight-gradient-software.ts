// The weight gradient on a software adapter, for rows of 1 or 3 taps at stride 1 or 2 and many
// output channels. A thread sums all taps of a row, 2 or 4 input channels and 16 output channels,
// four pixels at a time. Such an adapter loads lane by lane (forward-software.ts says what that
// costs), so neighbouring pixels share the inputs of their taps, and eight lanes of a subgroup
// load dy of four pixels and eight channels, and broadcast it to each other.
// docs/kernels.md has what was measured.

import {
  type Run,
  type Shape,
  type Tensor,
  type Wgsl,
  images,
  kernel,
  sizeOf,
  wgsl,
} from '../op.ts'
import type { Steps } from './steps.ts'
import { spreadFours } from '../wgsl/broadcast-load.ts'
import { threadsFor } from '../wgsl/fragment-load.ts'
import type { Partial } from '../wgsl/sum-splits.ts'
import { splitDispatch } from './weight-gradient-splits.ts'

const COLUMNS = 16 // of dW, per thread
const LANES = 8 // that share dy, and make a workgroup

// `inputs`: the type of the input channels that a thread loads together.
// `channel`: number i of such `values`.
const softwareKernel = (inputs: Wgsl, channel: Wgsl) => kernel`
  enable subgroups;
  struct Params {
    N: u32, H: u32, W: u32, C: u32, outH: u32, outW: u32, K: u32, kH: u32, kW: u32,
    strideH: u32, strideW: u32, padH: u32, padW: u32, lines: u32, bands: u32
  }
  alias Inputs = ${inputs};
  @group(0) @binding(0) var<storage, read>       x:       array<Inputs>; // [N, H, W, C]
  @group(0) @binding(1) var<storage, read>       factors: array<vec4f>;  // dy [N, outH, outW, K]
  @group(0) @binding(2) var<storage, read_write> dw:      array<vec4f>;  // [splits, kH, taps, C, K]
  @group(0) @binding(3) var<uniform>             p:       Params;
  override threads: u32 = 8u;
  override channels: u32 = 4u; // of Inputs
  override taps: u32 = 3u; // of a row of the weight
  override stride: u32 = 1u; // of columns
  ${spreadFours}

  alias Line = array<array<f32, 9>, 4>; // by input channel, then column
  fn lineOf(v: array<Inputs, 9>) -> Line {
    var line = Line();
    for (var i = 0u; i < channels; i++) {
      for (var j = 0u; j < 9u; j++) {
        let values = v[j];
        line[i][j] = ${channel};
      }
    }
    return line;
  }

  alias Column = array<array<f32, 3>, 4>; // by input channel, then tap
  fn addColumn(sums: Column, x: Line, dy: vec4f) -> Column {
    var all = sums;
    for (var i = 0u; i < channels; i++) {
      for (var s = 0u; s < taps; s++) { all[i][s] = fma(x[i][s], dy.x, all[i][s]); }
      for (var s = 0u; s < taps; s++) { all[i][s] = fma(x[i][s + stride], dy.y, all[i][s]); }
      for (var s = 0u; s < taps; s++) { all[i][s] = fma(x[i][s + 2u * stride], dy.z, all[i][s]); }
      for (var s = 0u; s < taps; s++) { all[i][s] = fma(x[i][s + 3u * stride], dy.w, all[i][s]); }
    }
    return all;
  }

  alias Sums = array<Column, 8>; // by output channel
  fn addPixels(sums: Sums, x: Line, own: vec4f) -> Sums {
    let dy = spreadColumns(own);
    return Sums( // a loop would stay one, and index its sums lane by lane
      addColumn(sums[0], x, dy[0]), addColumn(sums[1], x, dy[1]),
      addColumn(sums[2], x, dy[2]), addColumn(sums[3], x, dy[3]),
      addColumn(sums[4], x, dy[4]), addColumn(sums[5], x, dy[5]),
      addColumn(sums[6], x, dy[6]), addColumn(sums[7], x, dy[7]),
    );
  }

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
    // One of four pixels, four of eight channels.
    let own = lane % 8u / 2u * p.K + k + lane % 2u * 4u;
    let width = p.C / channels;
    let r = slot / width;
    let c = slot % width;

    let carried = max(taps, stride) - stride; // columns that four pixels share with the next four
    var sums = array<Sums, 2>();
    let end = min((group.z + 1u) * p.lines, p.N * p.outH);
    let begin = group.z * p.lines;
    var n = begin / p.outH;
    var h = begin - n * p.outH;
    for (var line = begin; line < end; line++) {
      let source = u32(i32(h * p.strideH + r) - i32(p.padH)); // as u32 a negative row is huge
      // Of the image; 0 where the tap's row lies in the padding.
      let most = select(0u, p.W, source < p.H);
      let start = (n * p.H + source) * p.W * width + c;
      var values = array<Inputs, 9>(); // inputs of four pixels at their taps
      for (var j = 0u; j < carried; j++) {
        let v = u32(i32(j) - i32(p.padW));
        let at = select(0u, start + v * width, v < most);
        values[4u * stride + j] = select(Inputs(), x[at], v < most);
      }
      for (var o = 0u; o < p.outW; o += 4u) {
        for (var j = 0u; j < carried; j++) { values[j] = values[4u * stride + j]; }
        for (var j = carried; j < taps + 3u * stride; j++) {
          if (j % stride < taps) {
            let v = u32(i32(o * stride + j) - i32(p.padW));
            let at = select(0u, start + v * width, v < most);
            values[j] = select(Inputs(), x[at], v < most);
          }
        }
        let pixel = ((line * p.outW + o) * p.K + own) / 4u;
        let first = factors[pixel];
        let second = factors[pixel + 2u];
        let inputs = lineOf(values);
        sums[0] = addPixels(sums[0], inputs, first);
        sums[1] = addPixels(sums[1], inputs, second);
      }
      h += 1u;
      if (h == p.outH) {
        h = 0u;
        n += 1u;
      }
    }

    if (r < p.kH) {
      for (var s = 0u; s < taps; s++) {
        for (var i = 0u; i < channels; i++) {
          let to = ((((group.z * p.kH + r) * taps + s) * p.C + c * channels + i) * p.K + k) / 4u;
          for (var h = 0u; h < 2u; h++) {
            dw[to + 2u * h] = vec4f(
              sums[h][0][i][s], sums[h][1][i][s], sums[h][2][i][s], sums[h][3][i][s]);
            dw[to + 2u * h + 1u] = vec4f(
              sums[h][4][i][s], sums[h][5][i][s], sums[h][6][i][s], sums[h][7][i][s]);
          }
        }
      }
    }
  }
`

const kernels = {
  1: softwareKernel(wgsl`f32`, wgsl`values`),
  2: softwareKernel(wgsl`vec2f`, wgsl`values[i]`),
  4: softwareKernel(wgsl`vec4f`, wgsl`values[i]`),
}

/** Input channels of a thread: four, or two where four would leave lanes idle. Only the usual
 *  convolution has both, since each kernel takes seconds to compile. */
function channelsOf(C: number, taps: number, stride: number): 1 | 2 | 4 {
  const usual = taps === 3 && stride === 1
  if (C % (usual ? 4 * LANES : 4) === 0) return 4
  return C % 2 === 0 ? 2 : 1
}

/** `convWeightGradient`; null unless rows have 1 or 3 taps at stride 1 or 2, and pixels and output
 *  channels fill whole tiles. */
export function convWeightGradientSoftware(
  run: Run,
  x: Tensor,
  dy: Tensor,
  out: Shape,
  steps: Steps,
): Partial | null {
  const [, , outW] = images(dy.shape, 'conv2d: dy')
  const [, taps, C, K] = images(out, 'conv2d: w')
  const stride = steps.stride[1]
  const few = (taps === 1 || taps === 3) && stride <= 2
  const whole = sizeOf(dy.shape) * sizeOf(out) > 0 && outW % 4 === 0 && K % COLUMNS === 0
  if (!few || !whole) return null
  const channels = channelsOf(C, taps, stride)
  const tile = { rows: taps * channels, columns: COLUMNS, threads: LANES }
  const counted = taps === 3 && stride === 1 ? { rows: 3, columns: 16 } : { rows: 4, columns: 8 }
  const { splits, params, groups } = splitDispatch(run, x, dy, out, steps, tile, {
    ...counted,
    threads: threadsFor(run),
  })
  const [partial] = run(kernels[channels], {
    reads: [x, dy],
    makes: [[splits, ...out]],
    params,
    constants: { threads: LANES, channels, taps, stride },
    groups,
  })
  return { partial, out }
}
