// Convolution as an implicit matrix product: rows are output pixels, columns are output channels, and the sum runs over
// taps and input channels, read in place. The data gradient is the same kernel with other numbers: a stride of s splits
// the input's pixels into s x s phases, and within a phase the taps that reach a pixel are the same for all of them, so
// no product with an inserted zero is ever computed. With q phases, the outputs of phase f are o = first + i q, their
// taps are r = f + t q, and they read the input at i step + dir (t - shift):
//   forward:       q = 1,      step = stride, dir = +1, shift = padding
//   data gradient: q = stride, step = 1,      dir = -1, shift = (first + padding - f) / stride
// Each thread sums 4 pixels x 8 channels in registers, without barriers. On a CPU adapter a thread is one SIMD lane:
// reading x costs a gather, and a weight, whose address all lanes share, one scalar load, hence more channels than pixels.

import { type Run, type Shape, type Tensor, type Wgsl, elementwise, images, kernel, wgsl } from './op.ts'

const PIXELS = 256 // per workgroup, 4 per thread
const CHANNELS = 8

const body = wgsl`
  struct Params {
    N: u32, H: u32, W: u32, C: u32, outH: u32, outW: u32, K: u32, kH: u32, kW: u32,
    phasesH: u32, phasesW: u32, stepH: u32, stepW: u32, padH: u32, padW: u32, dir: i32
  }
  @group(0) @binding(0) var<storage, read> x: array<f32>; // [N, H, W, C]
  @group(0) @binding(3) var<uniform>       p: Params;
  override taps = 1u; // taps of a row done together: 3 in rows of 3 with step 1, where pixels share what they read

  @compute @workgroup_size(64)
  fn convolve(
    @builtin(local_invocation_index) lane: u32,
    @builtin(workgroup_id) group: vec3u,
    @builtin(num_workgroups) groups: vec3u,
  ) {
    let phases = vec2u(p.phasesH, p.phasesW);
    let phase = vec2u(group.z / p.phasesW, group.z % p.phasesW);
    let first = (phase + phases - vec2u(p.padH, p.padW) % phases) % phases;
    let shift = vec2i((first + vec2u(p.padH, p.padW) - phase) / phases);
    let size = (vec2u(p.outH, p.outW) + phases - 1u - first) / phases;
    let reach = (vec2u(p.kH, p.kW) + phases - 1u - phase) / phases; // taps of this phase

    let tile = group.y * groups.x + group.x;
    let blocks = (p.K + 7u) / 8u;
    let k = tile % blocks * 8u;
    // Four pixels in reading order. Those past the end repeat the last: the thread that has it stores it again.
    let start = (tile / blocks * 64u + lane) * 4u;
    let last = p.N * size.x * size.y;
    if (start >= last) { return; }
    var at = array<vec3u, 4>(); // n, and the row and column within the phase
    at[0] = vec3u(start / (size.x * size.y), start / size.y % size.x, start % size.y);
    for (var j = 1u; j < 4u; j++) {
      at[j] = at[j - 1u];
      if (start + j < last) {
        at[j].z += 1u;
        if (at[j].z == size.y) { at[j] = vec3u(at[j].x, at[j].y + 1u, 0u); }
        if (at[j].y == size.x) { at[j] = vec3u(at[j].x + 1u, 0u, 0u); }
      }
    }

    var sums = array<array<vec4f, 2>, 4>();
    for (var r = 0u; r < reach.x; r++) {
      for (var s = 0u; s < reach.y; s += taps) {
        // What the pixels read at the leftmost of these taps, then what the last pixel reads at the others.
        var base = array<u32, 6>();
        var inside = array<bool, 6>();
        for (var q = 0u; q < 3u + taps; q++) {
          let pixel = at[min(q, 3u)];
          let h = u32(i32(pixel.y * p.stepH) + p.dir * (i32(r) - shift.x));
          let left = select(i32(s) - shift.y, shift.y - i32(s + taps - 1u), p.dir < 0);
          let v = u32(i32(pixel.z * p.stepW) + left + i32(max(q, 3u)) - 3);
          inside[q] = h < p.H && v < p.W; // a negative one is huge as u32
          base[q] = select(0u, ((pixel.x * p.H + h) * p.W + v) * p.C, inside[q]);
        }
        let tap = (phase.x + r * phases.x) * p.kW + phase.y + s * phases.y;
        for (var c = 0u; c < p.C; c++) {
          var values = array<f32, 6>();
          for (var q = 0u; q < 3u + taps; q++) { values[q] = select(0.0, x[base[q] + c], inside[q]); }
          for (var t = 0u; t < taps; t++) {
            // Channels past K read what lies behind and are never stored.
            let i = ((tap + select(t, taps - 1u - t, p.dir < 0)) * p.C + c) * p.K + k;
            let w0 = weights(i);
            let w1 = weights(i + 4u);
            for (var j = 0u; j < 4u; j++) {
              sums[j][0] = fma(vec4f(values[j + t]), w0, sums[j][0]);
              sums[j][1] = fma(vec4f(values[j + t]), w1, sums[j][1]);
            }
          }
        }
      }
    }

    for (var j = 0u; j < 4u; j++) {
      let o = first + at[j].yz * phases;
      let to = ((at[j].x * p.outH + o.x) * p.outW + o.y) * p.K + k;
      store(to, p.K - k, sums[j][0]);
      if (k + 4u < p.K) { store(to + 4u, p.K - k - 4u, sums[j][1]); }
    }
  }
`

