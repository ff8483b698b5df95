// What the pooling ops share: windows of `size` pixels every `stride` pixels over a padded image.

import { type Shape, ShapeError, images, show } from './op.ts'

export interface PoolOptions {
  /** Rows and columns of a window. */
  readonly size: number
  /** Pixels between windows; `size` by default. */
  readonly stride?: number
  /** Pixels added on each side, at most half of `size`; 0 by default. */
  readonly padding?: number
}

export type Window = Required<PoolOptions>

/** The pooled shape [N, Ho, Wo, C]; throws ShapeError in the op's name. */
export function pooledShape(x: Shape, { size, stride, padding }: Window, name: string): Shape {
  const [N, H, W, C] = images(x, `${name}: x`)
  for (const [value, least, what] of [
    [size, 1, 'size'],
    [stride, 1, 'stride'],
    [padding, 0, 'padding'],
  ] as const) {
    if (!Number.isInteger(value) || value < least)
      throw new ShapeError(`${name}: ${what} must be a whole number of at least ${least}, got ${value}`)
  }
  if (padding > size / 2)
    throw new ShapeError(`${name}: padding must be at most half the window, got ${padding} for size ${size}`)
  const [outH, outW] = [H, W].map((side) => Math.floor((side + 2 * padding - size) / stride) + 1)
  if (outH === undefined || outW === undefined || outH < 1 || outW < 1)
    throw new ShapeError(
      `${name}: the window must fit in the padded image, got size ${size}, padding ${padding}, x ${show(x)}`,
    )
  return [N, outH, outW, C]
}

/** The params of a pooling kernel over x [N, H, W, C]. */
export function windowParams(x: Shape, out: Shape, window: Window, name: string) {
  const [, H, W, C] = images(x, name)
  const [, outH, outW] = images(out, name)
  return { H, W, C, outH, outW, ...window }
}
