// Images as pictures in a page: data URLs, and sheets of thumbnails.

import sharp from 'sharp'
import { type Dataset, imageBytes } from '../../data/dataset.ts'
import type { Rgb } from '../../kernels/augment/recipes.ts'
import type { Sheet } from './measured.ts'

const AT_ONCE = 64 // images that are resized at the same time
const QUALITY = 82

/** A picture of bytes [height, width, 3]. */
export interface Raw {
  readonly pixels: Uint8Array
  readonly width: number
  readonly height: number
}

const open = ({ pixels, width, height }: Raw) =>
  sharp(pixels, { raw: { width, height, channels: 3 } })

/** Writes a picture without loss as a data URL. */
export async function png(raw: Raw): Promise<string> {
  return dataUrl('png', await open(raw).png().toBuffer())
}

/** Writes a picture as a data URL, at most `side` pixels wide and high if given. */
export async function webp(raw: Raw, side?: number): Promise<string> {
  const small = side
    ? open(raw).resize(side, side, { fit: 'inside', withoutEnlargement: true })
    : open(raw)
  return dataUrl('webp', await small.webp({ quality: QUALITY }).toBuffer())
}

const dataUrl = (kind: 'png' | 'webp', bytes: Buffer) =>
  `data:image/${kind};base64,${bytes.toString('base64')}`

/** Reads images of a set. */
export async function rawImages(set: Dataset, indices: ArrayLike<number>): Promise<Raw[]> {
  const { width, height } = set.image
  const each = imageBytes(set)
  const all = new Uint8Array(indices.length * each)
  await set.read(indices, all)
  return Array.from({ length: indices.length }, (_, i) => ({
    pixels: all.subarray(i * each, (i + 1) * each),
    ...{ width, height },
  }))
}

/** Converts floats in [0, 1], less a recipe's mean and over its deviation, to bytes. */
export function denormalised(
  floats: Float32Array,
  normalize: { readonly mean: Rgb; readonly std: Rgb } | undefined,
): Uint8Array {
  const { mean, std } = normalize ?? { mean: [0, 0, 0], std: [1, 1, 1] }
  const bytes = Uint8ClampedArray.from(
    floats,
    (x, i) => 255 * (x * (std[i % 3] ?? 1) + (mean[i % 3] ?? 0)),
  )
  return new Uint8Array(bytes.buffer)
}

/** Draws all images of a set into one picture, each `side` pixels wide or less. */
export async function sheetOf(set: Dataset, most: number): Promise<Sheet> {
  const side = Math.min(most, Math.max(set.image.width, set.image.height))
  const columns = Math.ceil(Math.sqrt(set.size))
  const rows = Math.ceil(set.size / columns)
  const [width, height] = [columns * side, rows * side]
  const pixels = new Uint8Array(width * height * 3)
  for (let start = 0; start < set.size; start += AT_ONCE) {
    const length = Math.min(AT_ONCE, set.size - start)
    const some = await rawImages(
      set,
      Uint32Array.from({ length }, (_, i) => start + i),
    )
    const thumbs = await Promise.all(some.map((raw) => thumbnail(raw, side)))
    for (const [i, thumb] of thumbs.entries()) {
      const [column, row] = [(start + i) % columns, Math.floor((start + i) / columns)]
      for (let y = 0; y < side; y++)
        pixels.set(
          thumb.subarray(y * side * 3, (y + 1) * side * 3),
          ((row * side + y) * width + column * side) * 3,
        )
    }
  }
  return { picture: await webp({ pixels, width, height }), side, columns }
}

/** Resizes an image to a square [side, side, 3]. */
async function thumbnail(raw: Raw, side: number): Promise<Uint8Array> {
  if (raw.width === side && raw.height === side) return raw.pixels
  return open(raw).resize(side, side, { fit: 'fill' }).raw().toBuffer()
}
