// Resizes whole images on the GPU, by Lanczos's filter, as sharp and Pillow do.

import { type Op, type Tensor, ShapeError, dim, images, op, show } from '../op.ts'
import { type Rules, checkOptions, counts, either, needed, oneOf, count } from '../options.ts'
import { type Fit, fitted } from './fit.ts'
import { weightsOf } from './filters.ts'
import { alongRowsOf, downColumnsOf } from './passes.ts'

/** Options of `resizeImages`. */
export interface ResizeOptions {
  /** Height and width of the result in pixels, one number for a square. */
  readonly size: number | readonly [height: number, width: number]
  /** How an image of another shape fills it: 'cover', the default, cuts the middle out of it,
   *  'contain' shows all of it on white, 'fill' stretches it. */
  readonly fit?: Fit
}

interface Given {
  readonly height: number
  readonly width: number
  readonly fit: Fit
}

const resizeOp: Op<[images: Tensor], [Tensor], Given> = {
  name: 'resizeImages',
  accepts: ['u8'],
  shape({ height, width }, given) {
    const [N, H, W, C] = images(given, 'resizeImages: x')
    if (C !== 3 && C !== 4)
      throw new ShapeError(
        `resizeImages: x must have 3 channels, RGB, or 4, RGBA, got ${show(given)}`,
      )
    if (H === 0 || W === 0)
      throw new ShapeError(`resizeImages: an image must have a pixel at least, got ${show(given)}`)
    return [N, height, width, 3]
  },
  forward(run, { height, width, fit }, x) {
    const [N, H, W, C] = images(x.shape, 'resizeImages: x')
    const { x: across, y: down } = fitted({ height: H, width: W }, { height, width }, fit)
    const rows = { bytes: x, channels: C === 4 ? 4 : 3, rows: N * H, pitch: W * C } as const
    const first = alongRowsOf(run, rows, weightsOf(W, across.from, width, across.to))
    const [narrow] = run(first.kernel, { ...first.dispatch, makes: [[N * H, width, 4]] })
    const last = downColumnsOf(
      run,
      { narrow, N, rows: H, width },
      weightsOf(H, down.from, height, down.to),
    )
    return run(last.kernel, {
      ...last.dispatch,
      makes: [{ shape: [N, height, width, 3], dtype: 'u8' }],
    })
  },
}

const rules: Rules<ResizeOptions> = {
  size: needed(either(count, counts)),
  fit: oneOf('cover', 'contain', 'fill'),
}

const apply = op(resizeOp)

/** Resizes images u8 [N, H, W, C], RGB or RGBA, to u8 [N, h, w, 3], by Lanczos's filter with three
 *  lobes in f32, as sharp's default. Alpha is laid on white. Sums are of the bytes as they are, in
 *  sRGB. It needs 16 N H w bytes between its two passes. Carries no gradient. Throws ShapeError and
 *  TypeError. */
export function resizeImages(x: Tensor, options: ResizeOptions): Tensor {
  const { size, fit = 'cover' } = checkOptions('resizeImages', options, rules)
  const sizes = typeof size === 'number' ? [size, size] : size
  if (sizes.length !== 2)
    throw new TypeError(`resizeImages: size must be [height, width], got ${show(sizes)}`)
  return apply({ height: dim(sizes, 0), width: dim(sizes, 1), fit }, x)
}
