// Windows of the pooling ops: `size` x `size` pixels, every `stride` pixels, over a padded image.

import { type Shape, ShapeError, dim, images, show, wgsl } from '../op.ts'
import { widthOf } from '../wgsl/widths.ts'
import { anything, checkOptions, needed, said } from '../options.ts'

/** Members of `struct Params` that `windowParams` fills, after `count`. */
export const poolParams = wgsl`
    count: u32, H: u32, W: u32, C: u32, outH: u32, outW: u32, size: u32, stride: u32, padding: u32`

/** `imageCoords(i, H, W, C)`: element i of [N, H, W, C] as (n, h, w, c), with three divisions. */
export const imageCoords = wgsl`
  fn imageCoords(i: u32, H: u32, W: u32, C: u32) -> vec4u {
    let pixel = i / C;
    let line = pixel / W;
    let n = line / H;
    return vec4u(n, line - n * H, pixel - line * W, i - pixel * C);
  }
`

/** `inWindow(o, size)`: the rows or columns [first, end), of `size`, in window `o`, without the
 *  padding. */
export const inWindow = wgsl`
  fn inWindow(o: u32, size: u32) -> vec2u {
    let first = o * p.stride;
    return vec2u(max(first, p.padding), min(first + p.size, size + p.padding)) - p.padding;
  }
`

/** `windows(at, size, stride, padding, count)`: the windows [first, end), of `count`, that contain
 *  row or column `at`. Division of floats is exact for images up to `longSide`, and on software
 *  adapters much faster than division of integers. */
export const windows = wgsl`
  override long: bool = false;
  fn quotient(a: u32, b: u32) -> u32 {
    if (long) { return a / b; }
    return u32((f32(a) + 0.5) / f32(b));
  }
  fn windows(at: u32, size: u32, stride: u32, padding: u32, count: u32) -> vec2u {
    let end = at + padding + 1u;
    return vec2u(
      select(0u, quotient(end - size + stride - 1u, stride), end > size),
      min(quotient(end - 1u, stride) + 1u, count),
    );
  }
`

export interface PoolOptions {
  /** Rows and columns of a window. */
  readonly size: number
  /** Pixels between windows; `size` by default. */
  readonly stride?: number
  /** Pixels added on each side, at most half of `size`; 0 by default. */
  readonly padding?: number
}

export type Window = Required<PoolOptions>

/** The window, with its defaults. Throws TypeError for other options. */
export function windowOf(name: string, options: PoolOptions): Window {
  const rules = {
    size: needed(said('a whole number from 1 on')),
    stride: anything,
    padding: anything,
  }
  const { size, stride = size, padding = 0 } = checkOptions(name, options ?? {}, rules)
  return { size, stride, padding }
}

/** The pooled shape [N, Ho, Wo, C]. Throws ShapeError in the op's name. */
export function pooledShape(x: Shape, { size, stride, padding }: Window, name: string): Shape {
  const [N, H, W, C] = images(x, `${name}: x`)
  for (const [value, least, what] of [
    [size, 1, 'size'],
    [stride, 1, 'stride'],
    [padding, 0, 'padding'],
  ] as const) {
    if (!Number.isInteger(value) || value < least)
      throw new ShapeError(
        `${name}: ${what} must be a whole number of at least ${least}, got ${value}`,
      )
  }
  if (padding > size / 2)
    throw new ShapeError(
      `${name}: padding must be at most half the window, got ${padding} for size ${size}`,
    )
  const [outH, outW] = [H, W].map((side) => Math.floor((side + 2 * padding - size) / stride) + 1)
  if (outH === undefined || outW === undefined || outH < 1 || outW < 1)
    throw new ShapeError(
      `${name}: the window must fit in the padded image, got size ${size}, padding ${padding}, x ${show(x)}`,
    )
  return [N, outH, outW, C]
}

// From this side on, the 0.5 in `quotient` may be less than the error of WGSL's division, 2.5 ULP.
const LONG = 2 ** 20

/** Constants of a kernel with `windows` over x [N, H, W, C]: integer division for long sides. */
export function longSide(x: Shape, { padding }: Window, name: string) {
  const [, H, W] = images(x, name)
  return { long: Number(Math.max(H, W) + 2 * padding >= LONG) }
}

/** Channels that a thread of a pooling kernel takes. */
export const channelsOf = (x: Shape, out: Shape): number =>
  Math.min(widthOf(dim(x, 3)), widthOf(dim(out, 3)))

/** The params of a pooling kernel over x [N, H, W, C]. C counts what threads take as one. */
export function windowParams(x: Shape, out: Shape, window: Window, name: string) {
  const [, H, W, C] = images(x, name)
  const [, outH, outW] = images(out, name)
  return { H, W, C: C / channelsOf(x, out), outH, outW, ...window }
}
