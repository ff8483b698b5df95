// Decodes an image of any format that is read: its middle square, and the whole of it where wanted.

import sharp, { type ResizeOptions, type Sharp } from 'sharp'
import { decodeBmp } from './bmp.ts'
import type { Picture } from './decode-pool.ts'
import { type Format, damageOf, formatOf, tooManyPixels } from './image-format.ts'

const MOST = 0x3fff ** 2 // pixels of an image, sharp's default limit

/** Sizes of a decoded image. */
export interface ImageSizes {
  /** Height and width of the square in pixels. */
  readonly size: number
  /** Bound of the whole image in pixels, as in DecodeOptions; 0, the default, for no whole
   *  image. */
  readonly originals?: number
  /** Most pixels of an image; larger ones are refused. By default 2^28, less a few. */
  readonly most?: number
}

/** Decodes the middle square of the upright image, on white, in sRGB, and the whole image where
 *  wanted. Throws Error for bytes that are no image, are cut short or have too many pixels. The
 *  reason depends on the bytes alone: libvips' own messages do not, because its threads share one
 *  buffer for them. */
export async function decodeImage(
  bytes: Uint8Array,
  { size, originals = 0, most = MOST }: ImageSizes,
): Promise<Picture> {
  const format = formatOf(bytes)
  const image = opened(bytes, format, most)
  try {
    const first = originals === 0 ? image : image.clone() // a copy takes half a millisecond
    const square = await scaled(first, [size, size], { fit: 'cover' })
    if (square.info.width !== size || square.info.height !== size)
      throw new Error('has another size')
    if (originals === 0) return { pixels: new Uint8Array(square.data), height: size, width: size }
    const { data, info } = await whole(image, originals)
    const pixels = new Uint8Array(square.data.length + data.length)
    pixels.set(square.data)
    pixels.set(data, square.data.length)
    return { pixels, height: info.height, width: info.width }
  } catch (cause) {
    throw new Error((await tooLarge(bytes, most)) ?? damageOf(bytes, format), { cause })
  }
}

/** Opens an image of that format. Throws Error that says why a BMP cannot be read. */
function opened(bytes: Uint8Array, format: Format, most: number): Sharp {
  if (format !== 'BMP') return sharp(bytes, { failOn: 'error', limitInputPixels: most })
  try {
    const { data, ...raw } = decodeBmp(bytes, most)
    return sharp(data, { raw })
  } catch (cause) {
    // it was read past its end
    if (cause instanceof RangeError) throw new Error(damageOf(bytes, format), { cause })
    throw cause
  }
}

/** Shrinks the image, never enlarging it, until its longer side has `most` pixels or its shorter
 *  side half as many. Cuts the ends off where the longer side would have more than 2 `most`: the
 *  result has at most `most`^2 pixels. */
async function whole(image: Sharp, most: number) {
  const { width, height } = (await image.metadata()).autoOrient
  const [shorter, longer] = [Math.min(width, height), Math.max(width, height)]
  const half = Math.floor(most / 2)
  if (longer <= 2 * shorter || half === 0)
    return scaled(image.clone(), [most, most], { fit: 'inside', withoutEnlargement: true })
  const short = Math.min(shorter, half)
  const long = Math.min(2 * most, Math.round((longer * short) / shorter))
  return scaled(image.clone(), width > height ? [long, short] : [short, long], { fit: 'cover' })
}

async function scaled(
  image: Sharp,
  [width, height]: readonly [number, number],
  how: ResizeOptions,
) {
  const { data, info } = await image
    .autoOrient()
    .resize(width, height, { position: 'centre', ...how })
    .flatten({ background: '#fff' })
    .toColourspace('srgb')
    .raw({ depth: 'uchar' })
    .toBuffer({ resolveWithObject: true })
  if (data.length !== info.width * info.height * 3)
    throw new Error(`decodes to ${data.length} bytes`)
  return { data, info }
}

/** Says that the image has more pixels than are decoded; null when it has not. */
async function tooLarge(bytes: Uint8Array, most: number): Promise<string | null> {
  const found = await sharp(bytes, { limitInputPixels: false })
    .metadata()
    .catch(() => null)
  if (!found || found.width * found.height <= most) return null
  return tooManyPixels(found, most)
}
