// What happens to one image: its crop box, flip, colour adjustments in their order, grey and blur.
// On the GPU it is a row of 16 numbers, written by the draw kernel or from here, and read by every
// later pass.

import { checkValue, having, twoNumbers } from '../options.ts'
import { wgsl } from '../op.ts'

/** A colour adjustment of torchvision's ColorJitter. */
export type Adjustment = 'brightness' | 'contrast' | 'saturation' | 'hue'

/** The augmentation of one image, in this order. Absent fields do nothing. */
export interface Augmentation {
  /** The part that is resized to the output size; the whole image by default. */
  readonly crop?: CropBox
  /** Mirrors left and right. */
  readonly flip?: boolean
  /** Adjustments with their factors (hue: the shift in turns), in order, each kind at most once. */
  readonly jitter?: readonly (readonly [Adjustment, number])[]
  readonly grayscale?: boolean
  /** Standard deviation of the Gaussian blur in pixels. */
  readonly blur?: number
}

/** A box of an image, in pixels: whole ones unless it is `open`. Where it reaches beyond the image,
 *  the image is reflected. */
export interface CropBox {
  /** Distance of the box's upper edge from the image's. */
  readonly top: number
  /** Distance of the box's left edge from the image's. */
  readonly left: number
  /** Height of the box. */
  readonly height: number
  /** Width of the box. */
  readonly width: number
  /** True if the interpolation may read beyond the box, up to the image's edge, as in a crop of a
   *  resized image; false by default. */
  readonly open?: boolean
}

/** Numbers per image. */
export const ROW = 16

/** The adjustments by their number in a row, from 1; 0 is none. */
const adjustments: readonly Adjustment[] = ['brightness', 'contrast', 'saturation', 'hue']

/** One row of the GPU's table. */
export const augmentationStruct = wgsl`
  struct Augmentation {
    top: f32, left: f32, height: f32, width: f32,
    open: f32, flip: f32, grayscale: f32, sigma: f32, // sigma 0 is no blur
    // Adjustments in their order: 1 brightness, 2 contrast, 3 saturation, 4 hue, 0 none.
    order: vec4f,
    factor: vec4f, // by adjustment, not by order
  }
`

/** Packs augmentations of images [H, W] into rows [N, 16]. */
export function packAugmentations(
  each: readonly Augmentation[],
  image: readonly [number, number],
): Float32Array {
  checkValue(
    'packAugmentations',
    'each',
    each,
    having('an array of augmentations', 'length', 'entries'),
  )
  const [H, W] = checkValue('packAugmentations', 'image', image, twoNumbers)
  const rows = new Float32Array(each.length * ROW)
  for (const [n, { crop, flip, jitter = [], grayscale, blur = 0 }] of each.entries()) {
    const { top, left, height, width, open } = crop ?? { top: 0, left: 0, height: H, width: W }
    const order = jitter.map(([kind]) => adjustments.indexOf(kind) + 1)
    const flags = [Number(open ?? false), Number(flip ?? false), Number(grayscale ?? false)]
    rows.set([top, left, height, width, ...flags, blur, ...order], n * ROW)
    for (const [kind, factor] of jitter) rows[n * ROW + 12 + adjustments.indexOf(kind)] = factor
  }
  return rows
}

/** Unpacks the rows [N, 16] of `drawAugmentations` into what `augmentWith` accepts. */
export function unpackAugmentations(rows: Float32Array): Augmentation[] {
  checkValue(
    'unpackAugmentations',
    'rows',
    rows,
    having('the Float32Array of rows', 'length', 'subarray'),
  )
  return Array.from({ length: rows.length / ROW }, (_, n) => {
    const row = rows.subarray(n * ROW, (n + 1) * ROW)
    const [top = 0, left = 0, height = 0, width = 0, open, flip, grayscale, blur = 0] = row
    const jitter = [...row.subarray(8, 12)].flatMap((code) => {
      const kind = adjustments[code - 1]
      return kind ? [[kind, row[11 + code] ?? NaN] as const] : []
    })
    return {
      crop: { top, left, height, width, open: open === 1 },
      flip: flip === 1,
      jitter,
      grayscale: grayscale === 1,
      ...(blur > 0 ? { blur } : {}),
    }
  })
}
