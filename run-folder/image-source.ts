// Image files as callers give them: paths, URLs, bytes, or functions that return bytes.

import { fileURLToPath } from 'node:url'
import { DataError } from '../data/dataset.ts'
import { decodeImage } from '../data/decode-image.ts'
import { readDataFile, sizeOfFile } from '../data/paths.ts'
import { checkValue, describe, rule } from '../kernels/options.ts'
import { reasonOf } from '../kernels/reason-of.ts'
import type { PixelImages } from '../serving/embedder.ts'

/** Bytes of an image file. */
export type ImageFileBytes = Uint8Array | ArrayBuffer

/** An image file: its path or file: URL, its bytes, or a function that returns these. It is called
 *  when there is room in the queue, so that bytes from a network are within its limit. */
export type ImageFileSource =
  | string
  | URL
  | ImageFileBytes
  | (() => ImageFileBytes | Promise<ImageFileBytes>)

/** Limits of image files. */
export interface ImageFileLimits {
  /** Height and width in pixels of the square that a file is decoded to. */
  readonly side: number
  readonly maxBytes: number
  readonly maxPixels: number
}

/** Decodes an image file to its middle square. Throws DataError in words. */
export async function decodedSquare(
  image: ImageFileSource,
  { side, maxBytes, maxPixels }: ImageFileLimits,
): Promise<PixelImages> {
  const name = typeof image === 'string' || image instanceof URL ? pathOf(image) : null
  const told = name ?? 'the image'
  const refuse = (bytes: number) => {
    if (bytes > maxBytes)
      throw new DataError(
        `embedder: ${told} has ${bytes} bytes, at most ${maxBytes} are read; raise maxBytes, or shrink it`,
      )
  }
  if (name !== null) refuse(await sizeOfFile('embedder', name))
  const bytes = name === null ? await bytesIn(image) : await readDataFile('embedder', name)
  refuse(bytes.length)
  try {
    const { pixels } = await decodeImage(bytes, { size: side, most: maxPixels })
    return { pixels, shape: [1, side, side, 3] }
  } catch (cause) {
    const reason = reasonOf(cause)
    throw new DataError(`embedder: ${told} ${reason}`, { cause })
  }
}

const pathOf = (image: string | URL) => (typeof image === 'string' ? image : fileURLToPath(image))

/** Returns the bytes of an image that is no path. */
async function bytesIn(image: ImageFileSource): Promise<Uint8Array> {
  const given = typeof image === 'function' ? await image() : image
  if (given instanceof ArrayBuffer) return new Uint8Array(given)
  if (given instanceof Uint8Array) return given
  throw new TypeError(
    `embedder: the image's function must return the bytes of an image file, got ${describe(given)}`,
  )
}

const file = rule(
  'a path, a file: URL, or the bytes of an image file or a function that returns them',
  (v) =>
    (typeof v === 'string' && v !== '') ||
    (v instanceof URL && v.protocol === 'file:') ||
    v instanceof Uint8Array ||
    v instanceof ArrayBuffer ||
    typeof v === 'function',
)

/** Throws TypeError unless this is an image file. */
export function checkImage(image: unknown) {
  const isSet = typeof image === 'object' && image !== null && 'pixels' in image
  if (isSet)
    throw new TypeError(
      'embedder: the image must be a file; give pixels to embedPixels(pixels, [N, H, W, 3])',
    )
  checkValue('embedder', 'the image', image, file)
}
