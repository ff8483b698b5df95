// Makes bitmaps of files, elements and frames, by the browser's own decoders: upright, as their
// EXIF says.

import { DataError } from '../data/dataset.ts'
import { damageOf, formatOf, kindOfBytes } from '../data/image-format.ts'
import { reasonOf } from '../kernels/reason-of.ts'
import {
  type Drawable,
  type EncodedFile,
  type Way,
  type PageImage,
  checkedSize,
} from './page-image.ts'

/** A picture that can be drawn, and how its memory is given back; a caller's own stays. */
export interface OpenPicture {
  readonly image: Drawable
  readonly close: () => void
}

/** What is used of a page's globals. */
interface Page {
  createImageBitmap?: (
    image: unknown,
    options: { readonly imageOrientation: string; readonly premultiplyAlpha: string },
  ) => Promise<Drawable & { close(): void }>
}

/** Opens a drawable picture. Throws DataError that names it where it cannot be decoded. */
export async function openImage(name: string, image: PageImage, way: Way): Promise<OpenPicture> {
  if (way === 'drawable') return { image: image as Drawable, close: () => {} } // as its way says
  const { createImageBitmap } = globalThis as Page
  if (!createImageBitmap)
    throw new DataError(
      `${name}: there is no createImageBitmap here to decode it; give { data, width, height }, or read files in Node by openData('folder:PATH')`,
    )
  const options = { imageOrientation: 'from-image', premultiplyAlpha: 'none' }
  if (way === 'encoded') await checkFormat(name, image as EncodedFile) // as its way says
  const bitmap = await createImageBitmap(image, options).catch(async (cause: unknown) => {
    throw new DataError(`${name}: ${await reasonFor(image, way, cause)}`, { cause })
  })
  try {
    checkedSize(name, bitmap)
  } catch (error) {
    bitmap.close()
    throw error
  }
  return { image: bitmap, close: () => bitmap.close() }
}

const BEGINNING = 512 // bytes that tell a format

/** Formats that some browsers decode. */
const perhaps: readonly (string | null)[] = ['HEIC', 'JPEG XL', 'SVG', 'an icon']

/** Throws DataError for a file that holds no picture. */
async function checkFormat(name: string, file: EncodedFile) {
  const begin = (file as Blob).slice(0, BEGINNING) // a Blob, as its tag said
  const bytes = await begin.arrayBuffer().catch((cause: unknown) => {
    throw new DataError(`${name}: cannot be read; was it moved or deleted?`, { cause })
  })
  try {
    if (!perhaps.includes(kindOfBytes(new Uint8Array(bytes)))) formatOf(new Uint8Array(bytes))
  } catch (cause) {
    throw new DataError(`${name}: ${reasonOf(cause)}`, { cause })
  }
}

/** Says why a browser did not decode a picture. */
async function reasonFor(image: PageImage, way: Way, cause: unknown): Promise<string> {
  if (way !== 'encoded') return `cannot be drawn: ${String(cause)}`
  const bytes = new Uint8Array(await (image as EncodedFile).arrayBuffer()) // as its way says
  const found = kindOfBytes(bytes)
  if (perhaps.includes(found) || found === 'TIFF')
    return `this browser decodes no ${found ?? 'such image'}; convert it to JPEG, PNG or WebP`
  return `${damageOf(bytes, formatOf(bytes))}, or it is too large for this browser`
}
