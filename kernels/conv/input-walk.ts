// Where the kernels of kernels/conv/forward.ts read and write: a workgroup's phase, a thread's four pixels, and what they read.

import { wgsl } from '../op.ts'

/** Params of `convolve`, `phaseOf(z)`, `fourPixels(start, size)` of a phase of that size, as (image, row and column within the
 *  phase), and `sourceOf(at, q, r, s, shift)`: where pixel q of four reads the leftmost of the taps (r, s), or, for q beyond,
 *  where the last reads the next ones. */
export const convolveWalk = wgsl`
  struct Params {
    N: u32, H: u32, W: u32, C: u32, outH: u32, outW: u32, K: u32, kH: u32, kW: u32,
    phasesH: u32, phasesW: u32, stepH: u32, stepW: u32, padH: u32, padW: u32, dir: i32,
    tapStride: u32, inStride: u32, outStride: u32
  }
  override taps: u32 = 1u; // of a row, done together: 3 where it has 3 and pixels of a row share what they read

  // Exact for sides of images, and for a CPU adapter much cheaper than division of integers.
  fn quotient(a: vec2u, b: vec2u) -> vec2u { return vec2u((vec2f(a) + 0.5) / vec2f(b)); }
  fn remainder(a: vec2u, b: vec2u) -> vec2u { return a - quotient(a, b) * b; }

  struct Phase { at: vec2u, first: vec2u, shift: vec2i, size: vec2u, reach: vec2u } // reach: its taps
  fn phaseOf(z: u32) -> Phase {
    let phases = vec2u(p.phasesH, p.phasesW);
    let padding = vec2u(p.padH, p.padW);
    let row = quotient(vec2u(z), vec2u(p.phasesW)).x;
    let at = vec2u(row, z - row * p.phasesW);
    let first = remainder(at + phases - remainder(padding, phases), phases);
    let shift = vec2i(quotient(first + padding - at, phases));
    let size = quotient(vec2u(p.outH, p.outW) + phases - 1u - first, phases);
    return Phase(at, first, shift, size, quotient(vec2u(p.kH, p.kW) + phases - 1u - at, phases));
  }

  fn fourPixels(start: u32, size: vec2u) -> array<vec3u, 4> {
    var at = array<vec3u, 4>();
    let row = start / max(size.y, 1u);
    let image = row / max(size.x, 1u);
    at[0] = vec3u(image, row - image * size.x, start - row * size.y);
    for (var j = 1u; j < 4u; j++) {
      at[j] = at[j - 1u] + vec3u(0u, 0u, 1u);
      if (at[j].z == size.y) { at[j] = vec3u(at[j].x, at[j].y + 1u, 0u); }
      if (at[j].y == size.x) { at[j] = vec3u(at[j].x + 1u, 0u, at[j].z); }
    }
    return at;
  }

  struct Source { base: u32, inside: bool }
  fn sourceOf(pixel: vec3u, q: u32, r: u32, s: u32, shift: vec2i) -> Source {
    let h = u32(i32(pixel.y * p.stepH) + p.dir * (i32(r) - shift.x)); // a negative one is huge as u32
    let left = select(i32(s) - shift.y, shift.y - i32(s + taps - 1u), p.dir < 0);
    let v = u32(i32(pixel.z * p.stepW + max(q, 3u) - 3u) + left);
    let inside = pixel.x < p.N && h < p.H && v < p.W;
    return Source(select(0u, ((pixel.x * p.H + h) * p.W + v) * p.C, inside), inside);
  }
`
