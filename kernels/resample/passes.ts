// The two passes of resampling: along the rows of a picture, then down its columns. Both multiply
// by a table of weights (filters.ts). Between them stands what a picture takes from white: then
// alpha, and the border of a picture that does not fill its image, need no code, since nothing
// taken is white. 16 bytes a pixel, [rows, w, 4].
//
// The first pass reads rows of bytes, and may be given a strip of a picture at a time. The second
// writes bytes of images that lie side by side, so that a word may hold parts of two: a thread
// computes four pixels, three words, and keeps the bytes that are not its own.

import { type Run, type Tensor, elementwise, flatIndex, kernel, wgsl } from '../op.ts'
import type { Weights } from './filters.ts'

const rgba = wgsl`
  fn taken(row: u32, x: u32) -> vec3f { // from white, by a pixel
    let c = unpack4x8unorm(bytes[row * p.pitch / 4u + x]);
    return c.a * (1 - c.rgb);
  }
`
const rgb = wgsl`
  fn at(i: u32) -> f32 { return f32((bytes[i / 4u] >> (8u * (i % 4u))) & 255u) / 255; }
  fn taken(row: u32, x: u32) -> vec3f { // from white, by a pixel
    let i = row * p.pitch + 3u * x;
    return 1 - vec3f(at(i), at(i + 1u), at(i + 2u));
  }
`

const alongRows = (pixel: typeof rgba) => kernel`
  struct Params { rows: u32, width: u32, taps: u32, pitch: u32, first: u32 }
  @group(0) @binding(0) var<storage, read>       bytes:   array<u32>; // rows, p.pitch bytes apart
  @group(0) @binding(1) var<storage, read>       starts:  array<u32>; // [width]
  @group(0) @binding(2) var<storage, read>       weights: array<f32>; // [width, taps]
  @group(0) @binding(3) var<storage, read_write> narrow:  array<vec4f>; // [rows, width]
  @group(0) @binding(4) var<uniform>             p:       Params;
  ${flatIndex}
  ${pixel}
  @compute @workgroup_size(64)
  fn resampleRows(@builtin(global_invocation_id) id: vec3u, @builtin(num_workgroups) groups: vec3u) {
    let i = flat(id, groups);
    if (i >= p.rows * p.width) { return; }
    let row = i / p.width;
    let x = i % p.width;
    var sum = vec3f(0);
    for (var k = 0u; k < p.taps; k++) {
      let weight = weights[x * p.taps + k];
      if (weight != 0) { sum += weight * taken(row, starts[x] + k); }
    }
    narrow[p.first * p.width + i] = vec4f(sum, 0);
  }
`
const rgbaRows = alongRows(rgba)
const rgbRows = alongRows(rgb)

const downColumns = kernel`
  struct Params { groups: u32, begin: u32, pixels: u32, words: u32, rows: u32, width: u32, height: u32, taps: u32 }
  @group(0) @binding(0) var<storage, read>       narrow:  array<vec4f>; // [N, rows, width]
  @group(0) @binding(1) var<storage, read>       starts:  array<u32>; // [height]
  @group(0) @binding(2) var<storage, read>       weights: array<f32>; // [height, taps]
  @group(0) @binding(3) var<storage, read_write> images:  array<u32>; // bytes, 3 a pixel
  @group(0) @binding(4) var<uniform>             p:       Params;
  ${flatIndex}
  fn channels(pixel: u32) -> vec3u {
    let n = pixel / (p.width * p.height);
    let y = pixel / p.width % p.height;
    let x = pixel % p.width;
    var sum = vec3f(0);
    for (var k = 0u; k < p.taps; k++) {
      let weight = weights[y * p.taps + k];
      if (weight != 0) { sum += weight * narrow[(n * p.rows + starts[y] + k) * p.width + x].rgb; }
    }
    return vec3u(clamp(round(255 * (1 - sum)), vec3f(0), vec3f(255)));
  }
  @compute @workgroup_size(64)
  fn resampleColumns(@builtin(global_invocation_id) id: vec3u, @builtin(num_workgroups) groups: vec3u) {
    let i = flat(id, groups);
    if (i >= p.groups) { return; }
    let word = 3u * (p.begin / 4u + i);
    var made = vec3u(0);
    var mine = vec3u(0); // a bit for each bit that is written
    for (var k = 0u; k < 4u; k++) {
      let pixel = 4u * (p.begin / 4u + i) + k;
      if (pixel < p.begin || pixel >= p.begin + p.pixels) { continue; }
      let c = channels(pixel - p.begin);
      for (var j = 0u; j < 3u; j++) {
        let byte = 3u * k + j;
        let shift = 8u * (byte % 4u);
        made[byte / 4u] |= c[j] << shift;
        mine[byte / 4u] |= 255u << shift;
      }
    }
    for (var j = 0u; j < 3u; j++) {
      if (mine[j] == 0u || word + j >= p.words) { continue; }
      var kept = 0u;
      if (mine[j] != 0xffffffffu) { kept = images[word + j] & ~mine[j]; }
      images[word + j] = kept | made[j];
    }
  }
`

/** PixelRows of pictures, as bytes in a tensor. */
export interface PixelRows {
  /** At least `rows` times `pitch` bytes. */
  readonly bytes: Tensor
  readonly channels: 3 | 4
  readonly rows: number
  /** Bytes from one row to the next; a multiple of 4 where there are 4 channels. */
  readonly pitch: number
}

/** Describes the first pass, from rows to f32 [rows, width, 4] or more, from its row `first` on.
 *  The caller says where that lies: `updates` or `makes`. */
export const alongRowsOf = (
  run: Run,
  { bytes, channels, rows, pitch }: PixelRows,
  { starts, weights, taps }: Weights,
  first = 0,
) => ({
  kernel: channels === 4 ? rgbaRows : rgbRows,
  dispatch: {
    reads: [bytes, run.tensor(starts), run.tensor(weights)],
    params: { rows, width: starts.length, taps, pitch, first },
    groups: elementwise(rows * starts.length),
  },
})

/** N pictures after the first pass, f32 [N, rows, width, 4]. */
export interface Narrow {
  readonly narrow: Tensor
  readonly N: number
  readonly rows: number
  readonly width: number
}

/** Describes the second pass, from N pictures to N images of a set u8 [size, height, width, 3],
 *  from its image `at` on. The caller says where the set lies: `updates` or `makes`. */
export function downColumnsOf(
  run: Run,
  { narrow, N, rows, width }: Narrow,
  { starts, weights, taps }: Weights,
  { size = N, at = 0 } = {},
) {
  const height = starts.length
  const [begin, pixels] = [at * height * width, N * height * width]
  const groups = Math.ceil((begin + pixels) / 4) - Math.floor(begin / 4)
  const words = Math.ceil((3 * size * height * width) / 4)
  const dispatch = {
    reads: [narrow, run.tensor(starts), run.tensor(weights)],
    params: { groups, begin, pixels, words, rows, width, height, taps },
    groups: elementwise(groups),
  }
  return { kernel: downColumns, dispatch }
}
