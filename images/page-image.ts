// The pictures that a page has, and what they are told by. Their types say only what is used of
// them, so that they need no types of a browser. Which is which, their own tags tell, in a picture
// of another frame too.

import { DataError } from '../data/dataset.ts'
import { describe } from '../kernels/options.ts'

/** RGBA or RGB bytes, row by row without gaps, as an `ImageData` has them. */
export interface RawPixels {
  readonly data: Uint8Array | Uint8ClampedArray
  readonly width: number
  readonly height: number
}

/** An `ImageBitmap`, a canvas, an `OffscreenCanvas`, an image or video element: whatever a page
 *  draws from and has this size. */
export interface Drawable {
  readonly width: number
  readonly height: number
}

/** A `VideoFrame`. It stays the caller's to close. */
export interface Frame {
  readonly displayWidth: number
  readonly displayHeight: number
}

/** A `File` or a `Blob` that holds an encoded picture. */
export interface EncodedFile {
  readonly size: number
  readonly type: string
  readonly name?: string
  arrayBuffer(): Promise<ArrayBuffer>
}

/** A picture of a page. */
export type PageImage = RawPixels | Drawable | Frame | EncodedFile

/** What kinds of pictures are drawn as they are, converted to an `ImageBitmap`, or decoded. */
const kinds = new Map<string, Way>([
  ['ImageBitmap', 'drawable'],
  ['HTMLCanvasElement', 'drawable'],
  ['OffscreenCanvas', 'drawable'],
  ['VideoFrame', 'live'],
  ['HTMLImageElement', 'live'],
  ['SVGImageElement', 'live'],
  ['HTMLVideoElement', 'live'],
  ['File', 'encoded'],
  ['Blob', 'encoded'],
])

/** How a picture is read: 'raw' bytes; 'drawable' at once; 'live' elements and frames, of which a
 *  bitmap is made, upright and of the size that is shown; 'encoded' bytes of a file. */
export type Way = 'raw' | 'drawable' | 'live' | 'encoded'

/** Tells how a picture is read. Throws TypeError for what is none. */
export function wayOfImage(owner: string, image: unknown): Way {
  const known = kinds.get(Object.prototype.toString.call(image).slice(8, -1))
  if (known) return known
  if (typeof image === 'object' && image !== null && 'data' in image && 'width' in image)
    return 'raw'
  throw new TypeError(
    `${owner}: a picture must be a File, a Blob, an ImageBitmap, a canvas, a VideoFrame, an image or video element, ImageData or { data, width, height }, got ${describe(image)}`,
  )
}

/** Names a picture in messages: by its file, or by its place. Takes what is no picture, too. */
export function nameOfImage(image: unknown, index: number): string {
  const { webkitRelativePath: path, name } = (image ?? {}) as {
    webkitRelativePath?: unknown
    name?: unknown
  } // of a File, perhaps in a folder
  const told = [path, name].find((one) => typeof one === 'string' && one !== '')
  return typeof told === 'string' ? told : `picture ${index}`
}

/** What a caller says of a picture's class. Throws TypeError for what is neither a name nor
 *  null. */
export function nameOfClass(given: string | null): string | null {
  if (typeof given === 'string' || given === null) return given
  throw new TypeError(
    `imageDataset: classOf must return a name, or null for a picture without, got ${describe(given)}`,
  )
}

/** The pixels and channels of raw bytes. Throws DataError for bytes of another count, none, or
 *  those of a detached buffer, and TypeError for what holds no bytes. */
export function checkedPixels(name: string, { data, width, height }: RawPixels) {
  const given: unknown = data
  if (!(ArrayBuffer.isView(given) && /^\[object Uint8(Clamped)?Array\]$/.test(tagOf(given))))
    throw new DataError(
      `${name}: data must be bytes in a Uint8Array or a Uint8ClampedArray, got ${describe(given)}`,
    )
  const pixels = checkedSize(name, { width, height })
  if (data.length === 0)
    throw new DataError(`${name}: data has no bytes; was its buffer transferred to a worker?`)
  const bytes = new Uint8Array(data.buffer, data.byteOffset, data.byteLength)
  const channels = bytes.length / pixels
  if (channels !== 3 && channels !== 4)
    throw new DataError(
      `${name}: data must be RGBA or RGB, ${pixels * 4} or ${pixels * 3} bytes for ${width} x ${height} pixels, got ${bytes.length}`,
    )
  return { bytes, width, height, channels: channels === 4 ? 4 : 3 } as const
}

const tagOf = (value: unknown): string => Object.prototype.toString.call(value)

/** Counts the pixels. Throws DataError for a size that is none. */
export function checkedSize(name: string, { width, height }: Drawable): number {
  for (const [what, value] of Object.entries({ width, height }))
    if (!(Number.isInteger(value) && value > 0))
      throw new DataError(
        `${name}: ${what} must be a whole number from 1 on, got ${describe(value)}${value === 0 ? '; was it closed, or has it not loaded yet?' : ''}`,
      )
  return width * height
}
