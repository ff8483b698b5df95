// How the generic and the software convolution walk over their input. Both read it in place, as the
// left factor of an implicit matrix product: rows are output pixels, columns are output channels,
// and the sum runs over taps and input channels.
//
// The data gradient is the same walk with other numbers. A stride of s splits the input's pixels
// into s x s phases. All pixels of a phase have the same taps, so no product with an inserted zero
// is computed. With q phases, phase f has
//   outputs  o = first + i q
//   taps     r = f + t q
//   inputs   i step + dir (t - shift)
// where
//   forward:        q = 1,       step = stride,  dir = +1,  shift = padding
//   data gradient:  q = stride,  step = 1,       dir = -1,  shift = (first + padding - f) / stride

import { type Run, type Shape, type Tensor, elementwise, images, wgsl } from '../op.ts'
import { threadsFor } from '../wgsl/fragment-load.ts'
import type { Steps } from './steps.ts'

/** - `struct Params`, filled by `walkDispatch`; a loop to its `pixels`, those of a thread, stays
 *  one;
 *  - `phaseOf(z) -> Phase`: the phase of a workgroup;
 *  - `pixelAt(start, size)`: a thread's first pixel, as (image, row and column within the phase);
 *  - `pixelAfter(pixel, size)`: the next one; `fourPixels(start, size)`: four of them;
 *  - `sourceOf(pixel, q, r, s, shift) -> Source`: for q < 4, the input of pixel q at the leftmost
 *    of the taps (r, s); for q beyond, the inputs of the last pixel at the next taps. */
export const inputWalk = wgsl`
  struct Params {
    N: u32, H: u32, W: u32, C: u32, outH: u32, outW: u32, K: u32, kH: u32, kW: u32,
    phasesH: u32, phasesW: u32, stepH: u32, stepW: u32, padH: u32, padW: u32, dir: i32,
    tapStride: u32, inStride: u32, outStride: u32, biased: u32, pixels: u32
  }
  override taps: u32 = 1u; // taps of a row computed together: 3 where neighbouring pixels share inputs, else 1

  // Exact for sides of images. On a software adapter much faster than division of integers.
  fn quotient(a: vec2u, b: vec2u) -> vec2u { return vec2u((vec2f(a) + 0.5) / vec2f(b)); }
  fn remainder(a: vec2u, b: vec2u) -> vec2u { return a - quotient(a, b) * b; }

  struct Phase { at: vec2u, first: vec2u, shift: vec2i, size: vec2u, reach: vec2u } // reach: taps per axis
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

  fn pixelAt(start: u32, size: vec2u) -> vec3u {
    let row = start / max(size.y, 1u);
    let image = row / max(size.x, 1u);
    return vec3u(image, row - image * size.x, start - row * size.y);
  }
  fn pixelAfter(pixel: vec3u, size: vec2u) -> vec3u {
    var next = pixel + vec3u(0u, 0u, 1u);
    if (next.z == size.y) { next = vec3u(next.x, next.y + 1u, 0u); }
    if (next.y == size.x) { next = vec3u(next.x + 1u, 0u, next.z); }
    return next;
  }

  fn fourPixels(start: u32, size: vec2u) -> array<vec3u, 4> {
    var at = array<vec3u, 4>();
    at[0] = pixelAt(start, size);
    for (var j = 1u; j < 4u; j++) { at[j] = pixelAfter(at[j - 1u], size); }
    return at;
  }

  struct Source { base: u32, inside: bool }
  fn sourceOf(pixel: vec3u, q: u32, r: u32, s: u32, shift: vec2i) -> Source {
    let h = u32(i32(pixel.y * p.stepH) + p.dir * (i32(r) - shift.x)); // as u32 a negative row is huge
    let left = select(i32(s) - shift.y, shift.y - i32(s + taps - 1u), p.dir < 0);
    let v = u32(i32(pixel.z * p.stepW + max(q, 3u) - 3u) + left);
    let inside = pixel.x < p.N && h < p.H && v < p.W;
    return Source(select(0u, ((pixel.x * p.H + h) * p.W + v) * p.C, inside), inside);
  }
`

/** The numbers of `struct Params` that the walk's direction decides. */
export type Walk = Readonly<
  Record<
    | 'phasesH'
    | 'phasesW'
    | 'stepH'
    | 'stepW'
    | 'padH'
    | 'padW'
    | 'dir'
    | 'tapStride'
    | 'inStride'
    | 'outStride',
    number
  >
>

/** A walk, and the bias [K] that is added at its end. */
export type BiasedWalk = Walk & { readonly bias: Tensor | null }

/** The walk of a convolution with a weight [kH, kW, C, K]. */
export function forwardWalk(w: Shape, { stride, padding }: Steps): Walk {
  const [, , C, K] = images(w, 'conv2d: w')
  return {
    ...{ phasesH: 1, phasesW: 1, stepH: stride[0], stepW: stride[1] },
    ...{ padH: padding[0], padW: padding[1], dir: 1 },
    ...{ tapStride: C * K, inStride: K, outStride: 1 },
  }
}

/** The walk of its data gradient, which reads dy and sums over K. */
export function dataGradientWalk(w: Shape, { stride, padding }: Steps): Walk {
  const [, , C, K] = images(w, 'conv2d: w')
  return {
    ...{ phasesH: stride[0], phasesW: stride[1], stepH: 1, stepW: 1 },
    ...{ padH: padding[0], padW: padding[1], dir: -1 },
    ...{ tapStride: C * K, inStride: 1, outStride: K },
  }
}

/** Params, constants and workgroups of a kernel with `inputWalk` whose threads take some pixels, in
 *  fours, and some channels. */
export function walkDispatch(
  run: Run,
  x: Tensor,
  w: Tensor,
  out: Shape,
  { bias, ...walk }: BiasedWalk,
  tile: { readonly pixels: number; readonly channels: number },
) {
  const [N, H, W, C] = images(x.shape, 'conv2d: x')
  const [, outH, outW, K] = images(out, 'conv2d: y')
  const [kH, kW] = images(w.shape, 'conv2d: w')
  const { phasesH, phasesW, stepW } = walk
  const pixels = N * Math.ceil(outH / phasesH) * Math.ceil(outW / phasesW)
  const threads = threadsFor(run)
  const tiles = Math.ceil(pixels / tile.pixels / threads) * Math.ceil(K / tile.channels)
  const shared = kW === 3 && stepW === 1 && phasesW === 1 && outW % 4 === 0
  return {
    params: {
      ...{ N, H, W, C, outH, outW, K, kH, kW, ...walk },
      ...{ biased: Number(bias !== null), pixels: tile.pixels },
    },
    constants: { threads, taps: shared ? 3 : 1 },
    groups: [...elementwise(tiles * 64), phasesH * phasesW] as const,
  }
}