const inFours: Wgsl = wgsl`
  @group(0) @binding(1) var<storage, read>       w: array<vec4f>; // [kH, kW, C, K]
  @group(0) @binding(2) var<storage, read_write> y: array<vec4f>; // [N, outH, outW, K]
  fn weights(i: u32) -> vec4f { return w[i / 4u]; }
  fn store(i: u32, left: u32, v: vec4f) { y[i / 4u] = v; }
`
const inOnes: Wgsl = wgsl`
  @group(0) @binding(1) var<storage, read>       w: array<f32>; // [kH, kW, C, K]
  @group(0) @binding(2) var<storage, read_write> y: array<f32>; // [N, outH, outW, K]
  fn weights(i: u32) -> vec4f { return vec4f(w[i], w[i + 1u], w[i + 2u], w[i + 3u]); }
  fn store(i: u32, left: u32, v: vec4f) {
    for (var c = 0u; c < 4u; c++) {
      if (c < left) { y[i + c] = v[c]; }
    }
  }
`
const convolve4 = kernel`${body}${inFours}`
const convolve1 = kernel`${body}${inOnes}`

const swapKernel = kernel`
  struct Params { count: u32, C: u32, K: u32 }
  @group(0) @binding(0) var<storage, read>       w:   array<f32>; // [kH, kW, C, K]
  @group(0) @binding(1) var<storage, read_write> out: array<f32>; // [kH, kW, K, C]
  @group(0) @binding(2) var<uniform>             p:   Params;
  @compute @workgroup_size(64)
  fn swapChannels(@builtin(global_invocation_id) id: vec3u, @builtin(num_workgroups) groups: vec3u) {
    let i = id.y * groups.x * 64u + id.x;
    if (i >= p.count) { return; }
    let tap = i / (p.C * p.K);
    out[i] = w[(tap * p.C + i % p.C) * p.K + i / p.C % p.K];
  }
`

/** Rows and columns: [h, w]. */
export type Pair = readonly [h: number, w: number]

export interface Steps {
  readonly stride: Pair
  readonly padding: Pair
}

/** Convolution of x [N, H, W, C] with w [kH, kW, C, K], without bias, of shape `out` [N, outH, outW, K]. */
export function convolve(run: Run, x: Tensor, w: Tensor, out: Shape, { stride, padding }: Steps): Tensor {
  return dispatch(run, x, w, out, {
    ...{ phasesH: 1, phasesW: 1, stepH: stride[0], stepW: stride[1] },
    ...{ padH: padding[0], padW: padding[1], dir: 1 },
  })
}

/** Gradient of `convolve` with respect to x, which has the shape `out`, from dy and w. */
export function convolveBack(
  run: Run,
  dy: Tensor,
  w: Tensor,
  out: Shape,
  { stride, padding }: Steps,
): Tensor {
  const [kH, kW, C, K] = images(w.shape, 'conv2d: w')
  const count = kH * kW * C * K
  const [swapped] = run(swapKernel, {
    reads: [w],
    makes: [[kH, kW, K, C]],
    params: { count, C, K },
    groups: elementwise(count),
  })
  return dispatch(run, dy, swapped, out, {
    ...{ phasesH: stride[0], phasesW: stride[1], stepH: 1, stepW: 1 },
    ...{ padH: padding[0], padW: padding[1], dir: -1 },
  })
}

function dispatch(
  run: Run,
  x: Tensor,
  w: Tensor,
  out: Shape,
  steps: Record<'phasesH' | 'phasesW' | 'stepH' | 'stepW' | 'padH' | 'padW' | 'dir', number>,
) {
  const [N, H, W, C] = images(x.shape, 'conv2d: x')
  const [, outH, outW, K] = images(out, 'conv2d: y')
  const [kH, kW] = images(w.shape, 'conv2d: w')
  const { phasesH, phasesW, stepW } = steps
  const pixels = N * Math.ceil(outH / phasesH) * Math.ceil(outW / phasesW)
  const tiles = Math.ceil(pixels / PIXELS) * Math.ceil(K / CHANNELS)
  const sharing = kW === 3 && stepW === 1 && phasesW === 1 && outW % 4 === 0
  const [gx, gy] = elementwise(tiles * 64)
  const [y] = run(K % 4 === 0 ? convolve4 : convolve1, {
    reads: [x, w],
    makes: [out],
    params: { N, H, W, C, outH, outW, K, kH, kW, ...steps },
    constants: { taps: sharing ? 3 : 1 },
    groups: [gx, gy, phasesH * phasesW],
  })
  return y
}
